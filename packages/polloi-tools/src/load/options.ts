import { isIP } from "node:net";
import type { TlsClientOptions } from "polloi";
import {
  booleanOf,
  choiceOf,
  ENGINE_OPTIONS,
  ENGINES,
  type EngineOptions,
  MAX_TIMEOUT_MS,
  type NamesOf,
  numberError,
  show,
  typeError,
  workerCount,
} from "polloi/internal";
import { parseTarget, type Target } from "./target.ts";

/** Options of {@link load}. */
export interface LoadOptions extends EngineOptions {
  /**
   * `tcp://HOST:PORT`, `tls://HOST:PORT` or `unix:PATH` (`unix:@NAME` for an abstract socket) for an echo server, whose
   * answers are compared with what was sent; `http://HOST[:PORT]/PATH` or `https://...` for an HTTP server, whose
   * responses are read and counted.
   */
  readonly target: string;
  /** Number of connections, from 1 up. Default 100. */
  readonly connections?: number | undefined;
  /** How long messages are sent, in milliseconds, above 0. Default 10,000, unless `messages` is given. */
  readonly durationMs?: number | undefined;
  /** Number of messages to send, spread evenly over the connections. Excludes `durationMs`. */
  readonly messages?: number | undefined;
  /** Size of a message in bytes, from 1 up. Default 64. From 16 up, messages have a header. Not for HTTP. */
  readonly sizeBytes?: number | undefined;
  /** The content of every message, without a header; for HTTP, the body of a POST. */
  readonly data?: Uint8Array | undefined;
  /**
   * Messages per second on all connections together, above 0 and up to 1e9. They are sent at fixed times,
   * whether or not answers have arrived. Default: a connection sends when its answer has arrived.
   */
  readonly rate?: number | undefined;
  /** Opens the connections evenly over this many milliseconds; each sends as soon as it is open. Default 0. */
  readonly rampMs?: number | undefined;
  /** Sends each message in this many parts, each when the part before it has been echoed. Default 1. */
  readonly parts?: number | undefined;
  /** Number of messages that a connection may have in flight. Default 1. */
  readonly pipeline?: number | undefined;
  /** How long a connection waits between an answer and its next message, in milliseconds. Default 0. */
  readonly thinkMs?: number | undefined;
  /** Local addresses to connect from, in turn. Each has its own ports, about 28,000. Default, and with []: any. */
  readonly from?: readonly string[] | undefined;
  /** Time limit of a connect and of an answer, in milliseconds above 0. Default 5000. */
  readonly timeoutMs?: number | undefined;
  /** Whether a server whose certificate is not accepted is refused; for `tls://` and `https://`. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** Number of threads that share the connections, or `"auto"`. Default: the calling thread only. */
  readonly workers?: number | "auto" | undefined;
}

export const LOAD_OPTIONS: NamesOf<LoadOptions> = {
  ...ENGINE_OPTIONS,
  target: true,
  connections: true,
  durationMs: true,
  messages: true,
  sizeBytes: true,
  data: true,
  rate: true,
  rampMs: true,
  parts: true,
  pipeline: true,
  thinkMs: true,
  from: true,
  timeoutMs: true,
  rejectUnauthorized: true,
  workers: true,
};

/** Validated options with defaults filled in, as plain data that can be passed to a worker. */
export interface LoadConfig extends EngineOptions {
  readonly target: Target;
  /** The target as the caller wrote it. */
  readonly targetText: string;
  readonly connections: number;
  readonly durationMs: number | null;
  readonly messages: number | null;
  readonly sizeBytes: number;
  readonly data: Uint8Array | null;
  readonly rate: number | null;
  readonly rampMs: number;
  readonly parts: number;
  readonly pipeline: number;
  readonly thinkMs: number;
  readonly from: readonly string[];
  readonly timeoutMs: number;
  /** The options of TLS, or null without TLS. The connections of a thread share them. */
  readonly tls: TlsClientOptions | null;
  readonly workers: number | null;
}

