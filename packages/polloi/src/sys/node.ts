import { createRequire } from "node:module";
import { performance } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";
import { typeError } from "../base/misuse.ts";
import { check } from "../base/sys-error.ts";
import { EPOLL_EVENT } from "./abi.ts";
import { type Arena, ArenaPool, type Arenas, type ViewMemory } from "./arena.ts";
import { type JointWait, type Kernel, type LoopWatch, UnsupportedError } from "./kernel.ts";
import { type Libc, libcFrom, type Native, type NativeType, SIGNATURES } from "./libc.ts";
import { checkOpenSsl } from "./libssl.ts";
import { loopTimer } from "./loop-timer.ts";
import { type OpenSsl, openSslFrom, openSslSignatures } from "./openssl.ts";
import { runtimeRoots } from "./root-certificates.ts";
import { UvWait } from "./uv-wait.ts";

// The part of koffi that is used. The types of koffi would have to be installed for Bun and Deno too.
type KoffiType = object;
type Bind = (name: string, args: readonly NativeType[], returns: NativeType) => Native;
interface KoffiLibrary {
  func(name: "dlsym", result: string, args: string[]): (handle: number, symbol: string) => number;
  func(name: string, result: string, args: string[]): Native;
}
interface Koffi {
  load(path: null): KoffiLibrary;
  view(address: bigint, byteLength: number): ArrayBuffer;
  proto(definition: string): KoffiType;
  pointer(type: KoffiType): KoffiType;
  register(callback: (...args: never[]) => unknown, type: KoffiType): bigint;
}

/** The types of koffi. An address is passed and returned as a number, because it fits 53 bits. */
const KOFFI_TYPES: Readonly<Record<NativeType, string>> = {
  i32: "int32_t",
  u32: "uint32_t",
  size: "int64_t",
  ptr: "int64_t",
};

/** Opens the kernel through koffi, Node's foreign-function interface from npm. */
export function openNode(): Kernel {
  const koffi = loadKoffi();
  const program = koffi.load(null);
  const bind: Bind = (name, args, returns) =>
    program.func(
      name,
      KOFFI_TYPES[returns],
      args.map((type) => KOFFI_TYPES[type]),
    );

  const viewMemory: ViewMemory = (address, byteLength) => koffi.view(BigInt(address), byteLength);
  const errno = new Int32Array(viewMemory(bind("__errno_location", [], "ptr")(), 4));
  const bound = Object.fromEntries(
    Object.entries(SIGNATURES).map(([name, { args, returns }]) => [
      name,
      bind(name, args, returns),
    ]),
  ) as Record<keyof Libc, Native>;
  const libc = libcFrom(bound, errno);
  const arenas = new ArenaPool(libc, viewMemory);
  const scratch = arenas.map(64 * 1024);

  let loop: UvLoop | undefined;
  let openSsl: OpenSsl | undefined;
  return {
    runtime: "node",
    runtimeVersion: process.versions.node,
    libc,
    arenas,
    scratch,
    watch(fd, onReadable, joint) {
      loop ??= new UvLoop(
        { koffi, program, bind, libc, scratch, viewMemory },
        isMainThread ? undefined : workerLoop(program, bind, arenas),
      );
      return loop.watch(fd, onReadable, joint);
    },
    now: () => performance.now(),
    realtime: () => Date.now(),
    soon: (callback) => void setImmediate(callback),
    openSsl: () => {
      openSsl ??= bindOpenSsl(koffi, bind);
      return openSsl;
    },
    after: loopTimer,
  };
}

function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch (cause) {
    throw new UnsupportedError(
      `polloi calls libc through koffi, which did not load: ${(cause as Error).message.split("\n")[0]}; run "npm install koffi" (optional dependencies must not be omitted)`,
      { cause },
    );
  }
}

/** Binds the OpenSSL that the node binary contains, or the libssl that it is linked with. */
function bindOpenSsl(koffi: Koffi, bind: Bind): OpenSsl {
  let bound: OpenSsl["calls"];
  try {
    bound = Object.fromEntries(
      openSslSignatures().map(([name, { args, returns }]) => [name, bind(name, args, returns)]),
    ) as OpenSsl["calls"];
  } catch (cause) {
    throw new UnsupportedError(
      `polloi uses the OpenSSL 3 of the node binary for TLS, which this one does not export: ${(cause as Error).message.split("\n")[0]}`,
      { cause },
    );
  }
  return checkOpenSsl({
    calls: openSslFrom(bound),
    source: "the node binary",
    rootCertificates: runtimeRoots,
    callback(args, callback) {
      const list = args.map((type, i) => `${KOFFI_TYPES[type]} a${i}`).join(", ");
      const type = koffi.proto(`int32_t (${list})`);
      return Number(koffi.register(callback, koffi.pointer(type)));
    },
  });
}

