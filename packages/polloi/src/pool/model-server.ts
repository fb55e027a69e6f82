import { argv, pid } from "node:process";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";
import { typeError } from "../base/misuse.ts";
import type { EngineName } from "../engine/engine.ts";
import { checkTimeout } from "../reactor/options.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { SocketAddress } from "../socket/address.ts";
import { kernel as defaultKernel } from "../sys/open.ts";
import { BlockingWay } from "./blocking-way.ts";
import { isChild } from "./child-mark.ts";
import { EventWay } from "./event-way.ts";
import { livenessOf } from "./liveness.ts";
import type { ChildInput } from "./messages.ts";
import { loadForLoop, loadHandlers, type ModelModule } from "./model-module.ts";
import { checkModelOptions, type ModelName, type ModelOptions } from "./model-options.ts";
import { PerConnection } from "./per-connection.ts";
import type { Place } from "./place.ts";
import { Prefork } from "./prefork.ts";
import { checkCrashLoop } from "./restarts.ts";
import { type ModelChild, ModelReport, type Way, type WayContext } from "./way.ts";
import { moduleUrl } from "./worker-options.ts";

/** How long connections may take to have what is queued for them. */
const GRACE_MS = 2000;

/** What a model has done so far: the same numbers for all five. */
export interface ModelCounts {
  /** Connections that were accepted and served. */
  readonly connections: number;
  /** How many of these are open. */
  readonly open: number;
  /** How often bytes came. */
  readonly messages: number;
  readonly bytes: number;
  /** Processes or threads that were started. */
  readonly started: number;
  /** How many of them are there now. */
  readonly children: number;
  /** How many of them died. */
  readonly deaths: number;
  /** Connections that were closed at once, for want of a process or thread. */
  readonly refusals: number;
}

/**
 * A server in one of the five ways.
 *
 * @remarks
 * Made by {@link serveModel}.
 */
export class ModelServer implements AsyncDisposable {
  readonly model: ModelName;
  /**
   * Resolves when the server has stopped. Rejects when the last of its processes or threads was given up, or with
   * `crashLoop: "end"` the first; if nothing handles the rejection, the process fails.
   */
  readonly finished: Promise<void>;
  readonly #reactor: Reactor;
  readonly #ownReactor: boolean;
  readonly #report: ModelReport;
  readonly #over: Promise<void>;
  #resolveOver: () => void = () => {};
  #way: Way | undefined;
  #places: readonly Place[] = [];
  #started = false;
  #stopping = false;
  #ended = false;
  #cause: Error | undefined;

