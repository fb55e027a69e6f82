import { pastClass } from "./scan.ts";
import {
  CLOSE_BRACKET,
  COLON,
  HEX,
  HOST_LITERAL,
  HOST_NAME,
  NINE,
  OPEN_BRACKET,
  PERCENT,
  ZERO,
} from "./tokens.ts";

const LARGEST_PORT = 65_535;

/**
 * Is this a host with or without a port, as Host and an absolute target have it? RFC 9110 section 7.2.
 *
 * @remarks
 * An IPv6 address stands in brackets and is looked at no further than for its characters. A colon without
 * a port after it is sound.
 */
export function isAuthority(bytes: Uint8Array, from: number, to: number): boolean {
  const end = hostEnd(bytes, from, to);
  if (end <= from) return false;
  return end === to || (bytes[end] === COLON && isPort(bytes, end + 1, to));
}

/** Is this a host with a port, as the target of CONNECT is? RFC 9112 section 3.2.3. */
export function isHostAndPort(bytes: Uint8Array, from: number, to: number): boolean {
  return isAuthority(bytes, from, to) && bytes[to - 1] !== COLON && hostEnd(bytes, from, to) < to;
}

/** Where the host ends; -1 when it is none. */
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