/** The event loop of a worker thread, and the native functions that remove our handles from it when the thread ends. */
interface WorkerLoop {
  readonly loop: number;
  readonly isolate: number;
  /** The address of uv_poll_stop, an argument of {@link addHook} and {@link removeHook}. */
  readonly pollStop: number;
  readonly addHook: Native;
  readonly removeHook: Native;
  readonly copy: Native;
  readonly flags: Arena;
}

/**
 * Returns the event loop of this worker thread.
 *
 * @remarks
 * A worker can be terminated at any time, without running any JavaScript. Node then aborts the process if a handle is
 * left in the loop. The environment of the thread therefore gets a clean-up hook for each handle: uv_poll_stop, with
 * the handle as its argument. The functions are those of node.h for addons and embedders, under their C++ names.
 *
 * Handles are written with memcpy and not through a view. While `terminate()` stops a thread, Node refuses to make an
 * external ArrayBuffer, and koffi then ends the process. A view for each handle made that likely.
 *
 * @throws TypeError `ERR_BLOCKING` where the program that embeds Node does not export these functions.
 */
function workerLoop(program: KoffiLibrary, bind: Bind, arenas: Arenas): WorkerLoop {
  const hook = "EPN2v87IsolateEPFvPvES3_";
  try {
    const isolate = bind("_ZN2v87Isolate10GetCurrentEv", [], "ptr")();
    const loop = bind("_ZN4node19GetCurrentEventLoopEPN2v87IsolateE", ["ptr"], "ptr")(isolate);
    const hookArguments = ["ptr", "ptr", "ptr"] as const;
    return {
      loop,
      isolate,
      pollStop: addressOf(program, "uv_poll_stop"),
      addHook: bind(`_ZN4node25AddEnvironmentCleanupHook${hook}`, hookArguments, "i32"),
      removeHook: bind(`_ZN4node28RemoveEnvironmentCleanupHook${hook}`, hookArguments, "i32"),
      copy: bind("memcpy", ["ptr", "ptr", "size"], "ptr"),
      flags: arenas.map(FLAGS_BYTES),
    };
  } catch {
    throw typeError(
      "ERR_BLOCKING",
      "Cannot join the event loop of a worker thread under Node; call reactor.run() there",
    );
  }
}

/** Returns the address of a function of the program or of libc. */
function addressOf(program: KoffiLibrary, symbol: string): number {
  return program.func("dlsym", "int64_t", ["int64_t", "str"])(0, symbol);
}

/** What a {@link UvLoop} needs. */
interface UvNeeds {
  readonly koffi: Koffi;
  readonly program: KoffiLibrary;
  readonly bind: Bind;
  readonly libc: Libc;
  readonly scratch: Arena;
  readonly viewMemory: ViewMemory;
}

// epoll_ctl(2). `select` defines them too, but a layer imports nothing from above.
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 0x001;

/** Joint turns end when they have found nothing for this long. */
const IDLE_MS = 20;
/**
 * Joint turns let the loop run this often, although it is not ready: for immediates without a reference. An iteration
 * of the loop costs as much as a request at a light load.
 */
const AWAY_MS = 50;

/** Whether a watch has joint turns. All copies of this library that a program has loaded use the same mark. */
const IS_JOINED: unique symbol = Symbol.for("polloi.isJoined");
const joined = process as { [IS_JOINED]?: boolean };

const UV_READABLE = 1;
const UV_POLL = 8;
/**
 * The offset of `flags` in a `uv_handle_t`, whose layout does not change within version 1 of libuv, and the flag of
 * handles that may be left in a loop when it is closed.
 */
const UV_HANDLE_FLAGS = 88;
const FLAGS_BYTES = 4;
const UV_HANDLE_INTERNAL = 0x10;

