/**
 * One connection of an HTTP server, as a state machine.
 *
 * Requests are handled one after the other. While one is being answered, nothing behind it is parsed: up to 16 KiB of it
 * are saved here, and the rest stays in the kernel's buffers. So replies are in order, and a client that pipelines a
 * thousand requests costs as much as one that sends a single request.
 *
 * ```text
 *  state        waits for                                                    its timeout            bytes are
 *  IDLE         a request                                                    idleTimeoutMs          parsed
 *  IN_HEAD      the rest of a head                                           headTimeoutMs          parsed
 *  IN_BODY      the rest of a body, which has a reader                       bodyTimeoutMs          parsed
 *  DISCARDING   the rest of a body, whose reply is complete                  bodyTimeoutMs          parsed
 *  SENDING      the client, to take a complete reply                         sendTimeoutMs          parsed, unless full
 *  HELD         the handler, to read the body; or the client, to take more   sendTimeoutMs *        saved
 *  REPLYING     the handler, to complete the reply to a complete request     sendTimeoutMs *        saved
 *  CLOSING      the client, to take everything, after which it is closed     sendTimeoutMs          not received
 *  UPGRADED     nothing: the program has taken over the connection           none                   saved once
 *  CLOSED       nothing                                                      none                   not received
 *
 *  *  while data is not acknowledged; halfCloseTimeoutMs if the client has ended its half
 *
 *  event                          in            leads to
 *  a part of a head               IDLE, SENDING IN_HEAD
 *  a head without a body          parsed        REPLYING; the handler is called
 *  a head with a body             parsed        HELD; the handler is called
 *  a part of the body             IN_BODY       IN_BODY; the reader is called
 *                                 DISCARDING    DISCARDING; CLOSING after 64 KiB
 *  the end of the body            IN_BODY       REPLYING; the reader is called
 *                                 DISCARDING    the next request
 *  an invalid byte, a limit       parsed        CLOSING; the client receives 4xx. With half a reply sent: reset
 *  the handler reads the body     HELD          IN_BODY; 100 Continue is sent if the client waits for it
 *  the reader pauses              IN_BODY       HELD
 *  the reader resumes             HELD          IN_BODY, unless full
 *  the reply is complete          REPLYING      the next request
 *    (early, before the body)     HELD, IN_BODY DISCARDING; CLOSING if more than 64 KiB are left
 *  the queue is full              IN_BODY, DISCARDING  HELD
 *  the queue has drained          HELD          IN_BODY, DISCARDING, or HELD without a reader
 *                                 other         the same; saved bytes are parsed
 *  everything is acknowledged     SENDING       IDLE
 *  the program upgrades           REPLYING      UPGRADED, if the reply has not begun
 *  the client ends its half       IDLE, IN_HEAD, SENDING, DISCARDING  CLOSING, after what is saved was answered
 *                                 REPLYING      REPLYING; the handler is notified
 *                                 HELD, IN_BODY CLOSED, unless the rest of the body is saved
 *  a timeout                      IDLE          CLOSING
 *                                 IN_HEAD, IN_BODY, DISCARDING  CLOSING; the client receives 408 if it can
 *                                 other         reset
 *  the server stops               IDLE          IDLE, for 500 ms before the first request, for 200 ms after others
 *                                 other         the same; the last reply that is due says Connection: close
 *  the connection is closed       any           CLOSED; the handler is notified
 *
 *  the next request: CLOSING if the last reply was sent; SENDING if it is not taken; IDLE otherwise
 * ```
 */
import { typeError } from "../base/misuse.ts";
import type {
  Connection,
  ConnectionOptions,
  Handlers,
  OutgoingFile,
} from "../reactor/connection.ts";
import type { Stream } from "../reactor/stream.ts";
import type { Batch } from "./batch.ts";
import { ABANDONED, Exchange, FRESH } from "./exchange.ts";
import { RequestBody } from "./request-body.ts";
import {
  clientLeft,
  type RefusalCode,
  RequestError,
  refusalOf,
  repliedFirst,
} from "./request-error.ts";
import type { Shared, UnfinishedHead } from "./shared.ts";
import { NEVER } from "./sweep.ts";
import { BodyParser } from "./wire/body.ts";
import { BODY, END, FAILED, FAILURES, type FailureCode, HEAD, NEED_MORE } from "./wire/failures.ts";
import { latin1 } from "./wire/latin1.ts";
import type { RequestHead } from "./wire/request-head.ts";
import type { RequestParser } from "./wire/request-parser.ts";
import { NOTHING } from "./wire/section.ts";

