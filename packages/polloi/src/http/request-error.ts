import { reasonOf, statusLine } from "./status.ts";
import type { FailureCode } from "./wire/failures.ts";

/**
 * The code of the reason why a request was refused or ended before it was complete.
 *
 * @remarks
 * Most are reasons of the parser to refuse a request, and limits of the server. `CONNECTIONS` is the limit of a server,
 * `REQUESTS` that of a connection. `PROXY_HEADER`: the connection did not begin with a valid PROXY header. `FORWARDED`: the headers
 * of a trusted proxy are malformed, or contradict each other. `CLIENT_LEFT`: the client left. `REPLIED_FIRST`: the reply was complete before the
 * body of the request.
 */
export type RefusalCode =
  | FailureCode
  | "HEAD_TIMEOUT"
  | "BODY_TIMEOUT"
  | "IDLE_TIMEOUT"
  | "SEND_TIMEOUT"
  | "HALF_CLOSE_TIMEOUT"
  | "REQUESTS"
  | "CONNECTIONS"
  | "PROXY_HEADER"
  | "FORWARDED"
  | "CLIENT_LEFT"
  | "REPLIED_FIRST";

/**
 * The error of a handler that waits for a body, or for its reply to be sent, when the client has left or its request was
 * refused.
 */
export class RequestError extends Error {
  /** The code of the reason. */
  readonly code: RefusalCode;
  /** The status that the client received; 0 if it received none. */
  readonly status: number;

  constructor(code: RefusalCode, status: number, reason: string) {
    super(`Cannot complete the request: ${reason}`);
    this.name = "RequestError";
    this.code = code;
    this.status = status;
  }
}

export function clientLeft(): RequestError {
  return new RequestError("CLIENT_LEFT", 0, "the client left before its reply was complete");
}

export function repliedFirst(): RequestError {
  return new RequestError("REPLIED_FIRST", 0, "its reply was complete before its body");
}

/**
 * Marks a promise as handled. It may be rejected although the program does not await it, when a client leaves in the
 * middle of its body, and that must not end the process.
 */
export function unheard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A reply of the server itself, after which the connection is closed. */
export function refusalOf(status: number, reason: string, date: string): string {
  const body = `${status} ${reasonOf(status)}: ${reason}\n`;
  return (
    `${statusLine(status)}${date}Connection: close\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}
