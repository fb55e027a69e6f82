import { numberError, rangeError, show, typeError } from "../base/misuse.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { AF_INET, AF_INET6, AF_UNIX } from "./constants.ts";
import { interfaceIndex } from "./interface.ts";
import { ipVersion, readIPv4, readIPv6, writeIPv4, writeIPv6 } from "./ip.ts";

/** An internet address: an IP address and a port. */
export interface InetAddress {
  /**
   * An IPv4 or IPv6 address, the latter with a zone if it needs one (`"fe80::1%eth0"`, `"fe80::1%2"`); `""` for the
   * wildcard address, `"localhost"` for the loopback address. Other names must be resolved with `resolve()`.
   */
  readonly address: string;
  /** The port, from 0 to 65,535. If 0 is bound, the kernel chooses a free one. */
  readonly port: number;
  /** AF_INET or AF_INET6. Only needed for the wildcard address and `"localhost"`. */
  readonly family?: typeof AF_INET | typeof AF_INET6 | undefined;
  /** The traffic class and flow label of IPv6, 32 bits. */
  readonly flowInfo?: number | undefined;
  /** The number of the interface of a link-local IPv6 address. A zone in `address` has the same meaning. */
  readonly scopeId?: number | undefined;
  readonly path?: undefined;
}

/** The address of a unix socket: a path of the file system, or a name in the abstract namespace. */
export interface UnixAddress {
  /**
   * A path of at most 107 bytes; or with a leading NUL a name of the abstract namespace, at most 108 bytes including the
   * NUL. `""` is unnamed: if it is bound, the kernel chooses an abstract name. When it is read, it is a string unless its
   * bytes are not UTF-8.
   */
  readonly path: string | Uint8Array;
  readonly address?: undefined;
  readonly port?: undefined;
  readonly family?: undefined;
}

/** The address of a socket or of its peer. */
export type SocketAddress = InetAddress | UnixAddress;

/** The families that {@link encodeAddress} supports. */
export type AddressFamily = typeof AF_INET | typeof AF_INET6 | typeof AF_UNIX;

const MAX_PORT = 65535;
const MAX_UINT32 = 0xffffffff;

/** `sun_path`: 108 bytes, the last of which a path needs for its NUL. */
const SUN_PATH = 108;

// sizeof sockaddr_in and sockaddr_in6, and what comes before the path of a sockaddr_un.
const SOCKADDR_IN_SIZE = 16;
const SOCKADDR_IN6_SIZE = 28;
const SUN_HEADER = 2;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The family of `address`.
 *
 * @throws TypeError `ERR_INVALID_ADDRESS` if it is no address, or has a name instead of an IP address.
 */
export function familyOf(address: SocketAddress): AddressFamily {
  checkAddress(address);
  if (address.path !== undefined) return AF_UNIX;
  const { family } = address;
  checkIpFamily(family);
  const { literal } = splitZone(address);
  if (namesNoFamily(address)) return family ?? AF_INET;
  const own = literalFamily(literal);
  if (family === undefined || family === own) return own;
  throw wrongFamily(literal, family);
}

/**
 * Checks that `family` is AF_INET, AF_INET6 or undefined.
 *
 * @throws TypeError or RangeError `ERR_INVALID_OPTION`
 */
export function checkIpFamily(family: unknown): void {
  if (family === undefined || family === AF_INET || family === AF_INET6) return;
  throw numberError(
    "ERR_INVALID_OPTION",
    family,
    `Cannot use ${show(family)} as a family: give AF_INET or AF_INET6`,
  );
}

/** @throws TypeError `ERR_INVALID_ADDRESS` unless it is an object. An array is an address in Python, not here. */
function checkAddress(address: SocketAddress): void {
  if (typeof address === "object" && address !== null && !Array.isArray(address)) return;
  throw notAnAddress(address);
}

/**
 * Writes `address` as a `sockaddr` at `offset`.
 *
 * @remarks
 * For an AF_INET6 socket, an IPv4 address is written as IPv4-mapped (`::ffff:127.0.0.1`), because such a socket reaches IPv4
 * in this way.
 *
 * @param offset - In bytes. 128 bytes are enough for any address.
 * @param family - The family of the socket. Default: that of the address.
 * @param kernel - Looks up the number of an interface if a zone names one.
 * @returns The length of the `sockaddr` in bytes.
 * @throws TypeError or RangeError `ERR_INVALID_ADDRESS`, `ERR_INVALID_PORT`
 * @source ip(7), ipv6(7), unix(7)
 */
export function encodeAddress(
  arena: Arena,
  offset: number,
  address: SocketAddress,
  family: number = familyOf(address),
  kernel?: Kernel,
): number {
  checkAddress(address);
  if (address.path !== undefined) {
    if (family !== AF_UNIX) throw wrongFamily(pathOf(address), family);
    return encodeUnix(arena, offset, address);
  }
  // On an IPv6 socket an IPv4 address is IPv4-mapped, so the families may differ.
  if (address.family !== undefined && address.family !== family) {
    checkIpFamily(address.family);
    if (namesNoFamily(address)) throw wrongFamily(address.address, family);
  }
  if (family === AF_INET) return encodeInet(arena, offset, address);
  if (family === AF_INET6) return encodeInet6(arena, offset, address, kernel);
  throw wrongFamily(address.address, family);
}

