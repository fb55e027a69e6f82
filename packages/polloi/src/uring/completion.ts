import { stringOf } from "../base/argument.ts";
import { check } from "../base/sys-error.ts";
import { IORING_CQE_F_BUFFER, IORING_CQE_F_MORE } from "./constants.ts";

/**
 * The completion of an operation.
 *
 * @remarks
 * The result is the return value of the system call of the same name, or `-errno`. Some operations succeed with an
 * errno: a timeout that expires completes with `-ETIME`, a cancelled operation with `-ECANCELED`.
 *
 * Source: io_uring(7), "Completion queue entry".
 */
export class Completion {
  /** The tag of the submission. */
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

  /** Whether the operation continues, and more completions follow. */
  get more(): boolean {
    return (this.flags & IORING_CQE_F_MORE) !== 0;
  }

  /** Whether its bytes are in a buffer of a `BufferRing`. */
  get hasBuffer(): boolean {
    return (this.flags & IORING_CQE_F_BUFFER) !== 0;
  }

  /**
   * Returns the result, or throws if the operation failed.
   *
   * @param syscall - The name of the call, for the error.
   * @throws SysError with the code of the failure.
   */
  check(syscall: string): number {
    stringOf(syscall, "the name of a call");
    return check(this.result, syscall);
  }
}
