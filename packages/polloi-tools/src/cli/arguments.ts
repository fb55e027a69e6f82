/** What flags may be given: each parser names what is allowed when it was given something else. */

import { InvalidArgumentError } from "commander";
import { type Endpoint, parseEndpoint } from "polloi/internal/pure";
import type { Asked, ServedName } from "./serve-flags.ts";
import { didYouMean } from "./suggest.ts";

const MAX_INT = 0x7fffffff;
const MAX_PORT = 65535;
/** As many as `polloi/workers` allows, which is not loaded for this. */
const MAX_WORKERS = 1024;
/** As many as `polloi/models` allows. */
const MAX_CHILDREN = 10_000;

/** Milliseconds in the units that a duration may have. */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

// Said here and not read from the library, which may fail to load: help and doctor must still work.
export const SERVED: readonly ServedName[] = ["echo", "upper", "discard", "http"];

/** What to serve: one protocol, or several with commas between, each with a port of its own or without. */
export function protocols(text: string): readonly Asked[] {
  return text.split(",").map((item) => {
    const [name, port] = item.split(/:(.*)/s);
    const protocol = SERVED.find((known) => known === name);
    if (protocol === undefined) {
      const port = /^\d+$/.test(item) ? ` A port is given as --port ${item}.` : "";
      throw new InvalidArgumentError(`${allowed(SERVED)}${port}${didYouMean(name ?? "", SERVED)}`);
    }
    return port === undefined ? { protocol } : { protocol, port: portToListen(port) };
  });
}

/** A parser of one of a few words. */
export function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`${allowed(words)}${didYouMean(text, words)}`);
  };
}

function allowed(words: readonly string[]): string {
  return `Allowed choices are ${words.join(", ")}.`;
}

/** A port to listen on; 0 picks a free one. */
export function portToListen(text: string): number {
  return wholeNumber(text, 0, MAX_PORT, "A port is a whole number from 0 (a free one) to 65535.");
}

/** A port to connect to. */
export function portToConnect(text: string): number {
  return wholeNumber(text, 1, MAX_PORT, "A port is a whole number from 1 to 65535.");
}

/** How many connections may wait to be accepted. */
export function backlog(text: string): number {
  return wholeNumber(text, 0, MAX_INT, `A backlog is a whole number from 0 to ${MAX_INT}.`);
}

/** How many workers: a number, or one for each processor. */
export function workers(text: string): number | "auto" {
  if (text === "auto") return text;
  const allowed = "Workers are auto (one for each processor) or a whole number from 1 to 1024.";
  return wholeNumber(text, 1, MAX_WORKERS, allowed);
}

/** How many processes to start beforehand: a number, or one for each processor. */
export function children(text: string): number | "auto" {
  if (text === "auto") return text;
  const allowed = "Children are auto (one for each processor) or a whole number from 1 to 1024.";
  return wholeNumber(text, 1, MAX_WORKERS, allowed);
}

/** How many processes or threads there may be at once. */
export function maxChildren(text: string): number {
  return wholeNumber(text, 1, MAX_CHILDREN, "Give a whole number from 1 to 10000.");
}

/** Text that is not empty: the path of a file, the target of a load. */
export function notEmpty(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("It is empty.");
  return text;
}

/** A host and perhaps a port. */
export interface HostAddress {
  readonly host: string;
  readonly port: number | undefined;
  readonly path?: undefined;
}

/** A host and perhaps a port, or a unix socket. */
export type Address = HostAddress | { readonly path: string };

/** Parses what `connect` connects to: `HOST`, `HOST:PORT`, `[::1]:PORT`, `tcp://...`, `unix:PATH`. */
export function address(text: string): Address {
  if (text.trim() === "") throw new InvalidArgumentError("Give a name or an IP address.");
  const found = endpoint(text);
  if (found.path !== undefined) return found;
  const { scheme = "tcp", host, port, rest } = found;
  if (scheme !== "tcp") {
    throw new InvalidArgumentError(
      `There is no ${scheme}:// here: give tcp://HOST:PORT, HOST:PORT or unix:PATH.`,
    );
  }
  if (rest !== "" && rest !== "/") {
    throw new InvalidArgumentError(`Nothing follows a host and a port: leave out '${rest}'.`);
  }
  return { host, port };
}

/** Parses `--host`: as {@link address} does, but a unix socket has a flag of its own. */
export function listenAt(text: string): HostAddress {
  const found = address(text);
  if (found.path === undefined) return found;
  throw new InvalidArgumentError("Give a name or an IP address; a unix socket is --unix.");
}

/** Parses `--unix`: a path, or `@name` for the abstract namespace; `unix:` may stand before it. */
export function unixPath(text: string): string {
  const { path } = endpoint(/^unix:/i.test(text) ? text : `unix:${text}`);
  return path ?? text;
}

function endpoint(text: string): Endpoint {
  try {
    return parseEndpoint(text);
  } catch (error) {
    const why = (error as Error).message.replace(/^.* as an address: /s, "");
    throw new InvalidArgumentError(`${why.charAt(0).toUpperCase()}${why.slice(1)}.`);
  }
}

/**
 * The rule for every flag that takes a duration, as the help states it.
 *
 * @remarks
 * A bare number is seconds, as in wrk, oha and autocannon.
 */
export const DURATIONS = "Times are seconds, or have a unit: 10, 10s, 500ms, 2m, 1h.";

/** Parses a duration: `10` and `10s` are ten seconds; `500ms`, `2m`, `1.5h`. @returns Milliseconds. */
export function duration(text: string): number {
  const [, number, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS[unit] as number);
  if (ms > 0 && ms <= MAX_INT) return ms;
  throw new InvalidArgumentError(
    "Give seconds above 0, or a number with a unit: 10, 500ms, 10s, 2m, 1h (24 days at most).",
  );
}

/** A duration as {@link duration} takes it, or 0. */
export function durationOrNone(text: string): number {
  return /^0+(?:\.0+)?(?:ms|s|m|h)?$/.test(text) ? 0 : duration(text);
}

/** A parser of whole numbers from `least` to `most`. */
export function wholeNumberFrom(least: number, most: number): (text: string) => number {
  const allowed = `Give a whole number from ${least} to ${most}.`;
  return (text) => wholeNumber(text, least, most, allowed);
}

function wholeNumber(text: string, least: number, most: number, allowed: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new InvalidArgumentError(allowed);
}
