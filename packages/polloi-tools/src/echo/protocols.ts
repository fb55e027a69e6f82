/**
 * The protocols echo, upper and discard, and the handlers that serve them.
 *
 * Source: RFC 862 (echo), RFC 863 (discard).
 */
import type { Connection, Handlers, ProxyProtocolOptions, SysError } from "polloi";
import { formatAddress } from "polloi/socket";

/** The protocols by name. */
export type ProtocolName = "echo" | "upper" | "discard";

/**
 * Answers bytes that were received.
 *
 * @param bytes - Valid during the call. The protocol may change them.
 * @returns Whether to continue receiving; false waits until the connection has drained.
 */
export type Protocol = (connection: Pick<Connection, "write">, bytes: Uint8Array) => boolean;

export const PROTOCOLS: Readonly<Record<ProtocolName, Protocol>> = {
  echo: (connection, bytes) => connection.write(bytes),
  upper: (connection, bytes) => connection.write(toUpperCase(bytes)),
  discard: () => true,
};

const LOWER_A = 97;
const LOWER_Z = 122;
const TO_UPPER = -32;

/**
 * Turns a to z into A to Z in place, and leaves every other byte unchanged.
 *
 * @remarks
 * It works on bytes, not on characters: a message may end within a character, and the result must not depend on how
 * the stream was cut.
 */
function toUpperCase(bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (byte >= LOWER_A && byte <= LOWER_Z) bytes[i] = byte + TO_UPPER;
  }
  return bytes;
}

/** Is notified of connections and messages. Without an observer, no time is spent on notifications. */
export interface Observer {
  opened(peer: string): void;
  /** @param bytes - Valid during the call. */
  received(peer: string, bytes: Uint8Array): void;
  /** @param error - Why, when the connection was not closed normally. */
  closed(peer: string, error?: Error): void;
}

/** Counters of a server. */
export interface Counters {
  connections: number;
  messages: number;
  bytes: number;
}

/** The data of a connection: its peer's address as text, when there is an observer. */
export type Peer = string | undefined;

/** The handlers of a protocol. */
export type ProtocolHandlers = Required<
  Pick<Handlers<Peer>, "open" | "data" | "drain" | "close">
> & {
  readonly zeroCopy: true;
};

/**
 * The handlers that serve a protocol. They add to `counters` and notify `observer`.
 *
 * @remarks
 * A peer that sends and never reads uses as much memory as the high-water mark allows: above it, nothing more is
 * received from that peer until it has read. A peer that has ended its half receives all of its answers before the
 * connection is closed.
 */
export function protocolHandlers(
  protocol: ProtocolName,
  counters: Counters,
  observer: Observer | undefined,
): ProtocolHandlers {
  const answer = PROTOCOLS[protocol];
  return {
    zeroCopy: true,
    open(connection) {
      counters.connections++;
      if (observer === undefined) return;
      connection.data = peerName(connection.remoteAddress);
      observer.opened(connection.data);
    },
    data(connection, bytes) {
      counters.messages++;
      counters.bytes += bytes.length;
      // Before the protocol, which may change the bytes.
      observer?.received(connection.data as string, bytes);
      // A connection that is ending never drains. It continues to receive, so that the peer's end arrives.
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

/** The address of a peer as text. The client of a unix socket has none. */
export function peerName(address: Connection["remoteAddress"]): string {
  return (address && formatAddress(address)) || "a peer";
}

/**
 * The options of a listener for `--proxy-protocol`.
 *
 * @param proxies - The addresses of the proxies; true for those on this machine; undefined without the flag.
 * @param refused - Is notified of each connection that is closed because of its header.
 */
export function proxyProtocolOf(
  proxies: true | readonly string[] | undefined,
  refused: (peer: string, reason: string) => void,
): { proxyProtocol?: ProxyProtocolOptions } {
  if (proxies === undefined) return {};
  return {
    proxyProtocol: {
      ...(proxies === true ? {} : { trusted: proxies }),
      refused: ({ remoteAddress, reason }) => refused(peerName(remoteAddress), reason),
    },
  };
}

/** A connection that was closed because of its PROXY header, as a worker posts it. */
export interface ProxyRefusalMessage {
  readonly event: "proxyRefused";
  readonly peer: string;
  readonly reason: string;
}

/** An error of accept, as a worker posts it: other properties of errors than their message are not cloned. */
export interface AcceptErrorMessage {
  readonly event: "acceptError";
  readonly message: string;
  readonly code: string;
  readonly hint: string;
}

export function acceptErrorMessage({ message, code, hint = "" }: SysError): AcceptErrorMessage {
  return { event: "acceptError", message, code, hint };
}
