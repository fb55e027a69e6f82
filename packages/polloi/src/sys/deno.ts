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
import { checkOpenSsl, LIBSSL_NAMES, openLibssl } from "./libssl.ts";
import { loopTimer } from "./loop-timer.ts";
import { type OpenSsl, openSslFrom, openSslSignatures } from "./openssl.ts";
import { systemRoots } from "./root-certificates.ts";
import { END, MAX_READY, ThreadWatches, tagsOf, type WaitingThread } from "./thread-watch.ts";
import { Turns } from "./turns.ts";

// The part of Deno's FFI that is used. The types of Deno would have to be installed for Node and Bun too.
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
  /** The key of the internals of Deno. */
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
  readonly UnsafePointer: {
    create(address: bigint): DenoPointer;
    value(pointer: DenoPointer): bigint | number;
  };
  readonly UnsafeCallback: new (
    type: DenoFunction,
    callback: (...args: (bigint | number)[]) => number,
  ) => { readonly pointer: DenoPointer };
  readonly UnsafePointerView: {
    getArrayBuffer(pointer: DenoPointer, byteLength: number): ArrayBuffer;
  };
}

/** The types of Deno's FFI. */
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
    yield_to_runtime: { name: "sched_yield", parameters: [], result: "i32", nonblocking: true },
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
  const bound = { ...symbols, mmap: withReliableErrno(symbols.mmap as Native, errno) } as Bound;
  const libc = libcFrom(bound, errno, wordConverter());
  const arenas = new ArenaPool(libc, viewMemory);
  const scratch = arenas.map(64 * 1024);
  const wait = symbols.wait_on_thread as unknown as NonblockingWait;
  const yieldToRuntime = symbols.yield_to_runtime as unknown as () => Promise<number>;
  // A call in another thread leaves this thread without work, so Deno polls its I/O. The first call may return in the
  // turn that made it; the second then runs when nothing else is left to do.
  const turns = new Turns(() => yieldToRuntime().then(yieldToRuntime));
  const watches = new ThreadWatches({ libc, scratch, turns }, (epoll, onReady) =>
    startThread(deno, wait, arenas, epoll, {
      onReady(tags) {
        turns.polled();
        onReady(tags);
      },
      ending(call) {
        settled = Promise.all([settled, call]);
      },
    }),
  );
  let openSsl: OpenSsl | undefined;
  let hasWatched = false;
  let settled: Promise<unknown> = Promise.resolve();
  return {
    runtime: "deno",
    runtimeVersion: deno.version.deno,
    libc,
    arenas,
    scratch,
    watch: (fd, onReadable) => {
      // Later, a server with many connections might have no descriptor left for them.
      if (!hasWatched) openDenoSignals();
      hasWatched = true;
      return watches.watch(fd, onReadable);
    },
    now: () => performance.now(),
    realtime: () => Date.now(),
    soon: (callback) => turns.soon(callback),
    settled: () => settled,
    openSsl: () => {
      openSsl ??= bindOpenSsl(deno);
      return openSsl;
    },
    after: loopTimer,
  };
}

