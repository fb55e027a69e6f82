import { isIP } from "node:net";
import {
  ENGINES,
  type EngineOptions,
  MAX_TIMEOUT_MS,
  rangeError,
  show,
  typeError,
  workerCount,
} from "polloi/internal";
import { type Target, targetOf } from "./target.ts";

/** How much is asked of a server, and how. */
export interface LoadOptions extends EngineOptions {
  /**
   * `tcp://HOST:PORT` or `unix:PATH` (`unix:@NAME` for an abstract one), where every byte that is sent is
   * to come back; or `http://HOST[:PORT]/PATH`, whose answers are read and counted.
   */
  readonly target: string;
  /** How many connections, from 1 up. Default 100. */
  readonly connections?: number | undefined;
  /** How long messages are sent, in milliseconds, above 0. Default 10,000, unless `messages` are given. */
  readonly durationMs?: number | undefined;
  /** Instead of a time: how many messages are sent, evenly spread over the connections. */
  readonly messages?: number | undefined;
  /** How many bytes a message has, from 1 up. Default 64. From 16 up they carry a stamp. Not for HTTP. */
  readonly sizeBytes?: number | undefined;
  /** The bytes of every message, instead of stamped ones; for HTTP, the body of a POST. */
  readonly data?: Uint8Array | undefined;
  /**
   * Messages a second, above 0 and up to 1e9, on all connections together, sent when they are due whether answers have come or
   * not. Default: each connection sends when its answer has come.
   */
  readonly rate?: number | undefined;
  /** Opens the connections evenly over so many milliseconds, each sending from then on. Default 0. */
  readonly rampMs?: number | undefined;
  /** Sends each message in so many pieces, each when the one before has come back. Default 1. */
  readonly parts?: number | undefined;
  /** Messages that a connection may have out at a time. Default 1. */
  readonly pipeline?: number | undefined;
  /** How long a connection waits after an answer before it sends again, in milliseconds. Default 0. */
  readonly thinkMs?: number | undefined;
  /** Addresses of this machine to connect from, in turn: each has ports of its own, about 28,000. */
  readonly from?: readonly string[] | undefined;
  /** How long a connect or an answer may take, in milliseconds above 0, before it is given up. Default 5000. */
  readonly timeoutMs?: number | undefined;
  /** Threads that share the connections, or `"auto"`. Default: this thread, and no other. */
  readonly workers?: number | "auto" | undefined;
}

/** Options with every default in its place, as plain data: a worker is given them. */
export interface LoadPlan extends EngineOptions {
  readonly target: Target;
  /** The target as it was written. */
  readonly written: string;
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
  readonly workers: number | null;
}

const MOST_CONNECTIONS = 10_000_000;
const MOST_BYTES = 1 << 30;
const MOST_PIPELINED = 65_536;
/** A message a nanosecond. Beyond it, turns within the longest load would not be counted exactly. */
const MOST_A_SECOND = 1e9;

/**
 * @throws TypeError, RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_TIMEOUT`,
 * `ERR_INVALID_DATA`
 */
