import { type ChildProcess, spawn } from "node:child_process";
import { execArgv, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import type { SysError } from "../base/sys-error.ts";
import { AcceptFailures } from "../reactor/accept-failures.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Watch } from "../reactor/watch.ts";
import { EVENT_READ } from "../selectors/events.ts";
import { SOCK_SEQPACKET } from "../socket/constants.ts";
import { createServer } from "../socket/create.ts";
import { sendFds } from "../socket/pass-fds.ts";
import type { Socket } from "../socket/socket.ts";
import type { Kernel } from "../sys/kernel.ts";
import {
  CHILD_PHASES,
  type ChildEvents,
  type ChildUnit,
  IMPORTING,
  killedAfterMs,
  STARTING,
} from "./child-unit.ts";
import { type ChildMessage, errorOf, type Order, type ProcessInput } from "./messages.ts";

/** More than any message has: they are no longer than a socket's buffer. */
const MAX_MESSAGE = 256 * 1024;

/** Arguments with which the runtime would run something other than the program that is asked for. */
const NOT_PASSED_ON = /^(-[epr]|--(eval|print|require|test|inspect|input-type|watch))/;

/**
 * Starts processes of this runtime, and gives each a descriptor.
 *
 * @remarks
 * A new process is told a name, connects to it, and gets what it is to serve through that connection
 * (SCM_RIGHTS). So it works the same with every runtime, whatever of its parent's descriptors a child
 * would inherit. The name is an abstract one, which anybody may connect to: only a process that was
 * started here, and is known by its id (SO_PEERCRED), is told anything.
 */
export class Processes {
  readonly #kernel: Kernel;
  readonly #reactor: Reactor;
  readonly #server: Socket;
  readonly #name: string;
  readonly #args: readonly string[];
  readonly #unmet = new Map<number, StartedProcess>();
  #watch: Watch | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #failures = new AcceptFailures();
  /** Why children that have started cannot be met. */
  #whyUnmet: Error | undefined;

  /** @throws SysError `EMFILE` */
  constructor(kernel: Kernel, reactor: Reactor, args: readonly string[] | undefined) {
    this.#kernel = kernel;
    this.#reactor = reactor;
    this.#name = `polloi-models-${process.pid}-${crypto.randomUUID()}`;
    this.#args = [
      ...(args ?? usualArguments(kernel)),
      fileURLToPath(new URL("./model-child.js", import.meta.url)),
      this.#name,
    ];
    const path = `\0${this.#name}`;
    this.#server = createServer({ path, type: SOCK_SEQPACKET, nonBlocking: true, kernel });
    this.#meetChildren();
  }

  /**
   * Starts a process.
   *
   * @param fd - What it is to serve: given away, and closed here when the process has it.
   * @throws what the runtime throws when it cannot start one; `fd` is closed then.
   */
  start(input: ProcessInput, fd: number, events: ChildEvents): ChildUnit {
    const { libc } = this.#kernel;
    let child: ChildProcess;
    try {
      child = spawn(execPath, this.#args, { stdio: ["ignore", "inherit", "inherit"] });
    } catch (error) {
      libc.close(fd);
      throw error;
    }
    const unit = new StartedProcess(
      this.#kernel,
      child,
      { input, fd },
      {
        message: (message) => events.message(message),
        ended: (why) => {
          this.#unmet.delete(unit.id);
          events.ended(why);
        },
      },
      () => this.#whyUnmet,
    );
    this.#unmet.set(unit.id, unit);
    return unit;
  }

  /** Closes what it listens on. Processes that it started are not touched. */
  close(): void {
    clearTimeout(this.#retry);
    this.#watch?.close();
    this.#server.close();
  }

  #meetChildren(): void {
    this.#watch = this.#reactor.watch(this.#server, EVENT_READ, () => {
      try {
        for (let met = this.#server.accept(); met !== null; met = this.#server.accept()) {
          this.#failures.end();
          this.#whyUnmet = undefined;
          this.#meet(met.socket);
        }
      } catch (error) {
        // No descriptor is left, or a security policy forbids accepting. The children wait, until their start is late.
        this.#watch?.close();
        this.#whyUnmet = error as Error;
        this.#retry = setTimeout(() => this.#meetChildren(), this.#failures.add().delayMs);
      }
    });
  }

  #meet(socket: Socket): void {
    const { pid } = socket.options.peerCredentials;
    const unit = this.#unmet.get(pid);
    if (unit === undefined) {
      socket.close();
      return;
    }
    this.#unmet.delete(pid);
    unit.met(socket, this.#reactor);
  }
}

