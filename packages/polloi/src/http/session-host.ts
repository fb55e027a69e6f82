import type { LookClock } from "./deadline.ts";
import type { HttpSettings } from "./options.ts";
import type { KnownLine } from "./parser/head-scanner.ts";
import type { RequestParser } from "./parser/request-parser.ts";
import type { ReplyWriter } from "./reply.ts";
import type { ParsedRequest } from "./request.ts";
import type { RefusalCode, RequestError } from "./request-error.ts";

/** What the access log needs of a session. */
export interface Logged {
  /** The peer's address, where there is a log. */
  readonly peer: string;
}

/** A request whose head was never complete. */
export interface UnfinishedHead {
  /** What is known of its first line; null when nothing of it has come. */
  readonly line: KnownLine | null;
  /** When the first of it came, by `performance.now()`. */
  readonly began: number;
}

/** What a session asks of its server. */
export interface SessionHost extends LookClock {
  readonly settings: HttpSettings;
  /** Whether no more is answered than what has arrived. */
  readonly isStopping: boolean;
  /** How long a client that has ended its half waits for more of its reply, in milliseconds. */
  readonly halfCloseTimeoutMs: number;
  /** The Date field, half a second old at most. */
  readonly date: string;
  /** Reads for whoever is between two requests. */
  readonly parser: RequestParser;
  /** A session keeps that parser: the others get another. */
  taken(): void;
  giveBack(parser: RequestParser): void;
  /** A request was answered. */
  answered(session: Logged, request: ParsedRequest, reply: ReplyWriter): void;
  /** One was refused, or a connection ended, for a reason with this code. */
  refused(code: RefusalCode): void;
  /**
   * A request has come to its end, or what was none, without a reply of its own.
   *
   * @param head - What is known of it when its head was not complete, and anything is.
   */
  ended(
    session: Logged,
    error: RequestError,
    request: ParsedRequest | null,
    reply: ReplyWriter | null,
    head: UnfinishedHead | null,
  ): void;
  /**
   * Something threw that the program gave.
   *
   * @returns what `error` of the options returned.
   */
  failed(error: unknown): unknown;
  /** The connection is the program's now. */
  handedOver(session: object): void;
  /** Calls back when what is under way has returned. */
  soon(callback: () => void): void;
}