export function planOf(options: LoadOptions): LoadPlan {
  if (typeof options !== "object" || options === null) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot load with ${show(options)} as options: give an object with a target`,
    );
  }
  const target = targetOf(options.target);
  const { data, engine, trigger, workers, from } = options;
  checkData(data);
  checkFrom(from);
  if (engine !== undefined && engine !== "auto" && !ENGINES.includes(engine)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use the engine ${show(engine)}: give "auto", ${ENGINES.map(show).join(", ")}`,
    );
  }
  if (trigger !== undefined && trigger !== "level" && trigger !== "edge") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(trigger)} as trigger: give "level" or "edge"`,
    );
  }
  const messages = options.messages ?? null;
  const plan: LoadPlan = {
    target,
    written: options.target,
    connections: count("connections", options.connections, 100, MOST_CONNECTIONS),
    messages: messages === null ? null : count("messages", messages, 1, Number.MAX_SAFE_INTEGER),
    durationMs: messages === null ? time("durationMs", options.durationMs, 10_000, 1) : null,
    sizeBytes: data?.length ?? count("sizeBytes", options.sizeBytes, 64, MOST_BYTES),
    data: data ?? null,
    rate: rateOf(options.rate),
    rampMs: time("rampMs", options.rampMs, 0),
    parts: count("parts", options.parts, 1, MOST_BYTES),
    pipeline: count("pipeline", options.pipeline, 1, MOST_PIPELINED),
    thinkMs: time("thinkMs", options.thinkMs, 0),
    from: from === undefined ? [] : [...from],
    timeoutMs: time("timeoutMs", options.timeoutMs, 5000, 1),
    workers: workers === undefined ? null : workerCount(workers),
    engine,
    trigger,
  };
  checkTogether(options, plan);
  return plan;
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

/** What cannot be had together, or not of this target. */
function checkTogether(options: LoadOptions, plan: LoadPlan): void {
  const { target, parts, pipeline, rate, thinkMs, sizeBytes, connections, workers, from } = plan;
  const refuse = (what: string): void => {
    throw typeError("ERR_INVALID_OPTION", `Cannot load with ${what}`);
  };
  const given = (...values: unknown[]): boolean => values.every((value) => value !== undefined);
  if (given(options.durationMs, options.messages)) refuse("durationMs and messages: give one");
  if (given(options.sizeBytes, options.data)) refuse("sizeBytes and data: give one");
  if (target.kind === "http" && given(options.sizeBytes)) refuse("sizeBytes over HTTP: give data");
  if (target.kind === "http" && parts > 1) refuse("parts over HTTP: they are for echoes");
  if (parts > 1 && pipeline > 1) refuse("parts and a pipeline: a part waits for the one before it");
  if (parts > sizeBytes) refuse(`${parts} parts of ${sizeBytes} bytes: a part has at least one`);
  if (rate !== null && thinkMs > 0) refuse("a rate and thinkMs: the rate says when to send");
  if (workers !== null && workers > connections) refuse("more workers than connections");
  if (target.kind === "unix" && from.length > 0)
    refuse("from over a unix socket: it has no address");
}

function checkFrom(from: unknown): void {
  if (from === undefined) return;
  const wrong = (what: unknown): Error =>
    typeError(
      "ERR_INVALID_ADDRESS",
      `Cannot connect from ${show(what)}: give an array of IP addresses of this machine`,
    );
  if (!Array.isArray(from)) throw wrong(from);
  if (from.length === 0) throw wrong("no address");
  for (const address of from) {
    if (typeof address !== "string" || isIP(address) === 0) throw wrong(address);
  }
}

function rateOf(rate: unknown): number | null {
  if (rate === undefined) return null;
  if (typeof rate === "number" && rate > 0 && rate <= MOST_A_SECOND) return rate;
  throw rangeError(
    "ERR_INVALID_OPTION",
    `Cannot send ${show(rate)} messages a second: give a number above 0, up to ${MOST_A_SECOND}`,
  );
}

function count(name: string, value: number | undefined, usual: number, most: number): number {
  if (value === undefined) return usual;
  const wrong = `Cannot use ${show(value)} as ${name}: give an integer from 1 to ${most}`;
  if (!Number.isInteger(value)) throw typeError("ERR_INVALID_OPTION", wrong);
  if (value < 1 || value > most) throw rangeError("ERR_INVALID_OPTION", wrong);
  return value;
}

/** @param least - A time of 0 is no time to send, or to wait for an answer. */
function time(name: string, value: number | undefined, usual: number, least: 0 | 1 = 0): number {
  if (value === undefined) return usual;
  const allowed = least === 0 ? "0" : "above 0";
  const wrong = `Cannot use ${show(value)} as ${name}: give milliseconds from ${allowed} to ${MAX_TIMEOUT_MS}`;
  if (typeof value !== "number") throw typeError("ERR_INVALID_TIMEOUT", wrong);
  if (value > 0 ? value <= MAX_TIMEOUT_MS : value === 0 && least === 0) return Math.abs(value);
  throw rangeError("ERR_INVALID_TIMEOUT", wrong);
}
