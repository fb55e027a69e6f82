import type { FailureCode } from "./parser/results.ts";
import { reasonOf, statusLine } from "./status.ts";

/**
 * Why a request came to an end before it was complete, or was never begun: what of it the parser refused, or
 * what a limit of the server did.
 *
 * @remarks
 * `CONNECTIONS` and `REQUESTS` are the limits of a server and of a connection. `CLIENT_LEFT` is
 * nobody's, and `REPLIED_FIRST` the handler's own, which had no use for the rest of a body.
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
  | "CLIENT_LEFT"
  | "REPLIED_FIRST";

/**
 * What a handler hears that waits for more of a request, or for its reply to go, when that will not be: the
 * client has left, or was refused what it went on to send.
 */
export class RequestError extends Error {
  readonly code: RefusalCode;
  /** The status that the client was told; 0 when it was told none. */
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
 * A promise that may be rejected before anybody waits for it, or though nobody ever does: as when a client leaves
 * in the middle of its body. That is not to end the process.
 */
export function unheard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** An answer that is not a handler's, after which the connection ends. */
export function refusalOf(status: number, reason: string, date: string): string {
  const body = `${status} ${reasonOf(status)}: ${reason}\n`;
  return (
    `${statusLine(status)}${date}Connection: close\r\n` +
    `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}
