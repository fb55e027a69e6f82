import { Worker } from "node:worker_threads";
import { check } from "../base/sys-error.ts";
import { O_CLOEXEC, O_NONBLOCK, SYS } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Board, PHASES } from "./board.ts";
import type { Ledger } from "./ledger.ts";
import { Lingering } from "./lingering.ts";
import type { PoolListeners } from "./listeners.ts";
import { Heartbeat, type Liveness, noResponse, startDeadline, startedTooLate } from "./liveness.ts";
import { type CrashLoop, Restarts } from "./restarts.ts";
import type { FailedStart, WorkerEngine, WorkerInput, WorkerMessage } from "./worker-module.ts";
import type { UnresponsiveWorker, WorkerCrash } from "./worker-options.ts";

/** What a worker is doing. */
export type WorkerState =
  | "starting"
  | "running"
  | "unresponsive"
  | "restarting"
  | "given up"
  | "stopped";

/** What the slots of a pool have in common. */
export interface SlotContext {
  readonly kernel: Kernel;
  readonly ledger: Ledger;
  readonly listeners: PoolListeners | undefined;
  /** What each thread is given, but for what is of one only. */
  readonly input: Pick<WorkerInput, "module" | "count" | "engine" | "trigger" | "data">;
  readonly liveness: Liveness;
  readonly crashLoop: CrashLoop;
  crashed(crash: WorkerCrash): void;
  /** A worker does not respond, or does so again. */
  unresponsive(worker: UnresponsiveWorker): void;
  recovered(worker: UnresponsiveWorker): void;
  /** A worker accepts new connections now, or does not any more: see {@link Slot.accepts}. */
  steer(): void;
  message(message: unknown, index: number): void;
  /** A slot has stopped, or was given up: nothing comes from it any more. */
  gone(): void;
}

/** How long a thread that was woken for the last time may take to see it. */
const WAKING_MS = 50;
/** How much longer than it was given a worker may take to stop, before its thread is ended. */
const OVERTIME_MS = 1000;
/** How long the runtime may take to end a thread, before the pool goes on without it. */
const KILLING_MS = 1000;
/** Who would wait longer than this for a restart is given to another worker. */
const SHORT_RESTART_MS = 400;

/** The place of one worker in a pool: one thread after another, each taking over from the one that crashed. */
export class Slot {
  readonly index: number;
  readonly board: Board = new Board();
  /** Resolves when its first worker is ready; rejects when that one fails to start. */
  readonly ready: Promise<WorkerEngine>;
  state: WorkerState = "starting";
  crashes = 0;
  readonly #context: SlotContext;
  /**
   * A pipe whose reading end the worker watches. An eventfd would do, but for Linux from 6.12 on: a ring that polls one
   * signals its own eventfd once at most (`__io_eventfd_signal` never clears IO_EVENTFD_OP_SIGNAL_BIT), so that a
   * reactor hosted on io_uring is not woken again.
   */
  readonly #doorbell: { readonly reader: number; readonly writer: number };
  #resolveReady: (engine: WorkerEngine) => void = () => {};
  #rejectReady: (error: Error) => void = () => {};
  #wasReady = false;
  #thread: Worker | undefined;
  #startedAt = 0;
  #error: Error | undefined;
  readonly #restarts: Restarts;
  readonly #heartbeat: Heartbeat;
  readonly #lingering: Lingering;
  #timer: NodeJS.Timeout | undefined;
  #cancelDeadline: () => void = () => {};
  #isReady = false;
  #stopping = false;
  #killed = false;
  /** The descriptor of the listener that its thread was lent. */
  #listener = -1;
  /** Ends the wait for a thread that lingers: the worker is not to be replaced any more. */
  #letGo: () => void = () => {};

