import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { type Kernel, pinToCores } from "polloi/internal";

/** How long a program may take to print its first line. */
const READY_MS = 60_000;
/** How long a program may take to exit once its standard input is closed. */
const EXIT_MS = 10_000;
/** How much of standard error is kept. */
const STDERR_CHARACTERS = 2000;

/** A line of JSON that a program printed. */
export type Line = Readonly<Record<string, unknown>>;

/** The program to start, and how. */
export interface ChildOptions {
  readonly command: readonly string[];
  readonly kernel: Kernel;
  /** The cores to pin it to. Default: those of this process. */
  readonly cores?: readonly number[] | undefined;
  /** It is killed when its first line takes longer. Default: 60 s. */
  readonly readyMs?: number;
  /** Called with each line; one for which it returns true is not the answer to a question. */
  readonly notice?: (line: Line) => boolean;
}

/** The program did not start, has exited, or does not answer. */
export class ChildFailed extends Error {}

const running = new Set<ChildProcess>();
let killsAtExit = false;

/** Kills a child process when this process exits. @returns When the child has exited and its output is read. */
export function endWithThisProcess(child: ChildProcess): Promise<void> {
  running.add(child);
  if (!killsAtExit) {
    killsAtExit = true;
    process.on("exit", () => {
      for (const each of running) each.kill("SIGKILL");
    });
  }
  return new Promise((resolve) => {
    for (const event of ["close", "error"] as const) {
      child.once(event, () => {
        running.delete(child);
        resolve();
      });
    }
  });
}

/** A server or a load generator in a process of its own, which answers questions: a line each, in JSON. */
export class Child implements AsyncDisposable {
  /** The first line that it printed. */
  first: Line = {};
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  readonly #lines: Line[] = [];
  #stderr = "";
  #isClosed = false;
  #wake: () => void = () => {};

  private constructor({ command, notice = () => false }: ChildOptions) {
    const [program, ...args] = command;
    const child = spawn(program as string, args, {
      stdio: ["pipe", "pipe", "pipe"],
      // Messages of a runtime appear in the notes of tables.
      env: { ...process.env, NO_COLOR: "1" },
    });
    this.#child = child;
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARACTERS);
    });
    // It may exit before it has read a question.
    child.stdin?.on("error", () => {});
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (text) => {
        const line = JSON.parse(text) as Line;
        if (notice(line)) return;
        this.#lines.push(line);
        this.#wake();
      });
    }
    this.#closed = endWithThisProcess(child).then(() => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /**
   * Starts a program and waits for its first line.
   *
   * @throws ChildFailed with the error that it wrote to standard error.
   */
  static async start(options: ChildOptions): Promise<Child> {
    const { kernel, cores, readyMs = READY_MS } = options;
    const child = new Child(options);
    const pin = (): void => {
      const { pid } = child.#child;
      if (cores === undefined || pid === undefined || child.#child.exitCode !== null) return;
      pinToCores(kernel, { pid, cores });
    };
    pin();
    child.first = await child.#next(readyMs);
    // Threads that it started before it was pinned.
    pin();
    return child;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Writes a line to its standard input and waits for the answer. @throws ChildFailed; it is then killed. */
  ask(question: string, withinMs: number): Promise<Line> {
    this.#child.stdin?.write(`${question}\n`);
    return this.#next(withinMs);
  }

  /** Kills it and waits until it has exited. */
  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  /** Closes its standard input, at which it exits, and waits for that; kills it after ten seconds. */
  async [Symbol.asyncDispose](): Promise<void> {
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), EXIT_MS);
    this.#child.stdin?.end();
    await this.#closed;
    clearTimeout(timer);
  }

  async #next(withinMs: number): Promise<Line> {
    if (this.#lines.length === 0 && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const line = this.#lines.shift();
    if (line !== undefined) return line;
    await this.stop();
    throw new ChildFailed(
      errorLine(this.#stderr) ?? `it exited or did not answer within ${withinMs / 1000} s`,
    );
  }
}

/** The line of standard error that says what is wrong, without the stack around it. */
export function errorLine(stderr: string): string | undefined {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const line = lines.find((each) => /^\S*(Error|error|panic)\b.*:/.test(each)) ?? lines.at(-1);
  // Results are published, and the path of the checkout is private.
  return line?.trim().replaceAll(`${process.cwd()}/`, "");
}
