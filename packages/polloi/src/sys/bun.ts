import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { EPOLL_EVENT, F_DUPFD_CLOEXEC } from "./abi.ts";
import { type Arena, ArenaPool, type ViewMemory } from "./arena.ts";
import { type Kernel, UnsupportedError } from "./kernel.ts";
import {
  type Bound,
  LIBC_NAMES,
  type Libc,
  libcFrom,
  type Native,
  type NativeType,
  SIGNATURES,
  type Signature,
} from "./libc.ts";
import { checkOpenSsl, LIBSSL_NAMES, openLibssl } from "./libssl.ts";
import { loopTimer } from "./loop-timer.ts";
import { type OpenSsl, openSslFrom, openSslSignatures } from "./openssl.ts";
import { systemRoots } from "./root-certificates.ts";
import { END, MAX_READY, ThreadWatches, tagsOf, type WaitingThread } from "./thread-watch.ts";
import { Turns } from "./turns.ts";

// The part of bun:ffi that is used. The types of Bun would have to be installed for Node and Deno too.
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
  readonly JSCallback: new (callback: Native, type: BunFunction) => { readonly ptr: number };
}

/**
 * The types of bun:ffi. `i64` accepts any number as an address or a length, and `i64_fast` returns a number where
 * `i64` would return a BigInt.
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
  for (const [name, signature] of Object.entries(SIGNATURES)) {
    functions[name] = bunFunction(signature);
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
  let openSsl: OpenSsl | undefined;
  return {
    runtime: "bun",
    runtimeVersion: process.versions.bun as string,
    libc,
    arenas,
    scratch,
    watch: (fd, onReadable) => watches.watch(fd, onReadable),
    now: () => performance.now(),
    realtime: () => Date.now(),
    soon: (callback) => turns.soon(callback),
    openSsl: () => {
      openSsl ??= bindOpenSsl(ffi);
      return openSsl;
    },
    after: loopTimer,
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

/** A function in the types of bun:ffi. */
function bunFunction({ args, returns }: Signature): BunFunction {
  return {
    args: args.map((type) => BUN_TYPES[type]),
    returns: returns === "ptr" ? "i64_fast" : "i32",
  };
}

/** Binds the libssl of the system. */
function bindOpenSsl(ffi: BunFfi): OpenSsl {
  const functions = Object.fromEntries(
    openSslSignatures().map(([name, signature]) => [name, bunFunction(signature)]),
  );
  const open = (name: string) => ffi.dlopen(name, functions).symbols as OpenSsl["calls"];
  /** The callbacks must not be collected. */
  const callbacks: object[] = [];
  return checkOpenSsl({
    calls: openSslFrom(openLibssl("Bun", open)),
    source: LIBSSL_NAMES[0] as string,
    rootCertificates: systemRoots,
    callback(args, callback) {
      const types = args.map((type) => (BUN_TYPES[type] === "i64" ? "i64_fast" : "i32"));
      const made = new ffi.JSCallback((...values) => callback(...values.map(Number)), {
        args: types,
        returns: "i32",
      });
      callbacks.push(made);
      return made.ptr;
    },
  });
}

/** Before there is a worker, a timer polls the set at this interval, this many times. */
const POLL_INTERVAL_MS = 1;
const POLLS_BEFORE_WORKER = 20;
/** Descriptors reserved for the worker. Bun opens an epoll set, an eventfd and a file to start one. */
const RESERVED = 6;
/** The longest time to wait for the worker to start. It takes about 30 ms, more on a busy machine. */
const START_TIMEOUT_MS = 2_000;

/** The data passed to the worker. */
interface WaiterData {
  readonly epoll: number;
  readonly libcNames: readonly string[];
  readonly maxReady: number;
  readonly stride: number;
  readonly data: number;
  readonly end: number;
  /** Becomes 1 once the worker has opened its descriptors. */
  readonly started: Int32Array;
}

/**
 * The program of the worker. It sleeps in epoll_wait and posts the tags of ready descriptors.
 *
 * It is a string, because a bundler that makes one file of a program loses other files, and because opening a file
 * takes a descriptor, of which there may be none left.
 */
