import { type Kernel, readLocalAddress, readPeerAddress } from "polloi/internal";
import { formatAddress } from "polloi/socket";
import type { Subject } from "./event.ts";

/** What is known of a descriptor. It outlives its number: what is late for it is still about it. */
export interface Known extends Subject {
  readonly fd: number;
  received: number;
  sent: number;
}

/**
 * Whose each descriptor is, learned from the calls that make and close them.
 *
 * @remarks
 * A number that is closed and given out again is another's from then on. A connection's own number is
 * never used twice.
 */
export class Descriptors {
  readonly #kernel: Kernel;
  readonly #known: Map<number, Known> = new Map();
  #connections = 0;
  #listeners = 0;

  /** @param kernel - Asked for the address of a peer: one whose scratch nobody else is using. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.named(0, "stdin");
  }

  /** What `fd` is; only its number, when it came before the trace began. */
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
      // Whoever connects to a unix socket has no name.
      ...(text === "" ? {} : { peer: text }),
      ...{ received: 0, sent: 0 },
    });
  }

  /** A socket listens: the first is the listener, others have a number. */
  listening(fd: number): Known {
    const at = ++this.#listeners;
    return this.named(fd, at === 1 ? "listener" : `listener${at}`);
  }

  /** Where a socket is bound, as text. */
  localAddress(fd: number): string {
    const address = readLocalAddress(this.#kernel, fd);
    return address === null ? "" : formatAddress(address);
  }

  named(fd: number, name: string): Known {
    return this.#put({ fd, name, received: 0, sent: 0 });
  }

  /** `fd` was closed, and its number may be another's from now on. */
  closed(fd: number): void {
    this.#known.delete(fd);
  }

  #put(known: Known): Known {
    this.#known.set(known.fd, known);
    return known;
  }
}

/** What an event says of it. */
export function subjectOf({ fd, connection, peer, name }: Known): Subject {
  return {
    fd,
    ...(connection === undefined ? {} : { connection }),
    ...(peer === undefined ? {} : { peer }),
    ...(name === undefined ? {} : { name }),
  };
}
