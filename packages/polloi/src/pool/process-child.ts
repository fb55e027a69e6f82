import { spawn } from "node:child_process";
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
import { borrow, giveBack } from "../socket/scratch.ts";
import type { Socket } from "../socket/socket.ts";
import type { Kernel, LoopTimer } from "../sys/kernel.ts";
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
/** After how long a request to stop that could not be sent is sent again. */
const RETRY_MS = 10;

/** Arguments with which the runtime would run something other than the given program. */
const NOT_INHERITED = /^(-[epr]|--(eval|print|require|test|inspect|input-type|watch))/;

/** A process that was started, as far as this uses it: a `ChildProcess` of node:child_process. */
export interface Spawned {
  readonly pid?: number | undefined;
  kill(signal: "SIGKILL"): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
  once(event: "exit", listener: (code: number | null, signal: string | null) => void): unknown;
}

/**
 * Starts a process that connects to the name which is its last argument.
 *
 * @throws what the runtime throws when it cannot start a process.
 */
export type Spawn = (args: readonly string[]) => Spawned;

const spawnRuntime: Spawn = (args) =>
  spawn(execPath, args, { stdio: ["ignore", "inherit", "inherit"] });

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
  readonly #spawn: Spawn;
  /** Processes that have not connected yet. */
  readonly #unconnected = new Map<number, ProcessChild>();
  #watch: Watch | undefined;
  #retry: LoopTimer | undefined;
  readonly #backoff = new Backoff();
  #acceptError: Error | undefined;

  /**
   * @param args - The arguments of the runtime; those of this process if undefined.
   * @param spawn - A simulation passes another one.
   * @throws SysError `EMFILE`
   */
  constructor(
    kernel: Kernel,
    reactor: Reactor,
    args: readonly string[] | undefined,
    spawn: Spawn = spawnRuntime,
  ) {
    this.#kernel = kernel;
    this.#reactor = reactor;
    this.#spawn = spawn;
    const name = `polloi-${process.pid}-${crypto.randomUUID()}`;
    const program = fileURLToPath(new URL("./process.js", import.meta.url));
    this.#args = [...(args ?? inheritedArguments(kernel)), program, name];
    // Maps the arena in which messages are received now, so that receiving one does not fail.
    giveBack(kernel, borrow(kernel, MAX_MESSAGE));
    const path = `\0${name}`;
    this.#server = createServer({ path, type: SOCK_SEQPACKET, nonBlocking: true, kernel });
    try {
      this.#acceptChannels();
    } catch (error) {
      this.#server.close();
      throw error;
    }
  }

  /**
   * Starts a process.
   *
   * @param fd - What it serves. This takes ownership, and closes it when the process has it, or when this throws.
   * @throws what the runtime throws when it cannot start a process.
   */
  start(input: ChildInput, fd: number, events: ChildEvents): Child {
    const { libc } = this.#kernel;
    let child: Spawned;
    try {
      child = this.#spawn(this.#args);
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
    this.#retry?.cancel();
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
        this.#acceptLater(error as Error);
      }
    });
  }

  #acceptLater(error: Error): void {
    this.#acceptError = error;
    this.#retry = this.#kernel.after(this.#backoff.next().delayMs, () => {
      try {
        this.#acceptChannels();
      } catch (thrown) {
        // The kernel has no memory for the watch.
        this.#acceptLater(thrown as Error);
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
  readonly #process: Spawned;
  readonly #parts: ProcessParts;
  /** The task, until it has been passed on. */
  #fd: number;
  #channel: Socket | undefined;
  #watch: Watch | undefined;
  #error: Error | undefined;
  #thrown = false;
  /** When its grace period ends, once it was asked to stop. */
  #stopAt: number | undefined;
  #timer: LoopTimer | undefined;
  #retry: LoopTimer | undefined;
  #exited = false;

  constructor(child: Spawned, parts: ProcessParts) {
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
    try {
      channel.setBlocking(false);
      this.#watch = reactor.watch(channel, EVENT_READ, () => this.#receiveAll());
      sendFds(channel, JSON.stringify(this.#parts.input), [this.#fd]);
      this.#closeFd();
      if (this.#stopAt !== undefined) this.#sendStop();
    } catch (error) {
      // The input is too large, the process has exited since, or the kernel has no memory.
      this.kill(error as Error);
    }
  }

  ping(): void {
    // Nothing answers a ping that could not be sent. The next one is sent in time.
    this.hasAnswered = !this.#send({ type: "ping" });
  }

  acceptWaiting(): void {
    this.#send({ type: "accept" });
  }

  kill(reason: Error): void {
    this.#error ??= reason;
    this.#process.kill("SIGKILL");
  }

  stop(graceMs: number): void {
    const { kernel } = this.#parts;
    this.#stopAt = kernel.now() + graceMs;
    this.#timer?.cancel();
    // One that does not serve yet has no counts to report.
    if (graceMs === 0 && !this.ready) {
      this.#process.kill("SIGKILL");
      return;
    }
    this.#timer = kernel.after(graceMs + OVERTIME_MS, () => this.#process.kill("SIGKILL"));
    this.#sendStop();
  }

  #sendStop(): void {
    const { kernel } = this.#parts;
    this.#retry?.cancel();
    if (this.#channel === undefined || this.#stopAt === undefined) return;
    const graceMs = Math.max(0, this.#stopAt - kernel.now());
    if (this.#send({ type: "stop", graceMs })) return;
    this.#retry = kernel.after(RETRY_MS, () => this.#sendStop());
  }

  /** @returns False when the kernel has no memory for the command, and when the process has exited. */
  #send(command: Command): boolean {
    try {
      return this.#channel?.send(JSON.stringify(command)) != null;
    } catch {
      // If it has exited, that is about to be reported.
      return false;
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
    this.#timer?.cancel();
    this.#retry?.cancel();
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