// The states, in an order that makes classes of them ranges.
const IDLE = 0;
const IN_HEAD = 1;
const IN_BODY = 2;
const DISCARDING = 3;
/** From here on the handler or the client is waited for, and acknowledgements are checked. */
const SENDING = 4;
/** From here on no bytes are parsed. */
const HELD = 5;
const REPLYING = 6;
/** From here on there is no exchange. */
const CLOSING = 7;
const UPGRADED = 8;
const CLOSED = 9;

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
/** While the server stops: how long a client has to send its first request, and another one, in milliseconds. */
const FIRST_REQUEST_MS = 500;
const NEXT_REQUEST_MS = 200;
/**
 * The connection continues receiving while no more bytes than this are saved, because only receiving shows at once that
 * the client has left.
 */
const MOST_SAVED = 16_384;
/** A chunk up to this length is decoded in one piece, for all heads in it. */
const MOST_DECODED = 4096;
/** Replies are collected up to this many bytes. A longer part of a reply is not collected. */
const MOST_COLLECTED = 16_384;
/** Nor is an array of more bytes than this: another copy of it would take longer than another write. */
const MOST_COPIED = 4096;
/** The high-water mark of the connections of a server, in bytes. */
export const HIGH_WATER_BYTES: number = 64 * 1024;
/** The most bytes around the parts of a reply up to the high-water mark, if they are not short. */
const FRAMING_BYTES = 256;
/** The most bytes that a handler may write beyond the high-water mark. */
const MOST_BEYOND = 16 * 1024 * 1024;
/**
 * Acknowledgements are not checked while no more than this many bytes are unacknowledged: each check is a system call,
 * and every peer that is still there has room for them.
 */
const UNWATCHED_BYTES = 16 * 1024;
/** The acknowledged bytes are not known, because none were missing yet. */
const UNKNOWN = -1;

/** The state of a queue above the high-water mark. */
interface Overflow {
  /** The bytes that were written since then. */
  bytes: number;
  /** Called when the queue has drained. */
  readonly waiting: (() => void)[];
}

/** The state of a connection whose server stops. */
interface Stop {
  /** The bytes that had arrived at that time and are not received yet. */
  owed: number;
}

/** The peer of a connection, for the access log and for headers of proxies. */
export interface ConnectionPeer {
  /** The address for the log. */
  readonly address: string;
  /** Whether it is a trusted proxy. */
  readonly isProxy: boolean;
  /** The time at which an incomplete head began. */
  headBegan: number;
}

/** A connection as an HTTP server uses it. Each connection of a reactor implements this, one that is adopted as well. */
export type Transport = Connection<HttpConnection> &
  Pick<Stream<HttpConnection>, "cork" | "uncork" | "expect" | "hold" | "deliver">;

/**
 * A connection of an HTTP server: see the head of this file.
 *
 * @remarks
 * A server holds thousands, and most are idle, so it has few fields. A parser and a batch are taken when they are needed,
 * and the state of a request is in its {@link Exchange}.
 */
export class HttpConnection {
  readonly transport: Transport;
  readonly shared: Shared<HttpConnection>;
  /** The place in the sweep. */
  place = 0;
  /** Set if there is a log, or if proxies are trusted. */
  peer: ConnectionPeer | null = null;
  #state = IDLE;
  /** The deadline; if it is negative, the milliseconds from the next check on. */
  #deadline: number;
  #exchange: Exchange | null = null;
  /** Its own parser, while it is in the middle of a request. */
  #parser: RequestParser | null = null;
  /** The batch of the chunk that is being parsed. */
  #batch: Batch | null = null;
  /** Bytes that arrived behind the current request. */
  #saved: Uint8Array | null = null;
  /** Set while the queue is above the high-water mark. */
  #overflow: Overflow | null = null;
  #requests = 0;
  /** Whether the connection is closed after the reply. */
  #isLast = false;
  /** Whether the client has ended its half: nothing follows what is saved. */
  #hasEnded = false;
  /** Set while the server stops. */
  #stop: Stop | null = null;
  /** The bytes that were written since the peer had last acknowledged all. */
  #written = 0;
  /** How many of them were acknowledged at the last check. */
  #acknowledged = UNKNOWN;

