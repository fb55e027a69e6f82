import { show, typeError } from "../base/misuse.ts";
import type { Connection, ConnectionOptions, Handlers } from "../reactor/connection.ts";
import { WAITS_FOR_BODY, WAITS_FOR_HEAD, WAITS_FOR_REPLY, WAITS_FOR_REQUEST } from "./deadline.ts";
import type { Exchange } from "./exchange.ts";
import { answerFailure } from "./fetch/fetch-handler.ts";
import { BodyParser } from "./wire/body.ts";
import type { RequestHead } from "./wire/request-head.ts";
import type { RequestParser } from "./wire/request-parser.ts";
import {
  BODY,
  END,
  FAILED,
  FAILURES,
  type FailureCode,
  HEAD,
  NEED_MORE,
} from "./wire/failures.ts";
import { Reading } from "./reading.ts";
import { ReplyWriter } from "./reply.ts";
import { ParsedRequest } from "./request.ts";
import { clientLeft, type RefusalCode, RequestError, refusalOf } from "./request-error.ts";
import type { SessionHost, UnfinishedHead } from "./session-host.ts";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const NOTHING = new Uint8Array(0);
/** While the server stops: how long a client has to send its first request, and another one, in milliseconds. */
const FIRST_REQUEST_MS = 500;
const NEXT_REQUEST_MS = 200;
/**
 * The session continues receiving while no more bytes than this are saved, because only receiving shows at once that
 * the client has left.
 */
const MOST_SAVED = 16_384;

/**
 * One connection of an HTTP server: requests are parsed, handled and answered one after the other.
 *
 * @remarks
 * While a request is being answered, nothing behind it is parsed: up to about 16 KiB of it are kept in `#saved`, and
 * the rest stays in the kernel's buffers. So replies are in order, and a client that pipelines a thousand requests
 * costs as much as one that sends a single request.
 *
 * ```text
 *   received -> parser -> HEAD  handler(request, reply)
 *                         BODY  the request's reader; if there is none yet, wait for it
 *                         END   wait for the reply, then continue
 * ```
 */
export class Session extends Reading implements Exchange {
  readonly connection: Connection<Session>;
  peer = "";
  /** The time at which an incomplete head began, if there is a log. */
  #headBegan = 0;
  #request: ParsedRequest | null = null;
  #reply: ReplyWriter | null = null;
  /** Bytes that arrived behind the current request. */
  #saved: Uint8Array | null = null;
  /** The received bytes that are being parsed. */
  #chunk: Uint8Array | null = null;
  #requests = 0;
  /** Whether the connection is closed after the reply. */
  #last = false;
  /** Whether the server stops; and the bytes that had arrived then and are not received yet. */
  #isStopping = false;
  #owed = 0;
  /** Whether the client has ended its half: nothing follows what is saved. */
  #hasEnded = false;
  /** Whether the program has taken over the connection. */
  #isUpgraded = false;

  constructor(server: SessionHost, connection: Connection<Session>) {
    super(server);
    this.connection = connection;
    this.waitFor(WAITS_FOR_REQUEST, server.settings.idleTimeoutMs);
  }

  // Events of the connection.

  /** Bytes were received. They are lent. */
  received(bytes: Uint8Array): void {
    this.#owed -= bytes.length;
    if (this.#saved !== null) {
      this.#setAside(Buffer.concat([this.#saved, bytes]));
      return;
    }
    this.reading = true;
    this.#chunk = bytes;
    try {
      this.#read(bytes);
    } finally {
      this.reading = false;
      this.#chunk = null;
    }
    this.sendGathered();
  }

  /** The queue has fallen to half of the high-water mark. */
  drained(): void {
    this.hasRoom();
    this.goOn();
  }

