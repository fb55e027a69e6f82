import { EPOLL_EVENT } from "./abi.ts";
import { ArenaPool, type Arenas, type ViewMemory } from "./arena.ts";
import { type Kernel, UnsupportedError } from "./kernel.ts";
import {
  type Bound,
  LIBC_NAMES,
  libcFrom,
  type Native,
  type NativeType,
  SIGNATURES,
} from "./libc.ts";
import { END, MAX_READY, ThreadWatches, tagsOf, type WaitingThread } from "./thread-watch.ts";
import { Turns } from "./turns.ts";

// The part of Deno's FFI that is used. Its own types would have to be installed under Node and Bun too.
type DenoPointer = object;
interface DenoFunction {
  readonly parameters: readonly string[];
  readonly result: string;
  readonly name?: string;
  readonly nonblocking?: boolean;
}
type NonblockingWait = (
  epoll: number,
  events: number,
  maxEvents: number,
  timeoutMs: number,
) => Promise<number>;
interface DenoCore {
  refOpPromise(promise: Promise<unknown>): void;
  unrefOpPromise(promise: Promise<unknown>): void;
}
interface DenoNamespace {
  /** The key of what Deno keeps to itself. */
  readonly internal: symbol;
  readonly [key: symbol]: { readonly core?: DenoCore } | undefined;
  readonly version: { readonly deno: string };
  addSignalListener(signal: "SIGWINCH", listener: () => void): void;
  removeSignalListener(signal: "SIGWINCH", listener: () => void): void;
  readonly permissions: { querySync(permission: { name: "ffi" }): { readonly state: string } };
  dlopen(
    path: string,
    functions: Readonly<Record<string, DenoFunction>>,
  ): { readonly symbols: Readonly<Record<string, (...args: never[]) => unknown>> };
  readonly UnsafePointer: { create(address: bigint): DenoPointer };
  readonly UnsafePointerView: {
    getArrayBuffer(pointer: DenoPointer, byteLength: number): ArrayBuffer;
  };
}

/** Deno's names for what crosses. */
const DENO_TYPES: Readonly<Record<NativeType, string>> = {
  i32: "i32",
  u32: "u32",
  size: "u64",
  ptr: "u64",
};

/** Opens the kernel through `Deno.dlopen`. */
export function openDeno(): Kernel {
  const deno = (globalThis as unknown as { Deno: DenoNamespace }).Deno;
  try {
    return open(deno);
  } catch (cause) {
    throw unsupported(deno, cause);
  }
}

function open(deno: DenoNamespace): Kernel {
  const functions: Record<string, DenoFunction> = {
    __errno_location: { parameters: [], result: "u64" },
    wait_on_thread: {
      name: "epoll_wait",
      parameters: SIGNATURES.epoll_wait.args.map((type) => DENO_TYPES[type]),
      result: "i32",
      nonblocking: true,
    },
    leave_to_runtime: { name: "sched_yield", parameters: [], result: "i32", nonblocking: true },
  };
  for (const [name, { args, returns }] of Object.entries(SIGNATURES)) {
    functions[name] = {
      parameters: args.map((type) => DENO_TYPES[type]),
      result: returns === "ptr" ? "i64" : "i32",
    };
  }
  const symbols = openLibc(deno, functions);
  const viewMemory: ViewMemory = (address, byteLength) =>
    deno.UnsafePointerView.getArrayBuffer(deno.UnsafePointer.create(BigInt(address)), byteLength);
  const errnoAddress = (symbols.__errno_location as unknown as () => bigint)();
  const errno = new Int32Array(viewMemory(Number(errnoAddress), 4));
  const bound = { ...symbols, mmap: surely(symbols.mmap as Native, errno) } as Bound;
  const libc = libcFrom(bound, errno, wordPasser());
  const arenas = new ArenaPool(libc, viewMemory);
  const scratch = arenas.map(64 * 1024);
  const wait = symbols.wait_on_thread as unknown as NonblockingWait;
  const leave = symbols.leave_to_runtime as unknown as () => Promise<number>;
  // A call in another thread: this one has nothing to run until it returns, so Deno polls its I/O. The first call
  // may return before the turn that made it has ended; nothing else is left to run beside the second.
  const turns = new Turns(() => leave().then(leave));
  const watches = new ThreadWatches({ libc, scratch, turns }, (epoll, onReady) =>
    startThread(deno, wait, arenas, epoll, (tags) => {
      turns.polled();
      onReady(tags);
    }),
  );
  let hasWatched = false;
  return {
    runtime: "deno",
    runtimeVersion: deno.version.deno,
    libc,
    arenas,
    scratch,
    watch: (fd, onReadable) => {
      // A server that is overrun right after its start would leave no descriptor for them.
      if (!hasWatched) openDenoSignals();
      hasWatched = true;
      return watches.watch(fd, onReadable);
    },
    soon: (callback) => turns.soon(callback),
  };
}

