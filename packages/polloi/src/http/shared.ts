import { loopOf, type Reactor } from "../reactor/reactor.ts";
import type { Kernel } from "../sys/kernel.ts";
import { Batch } from "./batch.ts";
import type { Exchange } from "./exchange.ts";
import type { RefusalCode, RequestError } from "./request-error.ts";
import { NEVER, Sweep } from "./sweep.ts";
import type { HttpTimeouts } from "./timeouts.ts";
import type { ParserLimits } from "./wire/limits.ts";
import { ParserPool } from "./wire/parser-pool.ts";
import type { KnownLine } from "./wire/request-head.ts";
import { RequestParser } from "./wire/request-parser.ts";

/** The longest `halfCloseTimeoutMs` while the server stops. */
const STOPPING_MS = 1000;

/** The options of a server that its connections use. */
export interface ConnectionSettings extends HttpTimeouts {
  readonly maxRequests: number;
  readonly limits: ParserLimits;
}

/** A request whose head is not complete. */
export interface UnfinishedHead {
  /** The parts of the request line that have arrived; null if nothing of it has. */
  readonly line: KnownLine | null;
  /** The time of its first byte, as of the kernel's clock. */
  readonly began: number;
}

/** The functions that a connection calls. The server has them, which imports the class of connections. */
export interface ServerCallbacks<Connection> {
  /** Calls the handler. It never throws. */
  readonly handle: (connection: Connection, exchange: Exchange) => void;
  /** The handler has failed, or a callback of the program threw. */
  readonly failed: (connection: Connection, exchange: Exchange | null, error: unknown) => void;
  /** Writes to the log that a request has ended. Undefined without a log. */
  readonly log:
    | ((
        connection: Connection,
        exchange: Exchange | null,
        error: RequestError | null,
        head: UnfinishedHead | null,
      ) => void)
    | undefined;
  /** The last connection was removed. */
  readonly unused: () => void;
  /** Calls back when the current callback has returned, also under `run()`, where microtasks do not run. */
  readonly soon: (callback: () => void) => void;
}

/** The state that the connections of a server share. `Connection` is their class, which imports this one. */
export class Shared<Connection extends { place: number; look(): void }> {
  readonly settings: ConnectionSettings;
  readonly server: ServerCallbacks<Connection>;
  readonly sweep: Sweep<Connection>;
  readonly parsers: ParserPool<RequestParser>;
  readonly counts: {
    connections: number;
    requests: number;
    refused: Partial<Record<RefusalCode, number>>;
  } = { connections: 0, requests: 0, refused: {} };
  /** Whether the server stops, and only requests that have arrived are answered. */
  isStopping = false;
  readonly #reactor: Reactor;
  readonly #batches: Batch[] = [];

  constructor(reactor: Reactor, settings: ConnectionSettings, server: ServerCallbacks<Connection>) {
    this.#reactor = reactor;
    this.settings = { ...settings, ...wholeTimeouts(settings) };
    this.server = server;
    this.sweep = new Sweep(reactor, settings, (connection) => connection.look());
    this.parsers = new ParserPool(() => new RequestParser(settings.limits));
  }

  get kernel(): Kernel {
    return loopOf(this.#reactor).kernel;
  }

  /** The timeout for a client that has ended its half, in milliseconds. */
  get halfCloseTimeoutMs(): number {
    const { halfCloseTimeoutMs } = this.settings;
    return this.isStopping ? Math.min(halfCloseTimeoutMs, STOPPING_MS) : halfCloseTimeoutMs;
  }

  /** A request was refused, or a limit ended a connection: counts it by the code. */
  refused(code: RefusalCode): void {
    const { refused } = this.counts;
    refused[code] = (refused[code] ?? 0) + 1;
  }

  /** The connection is closed, or belongs to the program. */
  remove(connection: Connection): void {
    this.sweep.remove(connection);
    if (this.sweep.size === 0) this.server.unused();
  }

  takeBatch(): Batch {
    return this.#batches.pop() ?? new Batch();
  }

  giveBack(batch: Batch): void {
    batch.release();
    this.#batches.push(batch);
  }
}

/** Timeouts as whole numbers, with {@link NEVER} instead of Infinity. */
function wholeTimeouts(timeouts: HttpTimeouts): HttpTimeouts {
  const whole = (ms: number) => Math.min(Math.ceil(ms), NEVER);
  return {
    headTimeoutMs: whole(timeouts.headTimeoutMs),
    bodyTimeoutMs: whole(timeouts.bodyTimeoutMs),
    idleTimeoutMs: whole(timeouts.idleTimeoutMs),
    sendTimeoutMs: whole(timeouts.sendTimeoutMs),
    halfCloseTimeoutMs: whole(timeouts.halfCloseTimeoutMs),
  };
}
