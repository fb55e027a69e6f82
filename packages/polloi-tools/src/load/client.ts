import type { Connection, ConnectOptions, Reactor, Timer } from "polloi";
import type { LoadConfig, Shard } from "./options.ts";
import type { Payload } from "./payload.ts";
import type { Schedule, ScheduledClient } from "./schedule.ts";
import type { Statistics } from "./statistics.ts";

/** Why a connection of a load failed, where the system has no code for it. */
export type LoadErrorCode =
  /** The server closed the connection with a message in flight, or before its first answer. */
  | "PEER_CLOSED"
  /** Nothing was received for `timeoutMs`. */
  | "NO_ANSWER"
  /** The server sent something other than a response of HTTP/1.1, or a response without a request. */
  | "HTTP_INVALID"
  /** The head or the trailers of a response are longer than 256 KiB. */
  | "HTTP_HEAD_TOO_LARGE";

/** The state that the clients of a thread share, and to which they report. Implemented by {@link ConnectionSet}. */
export interface ClientContext {
  /** The time of the reactor's kernel, in milliseconds. */
  now(): number;
  readonly reactor: Reactor;
  readonly config: LoadConfig;
  readonly shard: Shard;
  readonly statistics: Statistics;
  readonly schedule: Schedule;
  readonly payload: Payload;
  /** The bytes of an HTTP request. */
  readonly request: Uint8Array;
  readonly pipeline: number;
  /** With a rate, the time between two messages of a connection; otherwise 0. */
  readonly intervalMs: number;
  /** When each message in flight was sent: `pipeline` entries for each client. */
  readonly sendTimes: Float64Array;
  /** Messages in flight. */
  inFlight: number;
  /** Whether clients may send. */
  readonly isSending: boolean;

  /** A message was written. Its time is at this index of {@link ClientContext.sendTimes}. */
  messageSent(timeIndex: number): void;
  /** These messages were not processed, through no fault of the server, and will be sent again. */
  messagesReturned(count: number): void;
  /** A message was answered correctly. */
  messageAnswered(sentAt: number, now: number): void;
  opened(client: Client): void;
  /** The client has failed: its connection is not opened again. */
  failed(client: Client, code: string): void;
  /** The connection was lost and is opened again. @param code - Why; undefined when that was no failure. */
  lost(client: Client, code: string | undefined): void;
  /** The backlog of a unix socket was full. @returns Whether the connect is repeated. */
  retryConnect(client: Client): boolean;
  /** Ends the load when nothing is in flight and nothing is left to send. */
  endIfDone(): void;
}

/**
 * One connection of a load: its messages in flight, and when it may send the next one. There is one subclass per
 * protocol.
 *
 * @remarks
 * It has few fields, because a load has thousands of clients. The send times are in one array of all clients.
 */
export abstract class Client implements ScheduledClient {
  readonly context: ClientContext;
  /** Its index among all connections of the load. */
  readonly index: number;
  /** Its index among the connections of this thread. */
  readonly position: number;
  connection: Connection<Client> | null = null;
  isOpen = false;
  hasFailed = false;
  /** Whether the client has been open before. */
  wasOpen = false;
  /** Whether a message was answered on the present connection. */
  hasAnswer = false;
  /** Whether the client is in the queue of its schedule. */
  isQueued = false;
  // Times start as doubles that are no integers. With 0, the first time would change the shape of every object.
  /** While a connect is in progress, when it was started. */
  connectStartedAt: number = Number.NEGATIVE_INFINITY;
  /** Number of messages sent, which is the sequence number of the next one. */
  sent = 0;
  inFlight = 0;
  /** How many messages it may still send. */
  remaining: number;
  /** With a rate, when the next message is due. */
  dueAt: number = Number.NEGATIVE_INFINITY;
  /** When it last received something, or sent a message with nothing in flight. */
  waitingSince: number = Number.NEGATIVE_INFINITY;
  /** When the first of the consecutive connections was lost that had no answer. */
  failingSince: number = Number.NEGATIVE_INFINITY;
  #thinkTimer: Timer | undefined;

  constructor(context: ClientContext, position: number, quota: number) {
    this.context = context;
    this.position = position;
    this.index = context.shard.first + position;
    this.remaining = quota;
  }

  /** Writes message number `sent`. */
  protected abstract writeNext(connection: Connection<Client>): void;

  /** Bytes were received. */
  abstract received(bytes: Uint8Array): void;

  /** The peer has ended its half of the connection. */
  abstract ended(): void;

  /** Called before the connection is released: counts messages that can only be judged now. */
  protected settle(): void {}

