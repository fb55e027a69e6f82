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
} from "./libc.ts";
import { END, MAX_READY, ThreadWatches, tagsOf, type WaitingThread } from "./thread-watch.ts";
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

/** How often the set is looked at before there is a worker, and how many looks it takes to get one. */
const LOOK_EVERY_MS = 1;
const LOOKS_BEFORE_WORKER = 20;
/** Descriptors kept for the worker. Bun opens an epoll set, an eventfd and a file to start one. */
const RESERVED = 6;
/** How long this thread waits at most for the worker to start: about 30 ms, more on a busy machine. */
const STARTING_MS = 2_000;

/** What the worker is given. */
interface WaiterData {
  readonly epoll: number;
  readonly libcNames: readonly string[];
  readonly maxReady: number;
  readonly stride: number;
  readonly data: number;
  readonly end: number;
  /** Becomes 1 once the worker has opened all that it needs. */
  readonly started: Int32Array;
}

/**
 * The program of the worker, which sleeps in epoll_wait and posts the tags of what is ready.
 *
 * A string, because a file beside this module is lost when a bundler makes one file of a program, and because
 * opening it takes a descriptor, of which there may be none left.
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
 * A worker that sleeps in epoll_wait and posts what is ready.
 *
 * @remarks
 * Bun's loop takes no foreign descriptor, and its `uv_poll_*` are stubs. What wakes it from another
 * thread costs about the same whatever it is (docs/decisions/0002), so this is the documented way.
 *
 * A worker takes some 30 ms to start, a core busy with it. So a watch begins without one: a timer looks
 * at the set each millisecond, and what is watched for a short time only never costs more than that.
 * Both may look at the set at once, as its one-shot entries are given to one of them.
 *
 * Bun ends the process when a worker finds no descriptor to start with. So some are reserved from the start
 * of the watch, and this thread waits while the worker takes them: it cannot accept a connection meanwhile.
 * While the reserve cannot be filled, the timer goes on looking.
 */
class BunThread implements WaitingThread {
  readonly #epoll: number;
  readonly #onReady: (tags: readonly number[]) => void;
  readonly #libc: Libc;
  readonly #scratch: Arena;
  readonly #timer: NodeJS.Timeout;
  readonly #reserved: number[] = [];
  #worker: Worker | undefined;
  #looks = 0;
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
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
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

  #look(): void {
    const { address, u32 } = this.#scratch;
    const count = this.#libc.epoll_wait(this.#epoll, address, MAX_READY, 0);
    const tags = tagsOf(u32, Math.max(count, 0));
    if (this.#worker !== undefined) {
      // The end is the worker's to see: it must be out of the set before that is closed.
      this.#onReady(tags.filter((tag) => tag !== END));
    } else if (tags.includes(END)) {
      clearInterval(this.#timer);
      this.#release();
      this.#onReady(tags);
    } else {
      this.#onReady(tags);
      if (++this.#looks % LOOKS_BEFORE_WORKER === 0 && this.#reserve()) this.#startWorker();
    }
  }

  /** @returns Whether there are as many descriptors as a worker needs. */
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
    // The first message says no more than that it is there.
    worker.once("message", () => {
      clearInterval(this.#timer);
      worker.on("message", this.#onReady);
    });
    if (!this.#referenced) worker.unref();
    this.#worker = worker;
    Atomics.wait(started, 0, 0, STARTING_MS);
  }
}