  private constructor(options: ModelOptions) {
    const { model, engine, trigger } = options;
    this.model = model;
    this.#ownReactor = options.reactor === undefined;
    // What only accepts, or only meets its children, needs nothing that not every system has.
    const choice = model === "event" ? { engine, trigger } : ({ engine: "epoll" } as const);
    this.#reactor = options.reactor ?? new Reactor(choice);
    this.#report = new ModelReport(options, () => this.#stopping || !this.#started);
    this.#over = new Promise((resolve) => {
      this.#resolveOver = resolve;
    });
    this.finished = this.#over.then(() => this.#checkEnd());
  }

  /** See {@link serveModel}. */
  static async start(options: ModelOptions): Promise<ModelServer> {
    checkModelOptions(options);
    checkPlace();
    const url = moduleUrl(options.module, `as the model ${JSON.stringify(options.model)}`);
    const server = new ModelServer(options);
    try {
      await server.#open(options, url);
      return server;
    } catch (error) {
      if (server.#way === undefined) server.#close();
      else await server.stop(0);
      throw error;
    }
  }

  /** Where it listens; null when it has been asked to stop. */
  get address(): SocketAddress | null {
    return this.#stopping ? null : (this.#way?.address ?? null);
  }

  /** The port it listens on; -1 when there is none. */
  get port(): number {
    return this.address?.port ?? -1;
  }

  /** The engine of its event loop, or of those of its processes; null where it has none. */
  get engine(): EngineName | null {
    return this.#way?.engine?.engine ?? null;
  }

  /** The processes or threads that are there now. */
  get children(): readonly ModelChild[] {
    return this.#way?.children ?? [];
  }

  /**
   * The processes that it serves with now: this one first, then those that it has started.
   *
   * @remarks
   * What their memory and processor time are added up from: `/proc/PID/smaps_rollup` (Pss, which counts what
   * they share once) and `/proc/PID/stat`. Threads are within this process, and so are the times of processes
   * that have ended (`cutime`, `cstime`).
   *
   * @source proc_pid_stat(5), proc_pid_smaps(5)
   */
  get pids(): readonly number[] {
    const started = this.children.filter(({ kind }) => kind === "process");
    return [pid, ...started.map(({ id }) => id)];
  }

  /**
   * What it has done so far.
   *
   * @remarks
   * A process or thread that serves one connection reports its numbers when that is over, a pre-forked one
   * twenty times a second. A handler that throws or calls `exit` loses none; what a process had not reported when
   * it was killed (SIGKILL) is lost.
   */
  get counts(): ModelCounts {
    const { connections = 0, open = 0, messages = 0, bytes = 0 } = this.#way?.tally() ?? {};
    const { started, deaths, refusals } = this.#report;
    const children = this.children.length;
    return { connections, open, messages, bytes, started, children, deaths, refusals };
  }

  /**
   * Stops gracefully: refuses new connections, answers those that the kernel has already accepted, and ends every
   * process and thread.
   *
   * @param graceMs - How long connections may take, in milliseconds; what is left then is cut off.
   * Default 2000. Called again, a shorter time counts: `stop(0)` ends a stop that takes too
   * long. Who does not heed, being in a loop of its own, is ended half a second later;
   * Deno cannot end such a thread, and only lets go of it:
   * its peers are cut off, and what it has open is closed when its loop is over.
   * @returns When all of them have ended and nothing is open any more.
   * @throws `ERR_INVALID_TIMEOUT`
   */
  async stop(graceMs: number = GRACE_MS): Promise<void> {
    checkTimeout("graceMs", graceMs);
    this.#stopping = true;
    if (!this.#ended) this.#way?.stop(graceMs);
    await this.#over;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #open(options: ModelOptions, url: string): Promise<void> {
    const { kernel = defaultKernel, model, data, noDelay, idleTimeoutMs, observer } = options;
    const observed = observer !== undefined;
    const input: ChildInput = {
      module: url,
      data,
      observed,
      noDelay: noDelay !== false,
      idleTimeoutMs,
    };
    const context: WayContext = {
      kernel,
      reactor: this.#reactor,
      options,
      input,
      liveness: livenessOf(options),
      crashLoop: checkCrashLoop(options.crashLoop),
      report: this.#report,
      over: (why) => {
        this.#cause = why;
        this.#close();
      },
    };
    switch (model) {
      case "event":
        this.#way = await EventWay.start(context, await loadForLoop(url, data));
        break;
      case "prefork": {
        const way = new Prefork(context);
        this.#way = way;
        this.#places = way.places;
        [way.engine] = await Promise.all(way.places.map(({ ready }) => ready));
        break;
      }
      case "blocking": {
        const way = new BlockingWay(context);
        this.#way = way;
        this.#places = [way.place];
        await way.place.ready;
        break;
      }
      default:
        await checkModule(url, data);
        this.#way = new PerConnection(context);
    }
    this.#started = true;
  }

  #close(): void {
    this.#ended = true;
    if (this.#ownReactor) this.#reactor.close();
    this.#resolveOver();
  }

  #checkEnd(): void {
    if (this.#stopping || !this.#started || this.#places.length === 0) return;
    const cause = this.#cause;
    throw new Error(`all that served died too often; the last with: ${cause?.message}`, { cause });
  }
}

/**
 * Serves an address in one of the five ways: `"blocking"`, a `"process"` or a `"thread"` per connection,
 * `"prefork"`, `"event"`.
 *
 * @remarks
 * The same module serves in all of them; what each costs and when it is right is in docs/models.md. On
 * Node, Bun and Deno alike, from the main thread. Deno needs `--allow-run` for the two that start processes,
 * and gives these everything.
 *
 * Nothing outlives it: what it started ends with `stop`, and also when this process is killed.
 *
 * @returns The server, when it can be connected to.
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

/** A process that is started to serve must not start others: each of those would do the same. */
function checkPlace(): void {
  if (isMainThread && !isChild()) return;
  const where = isChild() ? "a process that serves a model itself" : "a worker thread";
  throw typeError(
    "ERR_UNSUPPORTED",
    `Cannot serve a model from ${where}: have the module export handlers, and nothing else run in it`,
  );
}

/** Finds out now what every connection would find out: that the module cannot be served. */
async function checkModule(url: string, data: unknown): Promise<void> {
  // The program itself, which is running and may be waiting for this.
  if (argv[1] !== undefined && pathToFileURL(argv[1]).href === url) return;
  const { start } = (await import(url)) as ModelModule;
  if (start === undefined) await loadHandlers(url, data);
}
