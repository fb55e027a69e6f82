import type { SocketAddress } from "../socket/address.ts";

/** A field of a PROXY header of version 2: type, length, value. */
export interface ProxyTlv {
  /**
   * The type, from 0 to 255: 1 is the ALPN protocol of the client, 2 the host name that it asked for (SNI), 5 an id of the
   * connection, 32 (0x20) its TLS, 48 (0x30) the name of a network namespace. From 224 (0xE0) on, types are free for use.
   */
  readonly type: number;
  readonly value: Uint8Array;
}

/**
 * A PROXY header: what a proxy says about the connection that it forwards.
 *
 * @source The PROXY protocol, versions 1 and 2, https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
 */
export interface ProxyHeader {
  /** 1 is a line of text, 2 is binary. */
  readonly version: 1 | 2;
  /**
   * `"proxy"` for the connection of a client; `"local"` for one that the proxy has made for itself, such as a health check.
   */
  readonly command: "proxy" | "local";
  /** The client's address; `null` if the proxy does not know it, or the connection is its own. */
  readonly source: SocketAddress | null;
  /** The address that the client has connected to; `null` as `source` is. */
  readonly destination: SocketAddress | null;
  /** Further fields, without those for padding and the checksum. Empty in version 1. */
  readonly tlvs: readonly ProxyTlv[];
  /** Whether the client uses TLS towards the proxy, if the proxy says so: a field of type 32. */
  readonly overTls: boolean;
}

/** The reason why the start of a connection is no PROXY header. */
export type ProxyFailure =
  | "SIGNATURE"
  | "LINE"
  | "LINE_LENGTH"
  | "ADDRESS"
  | "PORT"
  | "VERSION"
  | "COMMAND"
  | "FAMILY"
  | "LENGTH"
  | "TLV"
  | "CHECKSUM"
  | "TIMEOUT"
  | "ENDED";

/** Each reason as a part of a sentence. */
export const PROXY_FAILURES: Readonly<Record<ProxyFailure, string>> = {
  SIGNATURE: "it does not begin with a PROXY header",
  LINE: "the line of the PROXY header is malformed",
  LINE_LENGTH: "the line of the PROXY header is longer than 107 bytes",
  ADDRESS: "the PROXY header has an address that is not of its family",
  PORT: "the PROXY header has a port that is not from 0 to 65535",
  VERSION: "the PROXY header has an unknown version",
  COMMAND: "the PROXY header has an unknown command",
  FAMILY: "the PROXY header has an unknown family or protocol",
  LENGTH: "the PROXY header is shorter than the addresses of its family",
  TLV: "the PROXY header has a malformed field",
  CHECKSUM: "the checksum of the PROXY header is wrong",
  TIMEOUT: "the PROXY header took too long",
  ENDED: "the connection ended before its PROXY header was complete",
};

/** The twelve bytes that begin version 2. */
export const SIGNATURE: readonly number[] = [
  0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
];
/** The signature, version and command, family and protocol, and the length of the rest. */
export const FIXED_BYTES = 16;

/** Families and protocols of version 2, in one byte. */
export const FAMILY = {
  UNSPEC: 0x00,
  TCP4: 0x11,
  UDP4: 0x12,
  TCP6: 0x21,
  UDP6: 0x22,
  UNIX_STREAM: 0x31,
  UNIX_DGRAM: 0x32,
} as const;

/** The length of a path of a unix socket. */
export const UNIX_PATH_BYTES = 108;

/** Types of fields that have a meaning here. */
export const TLV = { CRC32C: 0x03, NOOP: 0x04, UNIQUE_ID: 0x05, TLS: 0x20 } as const;
/** The bit of a field of type `TLS` that is set if the client uses TLS. */
export const CLIENT_USES_TLS = 0x01;
/** The bits for the client, and the result of the verification of its certificate. */
export const TLS_FIELD_BYTES = 5;
