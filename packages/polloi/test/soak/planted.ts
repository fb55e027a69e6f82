/**
 * Checks that the soak test finds known faults: plants each of them in a copy of the build,
 * runs the soak test on the copy, and expects it to fail. `npm run soak:planted`, or with `--only lent`.
 *
 * A plant reverts a fix by replacing text, which must occur once. `soak.test.ts` checks that it does.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

/** `dist`, and the folder that contains it. */
const BUILT: string = fileURLToPath(new URL("../../../../", import.meta.url));
const ROOT: string = fileURLToPath(new URL("../../../../../", import.meta.url));
/** The longest that a soak test may take. It detects hanging servers itself. */
const TIMEOUT_MS = 120_000;

/** A fault, and the patches that revert its fix. */
export interface Plant {
  readonly name: string;
  /** Matches the violation that the soak test reports. */
  readonly finding: RegExp;
  /** The arguments of the soak test that finds it. */
  readonly soak: readonly string[];
  readonly patches: readonly Patch[];
}

interface Patch {
  /** Below `dist/packages/polloi/src`. */
  readonly file: string;
  /** The text in the compiled file; white space is ignored. */
  readonly find: string;
  readonly replace: string;
}

export const PLANTS: readonly Plant[] = [
  {
    name: "lent: a lent send that fails does not release its buffer",
    finding: /buffersHeld|hangs/,
    soak: ["--engine", "io_uring", "--lent"],
    patches: [
      {
        file: "engine/uring-engine.js",
        find: "this.#dropLent(slot); this.#completions.failed(",
        replace: "this.#completions.failed(",
      },
      {
        file: "engine/uring-engine.js",
        find: "if (lent >= 0) this.#buffers.drop(lent); return;",
        replace: "return;",
      },
    ],
  },
  {
    name: "enter: a failed io_uring_enter is treated as a completed wait",
    finding: /hangs|does not answer|in use|left open/,
    soak: ["--engine", "io_uring"],
    patches: [
      {
        file: "uring/raw-ring.js",
        find: "#mayRetry(result) {",
        replace: "#mayRetry(result) { return false;",
      },
      {
        file: "uring/raw-ring.js",
        find: "isWaitOver(result) {",
        replace: "isWaitOver(result) { return true;",
      },
      {
        file: "uring/raw-ring.js",
        find: "submissions.restoreTaskRun();",
        replace: "",
      },
    ],
  },
  {
    name: "moment: an io_uring_enter that fails temporarily ends the reactor, or leaves a port in use",
    finding: /ENOMEM|EAGAIN|EBUSY|EADDRINUSE|does not answer|hangs|the server ended/,
    soak: ["--engine", "io_uring"],
    patches: [
      {
        file: "uring/raw-ring.js",
        find: "#mayRetry(result) {",
        replace: "#mayRetry(result) { return false;",
      },
    ],
  },
  {
    name: "accept: a forbidden accept is retried without a pause",
    finding: /does not answer/,
    soak: ["--engine", "epoll"],
    patches: [
      {
        file: "engine/calls.js",
        find: "if (fd >= 0 || !isOfConnection(-fd) || failed === MAX_FAILED_CONNECTIONS) return fd;",
        replace: "if (fd >= 0 || fd === -ERRNO.EAGAIN || isOutOfResources(-fd)) return fd;",
      },
    ],
  },
  {
    name: "paused: a paused stream receives without a limit",
    finding: /bytes are kept for/,
    soak: ["--engine", "io_uring"],
    patches: [
      {
        file: "engine/uring-engine.js",
        find: "const RECEIVE_LIMIT = 65_536;",
        replace: "const RECEIVE_LIMIT = 0;",
      },
    ],
  },
  {
    name: "idle: timers fire before what arrived during a stall is reported",
    finding: /called idle although its bytes had arrived/,
    soak: ["--engine", "epoll", "--lent"],
    patches: [{ file: "reactor/timers.js", find: "isLimit: true", replace: "isLimit: false" }],
  },
  ...["poll", "io_uring"].map((engine) => ({
    name: `truncated on ${engine}: an answer that is cut off ends as if it were complete`,
    finding: /an orderly end came after/,
    soak: ["--engine", engine],
    patches: [
      {
        file: "reactor/stream.js",
        find: "if (this.#fd >= 0 && !this.isEmpty)",
        replace: "if (false)",
      },
      {
        file: "reactor/stream.js",
        find: "if (this.#fd >= 0) resetOnClose(this.loop.kernel, this.#fd); this.destroy(error);",
        replace: "this.destroy(error);",
      },
    ],
  })),
];

/** The number of occurrences of `find` in `text`, ignoring white space. */
function pattern(find: string): RegExp {
  const words = find.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(words.join("\\s+"), "g");
}

/** @throws Error if the text that a plant replaces does not occur exactly once. */
export function planted(text: string, { file, find, replace }: Patch): string {
  const found = text.match(pattern(find))?.length ?? 0;
  if (found !== 1)
    throw new Error(`${file} contains the text that the plant replaces ${found} times: ${find}`);
  return text.replace(pattern(find), () => replace);
}

/** Checks that every plant applies to the build. @throws as {@link planted} does. */
export function checkPlants(): void {
  for (const { patches } of PLANTS) {
    for (const patch of patches)
      planted(readFileSync(join(BUILT, "packages/polloi/src", patch.file), "utf8"), patch);
  }
}

/** Runs the soak test with a plant. @returns Its output, and whether it found the fault. */
function find({ finding, soak, patches }: Plant, seed: string): { output: string; found: boolean } {
  const folder = mkdtempSync(join(tmpdir(), "polloi-planted-"));
  try {
    for (const part of ["packages", "test"]) {
      cpSync(join(BUILT, part), join(folder, "dist", part), { recursive: true });
    }
    cpSync(join(ROOT, "package.json"), join(folder, "package.json"));
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    for (const patch of patches) {
      const path = join(folder, "dist/packages/polloi/src", patch.file);
      writeFileSync(path, planted(readFileSync(path, "utf8"), patch));
    }
    const main = join(folder, "dist/packages/polloi/test/soak/main.js");
    const args = [main, ...soak, "--faults", "--minutes", "0.07", "--seed", seed];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      timeout: TIMEOUT_MS,
    });
    const output = `${stdout}${stderr}`;
    return { output, found: status !== 0 && finding.test(output) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const only = process.argv.includes("--only")
    ? process.argv[process.argv.indexOf("--only") + 1]
    : "";
  for (const plant of PLANTS.filter(({ name }) => name.startsWith(only ?? ""))) {
    const { output, found } = find(plant, "1");
    console.log(`${found ? "found" : "NOT FOUND"}: ${plant.name}`);
    if (found) continue;
    console.log(output);
    process.exitCode = 1;
  }
}
