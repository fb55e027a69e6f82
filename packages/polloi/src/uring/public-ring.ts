import { optionsOf } from "../base/argument.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { check } from "../base/sys-error.ts";
import { naturalTimeoutOf } from "../base/timeout.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/kernel-option.ts";
import { BufferRing as Buffers } from "./buffer-ring.ts";
import { Completion } from "./completion.ts";
import { Mapped } from "./mapped.ts";
import { Ring as RawRing, type RingOptions } from "./ring.ts";
import { RingOperations, type Submissions } from "./ring-operations.ts";
import { BufferRing, type BufferRingOptions, powerOfTwo } from "./shared-buffers.ts";

const ARGUMENTS_BYTES = 65_536;
const MOST_BYTES = 2 ** 31;

/**
 * An io_uring: asks the kernel for things, many in one call, and hears of each when it is done.
 *
 * @remarks
 * Each method of {@link RingOperations} pushes a submission into memory that the kernel shares, which
 * costs no call. {@link Ring.submit} hands them over, {@link Ring.wait} does so and waits.
 *
 * It belongs to the thread that made it, and nothing is completed while that thread does something else:
 * Linux 6.1 (IORING_SETUP_DEFER_TASKRUN). Waiting blocks the thread; `Reactor` with the engine
 * `"io_uring"` is what leaves the runtime's event loop alive.
 *
 * Close it: a ring that is garbage-collected first is closed then, with a warning of the process.
 *
 * @example
 * ```ts
 * using ring = new Ring();
 * ring.timeout(20, { tag: 1 });
 * for (const { tag } of ring.wait()) console.log(`${tag} is over`);
 * ```
 *
 * Source: io_uring(7), io_uring_setup(2), io_uring_enter(2).
 */
export class Ring extends RingOperations implements Disposable {
  static {
    printAs(Ring, (it) => {
      const fd = it.fileno();
      return { fd, pending: it.pending, state: fd < 0 ? "closed" : "open" };
    });
  }

  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  readonly #submissions: Submissions;
  readonly #arguments: Arena;
  readonly #mapped: Arena[] = [];
  readonly #buffers: Buffers[] = [];
  readonly #guarded: object;
  #used = 0;

  /**
   * @param options - How large it is to be.
   * @throws RangeError `ERR_INVALID_LENGTH` for sizes that it cannot have; SysError of io_uring_setup:
   * `EPERM` where it is forbidden, `ENOSYS` where there is none, `EINVAL` before Linux 6.1, `ENOMEM`,
   * `EMFILE`.
   */
  constructor(options: RingOptions = {}) {
    super();
    const kernel = kernelOf(options);
    const { entries = 256 } = options;
    assertSize("entries", entries, 32_768);
    const { completionEntries = entries * 8 } = options;
    assertSize("completion entries", completionEntries, 65_536 * 8);
    this.#kernel = kernel;
    this.#ring = new RawRing({ entries, completionEntries, kernel });
    try {
      this.#arguments = kernel.arenas.map(ARGUMENTS_BYTES);
    } catch (error) {
      this.#ring.close();
      throw error;
    }
    const argument = (byteLength: number): { arena: Arena; offset: number } =>
      this.#argument(byteLength);
    this.#submissions = { queue: this.#ring.submissions, argument };
    this.#guarded = guardRing(this, this.#ring);
  }

  /**
   * The ring's descriptor, -1 once it is closed.
   *
   * @remarks
   * Do not wait for it with another selector or event loop: work that is deferred to this thread, which is most of it,
   * does not make it readable for them. `Reactor` has a descriptor for that.
   */
  fileno(): number {
    return this.#ring.fileno();
  }

  /** How many submissions were pushed that the kernel has not taken. */
  get pending(): number {
    return this.#ring.submissions.pending;
  }

