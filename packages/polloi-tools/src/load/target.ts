import { show, typeError } from "polloi/internal";
import { type Endpoint, parseEndpoint } from "polloi/internal/pure";
import { createConnection, resolve } from "polloi/socket";

/** The server under load: an echo server over TCP, TLS or a unix socket, or an HTTP server. */
export type Target =
  | {
      readonly kind: "tcp";
      readonly host: string;
      readonly port: number;
      /** Whether the connections use TLS. */
      readonly isSecure: boolean;
    }
  | { readonly kind: "unix"; readonly path: string }
  | {
      readonly kind: "http";
      readonly host: string;
      readonly port: number;
      readonly isSecure: boolean;
      /** The value of the Host field. */
      readonly authority: string;
      readonly path: string;
    };

/** The address of a target, with its name resolved. */
export type TargetAddress =
  | { readonly host: string; readonly port: number }
  | { readonly path: string };

const ALLOWED = "give tcp://HOST:PORT, tls://HOST:PORT, http[s]://HOST[:PORT]/PATH or unix:PATH";
const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/**
 * Parses a target. Without a scheme it is an echo server over TCP.
 *
 * @throws TypeError `ERR_INVALID_ADDRESS`
 */
export function parseTarget(text: string): Target {
  const invalid = (why = ALLOWED): Error =>
    typeError("ERR_INVALID_ADDRESS", `Cannot load ${show(text)}: ${why}`);
  if (typeof text !== "string") throw invalid();
  let endpoint: Endpoint;
  try {
    endpoint = parseEndpoint(text);
  } catch (error) {
    const [, why] = /^.* as an address: (.*)$/s.exec((error as Error).message) ?? [];
    throw invalid(`${why}; ${ALLOWED}`);
  }
  if (endpoint.path !== undefined) return { kind: "unix", path: endpoint.path };
  const { scheme = "tcp", host, port, rest } = endpoint;
  if (port === 0) throw invalid("port 0 cannot be connected to");
  switch (scheme) {
    case "tcp":
    case "tls":
      if (port === undefined) throw invalid(`the port is missing; ${ALLOWED}`);
      if (rest !== "" && rest !== "/") throw invalid(`${scheme}:// has no path; ${ALLOWED}`);
      return { kind: "tcp", host, port, isSecure: scheme === "tls" };
    case "http":
    case "https": {
      const isSecure = scheme === "https";
      const { authority, path } = httpParts(text, rest, invalid);
      const byDefault = isSecure ? HTTPS_PORT : HTTP_PORT;
      return { kind: "http", host, port: port ?? byDefault, isSecure, authority, path };
    }
    default:
      throw invalid(`${scheme}:// is not supported; ${ALLOWED}`);
  }
}

/** The host as in a Host field, and the path as in a request line, without the fragment. */
function httpParts(
  text: string,
  rest: string,
  invalid: (why: string) => Error,
): { authority: string; path: string } {
  // URL would remove line breaks and tabs, and so request another path than the one that was given.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is searched for.
  if (/[\x00-\x1f\x7f]/.test(rest)) {
    throw invalid("a path has no line breaks or control characters; write them as %0D%0A");
  }
  // The zone of an IPv6 address has a meaning on this machine only.
  const url = text.replace(/%[^/?#\]]*\]/, "]");
  if (!URL.canParse(url)) throw invalid(`it is not a URL; ${ALLOWED}`);
  const { host, pathname, search } = new URL(url);
  return { authority: host, path: pathname + search };
}

/**
 * Resolves a target. Of several addresses it takes the first that accepts a connection.
 *
 * @throws ResolveError with the code `ENOTFOUND` or `EAI_AGAIN`
 */
export async function resolveTarget(target: Target, timeoutMs: number): Promise<TargetAddress> {
  if (target.kind === "unix") return { path: target.path };
  const { host, port } = target;
  const [{ address: first }, ...others] = await resolve(host);
  if (others.length === 0) return { host: first, port };
  for (const address of [first, ...others.map(({ address }) => address)]) {
    try {
      using _ = await createConnection({ host: address, port, timeoutMs });
      return { host: address, port };
    } catch {
      // If no address accepts, the report of the load shows the failure.
    }
  }
  return { host: first, port };
}
