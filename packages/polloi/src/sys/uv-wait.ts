import type { Native } from "./libc.ts";

/**
 * Offsets in `struct uv_loop_s`, which do not change within version 1 of libuv: the fields before those of the
 * platform, its descriptor, and the queue of the watchers whose interest it passes to epoll before its next wait.
 */
const AT_INTERNAL_FIELDS = 40;
const AT_BACKEND_FD = 64;
const AT_WATCHER_QUEUE = 88;
const LOOP_BYTES = 104;
/** The offset of the nanoseconds that the loop has slept, in the internal fields of libuv 1.45 and later. */
const AT_IDLE_TIME = 144;
const INTERNAL_BYTES = 152;

const UV_IDLE = 6;

const NS_PER_MS = 1_000_000;
const WORD = 0x1_0000_0000;
/** What is added to the idle time, and taken off again, to see whether it is where it is expected. */
const TRIAL_NS = 1_000_003;

/** What {@link UvWait} needs of koffi. */
export interface UvWaitNeeds {
  readonly bind: (name: string, args: readonly ("i32" | "ptr")[], returns: "i32" | "ptr") => Native;
  readonly addressOf: (symbol: string) => number;
  readonly view: (address: number, byteLength: number) => ArrayBuffer;
}

/**
 * What the libuv loop of the main thread would wait for, so that another wait can include it.
 *
 * @remarks
 * libuv has functions for programs that embed it in another event loop: its descriptor is readable when it has events,
 * and it tells how long it may sleep. Two things are missing. Watchers that were started since its last wait are not in
 * its epoll set yet; they are in a queue. And it counts as idle only the time that it has slept itself, from which
 * `performance.eventLoopUtilization()` is computed. The queue is read, and the time is added, in the memory of the
 * loop. Both are where they are expected, or {@link UvWait.open} returns undefined.
 */
export class UvWait {
  /** The descriptor of the loop: an epoll set. */
  readonly fd: number;
  readonly #loop: number;
  readonly #words: Uint32Array;
  readonly #internal: Uint32Array;
  readonly #backendTimeout: Native;
  readonly #updateTime: Native;
  readonly #runTicks: () => void;
  readonly #idle: number;
  readonly #idleStart: Native;
  readonly #idleStop: Native;
  readonly #onIdle: number;
  readonly #queueLow: number;
  readonly #queueHigh: number;

  private constructor(loop: number, runTicks: () => void, needs: UvWaitNeeds) {
    const { bind, view, addressOf } = needs;
    this.#loop = loop;
    this.#runTicks = runTicks;
    this.#words = new Uint32Array(view(loop, LOOP_BYTES));
    this.#internal = new Uint32Array(view(this.#pointerAt(AT_INTERNAL_FIELDS), INTERNAL_BYTES));
    this.#backendTimeout = bind("uv_backend_timeout", ["ptr"], "i32");
    this.#updateTime = bind("uv_update_time", ["ptr"], "i32");
    this.fd = bind("uv_backend_fd", ["ptr"], "i32")(loop);
    this.#idleStart = bind("uv_idle_start", ["ptr", "ptr"], "i32");
    this.#idleStop = bind("uv_idle_stop", ["ptr"], "i32");
    // A callback that does nothing, because only that the handle is active counts.
    this.#onIdle = addressOf("uv_is_active");
    this.#idle = bind("malloc", ["ptr"], "ptr")(bind("uv_handle_size", ["i32"], "i32")(UV_IDLE));
    bind("uv_idle_init", ["ptr", "ptr"], "i32")(loop, this.#idle);
    const queue = loop + AT_WATCHER_QUEUE;
    this.#queueLow = queue >>> 0;
    this.#queueHigh = Math.floor(queue / WORD);
  }

  /**
   * @param loop - The address of the loop.
   * @returns undefined where this version of Node is not the expected one.
   */
  static open(loop: number, needs: UvWaitNeeds): UvWait | undefined {
    const runTicks = tickFunction();
    if (runTicks === undefined) return undefined;
    try {
      const wait = new UvWait(loop, runTicks, needs);
      const isKnown = wait.#words[AT_BACKEND_FD >> 2] === wait.fd;
      const idleTime = needs.bind("uv_metrics_idle_time", ["ptr"], "ptr");
      return isKnown && wait.#countsIdleTime(() => idleTime(loop)) ? wait : undefined;
    } catch {
      // A program that embeds Node may not export these functions.
      return undefined;
    }
  }

  /** How long the loop may wait for its descriptor in milliseconds: 0 if it has something to do now, -1 without limit. */
  timeoutMs(): number {
    const words = this.#words;
    const at = AT_WATCHER_QUEUE >> 2;
    if (words[at] !== this.#queueLow || words[at + 1] !== this.#queueHigh) return 0;
    const timeoutMs = this.#backendTimeout(this.#loop);
    if (timeoutMs <= 0) return timeoutMs;
    // It is computed from the time that the loop has stored.
    this.#updateTime(this.#loop);
    return this.#backendTimeout(this.#loop);
  }

  /** Makes the loop poll without waiting, and keeps it alive, or ends that. */
  setBusy(busy: boolean): void {
    if (busy) this.#idleStart(this.#idle, this.#onIdle);
    else this.#idleStop(this.#idle);
  }

  /** Adds to the time that the loop has been idle. */
  addIdleTime(ms: number): void {
    this.#addIdle(Math.round(ms * NS_PER_MS));
  }

  /** Runs the callbacks of `process.nextTick` and of promises, which Node runs only when a callback of its own returns. */
  runTicks(): void {
    this.#runTicks();
  }

  #addIdle(ns: number): void {
    const words = this.#internal;
    const at = AT_IDLE_TIME >> 2;
    const low = (words[at] as number) + ns;
    words[at] = low;
    const carry = Math.floor(low / WORD);
    if (carry !== 0) words[at + 1] = (words[at + 1] as number) + carry;
  }

  #countsIdleTime(idleTime: () => number): boolean {
    const before = idleTime();
    this.#addIdle(TRIAL_NS);
    const counts = idleTime() === before + TRIAL_NS;
    this.#addIdle(-TRIAL_NS);
    return counts && idleTime() === before;
  }

  #pointerAt(offset: number): number {
    const at = offset >> 2;
    return (this.#words[at + 1] as number) * WORD + (this.#words[at] as number);
  }
}

/**
 * Returns Node's function that runs the callbacks of `process.nextTick` and of promises.
 *
 * @returns undefined where there is none, and with `--pending-deprecation`, which wraps it to print a warning.
 */
function tickFunction(): (() => void) | undefined {
  const run = (process as { readonly _tickCallback?: unknown })._tickCallback;
  if (typeof run !== "function" || run.name !== "runNextTicks") return undefined;
  return run as () => void;
}
