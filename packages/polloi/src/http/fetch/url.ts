import { hostOf, type SocketAddress } from "../../socket/address.ts";
import type { ParsedRequest } from "../request.ts";

/** Matches targets that a URL leaves unchanged: nothing to encode, and no dot segments. */
const PLAIN = /^(?:\/(?!\.)|[\w\-~!$&()*+,;=:@.?])+$/;
/** The most hosts to remember. */
const HOSTS = 256;

/** The origins of one scheme that were asked for, by host. */
interface Origins {
  readonly ofHost: Map<string, string>;
  lastHost: string;
  lastOrigin: string;
}

const ORIGINS: Readonly<Record<"http" | "https", Origins>> = {
  http: { ofHost: new Map(), lastHost: "", lastOrigin: "" },
  https: { ofHost: new Map(), lastHost: "", lastOrigin: "" },
};

/** The scheme and the normalized host; `undefined` if no URL can have this host. */
export function originOf(scheme: "http" | "https", host: string): string | undefined {
  const origins = ORIGINS[scheme];
  if (host === origins.lastHost && host !== "") return origins.lastOrigin;
  let origin = origins.ofHost.get(host);
  if (origin === undefined) {
    const text = `${scheme}://${host}`;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || url.host === "") return undefined;
    origin = url.origin;
    if (origins.ofHost.size >= HOSTS) origins.ofHost.clear();
    origins.ofHost.set(host, origin);
  }
  origins.lastHost = host;
  origins.lastOrigin = origin;
  return origin;
}

/** The URL of a target that begins with a slash. */
export function resolve(origin: string, target: string): string {
  return PLAIN.test(target) ? origin + target : new URL(origin + target).href;
}

/** The host of a request of HTTP/1.0 without Host: the address that it was sent to. */
export function listeningHost(address: SocketAddress | null): string {
  if (address === null || address.address === undefined) return "localhost";
  const host = hostOf(address);
  const bare = host.startsWith("::ffff:") ? host.slice("::ffff:".length) : host;
  // A URL cannot have a zone.
  const [ip = ""] = bare.split("%");
  return `${ip.includes(":") ? `[${ip}]` : ip}:${address.port}`;
}

/** The URL of a server that listens on an address; null for a unix socket. */
export function urlOf(scheme: "http" | "https", address: SocketAddress | null): URL | null {
  if (address === null || address.address === undefined) return null;
  const isWildcard = address.address === "0.0.0.0" || address.address === "::";
  const host = isWildcard ? `localhost:${address.port}` : listeningHost(address);
  return new URL(`${scheme}://${host}`);
}

/**
 * The URL of a request whose target is not a path: an absolute target, or the asterisk of OPTIONS, whose path is `/*`.
 *
 * @returns `undefined` if it is no URL.
 */
export function unusualUrl(request: ParsedRequest, origin: string): string | undefined {
  if (request.head.form === "asterisk") return `${origin}/*`;
  const { target } = request;
  if (!URL.canParse(target)) return undefined;
  const url = new URL(target);
  return request.isForwarded ? origin + url.pathname + url.search : url.href;
}
