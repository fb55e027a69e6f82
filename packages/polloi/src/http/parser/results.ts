/** More bytes are needed: all that were given are taken. */
export const NEED_MORE = 0;
/** A head is complete: see `RequestParser.head`. */
export const HEAD = 1;
/** Bytes of a body have come: from `bodyStart` to `bodyEnd`. */
export const BODY = 2;
/** The request is complete. The next one may begin at `position`. */
export const END = 3;
/** The request is refused, and so is all that comes: see `failure`, `status` and `reason`. */
export const FAILED = 4;

/** What a read has found. */
export type ReadResult = typeof NEED_MORE | typeof HEAD | typeof BODY | typeof END | typeof FAILED;
