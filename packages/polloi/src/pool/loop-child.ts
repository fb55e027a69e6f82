/** Serves a listener on the event loop of a child: of a worker's thread, or of a pre-forked process. */
import { show, typeError } from "../base/misuse.ts";
import { HANDLERS, type Handlers } from "../reactor/connection.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { Watch } from "../reactor/watch.ts";
import { EVENT_READ } from "../selectors/events.ts";
import type { Kernel, RuntimeName } from "../sys/kernel.ts";
import type { ChildControl } from "./child-control.ts";
import { ServedCounter } from "./counts.ts";
import { type LoopCounter, LoopServer } from "./loop-server.ts";
import { type ChildInput, IMPORTING, STARTING, sendingObserver, toPlainError } from "./messages.ts";
import {
  importModule,
  loadForLoop,
  type ModelHandlers,
  type StartOn,
  type WorkerModule,
} from "./module.ts";
import { tlsOptionsOf } from "./tls-input.ts";

/** How often a process sends counts that change all the time. */
const COUNTS_INTERVAL_MS = 50;
/** While nothing happens, each wait is twice as long as the one before, up to this. */
const MAX_WAIT_MS = 1024;

/** Answers the supervisor's requests. */
export function watchControl(control: ChildControl, server: LoopServer): Watch {
  return server.reactor.watch(control.fd, EVENT_READ, () => {
    control.receive();
    if (control.takeAccept()) server.acceptWaiting();
    const graceMs = control.remainingMs();
    if (graceMs !== null) server.stop(graceMs);
  });
}

/**
 * Serves as a worker of `startWorkers`, until it is asked to stop.
 *
 * @param fd - The listener, or -1.
 * @throws what the module throws as it starts.
 */
export async function serveAsWorker(
  runtime: RuntimeName,
  control: ChildControl,
  input: ChildInput,
  { fd, counter }: { readonly fd: number; readonly counter: LoopCounter },
): Promise<void> {
  const reactor = new Reactor({ engine: input.engine, trigger: input.trigger });
  closeAtExit(reactor);
  driveWorker(reactor, runtime);
  let resolve: () => void = () => {};
  const stopped = new Promise<void>((resolved) => {
    resolve = resolved;
  });
  const server = new LoopServer({
    reactor,
    where: fd < 0 ? undefined : { fd },
    counter,
    owner: "pool",
    index: input.index,
    count: input.count,
    data: input.data,
    post: (message) => control.send({ type: "post", message }),
    stopped: resolve,
  });
  watchControl(control, server);
  control.setPhase(IMPORTING);
  const module = (await importModule(input.module)) as WorkerModule<unknown>;
  if (module.start === undefined) server.listen(handlersIn(module, input.module));
  control.setPhase(STARTING);
  server.started((await module.start?.(server)) ?? undefined);
  const { engine, trigger } = reactor;
  control.send({ type: "ready", engine: { engine, trigger } });
  await stopped;
  reactor.close();
}

