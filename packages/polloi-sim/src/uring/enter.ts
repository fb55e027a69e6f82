import { ERRNO, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS } from "polloi/internal/pure";
import {
  ENTER_FLAGS,
  GETEVENTS_ARG_BYTES,
  IORING_ENTER_ABS_TIMER,
  IORING_ENTER_EXT_ARG_REG,
} from "./abi.ts";
import { gap } from "./gap.ts";
import type { RingFile } from "./ring-file.ts";
import type { Submission } from "./submission.ts";
import { DEFAULT_MAX } from "./task-work.ts";
import { readTimespec } from "./timeouts.ts";

/** The arguments of io_uring_enter(2), after the descriptor. */
export interface EnterArguments {
  readonly toSubmit: number;
  readonly minComplete: number;
  readonly flags: number;
  readonly argument: number;
  readonly argumentBytes: number;
}

/** Whether the flags of a call are valid. They are checked before the descriptor. */
export function areEnterFlags(flags: number): boolean {
  return (flags & ~ENTER_FLAGS) === 0;
}

/** io_uring_enter(2). Source: io_uring/io_uring.c. */
export function enter(ring: RingFile, submission: Submission, args: EnterArguments): number {
  const { toSubmit, minComplete, flags } = args;
  const getsEvents = (flags & IORING_ENTER_GETEVENTS) !== 0;
  let submitted = 0;
  if (toSubmit > 0) {
    submitted = submission.submit(toSubmit);
    if (submitted !== toSubmit) return submitted;
    if (getsEvents && ring.work.isPending) {
      ring.work.run(minComplete, Math.max(DEFAULT_MAX, minComplete));
    }
  }
  if (!getsEvents) return submitted;
  const timeoutMs = timeoutOf(ring, args);
  const result = timeoutMs < 0 ? timeoutMs : wait(ring, minComplete, { timeoutMs, flags });
  return submitted > 0 ? submitted : result;
}

/** Returns the timeout in milliseconds, or `-errno`. Source: io_get_ext_arg. */
function timeoutOf({ process }: RingFile, args: EnterArguments): number {
  const { flags, argument, argumentBytes } = args;
  if ((flags & IORING_ENTER_EXT_ARG) === 0) {
    if (argument !== 0) gap("signal mask");
    return Number.POSITIVE_INFINITY;
  }
  if ((flags & IORING_ENTER_EXT_ARG_REG) !== 0) gap("registered wait");
  if (argumentBytes !== GETEVENTS_ARG_BYTES) return -ERRNO.EINVAL;
  const view = process.memory.view(argument, GETEVENTS_ARG_BYTES);
  if (view === undefined) return -ERRNO.EFAULT;
  // struct io_uring_getevents_arg: a signal mask, its size, the shortest wait, the address of a timespec.
  if (view.getUint32(0, true) !== 0 || view.getUint32(4, true) !== 0) gap("signal mask");
  if (view.getUint32(12, true) !== 0) gap("shortest wait");
  const address = view.getUint32(20, true) * 0x1_0000_0000 + view.getUint32(16, true);
  if (address === 0) return Number.POSITIVE_INFINITY;
  return readTimespec(process.memory, address) ?? -ERRNO.EFAULT;
}

/** Waits for completions. Source: io_cqring_wait. */
function wait(
  ring: RingFile,
  minComplete: number,
  how: { readonly timeoutMs: number; readonly flags: number },
): number {
  const { rings, work, completions, timeouts, process } = ring;
  const { world } = process;
  const least = Math.min(minComplete, rings.cqEntries);
  if (work.isPending) work.run(least, Math.max(DEFAULT_MAX, least));
  if (completions.isOverflowing) completions.flushOverflow();
  if (rings.unread >= least) return 0;
  const target = rings.cqHead + least;
  const { ended } = timeouts;
  const isAbsolute = (how.flags & IORING_ENTER_ABS_TIMER) !== 0;
  const deadline = isAbsolute ? how.timeoutMs : world.timeIn(how.timeoutMs);
  const missing = (): number => (target - rings.committedTail) | 0;
  const isOver = (): boolean => missing() <= 0 || timeouts.ended !== ended;
  const isWoken = (): boolean => work.isWoken;
  let result = 0;
  do {
    const wanted = missing();
    work.expect(wanted);
    if (!completions.isOverflowing && !work.isPending && !isOver()) {
      if (world.faults.happens("interrupt")) result = -ERRNO.EINTR;
      else if (!world.waitUntil(isWoken, deadline)) result = -ERRNO.ETIME;
    }
    work.expect(Number.POSITIVE_INFINITY);
    if (work.isPending) work.run(wanted, wanted);
    if (result < 0) break;
    if (completions.isOverflowing) completions.flushOverflow();
  } while (!isOver());
  return rings.unread === 0 ? result : 0;
}