  /** @throws SysError `EMFILE` */
  constructor(index: number, context: SlotContext) {
    const { kernel } = context;
    this.index = index;
    this.#context = context;
    this.#lingering = new Lingering(kernel);
    const { libc, scratch } = kernel;
    check(libc.pipe2(scratch.address, O_CLOEXEC | O_NONBLOCK), "pipe2");
    this.#doorbell = { reader: scratch.i32[0] as number, writer: scratch.i32[1] as number };
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // `Promise.all` reports only the first rejection.
    this.ready.catch(() => {});
    this.#restarts = new Restarts(context.crashLoop);
    this.#heartbeat = new Heartbeat(context.liveness.unresponsiveAfterMs, {
      ask: () => {
        this.board.ask();
        this.#ring();
      },
      hasAnswered: () => this.board.hasAnswered,
      changed: (responsive, silentMs) => this.#responds(responsive, silentMs),
    });
  }

  /** Whether a new connection would soon be accepted by this worker. */
  get accepts(): boolean {
    if (this.state === "restarting") return this.#restarts.delayMs <= SHORT_RESTART_MS;
    return this.state === "starting" || this.state === "running";
  }

  /** @throws SysError `EMFILE`; what cannot be cloned. */
  start(): void {
    const { listeners, ledger, input, kernel, liveness } = this.#context;
    const { index } = this;
    this.state = "starting";
    this.#startedAt = performance.now();
    this.#error = undefined;
    this.#isReady = false;
    this.#killed = false;
    this.board.phase = 0;
    this.board.thread = 0;
    this.#listener = listeners === undefined ? -1 : ledger.add(index, listeners.lend(index));
    const workerData: WorkerInput = {
      ...input,
      index,
      listener: this.#listener,
      doorbell: this.#doorbell.reader,
      board: this.board.memory,
      ledger: ledger.memory,
    };
    try {
      const thread = new Worker(new URL("./thread.js", import.meta.url), { workerData });
      this.#thread = thread;
      thread.on("message", (message: WorkerMessage) => {
        if (this.#thread === thread) this.#heard(message);
      });
      thread.on("error", (error: unknown) => {
        this.#error ??= error instanceof Error ? error : new Error(String(error));
      });
      thread.once("exit", (code) => {
        if (this.#thread === thread) void this.#exited(code, true);
      });
      this.#cancelDeadline = startDeadline(liveness.startTimeoutMs, () => {
        const doing = PHASES[this.board.phase] as string;
        this.#end(startedTooLate(liveness.startTimeoutMs, `${doing} (${input.module})`));
      });
    } catch (error) {
      ledger.sweep(index, kernel, true);
      throw error;
    }
  }

  /** Has the worker stop; it is gone within `graceMs`, and a moment more. */
  stop(graceMs: number): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    this.#heartbeat.stop();
    this.#cancelDeadline();
    this.#letGo();
    if (this.#thread === undefined) {
      // One that is being buried is gone when that is done.
      if (this.state === "restarting" && this.#timer !== undefined) this.#leave("stopped");
      else if (this.state === "starting") this.#leave("stopped");
      return;
    }
    this.board.stopWithinMs = graceMs;
    this.#ring();
    this.#timer = setTimeout(() => this.#kill(), graceMs + OVERTIME_MS);
  }

  /** Has the worker accept what waits on the listener that it shares. */
  acceptWaiting(): void {
    this.board.askToAccept();
    this.#ring();
  }

  /** Closes what it woke its workers with. It must be gone. */
  close(): void {
    const { reader, writer } = this.#doorbell;
    const { libc } = this.#context.kernel;
    this.#lingering.whenGone(() => {
      libc.close(reader);
      libc.close(writer);
    });
  }

  #heard(message: WorkerMessage): void {
    switch (message.type) {
      case "ready":
        this.#wasReady = true;
        this.#isReady = true;
        this.#cancelDeadline();
        this.#resolveReady(message);
        if (this.#stopping) return;
        this.state = "running";
        this.#heartbeat.start();
        this.#context.steer();
        return;
      case "failed":
        this.#error = errorOf(message.error);
        return;
      case "post":
        this.#context.message(message.message, this.index);
        return;
      case "stopped":
    }
  }

  /** @param exited - Whether the runtime says so; false when the pool goes on without a thread that does not end. */
  async #exited(code: number, exited: boolean): Promise<void> {
    this.#thread = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#cancelDeadline();
    this.#heartbeat.stop();
    this.board.open = 0;
    this.state = "restarting";
    const error = this.#error ?? new Error(`the worker ended by itself, with exit code ${code}`);
    const buried = this.#bury(exited);
    if (!this.#wasReady) this.#rejectReady(error);
    if (!this.#stopping && this.#wasReady) this.#report(error);
    await buried;
    if (this.#stopping || !this.#wasReady) this.#leave("stopped");
    else if (this.#restarts.givenUp) this.#leave("given up");
    else this.#timer = setTimeout(() => this.#restart(), this.#restarts.delayMs);
  }

  #report(error: Error): void {
    this.crashes++;
    this.#restarts.crashed(performance.now() - this.#startedAt, this.#isReady);
    const { givenUp, delayMs } = this.#restarts;
    // First, so that none comes while nobody is there to accept it.
    if (givenUp) this.#context.listeners?.giveUp(this.index);
    else this.#context.steer();
    const restartInMs = givenUp ? null : delayMs;
    this.#context.crashed({ index: this.index, error, restartInMs });
  }

  #responds(responsive: boolean, silentMs: number): void {
    const { liveness, recovered, unresponsive } = this.#context;
    this.state = responsive ? "running" : "unresponsive";
    this.#context.steer();
    if (responsive) {
      recovered({ index: this.index, silentMs });
      return;
    }
    unresponsive({ index: this.index, silentMs });
    // The callback may have stopped the pool.
    if (liveness.whenUnresponsive === "replace" && !this.#stopping) this.#end(noResponse(silentMs));
  }

  /** Ends a worker that does not do what it should: as a crash, for this reason. */
  #end(error: Error): void {
    this.#error ??= error;
    this.#kill();
  }

  #restart(): void {
    this.#timer = undefined;
    try {
      this.start();
    } catch (error) {
      // No descriptor for it, most likely: that is one more crash.
      this.#error = error as Error;
      void this.#exited(1, true);
    }
  }

  /** Closes what the thread has left open. */
  async #bury(exited: boolean): Promise<void> {
    const { ledger, kernel } = this.#context;
    ledger.wake(this.index, kernel);
    this.board.lingers = this.#killed && this.#lingering.add(this.board.thread, exited);
    if (this.board.lingers) {
      ledger.cutOff(this.index, kernel, this.#listener);
      // The next thread would have the same place in the ledger, so it starts when this one is gone.
      await new Promise<void>((resolve) => {
        this.#letGo = resolve;
        if (this.#stopping || !this.#wasReady) resolve();
        this.#lingering.whenGone(() => {
          this.#unmap();
          ledger.sweep(this.index, kernel, true);
          this.board.lingers = false;
          resolve();
        });
      });
      return;
    }
    this.#unmap();
    if (!ledger.sweep(this.index, kernel, kernel.runtime === "node")) return;
    await new Promise((resolve) => setTimeout(resolve, WAKING_MS));
    ledger.sweep(this.index, kernel, true);
  }

  /** Ends the rings that the thread has left: one that was ended from outside did not close them. */
  #unmap(): void {
    const { libc } = this.#context.kernel;
    for (const [address, length] of this.board.takeMappings()) {
      libc.syscall(SYS.munmap, address, length, 0, 0, 0, 0);
    }
  }

  #leave(state: "stopped" | "given up"): void {
    if (this.state === "stopped" || this.state === "given up") return;
    this.state = state;
    this.#context.steer();
    this.#context.gone();
  }

  /** Ends a thread that does not heed. It is woken first: what sleeps in the kernel cannot be ended. */
  #kill(): void {
    const { ledger, kernel } = this.#context;
    this.#ring();
    ledger.wake(this.index, kernel);
    this.#killed = true;
    const thread = this.#thread;
    void thread?.terminate();
    clearTimeout(this.#timer);
    // A thread that sleeps in a call which nothing wakes ends when that returns.
    this.#timer = setTimeout(() => {
      if (this.#thread === thread) void this.#exited(1, false);
    }, KILLING_MS);
  }

  #ring(): void {
    const { libc, scratch } = this.#context.kernel;
    // A pipe that is full has woken it already.
    libc.write(this.#doorbell.writer, scratch.address, 1);
  }
}

function errorOf({ message, stack, code, hint }: FailedStart): Error {
  const error = Object.assign(new Error(message), { code, hint });
  if (stack !== undefined) error.stack = stack;
  return error;
}
