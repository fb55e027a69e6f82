import { Worker, workerData } from "node:worker_threads";
import { SYS } from "../sys/abi.ts";
import type { Kernel, LoopTimer } from "../sys/kernel.ts";
import { type Child, type ChildEvents, exitError, OVERTIME_MS } from "./child.ts";
import { ControlBlock, Doorbell } from "./control-block.ts";
import { isStuck, Ledger, threadEnd } from "./descriptors.ts";
import {
  type ChildInput,
  type ChildMessage,
  fromPlainError,
  PHASES,
  type ThreadCommand,
} from "./messages.ts";

/** The input of a thread when it starts. */
export interface ThreadInput extends ChildInput {
  /** The listener or connection that it serves, which it owns; -1 for none. */
  readonly fd: number;
  /** Readable when there is something new in the control block. */
  readonly doorbell: number;
  readonly block: SharedArrayBuffer;
  readonly ledger: SharedArrayBuffer;
  /** Its owner's id in the ledger. */
  readonly owner: number;
}

/**
 * Whether a supervisor has started this thread.
 *
 * @remarks
 * Its input shows that also to a module that was bundled with its own copy of this library.
 */
export function isChildThread(): boolean {
  const { doorbell, ledger } = (workerData ?? {}) as Partial<ThreadInput>;
  return typeof doorbell === "number" && ledger instanceof SharedArrayBuffer;
}

/** How long the runtime may take to terminate a thread, before its supervisor continues without it. */
const TERMINATE_MS = 1000;

/** Starts threads, and keeps the ledger of what they open. */
export class ThreadStarter {
  readonly kernel: Kernel;
  readonly ledger: Ledger;
  #threads = 0;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.ledger = Ledger.for(kernel);
  }

  /**
   * Starts a thread.
   *
   * @param fd - What it serves, or -1. The thread owns it from here on: it is closed when this throws.
   * @throws SysError `EMFILE`; what the runtime throws when it cannot start a thread or clone the data.
   */
  start(input: ChildInput, fd: number, events: ChildEvents): ThreadChild {
    return new ThreadChild(this, ++this.#threads, input, fd, events);
  }
}

/** A thread of this process. */
export class ThreadChild implements Child {
  readonly kind = "thread";
  readonly id: number;
  readonly block: ControlBlock = new ControlBlock();
  ready = false;
  readonly #kernel: Kernel;
  readonly #ledger: Ledger;
  readonly #owner: number;
  readonly #doorbell: Doorbell;
  readonly #worker: Worker;
  readonly #input: ChildInput;
  readonly #events: ChildEvents;
  readonly #fd: number;
  #error: Error | undefined;
  #thrown = false;
  /** The last error that nothing in the thread caught. */
  #uncaught: Error | undefined;
  #timer: LoopTimer | undefined;
  #killed = false;
  #stopping = false;
  #exited = false;

