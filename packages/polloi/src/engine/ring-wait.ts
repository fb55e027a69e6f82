import { SysError } from "../base/sys-error.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { RawRing } from "../uring/raw-ring.ts";
import { type Polled, RingSignal } from "./ring-signal.ts";

/** A guest goes round for so long while there is more to do, before the other loop has its turn. */
const GUEST_MS = 2;
/** A busy guest that has run out of work waits so long for more, which is cheaper than leaving and coming. */
const LINGER_MS = 0.1;
/** Who submits so many operations at once is busy. */
const BUSY = 4;
/** Then up to so many more completions are waited for, half of what is submitted, for so long at most. */
const MAX_GATHERED = 16;
const GATHER_MS = 0.03;
/** After waits for nothing it does so once in as many turns, at most. */
const MAX_SKIPS = 1023;

/**
 * How the io_uring engine waits: in the kernel, or as a guest in another loop that watches a descriptor.
 *
 * @remarks
 * The descriptor is made when it is first asked for, and signals only while nobody turns, see
 * {@link RingSignal}: a busy guest neither reads its eventfd nor has the kernel write it.
 *
 * Leaving costs three calls and a round of the other loop. So a guest who is out of work waits for more
 * in the ring, for a moment, as long as more does come; it tries ever more rarely when it does not.
 */
export class RingWait {
  readonly #ring: RawRing;
  readonly #signal: RingSignal;
  #deadline = 0;
  #leaveAt = 0;
  /** So many turns end without a wait for more. */
  #skips = 0;
  #nextSkips = 0;

  constructor(kernel: Kernel, ring: RawRing) {
    this.#ring = ring;
    this.#signal = new RingSignal(kernel, ring);
  }

  /** Whether another loop watches. */
  get isGuest(): boolean {
    return this.#signal.fd >= 0;
  }

  /** Whether entering the kernel would bring anything. */
  get worth(): boolean {
    const ring = this.#ring;
    return ring.submissions.pending > 0 || ring.completions.length > 0 || ring.hasWork;
  }

  /**
   * A descriptor that is readable when a turn would find something.
   *
   * @param polled - What is watched already, see {@link RingWait.poll}.
   */
  fileno(polled: Iterable<Polled>): number {
    const signal = this.#signal;
    if (signal.fd >= 0) return signal.fd;
    const fd = signal.open(polled);
    // What the last turn left to be submitted it told nobody of, since nobody watched.
    if (this.#ring.submissions.pending > 0) signal.tell();
    return fd;
  }

  /** The ring is about to poll a foreign descriptor. @returns 0 or more, or `-errno`. */
  poll(fd: number, interest: number): number {
    return this.#signal.add(fd, interest);
  }

  /** The ring does not poll `fd` any more. */
  forget(fd: number): void {
    this.#signal.remove(fd);
  }

  /** A turn begins, and may wait so long. */
  begin(timeoutMs: number): void {
    this.#deadline = timeoutMs > 0 ? performance.now() + timeoutMs : timeoutMs;
    if (this.isGuest) this.#leaveAt = performance.now() + GUEST_MS;
    this.#signal.stop();
  }

  /** Submits, and waits for a completion for as long as is left. */
  enter(): void {
    const deadline = this.#deadline;
    if (deadline === 0 || this.#ring.completions.length > 0) {
      if (this.worth) this.enterNow();
      return;
    }
    if (this.#gather()) return;
    const timeoutMs = deadline < 0 ? -1 : Math.max(0, deadline - performance.now());
    this.#check(this.#ring.enter(1, timeoutMs));
  }

  /** Submits, and completes what can be. */
  enterNow(): void {
    this.#check(this.#ring.enter(0, 0));
  }

  /** Whether the turn may go on waiting. */
  timeLeft(): boolean {
    return this.#deadline < 0 || (this.#deadline > 0 && performance.now() < this.#deadline);
  }

  /** Goes another round, if this is a guest that may. @returns Whether there may be something to reap. */
  stay(): boolean {
    if (!this.isGuest || performance.now() >= this.#leaveAt) return false;
    if (this.worth) {
      if (!this.#gather()) this.enterNow();
      return true;
    }
    if (this.#skips > 0) {
      this.#skips--;
      return false;
    }
    this.#check(this.#ring.enter(1, LINGER_MS));
    const came = this.#ring.completions.length > 0;
    this.#nextSkips = came ? 0 : Math.min(2 * this.#nextSkips + 1, MAX_SKIPS);
    this.#skips = this.#nextSkips;
    return came;
  }

  /**
   * The turn is over.
   *
   * @returns Whether whoever watches the descriptor will hear of all that is to come; else there is more
   * to do already.
   */
  rest(): boolean {
    if (!this.isGuest) return true;
    return !this.worth && !this.#signal.start();
  }

  close(): void {
    this.#signal.close();
  }

  /**
   * Submits much, and gives more a moment to come, so that one call does for more of it.
   *
   * @returns Whether there was so much.
   */
  #gather(): boolean {
    const { submissions, completions } = this.#ring;
    const { pending } = submissions;
    if (pending < BUSY || completions.length > 0) return false;
    // What is submitted has completions of its own, most of them at once.
    const wanted = pending + Math.min(pending >> 1, MAX_GATHERED);
    this.#check(this.#ring.enter(wanted, GATHER_MS));
    return true;
  }

  #check(result: number): void {
    if (result >= 0 || this.#ring.isWaitOver(result)) return;
    const hint = "the kernel goes on refusing this ring: see free memory, or use another engine";
    throw new SysError("io_uring_enter", result, { hint });
  }
}
