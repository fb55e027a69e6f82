import { show, typeError } from "../base/misuse.ts";
import type { Connection, ConnectionOptions, Handlers } from "../reactor/connection.ts";
import { WAITS_FOR_BODY, WAITS_FOR_HEAD, WAITS_FOR_REPLY, WAITS_FOR_REQUEST } from "./deadline.ts";
import type { Exchange } from "./exchange.ts";
import { answerFailure } from "./fetch/fetch-handler.ts";
import { BodyParser } from "./parser/body-parser.ts";
import type { RequestHead } from "./parser/head.ts";
import type { RequestParser } from "./parser/request-parser.ts";
import {
  BODY,
  END,
  FAILED,
  FAILURES,
  type FailureCode,
  HEAD,
  NEED_MORE,
} from "./parser/results.ts";
import { Reading } from "./reading.ts";
import { ReplyWriter } from "./reply.ts";
import { ParsedRequest } from "./request.ts";
import { clientLeft, type RefusalCode, RequestError, refusalOf } from "./request-error.ts";
import type { SessionHost, UnfinishedHead } from "./session-host.ts";

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const NOTHING = new Uint8Array(0);
/** When the server stops: how long a client has to send its first request, and another one. In milliseconds. */
const FIRST_REQUEST_MS = 500;
const NEXT_REQUEST_MS = 200;
/**
 * While no more than this is set aside, the session goes on receiving: only that shows the client's end at once.
 * In bytes.
 */
const MOST_SAVED = 16_384;

/**
 * One connection of an HTTP server: requests are read, handled and answered one after the other.
 *
 * @remarks
 * While a request is being answered, nothing behind it is parsed: up to about 16 KiB of it wait in `#saved`, and
 * the rest in the kernel's buffers. So answers are in order, and a client that sends a thousand requests at once
 * costs what one does.
 *
 * ```text
 *   received -> parser -> HEAD  handler(request, reply)
 *                         BODY  the request's reader; if there is none yet, wait for it
 *                         END   wait for the reply, then go on
 * ```
 */
export class Session extends Reading implements Exchange {
  readonly connection: Connection<Session>;
  peer = "";
  /** When the head that is waited for began, where there is a log. */
  #headBegan = 0;
  #request: ParsedRequest | null = null;
  #reply: ReplyWriter | null = null;
  /** Came behind what can be handled now. */
  #saved: Uint8Array | null = null;
  /** What is being read, from where the parser is. */
  #chunk: Uint8Array | null = null;
  #requests = 0;
  /** The connection ends when the reply has gone. */
  #last = false;
  /** The server stops, and so many bytes that had arrived then are still to be received. */
  #isStopping = false;
  #owed = 0;
  /** The client sends no more than what is saved. */
  #hasEnded = false;
  /** The connection is the program's now. */
  #isUpgraded = false;

  constructor(server: SessionHost, connection: Connection<Session>) {
    super(server);
    this.connection = connection;
    this.waitFor(WAITS_FOR_REQUEST, server.settings.idleTimeoutMs);
  }

  // What happens to the connection.

  /** Bytes came. They are lent. */
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

  /** What waited to be sent has gone down. */
  drained(): void {
    this.hasRoom();
    this.goOn();
  }

