import { integerOf, listOf, type NamesOf, objectOf, optionsOf } from "../base/argument.ts";
import { choiceOf, rangeError, show, typeError } from "../base/misuse.ts";
import { formatAddress, portOf, type SocketAddress } from "../socket/address.ts";
import { ipVersion, readIPv4, readIPv6, writeIPv4, writeIPv6 } from "../socket/ip.ts";
import {
  CLIENT_USES_TLS,
  FAMILY,
  FIXED_BYTES,
  type ProxyHeader,
  type ProxyTlv,
  SIGNATURE,
  TLS_FIELD_BYTES,
  TLV,
  UNIX_PATH_BYTES,
} from "./header.ts";

/**
 * The PROXY header to send: see {@link ProxyHeader}, which is one.
 *
 * @remarks
 * Version 2 by default. Without addresses the command is `"local"`; version 1 then says `UNKNOWN`.
 */
export type OutgoingProxyHeader = Partial<ProxyHeader>;

const OUTGOING_HEADER: NamesOf<OutgoingProxyHeader> = {
  version: true,
  command: true,
  source: true,
  destination: true,
  tlvs: true,
  overTls: true,
};
const TLV_NAMES: NamesOf<ProxyTlv> = { type: true, value: true };

const MAX_LENGTH = 0xffff;
const encoder = new TextEncoder();

/**
 * The bytes of a PROXY header.
 *
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
 */
export function encodeProxyHeader(header: OutgoingProxyHeader): Uint8Array {
  const {
    version = 2,
    source,
    destination,
  } = optionsOf(objectOf(header, "proxyProtocol"), "proxyProtocol", OUTGOING_HEADER);
  const hasAddresses = source !== undefined && source !== null;
  if (hasAddresses !== (destination !== undefined && destination !== null)) {
    throw wrong("Cannot send a PROXY header with one address: give source and destination");
  }
  const { command = hasAddresses ? "proxy" : "local" } = header;
  if (command !== "proxy" && command !== "local") {
    throw wrong(`Cannot use ${show(command)} as command: give ${choiceOf(["proxy", "local"])}`);
  }
  const pair = hasAddresses ? pairOf(source, destination as SocketAddress) : undefined;
  const known = command === "proxy" ? pair : undefined;
  const tlvs = tlvsOf(header);
  if (version === 1) {
    if (tlvs.length > 0) throw wrong("Cannot send fields in a PROXY header of version 1: give 2");
    return encoder.encode(lineOf(known));
  }
  if (version !== 2) throw wrong(`Cannot use ${show(version)} as version: give 1 or 2`);
  return binaryOf(command === "proxy" ? 0x21 : 0x20, known, tlvs);
}

function wrong(message: string): TypeError {
  return typeError("ERR_INVALID_OPTION", message);
}

/** Two addresses of one family, as bytes. */
interface Pair {
  readonly family: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly ports: readonly number[];
}

function pairOf(source: SocketAddress, destination: SocketAddress): Pair {
  // Checks them, for the message of an error.
  formatAddress(source);
  formatAddress(destination);
  if (source.path !== undefined && destination.path !== undefined) {
    const [from, to] = [pathBytes(source.path), pathBytes(destination.path)];
    return { family: FAMILY.UNIX_STREAM, source: from, destination: to, ports: [] };
  }
  if (source.path !== undefined || destination.path !== undefined) {
    throw wrong("Cannot send a PROXY header with a path and an IP address: give two of one kind");
  }
  const [from, to] = [withoutZone(source.address), withoutZone(destination.address)];
  const ports = [portOf(source.port), portOf(destination.port)];
  const isIPv4 = ipVersion(from) === 4 && ipVersion(to) === 4;
  const encode = (ip: string): Uint8Array => {
    const version = ipVersion(ip);
    if (version === 0) {
      throw typeError(
        "ERR_INVALID_ADDRESS",
        `Cannot use ${show(ip)} as an address of a PROXY header: give an IP address`,
      );
    }
    const bytes = new Uint8Array(isIPv4 ? 4 : 16);
    if (isIPv4) writeIPv4(bytes, 0, ip);
    else writeIPv6(bytes, 0, version === 4 ? `::ffff:${ip}` : ip);
    return bytes;
  };
  const family = isIPv4 ? FAMILY.TCP4 : FAMILY.TCP6;
  return { family, source: encode(from), destination: encode(to), ports };
}

