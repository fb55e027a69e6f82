/** The runtimes from npm that the suites run under beside the installed Node, and where they are. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { arch, env } from "node:process";
import { fileURLToPath } from "node:url";

/** A runtime's binary, or why there is none. */
export interface Runtime {
  readonly name: string;
  /** What comes before the script's name. */
  readonly flags: readonly string[];
  readonly path?: string;
  readonly version?: string;
  readonly missing?: string;
}

const FOLDER: string = fileURLToPath(new URL("../../../test/runtimes/", import.meta.url));

const LOCK = `${FOLDER}.installing`;
/** npm's name for the C library here, by which it chooses packages. */
const LIBC: string = readdirSync("/lib").some((name) => name.startsWith("ld-musl-"))
  ? "musl"
  : "glibc";
/** The longest that an installation may take. */
const INSTALL_MS = 300_000;

/**
 * Where each runtime's npm package for this kind of machine keeps its binary, likeliest first.
 *
 * These are the packages of the bare binaries. The ones named after the runtimes only copy from them,
 * in install scripts that npm need not run.
 */
const BINARIES: Readonly<Record<string, readonly string[]>> = {
  node: [`node-linux-${arch}/bin/node`],
  bun: ["", "-musl"].map((libc) => {
    return `@oven/bun-linux-${arch === "arm64" ? "aarch64" : arch}${libc}/bin/bun`;
  }),
  deno: [`@deno/linux-${arch}-glibc/deno`],
};

const FLAGS: Readonly<Record<string, readonly string[]>> = { deno: ["run", "--allow-all"] };

/**
 * The runtimes of test/runtimes/package.json, installed when they are not.
 *
 * @remarks
 * `POLLOI_RUNTIMES=bun,deno` limits them, and the empty string leaves none.
 * @param say - Gets a line about what takes long.
 */
export function runtimes(say: (line: string) => void): Runtime[] {
  const wanted = env.POLLOI_RUNTIMES?.split(",").map((name) => name.trim());
  const names = Object.keys(BINARIES).filter((name) => wanted?.includes(name) ?? true);
  const failure = names.length === 0 ? undefined : install(say);
  const chosen = names.map((name) => locate(name, failure));
  const left = Object.keys(BINARIES).filter((name) => !names.includes(name));
  const missing = `left out by POLLOI_RUNTIMES=${env.POLLOI_RUNTIMES}`;
  return [...chosen, ...left.map((name) => ({ name, flags: [], missing }))];
}

/** A package as the lock file has it; npm leaves out those made for other machines. */
interface Locked {
  readonly version?: string;
  readonly cpu?: string | readonly string[];
  readonly libc?: string | readonly string[];
}

/**
 * What the lock file names for this machine and npm has not brought.
 *
 * npm calls an installation a success that could not fetch an optional dependency, and all of these are
 * optional, being for one kind of machine each. So what counts is what lies there.
 */
function notInstalled(): string[] {
  const lock = readFileSync(`${FOLDER}package-lock.json`, "utf8");
  const { packages } = JSON.parse(lock) as { packages: Record<string, Locked> };
  return Object.entries(packages)
    .filter(([path, { cpu, libc }]) => {
      return (
        path !== "" && [cpu ?? arch].flat().includes(arch) && [libc ?? LIBC].flat().includes(LIBC)
      );
    })
    .filter(([path, { version }]) => {
      const manifest = `${FOLDER}${path}/package.json`;
      if (!existsSync(manifest)) return true;
      return (JSON.parse(readFileSync(manifest, "utf8")) as Locked).version !== version;
    })
    .map(([path]) => path.replace("node_modules/", ""));
}

/** @returns Why it failed, in a line. */
function install(say: (line: string) => void): string | undefined {
  // Test files run at once, and one of them is enough to install.
  if (!lock()) return "another installation in test/runtimes did not come to its end";
  try {
    if (notInstalled().length === 0) return undefined;
    say(
      "installing Bun, Deno and the newest Node from npm into test/runtimes (about 110 MB, once)",
    );
    const args = ["ci", "--prefix", FOLDER, "--no-audit", "--no-fund", "--ignore-scripts"];
    const options = { encoding: "utf8", timeout: INSTALL_MS } as const;
    const { status, stderr, error } = spawnSync("npm", args, options);
    const left = notInstalled();
    if (status === 0 && left.length === 0) return undefined;
    if (status === 0) return `npm could not fetch ${left.join(", ")}`;
    const reason = stderr?.split("\n").find((line) => line.startsWith("npm error")) ?? "";
    return `npm ci failed: ${error?.message ?? reason.replace("npm error", "").trim()}`;
  } finally {
    rmSync(LOCK, { recursive: true, force: true });
  }
}

/** Takes the lock, which is a folder, waiting for whoever has it; one left behind grows stale. */
function lock(): boolean {
  const deadline = Date.now() + INSTALL_MS;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  while (Date.now() < deadline) {
    try {
      mkdirSync(LOCK);
      return true;
    } catch {
      const taken = statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      if (Date.now() - taken > INSTALL_MS) rmSync(LOCK, { recursive: true, force: true });
      else Atomics.wait(pause, 0, 0, 100);
    }
  }
  return false;
}

function locate(name: string, failure: string | undefined): Runtime {
  const flags = FLAGS[name] ?? [];
  let missing = failure ?? `npm has no ${name} for this machine (${arch})`;
  for (const binary of BINARIES[name] ?? []) {
    const path = `${FOLDER}node_modules/${binary}`;
    if (!existsSync(path)) continue;
    // It may be here and not run: another libc, or a processor that lacks what it was compiled for.
    const { status, stdout, stderr, error } = spawnSync(path, ["--version"], { encoding: "utf8" });
    const version = /\d+\.\d+\.\d+\S*/.exec(stdout ?? "")?.[0];
    if (status === 0 && version !== undefined) return { name, flags, path, version };
    missing = `${name} does not start here: ${error?.message ?? stderr.split("\n")[0]}`;
  }
  return { name, flags, missing };
}
