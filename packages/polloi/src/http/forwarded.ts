/**
 * What the proxies of a request say about its client: `Forwarded`, or `X-Forwarded-For`, `-Proto` and `-Host`.
 *
 * @remarks
 * Every proxy appends the address of its own peer. So the last entry is that of the peer itself, which is trusted; the
 * entry before it is that of the proxy whose address the last entry has, and so on. Entries are read from the end, as long
 * as their addresses are of trusted proxies. Everything before the first other address may be made up by the client.
 */
import { type NamesOf, optionsOf } from "../base/argument.ts";
import { choiceOf, show, typeError } from "../base/misuse.ts";
import type { SocketAddress } from "../socket/address.ts";
import { AF_INET, AF_INET6 } from "../socket/constants.ts";
import { ipVersion } from "../socket/ip.ts";
import { IpRanges } from "../socket/ip-ranges.ts";
import { isAuthority } from "./wire/authority.ts";

/** The headers by which a proxy tells the address of its client. */
export type ForwardedHeaders = "forwarded" | "x-forwarded";

/** Which proxies a server trusts, and what they send. */
export interface TrustProxyOptions {
  /** The proxies: IP addresses, ranges in CIDR notation, and `"unix"` for peers on a unix socket. An empty list: none. */
  readonly trusted: readonly string[];
  /**
   * The headers that the proxies set: `"forwarded"` is Forwarded, and `"x-forwarded"` is X-Forwarded-For,
   * X-Forwarded-Proto and X-Forwarded-Host. The others are ignored. Default: both; a request in which they contradict each
   * other is answered with 400, because the client has made up one of them.
   */
  readonly headers?: ForwardedHeaders | undefined;
}

const TRUST_PROXY_OPTIONS: NamesOf<TrustProxyOptions> = { trusted: true, headers: true };
const HEADERS: readonly ForwardedHeaders[] = ["forwarded", "x-forwarded"];

/** The client of a request, as far as trusted proxies know it. */
export interface ForwardedClient {
  /** Its address; the port is 0 if it is not known. `null` if that of the peer is the last known one. */
  readonly address: SocketAddress | null;
  readonly scheme: "http" | "https" | undefined;
  /** The host that it asked for, with the port if it sent one. */
  readonly host: string | undefined;
}

/** What a proxy says about its peer. */
interface Entry {
  /** `null` if it is unknown, hidden, or no address. */
  readonly address: SocketAddress | null;
  readonly scheme: "http" | "https" | undefined;
  readonly host: string | undefined;
}

/** Headers by name in lower case. The values of a repeated header are joined by commas. */
export interface HeaderSource {
  header(name: string): string | undefined;
}

/** The proxies that a server trusts. */
export class TrustedProxies {
  readonly #ranges: IpRanges;
  readonly #headers: ForwardedHeaders | undefined;

  /** @throws TypeError `ERR_INVALID_OPTION` */
  constructor(option: readonly string[] | TrustProxyOptions) {
    const { trusted, headers } = checked(option);
    this.#ranges = new IpRanges(trusted, "trustProxy");
    this.#headers = headers;
  }

  /** Whether a peer is one of the proxies. */
  has(peer: SocketAddress | null): boolean {
    return this.#ranges.has(peer);
  }

  /**
   * The client of a request of a peer that is trusted.
   *
   * @returns `null` if the headers say nothing; a text that says why the request must be refused.
   */
  clientOf(request: HeaderSource): ForwardedClient | null | string {
    const standard =
      this.#headers === "x-forwarded" ? undefined : this.#forwarded(request.header("forwarded"));
    if (typeof standard === "string") return standard;
    const usual = this.#headers === "forwarded" ? undefined : this.#xForwarded(request);
    const client = standard ?? usual;
    if (client === undefined) return null;
    if (standard !== undefined && usual !== undefined && !agree(standard, usual)) {
      return "Forwarded and X-Forwarded headers contradict each other";
    }
    const host = client.host ?? usual?.host;
    if (host !== undefined && !isHost(host)) return "a forwarded host is no host";
    return { ...client, scheme: client.scheme ?? usual?.scheme, host };
  }

  #forwarded(value: string | undefined): ForwardedClient | undefined | string {
    if (value === undefined) return undefined;
    const entries = parseForwarded(value);
    if (entries === undefined) return "malformed Forwarded header";
    if (entries.length === 0) return undefined;
    const at = this.#last(entries);
    const { scheme, host } = entries[at] as Entry;
    return { address: addressAt(entries, at), scheme, host };
  }

  #xForwarded(request: HeaderSource): ForwardedClient | undefined {
    const addresses = listOf(request.header("x-forwarded-for"));
    const schemes = listOf(request.header("x-forwarded-proto"));
    const hosts = listOf(request.header("x-forwarded-host"));
    if (addresses.length + schemes.length + hosts.length === 0) return undefined;
    const entries = addresses.map((text) => ({ address: addressOf(text) }));
    const at = entries.length === 0 ? 0 : this.#last(entries);
    // A list of the same length has a value of each proxy. Otherwise the last value is that of the trusted peer.
    const of = (list: readonly string[]): string | undefined =>
      list.length === entries.length ? list[at] : list.at(-1);
    return { address: addressAt(entries, at), scheme: schemeOf(of(schemes)), host: of(hosts) };
  }

  /** The place of the entry that a trusted proxy has made of a peer that is not trusted, or not known. */
  #last(entries: readonly Pick<Entry, "address">[]): number {
    for (let at = entries.length - 1; at > 0; at--) {
      const { address } = entries[at] as Entry;
      if (address === null || !this.#ranges.has(address)) return at;
    }
    return 0;
  }
}

