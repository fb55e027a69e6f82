import { SysError } from "../base/sys-error.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { RawRing } from "../uring/raw-ring.ts";
import { type Polled, RingSignal } from "./ring-signal.ts";

/** The longest turn of a hosted engine that always has work, before the event loop runs. */
const MAX_TURN_MS = 2;
/** A hosted engine without work waits this long for more, which costs less than to return to the event loop. */
const SPIN_MS = 0.1;
/** A turn that submits at least this many operations is under load. */
const MIN_BATCH = 4;
/** Under load, half as many further completions as operations, but at most this many, are waited for. */
const MAX_EXTRA = 16;
/**
 * When more bytes than this are received at once, no further completions are waited for until fewer than `FEW_BYTES` are.
 * While completions are waited for, the kernel receives for as many connections before any of their bytes are handled,
 * and all of these bytes leave the processor's cache. Without a wait it receives for twenty.
 */
const MOST_BYTES = 1_048_576;
const FEW_BYTES = 262_144;
/** The longest wait for them. */
const BATCH_MS = 0.03;
/** The most turns without such a wait, after waits that brought nothing. */
const MAX_SKIPS = 1023;

/** The longest wait for an event after sends that complete at once, because one of them may have found no room. */
const REPLY_MS = 5;

/** Not a timeout: less than -1, which has no limit. */
const NOT_FIRST = -2;

/**
 * Waits for completions of the io_uring engine: in the kernel, or hosted in an event loop that watches a descriptor.
 *
 * @remarks
 * The descriptor is made when it is first requested, and signals only between turns, see {@link RingSignal}. Under
 * load, neither the engine reads its eventfd nor does the kernel write it.
 *
 * Returning to the event loop costs three system calls and an iteration of that loop. So a hosted engine that is out
 * of work first waits a moment for more. When that brings nothing, it skips the wait in more and more turns.
 */
export class RingWait {
  /** Whether the waits include the descriptor of the event loop, which then watches nothing. */
  isJoint = false;
  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  readonly #signal: RingSignal;
  #deadline = 0;
  /** The limit of the first wait of the turn, then {@link NOT_FIRST}. */
  #timeoutMs = 0;
  #returnAt = 0;
  /** Whether the bytes that are received at once are too many for the cache. */
  #isHeavy = false;
  /** The number of turns that end without a wait for more. */
  #skips = 0;
  #nextSkips = 0;

  constructor(kernel: Kernel, ring: RawRing) {
    this.#kernel = kernel;
    this.#ring = ring;
    this.#signal = new RingSignal(kernel, ring);
  }

  /** Whether an event loop watches the descriptor. */
  get isHosted(): boolean {
    return this.#signal.fd >= 0 && !this.isJoint;
  }

  /** Whether entering the kernel would have an effect. */
  get hasWork(): boolean {
    const ring = this.#ring;
    return ring.submissions.pending > 0 || ring.completions.length > 0 || ring.hasWork;
  }

  /**
   * A descriptor that is readable when a turn would find something.
   *
   * @param polled - The descriptors that are watched already, see {@link RingWait.poll}.
   */
  fileno(polled: Iterable<Polled>): number {
    const signal = this.#signal;
    if (signal.fd >= 0) return signal.fd;
    const fd = signal.open(polled);
    // The last turn did not announce the submissions that it left, because no loop watched.
    if (this.#ring.submissions.pending > 0) signal.raise();
    return fd;
  }

  /** The ring is about to poll a descriptor of the program. @returns 0 or more, or `-errno`. */
  poll(fd: number, interest: number): number {
    return this.#signal.add(fd, interest);
  }

  /** The ring does not poll `fd` any more. */
  forget(fd: number): void {
    this.#signal.remove(fd);
  }

  /**
   * A turn begins, and may wait for `timeoutMs`.
   *
   * @param now - The time, if the caller has just read it.
   */
  begin(timeoutMs: number, now?: number): void {
    this.#timeoutMs = timeoutMs;
    this.#deadline = timeoutMs > 0 ? (now ?? this.#kernel.now()) + timeoutMs : timeoutMs;
    if (this.isHosted) this.#returnAt = this.#kernel.now() + MAX_TURN_MS;
    this.#signal.stop();
  }

  /** Submits, and waits for a completion until the deadline of the turn. */
  enter(): void {
    const deadline = this.#deadline;
    if (deadline === 0 || this.#ring.completions.length > 0) {
      if (this.hasWork) this.enterNow();
      return;
    }
    if (this.#submitBatch()) return;
    const timeoutMs = this.#timeoutMs;
    this.#timeoutMs = NOT_FIRST;
    const leftMs =
      timeoutMs !== NOT_FIRST || deadline < 0
        ? timeoutMs
        : Math.max(0, deadline - this.#kernel.now());
    // Of the submissions, those that complete at once are no reason to end the wait.
    const { immediate } = this.#ring.submissions;
    const isLong = immediate > 0 && (leftMs < 0 || leftMs > REPLY_MS);
    this.#check(this.#ring.enter(1 + immediate, isLong ? REPLY_MS : leftMs));
  }

  /** Submits, and processes completions, without waiting. */
  enterNow(): void {
    this.#check(this.#ring.enter(0, 0));
  }

  /** So many bytes were received when the kernel was entered last. */
  received(bytes: number): void {
    this.#isHeavy = bytes > (this.#isHeavy ? FEW_BYTES : MOST_BYTES);
  }

  /** Whether the turn may continue waiting. */
  timeLeft(): boolean {
    return this.#deadline < 0 || (this.#deadline > 0 && this.#kernel.now() < this.#deadline);
  }

  /** Continues the turn of a hosted engine under load. @returns Whether there may be completions. */
  stay(): boolean {
    if (!this.isHosted || this.#kernel.now() >= this.#returnAt) return false;
    if (this.hasWork) {
      if (!this.#submitBatch()) this.enterNow();
      return true;
    }
    if (this.#skips > 0) {
      this.#skips--;
      return false;
    }
    this.#check(this.#ring.enter(1, SPIN_MS));
    const came = this.#ring.completions.length > 0;
    this.#nextSkips = came ? 0 : Math.min(2 * this.#nextSkips + 1, MAX_SKIPS);
    this.#skips = this.#nextSkips;
    return came;
  }

  /**
   * The turn is over.
   *
   * @returns Whether the descriptor signals all further work; false when there is work already.
   */
  rest(): boolean {
    if (!this.isHosted) return true;
    return !this.hasWork && !this.#signal.start();
  }

  close(): void {
    this.#signal.close();
  }

  /**
   * Under load, submits and waits a moment for more completions, so that a system call handles more of them.
   *
   * @returns Whether the engine is under load.
   */
  #submitBatch(): boolean {
    const { submissions, completions } = this.#ring;
    const { pending } = submissions;
    if (pending < MIN_BATCH || completions.length > 0) return false;
    if (this.#isHeavy) {
      this.enterNow();
      return true;
    }
    // The submitted operations have completions of their own, most of them at once.
    const wanted = pending + Math.min(pending >> 1, MAX_EXTRA);
    this.#check(this.#ring.enter(wanted, BATCH_MS));
    return true;
  }

  #check(result: number): void {
    if (result >= 0 || this.#ring.isWaitOver(result)) return;
    const hint = "the kernel keeps refusing this ring: check free memory, or use another engine";
    throw new SysError("io_uring_enter", result, { hint });
  }
}
