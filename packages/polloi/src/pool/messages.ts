/** What a child, be it a process or a thread, is given and what it says: all of it could be JSON. */
import type { EngineChoice } from "../engine/choose.ts";
import type { EngineName, Reporting, Trigger } from "../engine/engine.ts";
import type { ModelObserver, Tally } from "./served.ts";

/** How connections are treated. */
export interface Treatment {
  readonly noDelay: boolean;
  readonly idleTimeoutMs: number | undefined;
}

/** What every child is given. */
export interface ChildInput extends Treatment {
  /** The URL of the module. */
  readonly module: string;
  readonly data: unknown;
  /** Whether to tell of each connection and message. */
  readonly observed: boolean;
}

/** What a process is given, beside a descriptor. */
export interface ProcessInput extends ChildInput {
  /** Whether the descriptor is one connection's, or a listener's that is served by an event loop. */
  readonly serves: "connection" | "listener";
  readonly engine: EngineChoice | undefined;
  readonly trigger: Trigger | undefined;
  /** Whether others accept from the same listener. */
  readonly exclusive: boolean;
}

/** What a process is asked later. */
export type Order =
  | { readonly stopWithinMs: number }
  /** For a sign of life. */
  | { readonly ask: true }
  /** To accept what waits on the listener that it shares. */
  | { readonly accept: true };

/** The engine of a process, which has one if it serves a listener. */
export interface ChildEngine {
  readonly engine: EngineName;
  readonly trigger: Reporting;
}

/** An error on its way from a child: what a person or a program may want of it. */
export interface ToldError {
  readonly message: string;
  readonly stack?: string | undefined;
  readonly code?: unknown;
  readonly hint?: unknown;
}

/** What a child says. */
export type ChildMessage =
  | { readonly type: "ready"; readonly engine?: ChildEngine | undefined }
  | { readonly type: "failed"; readonly error: ToldError }
  /** Its module is imported, and `start` of it is called. */
  | { readonly type: "starting" }
  /** It was asked for a sign of life. */
  | { readonly type: "alive" }
  | { readonly type: "tally"; readonly tally: Tally }
  /** Of a thread: the connection is over, and it could serve another. */
  | { readonly type: "over" }
  /** What a module says. */
  | { readonly type: "post"; readonly message: unknown }
  | { readonly type: "cannot accept"; readonly error: ToldError }
  | { readonly type: "opened"; readonly peer: string }
  | { readonly type: "received"; readonly peer: string; readonly base64: string }
  | { readonly type: "closed"; readonly peer: string; readonly error?: ToldError | undefined };

/** An observer in a child, whose words go to the one in the main process. */
export function tellingObserver(tell: (message: ChildMessage) => void): ModelObserver {
  return {
    opened: (peer) => tell({ type: "opened", peer }),
    received: (peer, bytes) =>
      tell({ type: "received", peer, base64: Buffer.from(bytes).toString("base64") }),
    closed: (peer, error) => tell({ type: "closed", peer, error: error && toldError(error) }),
  };
}

/** Passes on what a {@link tellingObserver} said. */
export function observe(observer: ModelObserver | undefined, message: ChildMessage): void {
  if (message.type === "opened") observer?.opened(message.peer);
  else if (message.type === "received") {
    observer?.received(message.peer, Buffer.from(message.base64, "base64"));
  } else if (message.type === "closed") {
    observer?.closed(message.peer, message.error && errorOf(message.error));
  }
}

export function toldError(error: unknown): ToldError {
  const { message = String(error), stack, code, hint } = error as Partial<ToldError>;
  return { message, stack, code, hint };
}

export function errorOf({ message, stack, code, hint }: ToldError): Error {
  const error = Object.assign(new Error(message), { code, hint });
  if (stack !== undefined) error.stack = stack;
  return error;
}
