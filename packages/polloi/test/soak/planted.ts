/**
 * Shows that the soak finds the faults that were found without it: plants each of them in a copy of what was built,
 * runs the soak on the copy, and expects it to fail. `npm run soak:planted`, or with `--only lent`.
 *
 * A plant takes a fix back by replacing text, which must be there once: `soak.test.ts` looks that it still is.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

/** `dist`, and the folder that it is in. */
const BUILT: string = fileURLToPath(new URL("../../../../", import.meta.url));
const ROOT: string = fileURLToPath(new URL("../../../../../", import.meta.url));
/** A soak that hangs is found out by itself, but for its own faults. */
const TIMEOUT_MS = 120_000;

/** A fault, and what takes its fix back. */
export interface Plant {
  readonly name: string;
  /** What the soak says of it. */
  readonly finding: RegExp;
  /** The arguments of the soak that finds it. */
  readonly soak: readonly string[];
  readonly patches: readonly Patch[];
}

interface Patch {
  /** Below `dist/packages/polloi/src`. */
  readonly file: string;
  /** As it is built, whatever the white space. */
  readonly find: string;
  readonly replace: string;
}

export const PLANTS: readonly Plant[] = [
  {
    name: "lent: a lent send that fails does not give its buffer back",
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
    name: "enter: an io_uring_enter that failed passes for a wait that is over",
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
    name: "moment: an io_uring_enter that fails for a moment ends the reactor, or leaves a port taken",
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
    name: "accept: an accept that is forbidden is tried again at once, for ever",
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
    name: "paused: a stream that is paused is sent as much as its peer has for it",
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
    name: `truncated on ${engine}: an answer that is cut off ends as if it were whole`,
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

/** How often `find` is in `text`, whatever the white space. */
function pattern(find: string): RegExp {
  const words = find.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(words.join("\\s+"), "g");
}

/** @throws Error when the text that a plant replaces is not there, or more than once. */
export function planted(text: string, { file, find, replace }: Patch): string {
  const found = text.match(pattern(find))?.length ?? 0;
  if (found !== 1) throw new Error(`${file} has ${found} times what the plant replaces: ${find}`);
  return text.replace(pattern(find), () => replace);
}

/** Whether every plant still fits what was built. @throws as {@link planted} does. */
export function checkPlants(): void {
  for (const { patches } of PLANTS) {
    for (const patch of patches)
      planted(readFileSync(join(BUILT, "packages/polloi/src", patch.file), "utf8"), patch);
  }
}

/** Runs the soak with a plant. @returns What it said, and whether it found the fault. */
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
    const args = [main, ...soak, "--unlucky", "--minutes", "0.07", "--seed", seed];
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
