import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { IORING_SQ_CQ_OVERFLOW, IORING_SQ_TASKRUN } from "../uring/constants.ts";
import type { Ring } from "../uring/ring.ts";

/** A guest goes round for so long while there is more to do, before the other loop has its turn. */
const GUEST_MS = 1;

/** Results of an enter that only say: look at the completions, and come again. */
const NO_FAILURE: readonly number[] = [-ERRNO.ETIME, -ERRNO.EINTR, -ERRNO.EAGAIN, -ERRNO.EBUSY];

/**
 * How the io_uring engine waits: in the kernel, or as a guest in another loop that watches an eventfd.
 *
 * @remarks
 * The ring's own descriptor does not do for watching: a runtime's loop is not woken by work that is
 * deferred to this thread. The eventfd is made when it is first asked for. It signals only while nobody
 * turns: a busy guest neither reads it nor has the kernel write it.
 */
export class RingWait {
  readonly #kernel: Kernel;
  readonly #ring: Ring;
  #eventfd = -1;
  #signalling = false;
  #deadline = 0;
  #leaveAt = 0;

  constructor(kernel: Kernel, ring: Ring) {
    this.#kernel = kernel;
    this.#ring = ring;
  }

  /** Whether another loop watches. */
  get isGuest(): boolean {
    return this.#eventfd >= 0;
  }

  /** Whether entering the kernel would bring anything. */
  get worth(): boolean {
    const { submissions, completions } = this.#ring;
    const unasked = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    return submissions.pending > 0 || completions.length > 0 || (submissions.flags & unasked) !== 0;
  }

  /** The eventfd: readable when a turn would find something. */
  fileno(): number {
    if (this.#eventfd < 0) {
      const { libc } = this.#kernel;
      this.#eventfd = check(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
      check(this.#ring.signal(this.#eventfd), "io_uring_register");
      this.#signalling = true;
    }
    return this.#eventfd;
  }

  /** A turn begins, and may wait so long. */
  begin(timeoutMs: number): void {
    this.#deadline = timeoutMs > 0 ? performance.now() + timeoutMs : timeoutMs;
    if (this.isGuest) this.#leaveAt = performance.now() + GUEST_MS;
    if (!this.#signalling) return;
    this.#signalling = false;
    this.#ring.completions.setSignalling(false);
    const { libc, scratch } = this.#kernel;
    libc.read(this.#eventfd, scratch.address, 8);
  }

  /** Submits, and waits for a completion for as long as is left. */
  enter(): void {
    const deadline = this.#deadline;
    if (deadline === 0 || this.#ring.completions.length > 0) {
      if (this.worth) this.enterNow();
      return;
    }
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

  /** Whether a guest may go another round, and it is worth it. */
  get mayStay(): boolean {
    return this.isGuest && this.worth && performance.now() < this.#leaveAt;
  }

  /**
   * The turn is over.
   *
   * @returns Whether whoever watches the eventfd will hear of all that is to come; else there is more
   * to do already.
   */
  rest(): boolean {
    if (!this.isGuest) return true;
    if (this.worth) return false;
    if (this.#signalling) return true;
    this.#signalling = true;
    this.#ring.completions.setSignalling(true);
    // What came between the look and the signal is told by nobody else.
    return !this.worth;
  }

  close(): void {
    if (this.#eventfd >= 0) this.#kernel.libc.close(this.#eventfd);
    this.#eventfd = -1;
  }

  #check(result: number): void {
    if (result < 0 && !NO_FAILURE.includes(result)) check(result, "io_uring_enter");
  }
}
