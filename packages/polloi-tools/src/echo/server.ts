import type {
  ConnectionOptions,
  Handlers,
  Listener,
  ListenOptions,
  Reactor,
  SysError,
} from "polloi";
import { formatAddress } from "polloi/socket";
import { PROTOCOLS, type ProtocolName } from "./protocols.ts";

/** Who is told of everything that happens. Without one, nothing is spent on telling. */
export interface Observer {
  opened(peer: string): void;
  /** @param bytes - Lent: they change when this returns. */
  received(peer: string, bytes: Uint8Array): void;
  /** @param error - Why, when it did not end well. */
  closed(peer: string, error?: Error): void;
}

/** What a server has done so far. */
export interface Tally {
  connections: number;
  messages: number;
  bytes: number;
}

/** What to serve, where, and how. */
export interface ProtocolServerOptions
  extends Pick<ConnectionOptions, "noDelay" | "idleTimeoutMs">,
    Pick<ListenOptions, "host" | "port" | "path" | "backlog" | "dualStack"> {
  readonly protocol: ProtocolName;
  readonly observer?: Observer | undefined;
  /** See {@link ListenOptions.acceptError}. */
  readonly acceptError?: ((error: SysError) => void) | undefined;
}

/** A connection's data: its peer's address as text, when someone is told of it. */
export type Peer = string | undefined;

/** How a protocol is served, whoever listens. */
export type ProtocolHandlers = Required<
  Pick<Handlers<Peer>, "open" | "data" | "drain" | "close">
> & {
  readonly zeroCopy: true;
};

/** Serves a protocol: counts what it does, and tells `observer` of it. */
export function protocolHandlers(
  protocol: ProtocolName,
  tally: Tally,
  observer: Observer | undefined,
): ProtocolHandlers {
  const answer = PROTOCOLS[protocol];
  return {
    zeroCopy: true,
    open(connection) {
      tally.connections++;
      if (observer === undefined) return;
      const { remoteAddress } = connection;
      // Whoever connects to a unix socket has no name.
      connection.data = (remoteAddress && formatAddress(remoteAddress)) || "a peer";
      observer.opened(connection.data);
    },
    data(connection, bytes) {
      tally.messages++;
      tally.bytes += bytes.length;
      // Told first: a protocol may change the bytes.
      observer?.received(connection.data as string, bytes);
      // An ending connection never drains: it goes on to receive, for the peer's end.
      if (!answer(connection, bytes) && connection.state === "open") connection.pause();
    },
    drain(connection) {
      connection.resume();
    },
    close(connection, error) {
      observer?.closed(connection.data as string, error);
    },
  };
}

/**
 * A server of one of the {@link PROTOCOLS}, which counts what it does and can be stopped gently.
 *
 * @remarks
 * A peer that sends and never reads costs as much memory as the high-water mark allows: beyond it the
 * server reads no more from that peer until its answers have gone. A peer that has finished sending
 * gets all of its answers before the connection ends.
 */
export class ProtocolServer {
  readonly protocol: ProtocolName;
  readonly listener: Listener;
  readonly tally: Tally = { connections: 0, messages: 0, bytes: 0 };

  /** @throws as {@link Reactor.listen} does. */
  constructor(reactor: Reactor, options: ProtocolServerOptions) {
    const { protocol, observer, acceptError, ...where } = options;
    const handlers = protocolHandlers(protocol, this.tally, observer);
    this.protocol = protocol;
    this.listener = reactor.listen<Peer>({
      ...where,
      ...(acceptError === undefined ? {} : { acceptError }),
      ...handlers,
    });
  }

  /**
   * Stops gracefully: see {@link Listener.stop}.
   *
   * @param graceMs - How long that may take; 0 cuts every connection off at once.
   * @returns Resolves when all connections are closed.
   */
  stop(graceMs: number): Promise<void> {
    return this.listener.stop(graceMs);
  }
}
