import { stringOf } from "../base/argument.ts";
import { check } from "../base/sys-error.ts";
import { IORING_CQE_F_BUFFER, IORING_CQE_F_MORE } from "./constants.ts";

/**
 * What came of a submission.
 *
 * @remarks
 * A result is what the call of the same name would have returned, or `-errno`. For some, an errno is
 * what was asked for: a timeout that runs out is `-ETIME`, what was cancelled `-ECANCELED`.
 *
 * Source: io_uring(7), "Completion queue entry".
 */
export class Completion {
  /** The number that the submission was given. */
  readonly tag: number;
  /** `>= 0`, or `-errno`. */
  readonly result: number;
  /** IORING_CQE_F_* bits. */
  readonly flags: number;

  /** @internal */
  constructor(tag: number, result: number, flags: number) {
    this.tag = tag;
    this.result = result;
    this.flags = flags;
  }

  /** Whether the submission goes on, and more completions will come of it. */
  get more(): boolean {
    return (this.flags & IORING_CQE_F_MORE) !== 0;
  }

  /** Whether its bytes are in a buffer of a `BufferRing`, to be taken from there. */
  get hasBuffer(): boolean {
    return (this.flags & IORING_CQE_F_BUFFER) !== 0;
  }

  /**
   * The result, if it is one.
   *
   * @param syscall - The name of the call, for the error.
   * @throws SysError with the code that the kernel gave.
   */
  check(syscall: string): number {
    stringOf(syscall, "the name of a call");
    return check(this.result, syscall);
  }
}
