/** The runtimes from npm that the suites run under beside the installed Node, and their paths. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { arch, env } from "node:process";
import { fileURLToPath } from "node:url";

/** A runtime's binary, or why there is none. */
export interface Runtime {
  readonly name: string;
  /** The arguments before the name of the script. */
  readonly flags: readonly string[];
  readonly path?: string;
  readonly version?: string;
  readonly missing?: string;
}

const FOLDER: string = fileURLToPath(new URL("../../../test/runtimes/", import.meta.url));

/** npm's name for the C library of this machine, by which it selects packages. */
const LIBC: string = readdirSync("/lib").some((name) => name.startsWith("ld-musl-"))
  ? "musl"
  : "glibc";
/** The longest that an installation may take. */
const INSTALL_MS = 300_000;

/** A folder with a package.json and a lock file, and the runtimes that npm installs there. */
interface Group {
  readonly folder: string;
  /** A description of the installation for the user, with its size. */
  readonly summary: string;
  readonly names: readonly string[];
}

const NEWEST: Group = {
  folder: FOLDER,
  summary: "Bun, Deno and the newest Node from npm into test/runtimes (about 110 MB, once)",
  names: ["node", "bun", "deno"],
};
const LTS: Group = {
  folder: `${FOLDER}lts/`,
  summary: "Node 22 and 24 from npm into test/runtimes/lts (about 90 MB, once)",
  names: ["node22", "node24"],
};

/**
 * The paths of each runtime's binary in its npm package for this kind of machine, the most likely one first.
 *
 * These are the packages of the binaries. The packages with the names of the runtimes only copy from them,
 * in install scripts that npm need not run.
 */
const BINARIES: Readonly<Record<string, readonly string[]>> = {
  node: [`node-linux-${arch}/bin/node`],
  node22: [`node22-linux-${arch}/bin/node`],
  node24: [`node24-linux-${arch}/bin/node`],
  bun: ["", "-musl"].map((libc) => {
    return `@oven/bun-linux-${arch === "arm64" ? "aarch64" : arch}${libc}/bin/bun`;
  }),
  deno: [`@deno/linux-${arch}-glibc/deno`],
};

const FLAGS: Readonly<Record<string, readonly string[]>> = { deno: ["run", "--allow-all"] };

/**
 * Bun, Deno and the newest Node: test/runtimes/package.json. They are installed if they are missing.
 *
 * @remarks
 * `POLLOI_RUNTIMES=bun,deno` selects runtimes, and the empty string selects none.
 * @param print - Receives a line before an installation, which takes long.
 */
export function runtimes(print: (line: string) => void): Runtime[] {
  return runtimesOf(NEWEST, print);
}

/** The other supported releases of Node: test/runtimes/lts/package.json. As {@link runtimes} otherwise. */
export function olderNodes(print: (line: string) => void): Runtime[] {
  return runtimesOf(LTS, print);
}

function runtimesOf(group: Group, print: (line: string) => void): Runtime[] {
  const wanted = env.POLLOI_RUNTIMES?.split(",").map((name) => name.trim());
  const names = group.names.filter((name) => wanted?.includes(name) ?? true);
  const failure = names.length === 0 ? undefined : install(group, print);
  const chosen = names.map((name) => locate(group, name, failure));
  const left = group.names.filter((name) => !names.includes(name));
  const missing = `left out by POLLOI_RUNTIMES=${env.POLLOI_RUNTIMES}`;
  return [...chosen, ...left.map((name) => ({ name, flags: [], missing }))];
}

/** A package in the lock file. npm does not install packages for other machines. */
interface Locked {
  readonly version?: string;
  readonly cpu?: string | readonly string[];
  readonly libc?: string | readonly string[];
}

/**
 * The packages that the lock file names for this machine and that are not there.
 *
 * All of them are optional dependencies, since each is for one kind of machine, and npm reports success when it
 * could not fetch an optional dependency.
 */
function notInstalled(folder: string): string[] {
  const lock = readFileSync(`${folder}package-lock.json`, "utf8");
  const { packages } = JSON.parse(lock) as { packages: Record<string, Locked> };
  return Object.entries(packages)
    .filter(([path, { cpu, libc }]) => {
      return (
        path !== "" && [cpu ?? arch].flat().includes(arch) && [libc ?? LIBC].flat().includes(LIBC)
      );
    })
    .filter(([path, { version }]) => {
      const manifest = `${folder}${path}/package.json`;
      if (!existsSync(manifest)) return true;
      return (JSON.parse(readFileSync(manifest, "utf8")) as Locked).version !== version;
    })
    .map(([path]) => path.replace("node_modules/", ""));
}

/**
 * Installs the packages of a folder with a lock file, if they are missing.
 *
 * @returns The reason if it failed, in one line.
 */
export function installPackages(
  folder: string,
  summary: string,
  print: (line: string) => void,
): string | undefined {
  return install({ folder, summary }, print);
}

/** @returns The reason if it failed, in one line. */
function install(
  { folder, summary }: Omit<Group, "names">,
  print: (line: string) => void,
): string | undefined {
  const lock = `${folder}.installing`;
  // Test files run at the same time. One of them installs, the others wait.
  if (!acquire(lock)) return `another installation in ${folder} did not end`;
  try {
    if (notInstalled(folder).length === 0) return undefined;
    print(`installing ${summary}`);
    const args = ["ci", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts"];
    const options = { encoding: "utf8", timeout: INSTALL_MS } as const;
    const { status, stderr, error } = spawnSync("npm", args, options);
    const left = notInstalled(folder);
    if (status === 0 && left.length === 0) return undefined;
    if (status === 0) return `npm could not fetch ${left.join(", ")}`;
    const reason = stderr?.split("\n").find((line) => line.startsWith("npm error")) ?? "";
    return `npm ci failed: ${error?.message ?? reason.replace("npm error", "").trim()}`;
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** Acquires a lock, which is a folder. Waits while another process holds it; an old lock is removed. */
function acquire(lock: string): boolean {
  const deadline = Date.now() + INSTALL_MS;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  while (Date.now() < deadline) {
    try {
      mkdirSync(lock);
      return true;
    } catch {
      const acquired = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      if (Date.now() - acquired > INSTALL_MS) rmSync(lock, { recursive: true, force: true });
      else Atomics.wait(pause, 0, 0, 100);
    }
  }
  return false;
}

function locate({ folder }: Group, name: string, failure: string | undefined): Runtime {
  const flags = FLAGS[name] ?? [];
  let missing = failure ?? `npm has no ${name} for this machine (${arch})`;
  for (const binary of BINARIES[name] ?? []) {
    const path = `${folder}node_modules/${binary}`;
    if (!existsSync(path)) continue;
    // A binary may exist and not start: another libc, or a processor without the instructions that it needs.
    const { status, stdout, stderr, error } = spawnSync(path, ["--version"], { encoding: "utf8" });
    const version = /\d+\.\d+\.\d+\S*/.exec(stdout ?? "")?.[0];
    if (status === 0 && version !== undefined) return { name, flags, path, version };
    missing = `${name} does not start here: ${error?.message ?? stderr.split("\n")[0]}`;
  }
  return { name, flags, missing };
}
