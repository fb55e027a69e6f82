import { availableParallelism } from "node:os";
import { booleanOf, listOf, type NamesOf, optionsOf } from "../base/argument.ts";
import { numberError, show, typeError } from "../base/misuse.ts";
import { checkEngine, ENGINE_OPTIONS, type EngineOptions } from "../engine/choose.ts";
import { checkCallbacks, checkTimeout } from "../reactor/options.ts";
import { Reactor } from "../reactor/reactor.ts";
import { LISTEN_ADDRESS } from "../socket/listener.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { checkServerOptions, type TlsServerOptions } from "../tls/options.ts";
import { SERVING_OBSERVER, type ServingObserver } from "./counts.ts";
import type { PoolAddress, Sharing } from "./listeners.ts";
import {
  type CrashLoop,
  LIVENESS_OPTIONS,
  type LivenessOptions,
  oneOf,
  supervisionOf,
} from "./supervisor.ts";

/** The five models of serving many clients. */
export type ModelName = "blocking" | "process" | "thread" | "prefork" | "event";

/** All models, from the oldest to the newest. */
export const MODELS: readonly ModelName[] = ["blocking", "process", "thread", "prefork", "event"];

/** The treatment of a connection for which no process or thread is free. */
export type AtLimit = "wait" | "close";

/** A process or thread that exited although it was not asked to, or that threw while it stopped. */
export interface ChildExit {
  readonly kind: "process" | "thread";
  /** The id of the process or thread; -1 if it could not be started. */
  readonly id: number;
  /** The peer whose connection it served; undefined if it served several or none, or the peer has no name. */
  readonly peer?: string | undefined;
  /** The exception that ended it, or an error with its exit code or the signal that killed it. */
  readonly error: Error;
  /**
   * After how long it is replaced, in milliseconds; null when it has exited too often and is given up; undefined if it
   * served one connection only, or the server stops, and it is not replaced.
   */
  readonly restartInMs: number | null | undefined;
}

/** A process or thread that does not respond, or responds again. */
export interface UnresponsiveChild {
  readonly kind: "process" | "thread";
  /** The id of the process or thread. */
  readonly id: number;
  /** For how long it had not responded, in milliseconds. */
  readonly silentMs: number;
}

/** The options of {@link serveModel}. */
export interface ModelOptions extends EngineOptions, LivenessOptions {
  readonly model: ModelName;
  /** The module with the handlers (see {@link ModelModule}): a URL, or a path from the working directory. */
  readonly module: URL | string;
  /** Where to listen: host and port, or path, or address, as for `listen`. */
  readonly listen: PoolAddress;
  /** Passed to `start` of the module: any value that can be written as JSON, up to 100 KiB. */
  readonly data?: unknown;
  /** `prefork`: the number of processes, or `"auto"` (the default): as many as the machine runs at once. */
  readonly children?: number | "auto" | undefined;
  /**
   * `prefork`: with `"exclusive"` (the default) all processes accept from one listener, and a connection wakes one of
   * them (EPOLLEXCLUSIVE); with `"reuseport"` each has its own listener (SO_REUSEPORT), over which the kernel spreads
   * connections by a hash.
   */
  readonly sharing?: Sharing | undefined;
  /** `process`, `thread`: how many of them may run at once, from 1 to 10,000. Default 256. */
  readonly maxChildren?: number | undefined;
  /**
   * `process`, `thread`: when `maxChildren` are running, further connections `"wait"` in the backlog until one exits
   * (the default), or are accepted and closed at once: `"close"`.
   */
  readonly atLimit?: AtLimit | undefined;
  /** Sends at once instead of waiting to fill a packet: TCP_NODELAY. Default true. */
  readonly noDelay?: boolean | undefined;
  /** Closes a connection on which nothing was sent or received for this long. Default: never. */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * `prefork`, `event`: connections use TLS. Pre-forked processes resume the sessions of each other; functions, such as
   * `keylog`, cannot be passed to them.
   */
  readonly tls?: TlsServerOptions | undefined;
  /** `process`, `prefork`: arguments for the runtime, before the program. Default: those of this process. */
  readonly execArgv?: readonly string[] | undefined;
  /** @internal Called with everything that happens on connections. Each call costs a message from the process or thread. */
  readonly observer?: ServingObserver | undefined;
  /** Called with each message that the module sends with `post` of its {@link ModelLoop}. */
  message?(message: unknown): void;
  /**
   * `prefork`, `blocking`: what happens when one process or thread exits unexpectedly again and again.
   *
   * @remarks
   * `"continue"` (the default): it is replaced each time, after a delay that grows from 50 ms to a second; the others
   * continue. Only one of which four starts in a row have failed is given up, and the server ends with an error when
   * all of them are. `"end"`: one that exits five times in a row, before it has served for ten seconds, ends the
   * server: the others are stopped, and `finished` rejects. Use it if a service manager restarts the program.
   */
  readonly crashLoop?: CrashLoop | undefined;
  /**
   * `prefork`, `blocking`: called when a process or thread does not respond, being in an endless loop or in a call
   * that blocks. Without it, a warning of the process is emitted.
   *
   * @remarks
   * Until a pre-forked process responds again, new connections go to the others, unless `reusePort` was given or all
   * are unresponsive. See also `whenUnresponsive`.
   */
  unresponsive?(child: UnresponsiveChild): void;
  /** Called when it responds again. Without it, a warning of the process is emitted. */
  recovered?(child: UnresponsiveChild): void;
  /** Called when a process or thread has exited unexpectedly. Without it, a warning of the process is emitted. */
  exited?(exit: ChildExit): void;
  /** Called when the limit is reached, once until there is room again. Without it, a warning is emitted. */
  limitReached?(maxChildren: number): void;
  /**
   * Called when connections cannot be accepted, for example for lack of descriptors; once until one is accepted.
   * Without it, a warning is emitted.
   */
  acceptError?(error: Error): void;
  /** The reactor on which the main thread accepts and controls children. Default: a new one. */
  readonly reactor?: Reactor | undefined;
  /** @internal The kernel that the main thread uses. A test may pass one that fails. */
  readonly kernel?: Kernel | undefined;
}

