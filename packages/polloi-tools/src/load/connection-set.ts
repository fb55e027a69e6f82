import type { Reactor } from "polloi";
import { loopOf } from "polloi/internal";
import type { Client, ClientContext } from "./client.ts";
import { Connector } from "./connector.ts";
import { EchoClient } from "./echo-client.ts";
import { HttpClient, makeRequest } from "./http-client.ts";
import { type LoadConfig, quotaOf, type Shard } from "./options.ts";
import { makePayload, type Payload } from "./payload.ts";
import type { LoadPhase, LoadSnapshot } from "./report.ts";
import { ClosedLoop, FixedRate, type Schedule } from "./schedule.ts";
import {
  type RecentRate,
  RecentWindow,
  Statistics,
  type TlsFacts,
  zeroCounts,
} from "./statistics.ts";
import type { TargetAddress } from "./target.ts";
import { TimerGroup } from "./timers.ts";

/** Length of an interval of the statistics. Four of them are the second that a snapshot covers. */
const INTERVAL_MS = 250;
/** Timeouts are checked this many times per timeout, within these limits. */
const CHECKS_PER_TIMEOUT = 8;
const CHECK_MS = { min: 5, max: 250 } as const;
/** When nothing else is in flight, missing messages are awaited for this share of the timeout. */
const MISSING_SHARE = 1 / 20;

/**
 * A connection that was lost without an answer is reopened after as long as it has been failing, within these
 * limits, so that a server that is down is not polled in a tight loop.
 */
const REOPEN_MS = { min: 10, max: 1000 } as const;

/** Options of a {@link ConnectionSet}. */
export interface ConnectionSetOptions {
  readonly reactor: Reactor;
  readonly config: LoadConfig;
  readonly shard: Shard;
  readonly address: TargetAddress;
  /** Whether each client sends one message and then waits for {@link ConnectionSet.resume}. */
  readonly pausesAfterFirst?: boolean;
  /** Called when the first message may be sent. */
  sendingStarted?(): void;
  /** Called at the end of each interval. */
  intervalEnded?(): void;
  /** Called once, when nothing is in flight any more and before connections are closed. */
  ending?(): void;
  /** Called once, when all connections are closed. */
  ended(): void;
}

/** The connections of one thread: opens them, lets them send, and collects the statistics. */
export class ConnectionSet implements ClientContext {
  readonly reactor: Reactor;
  readonly now: () => number;
  readonly config: LoadConfig;
  readonly shard: Shard;
  readonly statistics: Statistics = new Statistics();
  readonly schedule: Schedule;
  readonly payload: Payload;
  readonly request: Uint8Array;
  readonly pipeline: number;
  readonly intervalMs: number;
  readonly sendTimes: Float64Array;
  inFlight = 0;
  isSending = false;
  readonly #options: ConnectionSetOptions;
  readonly #clients: Client[] = [];
  readonly #recent: RecentWindow = new RecentWindow();
  readonly #timers: TimerGroup;
  readonly #connector: Connector;
  #phase: LoadPhase = "connecting";
  /** Clients that have not failed. */
  #alive: number;
  /** Messages that are still to be sent, when the load has a number of them. */
  #remaining = 0;
  /** Whether only missing messages are awaited. */
  #awaitsMissing = false;
  #startedAt = 0;
  #sendingSince = 0;
  #lastAnswerAt = 0;
  #stoppedAt = 0;
  #recentRate: RecentRate = { messagesPerSecond: 0, recentMs: { p50: 0, p99: 0, max: 0 } };

