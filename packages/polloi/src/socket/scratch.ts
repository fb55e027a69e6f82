import type { Arena, Arenas } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";

/**
 * The offsets of the arguments of socket calls in {@link Kernel.scratch}.
 *
 * @remarks
 * A call that waits polls between two attempts. All arguments have different offsets, so that polling does not overwrite the
 * address and the bytes of the call.
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

/** The size of `sockaddr_storage`, which holds an address of any family. */
export const SOCKADDR_SIZE = 128;

/**
 * The most bytes that one call transfers on a stream. More would only be copied in vain, because the buffer of a socket has
 * a few MiB at most.
 */
export const MAX_STREAM_TRANSFER: number = 1024 * 1024;

/** A large arena per thread, which is kept for the next call, because releasing it costs page faults. */
const large = new WeakMap<Arenas, Arena>();

/**
 * An arena with `length` bytes at {@link AT_BYTES}. Release it with {@link giveBack}.
 *
 * @remarks
 * The caller's bytes are copied, because a system call needs an address, and JavaScript may move its memory.
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

/** Releases the arena of {@link borrow}. */
export function giveBack(kernel: Kernel, arena: Arena): void {
  if (arena === kernel.scratch || arena === large.get(kernel.arenas)) return;
  kernel.arenas.release(arena);
}