  /** Discards the state of the present connection. */
  protected abstract reset(): void;

  /** Number of messages that have not been answered although later ones have. */
  get missing(): number {
    return 0;
  }

  /** Sends as many messages as may be sent now. */
  send(now: number): void {
    const { context, connection } = this;
    if (!this.isOpen || connection === null) return;
    while (this.inFlight < context.pipeline && this.remaining > 0 && context.isSending) {
      let due = now;
      if (context.intervalMs > 0) {
        due = this.dueAt;
        if (due > now) return;
        this.dueAt += context.intervalMs;
      }
      const timeIndex = this.position * context.pipeline + (this.sent % context.pipeline);
      context.sendTimes[timeIndex] = due;
      if (this.inFlight++ === 0) this.waitingSince = now;
      this.remaining--;
      context.messageSent(timeIndex);
      this.writeNext(connection);
      this.sent++;
    }
  }

  /** When one of the last `pipeline` messages was sent; with a rate, when it was due. */
  protected sentAt(sequence: number): number {
    const { context } = this;
    const timeIndex = this.position * context.pipeline + (sequence % context.pipeline);
    return context.sendTimes[timeIndex] as number;
  }

  /** A message is no longer in flight, so another may be sent. */
  protected completed(now: number): void {
    this.inFlight--;
    this.context.inFlight--;
    this.waitingSince = now;
    this.hasAnswer = true;
  }

  /** Continues after received data was processed: at once, or after the think time. */
  protected proceed(now: number): void {
    const { thinkMs } = this.context.config;
    if (thinkMs === 0) this.context.schedule.ready(this, now);
    else this.#think(thinkMs);
    this.context.endIfDone();
  }

  #think(thinkMs: number): void {
    if (this.#thinkTimer?.active === true || !this.context.isSending || this.remaining <= 0) return;
    if (this.#thinkTimer === undefined) {
      this.#thinkTimer = this.context.reactor.setTimer(thinkMs, () => {
        this.context.schedule.ready(this, this.context.now());
      });
    } else {
      this.#thinkTimer.refresh();
    }
  }

  /** The connection was opened. */
  opened(): void {
    this.isOpen = true;
    this.context.opened(this);
    this.wasOpen = true;
  }

  /** The connection was closed, and not by this client. */
  closed(error: Error | undefined): void {
    const code = (error as { code?: string } | undefined)?.code ?? "PEER_CLOSED";
    if (code === "EAGAIN" && !this.isOpen && this.context.retryConnect(this)) return;
    this.connection = null;
    if (this.wasOpen) this.lose(code);
    else this.fail(code);
  }

  /**
   * The connection is lost, and is opened again.
   *
   * @param code - Why; undefined when it was closed after an answer with nothing in flight, which is no failure.
   */
  protected lose(code: string | undefined): void {
    const { hasAnswer } = this;
    const now = this.context.now();
    if (hasAnswer) this.failingSince = Number.NEGATIVE_INFINITY;
    else if (this.failingSince < 0) this.failingSince = now;
    this.release();
    this.context.lost(this, code);
  }

  /** Gives up: the connection is closed and not opened again. */
  fail(code: string): void {
    if (this.hasFailed) return;
    this.hasFailed = true;
    this.release();
    this.context.failed(this, code);
  }

  /** Closes the connection. Its messages in flight are counted as unanswered. */
  release(): void {
    const { connection } = this;
    const { counts } = this.context.statistics;
    this.#thinkTimer?.cancel();
    this.settle();
    if (this.isOpen) counts.open--;
    this.isOpen = false;
    this.hasAnswer = false;
    this.connection = null;
    counts.unanswered += this.inFlight;
    this.context.inFlight -= this.inFlight;
    this.inFlight = 0;
    this.reset();
    connection?.destroy();
  }

  /** Fails if it has waited for an answer for as long as `timeoutMs`. */
  checkTimeout(now: number, timeoutMs: number): void {
    if (this.inFlight > 0 && now - this.waitingSince >= timeoutMs) this.fail("NO_ANSWER");
  }
}

/** The handlers of every connection. */
export const CLIENT_HANDLERS: ConnectOptions<Client> = {
  zeroCopy: true,
  // The pipeline limits what is in flight.
  maxPendingBytes: Number.MAX_SAFE_INTEGER,
  open: (connection) => connection.data.opened(),
  data: (connection, bytes) => connection.data.received(bytes),
  end: (connection) => connection.data.ended(),
  close: (connection, error) => {
    // A connection that the client has released belongs to no client any more.
    if (connection.data.connection === connection) connection.data.closed(error);
  },
};