  constructor(options: ConnectionSetOptions) {
    const { reactor, config, shard, address } = options;
    this.#options = options;
    this.reactor = reactor;
    this.now = loopOf(reactor).kernel.now;
    this.#timers = new TimerGroup(reactor);
    this.config = config;
    this.shard = shard;
    this.pipeline = config.pipeline;
    this.payload = makePayload(config.sizeBytes, config.data);
    this.request = makeRequest(config);
    this.sendTimes = new Float64Array(shard.connections * config.pipeline);
    this.schedule =
      shard.rate === null
        ? new ClosedLoop(reactor, this.sendTimes, this.now)
        : new FixedRate(this.#timers, (1000 * shard.connections) / shard.rate, this.now);
    this.intervalMs = this.schedule.intervalMs;
    this.#alive = shard.connections;
    const ClientOfProtocol = config.target.kind === "http" ? HttpClient : EchoClient;
    for (let i = 0; i < shard.connections; i++) {
      const quota = options.pausesAfterFirst === true ? 1 : quotaOf(config, shard.first + i);
      this.#remaining += quota;
      this.#clients.push(new ClientOfProtocol(this, i, quota));
    }
    this.#connector = new Connector({
      reactor,
      now: this.now,
      timers: this.#timers,
      config,
      address,
      clients: this.#clients,
      done: (elapsedMs) => {
        this.statistics.openMs = elapsedMs;
        if (this.#phase === "connecting") this.#startSending();
      },
    });
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** Starts to open connections. */
  start(): void {
    const { timeoutMs, rampMs } = this.config;
    this.#startedAt = this.now();
    this.#recent.reset(this.#startedAt);
    this.#timers.repeat(INTERVAL_MS, () => this.#endInterval());
    this.#timers.repeat(clamp(timeoutMs / CHECKS_PER_TIMEOUT, CHECK_MS), () =>
      this.#checkTimeouts(),
    );
    if (rampMs > 0) this.#startSending();
    this.#connector.start();
  }

  /** Number of connections that have had an answer. */
  get answeredConnections(): number {
    return this.#clients.reduce((sum, { sent, inFlight }) => sum + (sent > inFlight ? 1 : 0), 0);
  }

  /** Lets the clients send without a limit, after `pausesAfterFirst` or {@link ConnectionSet.pause}. */
  resume(): void {
    const now = this.now();
    this.isSending = true;
    for (const client of this.#clients) {
      client.remaining = Number.POSITIVE_INFINITY;
      this.schedule.ready(client, now);
    }
  }

  /** Resets the statistics. Connections stay open and messages stay in flight. */
  resetStatistics(): void {
    const { counts } = this.statistics;
    const { opened, open, failed } = counts;
    Object.assign(counts, zeroCounts(), { opened, open, failed, sent: this.inFlight });
    this.resetLatencies();
    this.#sendingSince = this.now();
  }

  resetLatencies(): void {
    this.statistics.latency.reset();
    this.#recent.reset(this.now());
  }

  /** Sends nothing more until {@link ConnectionSet.resume}. @returns The statistics since they were reset. */
  pause(): Statistics {
    this.isSending = false;
    this.#addCurrentInterval();
    this.statistics.elapsedMs = this.now() - this.#sendingSince;
    return this.statistics;
  }

