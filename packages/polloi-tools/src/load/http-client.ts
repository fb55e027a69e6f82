import type { Connection } from "polloi";
import { END, FAILED, NEED_MORE, ParserPool, ResponseParser } from "polloi/internal";
import { Client } from "./client.ts";
import type { LoadConfig } from "./options.ts";

/** How long a server may take to close a connection after announcing it. */
const CLOSE_TIMEOUT_MS = 1000;

/** The parsers of all connections of this thread. */
const parsers = new ParserPool(() => new ResponseParser());

/** A connection to an HTTP server. Sends the same request repeatedly and reads the responses. */
export class HttpClient extends Client {
  /** Its own parser, while it is in the middle of a response. */
  #parser: ResponseParser | null = null;
  /** Sequence number of the oldest request in flight. */
  #oldest = 0;
  /** Whether the server has announced that it closes the connection. */
  #closing = false;

  protected override writeNext(connection: Connection<Client>): void {
    connection.write(this.context.request);
  }

  /** Sends nothing on a connection that the server closes, since it would not be processed. */
  override send(now: number): void {
    if (!this.#closing) super.send(now);
  }

  override received(bytes: Uint8Array): void {
    const { counts } = this.context.statistics;
    const { length } = bytes;
    const now = this.context.now();
    counts.bytes += length;
    const parser = this.#parser ?? parsers.shared;
    for (let at = 0; at < length || !parser.idle; at = parser.position) {
      if (this.inFlight === 0) {
        // Bytes after the last response are ignored on a connection that is being closed.
        if (this.#closing) return;
        counts.surplus++;
        this.fail("HTTP_INVALID");
        return;
      }
      const result = parser.read(bytes, at, length);
      if (result === NEED_MORE) break;
      if (result === FAILED) {
        parser.reset();
        this.fail(parser.isTooLarge ? "HTTP_HEAD_TOO_LARGE" : "HTTP_INVALID");
        return;
      }
      if (result !== END) continue;
      this.#responseEnded(parser.head.status, now);
      if (parser.head.closes) {
        this.#startClosing(now);
        break;
      }
    }
    this.#keepParser(parser);
    if (!this.#closing) this.proceed(now);
    else this.context.endIfDone();
  }

  override ended(): void {
    const now = this.context.now();
    const parser = this.#parser;
    if (parser?.end()) {
      this.#responseEnded(parser.head.status, now);
      this.#startClosing(now);
    }
    const isExpected = this.#closing || (this.inFlight === 0 && this.hasAnswer);
    this.lose(isExpected ? undefined : "PEER_CLOSED");
  }

  protected override reset(): void {
    this.#giveParserBack();
    this.#oldest = this.sent;
    this.#closing = false;
  }

  override checkTimeout(now: number, timeoutMs: number): void {
    if (!this.#closing) super.checkTimeout(now, timeoutMs);
    else if (now - this.waitingSince >= CLOSE_TIMEOUT_MS) this.lose(undefined);
  }

  override closed(error: Error | undefined): void {
    this.connection = null;
    // A reset after the last response is as good as a normal close.
    if (this.#closing) this.lose(undefined);
    else if (isTruncation(error) && this.inFlight === 0 && this.hasAnswer) this.lose(undefined);
    else super.closed(error);
  }

  /** Keeps the parser in the middle of a response, and returns it otherwise. */
  #keepParser(parser: ResponseParser): void {
    if (parser.idle) this.#giveParserBack();
    else this.#parser ??= parsers.take();
  }

  #giveParserBack(): void {
    if (this.#parser !== null) parsers.giveBack(this.#parser);
    this.#parser = null;
  }

  #responseEnded(status: number, now: number): void {
    const { context } = this;
    const { statuses } = context.statistics;
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (status >= 400) context.statistics.error(`HTTP_${status}`);
    context.messageAnswered(this.sentAt(this.#oldest++), now);
    this.completed(now);
  }

  /** The server closes the connection and does not process the requests that are still in flight. */
  #startClosing(now: number): void {
    const { context } = this;
    const unprocessed = this.inFlight;
    this.#closing = true;
    this.waitingSince = now;
    this.sent -= unprocessed;
    this.remaining += unprocessed;
    this.dueAt -= unprocessed * context.intervalMs;
    this.inFlight = 0;
    context.messagesReturned(unprocessed);
  }
}

/** Many servers end a connection without close_notify. Between responses nothing can be missing. */
function isTruncation(error: Error | undefined): boolean {
  return error !== undefined && "code" in error && error.code === "ERR_TLS_TRUNCATED";
}

const encoder = new TextEncoder();

/** The bytes of every request of a load; empty for targets other than HTTP. */
export function makeRequest({ target, data }: LoadConfig): Uint8Array {
  if (target.kind !== "http") return new Uint8Array(0);
  const { path, authority } = target;
  const lines = [
    `${data === null ? "GET" : "POST"} ${path} HTTP/1.1`,
    `Host: ${authority}`,
    "User-Agent: polloi",
    "Accept: */*",
  ];
  if (data !== null) {
    lines.push("Content-Type: application/octet-stream", `Content-Length: ${data.length}`);
  }
  const head = encoder.encode(`${lines.join("\r\n")}\r\n\r\n`);
  if (data === null) return head;
  const request = new Uint8Array(head.length + data.length);
  request.set(head);
  request.set(data, head.length);
  return request;
}
