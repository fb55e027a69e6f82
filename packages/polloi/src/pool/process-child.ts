import { type ChildProcess, spawn } from "node:child_process";
import { execArgv, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { Backoff } from "../base/backoff.ts";
import type { SysError } from "../base/sys-error.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Watch } from "../reactor/watch.ts";
import { EVENT_READ } from "../selectors/events.ts";
import { SOCK_SEQPACKET } from "../socket/constants.ts";
import { createServer } from "../socket/create.ts";
import { sendFds } from "../socket/pass-fds.ts";
import type { Socket } from "../socket/socket.ts";
import type { Kernel } from "../sys/kernel.ts";
import { type Child, type ChildEvents, exitError, OVERTIME_MS } from "./child.ts";
import {
  type ChildInput,
  type ChildMessage,
  type Command,
  fromPlainError,
  IMPORTING,
  PHASES,
  STARTING,
} from "./messages.ts";

/** Longer than any message, which the buffer of a socket limits. */
const MAX_MESSAGE = 256 * 1024;

/** Arguments with which the runtime would run something other than the given program. */
const NOT_INHERITED = /^(-[epr]|--(eval|print|require|test|inspect|input-type|watch))/;

/**
 * Starts processes of this runtime, and passes each a descriptor.
 *
 * @remarks
 * A new process receives a name as its argument, connects to it, and receives over this connection what to serve
 * (SCM_RIGHTS). This works the same on every runtime, whichever descriptors a child process inherits. The name is an
 * abstract one, to which any process may connect; only processes that were started here, identified by their id
 * (SO_PEERCRED), are sent anything.
 */
export class ProcessStarter {
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #server: Socket;
  readonly #args: readonly string[];
  /** Processes that have not connected yet. */
  readonly #unconnected = new Map<number, ProcessChild>();
  #watch: Watch | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #backoff = new Backoff();
  #acceptError: Error | undefined;

  /** @throws SysError `EMFILE` */
  constructor(kernel: Kernel, reactor: Reactor, args: readonly string[] | undefined) {
    this.#kernel = kernel;
    this.#reactor = reactor;
    const name = `polloi-${process.pid}-${crypto.randomUUID()}`;
    const program = fileURLToPath(new URL("./process.js", import.meta.url));
    this.#args = [...(args ?? inheritedArguments(kernel)), program, name];
    const path = `\0${name}`;
    this.#server = createServer({ path, type: SOCK_SEQPACKET, nonBlocking: true, kernel });
    this.#acceptChannels();
  }

  /**
   * Starts a process.
   *
   * @param fd - What it serves. This takes ownership, and closes it when the process has it, or when this throws.
   * @throws what the runtime throws when it cannot start a process.
   */
  start(input: ChildInput, fd: number, events: ChildEvents): Child {
    const { libc } = this.#kernel;
    let child: ChildProcess;
    try {
      child = spawn(execPath, this.#args, { stdio: ["ignore", "inherit", "inherit"] });
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    const started = new ProcessChild(child, {
      kernel: this.#kernel,
      input,
      fd,
      message: (message) => events.message(message),
      exited: (exit) => {
        this.#unconnected.delete(started.id);
        events.exited(exit);
      },
      acceptError: () => this.#acceptError,
    });
    this.#unconnected.set(started.id, started);
    return started;
  }

  /** Stops accepting channels. Does not affect processes that run. */
  close(): void {
    clearTimeout(this.#retry);
    this.#watch?.close();
    this.#server.close();
  }

  #acceptChannels(): void {
    this.#watch = this.#reactor.watch(this.#server, EVENT_READ, () => {
      try {
        for (let next = this.#server.accept(); next !== null; next = this.#server.accept()) {
          this.#backoff.reset();
          this.#acceptError = undefined;
          this.#connect(next.socket);
        }
      } catch (error) {
        // No descriptor is left, or a security policy forbids accepting. The children wait until startTimeoutMs.
        this.#watch?.close();
        this.#acceptError = error as Error;
        this.#retry = setTimeout(() => this.#acceptChannels(), this.#backoff.next().delayMs);
      }
    });
  }

  #connect(socket: Socket): void {
    const { pid } = socket.options.peerCredentials;
    const child = this.#unconnected.get(pid);
    if (child === undefined) {
      socket.close();
      return;
    }
    this.#unconnected.delete(pid);
    child.connected(socket, this.#reactor);
  }
}

interface ProcessParts extends ChildEvents {
  readonly kernel: Kernel;
  readonly input: ChildInput;
  readonly fd: number;
  /** Why channels cannot be accepted at the moment. */
  acceptError(): Error | undefined;
}

class ProcessChild implements Child {
  readonly kind = "process";
  readonly id: number;
  ready = false;
  /** Any message counts as an answer. */
  hasAnswered = false;
  #phase = 0;
  readonly #process: ChildProcess;
  readonly #parts: ProcessParts;
  /** The task, until it has been passed on. */
  #fd: number;
  #channel: Socket | undefined;
  #watch: Watch | undefined;
  #error: Error | undefined;
  #thrown = false;
  #graceMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #exited = false;

  constructor(child: ChildProcess, parts: ProcessParts) {
    this.id = child.pid ?? -1;
    this.#process = child;
    this.#parts = parts;
    this.#fd = parts.fd;
    child.once("error", (error) => this.#exit(error));
    child.once("exit", (code, signal) => this.#exit(errorOfExit(code, signal)));
  }

  get activity(): string {
    const error = this.#phase === 0 ? this.#parts.acceptError() : undefined;
    if (error !== undefined) return `its channel could not be accepted: ${error.message}`;
    return PHASES[this.#phase] as string;
  }

  /** It has connected: sends what to serve, and how. */
  connected(channel: Socket, reactor: Reactor): void {
    this.#channel = channel;
    this.#phase = IMPORTING;
    channel.setBlocking(false);
    this.#watch = reactor.watch(channel, EVENT_READ, () => this.#receiveAll());
    try {
      sendFds(channel, JSON.stringify(this.#parts.input), [this.#fd]);
      this.#closeFd();
      if (this.#graceMs !== undefined) this.#send({ type: "stop", graceMs: this.#graceMs });
    } catch (error) {
      // The input is too large, or the process has exited since.
      this.kill(error as Error);
    }
  }

  ping(): void {
    this.hasAnswered = false;
    this.#send({ type: "ping" });
  }

  acceptWaiting(): void {
    this.#send({ type: "accept" });
  }

  kill(reason: Error): void {
    this.#error ??= reason;
    this.#process.kill("SIGKILL");
  }

  stop(graceMs: number): void {
    this.#graceMs = graceMs;
    clearTimeout(this.#timer);
    // One that does not serve yet has no counts to report.
    if (graceMs === 0 && !this.ready) {
      this.#process.kill("SIGKILL");
      return;
    }
    this.#timer = setTimeout(() => this.#process.kill("SIGKILL"), graceMs + OVERTIME_MS);
    this.#send({ type: "stop", graceMs });
  }

  #send(command: Command): void {
    try {
      this.#channel?.send(JSON.stringify(command));
    } catch {
      // It has exited, which is about to be reported.
    }
  }

  /** Receives every message that has arrived, and closes the channel at its end. */
  #receiveAll(): void {
    for (;;) {
      const bytes = this.#receive();
      if (bytes === null) return;
      if (bytes.length === 0) break;
      const message = JSON.parse(Buffer.from(bytes).toString()) as ChildMessage;
      if (message.type === "failed") this.#failed(fromPlainError(message.error));
      else if (message.type === "ready") this.ready = true;
      else if (message.type === "starting") this.#phase = STARTING;
      this.hasAnswered = true;
      this.#parts.message(message);
    }
    this.#closeChannel();
  }

  /**
   * Returns the next message; an empty one at the end of the channel, null when none has arrived yet.
   *
   * @remarks
   * A process that exits without having read all commands resets the channel. The kernel reports that once, before the
   * messages that the process had sent; they are still in the queue.
   *
   * @source unix(7), `unix_release_sock` in net/unix/af_unix.c
   */
  #receive(): Uint8Array | null {
    for (;;) {
      try {
        return this.#channel?.recv(MAX_MESSAGE) ?? null;
      } catch (error) {
        if ((error as SysError).code === "ECONNRESET") continue;
        throw error;
      }
    }
  }

  #failed(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#thrown = true;
  }

  #exit(error: Error | undefined): void {
    if (this.#exited) return;
    this.#exited = true;
    clearTimeout(this.#timer);
    try {
      // Messages that it sent before it exited are still in the channel.
      this.#receiveAll();
    } finally {
      this.#closeChannel();
      this.#closeFd();
      this.#parts.exited({ error: error && (this.#error ?? error), thrown: this.#thrown });
    }
  }

  #closeChannel(): void {
    this.#watch?.close();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #closeFd(): void {
    if (this.#fd >= 0) this.#parts.kernel.libc.close(this.#fd);
    this.#fd = -1;
  }
}

function errorOfExit(code: number | null, signal: string | null): Error | undefined {
  if (signal !== null) return new Error(`it was killed by ${signal}`);
  return code === 0 || code === null ? undefined : exitError(code);
}

/** The arguments with which this runtime runs a program as it runs this one. */
function inheritedArguments({ runtime }: Kernel): readonly string[] {
  // A program that may call the kernel directly, as this library does, may do anything.
  if (runtime === "deno") return ["run", "--allow-all"];
  return execArgv.some((argument) => NOT_INHERITED.test(argument)) ? [] : execArgv;
}
