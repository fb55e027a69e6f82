import { type Kernel, readLocalAddress, readPeerAddress } from "polloi/internal";
import { formatAddress } from "polloi/socket";
import type { Subject } from "./event.ts";

/** The facts about a descriptor. Late events still refer to them after the number was reused. */
export interface Known extends Subject {
  readonly fd: number;
  received: number;
  sent: number;
}

/**
 * Knows what each descriptor is, from the calls that open and close it.
 *
 * @remarks
 * The kernel reuses the number of a closed descriptor. The number of a connection is never reused.
 */
export class Descriptors {
  readonly #kernel: Kernel;
  readonly #known: Map<number, Known> = new Map();
  #connections = 0;
  #listeners = 0;

  /** @param kernel - For the addresses of sockets. No other code may use its scratch memory. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.named(0, "stdin");
  }

  /** Returns what is known of `fd`: only its number, if it was opened before the trace began. */
  of(fd: number): Known {
    return this.#known.get(fd) ?? { fd, received: 0, sent: 0 };
  }

  /** A connection was accepted. */
  accepted(fd: number): Known {
    const peer = readPeerAddress(this.#kernel, fd);
    const text = peer === null ? "" : formatAddress(peer);
    return this.#put({
      fd,
      connection: ++this.#connections,
      // The peer of a unix socket has no address.
      ...(text === "" ? {} : { peer: text }),
      ...{ received: 0, sent: 0 },
    });
  }

  /** A socket listens. The first is `listener`, the others are numbered. */
  listening(fd: number): Known {
    const at = ++this.#listeners;
    return this.named(fd, at === 1 ? "listener" : `listener${at}`);
  }

  /** Returns the address of a socket as text. */
  localAddress(fd: number): string {
    const address = readLocalAddress(this.#kernel, fd);
    return address === null ? "" : formatAddress(address);
  }

  named(fd: number, name: string): Known {
    return this.#put({ fd, name, received: 0, sent: 0 });
  }

  /** `fd` was closed, and its number may be reused. */
  closed(fd: number): void {
    this.#known.delete(fd);
  }

  #put(known: Known): Known {
    this.#known.set(known.fd, known);
    return known;
  }
}

/** Returns the part of it that events contain. */
export function subjectOf({ fd, connection, peer, name }: Known): Subject {
  return {
    fd,
    ...(connection === undefined ? {} : { connection }),
    ...(peer === undefined ? {} : { peer }),
    ...(name === undefined ? {} : { name }),
  };
}