  /**
   * Maps memory for reads, writes, receives and sends. It is the ring's, and goes with it.
   *
   * @param byteLength - 1 to 2^31.
   * @throws RangeError `ERR_INVALID_LENGTH`, TypeError `ERR_CLOSED`, SysError `ENOMEM`.
   */
  map(byteLength: number): Mapped {
    this.#assertOpen("map memory");
    if (!Number.isInteger(byteLength) || byteLength < 1 || byteLength > MOST_BYTES) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot map ${show(byteLength)} bytes: give an integer from 1 to ${MOST_BYTES}`,
      );
    }
    const arena = this.#kernel.arenas.map(byteLength);
    this.#mapped.push(arena);
    return new Mapped(arena.address, arena.u8.subarray(0, byteLength));
  }

  /**
   * Gives the kernel buffers to receive into. They are the ring's, and go with it.
   *
   * @throws RangeError `ERR_INVALID_LENGTH`, `ERR_INVALID_OPTION`, TypeError `ERR_CLOSED`; SysError
   * `EEXIST` when the group is there already, `EINVAL` where the kernel has none, `ENOMEM`.
   */
  addBuffers(options: BufferRingOptions = {}): BufferRing {
    this.#assertOpen("add buffers");
    const { group = 0, count = 64, bufferBytes = 4096 } = optionsOf(options);
    powerOfTwo("a number of buffers", count, 1, 32_768);
    powerOfTwo("the bytes of a buffer", bufferBytes, 64, 2 ** 20);
    if (!Number.isInteger(group) || group < 0 || group > 0xffff) {
      throw rangeError(
        "ERR_INVALID_OPTION",
        `Cannot use ${show(group)} as a group: give an integer from 0 to 65535`,
      );
    }
    const sizes = { group, bufferBytes, maxBuffers: count, firstBuffers: count };
    const buffers = Buffers.register(this.#ring, this.#kernel, sizes);
    if (typeof buffers === "number") {
      check(buffers, "io_uring_register");
      throw new Error("unreachable");
    }
    this.#buffers.push(buffers);
    return new BufferRing(buffers);
  }

  /**
   * Hands over what was pushed, without waiting.
   *
   * @returns How many the kernel took.
   * @throws TypeError `ERR_CLOSED`; SysError of io_uring_enter.
   */
  submit(): number {
    this.#assertOpen("submit");
    return this.#checked(this.#ring.submit());
  }

  /**
   * Hands over what was pushed, and waits for completions. It blocks the thread.
   *
   * @param wanted - How many to wait for; 0 does not wait. Default 1.
   * @param timeoutMs - Milliseconds, fractions count; `undefined` waits for ever. A signal does not end
   * the wait.
   * @returns All that there are, which may be more; fewer when the time was up.
   * @throws RangeError `ERR_INVALID_LENGTH` when more are wanted than the ring has room for; TypeError or
   * RangeError `ERR_INVALID_TIMEOUT`; TypeError `ERR_CLOSED`; SysError of io_uring_enter.
   */
  wait(wanted = 1, timeoutMs?: number | null): Completion[] {
    this.#assertOpen("wait");
    const timeout = naturalTimeoutOf(timeoutMs);
    const { capacity } = this.#ring.completions;
    if (!Number.isInteger(wanted) || wanted < 0 || wanted > capacity) {
      throw rangeError(
        "ERR_INVALID_LENGTH",
        `Cannot wait for ${show(wanted)} completions: give an integer from 0 to ${capacity}`,
      );
    }
    const found: Completion[] = [];
    const deadline = timeout > 0 ? performance.now() + timeout : timeout;
    let left = timeout;
    this.#collect(found);
    for (;;) {
      const missing = left === 0 ? 0 : Math.max(wanted - found.length, 0);
      const result = this.#ring.enter(missing, left);
      this.#collect(found);
      // What has come is not lost to an error, which the next wait meets again.
      if (found.length === 0) this.#checked(result);
      else if (result < 0 && !this.#ring.isWaitOver(result)) return found;
      if (found.length >= wanted || left === 0) return found;
      if (deadline > 0) left = Math.max(deadline - performance.now(), 0);
    }
  }

  /** Cancels what is in flight, and gives back the ring, its memory and its buffers. Safe to call twice. */
  close(): void {
    if (this.fileno() < 0) return;
    unguard(this.#guarded);
    this.#ring.cancelAll();
    for (const buffers of this.#buffers) buffers.close();
    this.#ring.close();
    const { arenas } = this.#kernel;
    for (const arena of [this.#arguments, ...this.#mapped]) arenas.release(arena);
    this.#mapped.length = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  protected override queue(verb: string): Submissions {
    this.#assertOpen(verb);
    return this.#submissions;
  }

  #argument(byteLength: number): { arena: Arena; offset: number } {
    if (this.pending === 0) this.#used = 0;
    if (this.#used + byteLength > ARGUMENTS_BYTES) {
      if (byteLength > ARGUMENTS_BYTES) {
        throw rangeError("ERR_INVALID_LENGTH", `Cannot use a path of ${byteLength} bytes`);
      }
      this.submit();
      // The kernel copies them when it takes the submission; what it did not take needs its own.
      if (this.pending > 0) check(-ERRNO.EBUSY, "io_uring_enter");
      this.#used = 0;
    }
    const offset = this.#used;
    this.#used += Math.ceil(byteLength / 8) * 8;
    return { arena: this.#arguments, offset };
  }

  #collect(found: Completion[]): void {
    const { completions } = this.#ring;
    for (let { length } = completions; length > 0; length--) {
      const at = completions.next();
      const tag = completions.tagHigh(at) * 0x1_0000_0000 + completions.tagLow(at);
      found.push(new Completion(tag, completions.result(at), completions.flags(at)));
      completions.skip();
    }
    completions.publish();
  }

  /** @returns What is no failure, as a number of submissions. */
  #checked(result: number): number {
    return result < 0 && this.#ring.isWaitOver(result) ? 0 : check(result, "io_uring_enter");
  }

  #assertOpen(verb: string): void {
    if (this.fileno() < 0) throw typeError("ERR_CLOSED", `Cannot ${verb}: this ring is closed`);
  }
}

/**
 * Memory that was mapped may still be looked at by others, so it is not given back.
 *
 * Apart from the constructor, whose closures lead to the owner and share their scope.
 */
function guardRing(owner: Ring, ring: RawRing): object {
  return guard(owner, ring.fileno(), () => ring.close());
}

function assertSize(what: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw rangeError(
    "ERR_INVALID_LENGTH",
    `Cannot make a ring of ${show(value)} ${what}: give an integer from 1 to ${most}`,
  );
}
