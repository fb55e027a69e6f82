import type { Arena, Arenas } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";

/**
 * Where a socket call puts its arguments in {@link Kernel.scratch}.
 *
 * @remarks
 * A call that has to wait polls between two attempts. Each argument has a place of its own, so that
 * polling leaves the address and the bytes of the call as they are.
 *
 * ```text
 *   0         128         136      144       160      216     232    256
 *   | sockaddr | socklen_t | pollfd | timeout | msghdr | iovec |      | bytes ...
 * ```
 */
export const AT_ADDRESS = 0;
export const AT_LENGTH = 128;
export const AT_POLLFD = 136;
export const AT_TIMEOUT = 144;
export const AT_MESSAGE = 160;
export const AT_VECTOR = 216;
export const AT_BYTES = 256;

/** `sockaddr_storage`: room for an address of any family. */
export const SOCKADDR_SIZE = 128;

/**
 * The most that a stream moves in one call. More would only wait in a copy: a socket's buffer is a
 * few MiB at the largest, and a stream may take less than it is given anyway.
 */
export const MAX_STREAM_TRANSFER: number = 1024 * 1024;

/** One large arena for each thread, kept for the next call because giving it back costs page faults. */
const large = new WeakMap<Arenas, Arena>();

/**
 * An arena with room for `length` bytes at {@link AT_BYTES}; {@link giveBack} takes it.
 *
 * @remarks
 * The caller's bytes are copied into it, or out of it, because a call takes addresses only and memory
 * of JavaScript's has none that it keeps.
 */
export function borrow(kernel: Kernel, length: number): Arena {
  if (AT_BYTES + length <= kernel.scratch.byteLength) return kernel.scratch;
  if (length > MAX_STREAM_TRANSFER) return kernel.arenas.map(AT_BYTES + length);
  let arena = large.get(kernel.arenas);
  if (arena === undefined) {
    arena = kernel.arenas.map(AT_BYTES + MAX_STREAM_TRANSFER);
    large.set(kernel.arenas, arena);
  }
  return arena;
}

/** Ends the loan of {@link borrow}. */
export function giveBack(kernel: Kernel, arena: Arena): void {
  if (arena === kernel.scratch || arena === large.get(kernel.arenas)) return;
  kernel.arenas.release(arena);
}
