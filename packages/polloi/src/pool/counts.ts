import type { NamesOf } from "../base/argument.ts";
import { formatAddress, type SocketAddress } from "../socket/address.ts";

/** Called with everything that happens on connections. A server without an observer spends nothing on this. */
export interface ServingObserver {
  /** A connection was accepted. */
  opened(peer: string): void;
  /** @param bytes - Valid until this returns. */
  received(peer: string, bytes: Uint8Array): void;
  /** @param error - Why the connection was closed, if it failed. */
  closed(peer: string, error?: Error): void;
}

export const SERVING_OBSERVER: NamesOf<ServingObserver> = {
  opened: true,
  received: true,
  closed: true,
};

/** The counts of a server so far. */
export interface ServedCounts {
  readonly connections: number;
  /** How many of these are open. */
  readonly open: number;
  /** How often bytes were received. */
  readonly messages: number;
  readonly bytes: number;
}

/** A connection, as far as counting it needs. */
export interface CountedConnection {
  readonly remoteAddress: SocketAddress | null;
}

/** Counts the connections that one process or thread serves, and notifies an observer. */
export class ServedCounter implements ServedCounts {
  connections = 0;
  open = 0;
  messages = 0;
  bytes = 0;
  readonly observer: ServingObserver | undefined;
  /** Called whenever a count has changed. */
  readonly #changed: () => void;

  constructor(observer: ServingObserver | undefined, changed: () => void = () => {}) {
    this.observer = observer;
    this.#changed = changed;
  }

  /** @returns The peer's name if there is an observer, to be passed on to the other methods; else an empty string. */
  opened({ remoteAddress }: CountedConnection): string {
    this.connections++;
    this.open++;
    this.#changed();
    if (this.observer === undefined) return "";
    // A client of a unix socket has no name.
    const peer = (remoteAddress && formatAddress(remoteAddress)) || "a peer";
    this.observer.opened(peer);
    return peer;
  }

  /** Must be called before the handler, which may change the bytes. */
  received(peer: string, bytes: Uint8Array): void {
    this.messages++;
    this.bytes += bytes.length;
    this.#changed();
    this.observer?.received(peer, bytes);
  }

  closed(peer: string, error: Error | undefined): void {
    this.open--;
    this.#changed();
    this.observer?.closed(peer, error);
  }

  /** A copy of the counts, as they are now. */
  snapshot(): ServedCounts {
    const { connections, open, messages, bytes } = this;
    return { connections, open, messages, bytes };
  }
}

/** Adds up the counts of children, including those that have exited. */
export class ChildCounts {
  readonly #exited = { connections: 0, messages: 0, bytes: 0 };
  readonly #running = new Map<number, ServedCounts>();

  /** Replaces the counts of child `key`. */
  update(key: number, counts: ServedCounts): void {
    this.#running.set(key, counts);
  }

  /** How many connections child `key` has open. */
  openOf(key: number): number {
    return this.#running.get(key)?.open ?? 0;
  }

  /** Child `key` has exited: what it had open is closed. */
  exited(key: number): void {
    const { connections = 0, messages = 0, bytes = 0 } = this.#running.get(key) ?? {};
    this.#running.delete(key);
    this.#exited.connections += connections;
    this.#exited.messages += messages;
    this.#exited.bytes += bytes;
  }

  sum(): ServedCounts {
    const sum = { ...this.#exited, open: 0 };
    for (const { connections, open, messages, bytes } of this.#running.values()) {
      sum.connections += connections;
      sum.open += open;
      sum.messages += messages;
      sum.bytes += bytes;
    }
    return sum;
  }
}
