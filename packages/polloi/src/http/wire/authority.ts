import {
  CLOSE_BRACKET,
  COLON,
  DOT,
  HEX,
  HOST_LITERAL,
  HOST_NAME,
  HYPHEN,
  NINE,
  OPEN_BRACKET,
  PERCENT,
  PLAIN_HOST,
  pastClass,
  ZERO,
} from "./characters.ts";
import { latin1 } from "./latin1.ts";

const LARGEST_PORT = 65_535;

/**
 * Whether this is a valid host with or without a port, as in Host, an absolute target and the target of CONNECT. RFC 9110
 * section 7.2.
 *
 * @remarks
 * The host has characters that RFC 3986 allows, and is valid in an `http` URL: an address in brackets is an IPv6 address
 * without a zone, and a name that ends with a number is an IPv4 address. A colon without a port is valid.
 *
 * @source https://url.spec.whatwg.org/#host-parsing
 */
export function isAuthority(bytes: Uint8Array, from: number, to: number): boolean {
  const end = hostEnd(bytes, from, to);
  if (end <= from) return false;
  if (end < to && !(bytes[end] === COLON && isPort(bytes, end + 1, to))) return false;
  if (isPlainHost(bytes, from, end)) return true;
  return URL.canParse(`http://${latin1(bytes, from, end)}`);
}

/** Whether every URL parser accepts this host unchanged: letters, digits, `-`, `.` and `_`, or an IPv4 address. */
function isPlainHost(bytes: Uint8Array, from: number, to: number): boolean {
  let label = from;
  for (let i = from; i < to; i++) {
    const code = bytes[i] as number;
    if (PLAIN_HOST[code] !== 1) return false;
    // A name with two hyphens in a row may be Punycode, which has further rules.
    if (code === HYPHEN && bytes[i + 1] === HYPHEN) return false;
    if (code === DOT && i + 1 < to) label = i + 1;
  }
  const first = bytes[label] as number;
  return first < ZERO || first > NINE || isIpv4(bytes, from, to);
}

/** Whether this is an IPv4 address of four decimal numbers. URLs allow other forms, such as `127.1`. */
function isIpv4(bytes: Uint8Array, from: number, to: number): boolean {
  let numbers = 0;
  for (let i = from; i <= to; i++) {
    const start = i;
    let number = 0;
    while (i < to && bytes[i] !== DOT) {
      const code = bytes[i] as number;
      if (code < ZERO || code > NINE) return false;
      number = number * 10 + code - ZERO;
      i++;
    }
    const digits = i - start;
    if (digits === 0 || digits > 3 || number > 255 || (digits > 1 && bytes[start] === ZERO)) {
      return false;
    }
    numbers++;
  }
  return numbers === 4;
}

/** Whether this is a host with a port, as the target of CONNECT. RFC 9112 section 3.2.3. */
export function isHostAndPort(bytes: Uint8Array, from: number, to: number): boolean {
  return isAuthority(bytes, from, to) && bytes[to - 1] !== COLON && hostEnd(bytes, from, to) < to;
}

/** The position of the end of the host; -1 if it is invalid. */
function hostEnd(bytes: Uint8Array, from: number, to: number): number {
  let i = from;
  if (bytes[i] === OPEN_BRACKET && i < to) {
    i++;
    while (i < to && HOST_LITERAL[bytes[i] as number] === 1) i++;
    return i < to && i > from + 1 && bytes[i] === CLOSE_BRACKET ? i + 1 : -1;
  }
  for (;;) {
    i = pastClass(bytes, HOST_NAME, i, to);
    if (i === to || bytes[i] !== PERCENT) return i;
    if (!isEncoded(bytes, i, to)) return -1;
    i += 3;
  }
}

function isEncoded(bytes: Uint8Array, at: number, to: number): boolean {
  if (at + 2 >= to) return false;
  return (
    (HEX[bytes[at + 1] as number] as number) < 16 && (HEX[bytes[at + 2] as number] as number) < 16
  );
}

function isPort(bytes: Uint8Array, from: number, to: number): boolean {
  let port = 0;
  for (let i = from; i < to; i++) {
    const code = bytes[i] as number;
    if (code < ZERO || code > NINE) return false;
    port = port * 10 + code - ZERO;
    if (port > LARGEST_PORT) return false;
  }
  return true;
}
