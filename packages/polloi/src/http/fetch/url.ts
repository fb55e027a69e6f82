import { hostOf, type SocketAddress } from "../../socket/address.ts";
import type { ParsedRequest } from "../request.ts";

/** Targets that a URL would not change: nothing to encode or decode, no dots to resolve. */
const PLAIN = /^(?:\/(?!\.)|[\w\-~!$&()*+,;=:@.?])+$/;
/** How many hosts are remembered: beyond that somebody is trying them out. */
const HOSTS = 256;

const origins = new Map<string, string>();
let lastHost = "";
let lastOrigin = "";

/** `http://` and the host, as a URL writes it; `undefined` when no URL has such a host. */
export function originOf(host: string): string | undefined {
  if (host === lastHost && host !== "") return lastOrigin;
  let origin = origins.get(host);
  if (origin === undefined) {
    const url = URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : undefined;
    if (url === undefined || url.host === "") return undefined;
    origin = url.origin;
    if (origins.size >= HOSTS) origins.clear();
    origins.set(host, origin);
  }
  lastHost = host;
  lastOrigin = origin;
  return origin;
}

/** The URL of a target that begins with a slash. */
export function resolve(origin: string, target: string): string {
  return PLAIN.test(target) ? origin + target : new URL(origin + target).href;
}

/** What a request that names no host was sent to: HTTP/1.0 need not say. */
export function listeningHost(address: SocketAddress | null): string {
  if (address === null || address.address === undefined) return "localhost";
  const host = hostOf(address);
  const bare = host.startsWith("::ffff:") ? host.slice("::ffff:".length) : host;
  // A zone has no place in a URL.
  const [ip = ""] = bare.split("%");
  return `${ip.includes(":") ? `[${ip}]` : ip}:${address.port}`;
}

/**
 * The URL of a request whose target is not the usual path: an absolute one, which says by itself where it
 * leads, or the asterisk of OPTIONS, whose path is `/*`.
 *
 * @returns `undefined` when it makes no URL.
 */
export function unusualUrl(request: ParsedRequest, origin: string): string | undefined {
  if (request.head.form === "asterisk") return `${origin}/*`;
  const { target } = request;
  return URL.canParse(target) ? new URL(target).href : undefined;
}
