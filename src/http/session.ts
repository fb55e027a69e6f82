import type { Connection } from "../reactor/connection.ts";
import { dateField } from "./date.ts";
import type { Exchange } from "./exchange.ts";
import type { HttpSettings } from "./options.ts";
import type { RequestHead } from "./parser/head.ts";
import type { RequestParser } from "./parser/request-parser.ts";
import { BODY, END, FAILED, HEAD, NEED_MORE } from "./parser/results.ts";
import { HttpReply } from "./reply.ts";
import { HttpRequest } from "./request.ts";
import { reasonOf, statusLine } from "./status.ts";

/** What of a body that nobody reads is taken and thrown away, so that the connection can be used again. */
const MAX_THROWN_AWAY = 65_536;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
/** Who sends a body more slowly than this, in bytes a second, runs out of time. */
const SLOWEST = 500;

/** What a session asks of its server. */
export interface SessionHost {
  readonly settings: HttpSettings;
  /** Reads for whoever is between two requests. */
  readonly parser: RequestParser;
  /** A session keeps that parser: the others get another. */
  taken(): void;
  giveBack(parser: RequestParser): void;
  /** A request was answered. */
  count(): void;
  /** One was refused, for a reason with this code. */
  refused(code: string): void;
  /** Something threw. */
  failed(error: unknown): void;
}

/** What a session waits for, and so which of the timeouts runs. */
const WAITS_FOR_REQUEST = 0;
const WAITS_FOR_HEAD = 1;
const WAITS_FOR_BODY = 2;
const WAITS_FOR_REPLY = 3;

/**
 * One connection of an HTTP server: requests are read, handled and answered one after the other.
 *
 * @remarks
 * While a request is being answered nothing behind it is read: what has come of it already waits in `#saved`,
 * and the rest in the kernel's buffers. So answers are in order, and a client that sends a thousand
 * requests at once costs what one does.
 *
 * ```text
 *   received -> parser -> HEAD  handler(request, reply)
 *                         BODY  the request's reader; if there is none yet, wait for it
 *                         END   wait for the reply, then go on
 * ```
 */
export class Session implements Exchange {
  readonly connection: Connection<Session>;
  /** When what it waits for is to be there, as `performance.now()` has it. */
  deadline: number = Number.POSITIVE_INFINITY;
  waits: number = WAITS_FOR_REQUEST;
  readonly #server: SessionHost;
  /** Its own, while it is in the middle of a request; else the server's does. */
  #parser: RequestParser | null = null;
  #request: HttpRequest | null = null;
  #reply: HttpReply | null = null;
  /** Came behind what can be handled now. */
  #saved: Uint8Array | null = null;
  #requests = 0;
  #bodyBytes = 0;
  #bodyBegan = 0;
  #reading = false;
  /** All of the request's body has come. */
  #complete = false;
  /** The connection ends when the reply has gone. */
  #last = false;
  /** More than enough waits to be sent. */
  #full = false;
  #onDrain: (() => void) | null = null;
  #lastPending = 0;

  constructor(server: SessionHost, connection: Connection<Session>) {
    this.#server = server;
    this.connection = connection;
    this.#waitFor(WAITS_FOR_REQUEST, server.settings.idleTimeoutMs);
  }

  /** Whether its connection has ended. */
  get gone(): boolean {
    return this.connection.state === "closed";
  }

  /** Whether it does nothing, so that it can be closed without loss. */
  get isIdle(): boolean {
    return this.waits === WAITS_FOR_REQUEST && this.connection.pendingBytes === 0;
  }

  // What happens to the connection.

  /** Bytes came. They are lent. */
  received(bytes: Uint8Array): void {
    if (this.#saved !== null) {
      this.#saved = Buffer.concat([this.#saved, bytes]);
      return;
    }
    this.#reading = true;
    try {
      this.#read(bytes);
    } finally {
      this.#reading = false;
    }
  }

  /** What waited to be sent has gone down. */
  drained(): void {
    this.#full = false;
    const callback = this.#onDrain;
    this.#onDrain = null;
    callback?.();
    this.#goOn();
  }