function withoutZone(address: string): string {
  return address.split("%", 1)[0] as string;
}

function pathBytes(path: string | Uint8Array): Uint8Array {
  const bytes = typeof path === "string" ? encoder.encode(path) : path;
  if (bytes.length > UNIX_PATH_BYTES) {
    throw rangeError(
      "ERR_INVALID_ADDRESS",
      `Cannot use a path of ${bytes.length} bytes in a PROXY header: at most ${UNIX_PATH_BYTES} are allowed`,
    );
  }
  const padded = new Uint8Array(UNIX_PATH_BYTES);
  padded.set(bytes);
  return padded;
}

function lineOf(pair: Pair | undefined): string {
  // Version 1 has no unix sockets.
  if (pair === undefined || pair.family === FAMILY.UNIX_STREAM) return "PROXY UNKNOWN\r\n";
  const isIPv4 = pair.family === FAMILY.TCP4;
  const text = (bytes: Uint8Array): string => (isIPv4 ? readIPv4(bytes, 0) : readIPv6(bytes, 0));
  const addresses = `${text(pair.source)} ${text(pair.destination)}`;
  return `PROXY ${isIPv4 ? "TCP4" : "TCP6"} ${addresses} ${pair.ports.join(" ")}\r\n`;
}

function binaryOf(
  versionAndCommand: number,
  pair: Pair | undefined,
  tlvs: readonly ProxyTlv[],
): Uint8Array {
  const rest: number[] = [];
  if (pair !== undefined) {
    rest.push(...pair.source, ...pair.destination);
    for (const port of pair.ports) rest.push(port >> 8, port & 0xff);
  }
  let length = rest.length;
  for (const { value } of tlvs) length += 3 + value.length;
  if (length > MAX_LENGTH) {
    throw rangeError(
      "ERR_INVALID_OPTION",
      `Cannot send a PROXY header with ${length} bytes of addresses and fields: at most ${MAX_LENGTH} are allowed`,
    );
  }
  const bytes = new Uint8Array(FIXED_BYTES + length);
  bytes.set(SIGNATURE);
  bytes.set(
    [versionAndCommand, pair?.family ?? FAMILY.UNSPEC, length >> 8, length & 0xff, ...rest],
    SIGNATURE.length,
  );
  let at = FIXED_BYTES + rest.length;
  for (const { type, value } of tlvs) {
    bytes.set([type, value.length >> 8, value.length & 0xff], at);
    bytes.set(value, at + 3);
    at += 3 + value.length;
  }
  return bytes;
}

function tlvsOf({ tlvs = [], overTls = false }: OutgoingProxyHeader): readonly ProxyTlv[] {
  for (const tlv of listOf(tlvs, "tlvs")) {
    const { type, value } = optionsOf(objectOf(tlv, "a field"), "a field", TLV_NAMES);
    integerOf(type, "the type of a field", [0, 255]);
    if (value instanceof Uint8Array && value.length <= MAX_LENGTH) continue;
    throw wrong(`Cannot use ${show(value)} as the value of a field: give a Uint8Array`);
  }
  if (typeof overTls !== "boolean") {
    throw wrong(`Cannot use ${show(overTls)} as overTls: give true or false`);
  }
  if (!overTls || tlvs.some(({ type }) => type === TLV.TLS)) return tlvs;
  // No certificate of the client was verified.
  const value = new Uint8Array(TLS_FIELD_BYTES);
  value[0] = CLIENT_USES_TLS;
  value[TLS_FIELD_BYTES - 1] = 1;
  return [...tlvs, { type: TLV.TLS, value }];
}
