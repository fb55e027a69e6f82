import { availableParallelism } from "node:os";
import { booleanOf, listOf, type NamesOf, optionsOf } from "../base/argument.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { checkEngine, ENGINE_OPTIONS, type EngineOptions } from "../engine/choose.ts";
import { checkCallbacks, checkTimeout } from "../reactor/options.ts";
import { Reactor } from "../reactor/reactor.ts";
import { LISTEN_ADDRESS, type ListenOptions } from "../socket/listener.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { LIVENESS_OPTIONS, type LivenessOptions, livenessOf } from "./liveness.ts";
import { type CrashLoop, checkCrashLoop } from "./restarts.ts";
import { MODEL_OBSERVER, type ModelObserver } from "./served.ts";

/** The five ways to serve many clients. */
export type ModelName = "blocking" | "process" | "thread" | "prefork" | "event";

/** All of them, in the order in which they were thought of. */
export const MODELS: readonly ModelName[] = ["blocking", "process", "thread", "prefork", "event"];

/** How pre-forked processes share the work of accepting. */
export type Sharing = "exclusive" | "reuseport";

/** What becomes of a connection for which there is no process or thread. */
export type AtLimit = "wait" | "close";

/** A process or thread that ended without having been asked to. */
export interface ModelDeath {
  readonly kind: "process" | "thread";
  /** The process's id, or the thread's. */
  readonly id: number;
  /** Whose connection it served; undefined where it served several or none, or the peer has no name. */
  readonly peer?: string | undefined;
  /** What it threw; when it threw nothing, an error that tells its exit code or the signal that killed it. */
  readonly error: Error;
  /**
   * After how long another takes its place; null when it has died too often and is given up; undefined where
   * nothing takes its place, since it served one connection only.
   */
  readonly restartInMs: number | null | undefined;
}

/** A process or thread that does not respond, or responds again. */
export interface UnresponsiveChild {
  readonly kind: "process" | "thread";
  /** The process's id, or the thread's. */
  readonly id: number;
  /** For how long it had not responded, in milliseconds. */
  readonly silentMs: number;
}

/** What to serve, where, and in which way. */
export interface ModelOptions extends EngineOptions, LivenessOptions {
  readonly model: ModelName;
  /** The module with the handlers (see {@link ModelModule}): a URL, or a path from the working directory. */
  readonly module: URL | string;
  /** Where to listen: host and port, or path, or address, as for `listen`. */
  readonly listen: Omit<ListenOptions, "nonBlocking" | "type">;
  /** Handed to `start` of the module: anything that can be written as JSON, 100 KiB of it at most. */
  readonly data?: unknown;
  /** `prefork`: how many processes, or `"auto"` (the default): as many as the machine runs at once. */
  readonly children?: number | "auto" | undefined;
  /**
   * `prefork`: `"exclusive"` (the default) has all processes accept from one listener, a connection waking one
   * of them (EPOLLEXCLUSIVE); `"reuseport"` gives each a listener of its own (SO_REUSEPORT), over which
   * the kernel spreads connections by a hash.
   */
  readonly sharing?: Sharing | undefined;
  /** `process`, `thread`: how many there may be at once, 1 to 10,000. Default 256. */
  readonly maxChildren?: number | undefined;
  /**
   * `process`, `thread`: when as many as may be are there, further connections `"wait"` in the backlog until
   * one ends (the default), or are accepted and closed at once: `"close"`.
   */
  readonly atLimit?: AtLimit | undefined;
  /** Sends at once instead of waiting to fill a packet: TCP_NODELAY. Default true. */
  readonly noDelay?: boolean | undefined;
  /** Ends a connection on which nothing came or went for so long. Default: never. */
  readonly idleTimeoutMs?: number | undefined;
  /** `process`, `prefork`: arguments for the runtime, before the program. Default: those of this process. */
  readonly execArgv?: readonly string[] | undefined;
  /** Told of everything that happens, which costs a message from wherever it happens. */
  readonly observer?: ModelObserver | undefined;
  /** Told what the module says through `post` of its {@link ModelLoop}. */
  message?(message: unknown): void;
  /**
   * `prefork`, `blocking`: what becomes of the server when one process or thread dies again and again.
   *
   * @remarks
   * `"continue"` (the default): it is replaced each time, after a delay that grows from 50 ms to a second; the others
   * go on. Only one of which four starts in a row have failed is given up, and the server ends with an error when all
   * of them are. `"end"`: one that dies five times in a row, each within ten seconds of its start, ends the server:
   * the others are stopped, and `finished` rejects. For a server that something outside restarts whole.
   */
  readonly crashLoop?: CrashLoop | undefined;
  /**
   * `prefork`, `blocking`: called when a process or thread does not respond, being in an endless loop or in a call
   * that blocks. Without it, a warning of the process is emitted.
   *
   * @remarks
   * Until a pre-forked process responds again, new connections go to the others, unless `reusePort` was given or all
   * are unresponsive. See `whenUnresponsive` for more.
   */
  unresponsive?(child: UnresponsiveChild): void;
  /** Called when it responds again. Without it, a warning of the process is emitted. */
  recovered?(child: UnresponsiveChild): void;
  /** Told when a process or thread has died. Without it, a warning of the process tells. */
  died?(death: ModelDeath): void;
  /** Told when the limit is reached, and not again before it was not. Without it, a warning tells. */
  limitReached?(maxChildren: number): void;
  /** Told when connections cannot be accepted for a while, for want of descriptors; else a warning tells. */
  acceptError?(error: Error): void;
  /** The reactor on which the main thread does its part. Default: one of its own. */
  readonly reactor?: Reactor | undefined;
  /** The kernel that the main thread uses; a test may hand over one that fails. */
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
  execArgv: true,
  observer: true,
  message: true,
  crashLoop: true,
  unresponsive: true,
  recovered: true,
  died: true,
  limitReached: true,
  acceptError: true,
  reactor: true,
  kernel: true,
};

