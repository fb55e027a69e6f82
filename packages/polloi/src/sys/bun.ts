import { createRequire } from "node:module";
import { ArenaPool, type ViewMemory } from "./arena.ts";
import { BunThread } from "./bun-thread.ts";
import { type Kernel, UnsupportedError } from "./kernel.ts";
import { type Bound, libcFrom, type Native, type NativeType, SIGNATURES } from "./libc.ts";
import { LIBC_NAMES } from "./libc-names.ts";
import { ThreadWatches } from "./thread-watch.ts";
import { Turns } from "./turns.ts";

// The part of bun:ffi that is used. Its own types would have to be installed under Node and Deno too.
interface BunFunction {
  readonly args: readonly string[];
  readonly returns: string;
}
interface BunFfi {
  dlopen(
    path: string,
    functions: Readonly<Record<string, BunFunction>>,
  ): { readonly symbols: Readonly<Record<string, Native>> };
  toArrayBuffer(address: number, offset: number, byteLength: number): ArrayBuffer;
}

/**
 * bun:ffi's names for what crosses. `i64` takes any number for an address or a length, and
 * `i64_fast` gives a number back where `i64` would give a BigInt.
 */
const BUN_TYPES: Readonly<Record<NativeType, string>> = {
  i32: "i32",
  u32: "u32",
  size: "i64",
  ptr: "i64",
};

/** Opens the kernel through `bun:ffi`. */
export function openBun(): Kernel {
  const ffi = createRequire(import.meta.url)("bun:ffi") as BunFfi;
  const functions: Record<string, BunFunction> = {
    __errno_location: { args: [], returns: "i64_fast" },
  };
  for (const [name, { args, returns }] of Object.entries(SIGNATURES)) {
    functions[name] = {
      args: args.map((type) => BUN_TYPES[type]),
      returns: returns === "ptr" ? "i64_fast" : "i32",
    };
  }
  const symbols = openLibc(ffi, functions);
  const viewMemory: ViewMemory = (address, byteLength) => ffi.toArrayBuffer(address, 0, byteLength);
  const errno = new Int32Array(viewMemory((symbols.__errno_location as Native)(), 4));
  const libc = libcFrom(symbols as Bound, errno);
  const arenas = new ArenaPool(libc, viewMemory);
  const scratch = arenas.map(64 * 1024);
  const turns = new Turns();
  const watches = new ThreadWatches(
    { libc, scratch, turns },
    (epoll, onReady) => new BunThread({ libc, scratch }, epoll, onReady),
  );
  return {
    runtime: "bun",
    runtimeVersion: process.versions.bun as string,
    libc,
    arenas,
    scratch,
    watch: (fd, onReadable) => watches.watch(fd, onReadable),
    soon: (callback) => turns.soon(callback),
  };
}

function openLibc(
  ffi: BunFfi,
  functions: Readonly<Record<string, BunFunction>>,
): Readonly<Record<string, Native>> {
  let cause: unknown;
  for (const name of LIBC_NAMES) {
    try {
      return ffi.dlopen(name, functions).symbols;
    } catch (error) {
      cause ??= error;
    }
  }
  throw new UnsupportedError(
    `polloi calls libc through bun:ffi, which did not open it: ${(cause as Error).message.split("\n")[0]}`,
    { cause },
  );
}
