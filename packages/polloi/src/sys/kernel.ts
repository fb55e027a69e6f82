import type { Arena, Arenas } from "./arena.ts";
import type { Libc } from "./libc.ts";
import type { OpenSsl } from "./openssl.ts";

/** The supported runtimes. */
export type RuntimeName = "node" | "bun" | "deno";

/**
 * A descriptor that the runtime's own event loop watches.
 *
 * @remarks
 * Call {@link LoopWatch.stop} before closing the descriptor.
 */
export interface LoopWatch {
  /** Allows the process to end while the watch is active. */
  unref(): void;
  /** Keeps the process alive while the watch is active. This is the default. */
  ref(): void;
  /** Ends the watch. No callback comes after it returns. Safe to call twice. */
  stop(): void;
}

/**
 * A wait of the owner of a watch, for its own descriptors and for the runtime's loop at once.
 *
 * @remarks
 * A runtime whose loop has a descriptor lets the owner wait while there is work for it. So an event costs no iteration
 * of the runtime's loop, whose iterations come when the loop has something to do itself.
 */
export interface JointWait {
  /** Whether the runtime's loop has an event, as of the last turn. */
  readonly isLoopReady: boolean;
  /**
   * Joint turns begin. The descriptor that is watched does not have to be readable until {@link JointWait.leave}.
   *
   * @returns Whether the owner can wait for `loopFd`. If not, nothing begins, and the runtime does not ask again.
   */
  join(loopFd: number): boolean;
  /**
   * Waits, and handles what is there.
   *
   * @param timeoutMs - The longest wait: 0 does not wait, -1 has no limit.
   * @returns Whether it found anything to do.
   */
  turn(timeoutMs: number): boolean;
  /** The time when the wait of the last turn ended, or a later time. */
  readonly wokenAt: number;
  /** Returns the time in milliseconds that turns have waited since the last call. */
  takeIdleTime(): number;
  /** Joint turns end. */
  leave(): void;
}

/**
 * Access to the kernel: system calls, mapped memory, and the runtime's event loop.
 *
 * @remarks
 * All other layers reach the kernel and the runtime through this interface, and take it as an argument. A test, a
 * tracer or a simulation passes another implementation; {@link proxyKernel} wraps one in another. A kernel belongs to
 * one thread, and a worker opens its own.
 */
export interface Kernel {
  readonly runtime: RuntimeName;
  /** The version of the runtime, without a leading `v`. */
  readonly runtimeVersion: string;
  readonly libc: Libc;
  readonly arenas: Arenas;
  /**
   * 64 KiB for the arguments and results of one call. Its contents are valid only until other code runs that may make
   * a call.
   */
  readonly scratch: Arena;
  /** The monotonic time in milliseconds, with fractions. Its zero is arbitrary. */
  now(): number;
  /** The time of day: milliseconds since 1970. */
  realtime(): number;
  /**
   * Calls `onReadable` from the runtime's own event loop while `fd` is readable (level-triggered). Each call is a task
   * of its own: promise reactions run before the next one.
   *
   * @param onReadable - Returns whether it found anything to do. If so, a runtime that waits in another thread calls
   * it again at once instead of going back to sleep. It may thus be called when nothing is readable, and must not
   * block.
   * @param joint - Lets the runtime replace calls of `onReadable` by joint turns.
   * @throws Error with code `ERR_BLOCKING` where the runtime's loop cannot be reached, as in a worker thread of a
   * program that embeds Node without its functions for addons. A reactor can block there with `run()`.
   */
  watch(fd: number, onReadable: () => boolean, joint?: JointWait): LoopWatch;
  /**
   * Calls back in the next turn of the runtime's loop, as a task of its own, and keeps the process alive until then.
   *
   * It is fair: callbacks that always schedule another one do not starve the runtime's own I/O and timers, as they do
   * with Deno's `setImmediate`.
   */
  soon(callback: () => void): void;
  /**
   * Resolves when the calls that stopped watches have left in other threads have returned. A thread of Deno that exits
   * before leaves descriptors of the runtime open. Not there where watches use no other thread.
   */
  settled?(): Promise<unknown>;
  /**
   * Returns OpenSSL, which is bound by the first call. Not there in a simulated kernel.
   *
   * @throws UnsupportedError with one line that says what is missing and what to install.
   */
  openSsl?(): OpenSsl;
  /**
   * Calls back after `delayMs`, or up to a few milliseconds later, as a task of its own.
   *
   * @param delayMs - In milliseconds, more than 0.
   */
  after(delayMs: number, callback: () => void): LoopTimer;
}

/** The clock of a kernel. */
export type Clock = Pick<Kernel, "now">;

/** The clock of a kernel that tells the time of day. */
export type RealtimeClock = Pick<Kernel, "realtime">;

/** A timer of the runtime's own event loop. It keeps the process alive, unless {@link LoopTimer.unref} was called. */
export interface LoopTimer {
  ref(): void;
  unref(): void;
  /** Safe to call twice, and after it has fired. */
  cancel(): void;
}

/** The kernel cannot be opened: not Linux, an unknown processor, or no foreign-function interface. */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
  readonly code = "ERR_UNSUPPORTED_PLATFORM";
}

/** Facts about the runtime that need no call through its foreign-function interface. */
export interface RuntimeFacts {
  /** Its name and version, such as `"Node 20.20.2"`. */
  readonly title: string;
  /** The foreign-function interface through which libc is called. */
  readonly ffi: string;
}

/** Returns facts about this runtime. */
export function runtimeFacts(): RuntimeFacts {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return { title: `Bun ${bun}`, ffi: "bun:ffi" };
  if (deno !== undefined) return { title: `Deno ${deno}`, ffi: "Deno.dlopen" };
  return { title: `Node ${node}`, ffi: "koffi" };
}