/** @throws TypeError `ERR_INVALID_OPTION` when a worker has nothing to do. */
function handlersIn(module: WorkerModule<unknown>, url: string): WorkerModule<unknown> {
  const names = Object.keys(HANDLERS) as (keyof Handlers)[];
  if (names.some((name) => typeof module[name] === "function")) return module;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot run the module ${show(url)} in workers: it exports neither start nor a handler, such as data`,
  );
}

/**
 * Closes what is open when the thread ends, except when it is terminated.
 *
 * @remarks
 * Only the reactor knows the connections that a ring has accepted and has not reported yet; they are not in the ledger.
 */
function closeAtExit(reactor: Reactor): void {
  process.once("exit", () => {
    try {
      reactor.close();
    } catch {
      // A `close` handler has thrown. The error that ends the thread is already reported.
    }
  });
}

/**
 * Runs the reactor of a worker thread beside the runtime's own loop.
 *
 * @remarks
 * On Bun and Deno it is hosted, as anywhere. In a worker thread of Node the two loops take turns, which saves the calls
 * that Node's loop makes around each turn: the reactor waits in the kernel, then the runtime does what is due. So
 * promises, timers and I/O of the runtime work in handlers, which they do not within `run()`.
 *
 * An event of the runtime cannot end the kernel's wait. While the runtime reports that it waits for something (a
 * timer, a socket, a file), a wait lasts one millisecond. Some things are not reported, such as work of `node:crypto`;
 * so the first wait lasts one millisecond too, and waits double while nothing happens. Unreported work is thus noticed
 * after at most twice the time it took, and within about a second.
 *
 * The load generator alternates the loops for another reason, precise timers: `driveLoad` of `load/drive.ts`. Its waits
 * are short on every runtime, and an exception ends it.
 */
function driveWorker(reactor: Reactor, runtime: RuntimeName): void {
  if (runtime !== "node") return;
  // Nothing is open yet, so this returns at once. From then on `turn` may be called.
  reactor.run();
  let waitMs = 1;
  const turn = (): void => {
    if (reactor.fileno() < 0) return;
    try {
      const busy = runtimeIsBusy();
      const events = reactor.turn(busy ? 1 : waitMs);
      waitMs = busy || events > 0 ? 1 : Math.min(2 * waitMs, MAX_WAIT_MS);
    } finally {
      // Also after a handler has thrown: a program that handles `uncaughtException` continues serving.
      setImmediate(turn);
    }
  };
  setImmediate(turn);
}

/** Whether the runtime waits for anything, or has output that the main thread has not taken. */
function runtimeIsBusy(): boolean {
  return (
    process.getActiveResourcesInfo().length > 0 ||
    process.stdout.writableLength > 0 ||
    process.stderr.writableLength > 0
  );
}

/** What the process of a {@link ProcessServer} was started with. */
export interface ProcessServerOptions {
  readonly control: ChildControl;
  readonly input: ChildInput;
  /** The listener. */
  readonly fd: number;
  /** Called when it was asked to stop, and everything is closed. */
  readonly stopped: () => void;
}

/**
 * Serves a model in a pre-forked process: its event loop, and what it exchanges with its supervisor.
 *
 * @remarks
 * The process around it is another's: that of a runtime, or a simulated one, whose kernel is passed.
 */
export class ProcessServer {
  readonly reactor: Reactor;
  readonly server: LoopServer;
  readonly #control: ChildControl;
  readonly #counter: ServedCounter;
  #watch: Watch | undefined;
  #isScheduled = false;

  constructor(options: ProcessServerOptions, kernel?: Kernel) {
    const { control, input, fd } = options;
    const { engine, trigger, data, idleTimeoutMs, noDelay, tls } = input;
    this.#control = control;
    // Never closed: the process exits, and an error of a handler must be reported before anything else.
    const reactor = new Reactor({ engine, trigger, ...(kernel && { kernel }) });
    this.reactor = reactor;
    const observer =
      input.observed === true ? sendingObserver((sent) => control.send(sent)) : undefined;
    this.#counter = new ServedCounter(observer, () => {
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      reactor.setTimer(COUNTS_INTERVAL_MS, () => this.sendCounts());
    });
    this.server = new LoopServer({
      reactor,
      where: {
        fd,
        exclusive: input.exclusive === true,
        ...(tls === undefined ? {} : { tls: tlsOptionsOf(tls) }),
        acceptError: (error) => control.send({ type: "accept-failed", error: toPlainError(error) }),
      },
      counter: this.#counter,
      owner: "model",
      noDelay,
      idleTimeoutMs,
      data,
      post: (message) => control.send({ type: "post", message }),
      stopped: () => {
        this.#watch?.close();
        options.stopped();
      },
    });
  }

  /** Sends what it has counted. */
  sendCounts(): void {
    this.#isScheduled = false;
    this.#control.send({ type: "counts", counts: this.#counter.snapshot() });
  }

  /** Serves a model that exports handlers. */
  serveHandlers(handlers: ModelHandlers): void {
    this.server.serveHandlers(handlers);
    this.#ready();
  }

  /** Serves a model that exports `startOn`. @throws what it throws. */
  async start(start: StartOn): Promise<void> {
    await this.server.start(start);
    this.#ready();
  }

  #ready(): void {
    this.#watch = watchControl(this.#control, this.server);
    const { engine, trigger } = this.reactor;
    this.#control.send({ type: "ready", engine: { engine, trigger } });
  }
}

/**
 * Serves a model in a pre-forked process, until it is asked to stop.
 *
 * @throws what the module throws as it starts, and what a handler throws.
 */
export async function serveAsProcess(
  control: ChildControl,
  input: ChildInput,
  fd: number,
): Promise<void> {
  const loaded = await loadForLoop(input.module, input.data, () => control.setPhase(STARTING));
  let resolve: () => void = () => {};
  const stopped = new Promise<void>((resolved) => {
    resolve = resolved;
  });
  const server = new ProcessServer({ control, input, fd, stopped: resolve });
  // Also when a handler throws, or calls exit.
  process.once("exit", () => server.sendCounts());
  if (typeof loaded !== "function") {
    // The loop has the process to itself, since these handlers do not await.
    server.serveHandlers(loaded);
    server.reactor.run();
    return;
  }
  await server.start(loaded);
  const failed = new Promise<never>((_, reject) => {
    process.once("uncaughtException", reject);
  });
  await Promise.race([stopped, failed]);
}