/**
 * Reads the `sockaddr` of `length` bytes at `offset`.
 *
 * @returns The address; null if there is none (`length` is 0), or if its family is not AF_INET, AF_INET6 or AF_UNIX.
 */
export function decodeAddress(arena: Arena, offset: number, length: number): SocketAddress | null {
  if (length < SUN_HEADER) return null;
  const { view, u8 } = arena;
  switch (view.getUint16(offset, true)) {
    case AF_INET:
      return {
        address: readIPv4(u8, offset + 4),
        port: view.getUint16(offset + 2),
        family: AF_INET,
      };
    case AF_INET6: {
      const flowInfo = view.getUint32(offset + 4);
      const scopeId = view.getUint32(offset + 24, true);
      return {
        address: readIPv6(u8, offset + 8),
        port: view.getUint16(offset + 2),
        family: AF_INET6,
        ...(flowInfo === 0 ? {} : { flowInfo }),
        ...(scopeId === 0 ? {} : { scopeId }),
      };
    }
    case AF_UNIX:
      return { path: decodePath(u8.slice(offset + SUN_HEADER, offset + length)) };
    default:
      return null;
  }
}

/**
 * Formats an address: `127.0.0.1:80`, `[::1]:80`, a path, or `@name` for the abstract namespace.
 *
 * @throws TypeError `ERR_INVALID_ADDRESS` if it is no address; TypeError or RangeError `ERR_INVALID_PORT` if it has no
 * port.
 */
export function formatAddress(address: SocketAddress): string {
  checkAddress(address);
  if (address.path !== undefined) return formatPath(pathOf(address));
  if (address.address !== undefined && typeof address.address !== "string") {
    throw notAnAddress(address);
  }
  portOf(address.port);
  const host = hostOf(address);
  return `${host.includes(":") ? `[${host}]` : host}:${address.port}`;
}

/** The address of a peer, as an IPv4 address if it is IPv4-mapped: that of an IPv4 peer of a dual-stack listener. */
export function unmapped(address: SocketAddress | null): SocketAddress | null {
  const mapped = address?.address;
  if (mapped === undefined || !mapped.startsWith(MAPPED) || !mapped.includes(".")) return address;
  return { address: mapped.slice(MAPPED.length), port: address?.port as number, family: AF_INET };
}

/** How {@link decodeAddress} begins an IPv4-mapped address. */
const MAPPED = "::ffff:";

/** The IP address for an error, with its zone, and with the wildcard address written out. */
export function hostOf({ address, family, scopeId }: InetAddress): string {
  if (address === "" || address === undefined) return family === AF_INET6 ? "::" : "0.0.0.0";
  return scopeId === undefined || address.includes("%") ? address : `${address}%${scopeId}`;
}

/** Formats the path of a unix socket: `@name` for the abstract namespace, as ss(8) does. */
export function formatPath(path: string | Uint8Array): string {
  const text = typeof path === "string" ? path : new TextDecoder().decode(path);
  return text.startsWith("\0") ? `@${text.slice(1)}` : text;
}

/**
 * Checks a port.
 *
 * @throws TypeError or RangeError `ERR_INVALID_PORT`.
 */
export function portOf(port: unknown): number {
  const allowed = `a port is an integer from 0 to ${MAX_PORT}`;
  if (typeof port !== "number") {
    throw typeError("ERR_INVALID_PORT", `Cannot use ${show(port)} as a port: ${allowed}`);
  }
  if (!Number.isInteger(port) || port < 0 || port > MAX_PORT) {
    throw rangeError("ERR_INVALID_PORT", `Cannot use port ${port}: ${allowed}`);
  }
  // -0 becomes 0.
  return port + 0;
}

function encodeInet(arena: Arena, offset: number, address: InetAddress): number {
  const port = portOf(address.port);
  const { literal } = splitZone(address);
  const ip = literal === "" ? "0.0.0.0" : literal === "localhost" ? "127.0.0.1" : literal;
  if (literalFamily(ip) !== AF_INET) throw wrongFamily(ip, AF_INET);
  arena.u8.fill(0, offset, offset + SOCKADDR_IN_SIZE);
  arena.view.setUint16(offset, AF_INET, true);
  arena.view.setUint16(offset + 2, port);
  writeIPv4(arena.u8, offset + 4, ip);
  return SOCKADDR_IN_SIZE;
}

function encodeInet6(
  arena: Arena,
  offset: number,
  address: InetAddress,
  kernel: Kernel | undefined,
): number {
  const port = portOf(address.port);
  const flowInfo = uint32Of("flowInfo", address.flowInfo ?? 0);
  const { literal, zone } = splitZone(address);
  const scopeId = uint32Of("scopeId", address.scopeId ?? scopeOf(zone, kernel));
  const ip = literal === "" ? "::" : literal === "localhost" ? "::1" : literal;
  const mapped = literalFamily(ip) === AF_INET ? `::ffff:${ip}` : ip;
  arena.view.setUint16(offset, AF_INET6, true);
  arena.view.setUint16(offset + 2, port);
  arena.view.setUint32(offset + 4, flowInfo);
  writeIPv6(arena.u8, offset + 8, mapped);
  arena.view.setUint32(offset + 24, scopeId, true);
  return SOCKADDR_IN6_SIZE;
}