export const MODEL_OPTIONS: NamesOf<ModelOptions> = {
  ...ENGINE_OPTIONS,
  ...LIVENESS_OPTIONS,
  model: true,
  module: true,
  listen: true,
  data: true,
  children: true,
  sharing: true,
  maxChildren: true,
  atLimit: true,
  noDelay: true,
  idleTimeoutMs: true,
  tls: true,
  execArgv: true,
  observer: true,
  message: true,
  crashLoop: true,
  unresponsive: true,
  recovered: true,
  exited: true,
  limitReached: true,
  acceptError: true,
  reactor: true,
  kernel: true,
};

/** How many processes or threads may run at once by default. */
export const DEFAULT_MAX_CHILDREN = 256;
const MAX_CHILDREN = 10_000;
const MAX_PREFORKED = 1024;

const ONLY_FOR: readonly (readonly [option: keyof ModelOptions, models: readonly ModelName[]])[] = [
  ["children", ["prefork"]],
  ["sharing", ["prefork"]],
  ["maxChildren", ["process", "thread"]],
  ["atLimit", ["process", "thread"]],
  ["engine", ["prefork", "event"]],
  ["trigger", ["prefork", "event"]],
  ["tls", ["prefork", "event"]],
  ["crashLoop", ["prefork", "blocking"]],
  ["unresponsiveAfterMs", ["prefork", "blocking"]],
  ["whenUnresponsive", ["prefork", "blocking"]],
  ["startTimeoutMs", ["blocking", "process", "thread", "prefork"]],
];

/** @throws `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
export function checkModelOptions(options: ModelOptions): void {
  kernelOf(options, "serveModel()", MODEL_OPTIONS);
  checkEngine(options);
  checkCallbacks(options, [
    "message",
    "exited",
    "unresponsive",
    "recovered",
    "limitReached",
    "acceptError",
  ]);
  optionsOf(options.listen, "listen of serveModel()", LISTEN_ADDRESS);
  booleanOf(options.noDelay, "noDelay", true);
  if (options.reactor !== undefined && !(options.reactor instanceof Reactor)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(options.reactor)} as reactor: give a Reactor`,
    );
  }
  const { execArgv, observer } = options;
  if (execArgv !== undefined) listOf(execArgv, "execArgv");
  if (observer !== undefined) optionsOf(observer, "observer of serveModel()", SERVING_OBSERVER);
  const { model, sharing, atLimit, maxChildren = 1 } = options;
  oneOf("model", model, MODELS);
  for (const [name, models] of ONLY_FOR) {
    if (options[name] === undefined || models.includes(model)) continue;
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${name} with the model ${show(model)}: it is for ${models.join(" and ")}`,
    );
  }
  if (sharing !== undefined) oneOf("sharing", sharing, ["exclusive", "reuseport"]);
  if (atLimit !== undefined) oneOf("atLimit", atLimit, ["wait", "close"]);
  count("maxChildren", maxChildren, MAX_CHILDREN);
  checkTimeout("idleTimeoutMs", options.idleTimeoutMs);
  if (options.tls !== undefined) checkServerOptions(options.tls);
  supervisionOf(options);
}

/** The number of pre-forked processes. @throws `ERR_INVALID_OPTION` */
export function preforked(children: number | "auto" = "auto"): number {
  if (children === "auto") return Math.min(availableParallelism(), MAX_PREFORKED);
  return count("children", children, MAX_PREFORKED, '"auto" or ');
}

function count(name: string, value: number, most: number, or = ""): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw numberError(
    "ERR_INVALID_OPTION",
    value,
    `Cannot use ${show(value)} as ${name}: give ${or}an integer from 1 to ${most}`,
  );
}
