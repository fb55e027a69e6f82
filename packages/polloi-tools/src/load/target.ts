import { show, typeError } from "polloi/internal";
import { type Endpoint, parseEndpoint } from "polloi/internal/pure";

/** What is asked: an echo server over TCP or a unix socket, or an HTTP server. */
export type Target =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | {
      readonly kind: "http";
      readonly host: string;
      readonly port: number;
      /** What stands in the Host field. */
      readonly authority: string;
      readonly path: string;
    };

const ALLOWED = "give tcp://HOST:PORT, http://HOST[:PORT]/PATH or unix:PATH";
const HTTP_PORT = 80;

/**
 * What a target means. Without a scheme it is an echo server over TCP.
 *
 * @throws TypeError `ERR_INVALID_ADDRESS`
 */
export function targetOf(text: string): Target {
  const wrong = (why = ALLOWED): Error =>
    typeError("ERR_INVALID_ADDRESS", `Cannot load ${show(text)}: ${why}`);
  if (typeof text !== "string") throw wrong();
  let endpoint: Endpoint;
  try {
    endpoint = parseEndpoint(text);
  } catch (error) {
    const [, why] = /^.* as an address: (.*)$/s.exec((error as Error).message) ?? [];
    throw wrong(`${why}; ${ALLOWED}`);
  }
  if (endpoint.path !== undefined) return { kind: "unix", path: endpoint.path };
  const { scheme = "tcp", host, port, rest } = endpoint;
  if (port === 0) throw wrong("port 0 cannot be connected to");
  switch (scheme) {
    case "tcp":
      if (port === undefined) throw wrong(`the port is missing; ${ALLOWED}`);
      if (rest !== "" && rest !== "/") throw wrong(`tcp:// has no path; ${ALLOWED}`);
      return { kind: "tcp", host, port };
    case "http": {
      const { authority, path } = httpParts(text, rest, wrong);
      return { kind: "http", host, port: port ?? HTTP_PORT, authority, path };
    }
    case "https":
      throw wrong("there is no TLS here; give http:// or tcp://");
    default:
      throw wrong(`there is no ${scheme}:// here; ${ALLOWED}`);
  }
}

/** The host as a Host field has it, and the path as a request line has it: without a fragment, which is the client's. */
function httpParts(
  text: string,
  rest: string,
  wrong: (why: string) => Error,
): { authority: string; path: string } {
  // URL would remove line breaks and tabs, and ask for something else than what was written.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  if (/[\x00-\x1f\x7f]/.test(rest)) {
    throw wrong("a path has no line breaks or control characters in it; write them as %0D%0A");
  }
  // The zone of an address is for this machine alone.
  const url = text.replace(/%[^/?#\]]*\]/, "]");
  if (!URL.canParse(url)) throw wrong(`it is no URL; ${ALLOWED}`);
  const { host, pathname, search } = new URL(url);
  return { authority: host, path: pathname + search };
}
