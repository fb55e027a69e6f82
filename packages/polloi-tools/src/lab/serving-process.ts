import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { execArgv, execPath } from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Kernel, keepToCores } from "polloi/internal";
import type { ServerInput, ServerLine } from "./serving-program.ts";

/** How long it may take to start, to answer a question, and to end by itself. */
const PATIENCE_MS = 20_000;
const END_MS = 10_000;

/** The server could not be had, or has gone. */
export class ServerFailed extends Error {}

const running = new Set<ChildProcess>();
let watched = false;

/** The server of a measurement in a process of its own, which ends with this one however that ends. */
export class ServingProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: ServerLine[] = [];
  readonly #troubles: string[] = [];
  #wake: () => void = () => {};
  #gone = false;
  #complaint = "";
  port = 0;
  /** How many descriptors it has open without connections: the kernel gives the lowest that is free. */
  descriptors = 0;

  private constructor(kernel: Kernel, input: ServerInput) {
    const program = fileURLToPath(new URL("./serving-program.js", import.meta.url));
    const before = kernel.runtime === "deno" ? ["run", "--allow-all"] : execArgv;
    const args = [...before, program, JSON.stringify(input)];
    const child = spawn(execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child = child;
    endWithThisProcess(child);
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-2000);
    });
    child.stdin?.on("error", () => {});
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => this.#heard(line));
    }
    const gone = (): void => {
      this.#gone = true;
      this.#wake();
    };
    child.once("error", gone);
    child.once("close", gone);
  }

  /**
   * Starts a server, on these cores if any are given.
   *
   * @throws ServerFailed with what it complained of.
   */
  static async start(
    kernel: Kernel,
    input: ServerInput,
    cores: readonly number[] | undefined,
  ): Promise<ServingProcess> {
    const server = new ServingProcess(kernel, input);
    try {
      if (cores !== undefined && server.#child.pid !== undefined) {
        keepToCores(kernel, { pid: server.#child.pid, cores });
      }
      const line = await server.#next();
      if (!("port" in line)) throw new ServerFailed("it did not say where it listens");
      server.port = line.port;
      server.descriptors = line.descriptors;
      // Threads that had started before it was kept to its cores.
      if (cores !== undefined) keepToCores(kernel, { pid: server.#child.pid as number, cores });
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What it complained of first. */
  get trouble(): string | undefined {
    return this.#troubles[0];
  }

  /** All of its processes, itself the first. @param collect - Whether it is to collect its garbage first. */
  async pids({ collect = false }: { readonly collect?: boolean } = {}): Promise<readonly number[]> {
    this.#child.stdin?.write(collect ? "collect\n" : "pids\n");
    const line = await this.#next();
    return "pids" in line ? line.pids : [];
  }

  /** Ends it, and waits until it and all that it has started are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    running.delete(child);
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const timer = setTimeout(() => child.kill("SIGKILL"), END_MS);
    child.stdin?.end();
    await once(child, "exit");
    clearTimeout(timer);
  }

  #heard(text: string): void {
    const line = JSON.parse(text) as ServerLine;
    if ("trouble" in line) this.#troubles.push(line.trouble);
    else {
      this.#lines.push(line);
      this.#wake();
    }
  }

  async #next(): Promise<ServerLine> {
    if (this.#lines.length === 0 && !this.#gone) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, PATIENCE_MS);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const line = this.#lines.shift();
    if (line !== undefined) return line;
    const why =
      /^\S*Error.*$/m.exec(this.#complaint)?.[0] ?? this.#complaint.trim().split("\n").at(-1);
    throw new ServerFailed(why || `its server ended or was silent for ${PATIENCE_MS / 1000} s`);
  }
}

/** Should this process exit, its servers do; should it be killed, the kernel tells them. */
function endWithThisProcess(child: ChildProcess): void {
  running.add(child);
  child.once("exit", () => running.delete(child));
  if (watched) return;
  watched = true;
  process.on("exit", () => {
    for (const each of running) each.kill("SIGKILL");
  });
}