  /** The client has ended its half. Most such clients have left; some wait for the reply, and receive it. */
  ended(): void {
    const request = this.#request;
    this.#hasEnded = true;
    const hasRest = this.#saved !== null || request?.endIsDue === true;
    if (request === null) {
      if (hasRest) return;
      if (this.waits === WAITS_FOR_HEAD) this.#abandon(clientLeft());
      this.#close();
    } else if (hasRest || request.complete) {
      this.#last ||= !hasRest;
      this.#left(request);
    } else if (this.#reply?.done === true) {
      // The reply may still be queued, and must arrive.
      this.#close();
    } else {
      this.connection.destroy();
    }
  }

  /** The connection is closed. */
  closed(): void {
    this.#saved = null;
    this.#abandon(clientLeft());
  }

  /** Checks the deadline. Called at intervals. */
  look(): void {
    const isOver = this.isOver(this.server);
    if (this.waits !== WAITS_FOR_REPLY) {
      if (isOver) this.#timedOut();
      return;
    }
    const request = this.#request;
    if (request !== null && !request.hasLeft && this.connection.paused) this.#lookForEnd(request);
    const isTaken = this.watchReply(request?.hasLeft ?? false);
    if (isTaken && request === null && this.connection.state === "open") this.#awaitRequest();
  }

