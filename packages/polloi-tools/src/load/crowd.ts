import type { Reactor } from "polloi";
import type { Client, ClientHost } from "./client.ts";
import { Departures } from "./departures.ts";
import { EchoClient } from "./echo-client.ts";
import { HttpClient } from "./http-client.ts";
import { Opening } from "./opening.ts";
import type { LoadPlan } from "./options.ts";
import { type Payload, payloadOf } from "./payload.ts";
import type { Place } from "./place.ts";
import { Recent } from "./recent.ts";
import { requestOf } from "./request.ts";
import { quotaOf, type Share } from "./share.ts";
import type { LoadPhase, LoadSnapshot } from "./snapshot.ts";
import { noCounts, Tally } from "./tally.ts";
import { CrowdTimers } from "./timers.ts";

/** How often what took place since is summed up: four of these are the second that a snapshot shows. */
const TICK_MS = 250;
/** How often it is looked who has waited too long: so many times within the timeout. */
const LOOKS_PER_TIMEOUT = 8;
const LOOK_MS = { least: 5, most: 250 } as const;
/** So much of the timeout messages that others have overtaken are waited for, when all else has come. */
const LATE_SHARE = 1 / 20;

/**
 * A connection that was lost without an answer is opened again after as long as that has gone on, between
 * these: a server that is down or accepts nobody is not asked in a tight loop.
 */
const REOPEN_MS = { least: 10, most: 1000 } as const;

/** What a crowd is made of. */
export interface CrowdParts {
  readonly reactor: Reactor;
  readonly plan: LoadPlan;
  readonly share: Share;
  readonly place: Place;
  /** Whether everyone sends one message and then waits for {@link Crowd.goOn}. */
  readonly greets?: boolean;
  /** Called when the first message may be sent. */
  began?(): void;
  /** Called every quarter of a second. */
  ticked?(): void;
  /** Called once, when nothing is sent or waited for any more, and connections are closed next. */
  ended?(): void;
  /** Called once, when everything has come to its end. */
  over(): void;
}

