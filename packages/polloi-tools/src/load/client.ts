import type { Connection, ConnectOptions, Reactor, Timer } from "polloi";
import type { LoadPlan } from "./options.ts";
import type { Payload } from "./payload.ts";
import type { Share } from "./share.ts";
import type { Tally } from "./tally.ts";

/** Why a connection of a load failed, where the system has no code for it. */
export type LoadErrorCode =
  /** The server ended it although something was out, or before anything was answered. */
  | "PEER_CLOSED"
  /** Nothing came for as long as `timeoutMs` says. */
  | "NO_ANSWER"
  /** What came is no response of HTTP/1.1, or nobody had asked. */
  | "HTTP_INVALID"
  /** The head of a response, or its trailers, are longer than 256 KiB. */
  | "HTTP_HEAD_TOO_LARGE";

/** What clients have in common, and whom they tell what comes of them. */
export interface ClientHost {
  readonly reactor: Reactor;
  readonly plan: LoadPlan;
  readonly share: Share;
  readonly tally: Tally;
  readonly payload: Payload;
  /** Of HTTP. */
  readonly request: Uint8Array;
  readonly pipeline: number;
  /** With a rate, how long from one message of a connection to the next; else 0. */
  readonly intervalMs: number;
  /** When each message that is out was sent: `pipeline` places for each client. */
  readonly times: Float64Array;
  /** Messages that are out. */
  inFlight: number;
  /** Whether messages may be sent now. */
  readonly sends: boolean;

  /** A client may send: it goes now, or when those before it have gone. */
  wantsToSend(client: Client, now: number): void;
  /** A message is written, whose time stands at this place of {@link ClientHost.times}. */
  sentOne(timeAt: number): void;
  /** Messages were sent in vain, through nobody's fault, and are to be sent again. */
  takeBack(messages: number): void;
  /** A message came back right. */
  answered(sentAt: number, now: number): void;
  opened(client: Client): void;
  /** A client is given up: its connection is not opened again. */
  failed(client: Client, code: string): void;
  /** A connection is gone, and another takes its place. @param code - Why, unless it ended as it may. */
  lost(client: Client, code: string | undefined): void;
  /** A unix socket whose backlog is full is no failure at first. @returns Whether it is tried again. */
  awaits(client: Client): boolean;
  /** Ends the load when nothing is out and nothing is to be sent. */
  endIfDone(): void;
}

/**
 * One connection of a load: what is out on it, and when the next message may go.
 *
 * @remarks
 * A few fields, since there are thousands of these. When each message was sent stands in an array that
 * the crowd has for all of them.
 */
export abstract class Client {
  readonly crowd: ClientHost;
  /** Its number among all connections, those of other threads counted in. */
  readonly index: number;
  /** Its number among those of this thread. */
  readonly place: number;
  connection: Connection<Client> | null = null;
  /** Whether the connection is there. */
  isOpen = false;
  /** Whether it has failed, and is not opened again. */
  isGone = false;
  /** Whether a connection of it was ever open. */
  wasOpen = false;
  /** Whether a message has come back on this connection. */
  hasAnswer = false;
  /** Whether it stands in line to send. */
  isInLine = false;
  // Times begin as what only a double can be: were they 0, all objects would change shape with the first time.
  /** When its connect was begun, as long as that is under way. */
  connectedFrom: number = Number.NEGATIVE_INFINITY;
  /** How many messages were sent: the sequence number of the next one. */
  sent = 0;
  inFlight = 0;
  /** How many it may still send. */
  left: number;
  /** With a rate, when the next message is due. */
  dueAt: number = Number.NEGATIVE_INFINITY;
  /** When something last came, or was sent while nothing was out. */
  waitingSince: number = Number.NEGATIVE_INFINITY;
  /** When the first of its latest connections was lost that had no answer. */
  fruitlessSince: number = Number.NEGATIVE_INFINITY;
  #think: Timer | undefined;

  constructor(crowd: ClientHost, place: number, left: number) {
    this.crowd = crowd;
    this.place = place;
    this.index = crowd.share.first + place;
    this.left = left;
  }

  /** Sends message number `sent`. */
  protected abstract sendNext(connection: Connection<Client>): void;

  /** Bytes came. */
  abstract received(bytes: Uint8Array): void;

  /** The peer sends no more. */
  abstract ended(): void;

  /** Nothing more will come: last chance to say of what is out that it came after all. */
  protected settle(): void {}

  /** Nothing more will come on this connection: what is half received is let go. */
  protected abstract forget(): void;

