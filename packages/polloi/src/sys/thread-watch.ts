/**
 * Watches descriptors from a runtime whose event loop accepts none: Bun and Deno.
 *
 * Another thread waits in the kernel while there is nothing to do, and wakes this one. While there is work, that thread
 * sleeps on, and one turn of the runtime's loop after another is scheduled (turns.ts).
 *
 * ```text
 *   this thread                            the waiting thread
 *   onReadable() -> true                   asleep in epoll_wait
 *     next turn: onReadable() -> true
 *     next turn: onReadable() -> false
 *     epoll_ctl(MOD, EPOLLONESHOT) ------> (armed; no other call is needed)
 *   asleep in the runtime's loop           fd is readable
 *   a task: onReadable() <---------------- tags of ready descriptors
 * ```
 *
 * The descriptors are one-shot entries of an epoll set. This thread arms an entry with one call while the other thread
 * waits, and a removal takes effect for a wait that is already under way.
 */
import { check } from "../base/sys-error.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, EPOLL_EVENT, O_CLOEXEC } from "./abi.ts";
import type { Kernel, LoopWatch } from "./kernel.ts";
import type { Turns } from "./turns.ts";

/** The parts of a kernel that watches need, and the turns of the runtime's loop. */
export type WatchNeeds = Pick<Kernel, "libc" | "scratch"> & { readonly turns: Turns };

/** A thread that waits for an epoll set again and again, until the tag {@link END} is ready. */
export interface WaitingThread {
  /** Keeps the process alive while it waits. This is the default. */
  ref(): void;
  unref(): void;
  /**
   * Called when the last watch of the set is stopped.
   *
   * @returns Whether nothing waits for the set any more, so that it can be closed. If not, the thread reports
   * {@link END} when it has become ready.
   */
  end(): boolean;
}

/**
 * Starts a {@link WaitingThread} on the set `epoll`.
 *
 * @param onReady - Called on this thread with the tags of ready descriptors, at most {@link MAX_READY}.
 */
export type StartThread = (
  epoll: number,
  onReady: (tags: readonly number[]) => void,
) => WaitingThread;

/** The tag that ends the thread. */
export const END = 0;

/** The most tags that a thread takes in one wait. */
export const MAX_READY = 64;

/**
 * After this many turns without work the entry is armed and this thread may sleep. They take about 60 µs, the time
 * that sleeping and waking costs both threads together. A single connection is served twice as fast in this way.
 */
const IDLE_TURNS = 32;

// epoll_ctl(2). `select` defines them too, but a layer imports nothing from above.
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x001;
const EPOLLONESHOT = 0x40000000;

/** Returns the tags of the first `count` events in `words`, an array of `struct epoll_event`. */
export function tagsOf(words: Uint32Array, count: number): number[] {
  const { stride, data } = EPOLL_EVENT;
  return Array.from({ length: count }, (_, i) => words[i * stride + data] as number);
}

/** The watches of one kernel. A thread exists while there are any. */
export class ThreadWatches {
  readonly #kernel: WatchNeeds;
  readonly #start: StartThread;
  #set: WatchSet | undefined;

  constructor(kernel: WatchNeeds, start: StartThread) {
    this.#kernel = kernel;
    this.#start = start;
  }

  watch(fd: number, onReadable: () => boolean): LoopWatch {
    if (this.#set === undefined || this.#set.ended) {
      this.#set = new WatchSet(this.#kernel, this.#start);
    }
    return this.#set.watch(fd, onReadable);
  }
}

/** One epoll set and its thread, from the first watch until the last one is stopped. */
class WatchSet {
  readonly #kernel: WatchNeeds;
  readonly #epoll: number;
  /** An eventfd that ends the thread: nothing else can wake a thread in the kernel. */
  readonly #endSignal: number;
  readonly #thread: WaitingThread;
  /** By tag. Tags are not reused, so a late event of a stopped watch finds no entry. */
  readonly #turns = new Map<number, () => void>();
  #lastTag: number = END;
  #referenced = 0;
  ended = false;

  constructor(kernel: WatchNeeds, start: StartThread) {
    const { libc } = kernel;
    this.#kernel = kernel;
    this.#epoll = check(libc.epoll_create1(O_CLOEXEC), "epoll_create1");
    this.#endSignal = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.#endSignal < 0) libc.close(this.#epoll);
    check(this.#endSignal, "eventfd");
    this.#control(EPOLL_CTL_ADD, this.#endSignal, EPOLLIN, END);
    this.#thread = start(this.#epoll, (tags) => this.#ready(tags));
    this.#thread.unref();
  }

  watch(fd: number, onReadable: () => boolean): LoopWatch {
    const tag = ++this.#lastTag;
    const added = this.#control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, tag);
    if (added < 0 && this.#turns.size === 0) this.#end();
    check(added, "epoll_ctl", { fd });

    let stopped = false;
    let referenced = true;
    let idleTurns = 0;
    const { turns } = this.#kernel;
    const schedule = () => turns.soon(turn, referenced);
    const turn = () => {
      if (stopped) return;
      let found = false;
      try {
        found = onReadable();
      } finally {
        // Also after an exception: a program that handles uncaught exceptions continues.
        idleTurns = found ? 0 : idleTurns + 1;
        if (!stopped) {
          if (idleTurns <= IDLE_TURNS) schedule();
          else this.#control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, tag);
        }
      }
    };
    this.#turns.set(tag, () => {
      idleTurns = 0;
      schedule();
    });
    this.#reference(1);

    return {
      ref: () => {
        if (stopped || referenced) return;
        referenced = true;
        this.#reference(1);
      },
      unref: () => {
        if (stopped || !referenced) return;
        referenced = false;
        this.#reference(-1);
      },
      stop: () => {
        if (stopped) return;
        stopped = true;
        this.#turns.delete(tag);
        // Fails if the descriptor was closed before, which removed it from the set.
        this.#control(EPOLL_CTL_DEL, fd, 0, END);
        if (referenced) this.#reference(-1);
        if (this.#turns.size === 0) this.#end();
      },
    };
  }

  #ready(tags: readonly number[]): void {
    for (const tag of tags) {
      if (tag === END) this.#close();
      else this.#turns.get(tag)?.();
    }
  }

  #reference(change: number): void {
    const before = this.#referenced;
    this.#referenced += change;
    if (before === 0) this.#thread.ref();
    else if (this.#referenced === 0) this.#thread.unref();
  }

  /** Closes the set. While a thread waits for it, the set is closed when the thread has reported {@link END}. */
  #end(): void {
    const { libc, scratch } = this.#kernel;
    this.ended = true;
    if (this.#thread.end()) {
      this.#close();
    } else {
      scratch.setWord(0, 1);
      libc.write(this.#endSignal, scratch.address, 8);
    }
  }

  #close(): void {
    this.#kernel.libc.close(this.#epoll);
    this.#kernel.libc.close(this.#endSignal);
  }

  #control(operation: number, fd: number, mask: number, tag: number): number {
    const { libc, scratch } = this.#kernel;
    scratch.u32[0] = mask;
    scratch.u32[EPOLL_EVENT.data] = tag;
    scratch.u32[EPOLL_EVENT.data + 1] = 0;
    return libc.epoll_ctl(this.#epoll, operation, fd, scratch.address);
  }
}