/** One process. */
class StartedProcess implements ChildUnit {
  readonly kind = "process";
  readonly id: number;
  ready = false;
  /** Whether it has sent anything since it was last asked to. */
  hasAnswered = false;
  #phase = 0;
  readonly #whyUnmet: () => Error | undefined;
  readonly #kernel: Kernel;
  readonly #child: ChildProcess;
  readonly #events: ChildEvents;
  readonly #input: ProcessInput;
  /** What it is to serve, until it has it. */
  #fd: number;
  #channel: Socket | undefined;
  #watch: Watch | undefined;
  #failed: Error | undefined;
  #stopWithinMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    kernel: Kernel,
    child: ChildProcess,
    { input, fd }: { input: ProcessInput; fd: number },
    events: ChildEvents,
    whyUnmet: () => Error | undefined,
  ) {
    this.#whyUnmet = whyUnmet;
    this.id = child.pid ?? -1;
    this.#kernel = kernel;
    this.#child = child;
    this.#events = events;
    this.#input = input;
    this.#fd = fd;
    child.once("error", (error) => this.#end(error));
    child.once("exit", (code, signal) => this.#end(whyEnded(code, signal)));
  }

  /** It has connected: it is told what to serve, and given it. */
  met(channel: Socket, reactor: Reactor): void {
    this.#channel = channel;
    this.#phase = IMPORTING;
    channel.setBlocking(false);
    this.#watch = reactor.watch(channel, EVENT_READ, () => this.#hear());
    try {
      sendFds(channel, JSON.stringify(this.#input), [this.#fd]);
      this.#closeFd();
      if (this.#stopWithinMs !== undefined) this.#order({ stopWithinMs: this.#stopWithinMs });
    } catch (error) {
      // Too much of it, or it has died since.
      this.kill(error as Error);
    }
  }

  get doing(): string {
    const why = this.#phase === 0 ? this.#whyUnmet() : undefined;
    if (why !== undefined) return `its channel could not be accepted: ${why.message}`;
    return CHILD_PHASES[this.#phase] as string;
  }

  ask(): void {
    this.hasAnswered = false;
    this.#order({ ask: true });
  }

  acceptWaiting(): void {
    this.#order({ accept: true });
  }

  kill(why: Error): void {
    this.#failed ??= why;
    this.#child.kill("SIGKILL");
  }

  stop(graceMs: number): void {
    this.#stopWithinMs = graceMs;
    clearTimeout(this.#timer);
    // One that has not begun to serve has no numbers to report.
    if (graceMs === 0 && !this.ready) {
      this.#child.kill("SIGKILL");
      return;
    }
    this.#timer = setTimeout(() => this.#child.kill("SIGKILL"), killedAfterMs(graceMs));
    this.#order({ stopWithinMs: graceMs });
  }

  #order(order: Order): void {
    try {
      this.#channel?.send(JSON.stringify(order));
    } catch {
      // It has died, which is about to be reported.
    }
  }

  /** Reads every message that has arrived, and closes the channel at its end. */
  #hear(): void {
    for (;;) {
      const bytes = this.#receive();
      if (bytes === null) return;
      if (bytes.length === 0) break;
      const message = JSON.parse(Buffer.from(bytes).toString()) as ChildMessage;
      if (message.type === "failed") this.#failed ??= errorOf(message.error);
      else if (message.type === "ready") this.ready = true;
      else if (message.type === "starting") this.#phase = STARTING;
      this.hasAnswered = true;
      this.#events.message(message);
    }
    this.#closeChannel();
  }

  /**
   * The next message; empty at the end of the channel, null when none has arrived yet.
   *
   * @remarks
   * A child that ends with an order unread resets the channel. The kernel reports that once, before the messages
   * that the child had sent; they are still in the queue.
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

  #end(why: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    try {
      // The messages that it sent before it ended are still in the channel.
      this.#hear();
    } finally {
      this.#closeChannel();
      this.#closeFd();
      this.#events.ended(why && (this.#failed ?? why));
    }
  }

  #closeChannel(): void {
    this.#watch?.close();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #closeFd(): void {
    if (this.#fd >= 0) this.#kernel.libc.close(this.#fd);
    this.#fd = -1;
  }
}

function whyEnded(code: number | null, signal: string | null): Error | undefined {
  if (signal !== null) return new Error(`it was killed by ${signal}`);
  return code === 0 ? undefined : new Error(`it ended by itself, with exit code ${code}`);
}

/** How this runtime is told to run a program as this one runs. */
function usualArguments({ runtime }: Kernel): readonly string[] {
  // Who may call the kernel directly, as this library does, may do anything.
  if (runtime === "deno") return ["run", "--allow-all"];
  return execArgv.some((argument) => NOT_PASSED_ON.test(argument)) ? [] : execArgv;
}
