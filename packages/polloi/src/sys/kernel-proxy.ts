import type { Arena, Arenas } from "./arena.ts";
import type { Kernel } from "./kernel.ts";
import { type Libc, type Native, SIGNATURES } from "./libc.ts";

/** The part of a file that an arena maps. */
export interface MappedFile {
  readonly fd: number;
  /** In bytes. */
  readonly offset: number;
}

/** The differences between a proxy and the kernel behind it. */
export interface KernelHooks {
  /**
   * Returns the calls to use instead of the kernel's.
   *
   * @param libc - The kernel's own calls.
   */
  readonly calls?: (libc: Libc) => Partial<Libc>;
  /** Returns the function to use instead of {@link Kernel.watch}. */
  readonly watch?: (watch: Kernel["watch"]) => Kernel["watch"];
  /** Returns the function to use instead of {@link Kernel.soon}. */
  readonly soon?: (soon: Kernel["soon"]) => Kernel["soon"];
  /** Called before memory is mapped. May throw what a failed mmap(2) throws. */
  readonly mapping?: (byteLength: number) => void;
  /**
   * Called when memory was mapped. A pool reuses its arenas, so the same arena may come again after its release.
   *
   * @param file - Set when the memory is that of a file, as the rings of an io_uring are.
   */
  readonly mapped?: (arena: Arena, file?: MappedFile) => void;
  /** Called before an arena is released. */
  readonly released?: (arena: Arena) => void;
}

/**
 * Called in place of a call: makes the call, or returns another result.
 *
 * @param name - The name of the call.
 * @param args - Its arguments.
 * @param call - The kernel's own call. It may be made with other arguments, several times, or not at all.
 * @returns The result for the caller: `>= 0`, or `-errno`.
 */
export type CallHook = (name: keyof Libc, args: readonly number[], call: Native) => number;

/**
 * A kernel that behaves like `kernel`, except where `hooks` say otherwise.
 *
 * @remarks
 * Tracing, fault injection and simulation all wrap a kernel in this way, and a proxy can be wrapped again. Calls
 * without a hook are the kernel's own functions, so they cost the same.
 *
 * @example
 * ```ts nocheck
 * const withoutMemory = proxyKernel(kernel, { calls: () => ({ epoll_create1: () => -ERRNO.ENOMEM }) });
 * const counting = proxyKernel(kernel, {
 *   calls: (libc) =>
 *     hookCalls(libc, (name, args, call) => {
 *       counts[name]++;
 *       return call(...args);
 *     }),
 * });
 * ```
 */
export function proxyKernel(kernel: Kernel, hooks: KernelHooks): Kernel {
  const { calls, watch, soon, mapping, mapped, released } = hooks;
  const hooksArenas = mapping !== undefined || mapped !== undefined || released !== undefined;
  return {
    ...kernel,
    ...(calls === undefined ? {} : { libc: { ...kernel.libc, ...calls(kernel.libc) } }),
    ...(hooksArenas ? { arenas: proxyArenas(kernel.arenas, hooks) } : {}),
    ...(watch === undefined ? {} : { watch: watch(kernel.watch) }),
    ...(soon === undefined ? {} : { soon: soon(kernel.soon) }),
  };
}

/** Every call of `libc`, made through `hook`. */
export function hookCalls(libc: Libc, hook: CallHook): Libc {
  const names = Object.keys(SIGNATURES) as (keyof Libc)[];
  const hooked = names.map((name) => {
    const call: Native = libc[name];
    const replacement: Native = (...args) => hook(name, args, call);
    return [name, replacement];
  });
  return Object.fromEntries(hooked) as Libc;
}

/**
 * Replaces calls in `libc` itself, for all code that uses it.
 *
 * @param calls - Returns the replacements, given the calls as they were.
 */
export function replaceCalls(libc: Libc, calls: (original: Libc) => Partial<Libc>): void {
  Object.assign(libc, calls({ ...libc }));
}

function proxyArenas(arenas: Arenas, { mapping, mapped, released }: KernelHooks): Arenas {
  const hooked = (byteLength: number, map: () => Arena, file?: MappedFile): Arena => {
    mapping?.(byteLength);
    const arena = map();
    mapped?.(arena, file);
    return arena;
  };
  return {
    map: (byteLength) => hooked(byteLength, () => arenas.map(byteLength)),
    mapPermanent: (byteLength) => hooked(byteLength, () => arenas.mapPermanent(byteLength)),
    mapFile: (fd, offset, byteLength) =>
      hooked(byteLength, () => arenas.mapFile(fd, offset, byteLength), { fd, offset }),
    release(arena) {
      released?.(arena);
      arenas.release(arena);
    },
    unmap: () => arenas.unmap(),
  };
}
