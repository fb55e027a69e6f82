import { listOf } from "../base/argument.ts";
import { show, typeError } from "../base/misuse.ts";
import type { SocketAddress } from "./address.ts";
import { ipVersion, readIPv4, readIPv6, writeIPv4, writeIPv6 } from "./ip.ts";

/** The peers on the machine itself. */
export const LOOPBACK: readonly string[] = ["127.0.0.0/8", "::1", "unix"];

/** The first `bits` bits of an address of 4 or 16 bytes. */
interface Range {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** A set of IP addresses, and of the peers on unix sockets. */
export class IpRanges {
  readonly #ranges: readonly Range[];
  readonly #hasUnix: boolean;

  /**
   * @param texts - Addresses (`"10.1.2.3"`, `"::1"`), ranges in CIDR notation (`"10.0.0.0/8"`, `"fc00::/7"`), and
   * `"unix"` for every peer on a unix socket.
   * @param name - The name of the option, for the message of an error.
   * @throws TypeError `ERR_INVALID_OPTION`
   * @source RFC 4632, RFC 4291 section 2.3
   */
  constructor(texts: readonly string[], name: string) {
    listOf(texts, name);
    this.#hasUnix = texts.includes("unix");
    this.#ranges = texts.filter((text) => text !== "unix").map((text) => rangeOf(text, name));
  }

  /** Whether a peer with this address is in one of the ranges. An IPv4-mapped address is an IPv4 address. */
  has(address: SocketAddress | null): boolean {
    if (address === null) return false;
    return address.path === undefined ? this.hasIp(address.address) : this.#hasUnix;
  }

  /** The same for an IP address as text; anything else is in no range. */
  hasIp(text: string): boolean {
    if (this.#ranges.length === 0) return false;
    const bytes = bytesOf(text.split("%", 1)[0] as string);
    return bytes !== undefined && this.#ranges.some((range) => startsWith(bytes, range));
  }
}

function rangeOf(text: string, name: string): Range {
  const wrong = (why: string): Error =>
    typeError("ERR_INVALID_OPTION", `Cannot use ${show(text)} in ${name}: ${why}`);
  const whatElse = 'give an address, a range such as "10.0.0.0/8" or "fc00::/7", or "unix"';
  if (typeof text !== "string") throw wrong(whatElse);
  const [, ip = "", length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = ipVersion(ip);
  if (version === 0) throw wrong(whatElse);
  const most = version === 4 ? 32 : 128;
  const given = length === undefined ? most : Number(length);
  if (given > most) throw wrong(`the prefix of an IPv${version} range has at most ${most} bits`);
  const bytes = new Uint8Array(version === 4 ? 4 : 16);
  if (version === 4) writeIPv4(bytes, 0, ip);
  else writeIPv6(bytes, 0, ip);
  const start = masked(bytes, given);
  if (!start.every((byte, i) => byte === bytes[i])) {
    const first = version === 4 ? readIPv4(start, 0) : readIPv6(start, 0);
    throw wrong(`bits behind the prefix are set; the range is "${first}/${given}"`);
  }
  // A range of IPv4-mapped addresses is a range of IPv4.
  return given >= 96 && isMapped(bytes)
    ? { bytes: bytes.subarray(12), bits: given - 96 }
    : { bytes, bits: given };
}

function masked(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff00 >> Math.min(Math.max(bits - 8 * i, 0), 8)));
}

function bytesOf(ip: string): Uint8Array | undefined {
  const version = ipVersion(ip);
  if (version === 0) return undefined;
  const bytes = new Uint8Array(version === 4 ? 4 : 16);
  if (version === 4) {
    writeIPv4(bytes, 0, ip);
    return bytes;
  }
  writeIPv6(bytes, 0, ip);
  return isMapped(bytes) ? bytes.subarray(12) : bytes;
}

/** Whether sixteen bytes are an IPv4-mapped address. */
function isMapped(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff &&
    bytes.subarray(0, 10).every((byte) => byte === 0)
  );
}

function startsWith(bytes: Uint8Array, range: Range): boolean {
  if (bytes.length !== range.bytes.length) return false;
  const whole = range.bits >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== range.bytes[i]) return false;
  const rest = range.bits & 7;
  if (rest === 0) return true;
  const mask = 0xff00 >> rest;
  return ((bytes[whole] as number) & mask) === ((range.bytes[whole] as number) & mask);
}
