import { show, typeError } from "../base/misuse.ts";

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
 * What a target means.
 *
 * @throws TypeError `ERR_INVALID_ADDRESS`
 */
export function targetOf(text: string): Target {
  const wrong = (why = ALLOWED): Error =>
    typeError("ERR_INVALID_ADDRESS", `Cannot load ${show(text)}: ${why}`);
  if (typeof text !== "string") throw wrong();
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (path === "" || path === "@") throw wrong();
    return { kind: "unix", path: path.startsWith("@") ? `\0${path.slice(1)}` : path };
  }
  if (text.startsWith("https:")) throw wrong("there is no TLS here; give http:// or tcp://");
  // As http, since URL knows its parts; whether a port was written is lost with 80, so that is looked for.
  const scheme = /^(tcp|http):\/\//.exec(text)?.[1];
  const rest = scheme === undefined ? "" : text.slice(`${scheme}://`.length);
  if (scheme === undefined || !URL.canParse(`http://${rest}`)) throw wrong();
  const url = new URL(`http://${rest}`);
  if (url.username !== "" || url.password !== "" || url.hash !== "") throw wrong();
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const written = /^[^/?#]*:(\d+)(?:[/?#]|$)/.exec(rest)?.[1];
  const port = written === undefined ? HTTP_PORT : Number(written);
  if (port === 0) throw wrong("port 0 cannot be connected to");
  if (scheme === "http") {
    return { kind: "http", host, port, authority: url.host, path: url.pathname + url.search };
  }
  if (written === undefined || url.pathname !== "/" || url.search !== "") throw wrong();
  return { kind: "tcp", host, port };
}
