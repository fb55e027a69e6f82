/**
 * The layout of the memory that a program and io_uring share.
 *
 * Source: io_uring_setup(2).
 */

/** `struct io_uring_params` and the structs of the two offsets at its end, in units of 4 bytes. */
export const PARAMS = {
  sqEntries: 0,
  cqEntries: 1,
  flags: 2,
  features: 5,
  sq: 10,
  cq: 20,
} as const;
export const PARAMS_BYTES = 120;
export const SQ = { head: 0, tail: 1, mask: 2, flags: 4, array: 6 } as const;
export const CQ = { head: 0, tail: 1, mask: 2, entries: 5, flags: 6 } as const;
export const SUBMISSION_BYTES = 64;
export const COMPLETION_BYTES = 16;
