import { Worker } from "node:worker_threads";
import { check } from "../base/sys-error.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Board } from "./board.ts";
import type { Ledger } from "./ledger.ts";
import { Lingering } from "./lingering.ts";
import type { PoolListeners } from "./listeners.ts";
import type { FailedStart, WorkerEngine, WorkerInput, WorkerMessage } from "./module.ts";
import type { WorkerCrash } from "./options.ts";
import { Restarts } from "./restarts.ts";

/** What a worker is doing. */
export type WorkerState = "starting" | "running" | "restarting" | "given up" | "stopped";

/** What the slots of a pool have in common. */
export interface SlotContext {
  readonly kernel: Kernel;
  readonly ledger: Ledger;
  readonly listeners: PoolListeners | undefined;
  /** What each thread is given, but for what is of one only. */
  readonly input: Pick<WorkerInput, "module" | "count" | "engine" | "trigger" | "data">;
  crashed(crash: WorkerCrash): void;
  message(message: unknown, index: number): void;
  /** A slot has stopped, or was given up: nothing comes from it any more. */
  gone(): void;
}

/** How long a thread that was woken for the last time may take to see it. */
const WAKING_MS = 50;
/** How much longer than it was given a worker may take to stop, before its thread is ended. */
const OVERTIME_MS = 1000;

/** The place of one worker in a pool: one thread after another, each taking over from the one that crashed. */
export class Slot {
  readonly index: number;
  readonly board: Board = new Board();
  /** Resolves when its first worker is ready; rejects when that one fails to start. */
  readonly ready: Promise<WorkerEngine>;
  state: WorkerState = "starting";
  crashes = 0;
  readonly #context: SlotContext;
  readonly #doorbell: number;
  #resolveReady: (engine: WorkerEngine) => void = () => {};
  #rejectReady: (error: Error) => void = () => {};
  #wasReady = false;
  #thread: Worker | undefined;
  #startedAt = 0;
  #error: Error | undefined;
  readonly #restarts = new Restarts();
  readonly #lingering: Lingering;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  #killed = false;

  /** @throws SysError `EMFILE` */
  constructor(index: number, context: SlotContext) {
    const { kernel } = context;
    this.index = index;
    this.#context = context;
    this.#lingering = new Lingering(kernel);
    this.#doorbell = check(kernel.libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // Who waits for all of them hears of the first only.
    this.ready.catch(() => {});
  }

  /** @throws SysError `EMFILE`; what cannot be cloned. */
  start(): void {
    const { listeners, ledger, input, kernel } = this.#context;
    const { index } = this;
    this.state = "starting";
    this.#startedAt = performance.now();
    this.#error = undefined;
    const listener = listeners === undefined ? -1 : ledger.add(index, listeners.lend(index));
    const workerData: WorkerInput = {
      ...input,
      index,
      listener,
      doorbell: this.#doorbell,
      board: this.board.memory,
      ledger: ledger.memory,
    };
    try {
      const thread = new Worker(new URL("./thread.js", import.meta.url), { workerData });
      thread.on("message", (message: WorkerMessage) => this.#heard(message));
      thread.on("error", (error: unknown) => {
        this.#error ??= error instanceof Error ? error : new Error(String(error));
      });
      thread.once("exit", (code) => void this.#exited(code));
      this.#thread = thread;
    } catch (error) {
      ledger.sweep(index, kernel, true);
      throw error;
    }
  }

  /** Has the worker stop; it is gone within `graceMs`, and a moment more. */
  stop(graceMs: number): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
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

  /** Closes what it woke its workers with. It must be gone. */
  close(): void {
    this.#lingering.whenGone(() => void this.#context.kernel.libc.close(this.#doorbell));
  }

  #heard(message: WorkerMessage): void {
    switch (message.type) {
      case "ready":
        this.#wasReady = true;
        this.state = "running";
        this.#resolveReady(message);
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

  async #exited(code: number): Promise<void> {
    this.#thread = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.board.open = 0;
    this.state = "restarting";
    const error = this.#error ?? new Error(`the worker ended by itself, with exit code ${code}`);
    const buried = this.#bury();
    if (!this.#wasReady) this.#rejectReady(error);
    if (!this.#stopping && this.#wasReady) this.#report(error);
    await buried;
    if (this.#stopping || !this.#wasReady) this.#leave("stopped");
    else if (this.#restarts.givenUp) this.#leave("given up");
    else this.#timer = setTimeout(() => this.#restart(), this.#restarts.delayMs);
  }

  #report(error: Error): void {
    this.crashes++;
    this.#restarts.crashed(this.#startedAt);
    const { givenUp, delayMs } = this.#restarts;
    // First, so that none comes while nobody is there to accept it.
    if (givenUp) this.#context.listeners?.giveUp(this.index);
    const restartInMs = givenUp ? null : delayMs;
    this.#context.crashed({ index: this.index, error, restartInMs });
  }

  #restart(): void {
    this.#timer = undefined;
    try {
      this.start();
    } catch (error) {
      // No descriptor for it, most likely: that is one more crash.
      this.#error = error as Error;
      void this.#exited(1);
    }
  }

  /** Closes what the thread has left open. */
  async #bury(): Promise<void> {
    const { ledger, kernel } = this.#context;
    ledger.wake(this.index, kernel);
    this.board.lingers = this.#killed && this.#lingering.add(this.board.thread);
    if (this.board.lingers) {
      ledger.cutOff(this.index, kernel);
      this.#lingering.whenGone(() => void ledger.sweep(this.index, kernel, true));
      return;
    }
    if (!ledger.sweep(this.index, kernel, kernel.runtime === "node")) return;
    await new Promise((resolve) => setTimeout(resolve, WAKING_MS));
    ledger.sweep(this.index, kernel, true);
  }

  #leave(state: "stopped" | "given up"): void {
    if (this.state === "stopped" || this.state === "given up") return;
    this.state = state;
    this.#context.gone();
  }

  /** Ends a thread that does not heed. It is woken first: what sleeps in the kernel cannot be ended. */
  #kill(): void {
    const { ledger, kernel } = this.#context;
    this.#ring();
    ledger.wake(this.index, kernel);
    this.#killed = true;
    void this.#thread?.terminate();
  }

  #ring(): void {
    const { libc, scratch } = this.#context.kernel;
    scratch.setWord(0, 1);
    libc.write(this.#doorbell, scratch.address, 8);
  }
}

function errorOf({ message, stack, code, hint }: FailedStart): Error {
  const error = Object.assign(new Error(message), { code, hint });
  if (stack !== undefined) error.stack = stack;
  return error;
}
