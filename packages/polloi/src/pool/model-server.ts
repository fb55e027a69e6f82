import { argv, pid } from "node:process";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";
import { type Fields, printAs } from "../base/inspect.ts";
import { fromCaller, typeError } from "../base/misuse.ts";
import type { EngineName } from "../engine/engine.ts";
import { DEFAULT_GRACE_MS } from "../reactor/listener.ts";
import { checkTimeout } from "../reactor/options.ts";
import { Reactor } from "../reactor/reactor.ts";
import { formatAddress, type SocketAddress } from "../socket/address.ts";
import { kernel as defaultKernel } from "../sys/open.ts";
import { isChildProcess } from "./child-control.ts";
import { IMPORTING, PHASES } from "./messages.ts";
import { checkModelOptions, type ModelName, type ModelOptions } from "./model-options.ts";
import { startBlocking } from "./models/blocking.ts";
import { startEvent } from "./models/event.ts";
import { type Model, type ModelChild, type ModelContext, Reporter } from "./models/model.ts";
import { startPrefork } from "./models/prefork.ts";
import { startProcessPerConnection } from "./models/process-per-connection.ts";
import { startThreadPerConnection } from "./models/thread-per-connection.ts";
import { importModule, loadForLoop, loadHandlers, type ModelModule, moduleUrl } from "./module.ts";
import { limitStart, supervisionOf } from "./supervisor.ts";

/** The counts of a model so far, the same for all five. */
export interface ModelCounts {
  /** Connections that were accepted and served. */
  readonly connections: number;
  /** How many of these are open. */
  readonly open: number;
  /** How often bytes were received. */
  readonly messages: number;
  readonly bytes: number;
  /** Processes or threads that were started. */
  readonly started: number;
  /** How many of them are running. */
  readonly children: number;
  /** How many of them exited unexpectedly. */
  readonly exits: number;
  /** Connections that were closed at once, because `maxChildren` processes or threads were running. */
  readonly refusals: number;
}