function pathOf({ path }: UnixAddress): string | Uint8Array {
  if (typeof path === "string" || path instanceof Uint8Array) return path;
  throw typeError(
    "ERR_INVALID_ADDRESS",
    `Cannot use ${show(path)} as a path: give a string or bytes`,
  );
}

function encodeUnix(arena: Arena, offset: number, address: UnixAddress): number {
  const path = pathOf(address);
  const bytes = typeof path === "string" ? encoder.encode(path) : path;
  const abstract = bytes[0] === 0;
  const limit = abstract ? SUN_PATH : SUN_PATH - 1;
  if (bytes.length > limit) {
    throw rangeError(
      "ERR_INVALID_ADDRESS",
      `Cannot use the socket path ${show(formatPath(path))} of ${bytes.length} bytes: at most ${limit} are allowed; a path relative to the working directory may be shorter`,
    );
  }
  if (!abstract && bytes.includes(0)) {
    throw typeError(
      "ERR_INVALID_ADDRESS",
      `Cannot use the socket path ${JSON.stringify(formatPath(path))}: a NUL may only lead, for the abstract namespace`,
    );
  }
  arena.view.setUint16(offset, AF_UNIX, true);
  arena.u8.set(bytes, offset + SUN_HEADER);
  const length = SUN_HEADER + bytes.length;
  // Unnamed and abstract addresses end with their last byte, paths end with a NUL.
  if (abstract || bytes.length === 0) return length;
  arena.u8[offset + length] = 0;
  return length + 1;
}

/** A path as a string, or as bytes if they are not UTF-8. */
export function decodePath(bytes: Uint8Array): string | Uint8Array {
  const end = bytes[0] === 0 ? -1 : bytes.indexOf(0);
  const path = end < 0 ? bytes : bytes.subarray(0, end);
  try {
    return decoder.decode(path);
  } catch {
    return path;
  }
}

function splitZone(address: InetAddress): { literal: string; zone: string | undefined } {
  const text: unknown = address.address;
  if (text === undefined && !("host" in address)) return { literal: "", zone: undefined };
  if (typeof text !== "string") throw notAnAddress(address);
  const at = text.indexOf("%");
  if (at < 0) return { literal: text, zone: undefined };
  const literal = text.slice(0, at);
  if (ipVersion(literal) !== 6) throw notALiteral(text);
  return { literal, zone: text.slice(at + 1) };
}

function literalFamily(literal: string): typeof AF_INET | typeof AF_INET6 {
  switch (ipVersion(literal)) {
    case 4:
      return AF_INET;
    case 6:
      return AF_INET6;
    default:
      throw notALiteral(literal);
  }
}

function scopeOf(zone: string | undefined, kernel: Kernel | undefined): number {
  if (zone === undefined) return 0;
  return /^\d+$/.test(zone) ? Number(zone) : interfaceIndex(zone, kernel);
}

function uint32Of(name: "flowInfo" | "scopeId", value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_UINT32) return value;
  throw numberError(
    "ERR_INVALID_ADDRESS",
    value,
    `Cannot use ${show(value)} as ${name}: give an integer from 0 to ${MAX_UINT32}`,
  );
}

function notAnAddress(value: unknown): TypeError {
  return typeError(
    "ERR_INVALID_ADDRESS",
    `Cannot use ${showFields(value)} as a socket address: give { address, port } or { path }`,
  );
}

/** Formats an object with its fields, for an error. */
function showFields(value: unknown): string {
  if (typeof value !== "object" || value === null) return show(value);
  try {
    return JSON.stringify(value);
  } catch {
    return show(value);
  }
}

function notALiteral(text: string): TypeError {
  const todo = text.startsWith("[")
    ? "write IPv6 addresses without brackets"
    : `call await resolve(${show(text)}) first and use an address that it gives`;
  return typeError("ERR_INVALID_ADDRESS", `Cannot use ${show(text)} as an IP address: ${todo}`);
}

/** The name of a family in the kernel's headers. */
export function familyName(family: number): string {
  return FAMILY_NAMES[family] ?? `family ${family}`;
}

const FAMILY_NAMES: Readonly<Record<number, string>> = {
  [AF_UNIX]: "AF_UNIX",
  [AF_INET]: "AF_INET",
  [AF_INET6]: "AF_INET6",
};

/** Whether `address` is the wildcard address or `"localhost"`, which exist in both families. */
export function namesNoFamily({ address }: InetAddress): boolean {
  return address === undefined || address === "" || address === "localhost";
}

function wrongFamily(shown: string | Uint8Array, family: number): TypeError {
  return typeError(
    "ERR_INVALID_ADDRESS",
    `Cannot use ${show(formatPath(shown))} on a socket of ${familyName(family)}: the families differ`,
  );
}
