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

/** How long a program may take for any one thing. */
const PATIENCE_MS = 20_000;

/** How a program is started. */
export interface StartOptions {
  /** What is on its standard input; a pipe that stays open by default. */
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

/** A program of ours as a process of its own, whose output can be waited for. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  stdout = "";
  stderr = "";
  readonly ended: Promise<Ended>;
  readonly #heard = new Set<() => void>();

  constructor(
    command: string,
    args: readonly string[],
    { stdin = "pipe", cwd }: StartOptions = {},
  ) {
    const child = spawn(command, args, { stdio: [stdin, "pipe", "pipe"], cwd });
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      for (const hear of this.#heard) hear();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      for (const hear of this.#heard) hear();
    });
    // It may have ended before it has read what it was sent.
    child.stdin?.on("error", () => {});
    this.ended = once(child, "close").then(([code, signal]) => {
      for (const hear of this.#heard) hear();
      return { code, signal, stdout: this.stdout, stderr: this.stderr };
    });
  }

  /** Runs a file of `dist` under this Node. @param path - From the repository's root. */
  static node(path: string, args: readonly string[] = [], options?: StartOptions): Program {
    return new Program(process.execPath, [Program.file(path), ...args], options);
  }

  /**
   * The absolute path of a file of this repository, or of the compiled form of one that ends in `.ts`.
   *
   * @param path - From the root.
   */
  static file(path: string): string {
    const compiled = path.endsWith(".ts") ? `dist/${path.replace(/\.ts$/, ".js")}` : path;
    return fileURLToPath(new URL(`../../../${compiled}`, import.meta.url));
  }

  /** Waits until its output matches. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const found = (): RegExpExecArray | null =>
      pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
    return until(`${pattern} in its output`, (hear) => {
      this.#heard.add(hear);
      const stop = (): void => void this.#heard.delete(hear);
      return { stop, look: found, gone: () => this.child.exitCode !== null };
    }).catch((error: Error) => {
      assert.fail(`${error.message}; it said: ${this.stdout}${this.stderr}`);
    });
  }

  /** The port that it says it listens on. */
  async port(): Promise<number> {
    return Number((await this.says(/(?:listening on (?:\S*:)?|"port":)(\d+)/))[1]);
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
  look(): T | null;
  gone(): boolean;
  stop(): void;
}

function until<T>(what: string, begin: (hear: () => void) => Condition<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const found = condition.look();
      if (found !== null) finish(() => resolve(found));
      else if (condition.gone()) finish(() => reject(new Error(`it ended without ${what}`)));
    };
    const condition = begin(look);
    const timer = setTimeout(
      () => finish(() => reject(new Error(`there was no ${what} in ${PATIENCE_MS} ms`))),
      PATIENCE_MS,
    );
    const finish = (then: () => void): void => {
      clearTimeout(timer);
      condition.stop();
      then();
    };
    look();
  });
}

/** `polloi` with these arguments, as a process of its own. */
export function polloi(args: string, options?: StartOptions): Program {
  return Program.node(MAIN, args.split(" "), options);
}

/**
 * What `polloi` says to arguments with which it begins nothing, without a process of its own: a start is
 * most of what such a case would cost.
 */
export async function told(args: string): Promise<Omit<Ended, "signal">> {
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

/** `polloi serve` on a port of its own, and the port. */
export async function serving(args: string): Promise<Program & { at: number }> {
  const program = polloi(`serve ${args} --port 0 --json --quiet`);
  return Object.assign(program, { at: await program.port() });
}

/** The ports of what `--json` says that it listens on, by what is served. */
export async function portsOf(program: Program): Promise<Record<string, number>> {
  const [line] = await program.says(/^\{"ready".*\n/);
  const { listeners } = JSON.parse(line) as { listeners: { protocol: string; port: number }[] };
  return Object.fromEntries(listeners.map(({ protocol, port }) => [protocol, port]));
}

/** A folder that is gone in the end. */
export function folder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "polloi-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Why a test that needs `command` cannot run, or false. */
export function needs(command: string): string | false {
  const { status } = spawnSync("sh", ["-c", `command -v ${command}`]);
  return status === 0 ? false : `${command} is not installed`;
}

/**
 * Sends `bytes` to a server, ends that half, and gives all that comes back.
 *
 * @param halfClose - Whether to end that half; without, until as many bytes are back as were sent.
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
    () => socket.destroy(new Error(`${length} of ${sent.length} bytes came back`)),
    PATIENCE_MS,
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

/** The port that a server of Node's listens on. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Bytes that do not repeat soon, so that any that are lost or out of order show. */
export function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 0x2545f491;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** What {@link told} gives, or how a {@link Program} ended, is a refusal: one line that says `named`. */
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