const MAX_CONNECTIONS = 10_000_000;
const MAX_BYTES = 1 << 30;
const MAX_PIPELINE = 65_536;
/** One message per nanosecond. Above it, the messages of the longest load could not be counted exactly. */
const MAX_RATE = 1e9;

/**
 * Validates options and fills in the defaults.
 *
 * @throws TypeError, RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_TIMEOUT`,
 * `ERR_INVALID_DATA`
 */
export function configFrom(options: LoadOptions): LoadConfig {
  if (typeof options !== "object" || options === null) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot load with ${show(options)} as options: give an object with a target`,
    );
  }
  const target = parseTarget(options.target);
  const { data, engine, trigger, workers, from } = options;
  checkData(data);
  checkFrom(from);
  if (engine !== undefined && engine !== "auto" && !ENGINES.includes(engine)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use the engine ${show(engine)}: give ${choiceOf(["auto", ...ENGINES])}`,
    );
  }
  if (trigger !== undefined && trigger !== "level" && trigger !== "edge") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(trigger)} as trigger: give "level" or "edge"`,
    );
  }
  const messages = options.messages ?? null;
  const config: LoadConfig = {
    target,
    targetText: options.target,
    connections: count("connections", options.connections, 100, MAX_CONNECTIONS),
    messages: messages === null ? null : count("messages", messages, 1, Number.MAX_SAFE_INTEGER),
    durationMs: messages === null ? time("durationMs", options.durationMs, 10_000, 1) : null,
    sizeBytes: data?.length ?? count("sizeBytes", options.sizeBytes, 64, MAX_BYTES),
    data: data ?? null,
    rate: checkRate(options.rate),
    rampMs: time("rampMs", options.rampMs, 0),
    parts: count("parts", options.parts, 1, MAX_BYTES),
    pipeline: count("pipeline", options.pipeline, 1, MAX_PIPELINE),
    thinkMs: time("thinkMs", options.thinkMs, 0),
    from: from === undefined ? [] : [...from],
    timeoutMs: time("timeoutMs", options.timeoutMs, 5000, 1),
    tls: tlsOf(options, target),
    workers: workers === undefined ? null : workerCount(workers),
    engine,
    trigger,
  };
  checkCombination(options, config);
  return config;
}

/** @throws TypeError `ERR_INVALID_OPTION` */
function tlsOf(options: LoadOptions, target: Target): TlsClientOptions | null {
  const rejectUnauthorized = booleanOf(options.rejectUnauthorized, "rejectUnauthorized", true);
  if (target.kind !== "unix" && target.isSecure) {
    return {
      // The connections are those of the address, and the certificate is for the name.
      servername: target.host.split("%")[0],
      rejectUnauthorized,
      ...(target.kind === "http" ? { ALPNProtocols: ["http/1.1"] } : {}),
      handshakeTimeoutMs: time("timeoutMs", options.timeoutMs, 5000, 1),
    };
  }
  if (options.rejectUnauthorized === undefined) return null;
  throw typeError(
    "ERR_INVALID_OPTION",
    "Cannot load with rejectUnauthorized without TLS: give tls:// or https://",
  );
}

function checkData(data: unknown): void {
  if (data === undefined) return;
  if (data instanceof Uint8Array && data.length > 0) return;
  const shown = data instanceof Uint8Array ? "no bytes" : show(data);
  throw typeError(
    "ERR_INVALID_DATA",
    `Cannot send ${shown}: give a Uint8Array of at least one byte`,
  );
}

/** Rejects options that exclude each other, or that the target does not support. */
function checkCombination(options: LoadOptions, config: LoadConfig): void {
  const { target, parts, pipeline, rate, thinkMs, sizeBytes, connections, workers, from } = config;
  const reject = (what: string): void => {
    throw typeError("ERR_INVALID_OPTION", `Cannot load with ${what}`);
  };
  const given = (...values: unknown[]): boolean => values.every((value) => value !== undefined);
  if (given(options.durationMs, options.messages)) reject("durationMs and messages: give one");
  if (given(options.sizeBytes, options.data)) reject("sizeBytes and data: give one");
  if (target.kind === "http" && given(options.sizeBytes)) reject("sizeBytes over HTTP: give data");
  if (target.kind === "http" && parts > 1) reject("parts over HTTP: they are for echo servers");
  if (parts > 1 && pipeline > 1) reject("parts and a pipeline: a part waits for the one before it");
  if (parts > sizeBytes) reject(`${parts} parts of ${sizeBytes} bytes: a part has at least one`);
  if (rate !== null && thinkMs > 0) reject("a rate and thinkMs: the rate sets the times");
  if (workers !== null && workers > connections) reject("more workers than connections");
  if (target.kind === "unix" && from.length > 0) {
    reject("from over a unix socket: it has no address");
  }
}

function checkFrom(from: unknown): void {
  if (from === undefined) return;
  const invalid = (value: unknown): Error =>
    typeError(
      "ERR_INVALID_ADDRESS",
      `Cannot connect from ${show(value)}: give an array of IP addresses of this machine`,
    );
  if (!Array.isArray(from)) throw invalid(from);
  if (from.length === 0) throw invalid("no address");
  for (const address of from) {
    if (typeof address !== "string" || isIP(address) === 0) throw invalid(address);
  }
}

function checkRate(rate: unknown): number | null {
  if (rate === undefined) return null;
  if (typeof rate === "number" && rate > 0 && rate <= MAX_RATE) return rate;
  throw numberError(
    "ERR_INVALID_OPTION",
    rate,
    `Cannot send ${show(rate)} messages a second: give a number above 0, up to ${MAX_RATE}`,
  );
}

function count(name: string, value: number | undefined, byDefault: number, max: number): number {
  if (value === undefined) return byDefault;
  const message = `Cannot use ${show(value)} as ${name}: give an integer from 1 to ${max}`;
  if (!Number.isInteger(value) || value < 1 || value > max) {
    throw numberError("ERR_INVALID_OPTION", value, message);
  }
  return value;
}

/** @param min - 0 where a time of 0 has a meaning, else 1: the time has to be above 0. */
function time(name: string, value: number | undefined, byDefault: number, min: 0 | 1 = 0): number {
  if (value === undefined) return byDefault;
  const allowed = min === 0 ? "0" : "above 0";
  const message = `Cannot use ${show(value)} as ${name}: give milliseconds from ${allowed} to ${MAX_TIMEOUT_MS}`;
  const isTime =
    typeof value === "number" &&
    value <= MAX_TIMEOUT_MS &&
    (value > 0 || (value === 0 && min === 0));
  if (!isTime) throw numberError("ERR_INVALID_TIMEOUT", value, message);
  return Math.abs(value);
}

/** The part of a load that one thread generates. */
export interface Shard {
  /** The index of its first connection among all connections of the load. */
  readonly first: number;
  readonly connections: number;
  /** Messages per second. */
  readonly rate: number | null;
}

/** The shard of thread `index` of `count`. */
export function shardOf(config: LoadConfig, index: number, count: number): Shard {
  const { rate } = config;
  const first = Math.floor((config.connections * index) / count);
  const connections = Math.floor((config.connections * (index + 1)) / count) - first;
  return {
    first,
    connections,
    rate: rate === null ? null : (rate * connections) / config.connections,
  };
}

/** How many messages the connection `index` sends; Infinity when the load has a duration instead. */
export function quotaOf({ messages, connections }: LoadConfig, index: number): number {
  if (messages === null) return Number.POSITIVE_INFINITY;
  return Math.floor(messages / connections) + (index < messages % connections ? 1 : 0);
}
