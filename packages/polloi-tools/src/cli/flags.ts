/**
 * Parsers of arguments and flags.
 *
 * @remarks
 * The message of an error says what to give instead. It becomes the end of a line: `cannot use '0' as --turns: give a
 * whole number from 1 up`.
 */

import { statSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import type { EngineChoice } from "polloi";
import { type Endpoint, IpRanges, nearestOf, parseEndpoint } from "polloi/internal/pure";
import type { ProtocolName } from "../echo/protocols.ts";

const MAX_INT = 0x7fffffff;
const MAX_PORT = 65535;
/** The limit of `polloi/workers`, which is not loaded for parsing. */
const MAX_WORKERS = 1024;
/** The limit of `polloi/models`. */
const MAX_CHILDREN = 10_000;

/** The units of durations in milliseconds. */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** The protocols of `polloi serve`. */
export type ServedName = ProtocolName | "http";

// Not read from the library, which may fail to load: help and doctor must still work.
export const ENGINES: readonly EngineChoice[] = ["auto", "io_uring", "epoll", "poll", "select"];
export const SERVED: readonly ServedName[] = ["echo", "upper", "discard", "http"];

/** A protocol to serve, and its port if the command line has one. */
export interface RequestedProtocol {
  readonly protocol: ServedName;
  readonly port?: number;
}

/** One protocol or several, separated by commas, each with a port or without. */
export function protocols(text: string): readonly RequestedProtocol[] {
  return text.split(",").map((item) => {
    const [name, port] = item.split(/:(.*)/s);
    const protocol = SERVED.find((known) => known === name);
    if (protocol === undefined) {
      const port = /^\d+$/.test(item) ? `; a port is given as --port ${item}` : "";
      throw new InvalidArgumentError(`${allowed(SERVED)}${port}${didYouMean(name ?? "", SERVED)}`);
    }
    return port === undefined ? { protocol } : { protocol, port: portToListen(port) };
  });
}

const DEFAULT_PORTS: Readonly<Record<ServedName, number>> = {
  echo: 7788,
  upper: 7788,
  discard: 7788,
  http: 8080,
};

/** The port of each protocol: its own, otherwise that of `--port`, otherwise the default. */
export function portsFor(
  requested: readonly RequestedProtocol[],
  flag: number | undefined,
): number[] {
  return requested.map(({ protocol, port }, i) => {
    const given = i === 0 || flag === 0 ? flag : undefined;
    return port ?? given ?? DEFAULT_PORTS[protocol];
  });
}

/** A parser of one of several words. */
export function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`${allowed(words)}${didYouMean(text, words)}`);
  };
}

function allowed(words: readonly string[]): string {
  return `give ${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** A port to listen on; 0 picks a free one. */
export function portToListen(text: string): number {
  return wholeNumber(text, 0, MAX_PORT, "give a whole number from 0 (a free port) to 65535");
}

/** A port to connect to. */
export function portToConnect(text: string): number {
  return wholeNumber(text, 1, MAX_PORT, "give a whole number from 1 to 65535");
}

/** The length of a backlog. */
export function backlog(text: string): number {
  return wholeNumber(text, 0, MAX_INT, `give a whole number from 0 to ${MAX_INT}`);
}

const AUTO_OR_NUMBER = `give auto (one per processor) or a whole number from 1 to ${MAX_WORKERS}`;

/** A number of workers, or one per processor. */
export function workers(text: string): number | "auto" {
  if (text === "auto") return text;
  return wholeNumber(text, 1, MAX_WORKERS, AUTO_OR_NUMBER);
}

/** A number of processes to start, or one per processor. */
export function children(text: string): number | "auto" {
  if (text === "auto") return text;
  return wholeNumber(text, 1, MAX_WORKERS, AUTO_OR_NUMBER);
}

/** A maximum of concurrent processes or threads. */
export function maxChildren(text: string): number {
  return wholeNumber(text, 1, MAX_CHILDREN, `give a whole number from 1 to ${MAX_CHILDREN}`);
}

/** Text that is not empty, such as a path. */
export function notEmpty(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("it is empty");
  return text;
}

/** A host, with or without a port. */
export interface HostAddress {
  readonly host: string;
  readonly port: number | undefined;
  readonly path?: undefined;
}

/** A host, with or without a port, or a unix socket. */
export type Address = HostAddress | { readonly path: string };

/** Parses an address to connect to: `HOST`, `HOST:PORT`, `[::1]:PORT`, `tcp://...`, `unix:PATH`. */
export function address(text: string): Address {
  if (text.trim() === "") throw new InvalidArgumentError("give a name or an IP address");
  const found = endpoint(text);
  if (found.path !== undefined) return found;
  const { scheme = "tcp", host, port, rest } = found;
  if (scheme !== "tcp") {
    throw new InvalidArgumentError(
      `${scheme}:// is not supported; give tcp://HOST:PORT, HOST:PORT or unix:PATH`,
    );
  }
  if (rest !== "" && rest !== "/") {
    throw new InvalidArgumentError(`nothing follows a host and a port; leave out '${rest}'`);
  }
  return { host, port };
}

/** Parses `--host` as {@link address} does, without unix sockets, which have their own flag. */
export function listenAt(text: string): HostAddress {
  const found = address(text);
  if (found.path !== undefined) {
    throw new InvalidArgumentError("give a name or an IP address; a unix socket is --unix");
  }
  if (SOCKET_NAME.test(found.host)) {
    throw new InvalidArgumentError(`a unix socket is --unix (Did you mean --unix ${text}?)`);
  }
  return found;
}

/** Endings of the names of unix sockets, which no host name has. */
const SOCKET_NAME = /\.sock(?:et)?$/i;

/**
 * Suggests `unix:app.sock` for a name without a port that is that of a unix socket: such a file is there, or the name
 * ends as those of sockets do. Without a slash in it, it is read as a host.
 */
export function unixSuggestion(name: string): string {
  return SOCKET_NAME.test(name) || isSocketFile(name) ? ` (Did you mean unix:${name}?)` : "";
}

function isSocketFile(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false;
  }
}

