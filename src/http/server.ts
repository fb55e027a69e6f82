import { SysError } from "../base/sys-error.ts";
import type { Connection } from "../reactor/connection.ts";
import type { Listener } from "../reactor/listener.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Timer } from "../reactor/timers.ts";
import type { HttpSettings } from "./options.ts";
import { RequestParser } from "./parser/request-parser.ts";
import { Session, type SessionHost } from "./session.ts";

/** Parsers that wait for the next request in the middle of which a chunk ends. */
const SPARE_PARSERS = 64;
/** How often deadlines are looked at, by the shortest of the timeouts. */
const LOOKS_PER_TIMEOUT = 8;
const SHORTEST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 1000;

/** What a server has done so far. */
export interface HttpCounts {
  connections: number;
  requests: number;
  /** Requests that were refused before a handler saw them, by the code of the reason. */
  refused: Record<string, number>;
}

/** An HTTP server: what its connections have in common. */
export class HttpServer implements SessionHost {
  readonly settings: HttpSettings;
  readonly counts: HttpCounts = { connections: 0, requests: 0, refused: {} };
  /** Reads for whoever is between two requests. */
  parser: RequestParser;
  listener: Listener | undefined;
  readonly #reactor: Reactor;
  readonly #spare: RequestParser[] = [];
  readonly #sessions = new Set<Session>();
  readonly #lookMs: number;
  #look: Timer | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(reactor: Reactor, settings: HttpSettings) {
    this.#reactor = reactor;
    this.settings = settings;
    this.parser = new RequestParser(settings.limits);
    const { headTimeoutMs, bodyTimeoutMs, idleTimeoutMs, sendTimeoutMs } = settings;
    const shortest = Math.min(headTimeoutMs, bodyTimeoutMs, idleTimeoutMs, sendTimeoutMs);
    const wanted = shortest / LOOKS_PER_TIMEOUT;
    this.#lookMs = Math.min(Math.max(wanted, SHORTEST_LOOK_MS), LONGEST_LOOK_MS);
  }

  /** The port that it listens on; -1 without one. */
  get port(): number {
    return this.listener?.port ?? -1;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#sessions.size;
  }

  /**
   * Stops listening, lets requests that are under way have their answers, and ends.
   *
   * @param graceMs - How long that may take; connections that are left then are cut off.
   */
  async stop(graceMs: number = 10_000): Promise<void> {
    this.listener?.close();
    if (this.#sessions.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    const timer = this.#reactor.setTimer(graceMs, () => {
      for (const { connection } of this.#sessions) connection.destroy();
    });
    for (const session of this.#sessions) session.endSoon();
    await empty;
    timer.cancel();
  }

  // What happens to its connections.

  opened(connection: Connection<Session>): void {
    this.counts.connections++;
    connection.data = new Session(this, connection);
    this.#sessions.add(connection.data);
    this.#look ??= this.#reactor.setTimer(this.#lookMs, () => this.#lookAround());
  }

  closed(connection: Connection<Session>, error: Error | undefined): void {
    this.#sessions.delete(connection.data);
    connection.data.closed(error);
    if (this.#sessions.size > 0) return;
    this.#look?.cancel();
    this.#look = undefined;
    this.#onEmpty?.();
  }

  // What sessions ask of it.

  /** A session keeps the common parser: the others get another. */
  taken(): void {
    this.parser = this.#spare.pop() ?? new RequestParser(this.settings.limits);
  }

  giveBack(parser: RequestParser): void {
    parser.reset();
    if (this.#spare.length < SPARE_PARSERS) this.#spare.push(parser);
  }

  count(): void {
    this.counts.requests++;
  }

  refused(code: string): void {
    const { refused } = this.counts;
    refused[code] = (refused[code] ?? 0) + 1;
  }

  /** Something threw. A client that leaves in the middle is no failure of the server. */
  failed(error: unknown): void {
    if (!(error instanceof SysError)) this.settings.error(error);
  }

  #lookAround(): void {
    const now = performance.now();
    for (const session of this.#sessions) if (session.deadline <= now) session.timedOut(now);
    this.#look =
      this.#sessions.size === 0
        ? undefined
        : this.#reactor.setTimer(this.#lookMs, () => this.#lookAround());
  }
}