  constructor(shared: Shared<HttpConnection>, transport: Transport) {
    this.shared = shared;
    this.transport = transport;
    this.#deadline = -shared.settings.idleTimeoutMs;
  }

  // Events of the connection.

  /** Bytes were received. They are lent. */
  received(bytes: Uint8Array): void {
    if (this.#stop !== null) this.#stop.owed -= bytes.length;
    if (this.#saved === null) this.#parse(bytes);
    else this.#save(joined(this.#saved, bytes));
  }

  /** The queue has fallen to half of the high-water mark. */
  drained(): void {
    this.#hasRoom();
    this.goOn();
  }

  /** The client has ended its half. Most such clients have left; some wait for the reply, and receive it. */
  ended(): void {
    const exchange = this.#exchange;
    this.#hasEnded = true;
    const hasRest = this.#saved !== null || exchange?.body?.endIsDue === true;
    if (exchange === null) {
      if (hasRest) return;
      if (this.#state === IN_HEAD) this.#abandon(clientLeft);
      this.#close();
    } else if (hasRest || exchange.isReceived) {
      this.#isLast ||= !hasRest;
      this.#left(exchange);
    } else if (exchange.isReplied) {
      // The reply may still be queued, and must arrive.
      this.#close();
    } else {
      this.transport.destroy();
    }
  }

  /** The connection is closed. */
  closed(): void {
    this.#saved = null;
    this.#abandon(clientLeft);
    this.#state = CLOSED;
    this.shared.remove(this);
  }

  /**
   * The server stops: requests that have arrived are answered, the last one with `Connection: close`. A client without
   * a request has a short time to send one, because it may be on its way.
   */
  stopping(): void {
    if (this.#stop !== null) return;
    this.#stop = { owed: this.transport.unreadBytes };
    if (this.#exchange !== null && this.#exchange.left !== null) this.#limitReply();
    if (this.#state === IDLE) this.#awaitRequest();
  }

  /** Checks the deadline. Called at intervals. */
  look(): void {
    if (this.#state >= UPGRADED) return;
    const { sweep } = this.shared;
    if (this.#deadline < 0) this.#deadline = sweep.deadlineAfter(-this.#deadline);
    if (this.#state >= SENDING) this.#lookAtReply();
    else if (sweep.isPast(this.#deadline) || this.#isBodyLate()) this.#timedOut();
  }

  // Calls of the request and the reply.

  /** Calls a callback of the program. If it throws, the handler has failed. */
  call(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.shared.server.failed(this, this.#exchange, error);
    }
  }

  /** Calls back when the current callback has returned. */
  soon(callback: () => void): void {
    this.shared.server.soon(() => this.call(callback));
  }

  /** The text of a head, which stays valid. */
  headText({ fields, length }: RequestHead): string {
    const { bytes, base } = fields;
    const batch = this.#batch;
    return batch !== null && batch.input === bytes && bytes.length <= MOST_DECODED
      ? batch.inputText.slice(base, base + length)
      : latin1(bytes, base, base + length);
  }

  /** The body has a reader now. Sends 100 Continue if the client waits for it. */
  bodyClaimed(exchange: Exchange): void {
    const body = exchange.body as RequestBody;
    const waits = exchange.head?.expectsContinue === true && body.received === 0;
    // Not in the middle of a reply, which it would become a part of.
    if (waits && exchange.reply === FRESH) this.writeText(CONTINUE);
    body.restart();
    this.goOn();
  }

  /** The reader has paused the body. */
  bodyPaused(exchange: Exchange): void {
    if (exchange === this.#exchange && this.#state === IN_BODY) this.#enter(HELD);
  }

  /** Continues after a reason to wait has gone: parses what was saved, and receives again. */
  goOn(): void {
    if (this.#state === HELD) this.#release();
    if (this.#batch !== null || this.#state > SENDING || this.#overflow !== null) return;
    const saved = this.#saved;
    this.#saved = null;
    // Also with nothing saved: it may wait for something else now, or no longer need its parser.
    if (saved !== null || this.#parser !== null) this.#parse(saved ?? NOTHING);
    if (this.#state >= CLOSING) return;
    if (!this.#hasEnded) this.#save(this.#saved);
    else if (this.#saved === null) this.ended();
  }

  /**
   * Whether the request is valid as far as its bytes have arrived. If it is not, it is refused here, and cannot be
   * answered by the handler any more.
   *
   * @remarks
   * Parses the received part of a chunked body that has no reader. So a malformed one is refused before the reply, and
   * a short one does not end the connection. If nothing of it has arrived, the client may never send it.
   */
  isAnswerable(exchange: Exchange): boolean {
    const { body } = exchange;
    if (body === null || body.isComplete || !body.isChunked) return true;
    if (exchange.reader !== null || body.received > 0) return true;
    const received = this.#batch?.input ?? this.#saved ?? NOTHING;
    const from = this.#batch === null ? 0 : this.#currentParser().position;
    if (from === received.length && this.transport.unreadBytes === 0) return true;
    let rest = 0;
    const parser = new BodyParser(this.shared.settings.limits);
    parser.begin(-1);
    for (let at = from; ; at = parser.position) {
      switch (parser.read(received, at, received.length)) {
        case BODY:
          rest += parser.bodyEnd - parser.bodyStart;
          break;
        case END:
          body.foresee(rest, parser.position - from);
          return true;
        case FAILED:
          this.#refuseFor(parser.failure);
          return false;
        default:
          body.foresee(rest + parser.left, Number.POSITIVE_INFINITY);
          return true;
      }
    }
  }

  /** Closes the connection after the reply. */
  endAfterReply(exchange: Exchange): void {
    if (exchange === this.#exchange) this.#isLast = true;
  }

  /** The option of Connection that the reply must have: `close`, `keep-alive`, or none because the version implies it. */
  persistence(exchange: Exchange): string {
    const head = exchange.head as RequestHead;
    // The connection itself may be notified later in this turn.
    if (this.shared.isStopping) this.stopping();
    this.#isLast ||=
      endsConnection(exchange, head) || (this.#stop !== null && !this.#owesMore(exchange));
    if (!this.#isLast && this.#requests >= this.shared.settings.maxRequests) {
      this.shared.refused("REQUESTS");
      this.#isLast = true;
    }
    if (this.#isLast) return "close";
    return head.version === 0 ? "keep-alive" : "";
  }

  /** Whether the high-water mark is exceeded. */
  get isFull(): boolean {
    return this.#overflow !== null;
  }

  /** The number of bytes until the high-water mark is reached; negative beyond it. */
  get roomBytes(): number {
    return HIGH_WATER_BYTES - this.transport.pendingBytes;
  }

  /** Collects the parts of a reply until {@link uncork}, which must follow. */
  cork(): void {
    this.transport.cork();
  }

  /** Sends the parts of the reply that were written. */
  uncork(): void {
    this.transport.uncork();
  }

  /**
   * A part of `length` bytes follows, perhaps with others up to the high-water mark. They leave in as few sends as
   * possible.
   */
  expect(length: number): void {
    if (length <= MOST_COPIED) return;
    this.transport.expect(Math.max(length, this.roomBytes) + FRAMING_BYTES);
  }

  /** A batch to add the next bytes of a reply to. {@link wrote} must follow. */
  writing(): Batch {
    return this.#batch ?? this.shared.takeBatch();
  }

  /** Bytes were added to the batch. @returns Whether to continue, as `Connection.write` has it. */
  wrote(batch: Batch): boolean {
    const { length } = batch;
    if (batch !== this.#batch) {
      this.#flush(batch);
      this.shared.giveBack(batch);
    } else if (
      length >= MOST_COLLECTED ||
      this.transport.pendingBytes + length > HIGH_WATER_BYTES
    ) {
      this.#flush(batch);
    }
    return this.#overflow === null;
  }

  /**
   * Adds a part of a reply to a batch, or writes both if it is long.
   *
   * @param length - Its length in bytes.
   */
  add(batch: Batch, part: string | Uint8Array, length: number): void {
    if (length > (typeof part === "string" ? MOST_COLLECTED : MOST_COPIED)) {
      this.#flush(batch);
      this.#send(part);
      return;
    }
    batch.reserve(length);
    if (typeof part === "string") batch.addText(part, length);
    else batch.add(part);
  }

  /** Writes ASCII text. */
  writeText(text: string): void {
    const batch = this.writing();
    this.add(batch, text, text.length);
    this.wrote(batch);
  }

  /** Sends a piece of a file after what was written. @returns false, as `Connection.sendFile` has it. */
  sendFile(file: OutgoingFile): boolean {
    if (this.#batch !== null) this.#flush(this.#batch);
    this.#fill();
    const before = this.transport.pendingBytes;
    this.transport.sendFile(file);
    this.#written += this.transport.pendingBytes - before;
    return false;
  }

  /** Calls back when the queue has drained, or the connection is closed. */
  whenDrained(callback: () => void): void {
    if (this.#overflow === null || this.transport.state === "closed") this.soon(callback);
    else this.#overflow.waiting.push(callback);
  }

  /** All of the reply is written. */
  replied(): void {
    const exchange = this.#exchange as Exchange;
    this.#isLast ||= exchange.body?.isLong === true;
    if (this.#isLast || exchange.isReceived) this.#exchanged(exchange);
    else if (this.#state === IN_BODY) this.#awaitBody(DISCARDING);
    this.goOn();
  }

  /** Resets the connection, because the reply cannot be completed. */
  cutOff(): void {
    this.transport.reset();
  }

  /** Gives the connection to other handlers. */
  upgrade<Data>(exchange: Exchange, options: Handlers<Data> & ConnectionOptions): Connection<Data> {
    if (!exchange.isReceived || exchange.reply !== FRESH) {
      throw typeError(
        "ERR_CLOSED",
        "Cannot upgrade: a body is still coming, or the reply has begun",
      );
    }
    if (this.#batch !== null) this.#flush(this.#batch);
    const { transport } = this;
    const upgraded = transport.handOver<Data>(options);
    // What the client sent behind the request comes first. A pause was the server's own.
    transport.hold();
    transport.resume();
    this.#leaveParser();
    this.shared.remove(this);
    this.#state = UPGRADED;
    this.#drop(exchange);
    this.shared.server.soon(() => {
      const saved = this.#saved;
      this.#saved = null;
      transport.deliver(saved);
    });
    return upgraded;
  }

  // Parsing.

  #parse(bytes: Uint8Array): void {
    const batch = this.shared.takeBatch();
    const parser = this.#currentParser();
    batch.input = bytes;
    this.#batch = batch;
    try {
      this.#parseAll(bytes);
    } finally {
      this.#batch = null;
      this.#flush(batch);
      this.shared.giveBack(batch);
      if (this.#state >= CLOSING) {
        if (this.#parser !== null) this.#giveParserBack();
        // It ended in the middle of a request, which must not affect another connection.
        else if (parser === this.shared.parsers.shared) parser.reset();
      }
    }
  }

  #parseAll(bytes: Uint8Array): void {
    let at = 0;
    while (this.#state <= SENDING && this.#overflow === null) {
      const parser = this.#currentParser();
      const result = parser.read(bytes, at);
      at = parser.position;
      switch (result) {
        case HEAD:
          this.#begin(parser.head);
          break;
        case BODY:
          this.#takeBody(bytes.subarray(parser.bodyStart, parser.bodyEnd));
          break;
        case END:
          this.#endBody(parser);
          break;
        case NEED_MORE:
          this.#awaitMore(parser);
          return;
        default:
          this.#refuseFor(parser.failure as FailureCode);
          return;
      }
    }
    if (this.#state < CLOSING) this.#keepRest(bytes, at);
    else if (this.#state === UPGRADED && at < bytes.length) this.#saved = bytes.slice(at);
  }

  #begin(head: RequestHead): void {
    const exchange = new Exchange(head, head.hasBody ? new RequestBody(head) : null);
    this.#requests++;
    this.#exchange = exchange;
    this.#enter(exchange.body === null ? REPLYING : HELD);
    this.shared.server.handle(this, exchange);
    // The client ended its half while an earlier request was handled.
    if (this.#hasEnded && this.#exchange === exchange) this.#left(exchange);
  }

  #takeBody(bytes: Uint8Array): void {
    const exchange = this.#exchange as Exchange;
    const body = exchange.body as RequestBody;
    body.received += bytes.length;
    if (exchange.isReplied) {
      if (!body.discard(bytes.length)) return;
      this.#isLast = true;
      this.#exchanged(exchange);
      return;
    }
    try {
      exchange.reader?.data(bytes);
    } catch (error) {
      exchange.reader = null;
      exchange.isPaused = false;
      if (this.#state === IN_BODY) this.#enter(HELD);
      this.shared.server.failed(this, exchange, error);
    }
  }

  #endBody(parser: RequestParser): void {
    const exchange = this.#exchange;
    // Already answered, as most requests without a body are.
    if (exchange === null) return;
    const body = exchange.body as RequestBody;
    body.isComplete = true;
    if (parser.trailers.count > 0) body.trailers = parser.trailers.entries();
    if (exchange.reader?.end !== undefined) {
      try {
        exchange.reader.end();
      } catch (error) {
        this.shared.server.failed(this, exchange, error);
      }
    }
    if (this.#exchange !== exchange) return;
    if (exchange.isReplied) this.#exchanged(exchange);
    else this.#enter(REPLYING);
  }

  /** All bytes are parsed. */
  #awaitMore(parser: RequestParser): void {
    if (this.#exchange !== null) {
      this.#keepParser();
      if (!this.#exchange.isReceived) this.#awaitBody(this.#state);
    } else if (parser.idle) {
      this.#giveParserBack();
      if (this.#isLast) this.#close();
    } else {
      this.#keepParser();
      if (this.#state === IN_HEAD) return;
      this.#await(IN_HEAD, this.shared.settings.headTimeoutMs);
      if (this.peer !== null) this.peer.headBegan = this.shared.kernel.now();
    }
  }

  /** Saves the bytes from `at` on, which cannot be parsed now. */
  #keepRest(bytes: Uint8Array, at: number): void {
    if (at === bytes.length && this.#exchange === null) {
      const parser = this.#currentParser();
      // The request is answered. Its end takes no bytes if it has no body, and then there is nothing to save.
      if (!parser.idle) parser.read(bytes, at);
      if (parser.idle) this.#giveParserBack();
      else this.#keepParser();
    } else {
      this.#keepParser();
    }
    if (at < bytes.length) this.#save(bytes.slice(at));
  }

  /** Saves bytes, and pauses receiving if they are many. */
  #save(bytes: Uint8Array | null): void {
    this.#saved = bytes;
    if (bytes !== null && bytes.length > MOST_SAVED) this.transport.pause();
    else this.transport.resume();
  }

  /** The parser to use: its own, or the one that all connections between two requests share. */
  #currentParser(): RequestParser {
    return this.#parser ?? this.shared.parsers.shared;
  }

  /** Keeps the parser for this connection, and the head in it. */
  #keepParser(): void {
    this.#parser ??= this.shared.parsers.take();
    this.#parser.keepHead();
  }

  /** Gives its own parser back: the head in it is no longer needed. */
  #giveParserBack(): void {
    if (this.#parser !== null) this.shared.parsers.giveBack(this.#parser);
    this.#parser = null;
  }

  /** Gives up the parser, whose head stays with the handler. */
  #leaveParser(): void {
    // Outside of parsing, the shared one has nothing of this connection.
    if (this.#batch !== null || this.#parser !== null) this.#keepParser();
    this.#parser = null;
  }

  // States.

  #enter(state: number): void {
    if (state >= SENDING && this.#state < SENDING) this.#acknowledged = UNKNOWN;
    this.#state = state;
  }

  #await(state: number, timeoutMs: number): void {
    this.#state = state;
    this.#deadline = -timeoutMs;
  }

  #awaitBody(state: number): void {
    this.#await(state, this.shared.settings.bodyTimeoutMs);
  }

  /** Waits for a request. When the server stops, one may be on its way. */
  #awaitRequest(): void {
    const lastMs = this.#requests === 0 ? FIRST_REQUEST_MS : NEXT_REQUEST_MS;
    this.#await(IDLE, this.#stop === null ? this.shared.settings.idleTimeoutMs : lastMs);
  }

  /** Receives a held body, unless there is still a reason to hold it. */
  #release(): void {
    const exchange = this.#exchange;
    // There is none when the connection closes, which continues a reader that waits for the queue to drain.
    if (exchange === null || this.#overflow !== null) return;
    if (exchange.isReplied) this.#awaitBody(DISCARDING);
    else if (exchange.reader !== null && !exchange.isPaused) this.#awaitBody(IN_BODY);
  }

  /** The request and the reply are complete: continues with the next request. */
  #exchanged(exchange: Exchange): void {
    this.shared.counts.requests++;
    this.shared.server.log?.(this, exchange, null, null);
    const { reader } = exchange;
    exchange.head = null;
    exchange.reader = null;
    exchange.whenLeft = null;
    exchange.isPaused = false;
    if (reader?.abort !== undefined && !exchange.isReceived) {
      this.call(() => reader.abort?.(repliedFirst()));
    }
    this.#exchange = null;
    if (this.#isLast) this.#close();
    // First for the client, if much of the reply is not taken.
    else if (this.#overflow !== null) this.#enter(SENDING);
    else if (this.#isUnacknowledged() && this.#stop === null) this.#enter(SENDING);
    else this.#awaitRequest();
  }

  /** The client has probably left: notifies the handler, and limits the time of the reply. */
  #left(exchange: Exchange): void {
    if (exchange.left !== null) return;
    this.#notifyLeft(exchange, clientLeft());
    if (this.#exchange === exchange) this.#limitReply();
  }

  #notifyLeft(exchange: Exchange, error: RequestError): void {
    exchange.left ??= error;
    const callbacks = exchange.whenLeft;
    exchange.whenLeft = null;
    if (callbacks === null) return;
    for (const callback of callbacks) this.call(() => callback(error));
  }

  /**
   * The connection ends, and the reply is not needed any more. A handler that is still running keeps the request as it
   * was.
   */
  #abandon(makeError: () => RequestError): void {
    const exchange = this.#exchange;
    const { server } = this.shared;
    if (exchange === null) {
      // Most connections close here: without a log, the error is not made.
      server.log?.(this, null, makeError(), this.#unfinishedHead());
      if (this.#state < CLOSING) this.#enter(CLOSING);
      this.#giveParserBack();
      this.#hasRoom();
      return;
    }
    const error = makeError();
    server.log?.(this, exchange, error, null);
    // First, because the callbacks below may call anything.
    if (this.#state < CLOSING) this.#enter(CLOSING);
    this.#leaveParser();
    this.#drop(exchange);
    exchange.lost = error;
    const { reader } = exchange;
    if (reader?.abort !== undefined && !exchange.isReceived) {
      this.call(() => reader.abort?.(error));
    }
    this.#notifyLeft(exchange, error);
  }

  /** Drops the exchange: its reply does nothing any more. */
  #drop(exchange: Exchange): void {
    exchange.reply = ABANDONED;
    this.#exchange = null;
    this.#hasRoom();
  }

  #refuseFor(failure: FailureCode): void {
    const { status, reason } = FAILURES[failure];
    this.#refuse(failure, status, reason);
  }

  /** Refuses a request, and closes the connection. */
  #refuse(code: RefusalCode, status: number, reason: string): void {
    const exchange = this.#exchange;
    const isHalf = exchange?.hasBegun === true && !exchange.isReplied;
    this.shared.refused(code);
    if (this.transport.state === "open" && exchange?.hasBegun !== true) {
      this.writeText(refusalOf(status, reason, this.shared.sweep.date.text));
    }
    this.#isLast = true;
    this.#abandon(() => new RequestError(code, status, reason));
    // A reset, because the end of the connection would make half a reply look complete.
    if (isHalf) this.cutOff();
    else this.#close();
  }

  /** Closes the connection after the reply. */
  #close(): void {
    if (this.#state > CLOSING) return;
    if (this.#batch !== null) this.#flush(this.#batch);
    this.#enter(CLOSING);
    this.#deadline = NEVER;
    this.transport.close();
  }

  /** Whether bytes behind this request had arrived when the server was stopped. */
  #owesMore(exchange: Exchange): boolean {
    if (this.#stop !== null && this.#stop.owed > 0) return true;
    const batch = this.#batch;
    const here =
      batch === null
        ? (this.#saved?.length ?? 0)
        : batch.input.length - this.#currentParser().position;
    return here > (exchange.body?.bytesLeft ?? 0);
  }

  #unfinishedHead(): UnfinishedHead | null {
    const { peer } = this;
    if (peer === null || (this.#parser === null && this.#batch === null)) return null;
    // A head that is refused with its first bytes has no earlier time.
    const began = this.#state === IN_HEAD ? peer.headBegan : this.shared.kernel.now();
    return { line: this.#currentParser().knownLine, began };
  }

  // Timeouts.

  #isBodyLate(): boolean {
    if (this.#state < IN_BODY) return false;
    const body = this.#exchange?.body as RequestBody;
    return body.isLate(this.shared.sweep.passedMs, this.shared.settings.bodyTimeoutMs);
  }

  #timedOut(): void {
    switch (this.#state) {
      case IN_HEAD:
        this.#refuse("HEAD_TIMEOUT", 408, "the request head took too long");
        return;
      case IN_BODY:
      case DISCARDING:
        this.#refuse("BODY_TIMEOUT", 408, "the request body took too long");
        return;
      default:
        if (this.#stop !== null && this.transport.unreadBytes > 0) return;
        if (this.#stop === null) this.shared.refused("IDLE_TIMEOUT");
        this.#close();
    }
  }

  /** Sets the timeout of a reply to a client that has ended its half. */
  #limitReply(): void {
    if (this.#state >= SENDING) this.#deadline = -this.shared.halfCloseTimeoutMs;
  }

  #lookAtReply(): void {
    const exchange = this.#exchange;
    const { transport } = this;
    if (exchange !== null && exchange.left === null && transport.paused) {
      // The end is not received, so the kernel is asked whether the client has ended its half.
      const { peerState } = transport;
      if (peerState === "gone") transport.destroy();
      else if (peerState === "ended") this.#left(exchange);
    }
    const isTaken = this.#watchReply(this.#exchange?.left != null);
    if (isTaken && this.#state === SENDING && this.#overflow === null) this.#awaitRequest();
  }

  /** Whether enough may be unacknowledged to be checked. */
  #isUnacknowledged(): boolean {
    return this.#written > UNWATCHED_BYTES;
  }

  /**
   * Looks at how much of the reply the peer has acknowledged since the last look, and cuts it off when that is
   * nothing for too long.
   *
   * @param hasLeft - Whether the peer has ended its half: then it does not wait for the handler for ever.
   * @returns Whether the peer has everything that was written.
   */
  #watchReply(hasLeft: boolean): boolean {
    const { transport, shared } = this;
    const { sweep } = shared;
    const seen = this.#acknowledged;
    // Nothing waits here, and so far nothing was seen to wait in the kernel: no call for these.
    if (transport.pendingBytes === 0 && seen === UNKNOWN && !hasLeft && !this.#isUnacknowledged()) {
      return true;
    }
    const waiting = transport.unacknowledgedBytes;
    const acknowledged = this.#written - waiting;
    if (waiting === 0) this.#written = 0;
    if (acknowledged !== seen) {
      const isLimited = waiting > 0 || hasLeft;
      this.#acknowledged = isLimited ? this.#written - waiting : UNKNOWN;
      const timeoutMs = waiting > 0 ? shared.settings.sendTimeoutMs : shared.halfCloseTimeoutMs;
      this.#deadline = sweep.deadlineAfter(isLimited ? timeoutMs : NEVER);
      return waiting === 0;
    }
    // The handler, for which a client that has left still waits, could not run during a stall.
    if (waiting === 0 && this.#deadline !== NEVER) this.#deadline += Math.ceil(sweep.lateMs);
    if (sweep.isPast(this.#deadline)) {
      shared.refused(waiting > 0 ? "SEND_TIMEOUT" : "HALF_CLOSE_TIMEOUT");
      this.cutOff();
    }
    return waiting === 0;
  }

  // Sending.

  /** Writes what was collected. Must be called before anything else is done with the connection. */
  #flush(batch: Batch): void {
    if (batch.length > 0) this.#send(batch.take());
  }

  #send(bytes: string | Uint8Array): void {
    const { transport } = this;
    const overflow = this.#overflow;
    if (overflow !== null) {
      overflow.bytes += bytes.length;
      if (overflow.bytes > MOST_BEYOND) this.cutOff();
    }
    const before = transport.pendingBytes;
    const goesOn = transport.write(bytes);
    this.#written += transport.pendingBytes - before;
    if (!goesOn) this.#fill();
  }

  /** The queue is above the high-water mark: nothing is parsed until it has drained. */
  #fill(): void {
    this.#overflow ??= { bytes: 0, waiting: [] };
    if (this.#state === IN_BODY || this.#state === DISCARDING) this.#enter(HELD);
    else if (this.#state < IN_BODY) this.#enter(SENDING);
  }

  /** The queue has drained, or is dropped. */
  #hasRoom(): void {
    const overflow = this.#overflow;
    this.#overflow = null;
    if (overflow !== null) for (const callback of overflow.waiting) this.call(callback);
  }
}

/** Not a Buffer, so that the parser sees one class of bytes. */
function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}

/** Whether the connection must be closed after the request, as far as is known. */
function endsConnection({ body, reader, method }: Exchange, head: RequestHead): boolean {
  // After CONNECT the client may send data of another protocol.
  if (!head.keepAlive || method === "CONNECT") return true;
  if (body === null || body.isComplete || reader !== null) return false;
  // A client that was not sent 100 Continue may or may not send its body now.
  return head.expectsContinue || body.isLong;
}