  /** The deadline has passed. */
  #timedOut(): void {
    switch (this.waits) {
      case WAITS_FOR_HEAD:
        this.#refuse("HEAD_TIMEOUT", 408, "the request head took too long");
        return;
      case WAITS_FOR_BODY:
        this.#refuse("BODY_TIMEOUT", 408, "the request body took too long");
        return;
      default:
        if (this.#isStopping && this.connection.unreadBytes > 0) return;
        if (!this.#isStopping) this.server.refused("IDLE_TIMEOUT");
        this.#close();
    }
  }

  /**
   * The server stops: requests that have arrived are answered, the last one with `Connection: close`. A client without
   * a request has a short time to send one, because it may be on its way.
   */
  stopping(): void {
    if (this.#isStopping) return;
    const request = this.#request;
    this.#isStopping = true;
    this.#owed = this.connection.unreadBytes;
    if (request?.hasLeft) this.#limitReply();
    if (this.waits === WAITS_FOR_REQUEST) this.#awaitLast();
  }

  // Called by the request and the reply.

  /** The body has a reader now. Sends 100 Continue if the client waits for it. */
  claimed(): void {
    // Not in the middle of a reply, which it would become a part of.
    if (this.#request?.waitsToBeAsked === true && this.#reply?.begun === false)
      this.write(CONTINUE);
    this.bodyBegins();
    this.goOn();
  }

  /** Parses what was saved, if the session is not blocked, and receives again. */
  goOn(): void {
    if (this.reading || this.connection.state !== "open" || this.#isBlocked()) return;
    const saved = this.#saved;
    this.#saved = null;
    // Also with nothing saved: the session may wait for something else now, or no longer need its parser.
    if (saved !== null || this.hasParser) this.received(saved ?? NOTHING);
    if (!this.#hasEnded) this.#setAside(this.#saved);
    else if (this.#saved === null && this.connection.state === "open") this.ended();
  }

  /**
   * Parses the received part of a chunked body that has no reader. So a malformed one is refused before the reply, and
   * a short one does not end the connection. If nothing of it has arrived, the client may never send it.
   */
  isAnswerable(): boolean {
    const request = this.#request as ParsedRequest;
    if (!request.isUnreadInChunks) return true;
    const received = this.#chunk ?? this.#saved ?? NOTHING;
    const from = this.#chunk === null ? 0 : this.parser.position;
    if (from === received.length && this.connection.unreadBytes === 0) return true;
    let rest = 0;
    const body = new BodyParser(this.server.settings.limits);
    body.begin(-1);
    for (let at = from; ; at = body.position) {
      switch (body.read(received, at, received.length)) {
        case BODY:
          rest += body.bodyEnd - body.bodyStart;
          break;
        case END:
          request.chunkedRest = rest;
          request.chunkedBytes = body.position - from;
          return true;
        case FAILED:
          this.keepParser();
          this.#refuseFor(body.failure);
          return false;
        default:
          request.chunkedRest = rest + body.left;
          return true;
      }
    }
  }

  call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      if (this.#reply === null) this.server.failed(error);
      else this.#failed(this.#reply, error);
    }
  }

  /** The Connection field of the reply; empty if the version implies it. */
  connectionField(): string {
    const request = this.#request as ParsedRequest;
    // The connection itself may be notified later in this turn.
    if (this.server.isStopping) this.stopping();
    this.#last ||= request.endsConnection || (this.#isStopping && !this.#owesMore(request));
    if (!this.#last && this.#requests >= this.server.settings.maxRequests) {
      this.server.refused("REQUESTS");
      this.#last = true;
    }
    if (this.#last) return "Connection: close\r\n";
    return request.version === 0 ? "Connection: keep-alive\r\n" : "";
  }

  /** Whether bytes behind this request had arrived when the server was stopped. */
  #owesMore(request: ParsedRequest): boolean {
    if (this.#owed > 0) return true;
    const here =
      this.#chunk === null ? (this.#saved?.length ?? 0) : this.#chunk.length - this.parser.position;
    return here > request.receivedRest;
  }

  endAfterReply(): void {
    this.#last = true;
  }

  replied(): void {
    const request = this.#request as ParsedRequest;
    this.#last ||= request.isLong;
    if (this.#last || request.complete) this.#exchanged();
    this.goOn();
  }

  upgrade<Data>(options: Handlers<Data> & ConnectionOptions): Connection<Data> {
    if (this.#request?.complete !== true || this.#reply?.begun === true) {
      throw typeError(
        "ERR_CLOSED",
        "Cannot upgrade: a body is still coming, or the reply has begun",
      );
    }
    this.sendGathered();
    const connection = this.connection.handOver<Data>(options);
    connection.pause();
    this.keepParser();
    this.leaveParser();
    this.server.handedOver(this);
    this.#isUpgraded = true;
    this.#noMore();
    this.server.soon(() => {
      const saved = this.#saved;
      this.#saved = null;
      const { state } = connection;
      // A program that has ended the local half still receives.
      if (state !== "open" && state !== "ending") return;
      // First, so that the handler may pause it again.
      connection.resume();
      if (saved !== null) this.call(() => options.data?.(connection, saved));
    });
    return connection;
  }

  #read(bytes: Uint8Array): void {
    for (let at = 0; this.connection.state === "open"; ) {
      if (this.#isBlocked()) {
        this.#save(bytes, at);
        return;
      }
      const { parser } = this;
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
          this.#body(bytes.subarray(parser.bodyStart, parser.bodyEnd));
          break;
        case END:
          this.#end(parser);
          break;
        case FAILED:
          // The parser stays in its failed state, and must not be shared any more.
          this.keepParser();
          this.#refuseFor(parser.failure as FailureCode);
          return;
      }
    }
  }

  /** Whether further bytes cannot be parsed now. */
  #isBlocked(): boolean {
    if (this.isFull || this.#isUpgraded) return true;
    const request = this.#request;
    if (request === null) return false;
    if (request.complete) return true;
    // After the reply, the rest of the body is discarded.
    if (this.#reply?.done === true) return false;
    // A body that has no reader yet, or whose reader has paused it.
    return request.reader === null || request.paused;
  }

  #begin(head: RequestHead): void {
    const { settings } = this.server;
    this.#requests++;
    const request = new ParsedRequest(this, head);
    const reply = new ReplyWriter(this, head.method, head.version === 1);
    this.#request = request;
    this.#reply = reply;
    if (!request.complete) {
      this.bodyBegins();
      this.waitForBody(settings.bodyTimeoutMs, 0);
    }
    // For the duration in the log.
    if (settings.log !== undefined) request.began = this.server.kernel.now();
    try {
      const returned: unknown = settings.handler(request, reply);
      // Most handlers return undefined or a promise, but a program may return anything.
      if (returned !== undefined) {
        Promise.resolve(returned).then(
          (value: unknown) => this.#returned(reply, value),
          (error: unknown) => this.#failed(reply, error),
        );
      }
    } catch (error) {
      this.#failed(reply, error);
    }
    // The client ended its half while an earlier request was handled.
    if (this.#hasEnded && this.#request === request) this.#left(request);
  }

  /** Fails a handler that returns what a `fetch` handler would, because its client would wait in vain. */
  #returned(reply: ReplyWriter, value: unknown): void {
    if (reply.begun || reply.done) return;
    if (typeof value !== "string" && !(value instanceof Response)) return;
    const message = `Cannot answer with ${show(value)} from handler: call reply.send(), or give the function as fetch`;
    this.#failed(reply, typeError("ERR_INVALID_DATA", message));
  }

  /** The client has probably left: notifies the handler, and limits the time of the reply. */
  #left(request: ParsedRequest): void {
    if (request.hasLeft) return;
    request.left(clientLeft());
    if (this.#request === request) this.#limitReply();
  }

  /** Sets the timeout of a reply to a client that has ended its half. */
  #limitReply(): void {
    if (this.waits === WAITS_FOR_REPLY)
      this.waitFor(WAITS_FOR_REPLY, this.server.halfCloseTimeoutMs);
  }

  /** Asks the kernel whether the client has ended its half, because receiving is paused. */
  #lookForEnd(request: ParsedRequest): void {
    const { connection } = this;
    const { peerState } = connection;
    if (peerState === "gone") connection.destroy();
    else if (peerState === "ended") this.#left(request);
  }

  #body(bytes: Uint8Array): void {
    const request = this.#request as ParsedRequest;
    request.bodyBytes += bytes.length;
    if ((this.#reply as ReplyWriter).done && request.drop(bytes.length)) {
      this.#last = true;
      this.#exchanged();
      return;
    }
    try {
      request.reader?.data(bytes);
    } catch (error) {
      request.ignoreBody();
      this.#failed(this.#reply as ReplyWriter, error);
    }
  }

  #end(parser: RequestParser): void {
    const request = this.#request;
    // Already answered, as most requests without a body are.
    if (request === null) return;
    request.complete = true;
    const reply = this.#reply as ReplyWriter;
    const { trailers } = parser;
    if (trailers.count > 0) request.trailers = trailers.entries();
    try {
      request.reader?.end?.();
    } catch (error) {
      this.#failed(reply, error);
    }
    if (this.#request !== request) return;
    if (reply.done) this.#exchanged();
    else this.waitForReply(this.#hasEnded);
  }

  /** The handler threw: replies with 500, or resets the connection if the reply has begun. */
  #failed(reply: ReplyWriter, error: unknown): void {
    // A RequestError says that the client has left, which is no error of the handler.
    const answer = error instanceof RequestError ? undefined : this.server.failed(error);
    if (reply.done) return;
    if (reply.begun) this.cutOff();
    else {
      const request = this.#request as ParsedRequest;
      answerFailure(answer, request, reply, (thrown) => this.#failedAgain(reply, thrown));
    }
  }

  /** The response for a handler that failed could not be sent. */
  #failedAgain(reply: ReplyWriter, error: unknown): void {
    if (!(error instanceof RequestError)) this.server.failed(error);
    if (reply.done) return;
    if (reply.begun) this.cutOff();
    else reply.fail();
  }

  /** The request and the reply are complete: continues with the next request. */
  #exchanged(): void {
    const request = this.#request as ParsedRequest;
    this.server.answered(this, request, this.#reply as ReplyWriter);
    this.call(() => request.over());
    this.#request = null;
    this.#reply = null;
    if (this.#last) this.#close();
    // First for the client, if much of the reply is queued.
    else if (this.isFull) this.waitForReply(this.#hasEnded);
    else this.#awaitRequest();
  }

  #awaitRequest(): void {
    if (this.#isStopping) this.#awaitLast();
    else if (this.isUnacknowledged) this.waitForReply(this.#hasEnded);
    else this.waitFor(WAITS_FOR_REQUEST, this.server.settings.idleTimeoutMs);
  }

  /** Waits for a request that may be on its way when the server stops. */
  #awaitLast(): void {
    this.waitFor(WAITS_FOR_REQUEST, this.#requests === 0 ? FIRST_REQUEST_MS : NEXT_REQUEST_MS);
  }

  #awaitMore(parser: RequestParser): void {
    const { headTimeoutMs, bodyTimeoutMs } = this.server.settings;
    if (this.#request === null && parser.idle) {
      this.giveParserBack();
      if (this.#last) this.#close();
      return;
    }
    this.keepParser();
    const request = this.#request;
    if (request !== null) {
      if (!request.complete) this.waitForBody(bodyTimeoutMs, request.bodyBytes);
    } else if (this.waits !== WAITS_FOR_HEAD) {
      this.waitFor(WAITS_FOR_HEAD, headTimeoutMs);
      if (this.server.settings.log !== undefined) this.#headBegan = this.server.kernel.now();
    }
  }

  /** Saves bytes that arrived behind the current request. */
  #save(bytes: Uint8Array, at: number): void {
    const { parser } = this;
    const isAll = at === bytes.length && this.#request === null && !this.#isUpgraded;
    // The request is answered. Its end takes no bytes if it has no body, and then there is nothing to save.
    if (isAll && !parser.idle) parser.read(bytes, at);
    if (isAll && parser.idle) this.giveParserBack();
    else if (!this.#isUpgraded) this.keepParser();
    this.waitForReply(this.#request?.hasLeft ?? this.#hasEnded);
    if (at < bytes.length) this.#setAside(bytes.slice(at));
  }

  /** Saves bytes, and pauses receiving if they are many. */
  #setAside(bytes: Uint8Array | null): void {
    this.#saved = bytes;
    // Later bytes and the end must follow the saved bytes: upgrade() resumes when those are delivered.
    if (this.#isUpgraded) return;
    if (bytes !== null && bytes.length > MOST_SAVED) this.connection.pause();
    else this.connection.resume();
  }

  /** The reply is not needed any more. A handler that is still running keeps the request as it was. */
  #abandon(error: RequestError): void {
    const request = this.#request;
    const head = request === null ? this.#unfinishedHead() : null;
    this.server.ended(this, error, request, this.#reply, head);
    this.#noMore();
    // The parser holds the head of a request that is being handled.
    if (request === null) this.giveParserBack();
    else this.leaveParser();
    request?.lost(error);
  }

  #unfinishedHead(): UnfinishedHead | null {
    if (this.server.settings.log === undefined || !this.hasParser) return null;
    // A head that is refused with its first bytes has no earlier time.
    const began = this.waits === WAITS_FOR_HEAD ? this.#headBegan : this.server.kernel.now();
    return { line: this.parser.knownLine, began };
  }

  /** Drops the request and the reply. */
  #noMore(): void {
    this.#reply?.abandon();
    this.#request = null;
    this.#reply = null;
    this.hasRoom();
  }

  #refuseFor(failure: FailureCode): void {
    const { status, reason } = FAILURES[failure];
    this.#refuse(failure, status, reason);
  }

  /** Refuses a request, and closes the connection. */
  #refuse(code: RefusalCode, status: number, reason: string): void {
    this.server.refused(code);
    const reply = this.#reply;
    const isHalf = reply?.begun === true && !reply.done;
    if (this.connection.state === "open" && reply?.begun !== true) {
      this.write(refusalOf(status, reason, this.date));
    }
    this.#last = true;
    this.#abandon(new RequestError(code, status, reason));
    // A reset, because the end of the connection would make half a reply look complete.
    if (isHalf) this.cutOff();
    else this.#close();
  }

  /** Closes the connection after the reply. Its own timeout applies from now on. */
  #close(): void {
    this.sendGathered();
    // No timeout here: that of close() applies.
    this.waitFor(WAITS_FOR_REPLY, Number.POSITIVE_INFINITY);
    this.connection.close();
  }
}