/**
 * Waits in one of the threads that Deno keeps for blocking calls.
 *
 * A call in flight keeps the process alive. What lets go of it is not in Deno's documented interface;
 * where it should be missing one day, a watch keeps the process alive whatever is asked.
 */
function startThread(
  deno: DenoNamespace,
  wait: NonblockingWait,
  arenas: Arenas,
  epoll: number,
  onReady: (tags: readonly number[]) => void,
): WaitingThread {
  const core = deno[deno.internal]?.core;
  const ready = arenas.map(MAX_READY * EPOLL_EVENT.stride * 4);
  let referenced = true;
  let pending: Promise<number>;
  const next = () => {
    const call = wait(epoll, ready.address, MAX_READY, -1);
    pending = call;
    if (!referenced) core?.unrefOpPromise(call);
    call.then((count) => {
      const tags = tagsOf(ready.u32, Math.max(count, 0));
      if (tags.includes(END)) arenas.release(ready);
      else next();
      onReady(tags);
    });
  };
  next();
  return {
    ref: () => {
      referenced = true;
      core?.refOpPromise(pending);
    },
    unref: () => {
      referenced = false;
      core?.unrefOpPromise(pending);
    },
  };
}

/**
 * Passes 64 bits as Deno's fast calls take them.
 *
 * A number for a 64-bit parameter sends the call down the slow path (about 250 ns); a BigInt does not,
 * but has to be made (about 80 ns). Read from a typed array, it is never made: the compiled code loads
 * the word and hands it on as it is (about 10 ns).
 */
function wordPasser(): (value: number) => number {
  const halves = new Uint32Array(2);
  const word = new BigUint64Array(halves.buffer);
  return (value) => {
    halves[0] = value;
    halves[1] = Math.floor(value / 0x1_0000_0000);
    // Declared as the number that it stands for: only Deno's FFI ever sees it.
    return word[0] as unknown as number;
  };
}

/**
 * mmap, and what it failed with.
 *
 * Deno gives 64 bits back as a BigInt only, and making one is a chance for the collector to run, whose own
 * failing calls would then be what errno says. So what has failed is asked again until it fails twice in the
 * same way. Only mmap gives 64 bits back, and it is rare.
 */
function surely(mmap: Native, errno: Int32Array): (...args: number[]) => number {
  return (...args) => {
    for (let before = 0; ; ) {
      const address = Number(mmap(...args));
      const code = errno[0] as number;
      if (address !== -1 || code === before) return address;
      before = code;
    }
  };
}

function openLibc(
  deno: DenoNamespace,
  functions: Readonly<Record<string, DenoFunction>>,
): Readonly<Record<string, Native>> {
  let cause: unknown;
  for (const name of LIBC_NAMES) {
    try {
      return deno.dlopen(name, functions).symbols as Readonly<Record<string, Native>>;
    } catch (error) {
      cause ??= error;
    }
  }
  throw cause;
}

/**
 * Has Deno set up its signal handlers now.
 *
 * It does so when the main module has been evaluated, or when the first listener is added: it opens a pair of
 * sockets, which panics if there is no descriptor left, and takes SIGINT, SIGTERM and SIGHUP.
 */
export function openDenoSignals(): void {
  const deno = (globalThis as unknown as { Deno: DenoNamespace }).Deno;
  const listener = () => {};
  deno.addSignalListener("SIGWINCH", listener);
  deno.removeSignalListener("SIGWINCH", listener);
}

/** What went wrong in Deno's FFI, in a line that says what to do. */
function unsupported(deno: DenoNamespace, cause: unknown): UnsupportedError {
  // Asked only now, so that Deno may ask the person at the terminal first. A permission for one library
  // is not enough: looking at memory needs the whole.
  if (deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    return new UnsupportedError(
      "polloi calls libc through Deno's FFI, which is not permitted here; run deno with --allow-ffi",
    );
  }
  return new UnsupportedError(
    `polloi calls libc through Deno's FFI, which did not open it: ${(cause as Error).message.split("\n")[0]}`,
    { cause },
  );
}
