import { decodePath, type SocketAddress } from "../socket/address.ts";
import { AF_INET, AF_INET6 } from "../socket/constants.ts";
import { ipVersion, readIPv4, readIPv6 } from "../socket/ip.ts";
import { crc32c } from "./crc32c.ts";
import {
  CLIENT_USES_TLS,
  FAMILY,
  FIXED_BYTES,
  type ProxyFailure,
  type ProxyHeader,
  type ProxyTlv,
  SIGNATURE,
  TLS_FIELD_BYTES,
  TLV,
  UNIX_PATH_BYTES,
} from "./header.ts";

/** Returned by {@link ProxyHeaderParser.read}: the header is not complete. */
export const NEED_MORE = -1;
/** Returned by {@link ProxyHeaderParser.read}: see {@link ProxyHeaderParser.failure}. */
export const FAILED = -2;

/** The longest line of version 1, with its CR and LF. */
const MAX_LINE = 107;
const LINE_START = "PROXY ";
const CR = 0x0d;
const LF = 0x0a;
/** The longest id of a connection. */
const MAX_UNIQUE_ID = 128;

/** The bytes of the addresses of each family, both together. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = {
  [FAMILY.UNSPEC]: 0,
  [FAMILY.TCP4]: 12,
  [FAMILY.UDP4]: 12,
  [FAMILY.TCP6]: 36,
  [FAMILY.UDP6]: 36,
  [FAMILY.UNIX_STREAM]: 2 * UNIX_PATH_BYTES,
  [FAMILY.UNIX_DGRAM]: 2 * UNIX_PATH_BYTES,
};

/**
 * Parses the PROXY header at the start of a connection, of version 1 or 2, as its bytes arrive.
 *
 * @remarks
 * A malformed header fails at the first byte that no valid header has at its place, so a peer that sends anything else is
 * found at once. The result does not depend on how the bytes are split. Bytes behind the header are not touched.
 *
 * @source https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt
 */
export class ProxyHeaderParser {
  /** Set when the header is complete. */
  header: ProxyHeader | null = null;
  /** Set when it is malformed. */
  failure: ProxyFailure | null = null;
  #bytes: Uint8Array = new Uint8Array(MAX_LINE);
  #length = 0;
  /** The length of a header of version 2, once it is known. */
  #total = Number.POSITIVE_INFINITY;

  /** Whether nothing has arrived. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /**
   * Takes the next bytes of the connection.
   *
   * @returns The number of bytes that belong to the header, if it ends in them; {@link NEED_MORE}; or {@link FAILED}.
   */
  read(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.length) {
      if (this.#length < FIXED_BYTES || this.#bytes[0] !== CR) {
        this.failure = this.#take(bytes[at++] as number);
      } else {
        const part = bytes.subarray(at, at + this.#total - this.#length);
        this.#bytes.set(part, this.#length);
        this.#length += part.length;
        at += part.length;
      }
      if (this.failure === null && this.#length === this.#total) this.failure = this.#finish();
      if (this.failure !== null) return FAILED;
      if (this.header !== null) return at;
    }
    return NEED_MORE;
  }

  /** Takes one byte of a line, or of the fixed part of version 2. */
  #take(byte: number): ProxyFailure | null {
    const at = this.#length++;
    this.#bytes[at] = byte;
    if (at === 0) return byte === CR || byte === LINE_START.charCodeAt(0) ? null : "SIGNATURE";
    return this.#bytes[0] === CR ? this.#takeFixed(at, byte) : this.#takeOfLine(at, byte);
  }

  #takeOfLine(at: number, byte: number): ProxyFailure | null {
    if (at < LINE_START.length) return byte === LINE_START.charCodeAt(at) ? null : "SIGNATURE";
    const afterCR = this.#bytes[at - 1] === CR;
    if (afterCR !== (byte === LF)) return "LINE";
    if (afterCR) return this.#finishLine(at - 1);
    if (byte !== CR && (byte < 0x20 || byte > 0x7e)) return "LINE";
    return this.#length === MAX_LINE ? "LINE_LENGTH" : null;
  }

  #takeFixed(at: number, byte: number): ProxyFailure | null {
    if (at < SIGNATURE.length) return byte === SIGNATURE[at] ? null : "SIGNATURE";
    const bytes = this.#bytes;
    // The receiver ignores everything but the length if the proxy connects for itself.
    const isLocal = ((bytes[12] as number) & 0x0f) === 0;
    switch (at) {
      case 12:
        if (byte >> 4 !== 2) return "VERSION";
        return (byte & 0x0f) > 1 ? "COMMAND" : null;
      case 13:
        return isLocal || ADDRESS_BYTES[byte] !== undefined ? null : "FAMILY";
      case 15: {
        const length = ((bytes[14] as number) << 8) | byte;
        if (!isLocal && length < (ADDRESS_BYTES[bytes[13] as number] as number)) return "LENGTH";
        this.#total = FIXED_BYTES + length;
        this.#bytes = new Uint8Array(this.#total);
        this.#bytes.set(bytes.subarray(0, FIXED_BYTES));
      }
    }
    return null;
  }

  /** Parses a line without its CR and LF. */
  #finishLine(length: number): ProxyFailure | null {
    const line = String.fromCharCode(...this.#bytes.subarray(LINE_START.length, length));
    if (line === "UNKNOWN" || line.startsWith("UNKNOWN ")) {
      this.header = { ...UNKNOWN, version: 1 };
      return null;
    }
    const [protocol, source = "", destination = "", sourcePort = "", port = "", more] =
      line.split(" ");
    if ((protocol !== "TCP4" && protocol !== "TCP6") || more !== undefined) return "LINE";
    const version = protocol === "TCP4" ? 4 : 6;
    if (ipVersion(source) !== version || ipVersion(destination) !== version) return "ADDRESS";
    if (!isPort(sourcePort) || !isPort(port)) return "PORT";
    const family = version === 4 ? AF_INET : AF_INET6;
    this.header = {
      ...UNKNOWN,
      version: 1,
      source: { address: source, port: Number(sourcePort), family },
      destination: { address: destination, port: Number(port), family },
    };
    return null;
  }

  /** Parses a complete header of version 2. */
  #finish(): ProxyFailure | null {
    const bytes = this.#bytes;
    if (((bytes[12] as number) & 0x0f) === 0) {
      this.header = { ...UNKNOWN, command: "local" };
      return null;
    }
    const family = bytes[13] as number;
    const addressBytes = ADDRESS_BYTES[family] as number;
    const fields = readFields(bytes, FIXED_BYTES + addressBytes);
    if (typeof fields === "string") {
      // What is behind an unspecified family may be anything.
      if (family !== FAMILY.UNSPEC || fields !== "TLV") return fields;
      this.header = UNKNOWN;
      return null;
    }
    this.header = { ...UNKNOWN, ...fields, ...addressesOf(bytes, family) };
    return null;
  }
}

