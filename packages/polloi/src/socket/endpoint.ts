import { show, typeError } from "../base/misuse.ts";
import { ipVersion } from "./ip.ts";

/** An address to connect to or to listen on, as a user writes it. */
export type Endpoint =
  | {
      /** The scheme in lower case, such as `"tcp"` or `"http"`; undefined if there is none. */
      readonly scheme: string | undefined;
      /** A name or an IP address, without brackets. */
      readonly host: string;
      readonly port: number | undefined;
      /** The rest after the authority, from `/`, `?` or `#` on; empty without a scheme. */
      readonly rest: string;
      readonly path?: undefined;
    }
  | {
      /** The path of a unix socket; with a leading NUL a name of the abstract namespace. */
      readonly path: string;
    };

const MAX_PORT = 65_535;

/**
 * Parses an endpoint: `HOST`, `HOST:PORT`, `::1`, `[::1]`, `[::1]:PORT`, `tcp://HOST:PORT`,
 * `http://HOST:PORT/PATH`, `unix:PATH`, `unix:///PATH`, `/PATH`, or `@NAME` for an abstract socket.
 *
 * @remarks
 * The authority of a URL is parsed as without a scheme. The caller decides whether a scheme, a port or a path is
 * allowed.
 *
 * @throws TypeError `ERR_INVALID_ADDRESS` with the reason
 */
export function parseEndpoint(text: string): Endpoint {
  const wrong = (why: string): Error =>
    typeError("ERR_INVALID_ADDRESS", `Cannot use ${show(text)} as an address: ${why}`);
  if (typeof text !== "string" || text.trim() === "") {
    throw wrong("give HOST:PORT, [IPV6]:PORT or unix:PATH");
  }
  const path = unixPathOf(text);
  if (path !== undefined) {
    if (path === "" || path === "\0") throw wrong("the path of the unix socket is missing");
    return { path };
  }
  const [, scheme, authority = "", rest = ""] =
    /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#]*)(.*)$/is.exec(text) ?? [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  if (/[\x00-\x20\x7f]/.test(authority)) {
    throw wrong("a host has no spaces, line breaks or control characters in it");
  }
  if (authority.includes("@")) throw wrong("leave out the user name: nothing is logged in to");
  if (scheme === undefined && rest !== "") throw wrong("a host and a port have nothing after them");
  const { host, port } = splitPort(authority, wrong);
  return { scheme: scheme?.toLowerCase(), host, port, rest };
}

function unixPathOf(text: string): string | undefined {
  const named = /^unix:(?:\/\/)?(.*)$/is.exec(text)?.[1];
  const path = named ?? (/^[@/.]|^[^:]*\//.test(text) ? text : undefined);
  return path?.replace(/^@/, "\0");
}

function splitPort(
  authority: string,
  wrong: (why: string) => Error,
): { host: string; port: number | undefined } {
  // An IPv6 address without brackets cannot have a port.
  if (isIPv6(authority)) return { host: authority, port: undefined };
  const [, bracketed, name, colon, digits = ""] =
    /^(?:\[([^\]]*)\]|([^:[\]]*))(?:(:)([^:]*))?$/s.exec(authority) ?? [];
  const host = bracketed ?? name;
  if (host === undefined) {
    throw wrong("a host has one colon at most; an IPv6 address with a port is [::1]:80");
  }
  if (bracketed !== undefined && !isIPv6(bracketed)) {
    throw wrong("only an IPv6 address stands in brackets");
  }
  if (host === "") throw wrong("the host is missing");
  if (colon === undefined) return { host, port: undefined };
  const port = /^\d+$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(port <= MAX_PORT)) throw wrong(`a port is a whole number up to ${MAX_PORT}`);
  return { host, port };
}

/** Whether `text` is an IPv6 address, with or without a zone. */
function isIPv6(text: string): boolean {
  return ipVersion(text.split("%", 1)[0] as string) === 6;
}