/** The target of a load, which the library parses. Here a name that is that of a unix socket is refused. */
export function loadTarget(text: string): string {
  const suggestion = /[/:@]/.test(notEmpty(text)) ? "" : unixSuggestion(text);
  if (suggestion !== "") throw new InvalidArgumentError(`the port is missing${suggestion}`);
  return text;
}

/** Parses `--unix`: a path, or `@name` for the abstract namespace, with `unix:` before it or without. */
export function unixPath(text: string): string {
  const { path } = endpoint(/^unix:/i.test(text) ? text : `unix:${text}`);
  return path ?? text;
}

function endpoint(text: string): Endpoint {
  try {
    return parseEndpoint(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message.replace(/^.* as an address: /s, ""));
  }
}

/** The address of a page of the documentation, which is not part of the package. */
export function page(name: string): string {
  return `https://github.com/polloi/polloi/blob/main/docs/${name}.md`;
}

/**
 * The format of durations, as the help states it.
 *
 * @remarks
 * A number without a unit is in seconds, as in wrk, oha and autocannon.
 */
export const DURATIONS = "Times are in seconds, or have a unit: 10, 10s, 500ms, 2m, 1h.";

/** Parses a duration: `10` and `10s` are ten seconds; `500ms`, `2m`, `1.5h`. @returns Milliseconds. */
export function duration(text: string): number {
  const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS[unit] as number);
  if (ms > 0 && ms <= MAX_INT) return ms;
  throw new InvalidArgumentError(
    "give seconds above 0, or a number with a unit: 10, 500ms, 10s, 2m, 1h (24 days at most)",
  );
}

/** A duration as {@link duration} takes it, or 0. */
export function durationOrNone(text: string): number {
  return /^0+(?:\.0+)?(?:ms|s|m|h)?$/.test(text) ? 0 : duration(text);
}

/** A parser of whole numbers from `min` to `max`. */
export function wholeNumberFrom(min: number, max: number): (text: string) => number {
  const allowed = `give a whole number from ${min} to ${max}`;
  return (text) => wholeNumber(text, min, max, allowed);
}

function wholeNumber(text: string, min: number, max: number, allowed: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new InvalidArgumentError(allowed);
}

/** Ranges of the addresses of proxies, separated by commas. */
export function ranges(text: string): readonly string[] {
  const isProtocol = SERVED.some((name) => text.split(/[,:]/, 1)[0] === name);
  if (isProtocol) throw new InvalidArgumentError("without ranges, it stands behind the protocol");
  const list = listOf((item) => item, "127.0.0.0/8,10.1.2.3")(text);
  try {
    new IpRanges(list, "the ranges");
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message.replace(/^Cannot use /, ""));
  }
  return list;
}

/** A parser of lists whose items are separated by commas. @param example - What to give instead of an empty item. */
export function listOf<Item>(
  parse: (text: string) => Item,
  example: string,
): (text: string) => Item[] {
  return (text) => {
    const items = text.split(",").map((item) => item.trim());
    if (!items.includes("")) return items.map(parse);
    throw new InvalidArgumentError(`give a list separated by commas, such as ${example}`);
  };
}

/** ` (Did you mean echo?)` for a misspelling of a known word, in the words of commander; empty otherwise. */
export function didYouMean(word: string, known: readonly string[]): string {
  const nearest = nearestOf(word, known);
  return nearest === undefined ? "" : ` (Did you mean ${nearest}?)`;
}
