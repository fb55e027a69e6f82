import type { Reactor, Timer } from "polloi";
import { beforeSends } from "polloi/internal";
import type { TimerGroup } from "./timers.ts";

/** The part of a client that a schedule uses. A client is one connection of the load. */
export interface ScheduledClient {
  readonly isOpen: boolean;
  /** Its index among the clients of this thread. */
  readonly position: number;
  /** How many messages it may still send. */
  readonly remaining: number;
  /** Whether it is in the queue of its schedule. */
  isQueued: boolean;
  /** With a rate, when its next message is due. */
  dueAt: number;
  /** Sends as many messages as may be sent now. */
  send(now: number): void;
}

/** Decides when clients send, and from when the latency of a message counts. */
export interface Schedule {
  /** Time between two messages of one connection in milliseconds; 0 in a closed loop. */
  readonly intervalMs: number;
  /** Sending starts, with the clients that are open. */
  start(clients: readonly ScheduledClient[], now: number): void;
  /** A client was opened, or opened again, while the load is sending. */
  join(client: ScheduledClient, now: number): void;
  /** A client may send its next message. */
  ready(client: ScheduledClient, now: number): void;
  /** A message was written. Its time is at `timeIndex` of {@link ClientContext.sendTimes}. */
  written(timeIndex: number): void;
  /** How many messages of a client were due before `time` and have not been sent. */
  overdue(client: ScheduledClient, time: number): number;
  /** No client sends any more. */
  stop(): void;
}

/** Number of messages that are sent before received data is processed again. */
const BATCH = 32;

/**
 * Sends when an answer has arrived, in small batches, and stamps messages when they are handed to the kernel.
 *
 * @remarks
 * Clients that may send wait in a queue until all received data has been processed. If hundreds were sent first,
 * the answers that had already arrived would wait, and that delay would be measured as the server's latency. The
 * queue of messages is not measured. A thread that cannot keep up therefore sends less, and does not report its own
 * delay as the server's.
 */
export class ClosedLoop implements Schedule {
  readonly intervalMs = 0;
  readonly #reactor: Reactor;
  readonly #sendTimes: Float64Array;
  readonly #now: () => number;
  /** Clients that may send, from `#head` on. */
  readonly #queue: ScheduledClient[] = [];
  #head = 0;
  #timer: Timer | undefined;
  /** The time indexes of messages that were written and not yet handed to the kernel: the first `#writtenCount`. */
  readonly #written: number[] = [];
  #writtenCount = 0;

  /**
   * @param sendTimes - When each message was sent.
   * @param now - The time of the reactor's kernel, in milliseconds.
   * @param hook - Calls back before written bytes are handed to the kernel.
   */
  constructor(
    reactor: Reactor,
    sendTimes: Float64Array,
    now: () => number,
    hook: typeof beforeSends = beforeSends,
  ) {
    this.#reactor = reactor;
    this.#now = now;
    this.#sendTimes = sendTimes;
    hook(reactor, () => this.#stamp());
  }

  start(clients: readonly ScheduledClient[], now: number): void {
    for (const client of clients) if (client.isOpen) this.join(client, now);
  }

  join(client: ScheduledClient, now: number): void {
    this.ready(client, now);
  }

  ready(client: ScheduledClient, _now: number): void {
    if (client.isQueued) return;
    client.isQueued = true;
    this.#queue.push(client);
    if (this.#timer?.active === true) return;
    // The timer fires at the end of this turn, when all received data has been processed.
    if (this.#timer === undefined) this.#timer = this.#reactor.setTimer(0, () => this.#sendBatch());
    else this.#timer.refresh();
  }

  written(timeIndex: number): void {
    this.#written[this.#writtenCount++] = timeIndex;
  }

  overdue(): number {
    return 0;
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #sendBatch(): void {
    const now = this.#now();
    const queue = this.#queue;
    const limit = this.#writtenCount + BATCH;
    while (this.#head < queue.length && this.#writtenCount < limit) {
      const client = queue[this.#head++] as ScheduledClient;
      client.isQueued = false;
      client.send(now);
    }
    if (this.#head < queue.length) this.#timer?.refresh();
    if (2 * this.#head < queue.length) return;
    queue.copyWithin(0, this.#head);
    queue.length -= this.#head;
    this.#head = 0;
  }

  /** Everything that was written is handed to the kernel now. */
  #stamp(): void {
    const now = this.#now();
    for (let i = 0; i < this.#writtenCount; i++) this.#sendTimes[this.#written[i] as number] = now;
    this.#writtenCount = 0;
  }
}

/** Sends at fixed times, evenly spread over the connections. Latency counts from the time when a message is due. */
export class FixedRate implements Schedule {
  readonly intervalMs: number;
  readonly #timers: TimerGroup;
  readonly #now: () => number;
  #clients: readonly ScheduledClient[] = [];
  #startedAt = 0;
  /** Index of the next message to be due, of all connections. */
  #next = 0;
  #stopped = false;

  /**
   * @param intervalMs - Time between two messages of one connection.
   * @param now - The time of the reactor's kernel, in milliseconds.
   */
  constructor(timers: TimerGroup, intervalMs: number, now: () => number) {
    this.#timers = timers;
    this.#now = now;
    this.intervalMs = intervalMs;
  }

  start(clients: readonly ScheduledClient[], now: number): void {
    this.#clients = clients;
    this.#startedAt = now;
    for (const client of clients) if (client.isOpen) this.join(client, now);
    this.#sendDue();
  }

  join(client: ScheduledClient, now: number): void {
    // A client that was opened again keeps its times: messages that were due in between are late.
    if (client.dueAt < 0) {
      const first = this.#startedAt + (client.position * this.intervalMs) / this.#clients.length;
      const missed = Math.max(0, Math.ceil((now - first) / this.intervalMs));
      client.dueAt = first + missed * this.intervalMs;
    }
    client.send(now);
  }

  ready(client: ScheduledClient, now: number): void {
    client.send(now);
  }

  written(): void {}

  overdue(client: ScheduledClient, time: number): number {
    if (client.dueAt <= 0 || client.dueAt >= time) return 0;
    return Math.min(Math.ceil((time - client.dueAt) / this.intervalMs), client.remaining);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Lets each client send whose message is due. A client whose pipeline is full sends when an answer arrives. */
  #sendDue(): void {
    if (this.#stopped) return;
    const connections = this.#clients.length;
    const stepMs = this.intervalMs / connections;
    const now = this.#now();
    const due = Math.floor((now - this.#startedAt) / stepMs);
    // After a long time without a turn of this thread, one round reaches every client.
    this.#next = Math.max(this.#next, due - connections);
    for (; this.#next <= due; this.#next++) {
      (this.#clients[this.#next % connections] as ScheduledClient).send(now);
    }
    const nextAt = this.#startedAt + this.#next * stepMs;
    this.#timers.after(nextAt - this.#now(), () => this.#sendDue());
  }
}