const WAITER = `
import { dlopen, ptr } from "bun:ffi";
import { exit } from "node:process";
import { parentPort, workerData } from "node:worker_threads";

const { epoll, libcNames, maxReady, stride, data, end, started } = workerData;
const wait = { epoll_wait: { args: ["i32", "i64", "i32", "i32"], returns: "i32" } };
let libc;
for (const name of libcNames) {
  try {
    libc ??= dlopen(name, wait).symbols;
  } catch {}
}
const words = new Uint32Array(new ArrayBuffer(maxReady * stride * 4));
const address = ptr(words);
parentPort.postMessage([]);
Atomics.store(started, 0, 1);
Atomics.notify(started, 0);
for (let ended = false; !ended; ) {
  const count = libc.epoll_wait(epoll, address, maxReady, -1);
  const tags = [];
  for (let i = 0; i < count; i++) tags.push(words[i * stride + data]);
  if (tags.length > 0) parentPort.postMessage(tags);
  ended = tags.includes(end);
}
exit();
`;

/**
 * A worker thread that sleeps in epoll_wait and posts the tags of ready descriptors.
 *
 * @remarks
 * Bun's loop accepts no foreign descriptor, and its `uv_poll_*` functions are stubs. All ways to wake it from another
 * thread cost about the same (docs/decisions/0002). A worker is the documented one.
 *
 * A worker takes about 30 ms of CPU time to start. A watch therefore begins without one: a timer polls the set each
 * millisecond, so a short watch starts no worker. The timer and the worker can poll the set at the same time,
 * because the kernel reports a one-shot entry to only one of them.
 *
 * Bun ends the process when a worker finds no free descriptor at its start. Some are therefore reserved when the
 * watch begins. They are closed right before the start, and this thread waits until the worker has opened its own,
 * so that no connection is accepted in between. While descriptors cannot be reserved, the timer continues.
 */
class BunThread implements WaitingThread {
  readonly #epoll: number;
  readonly #onReady: (tags: readonly number[]) => void;
  readonly #libc: Libc;
  readonly #scratch: Arena;
  readonly #timer: NodeJS.Timeout;
  readonly #reserved: number[] = [];
  #worker: Worker | undefined;
  #polls = 0;
  #referenced = true;

  constructor(
    { libc, scratch }: { readonly libc: Libc; readonly scratch: Arena },
    epoll: number,
    onReady: (tags: readonly number[]) => void,
  ) {
    this.#libc = libc;
    this.#scratch = scratch;
    this.#epoll = epoll;
    this.#onReady = onReady;
    this.#timer = setInterval(() => this.#poll(), POLL_INTERVAL_MS);
    this.#reserve();
  }

  ref(): void {
    this.#referenced = true;
    this.#timer.ref();
    this.#worker?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#timer.unref();
    this.#worker?.unref();
  }

  end(): boolean {
    // The worker must have left the set before the set is closed.
    if (this.#worker !== undefined) return false;
    clearInterval(this.#timer);
    this.#release();
    return true;
  }

  #poll(): void {
    const { address, u32 } = this.#scratch;
    const count = this.#libc.epoll_wait(this.#epoll, address, MAX_READY, 0);
    // Only the worker reports the end: the set is closed when the worker no longer waits for it.
    this.#onReady(tagsOf(u32, Math.max(count, 0)).filter((tag) => tag !== END));
    if (this.#worker !== undefined) return;
    if (++this.#polls % POLLS_BEFORE_WORKER === 0 && this.#reserve()) this.#startWorker();
  }

  /** @returns Whether enough descriptors for a worker are reserved. */
  #reserve(): boolean {
    while (this.#reserved.length < RESERVED) {
      const fd = this.#libc.fcntl(this.#epoll, F_DUPFD_CLOEXEC, 0);
      if (fd < 0) return false;
      this.#reserved.push(fd);
    }
    return true;
  }

  #release(): void {
    for (const fd of this.#reserved.splice(0)) this.#libc.close(fd);
  }

  #startWorker(): void {
    const started = new Int32Array(new SharedArrayBuffer(4));
    const workerData: WaiterData = {
      epoll: this.#epoll,
      libcNames: LIBC_NAMES,
      maxReady: MAX_READY,
      stride: EPOLL_EVENT.stride,
      data: EPOLL_EVENT.data,
      end: END,
      started,
    };
    this.#release();
    const worker = new Worker(WAITER, { eval: true, workerData });
    // The first message has no tags and reports that the worker waits. One listener receives all messages, because
    // a listener that is added later keeps the process alive again, in spite of unref().
    worker.on("message", (tags: readonly number[]) => {
      clearInterval(this.#timer);
      this.#onReady(tags);
    });
    if (!this.#referenced) worker.unref();
    this.#worker = worker;
    Atomics.wait(started, 0, 0, START_TIMEOUT_MS);
  }
}