/** How many processes or threads there may be at once, when nothing is said of it. */
export const DEFAULT_MAX_CHILDREN = 256;
const MOST_CHILDREN = 10_000;
const MOST_PREFORKED = 1024;

const ONLY_FOR: readonly (readonly [option: keyof ModelOptions, models: readonly ModelName[]])[] = [
  ["children", ["prefork"]],
  ["sharing", ["prefork"]],
  ["maxChildren", ["process", "thread"]],
  ["atLimit", ["process", "thread"]],
  ["engine", ["prefork", "event"]],
  ["trigger", ["prefork", "event"]],
  ["crashLoop", ["prefork", "blocking"]],
  ["unresponsiveAfterMs", ["prefork", "blocking"]],
  ["whenUnresponsive", ["prefork", "blocking"]],
  ["startTimeoutMs", ["blocking", "process", "thread", "prefork"]],
];

/** @throws `ERR_INVALID_OPTION`, `ERR_INVALID_TIMEOUT` */
export function checkModelOptions(options: ModelOptions): void {
  kernelOf(options, "serveModel()", MODEL_OPTIONS);
  checkEngine(options);
  checkCallbacks(options, ["message", "died", "limitReached", "acceptError"]);
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
  if (observer !== undefined) optionsOf(observer, "observer of serveModel()", MODEL_OBSERVER);
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
  count("maxChildren", maxChildren, MOST_CHILDREN);
  checkTimeout("idleTimeoutMs", options.idleTimeoutMs);
  livenessOf(options);
  checkCrashLoop(options.crashLoop);
}

/** How many processes to start beforehand. @throws `ERR_INVALID_OPTION` */
export function preforked(children: number | "auto" = "auto"): number {
  if (children === "auto") return Math.min(availableParallelism(), MOST_PREFORKED);
  return count("children", children, MOST_PREFORKED, '"auto" or ');
}

function oneOf(name: string, value: unknown, allowed: readonly string[]): void {
  if (allowed.includes(value as string)) return;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(value)} as ${name}: give ${allowed.map(show).join(", ")}`,
  );
}

function count(name: string, value: number, most: number, or = ""): number {
  const wrong = `Cannot use ${show(value)} as ${name}: give ${or}an integer from 1 to ${most}`;
  if (!Number.isInteger(value)) throw typeError("ERR_INVALID_OPTION", wrong);
  if (value < 1 || value > most) throw rangeError("ERR_INVALID_OPTION", wrong);
  return value;
}