function checked(option: readonly string[] | TrustProxyOptions): TrustProxyOptions {
  if (Array.isArray(option)) return { trusted: option };
  if (typeof option !== "object" || option === null) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${show(option)} as trustProxy: give the addresses of the proxies, such as ["127.0.0.0/8"]`,
    );
  }
  const options = optionsOf(option as TrustProxyOptions, "trustProxy", TRUST_PROXY_OPTIONS);
  const { headers } = options;
  if (headers === undefined || HEADERS.includes(headers)) return options;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(headers)} as headers: give ${choiceOf(HEADERS)}`,
  );
}

/** The address of an entry. If there is none, that of the proxy that has made the entry. */
function addressAt(entries: readonly Pick<Entry, "address">[], at: number): SocketAddress | null {
  return entries[at]?.address ?? entries[at + 1]?.address ?? null;
}

/** Whether two descriptions may be of one client. */
function agree(one: ForwardedClient, other: ForwardedClient): boolean {
  const same = <T>(a: T | undefined, b: T | undefined): boolean =>
    a === undefined || b === undefined || a === b;
  return (
    one.address?.address === other.address?.address &&
    same(one.scheme, other.scheme) &&
    same(one.host?.toLowerCase(), other.host?.toLowerCase())
  );
}

function isHost(text: string): boolean {
  const bytes = Buffer.from(text, "latin1");
  return isAuthority(bytes, 0, bytes.length);
}

/** The values of a list without empty ones. */
function listOf(value: string | undefined): string[] {
  if (value === undefined) return [];
  return value
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function schemeOf(text: string | undefined): "http" | "https" | undefined {
  const scheme = text?.toLowerCase();
  return scheme === "http" || scheme === "https" ? scheme : undefined;
}

/**
 * The address of a node: an IP address, with a port or without.
 *
 * @remarks
 * IPv6 addresses are in brackets in Forwarded, and mostly not in X-Forwarded-For.
 *
 * @returns `null` for `unknown`, an obfuscated identifier, and anything else.
 * @source RFC 7239 section 6
 */
function addressOf(node: string): SocketAddress | null {
  if (ipVersion(node) === 6) return { address: node, port: 0, family: AF_INET6 };
  const [, bracketed, plain = "", port] = NODE.exec(node) ?? [];
  const address = bracketed ?? plain;
  const version = ipVersion(address);
  if (version !== (bracketed === undefined ? 4 : 6)) return null;
  // A port may be obfuscated.
  const number = /^\d{1,5}$/.test(port ?? "") ? Number(port) : 0;
  if (number > 0xffff) return null;
  return { address, port: number, family: version === 4 ? AF_INET : AF_INET6 };
}

const NODE = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::(\d{1,5}|_[\w.-]+))?$/i;

/** A parameter of an element, and the delimiter behind it. RFC 7239 section 4. */
const PARAMETER =
  /[\t ]*(?:([!#$%&'*+\-.^_`|~\w]+)=(?:([!#$%&'*+\-.^_`|~\w]+)|"((?:[\t !#-[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)")[\t ]*)?(;|,|$)/y;

/**
 * Parses a Forwarded header.
 *
 * @returns `undefined` if it is malformed. A client may have begun a quoted string that the entries of proxies would
 * continue, so nothing of it can be used.
 */
function parseForwarded(value: string): Entry[] | undefined {
  const entries: Entry[] = [];
  let parameters = new Map<string, string>();
  PARAMETER.lastIndex = 0;
  for (;;) {
    const match = PARAMETER.exec(value);
    if (match === null) return undefined;
    const [, name, token, quoted, delimiter] = match;
    if (name !== undefined) {
      const key = name.toLowerCase();
      if (parameters.has(key)) return undefined;
      parameters.set(key, token ?? (quoted as string).replace(/\\(.)/g, "$1"));
    }
    if (delimiter === ";") continue;
    if (parameters.size > 0) entries.push(entryOf(parameters));
    if (delimiter === "") return entries;
    parameters = new Map();
  }
}

function entryOf(parameters: ReadonlyMap<string, string>): Entry {
  const node = parameters.get("for");
  return {
    address: node === undefined || ipVersion(node) === 6 ? null : addressOf(node),
    scheme: schemeOf(parameters.get("proto")),
    host: parameters.get("host"),
  };
}