/** A header of version 2 that says nothing about the client. */
const UNKNOWN: ProxyHeader = {
  version: 2,
  command: "proxy",
  source: null,
  destination: null,
  tlvs: [],
  overTls: false,
};

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 0xffff;
}

function addressesOf(
  bytes: Uint8Array,
  family: number,
): { source: SocketAddress | null; destination: SocketAddress | null } {
  const at = FIXED_BYTES;
  const portAt = (offset: number): number =>
    ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
  switch (family) {
    case FAMILY.TCP4:
    case FAMILY.UDP4:
      return {
        source: { address: readIPv4(bytes, at), port: portAt(at + 8), family: AF_INET },
        destination: { address: readIPv4(bytes, at + 4), port: portAt(at + 10), family: AF_INET },
      };
    case FAMILY.TCP6:
    case FAMILY.UDP6:
      return {
        source: { address: readIPv6(bytes, at), port: portAt(at + 32), family: AF_INET6 },
        destination: { address: readIPv6(bytes, at + 16), port: portAt(at + 34), family: AF_INET6 },
      };
    case FAMILY.UNIX_STREAM:
    case FAMILY.UNIX_DGRAM:
      return {
        source: { path: pathAt(bytes, at) },
        destination: { path: pathAt(bytes, at + UNIX_PATH_BYTES) },
      };
    default:
      return { source: null, destination: null };
  }
}

/** A path, which is filled up with NULs. A name of the abstract namespace begins with one. */
function pathAt(bytes: Uint8Array, offset: number): string | Uint8Array {
  let end = offset + UNIX_PATH_BYTES;
  while (end > offset && bytes[end - 1] === 0) end--;
  return decodePath(bytes.slice(offset, end));
}

/** The fields from `offset` to the end of `bytes`. */
function readFields(
  bytes: Uint8Array,
  offset: number,
): { tlvs: ProxyTlv[]; overTls: boolean } | ProxyFailure {
  const all = readTlvs(bytes, offset);
  if (all === undefined) return "TLV";
  const tlvs: ProxyTlv[] = [];
  let overTls = false;
  let hasChecksum = false;
  for (const tlv of all) {
    const { type, value } = tlv;
    if (type === TLV.NOOP) continue;
    if (type === TLV.CRC32C) {
      if (hasChecksum || !matches(bytes, value)) return "CHECKSUM";
      hasChecksum = true;
      continue;
    }
    if (type === TLV.UNIQUE_ID && value.length > MAX_UNIQUE_ID) return "TLV";
    if (type === TLV.TLS) {
      if (readTlvs(value, TLS_FIELD_BYTES) === undefined) return "TLV";
      overTls = ((value[0] as number) & CLIENT_USES_TLS) !== 0;
    }
    tlvs.push({ type, value: value.slice() });
  }
  return { tlvs, overTls };
}

/** @returns Views of `bytes`; `undefined` if a field does not end where `bytes` do. */
function readTlvs(bytes: Uint8Array, offset: number): ProxyTlv[] | undefined {
  const tlvs: ProxyTlv[] = [];
  let at = offset;
  while (at + 3 <= bytes.length) {
    const length = ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    const value = bytes.subarray(at + 3, at + 3 + length);
    if (value.length < length) return undefined;
    tlvs.push({ type: bytes[at] as number, value });
    at += 3 + length;
  }
  return at === bytes.length ? tlvs : undefined;
}

/** Whether `checksum`, a view of `bytes`, is that of `bytes` with zeros in its place. */
function matches(bytes: Uint8Array, checksum: Uint8Array): boolean {
  if (checksum.length !== 4) return false;
  const copy = bytes.slice();
  copy.fill(0, checksum.byteOffset - bytes.byteOffset, checksum.byteOffset - bytes.byteOffset + 4);
  const expected = crc32c(copy);
  return checksum.every((byte, i) => byte === ((expected >>> (24 - 8 * i)) & 0xff));
}
