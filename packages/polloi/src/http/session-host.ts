import type { Kernel } from "../sys/kernel.ts";
import type { LookClock } from "./deadline.ts";
import type { HttpSettings } from "./options.ts";
import type { KnownLine } from "./wire/request-head.ts";
import type { RequestParser } from "./wire/request-parser.ts";
import type { ReplyWriter } from "./reply.ts";
import type { ParsedRequest } from "./request.ts";
import type { RefusalCode, RequestError } from "./request-error.ts";

/** The part of a session that the access log uses. */
export interface Logged {
  /** The client's address, if there is a log. */
  readonly peer: string;
}

/** A request whose head is not complete. */
export interface UnfinishedHead {
  /** The parts of the request line that have arrived; null if nothing of it has. */
  readonly line: KnownLine | null;
  /** The time of its first byte, as of the kernel's clock. */
  readonly began: number;
}

/** The part of a server that its sessions use. */
export interface SessionHost extends LookClock {
  readonly kernel: Pick<Kernel, "now" | "after">;
  readonly settings: HttpSettings;
  /** Whether the server stops, and only requests that have arrived are answered. */
  readonly isStopping: boolean;
  /** The timeout for a client that has ended its half, in milliseconds. */
  readonly halfCloseTimeoutMs: number;
  /** The Date field, at most half a second old. */
  readonly date: string;
  /** The parser of all connections that are between two requests. */
  readonly parser: RequestParser;
  /** A session keeps that parser, so the others need a new one. */
  taken(): void;
  giveBack(parser: RequestParser): void;
  /** A request was answered. */
  answered(session: Logged, request: ParsedRequest, reply: ReplyWriter): void;
  /** A request was refused, or a limit ended a connection: counts it by the code. */
  refused(code: RefusalCode): void;
  /**
   * A request, complete or not, has ended without the reply of its handler.
   *
   * @param head - What is known of a request whose head is not complete.
   */
  ended(
    session: Logged,
    error: RequestError,
    request: ParsedRequest | null,
    reply: ReplyWriter | null,
    head: UnfinishedHead | null,
  ): void;
  /**
   * A callback of the program threw.
   *
   * @returns The value that `error` of the options returned.
   */
  failed(error: unknown): unknown;
  /** The program has taken over the connection. */
  handedOver(session: object): void;
  /** Calls back when the current callback has returned. */
  soon(callback: () => void): void;
}