/** Binds the libssl of the system. */
function bindOpenSsl(deno: DenoNamespace): OpenSsl {
  const signatures = openSslSignatures();
  const functions = Object.fromEntries(
    signatures.map(([name, { args, returns }]): [string, DenoFunction] => [
      name,
      {
        parameters: args.map((type) => DENO_TYPES[type]),
        result: returns === "ptr" ? "u64" : "i32",
      },
    ]),
  );
  const open = (name: string) => deno.dlopen(name, functions).symbols as OpenSsl["calls"];
  const native = openLibssl("Deno", open);
  // Most functions take and return 64 bits as BigInts. The few of every message are replaced below.
  const converted = Object.fromEntries(
    signatures.map(([name, { args, returns }]) => {
      const call = native[name] as (...args: (number | bigint)[]) => number | bigint;
      const isWide = args.map((type) => DENO_TYPES[type] === "u64");
      const convert = (value: number, i: number) => (isWide[i] ? BigInt(value) : value);
      const called: Native =
        returns === "ptr"
          ? (...values) => Number(call(...values.map(convert)))
          : (...values) => call(...values.map(convert)) as number;
      return [name, called];
    }),
  ) as OpenSsl["calls"];
  const { BIO_read, BIO_ctrl, SSL_read, SSL_write, SSL_want } = openSslFrom(
    native,
    wordConverter(),
  );
  /** The callbacks must not be collected. */
  const callbacks: object[] = [];
  return checkOpenSsl({
    calls: { ...converted, BIO_read, BIO_ctrl, SSL_read, SSL_write, SSL_want },
    source: LIBSSL_NAMES[0] as string,
    rootCertificates: systemRoots,
    callback(args, callback) {
      const parameters = args.map((type) => DENO_TYPES[type]);
      const made = new deno.UnsafeCallback({ parameters, result: "i32" }, (...values) =>
        callback(...values.map(Number)),
      );
      callbacks.push(made);
      return Number(deno.UnsafePointer.value(made.pointer));
    },
  });
}

interface WaitEvents {
  onReady(tags: readonly number[]): void;
  /** The last watch was stopped. @param call - Settles when the thread has returned. */
  ending(call: Promise<unknown>): void;
}

/**
 * Waits in one of the threads that Deno has for blocking calls.
 *
 * A pending call keeps the process alive. The functions that change this are internals of Deno. In a version without
 * them, a watch always keeps the process alive.
 */
function startThread(
  deno: DenoNamespace,
  wait: NonblockingWait,
  arenas: Arenas,
  epoll: number,
  events: WaitEvents,
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
      events.onReady(tags);
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
    end: () => {
      // The call is about to return. If the thread ends before that, Deno leaves two descriptors of its own open.
      core?.refOpPromise(pending);
      events.ending(pending);
      // A call is always in flight.
      return false;
    },
  };
}

/**
 * Returns a function that converts 64-bit arguments for Deno's fast calls.
 *
 * A number as a 64-bit argument makes a call slow (about 250 ns). A BigInt does not, but its allocation takes about
 * 80 ns. If the BigInt is read from a typed array right at the call, compiled code passes the word without allocating
 * one (about 10 ns).
 */
function wordConverter(): (value: number) => number {
  const halves = new Uint32Array(2);
  const word = new BigUint64Array(halves.buffer);
  return (value) => {
    halves[0] = value;
    halves[1] = Math.floor(value / 0x1_0000_0000);
    // Declared as a number, because only Deno's FFI receives it.
    return word[0] as unknown as number;
  };
}

/**
 * Returns mmap with a reliable errno.
 *
 * Deno returns 64 bits as a BigInt only. Allocating one may run the garbage collector, whose own failing calls change
 * errno. A call that failed is therefore repeated until it fails twice with the same errno. Only mmap returns 64
 * bits, and it is rare.
 */
function withReliableErrno(mmap: Native, errno: Int32Array): (...args: number[]) => number {
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
 * Makes Deno set up its signal handlers now.
 *
 * Otherwise Deno does so when the main module has been evaluated, or when the first listener is added. It opens a pair
 * of sockets, panics if no descriptor is left, and replaces the handlers of SIGINT, SIGTERM and SIGHUP.
 */
export function openDenoSignals(): void {
  const deno = (globalThis as unknown as { Deno: DenoNamespace }).Deno;
  const listener = () => {};
  deno.addSignalListener("SIGWINCH", listener);
  deno.removeSignalListener("SIGWINCH", listener);
}

/** Explains in one line why Deno's FFI failed, and what to do. */
function unsupported(deno: DenoNamespace, cause: unknown): UnsupportedError {
  // Checked after the failure, so that Deno can prompt the user first. The permission for one library is not enough:
  // access to memory by address needs all of it.
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
