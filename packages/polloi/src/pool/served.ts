import type { NamesOf } from "../base/argument.ts";
import { formatAddress, type SocketAddress } from "../socket/address.ts";

/** Who is told of everything that happens. Without one, nothing is spent on telling. */
export interface ModelObserver {
  opened(peer: string): void;
  /** @param bytes - Lent: they change when this returns. */
  received(peer: string, bytes: Uint8Array): void;
  /** @param error - Why, when it did not end well. */
  closed(peer: string, error?: Error): void;
}

export const MODEL_OBSERVER: NamesOf<ModelObserver> = {
  opened: true,
  received: true,
  closed: true,
};

/** What has been served so far. */
export interface Tally {
  readonly connections: number;
  /** How many of these are open. */
  readonly open: number;
  /** How often bytes came. */
  readonly messages: number;
  readonly bytes: number;
}

/** Counts what one process or thread serves, and tells of it. */
export class Served implements Tally {
  connections = 0;
  open = 0;
  messages = 0;
  bytes = 0;
  readonly observer: ModelObserver | undefined;
  /** Called whenever a number has changed. */
  readonly #changed: () => void;

  constructor(observer: ModelObserver | undefined, changed: () => void = () => {}) {
    this.observer = observer;
    this.#changed = changed;
  }

  /** @returns The peer's name, when somebody is told of it. */
  opened(connection: { readonly remoteAddress: SocketAddress | null }): string {
    this.connections++;
    this.open++;
    this.#changed();
    if (this.observer === undefined) return "";
    const { remoteAddress } = connection;
    // Whoever connects to a unix socket has no name.
    const peer = (remoteAddress && formatAddress(remoteAddress)) || "a peer";
    this.observer.opened(peer);
    return peer;
  }

  /** To be called before the handler: it may change the bytes. */
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

  /** The numbers, as they are now. */
  tally(): Tally {
    const { connections, open, messages, bytes } = this;
    return { connections, open, messages, bytes };
  }
}