  /** The client sends no more. Most clients have left then; some wait for their answer, and get it. */
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
      // The answer is to arrive: it may wait to be sent.
      this.#close();
    } else {
      this.connection.destroy();
    }
  }

  /** The connection is gone. */
  closed(): void {
    this.#saved = null;
    this.#abandon(clientLeft());
  }

  /** Called from time to time. */
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

  /** Its time is up. */
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
   * The server stops: what has arrived is answered, and the last of the answers says that the connection ends. A
   * client that has asked for nothing has a short time to do so, since its request may be on the way.
   */
  stopping(): void {
    if (this.#isStopping) return;
    const request = this.#request;
    this.#isStopping = true;
    this.#owed = this.connection.unreadBytes;
    if (request?.hasLeft) this.#limitReply();
    if (this.waits === WAITS_FOR_REQUEST) this.#awaitLast();
  }

  // What requests and replies ask of it.

  /** The body has a reader now, which is when a client that waits to be asked for it is asked. */
  claimed(): void {
    // In the middle of a reply it would be taken for a piece of that.
    if (this.#request?.waitsToBeAsked === true && this.#reply?.begun === false)
      this.write(CONTINUE);
    this.bodyBegins();
    this.goOn();
  }

  /** Handles what was saved, when it can be, and receives again. */
  goOn(): void {
    if (this.reading || this.connection.state !== "open" || this.#isBlocked()) return;
    const saved = this.#saved;
    this.#saved = null;
    // Also without any: what is waited for may be another thing now, or nothing that needs a parser.
    if (saved !== null || this.hasParser) this.received(saved ?? NOTHING);
    if (!this.#hasEnded) this.#setAside(this.#saved);
    else if (this.#saved === null && this.connection.state === "open") this.ended();
  }

  /**
   * Parses what has come of a body in chunks that nobody has asked for. So a broken one is refused before it is
   * answered, and one that is not known to be long does not end the connection. If nothing of it has come, its
   * client may never send it.
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

  /** The Connection field of the reply, which is only said where it is not what the version implies. */
  connectionField(): string {
    const request = this.#request as ParsedRequest;
    // The connection may be told later in this turn.
    if (this.server.isStopping) this.stopping();
    this.#last ||= request.endsConnection || (this.#isStopping && !this.#owesMore(request));
    if (!this.#last && this.#requests >= this.server.settings.maxRequests) {
      this.server.refused("REQUESTS");
      this.#last = true;
    }
    if (this.#last) return "Connection: close\r\n";
    return request.version === 0 ? "Connection: keep-alive\r\n" : "";
  }

  /** Whether something behind this request had arrived when the server was stopped. */
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
      // A program that has ended its own half still receives.
      if (state !== "open" && state !== "ending") return;
      // First, so that a handler of the program's may pause it again.
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
          // It stays failed, and is not to fail anybody else.
          this.keepParser();
          this.#refuseFor(parser.failure as FailureCode);
          return;
      }
    }
  }

  /** Whether what comes next has to wait. */
  #isBlocked(): boolean {
    if (this.isFull || this.#isUpgraded) return true;
    const request = this.#request;
    if (request === null) return false;
    if (request.complete) return true;
    // What is left of a body when all is said about it is thrown away.
    if (this.#reply?.done === true) return false;
    // A body that nobody has asked for, and may still; or that comes faster than it is wanted.
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
    try {
      const returned: unknown = settings.handler(request, reply);
      // Most handlers return nothing, or a promise of it, but a program may return anything.
      if (returned !== undefined) {
        Promise.resolve(returned).then(
          (value: unknown) => this.#returned(reply, value),
          (error: unknown) => this.#failed(reply, error),
        );
      }
    } catch (error) {
      this.#failed(reply, error);
    }
    // Its client ended its half while an earlier request was handled.
    if (this.#hasEnded && this.#request === request) this.#left(request);
  }

  /** A handler answers through its reply. If it returns what a `fetch` handler would, its client waits in vain. */
  #returned(reply: ReplyWriter, value: unknown): void {
    if (reply.begun || reply.done) return;
    if (typeof value !== "string" && !(value instanceof Response)) return;
    const message = `Cannot answer with ${show(value)} from handler: call reply.send(), or give the function as fetch`;
    this.#failed(reply, typeError("ERR_INVALID_DATA", message));
  }

  /** Hardly any client waits for the reply any more, and one that does has a limited time. */
  #left(request: ParsedRequest): void {
    if (request.hasLeft) return;
    request.left(clientLeft());
    if (this.#request === request) this.#limitReply();
  }

  /** From here on the reply is not waited for without a limit. */
  #limitReply(): void {
    if (this.waits === WAITS_FOR_REPLY)
      this.waitFor(WAITS_FOR_REPLY, this.server.halfCloseTimeoutMs);
  }

  /** Nothing is received just now, so the end of the client is looked for instead. */
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
    // Answered already: without a body that is the rule.
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

  /** The handler threw: 500, or the end of the connection when the reply has begun. */
  #failed(reply: ReplyWriter, error: unknown): void {
    // What it wanted of a client that has left cannot be had: that is no failure of the handler's.
    const answer = error instanceof RequestError ? undefined : this.server.failed(error);
    if (reply.done) return;
    if (reply.begun) this.cutOff();
    else {
      const request = this.#request as ParsedRequest;
      answerFailure(answer, request, reply, (thrown) => this.#failedAgain(reply, thrown));
    }
  }

  /** The answer for a handler that failed could not be sent. */
  #failedAgain(reply: ReplyWriter, error: unknown): void {
    if (!(error instanceof RequestError)) this.server.failed(error);
    if (reply.done) return;
    if (reply.begun) this.cutOff();
    else reply.fail();
  }

  /** Request and reply are over: the next one's turn. */
  #exchanged(): void {
    const request = this.#request as ParsedRequest;
    this.server.answered(this, request, this.#reply as ReplyWriter);
    this.call(() => request.over());
    this.#request = null;
    this.#reply = null;
    if (this.#last) this.#close();
    // First for the peer, when much of the reply still waits to be taken by it.
    else if (this.isFull) this.waitForReply(this.#hasEnded);
    else this.#awaitRequest();
  }

  #awaitRequest(): void {
    if (this.#isStopping) this.#awaitLast();
    else if (this.isUnacknowledged) this.waitForReply(this.#hasEnded);
    else this.waitFor(WAITS_FOR_REQUEST, this.server.settings.idleTimeoutMs);
  }

  /** Waits for a request that may be on the way when the server stops. */
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
      if (this.server.settings.log !== undefined) this.#headBegan = performance.now();
    }
  }

  /** Keeps what came too early. */
  #save(bytes: Uint8Array, at: number): void {
    const { parser } = this;
    const isAll = at === bytes.length && this.#request === null && !this.#isUpgraded;
    // It is answered. The end of a request without a body takes no bytes, and then nothing is left to be kept.
    if (isAll && !parser.idle) parser.read(bytes, at);
    if (isAll && parser.idle) this.giveParserBack();
    else if (!this.#isUpgraded) this.keepParser();
    this.waitForReply(this.#request?.hasLeft ?? this.#hasEnded);
    if (at < bytes.length) this.#setAside(bytes.slice(at));
  }

  /** Goes on receiving unless much is set aside. */
  #setAside(bytes: Uint8Array | null): void {
    this.#saved = bytes;
    // Bytes that come now, and the end, are to follow what is set aside: upgrade() resumes once that is delivered.
    if (this.#isUpgraded) return;
    if (bytes !== null && bytes.length > MOST_SAVED) this.connection.pause();
    else this.connection.resume();
  }

  /** Nobody waits for the reply any more. Whoever is at work on it finds the request as it was. */
  #abandon(error: RequestError): void {
    const request = this.#request;
    const head = request === null ? this.#unfinishedHead() : null;
    this.server.ended(this, error, request, this.#reply, head);
    this.#noMore();
    // The head of a request that is being handled lies in the parser.
    if (request === null) this.giveParserBack();
    else this.leaveParser();
    request?.lost(error);
  }

  #unfinishedHead(): UnfinishedHead | null {
    if (this.server.settings.log === undefined || !this.hasParser) return null;
    // What is refused with its first bytes was not waited for.
    const began = this.waits === WAITS_FOR_HEAD ? this.#headBegan : performance.now();
    return { line: this.parser.knownLine, began };
  }

  /** Nothing more is sent of the reply. */
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

  /** Answers for the handler, and ends the connection. */
  #refuse(code: RefusalCode, status: number, reason: string): void {
    this.server.refused(code);
    const reply = this.#reply;
    const isHalf = reply?.begun === true && !reply.done;
    if (this.connection.state === "open" && reply?.begun !== true) {
      this.write(refusalOf(status, reason, this.date));
    }
    this.#last = true;
    this.#abandon(new RequestError(code, status, reason));
    // The end of the connection may be that of the reply, which is not to look whole.
    if (isHalf) this.cutOff();
    else this.#close();
  }

  /** From here on the connection sees to its end itself. */
  #close(): void {
    this.sendGathered();
    // The peer is to take what was written in its time.
    this.waitFor(WAITS_FOR_REPLY, Number.POSITIVE_INFINITY);
    this.connection.close();
  }
}
