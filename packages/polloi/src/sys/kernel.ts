import type { Arena, Arenas } from "./arena.ts";
import type { Libc } from "./libc.ts";

/** The runtimes whose foreign-function interface polloi speaks. */
export type RuntimeName = "node" | "bun" | "deno";

/**
 * A descriptor watched by the runtime's own event loop.
 *
 * @remarks
 * Whoever made it must {@link LoopWatch.stop} it before the descriptor is closed.
 */
export interface LoopWatch {
  /** Lets the process end although this is being watched. */
  unref(): void;
  /** Keeps the process alive while this is being watched; as it is from the start. */
  ref(): void;
  /** Ends the watch. No callback comes after it returns. Safe to call twice. */
  stop(): void;
}

/**
 * The kernel as one runtime gives it: libc, mapped memory, and a place in the runtime's event loop.
 *
 * @remarks
 * This is the only thing the floors above know of the outside, and it is handed to them, so that a
 * test can hand over one that fails on command. It belongs to one thread: a worker opens its own.
 */
export interface Kernel {
  readonly runtime: RuntimeName;
  /** The runtime's version as it prints it itself, without a leading `v`. */
  readonly runtimeVersion: string;
  readonly libc: Libc;
  readonly arenas: Arenas;
  /**
   * 64 KiB for the arguments of one call: filled, used and read without anything between that could
   * call another floor. Never kept.
   */
  readonly scratch: Arena;
  /**
   * Calls `onReadable` from the runtime's own event loop whenever `fd` is readable
   * (level-triggered), as a task of its own: promises settled in it go on before the next one.
   *
   * @param onReadable - Returns whether it found anything to do; a runtime that waits on another
   * thread uses that to look again at once instead of going back to sleep. So it may be called when
   * nothing is readable, and must not block.
   * @throws Error with code `ERR_BLOCKING` where the runtime's loop cannot be reached, as in a worker thread of a
   * program that embeds Node without its functions for addons: there a reactor blocks with `run()`.
   */
  watch(fd: number, onReadable: () => boolean): LoopWatch;
  /**
   * Calls back in the next turn of the runtime's loop, as a task of its own, and keeps the process alive until
   * then. It is fair: callbacks that schedule each other without end do not keep the runtime from its own I/O
   * and timers, as they do with Deno's `setImmediate`.
   */
  soon(callback: () => void): void;
}

/** Opening failed: not Linux, a processor whose ABI is not known, or no FFI. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
  readonly code = "ERR_UNSUPPORTED_PLATFORM";
}

/** What can be said of the runtime without calling anything through its foreign-function interface. */
export interface RuntimeFacts {
  /** Its name and version as people write them: `"Node 20.20.2"`. */
  readonly title: string;
  /** The foreign-function interface through which libc is called there. */
  readonly ffi: string;
}

/** The runtime that this is. */
export function runtimeFacts(): RuntimeFacts {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return { title: `Bun ${bun}`, ffi: "bun:ffi" };
  if (deno !== undefined) return { title: `Deno ${deno}`, ffi: "Deno.dlopen" };
  return { title: `Node ${node}`, ffi: "koffi" };
}
