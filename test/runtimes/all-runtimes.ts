/**
 * Runs suites under Bun, Deno and the newest Node, each in a child process whose cases are reported as tests of
 * their own. `POLLOI_RUNTIMES=bun,deno` selects runtimes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { stderr } from "node:process";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CASE_TIMEOUT_MS, type Extent, TEST_ALL } from "../support/suite.ts";
import type { Line } from "./child.ts";
import { olderNodes, type Runtime, runtimes } from "./installed.ts";

const CHILD: string = fileURLToPath(new URL("./child.js", import.meta.url));
/** A child that prints nothing for this long hangs, and its own timeout has not ended it. */
const SILENCE_MS: number = CASE_TIMEOUT_MS + 5_000;
/** The characters of a child's stderr that are kept for the report of its crash. */
const KEPT_STDERR = 8_000;

const print = (line: string): void => void stderr.write(`# ${line}\n`);
/** The runtimes, each with its path or the reason why it is missing. */
export const RUNTIMES: Runtime[] = runtimes(print);
/** Runtimes that run the smoke suites only, and only with all tests. */
const SMOKE_ONLY: Runtime[] = TEST_ALL ? olderNodes(print) : [];

/** Tests the suites that the module at `suites` lists, on every runtime but the one that runs this. */
export function testOnAllRuntimes(suites: URL): void {
  // Two at a time: they share the machine with the other test files.
  test("every suite passes", { concurrency: 2 }, async (t) => {
    await Promise.all(
      [...RUNTIMES, ...SMOKE_ONLY].map((runtime) => {
        const { name, path, flags, version, missing } = runtime;
        if (path === undefined) return t.test(name, { skip: missing ?? true }, () => {});
        const extent: Extent = TEST_ALL && RUNTIMES.includes(runtime) ? "all" : "smoke";
        const args = [...flags, CHILD, suites.href, extent];
        return t.test(`under ${name} ${version}`, (t) => new Child(path, args).report(t));
      }),
    );
  });
}

/** A child that runs the suites, and the lines that it prints. */
class Child {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #stderr = "";
  #silent = false;
  #next: Line | undefined;

  constructor(path: string, args: readonly string[]) {
    const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    child.stderr.on("data", (bytes) => {
      this.#stderr = (this.#stderr + bytes).slice(-KEPT_STDERR);
    });
  }

  async report(t: TestContext): Promise<void> {
    const ended = new Promise<string>((resolve) => {
      this.#process.once("error", (error) => resolve(error.message));
      this.#process.once("close", (code, signal) => resolve(`exit ${signal ?? code}`));
    });
    await this.#read();
    while (this.#next?.event === "begin") {
      const { suite } = this.#next;
      await t.test(suite, async (t) => {
        while (this.#next?.event === "begin" && this.#next.suite === suite) {
          await t.test(this.#next.name, (t) => this.#case(t, ended));
          await this.#read();
        }
      });
    }
    if (this.#next?.event !== "done") throw new Error(await this.#failure(ended));
  }

  async #case(t: TestContext, ended: Promise<string>): Promise<void> {
    await this.#read();
    if (this.#next?.event !== "end") throw new Error(await this.#failure(ended));
    const { skip, error } = this.#next;
    if (skip !== undefined) t.skip(skip);
    if (error !== undefined) {
      const failure = new Error(error.split("\n")[0]);
      failure.stack = error;
      throw failure;
    }
  }

  /** Reads the next line into `#next`: `undefined` after the last one. */
  async #read(): Promise<void> {
    const timer = setTimeout(() => {
      this.#silent = true;
      this.#process.kill("SIGKILL");
    }, SILENCE_MS);
    const { done, value } = await this.#lines.next();
    clearTimeout(timer);
    this.#next = done === true ? undefined : (JSON.parse(value) as Line);
  }

  async #failure(ended: Promise<string>): Promise<string> {
    const status = await ended;
    const reason = this.#silent
      ? `printed nothing for ${SILENCE_MS} ms and was killed`
      : `ended early: ${status}`;
    return `The child ${reason}\n${this.#stderr}`.trim();
  }
}