/** A server of one of the five models. Returned by {@link serveModel}. */
export class ModelServer implements AsyncDisposable {
  static {
    printAs(ModelServer, (it) => it.#fields(), "ModelServer");
  }

  readonly model: ModelName;
  /**
   * Resolves when the server has stopped. Rejects when the last of its processes or threads was given up, or with
   * `crashLoop: "end"` the first; if nothing handles the rejection, the process fails.
   */
  readonly finished: Promise<void>;
  readonly #model: Model;
  readonly #reporter: Reporter;
  #stopping = false;
  #stopAt = Number.POSITIVE_INFINITY;

  private constructor(name: ModelName, model: Model, reporter: Reporter) {
    this.model = name;
    this.#model = model;
    this.#reporter = reporter;
    this.finished = model.finished;
  }

  /** See {@link serveModel}. */
  static async start(options: ModelOptions): Promise<ModelServer> {
    fromCaller(serveModel, () => checkModelOptions(options));
    checkMainThread();
    const { kernel = defaultKernel, model: name, engine, trigger, data } = options;
    const module = moduleUrl(options.module, `as the model ${JSON.stringify(name)}`);
    // A reactor that only accepts connections and receives messages of children uses what every system has.
    const choice = name === "event" ? { engine, trigger } : ({ engine: "epoll" } as const);
    const reactor = options.reactor ?? new Reactor(choice);
    const close = (): void => {
      if (options.reactor === undefined) reactor.close();
    };
    const reporter = new Reporter(options);
    const input = {
      module,
      data,
      observed: options.observer !== undefined,
      noDelay: options.noDelay !== false,
      idleTimeoutMs: options.idleTimeoutMs,
    };
    try {
      const supervision = supervisionOf(options);
      const model = await startModel({ kernel, reactor, options, supervision, input, reporter });
      void model.over.then(close);
      return new ModelServer(name, model, reporter);
    } catch (error) {
      close();
      throw error;
    }
  }

  /** Where it listens; null when it has been asked to stop. */
  get address(): SocketAddress | null {
    return this.#stopping ? null : this.#model.address;
  }

  /** The port on which it listens; -1 when there is none. */
  get port(): number {
    return this.address?.port ?? -1;
  }

  /** The engine of its event loops; null if it has none. */
  get engine(): EngineName | null {
    return this.#model.engine?.engine ?? null;
  }

  /** The processes or threads that are running. */
  get children(): readonly ModelChild[] {
    return this.#model.children;
  }

  /**
   * The processes that it runs in: this one first, then those that it has started.
   *
   * @remarks
   * Add up their memory from `/proc/PID/smaps_rollup` (Pss, which counts shared pages in proportion) and their
   * processor time from `/proc/PID/stat`. This process includes threads, and the times of processes that have exited
   * (`cutime`, `cstime`).
   *
   * @source proc_pid_stat(5), proc_pid_smaps(5)
   */
  get pids(): readonly number[] {
    const started = this.children.filter(({ kind }) => kind === "process");
    return [pid, ...started.map(({ id }) => id)];
  }

  /**
   * The counts so far.
   *
   * @remarks
   * A process or thread that serves one connection reports its numbers when the connection is closed, a pre-forked
   * process twenty times a second. They are reported as well when a handler throws or calls `exit`; what a process had
   * not reported when it was killed (SIGKILL) is lost.
   */
  get counts(): ModelCounts {
    const { connections, open, messages, bytes } = this.#model.counts;
    const { started, exits, refusals } = this.#reporter;
    const children = this.children.length;
    return { connections, open, messages, bytes, started, children, exits, refusals };
  }

  /**
   * Stops gracefully: refuses new connections, serves those that the kernel has already accepted, and ends every
   * process and thread.
   *
   * @param graceMs - How long connections may take to finish, in milliseconds; what is left then is destroyed.
   * Default 10,000. If called again, a shorter time counts: `stop(0)` ends a stop that takes too long. A process or
   * thread in an endless loop is killed half a second later. Deno cannot terminate such a thread: its connections are
   * shut down, and its descriptors are closed when its loop ends.
   * @returns Resolves when all of them have exited and nothing is open any more.
   * @throws `ERR_INVALID_TIMEOUT`
   */
  async stop(graceMs: number = DEFAULT_GRACE_MS): Promise<void> {
    checkTimeout("graceMs", graceMs);
    this.#stopping = true;
    const now = performance.now();
    this.#stopAt = Math.min(this.#stopAt, now + graceMs);
    this.#model.stop(Math.max(0, this.#stopAt - now));
    await this.#model.over;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #fields(): Fields {
    const { model, address, engine, counts } = this;
    return {
      model,
      address: address && formatAddress(address),
      engine,
      children: counts.children,
      connections: counts.open,
    };
  }
}

async function startModel(context: ModelContext): Promise<Model> {
  const { module, data } = context.input;
  switch (context.options.model) {
    case "event":
      return startEvent(context, await loadForLoop(module, data));
    case "prefork":
      return startPrefork(context);
    case "blocking":
      return startBlocking(context);
    case "process":
      await checkModule(context);
      return startProcessPerConnection(context);
    case "thread":
      await checkModule(context);
      return startThreadPerConnection(context);
  }
}

/**
 * Serves an address by one of the five models: `"blocking"`, a `"process"` or a `"thread"` per connection,
 * `"prefork"`, `"event"`.
 *
 * @remarks
 * The same module works with all of them; docs/models.md describes what each costs and when to use it. Works on Node,
 * Bun and Deno, from the main thread. Deno needs `--allow-run` for the two models that start processes, and gives
 * these processes all permissions.
 *
 * All processes and threads end with `stop`, and also when this process is killed.
 *
 * @returns The server, when it accepts connections.
 * @throws TypeError, RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`,
 * `ERR_UNSUPPORTED` in a worker thread or in a process that serves a model itself; SysError `EADDRINUSE`,
 * `EACCES` and what else `listen` throws; what the module throws as it starts. Nothing stays open then.
 * @example
 * ```ts
 * const server = await serveModel({
 *   model: "process",
 *   module: new URL("./echo-handlers.js", import.meta.url),
 *   listen: { host: "127.0.0.1", port: 7788 },
 * });
 * process.once("SIGTERM", () => server.stop());
 * await server.finished;
 * ```
 */
export function serveModel(options: ModelOptions): Promise<ModelServer> {
  return ModelServer.start(options);
}

/** A child process must not start others, since each of these would do the same. */
function checkMainThread(): void {
  if (isMainThread && !isChildProcess()) return;
  const where = isChildProcess() ? "a process that serves a model itself" : "a worker thread";
  throw typeError(
    "ERR_UNSUPPORTED",
    `Cannot serve a model from ${where}: have the module export handlers, and nothing else run in it`,
  );
}

/** Throws now what each process or thread would throw: that the module cannot be served, or is not imported in time. */
async function checkModule({ kernel, input, supervision }: ModelContext): Promise<void> {
  const { module: url, data } = input;
  // The main program is running already, and may be waiting for this.
  if (argv[1] !== undefined && pathToFileURL(argv[1]).href === url) return;
  const check = async (): Promise<void> => {
    const { start } = (await importModule(url)) as ModelModule;
    if (start === undefined) await loadHandlers(url, data);
  };
  let cancel = (): void => {};
  const late = new Promise<never>((_, kill) => {
    const importing = { activity: PHASES[IMPORTING], kill };
    cancel = limitStart(kernel, importing, supervision.startTimeoutMs, url);
  });
  try {
    await Promise.race([check(), late]);
  } finally {
    cancel();
  }
}