/** The connections of one thread: opens them, says when to send, and counts what comes of it. */
export class Crowd implements ClientHost {
  readonly reactor: Reactor;
  readonly plan: LoadPlan;
  readonly share: Share;
  readonly tally: Tally = new Tally();
  readonly payload: Payload;
  readonly request: Uint8Array;
  readonly pipeline: number;
  readonly intervalMs: number;
  readonly times: Float64Array;
  inFlight = 0;
  sends = false;
  readonly #parts: CrowdParts;
  readonly #clients: Client[] = [];
  readonly #recent: Recent = new Recent();
  readonly #timers: CrowdTimers;
  readonly #opening: Opening;
  /** Not with a rate: there a message leaves, and counts from, when it is due. */
  readonly #departures: Departures | undefined;
  #phase: LoadPhase = "connecting";
  /** Clients that have not failed. */
  #alive: number;
  /** Messages that are still to be sent, where their number is given. */
  #toSend = 0;
  /** With a rate: whose turn it is, counted from the beginning. */
  #turn = 0;
  /** Whether nothing is waited for any more but messages that others have overtaken. */
  #isLate = false;
  #startedAt = 0;
  #sendingFrom = 0;
  #lastAnswerAt = 0;
  #stoppedAt = 0;
  #snapshot: Pick<LoadSnapshot, "messagesPerSecond" | "recentMs"> = {
    messagesPerSecond: 0,
    recentMs: { p50: 0, p99: 0, max: 0 },
  };

  constructor(parts: CrowdParts) {
    const { reactor, plan, share } = parts;
    this.#parts = parts;
    this.reactor = reactor;
    this.#timers = new CrowdTimers(reactor);
    this.plan = plan;
    this.share = share;
    this.pipeline = plan.pipeline;
    this.payload = payloadOf(plan.sizeBytes, plan.data);
    this.request = requestOf(plan);
    this.intervalMs = share.rate === null ? 0 : (1000 * share.connections) / share.rate;
    this.times = new Float64Array(share.connections * plan.pipeline);
    this.#departures = this.intervalMs > 0 ? undefined : new Departures(reactor, this.times);
    this.#alive = share.connections;
    const Kind = plan.target.kind === "http" ? HttpClient : EchoClient;
    for (let i = 0; i < share.connections; i++) {
      const quota = parts.greets === true ? 1 : quotaOf(plan, share.first + i);
      this.#toSend += quota;
      this.#clients.push(new Kind(this, i, quota));
    }
    this.#opening = new Opening({
      reactor,
      timers: this.#timers,
      plan,
      place: parts.place,
      clients: this.#clients,
      done: (afterMs) => {
        this.tally.openMs = afterMs;
        if (this.#phase === "connecting") this.#startSending();
      },
    });
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** Begins to open connections. */
  start(): void {
    const { timeoutMs, rampMs } = this.plan;
    this.#startedAt = performance.now();
    this.#recent.reset(this.#startedAt);
    this.#timers.repeat(TICK_MS, () => this.#tick());
    const lookMs = timeoutMs / LOOKS_PER_TIMEOUT;
    this.#timers.repeat(clamp(lookMs, LOOK_MS), () => this.#look());
    if (rampMs > 0) this.#startSending();
    this.#opening.start();
  }

  /** How many connections have had an answer. */
  get answeredConnections(): number {
    return this.#clients.reduce((sum, { sent, inFlight }) => sum + (sent > inFlight ? 1 : 0), 0);
  }

  /** Has everyone send, who may have sent one message only: see `greets`. */
  goOn(): void {
    const now = performance.now();
    this.sends = true;
    for (const client of this.#clients) {
      client.left = Number.POSITIVE_INFINITY;
      this.wantsToSend(client, now);
    }
  }

  /** Forgets what came of it so far. Connections stay, and so does what is out. */
  measureAnew(): void {
    const { counts } = this.tally;
    const { opened, open, failed } = counts;
    Object.assign(counts, noCounts(), { opened, open, failed, sent: this.inFlight });
    this.forgetTimes();
    this.#sendingFrom = performance.now();
  }

  /** Forgets how long answers took so far. */
  forgetTimes(): void {
    this.tally.latency.reset();
    this.#recent.reset(performance.now());
  }

  /** Sends nothing more for now. @returns What came of it since it was measured anew. */
  pause(): Tally {
    this.sends = false;
    this.#sumUp();
    this.tally.elapsedMs = performance.now() - this.#sendingFrom;
    return this.tally;
  }

  /**
   * Sends nothing more, and waits for what is out. Safe to call twice.
   *
   * @param at - When it was to be, if this thread came to it late.
   */
  stop(at: number = performance.now()): void {
    if (this.#phase === "draining" || this.#phase === "over") return;
    this.sends = false;
    this.#stoppedAt = at;
    // Whoever is connecting is not needed any more.
    for (const client of this.#clients) if (!client.isOpen && !client.isGone) client.release();
    this.#phase = "draining";
    this.#opening.end();
    this.#timers.after(this.plan.timeoutMs, () => this.#giveUp());
    this.endIfDone();
  }

  /** Ends at once: what is out is unanswered. Safe to call twice. */
  abort(): void {
    this.stop();
    this.#finish();
  }

  snapshot(): LoadSnapshot {
    const { counts, errors } = this.tally;
    const elapsedMs = performance.now() - this.#startedAt;
    return { phase: this.#phase, elapsedMs, counts, errors, ...this.#snapshot };
  }

  // What clients tell.

  wantsToSend(client: Client, now: number): void {
    if (this.#departures === undefined) client.go(now);
    else this.#departures.add(client);
  }

  sentOne(timeAt: number): void {
    this.#departures?.written(timeAt);
    this.inFlight++;
    this.tally.counts.sent++;
    this.#toSend--;
  }

  takeBack(messages: number): void {
    this.inFlight -= messages;
    this.tally.counts.sent -= messages;
    this.#toSend += messages;
  }

  answered(sentAt: number, now: number): void {
    this.tally.counts.messages++;
    this.#lastAnswerAt = now;
    this.#recent.sinceTick.record(now - sentAt);
  }

  opened(client: Client): void {
    const { counts, connect } = this.tally;
    const now = performance.now();
    counts.opened++;
    counts.open++;
    if (client.wasOpen) counts.reopened++;
    connect.record(now - client.connectedFrom);
    this.#opening.connected(client);
    if (this.#phase === "sending") this.#begin(client, now);
    else if (this.#phase === "draining") client.release();
  }

  failed(client: Client, code: string): void {
    this.tally.error(code);
    this.tally.counts.failed++;
    this.#toSend -= client.left;
    this.#alive--;
    this.#opening.connected(client);
    this.endIfDone();
  }

  awaits(client: Client): boolean {
    return this.#opening.retry(client);
  }

  lost(client: Client, code: string | undefined): void {
    this.#opening.connected(client);
    const fruitlessMs = client.fruitlessSince < 0 ? 0 : performance.now() - client.fruitlessSince;
    if (this.#parts.greets === true || fruitlessMs >= this.plan.timeoutMs) {
      client.fail(code ?? "PEER_CLOSED");
      return;
    }
    if (code !== undefined) {
      this.tally.error(code);
      this.tally.counts.failed++;
    }
    if (client.fruitlessSince < 0) this.#reopen(client);
    else this.#timers.after(clamp(fruitlessMs, REOPEN_MS), () => this.#reopen(client));
    this.endIfDone();
  }

  #reopen(client: Client): void {
    const opens = this.#phase === "connecting" || this.#phase === "sending";
    if (opens && client.left > 0 && !client.isGone) this.#opening.connect(client);
  }

  endIfDone(): void {
    if (this.inFlight > 0 || this.#phase === "over") return;
    const allSent = this.sends && this.plan.messages !== null && this.#toSend <= 0;
    if (this.#alive > 0 && this.#phase !== "draining" && !allSent) return;
    if (this.#isLate || !this.#clients.some(({ missing }) => missing > 0)) {
      this.#finish();
      return;
    }
    // What was overtaken may be on its way.
    this.#isLate = true;
    this.#timers.after(LATE_SHARE * this.plan.timeoutMs, () => this.endIfDone());
  }

  #startSending(): void {
    const { durationMs } = this.plan;
    const now = performance.now();
    this.#phase = "sending";
    this.sends = true;
    this.#sendingFrom = now;
    this.#parts.began?.();
    if (durationMs !== null) {
      this.#timers.after(durationMs, () => this.stop(now + durationMs));
    }
    for (const client of this.#clients) if (client.isOpen) this.#begin(client, now);
    if (this.intervalMs > 0) this.#pace();
    this.endIfDone();
  }

  #begin(client: Client, now: number): void {
    // One that is opened again goes on where it was: what was due meanwhile is late.
    if (this.intervalMs > 0 && client.dueAt < 0) {
      const first = this.#sendingFrom + (client.place * this.intervalMs) / this.share.connections;
      const missed = Math.max(0, Math.ceil((now - first) / this.intervalMs));
      client.dueAt = first + missed * this.intervalMs;
    }
    this.wantsToSend(client, now);
  }

  /** Has everyone send whose turn it is; who has too much out sends when something comes back. */
  #pace(): void {
    if (!this.sends) return;
    const { connections } = this.share;
    const stepMs = this.intervalMs / connections;
    const now = performance.now();
    const due = Math.floor((now - this.#sendingFrom) / stepMs);
    // After a long while without a turn of this thread, one round reaches everyone.
    this.#turn = Math.max(this.#turn, due - connections);
    for (; this.#turn <= due; this.#turn++) {
      (this.#clients[this.#turn % connections] as Client).go(now);
    }
    const nextAt = this.#sendingFrom + this.#turn * stepMs;
    this.#timers.after(nextAt - performance.now(), () => this.#pace());
  }

  #look(): void {
    const now = performance.now();
    for (const client of this.#clients) client.look(now, this.plan.timeoutMs);
  }

  #tick(): void {
    this.tally.latency.add(this.#recent.sinceTick);
    this.#snapshot = this.#recent.tick(performance.now());
    this.#parts.ticked?.();
  }

  /** Adds what was recorded since the last tick. */
  #sumUp(): void {
    this.tally.latency.add(this.#recent.sinceTick);
    this.#recent.sinceTick.reset();
  }

  #giveUp(): void {
    for (const client of this.#clients) if (client.inFlight > 0) client.fail("NO_ANSWER");
    this.#finish();
  }

  #finish(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#opening.end();
    this.sends = false;
    const { tally, plan } = this;
    const now = performance.now();
    const stoppedAt = this.#stoppedAt === 0 ? now : this.#stoppedAt;
    this.#parts.ended?.();
    this.#timers.cancel();
    this.#departures?.end();
    for (const client of this.#clients) {
      if (this.intervalMs > 0 && !client.isGone && client.dueAt > 0 && client.dueAt < stoppedAt) {
        const due = Math.ceil((stoppedAt - client.dueAt) / this.intervalMs);
        tally.counts.unsent += Math.min(due, client.left);
      }
      client.release();
    }
    this.#sumUp();
    // What is asked for a time is told by it, however soon the last answer came.
    const until =
      plan.messages === null ? Math.max(stoppedAt, this.#lastAnswerAt) : this.#lastAnswerAt;
    if (this.#sendingFrom > 0) tally.elapsedMs = Math.max(0, until - this.#sendingFrom);
    this.#parts.over();
  }
}

function clamp(
  value: number,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  return Math.min(Math.max(value, least), most);
}
