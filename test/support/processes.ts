import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../packages/polloi-tools/src/cli/program.ts";

/** The command line. */
export const MAIN = "packages/polloi-tools/dist/main.js";

/** The longest wait for output or for an answer. */
const TIMEOUT_MS = 20_000;

/** How a program is started. */
export interface StartOptions {
  /** The standard input; by default a pipe that stays open. */
  readonly stdin?: "pipe" | "ignore" | number;
  readonly cwd?: string;
}

/** How a program ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program in a child process, whose output a test can wait for. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly ended: Promise<Ended>;
  readonly #listeners = new Set<() => void>();

  constructor(
    command: string,
    args: readonly string[],
    { stdin = "pipe", cwd }: StartOptions = {},
  ) {
    const child = spawn(command, args, { stdio: [stdin, "pipe", "pipe"], cwd });
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      for (const listener of this.#listeners) listener();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      for (const listener of this.#listeners) listener();
    });
    // The program may end before it has read its input.
    child.stdin?.on("error", () => {});
    this.ended = once(child, "close").then(([code, signal]) => {
      for (const listener of this.#listeners) listener();
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    });
  }

  /** Runs a file of `dist` under this Node. @param path - Relative to the root of the repository. */
  static node(path: string, args: readonly string[] = [], options?: StartOptions): Program {
    return new Program(process.execPath, [Program.file(path), ...args], options);
  }

  /**
   * Returns the absolute path of a file of this repository, or of the compiled form of a file that ends in `.ts`.
   *
   * @param path - Relative to the root of the repository.
   */
  static file(path: string): string {
    const compiled = path.endsWith(".ts") ? `dist/${path.replace(/\.ts$/, ".js")}` : path;
    return fileURLToPath(new URL(`../../../${compiled}`, import.meta.url));
  }

  /** Waits until the output matches `pattern`. */
  async waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    const found = (): RegExpExecArray | null =>
      pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
    return until(`${pattern} in its output`, (listener) => {
      this.#listeners.add(listener);
      const stop = (): void => void this.#listeners.delete(listener);
      return { stop, check: found, ended: () => this.child.exitCode !== null };
    }).catch((error: Error) => {
      assert.fail(`${error.message}; its output: ${this.stdout}${this.stderr}`);
    });
  }

  /** Waits for the port that the program prints when it listens. */
  async port(): Promise<number> {
    return Number((await this.waitFor(/(?:listening on (?:\S*:)?|"port":)(\d+)/))[1]);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.ended;
  }
}

interface Condition<T> {
  check(): T | null;
  ended(): boolean;
  stop(): void;
}

function until<T>(what: string, begin: (listener: () => void) => Condition<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const check = (): void => {
      const found = condition.check();
      if (found !== null) finish(() => resolve(found));
      else if (condition.ended()) finish(() => reject(new Error(`it ended without ${what}`)));
    };
    const condition = begin(check);
    const timer = setTimeout(
      () => finish(() => reject(new Error(`there was no ${what} in ${TIMEOUT_MS} ms`))),
      TIMEOUT_MS,
    );
    const finish = (then: () => void): void => {
      clearTimeout(timer);
      condition.stop();
      then();
    };
    check();
  });
}

/** Starts `polloi` with these arguments in a child process. */
export function polloi(args: string, options?: StartOptions): Program {
  return Program.node(MAIN, args.split(" "), options);
}

/**
 * Runs `polloi` in this process, with arguments that start nothing, and returns its output and exit code. The start of a
 * child process would take most of the time of such a case.
 */
export async function runInProcess(args: string): Promise<Omit<Ended, "signal">> {
  let stdout = "";
  let stderr = "";
  const code = await run(args === "" ? [] : args.split(" "), "1.2.3", {
    writeOut: (text) => {
      stdout += text;
    },
    writeErr: (text) => {
      stderr += text;
    },
  });
  return { code, stdout, stderr };
}

/** Starts `polloi serve` on a free port. The result has the port as `at`. */
export async function serving(args: string): Promise<Program & { at: number }> {
  const program = polloi(`serve ${args} --port 0 --json --quiet`);
  return Object.assign(program, { at: await program.port() });
}

/** Waits for the ports that `--json` prints, by protocol. */
export async function portsOf(program: Program): Promise<Record<string, number>> {
  const [line] = await program.waitFor(/^\{"ready".*\n/);
  const { listeners } = JSON.parse(line) as { listeners: { protocol: string; port: number }[] };
  return Object.fromEntries(listeners.map(({ protocol, port }) => [protocol, port]));
}

/** Makes a temporary folder, which is removed when the result is disposed. */
export function folder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "polloi-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Returns the reason to skip a test that needs `command`, or false. */
export function needs(command: string): string | false {
  const { status } = spawnSync("sh", ["-c", `command -v ${command}`]);
  return status === 0 ? false : `${command} is not installed`;
}

/**
 * Sends `bytes` to a server and returns the answer.
 *
 * @param halfClose - Whether to end the sending half and receive until the server ends too. Otherwise the answer has as
 *   many bytes as were sent.
 */
export async function exchange(
  port: number,
  bytes: Uint8Array | string,
  { host = "127.0.0.1", halfClose = true }: { host?: string; halfClose?: boolean } = {},
): Promise<Buffer> {
  const sent = Buffer.from(bytes);
  const socket = connect({ port, host });
  const parts: Buffer[] = [];
  let length = 0;
  if (halfClose) socket.end(sent);
  else socket.write(sent);
  const timer = setTimeout(
    () => socket.destroy(new Error(`${length} of ${sent.length} bytes were received`)),
    TIMEOUT_MS,
  );
  try {
    for await (const part of socket) {
      parts.push(part);
      length += part.length;
      if (!halfClose && length >= sent.length) break;
    }
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
  return Buffer.concat(parts);
}

/** The port of a listening server of `node:net`. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Bytes with a long period, so that lost and reordered bytes are detected. */
export function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 0x2545f491;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Asserts that {@link runInProcess} or a {@link Program} failed with one line that matches `named`. */
export async function assertRefused(
  ended: Promise<Omit<Ended, "signal">>,
  named: RegExp,
  exitCode = 2,
): Promise<void> {
  const { code, stdout, stderr } = await ended;
  assert.match(stderr, /^polloi: [^\n]+\n$/);
  assert.match(stderr, named);
  assert.deepEqual({ code, stdout }, { code: exitCode, stdout: "" });
}