/**
 * The libuv loop of this thread, reached through the symbols that the node binary exports.
 *
 * @remarks
 * Handles are allocated with malloc, because libuv links them into lists, and memory of JavaScript may move or be
 * collected.
 *
 * On the main thread, one watch at a time may have joint turns: its owner waits for the loop, and not the loop for its
 * owner. In a worker there are none, because a worker can be terminated while it waits.
 */
class UvLoop {
  readonly #uv;
  readonly #loop: number;
  readonly #handleSize: number;
  readonly #worker: WorkerLoop | undefined;
  readonly #libc: Libc;
  readonly #scratch: Arena;
  readonly #wait: UvWait | undefined;
  /** By the address of the handle. One native callback serves all of them. */
  readonly #callbacks = new Map<number, () => void>();
  readonly #onPoll: number;
  /** The close callback of handles is free(3), which runs no JavaScript in a thread that is ending. */
  readonly #free: number;

  constructor(needs: UvNeeds, worker: WorkerLoop | undefined) {
    const { koffi, program, bind, libc, scratch, viewMemory } = needs;
    const uv = {
      defaultLoop: bind("uv_default_loop", [], "ptr"),
      handleSize: bind("uv_handle_size", ["i32"], "i32"),
      pollInit: bind("uv_poll_init", ["ptr", "ptr", "i32"], "i32"),
      pollStart: bind("uv_poll_start", ["ptr", "i32", "ptr"], "i32"),
      pollStop: bind("uv_poll_stop", ["ptr"], "i32"),
      close: bind("uv_close", ["ptr", "ptr"], "i32"),
      ref: bind("uv_ref", ["ptr"], "i32"),
      unref: bind("uv_unref", ["ptr"], "i32"),
      malloc: bind("malloc", ["size"], "ptr"),
      free: bind("free", ["ptr"], "i32"),
    };
    this.#uv = uv;
    this.#worker = worker;
    this.#libc = libc;
    this.#scratch = scratch;
    this.#loop = worker?.loop ?? uv.defaultLoop();
    this.#wait =
      worker === undefined
        ? UvWait.open(this.#loop, {
            bind,
            view: viewMemory,
            addressOf: (symbol) => addressOf(program, symbol),
          })
        : undefined;
    this.#handleSize = uv.handleSize(UV_POLL);
    // Without a name, which another copy of this library would have registered in the same koffi.
    const onPoll = koffi.proto("void (int64_t handle, int status, int events)");
    this.#onPoll = Number(
      koffi.register((handle: number) => this.#callbacks.get(handle)?.(), koffi.pointer(onPoll)),
    );
    this.#free = addressOf(program, "free");
  }

  watch(fd: number, onReadable: () => boolean, joint: JointWait | undefined): LoopWatch {
    const uv = this.#uv;
    const worker = this.#worker;
    const handle = uv.malloc(this.#handleSize);
    // A thread can be terminated wherever JavaScript enters a function or repeats a loop. From uv_poll_init to the
    // clean-up hook there are only native calls, so no handle is left in the loop without its flag. libuv returns
    // -errno itself.
    const initialised = uv.pollInit(this.#loop, handle, fd);
    if (worker !== undefined && initialised >= 0) {
      const { address, u32 } = worker.flags;
      worker.copy(address, handle + UV_HANDLE_FLAGS, FLAGS_BYTES);
      u32[0] = (u32[0] as number) | UV_HANDLE_INTERNAL;
      worker.copy(handle + UV_HANDLE_FLAGS, address, FLAGS_BYTES);
      worker.addHook(worker.isolate, worker.pollStop, handle);
    }
    if (initialised < 0) uv.free(handle);
    check(initialised, "uv_poll_init", { fd });

    let stopped = false;
    let scheduled = false;
    let referenced = true;
    let turns =
      joint === undefined || this.#wait === undefined
        ? undefined
        : new JointTurns(this.#wait, joint, () => stopped || !referenced);
    const run = () => {
      scheduled = false;
      if (stopped) return;
      if (!onReadable() || turns === undefined || !referenced || !this.#join(fd)) return;
      // An owner that declines is not asked again, because each time takes two system calls.
      if (!turns.begin()) turns = undefined;
    };
    turns?.onEnd(() => this.#part(fd));
    // The callback of libuv only schedules an immediate, which Node runs later in the same turn of its loop. Node
    // drains promises and reports exceptions only there.
    this.#callbacks.set(handle, () => {
      if (scheduled) return;
      scheduled = true;
      setImmediate(run);
    });
    check(uv.pollStart(handle, UV_READABLE, this.#onPoll), "uv_poll_start", { fd });

    return {
      ref: () => {
        if (stopped) return;
        referenced = true;
        uv.ref(handle);
      },
      unref: () => {
        if (stopped) return;
        referenced = false;
        uv.unref(handle);
      },
      stop: () => {
        if (stopped) return;
        stopped = true;
        this.#callbacks.delete(handle);
        turns?.end();
        // Only native calls, for the same reason as above.
        uv.pollStop(handle);
        worker?.removeHook(worker.isolate, worker.pollStop, handle);
        uv.close(handle, this.#free);
      },
    };
  }

  /**
   * Takes `fd` out of the epoll set of the loop, so that the owner of `fd` can wait for that set: neither may contain
   * the other at the same time. For libuv the handle stays active.
   */
  #join(fd: number): boolean {
    if (joined[IS_JOINED] === true || this.#control(EPOLL_CTL_DEL, fd) < 0) return false;
    joined[IS_JOINED] = true;
    return true;
  }

  #part(fd: number): void {
    joined[IS_JOINED] = false;
    check(this.#control(EPOLL_CTL_ADD, fd), "epoll_ctl", { fd });
  }

  /** As libuv does it for a handle that waits for UV_READABLE. */
  #control(operation: number, fd: number): number {
    const scratch = this.#scratch;
    scratch.u32[0] = EPOLLIN;
    scratch.u32[EPOLL_EVENT.data] = fd;
    scratch.u32[EPOLL_EVENT.data + 1] = 0;
    return this.#libc.epoll_ctl(this.#wait?.fd ?? -1, operation, fd, scratch.address);
  }
}

/**
 * The joint turns of one watch.
 *
 * @remarks
 * All of them happen within an immediate, which returns when the loop has something to do. Before that it schedules the
 * next immediate and makes sure that the loop does not wait. So each iteration of the loop leads back here.
 */
class JointTurns {
  readonly #wait: UvWait;
  readonly #joint: JointWait;
  readonly #isOver: () => boolean;
  #part: () => void = () => {};
  #isActive = false;
  #idleMs = 0;

  /** @param isOver - Whether the watch is stopped, or does not keep the process alive. */
  constructor(wait: UvWait, joint: JointWait, isOver: () => boolean) {
    this.#wait = wait;
    this.#joint = joint;
    this.#isOver = isOver;
  }

  /** Sets the function that lets the loop watch the descriptor again. */
  onEnd(part: () => void): void {
    this.#part = part;
  }

  /** @returns Whether the owner takes joint turns. */
  begin(): boolean {
    if (!this.#joint.join(this.#wait.fd)) {
      this.#part();
      return false;
    }
    this.#isActive = true;
    this.#idleMs = 0;
    this.#schedule();
    return true;
  }

  /** Safe to call twice, and within a turn. */
  end(): void {
    if (!this.#isActive) return;
    this.#isActive = false;
    this.#wait.setBusy(false);
    this.#joint.leave();
    this.#part();
  }

  #schedule(): void {
    this.#wait.setBusy(true);
    // With a reference, Node would keep the loop busy by itself, also while the immediate runs.
    setImmediate(this.#run).unref();
  }

  readonly #run = (): void => {
    if (!this.#isActive) return;
    this.#wait.setBusy(false);
    try {
      this.#turns();
    } finally {
      // Also after an exception: a program that handles uncaught exceptions continues.
      if (this.#isActive) this.#schedule();
    }
  };

  #turns(): void {
    const wait = this.#wait;
    const joint = this.#joint;
    const returnAt = performance.now() + AWAY_MS;
    while (this.#isActive) {
      if (this.#isOver() || this.#idleMs >= IDLE_MS) {
        this.end();
        return;
      }
      const loopMs = wait.timeoutMs();
      // A whole number, which needs no other call.
      const found = joint.turn(loopMs < 0 || loopMs > IDLE_MS ? IDLE_MS : loopMs);
      const idleMs = joint.takeIdleTime();
      wait.addIdleTime(idleMs);
      this.#idleMs = found ? 0 : this.#idleMs + idleMs;
      // What the turn has written or resolved comes before the next one.
      wait.runTicks();
      if (loopMs === 0 || joint.isLoopReady || joint.wokenAt >= returnAt) return;
    }
  }
}
