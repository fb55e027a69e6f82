/**
 * The protocol between a supervisor and its children, which are threads or processes.
 *
 * A child receives its {@link ChildInput} when it starts, with a descriptor beside it. It sends
 * {@link ChildMessage}s: a thread posts them, a process sends them as JSON over a socket. A process receives
 * {@link Command}s over the same socket. A thread that sleeps in the kernel receives no message, so its commands are
 * in shared memory: see `control-block.ts`.
 */
import type { EngineChoice } from "../engine/choose.ts";
import type { EngineName, Reporting, Trigger } from "../engine/engine.ts";
import type { ServedCounts, ServingObserver } from "./counts.ts";
import type { TlsInput } from "./tls-input.ts";

/**
 * The task of a child.
 *
 * - `"worker"`: a listener, on an event loop, by a module for `startWorkers`
 * - `"event-loop"`: a listener, on an event loop, by a module for `serveModel`
 * - `"accept-loop"`: a listener, by blocking calls, one connection after another
 * - `"connection"`: one connection, by blocking calls
 */
export type ChildTask = "worker" | "event-loop" | "accept-loop" | "connection";

/** The task of a child and its options. Everything except `data` of a thread can be written as JSON. */
export interface ChildInput {
  readonly task: ChildTask;
  /** The URL of the module. */
  readonly module: string;
  readonly data: unknown;
  /** `"worker"`: the index of the worker, and how many there are. */
  readonly index?: number;
  readonly count?: number;
  /** On an event loop: its engine, and whether other processes accept from the same listener. */
  readonly engine?: EngineChoice | undefined;
  readonly trigger?: Trigger | undefined;
  readonly exclusive?: boolean;
  /** How connections are treated. */
  readonly noDelay?: boolean;
  readonly idleTimeoutMs?: number | undefined;
  readonly tls?: TlsInput | undefined;
  /** Whether to report each connection and message. */
  readonly observed?: boolean;
}

/** The phase of a child's start: an index in {@link PHASES}. */
export const IMPORTING = 1;
export const STARTING = 2;

/** How a message describes what a child does until it is ready. */
export const PHASES = [
  "the runtime was starting",
  "it was importing its module",
  "start() of its module had not returned",
] as const;

/** A request to a process that runs. */
export type Command =
  | { readonly type: "stop"; readonly graceMs: number }
  /** Asks for a message, as a sign of life. */
  | { readonly type: "ping" }
  /** Asks to accept the connections that wait on a listener shared with other processes. */
  | { readonly type: "accept" };

/** A request to a thread that serves connections and has none. */
export type ThreadCommand =
  | { readonly type: "serve"; readonly fd: number }
  | { readonly type: "exit" };

/** The engine of an event loop. */
export interface LoopEngine {
  readonly engine: EngineName;
  readonly trigger: Reporting;
}

/** An error that crosses to another thread or process: what a user or a program needs of it. */
export interface PlainError {
  readonly message: string;
  readonly stack?: string | undefined;
  readonly code?: unknown;
  readonly hint?: unknown;
}

/** A message from a child. */
export type ChildMessage =
  /** Its module is imported, and `start` of it is called next. */
  | { readonly type: "starting" }
  | { readonly type: "ready"; readonly engine?: LoopEngine | undefined }
  /** It exits, because of this error. */
  | { readonly type: "failed"; readonly error: PlainError }
  /** A thread has an error that polloi does not catch: it exits, unless its module handles the error. */
  | { readonly type: "uncaught"; readonly error: PlainError }
  /** The answer to a ping. */
  | { readonly type: "pong" }
  | { readonly type: "counts"; readonly counts: ServedCounts }
  /** A thread has finished its connection, and can serve another. */
  | { readonly type: "idle" }
  /** Sent by the module, with `post`. */
  | { readonly type: "post"; readonly message: unknown }
  | { readonly type: "accept-failed"; readonly error: PlainError }
  | { readonly type: "opened"; readonly peer: string }
  | { readonly type: "received"; readonly peer: string; readonly base64: string }
  | { readonly type: "closed"; readonly peer: string; readonly error?: PlainError | undefined };

/** An observer in a child: it sends what it is called with to the main process. */
export function sendingObserver(send: (message: ChildMessage) => void): ServingObserver {
  return {
    opened: (peer) => send({ type: "opened", peer }),
    received: (peer, bytes) =>
      send({ type: "received", peer, base64: Buffer.from(bytes).toString("base64") }),
    closed: (peer, error) => send({ type: "closed", peer, error: error && toPlainError(error) }),
  };
}

/** Calls `observer` with what a {@link sendingObserver} has sent. Ignores other messages. */
export function notifyObserver(observer: ServingObserver | undefined, message: ChildMessage): void {
  if (message.type === "opened") observer?.opened(message.peer);
  else if (message.type === "received") {
    observer?.received(message.peer, Buffer.from(message.base64, "base64"));
  } else if (message.type === "closed") {
    observer?.closed(message.peer, message.error && fromPlainError(message.error));
  }
}

export function toPlainError(error: unknown): PlainError {
  const { message = String(error), stack, code, hint } = error as Partial<PlainError>;
  return { message, stack, code, hint };
}

export function fromPlainError({ message, stack, code, hint }: PlainError): Error {
  const error = Object.assign(new Error(message), { code, hint });
  if (stack !== undefined) error.stack = stack;
  return error;
}
