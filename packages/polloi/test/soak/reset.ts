import type { Socket } from "node:net";
import { ERRNO } from "../../src/base/errno.ts";
import { takeSocketError } from "../../src/socket/raw.ts";
import { kernel } from "../../src/sys/open.ts";

/**
 * Whether the end of the stream that `socket` reports was a reset. To be called on "end".
 *
 * @remarks
 * When the last bytes and a reset have both arrived before Node 20 reads, it reports an end: its libuv does not make
 * the receive that would fail. The socket then still has the error. After an end in order that error is EPIPE, if a
 * reset follows. libuv 1.52, in Node 26, makes that receive.
 *
 * @source https://github.com/libuv/libuv/pull/4997
 */
export function wasReset(socket: Socket): boolean {
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  return fd >= 0 && takeSocketError(kernel, fd) === ERRNO.ECONNRESET;
}