  /** How many messages were overtaken and never came. */
  get missing(): number {
    return 0;
  }

  /** Sends what may be sent now. */
  go(now: number): void {
    const { crowd, connection } = this;
    if (!this.isOpen || connection === null) return;
    while (this.inFlight < crowd.pipeline && this.left > 0 && crowd.sends) {
      let due = now;
      if (crowd.intervalMs > 0) {
        due = this.dueAt;
        if (due > now) return;
        this.dueAt += crowd.intervalMs;
      }
      const timeAt = this.place * crowd.pipeline + (this.sent % crowd.pipeline);
      crowd.times[timeAt] = due;
      if (this.inFlight++ === 0) this.waitingSince = now;
      this.left--;
      crowd.sentOne(timeAt);
      this.sendNext(connection);
      this.sent++;
    }
  }

  /** When a message was sent that is among the last `pipeline` ones; with a rate, when it was due. */
  protected sentAt(sequence: number): number {
    const { crowd } = this;
    return crowd.times[this.place * crowd.pipeline + (sequence % crowd.pipeline)] as number;
  }

  /** A message is not out any more, and another may go. */
  protected landed(now: number): void {
    this.inFlight--;
    this.crowd.inFlight--;
    this.waitingSince = now;
    this.hasAnswer = true;
  }

  /** What came is told: goes on, at once or after a while. */
  protected goOn(now: number): void {
    const { thinkMs } = this.crowd.plan;
    if (thinkMs === 0) this.crowd.wantsToSend(this, now);
    else this.#pause(thinkMs);
    this.crowd.endIfDone();
  }

  #pause(thinkMs: number): void {
    if (this.#think?.active === true || !this.crowd.sends || this.left <= 0) return;
    if (this.#think === undefined) {
      this.#think = this.crowd.reactor.setTimer(thinkMs, () => {
        this.crowd.wantsToSend(this, performance.now());
      });
    } else {
      this.#think.refresh();
    }
  }

  /** The connection is there. */
  opened(): void {
    this.isOpen = true;
    this.crowd.opened(this);
    this.wasOpen = true;
  }

  /** The connection is gone, and not because this let go of it. */
  closed(error: Error | undefined): void {
    const code = (error as { code?: string } | undefined)?.code ?? "PEER_CLOSED";
    if (code === "EAGAIN" && !this.isOpen && this.crowd.awaits(this)) return;
    this.connection = null;
    if (this.wasOpen) this.lose(code);
    else this.fail(code);
  }

  /**
   * The connection is gone, and is opened again.
   *
   * @param code - Why; undefined when it ended after an answer with nothing out, which a server may do.
   */
  protected lose(code: string | undefined): void {
    const { hasAnswer } = this;
    const now = performance.now();
    if (hasAnswer) this.fruitlessSince = Number.NEGATIVE_INFINITY;
    else if (this.fruitlessSince < 0) this.fruitlessSince = now;
    this.release();
    this.crowd.lost(this, code);
  }

  /** Gives the client up. */
  fail(code: string): void {
    if (this.isGone) return;
    this.isGone = true;
    this.release();
    this.crowd.failed(this, code);
  }

  /** Lets go of the connection: what is out on it is not waited for. */
  release(): void {
    const { connection } = this;
    const { counts } = this.crowd.tally;
    this.#think?.cancel();
    this.settle();
    if (this.isOpen) counts.open--;
    this.isOpen = false;
    this.hasAnswer = false;
    this.connection = null;
    counts.unanswered += this.inFlight;
    this.crowd.inFlight -= this.inFlight;
    this.inFlight = 0;
    this.forget();
    connection?.destroy();
  }

  /** Looks whether it has waited too long. */
  look(now: number, timeoutMs: number): void {
    if (this.inFlight > 0 && now - this.waitingSince >= timeoutMs) this.fail("NO_ANSWER");
  }
}

/** What is heard of a connection: the same for every one. */
export const CLIENT_HANDLERS: ConnectOptions<Client> = {
  zeroCopy: true,
  // What a pipeline may have out is the plan's to say.
  maxPendingBytes: Number.MAX_SAFE_INTEGER,
  open: (connection) => connection.data.opened(),
  data: (connection, bytes) => connection.data.received(bytes),
  end: (connection) => connection.data.ended(),
  close: (connection, error) => {
    // One that a client has let go of is nobody's any more.
    if (connection.data.connection === connection) connection.data.closed(error);
  },
};