  /** The client sends no more. What it has asked for is answered. */
  ended(): void {
    if (this.#request === null) this.connection.end();
    else if (this.#complete) this.#last = true;
    else this.connection.destroy();
  }

  /** The connection is gone. */
  closed(error: Error | undefined): void {
    const request = this.#request;
    const reader = this.#complete ? null : request?.reader;
    this.#reply?.abandon();
    request?.over();
    this.#request = null;
    this.#reply = null;
    this.#saved = null;
    if (this.#parser !== null) this.#server.giveBack(this.#parser);
    this.#parser = null;
    const callback = this.#onDrain;
    this.#onDrain = null;
    callback?.();
    reader?.abort?.(error ?? new Error("the client left before its request was complete"));
  }

  /** Its time is up. */
  timedOut(now: number): void {
    switch (this.waits) {
      case WAITS_FOR_HEAD:
        this.#refuse(408, "the request head took too long", "HEAD_TIMEOUT");
        return;
      case WAITS_FOR_BODY:
        this.#refuse(408, "the request body took too long", "BODY_TIMEOUT");
        return;
      case WAITS_FOR_REPLY: {
        const { pendingBytes } = this.connection;
        const stuck = pendingBytes > 0 && pendingBytes === this.#lastPending;
        this.#lastPending = pendingBytes;
        if (stuck) this.cutOff();
        else this.deadline = now + this.#server.settings.sendTimeoutMs;
        return;
      }
      default:
        this.connection.close();
    }
  }

  /** Lets the connection end when nothing is under way any more. */
  endSoon(): void {
    this.#last = true;
    if (this.#request === null) this.connection.close();
  }

  // What requests and replies ask of it.

  /** The body has a reader now, which is when a client that waits to be asked for it is asked. */
  claimed(): void {
    const { head } = this.#request as HttpRequest;
    if (head.expectsContinue && this.#bodyBytes === 0 && !this.#complete) this.write(CONTINUE);
    this.#bodyBegan = performance.now();
    this.#goOn();
  }

  write(bytes: string | Uint8Array): boolean {
    const goOn = this.connection.write(bytes);
    if (!goOn) this.#full = true;
    return goOn;
  }

  whenDrained(callback: () => void): void {
    if (this.#full && !this.gone) this.#onDrain = callback;
    else queueMicrotask(callback);
  }

  /** The Connection field of the reply, which is only said where it is not what the version implies. */
  connectionField(): string {
    const { head } = this.#request as HttpRequest;
    this.#last ||= !head.keepAlive || this.#requests >= this.#server.settings.maxRequests;
    // Nobody knows whether a client that was not asked for its body sends it now.
    this.#last ||= !this.#complete && (this.#mayBeLong(head) || head.expectsContinue);
    if (this.#last) return "Connection: close\r\n";
    return head.version === 0 ? "Connection: keep-alive\r\n" : "";
  }

  /** The end of the connection is the end of the body. */
  endAfterReply(): void {
    this.#last = true;
  }

  /** All of the reply is written. */
  replied(): void {
    if (this.#complete || this.#last) this.#exchanged();
    this.#goOn();
  }

  /** What was sent makes no sense without what will not come. */
  cutOff(): void {
    this.connection.reset();
  }

  #read(bytes: Uint8Array): void {
    const server = this.#server;
    for (let at = 0; ; ) {
      if (this.gone || this.connection.state !== "open") return;
      if (this.#isBlocked()) {
        this.#save(bytes, at);
        return;
      }
      const parser = this.#parser ?? server.parser;
      const result = parser.read(bytes, at);
      at = parser.position;
      switch (result) {
        case NEED_MORE:
          this.#awaitMore(parser);
          return;
        case HEAD:
          this.#begin(parser.head);
          break;
        case BODY:
          this.#bodyBytes += parser.bodyEnd - parser.bodyStart;
          this.#request?.reader?.data(bytes.subarray(parser.bodyStart, parser.bodyEnd));
          break;
        case END:
          this.#complete = true;
          this.#request?.reader?.end?.();
          if (this.#reply?.done === true) this.#exchanged();
          else this.#waitFor(WAITS_FOR_REPLY, server.settings.sendTimeoutMs);
          break;
        case FAILED:
          // It stays failed, and is not to fail anybody else.
          this.#own(parser);
          this.#refuse(parser.status, parser.reason, parser.failure as string);
          return;
      }
    }
  }

  /** Whether what comes next has to wait. */
  #isBlocked(): boolean {
    if (this.#full) return true;
    if (this.#request === null) return false;
    if (this.#complete) return true;
    // A body that nobody has asked for, and may still.
    return (
      this.#request.head.hasBody && this.#request.reader === null && this.#reply?.done !== true
    );
  }

  #begin(head: RequestHead): void {
    const { settings } = this.#server;
    this.#requests++;
    this.#bodyBytes = 0;
    this.#complete = !head.hasBody;
    const request = new HttpRequest(this, head);
    const reply = new HttpReply(this, {
      toHead: head.method === "HEAD",
      chunks: head.version === 1,
    });
    this.#request = request;
    this.#reply = reply;
    if (head.hasBody) {
      this.#bodyBegan = performance.now();
      this.#awaitBody();
    }
    try {
      const promise = settings.handler(request, reply);
      if (promise !== undefined) promise.catch((error: unknown) => this.#failed(reply, error));
    } catch (error) {
      this.#failed(reply, error);
    }
  }

  /** The handler threw: 500, or the end of the connection when the reply has begun. */
  #failed(reply: HttpReply, error: unknown): void {
    // What it wanted of a client that has left since cannot be had.
    if (this.gone) return;
    this.#server.failed(error);
    if (reply.done) return;
    if (reply.begun) {
      this.cutOff();
      return;
    }
    reply.status(500).send(`${reasonOf(500)}\n`);
  }

  /** Request and reply are over: the next one's turn. */
  #exchanged(): void {
    this.#request?.over();
    this.#request = null;
    this.#reply = null;
    this.#server.count();
    if (this.#last) this.connection.close();
    else this.#waitFor(WAITS_FOR_REQUEST, this.#server.settings.idleTimeoutMs);
  }

  #awaitMore(parser: RequestParser): void {
    const { settings } = this.#server;
    if (parser.idle && this.#request === null) {
      if (this.#parser !== null) this.#server.giveBack(this.#parser);
      this.#parser = null;
      return;
    }
    this.#own(parser);
    if (this.#request === null && this.waits !== WAITS_FOR_HEAD) {
      this.#waitFor(WAITS_FOR_HEAD, settings.headTimeoutMs);
    }
    if (this.#request !== null && !this.#complete) this.#awaitBody();
  }

  /** Who sends a body has its time, a second more for every so many bytes, and never more than that from now. */
  #awaitBody(): void {
    const { bodyTimeoutMs } = this.#server.settings;
    const earned = this.#bodyBegan + bodyTimeoutMs + (this.#bodyBytes / SLOWEST) * 1000;
    this.waits = WAITS_FOR_BODY;
    this.deadline = Math.min(earned, performance.now() + bodyTimeoutMs);
  }

  /** From here on the parser is this session's, and the head stays where it is. */
  #own(parser: RequestParser): void {
    if (this.#parser === null) {
      this.#parser = parser;
      this.#server.taken();
    }
    parser.keepHead();
  }

  #save(bytes: Uint8Array, at: number): void {
    this.#own(this.#parser ?? this.#server.parser);
    if (at < bytes.length) this.#saved = bytes.slice(at);
    this.#waitFor(WAITS_FOR_REPLY, this.#server.settings.sendTimeoutMs);
    this.connection.pause();
  }

  /** Handles what was saved, when it can be, and receives again. */
  #goOn(): void {
    if (this.#reading || this.gone || this.#isBlocked()) return;
    const saved = this.#saved;
    this.#saved = null;
    if (saved !== null) this.received(saved);
    if (!this.gone && !this.#isBlocked() && this.#saved === null) this.connection.resume();
  }

  #waitFor(what: number, timeoutMs: number): void {
    this.waits = what;
    this.deadline = performance.now() + timeoutMs;
  }

  /** Whether what is left of the body is too much to be read for nothing. */
  #mayBeLong({ contentLength }: RequestHead): boolean {
    return contentLength < 0 || contentLength - this.#bodyBytes > MAX_THROWN_AWAY;
  }

  /** Answers for the handler, and ends the connection. */
  #refuse(status: number, reason: string, code: string): void {
    this.#server.refused(code);
    if (this.#reply === null || !this.#reply.begun) {
      const body = `${status} ${reasonOf(status)}: ${reason}\n`;
      this.write(
        `${statusLine(status)}${dateField()}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    }
    this.#last = true;
    this.connection.close();
  }
}