  constructor(
    { kernel, ledger }: ThreadStarter,
    id: number,
    input: ChildInput,
    fd: number,
    events: ChildEvents,
  ) {
    this.id = id;
    this.#kernel = kernel;
    this.#ledger = ledger;
    this.#input = input;
    this.#events = events;
    this.#fd = fd;
    this.#owner = ledger.addOwner();
    ledger.add(this.#owner, fd);
    let doorbell: Doorbell | undefined;
    try {
      doorbell = new Doorbell(kernel);
      this.#doorbell = doorbell;
      const given: ThreadInput = {
        ...input,
        fd,
        doorbell: doorbell.fd,
        block: this.block.memory,
        ledger: ledger.memory,
        owner: this.#owner,
      };
      this.#worker = new Worker(new URL("./thread.js", import.meta.url), {
        workerData: given,
      });
    } catch (error) {
      void ledger.release(this.#owner, kernel);
      ledger.removeOwner(this.#owner);
      doorbell?.close();
      throw error;
    }
    this.#worker.on("message", (message: ChildMessage) => {
      if (this.#exited) return;
      if (message.type === "failed") this.#failed(fromPlainError(message.error));
      else if (message.type === "uncaught") this.#uncaught = fromPlainError(message.error);
      else if (message.type === "ready") this.ready = true;
      this.#events.message(message);
    });
    this.#worker.on("error", (error: unknown) => {
      const reported = error instanceof Error ? error : new Error(String(error));
      const sameError = this.#uncaught?.message === reported.message;
      this.#failed(sameError ? (this.#uncaught as Error) : reported);
    });
    this.#worker.once("exit", (code) => this.#exit(code, true));
  }

  get activity(): string {
    return PHASES[this.block.phase] as string;
  }

  get hasAnswered(): boolean {
    return this.block.hasAnswered;
  }

  ping(): void {
    this.block.ping();
    this.#doorbell.ring();
  }

  acceptWaiting(): void {
    this.block.requestAccept();
    this.#doorbell.ring();
  }

  stop(graceMs: number): void {
    this.#stopping = true;
    this.block.graceMs = graceMs;
    this.#doorbell.ring();
    this.#timer?.cancel();
    this.#timer = this.#kernel.after(graceMs + OVERTIME_MS, () => this.#terminate());
  }

  kill(reason: Error): void {
    this.#error ??= reason;
    this.#terminate();
  }

  /** Has a thread that has finished its connection serve another, which it owns from here on. */
  serve(fd: number): void {
    this.#ledger.add(this.#owner, fd);
    this.#command({ type: "serve", fd });
  }

  /** Has a thread without a connection exit. */
  exit(): void {
    this.#command({ type: "exit" });
  }

  /** The thread has thrown. An error after its termination is a consequence of that, and not the fault of the program. */
  #failed(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    this.#thrown = !this.#killed;
  }

  #command(command: ThreadCommand): void {
    this.#worker.postMessage(command);
  }

  /** Terminates the thread. Wakes it first, since a thread that sleeps in the kernel cannot be terminated. */
  #terminate(): void {
    if (this.#exited) return;
    this.#killed = true;
    this.#doorbell.ring();
    this.#ledger.wake(this.#owner, this.#kernel);
    void this.#worker.terminate();
    this.#timer?.cancel();
    // A thread in a system call that nothing wakes ends when the call returns.
    this.#timer = this.#kernel.after(TERMINATE_MS, () => this.#exit(1, false));
  }

  /** @param hasExited - False if the runtime has not reported that the thread has ended. */
  #exit(code: number, hasExited: boolean): void {
    if (this.#exited) return;
    this.#exited = true;
    this.#timer?.cancel();
    const error = this.#error ?? (code === 0 ? undefined : exitError(code));
    const stuck = this.#killed && isStuck(this.#kernel, this.block.threadId, hasExited);
    const released = this.#release(stuck);
    // A stuck thread with an event loop may continue to accept from the listener of its replacement.
    const replaceable = stuck && this.#input.task === "accept-loop";
    const thrown = this.#thrown;
    this.#events.exited({ error, thrown, stuck, released: replaceable ? undefined : released });
  }

  /** Closes what the thread has left open, when it has ended. */
  async #release(stuck: boolean): Promise<void> {
    const kernel = this.#kernel;
    const ledger = this.#ledger;
    ledger.wake(this.#owner, kernel);
    if (stuck) {
      this.block.stuck = true;
      // The replacement accepts from the same socket as its listener.
      const isListener = this.#input.task !== "connection";
      ledger.shutDown(this.#owner, kernel, isListener && !this.#stopping ? this.#fd : -1);
      await threadEnd(this.block.threadId);
    }
    // A thread that was terminated has not closed its rings.
    for (const [address, length] of this.block.takeMappings()) {
      kernel.libc.syscall(SYS.munmap, address, length, 0, 0, 0, 0);
    }
    await ledger.release(this.#owner, kernel);
    ledger.removeOwner(this.#owner);
    this.#doorbell.close();
  }
}