  /**
   * Sends nothing more, and waits for the messages in flight. Safe to call twice.
   *
   * @param at - The scheduled end, which is earlier than now if this thread was late.
   */
  stop(at: number = this.now()): void {
    if (this.#phase === "draining" || this.#phase === "over") return;
    this.isSending = false;
    this.schedule.stop();
    this.#stoppedAt = at;
    // Connects in progress are of no use any more.
    for (const client of this.#clients) if (!client.isOpen && !client.hasFailed) client.release();
    this.#phase = "draining";
    this.#connector.stop();
    this.#timers.after(this.config.timeoutMs, () => this.#giveUp());
    this.endIfDone();
  }

  /** Ends at once. Messages in flight are unanswered. Safe to call twice. */
  abort(): void {
    this.stop();
    this.#finish();
  }

  snapshot(): LoadSnapshot {
    const { counts, errors } = this.statistics;
    const elapsedMs = this.now() - this.#startedAt;
    return { phase: this.#phase, elapsedMs, counts, errors, ...this.#recentRate };
  }

  // Reports of the clients.

  messageSent(timeIndex: number): void {
    this.schedule.written(timeIndex);
    this.inFlight++;
    this.statistics.counts.sent++;
    this.#remaining--;
  }

  messagesReturned(count: number): void {
    this.inFlight -= count;
    this.statistics.counts.sent -= count;
    this.#remaining += count;
  }

  messageAnswered(sentAt: number, now: number): void {
    this.statistics.counts.messages++;
    this.#lastAnswerAt = now;
    this.#recent.current.record(now - sentAt);
  }

  opened(client: Client): void {
    const { counts, connect } = this.statistics;
    const now = this.now();
    counts.opened++;
    counts.open++;
    if (client.wasOpen) counts.reopened++;
    if (this.config.tls !== null) this.statistics.tls ??= sessionOf(client);
    connect.record(now - client.connectStartedAt);
    this.#connector.finished(client);
    if (this.#phase === "sending") this.schedule.join(client, now);
    else if (this.#phase === "draining") client.release();
  }

  failed(client: Client, code: string): void {
    this.statistics.error(code);
    this.statistics.counts.failed++;
    this.#remaining -= client.remaining;
    this.#alive--;
    this.#connector.finished(client);
    this.endIfDone();
  }

  retryConnect(client: Client): boolean {
    return this.#connector.retry(client);
  }

  lost(client: Client, code: string | undefined): void {
    this.#connector.finished(client);
    const failingMs = client.failingSince < 0 ? 0 : this.now() - client.failingSince;
    if (this.#options.pausesAfterFirst === true || failingMs >= this.config.timeoutMs) {
      client.fail(code ?? "PEER_CLOSED");
      return;
    }
    if (code !== undefined) {
      this.statistics.error(code);
      this.statistics.counts.failed++;
    }
    if (client.failingSince < 0) this.#reopen(client);
    else this.#timers.after(clamp(failingMs, REOPEN_MS), () => this.#reopen(client));
    this.endIfDone();
  }

  endIfDone(): void {
    if (this.inFlight > 0 || this.#phase === "over") return;
    const allSent = this.isSending && this.config.messages !== null && this.#remaining <= 0;
    if (this.#alive > 0 && this.#phase !== "draining" && !allSent) return;
    if (this.#awaitsMissing || !this.#clients.some(({ missing }) => missing > 0)) {
      this.#finish();
      return;
    }
    // Missing messages may still arrive.
    this.#awaitsMissing = true;
    this.#timers.after(MISSING_SHARE * this.config.timeoutMs, () => this.endIfDone());
  }

  #reopen(client: Client): void {
    const opens = this.#phase === "connecting" || this.#phase === "sending";
    if (opens && client.remaining > 0 && !client.hasFailed) this.#connector.connect(client);
  }

  #startSending(): void {
    const { durationMs } = this.config;
    const now = this.now();
    this.#phase = "sending";
    this.isSending = true;
    this.#sendingSince = now;
    this.#options.sendingStarted?.();
    if (durationMs !== null) {
      this.#timers.after(durationMs, () => this.stop(now + durationMs));
    }
    this.schedule.start(this.#clients, now);
    this.endIfDone();
  }

  #checkTimeouts(): void {
    const now = this.now();
    for (const client of this.#clients) client.checkTimeout(now, this.config.timeoutMs);
  }

  #endInterval(): void {
    this.statistics.latency.add(this.#recent.current);
    this.#recentRate = this.#recent.advance(this.now());
    this.#options.intervalEnded?.();
  }

  /** Adds the latencies of the current interval to the total. */
  #addCurrentInterval(): void {
    this.statistics.latency.add(this.#recent.current);
    this.#recent.current.reset();
  }

  #giveUp(): void {
    for (const client of this.#clients) if (client.inFlight > 0) client.fail("NO_ANSWER");
    this.#finish();
  }

  #finish(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#connector.stop();
    this.isSending = false;
    const { statistics, config } = this;
    const now = this.now();
    const stoppedAt = this.#stoppedAt === 0 ? now : this.#stoppedAt;
    this.#options.ending?.();
    this.#timers.cancel();
    this.schedule.stop();
    for (const client of this.#clients) {
      if (!client.hasFailed) statistics.counts.unsent += this.schedule.overdue(client, stoppedAt);
      client.release();
    }
    this.#addCurrentInterval();
    // With a duration, the time counts to its end, even if the last answer arrived earlier.
    const end =
      config.messages === null ? Math.max(stoppedAt, this.#lastAnswerAt) : this.#lastAnswerAt;
    if (this.#sendingSince > 0) statistics.elapsedMs = Math.max(0, end - this.#sendingSince);
    this.#options.ended();
  }
}

/** The parameters of the first session, which stand for those of all. */
function sessionOf({ connection }: Client): TlsFacts | null {
  const tls = connection?.tls ?? null;
  return tls === null ? null : { protocol: tls.protocol, cipher: tls.cipher };
}

function clamp(
  value: number,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  return Math.min(Math.max(value, min), max);
}
