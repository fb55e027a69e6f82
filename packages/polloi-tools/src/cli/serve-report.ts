import type { EngineName } from "polloi";
import type { ModelName } from "polloi/models";
import type { Observer } from "../echo/server.ts";
import type { RequestObserver } from "./http-site.ts";
import { printLog as print } from "./output.ts";
import { printable } from "./printable.ts";
import type { ServedName } from "./serve-flags.ts";
import { type Styler, stylerFor } from "./style.ts";

/** What is served, where it listens and on what it runs. */
export interface Place {
  readonly protocol: ServedName;
  /** Where it listens; on a unix socket, its path. */
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly engine: EngineName;
  /** Why that engine. */
  readonly why: string;
  /** How many workers; undefined when the main thread serves. */
  readonly workers?: number;
  /** Which of the five ways it is, by name and in words; undefined when none was asked for. */
  readonly model?: { readonly name: ModelName; readonly text: string };
  /** The directory whose files are served. */
  readonly dir?: string;
}

/** What a server has done, and where it has workers, how it was spread over them. */
export interface Served {
  /** How many of what: the names are in the plural. */
  readonly counts: Readonly<Record<string, number>>;
  readonly workers?: Spread;
}

/** What each of the servers that run together has done. */
export type ServedByEach = readonly (Served & { readonly protocol: ServedName })[];

/** How connections were spread over workers. */
export interface Spread {
  /** How many each worker accepted. */
  readonly connections: readonly number[];
  /** The most of these by the fewest; null when one had none. */
  readonly balance: number | null;
}

/** How `polloi serve` tells what happens: to a person, or as lines of JSON to a program. */
export interface ServeReport {
  /** Told of each connection and message, if anyone is to be. */
  readonly observer: Observer | undefined;
  /** Told of each request, if anyone is to be. */
  readonly request: RequestObserver | undefined;
  listening(places: readonly Place[], keyboard: boolean): void;
  stopping(reason: string): void;
  stopped(each: ServedByEach): void;
}

/** Lines for a person. Quiet leaves out those of each connection and message. */
export function humanReport(quiet: boolean): ServeReport {
  const style = stylerFor(process.stdout);
  return {
    observer: quiet ? undefined : humanObserver(style),
    request: quiet
      ? undefined
      : (peer, method, target) => print(`${peer} ${method} ${shownTarget(target)}\n`),
    listening(places, keyboard) {
      const stop = keyboard ? "Ctrl-C or Enter stops it" : "Ctrl-C stops it";
      const text = places.map((place, i) => placeText(place, i === 0, style));
      print(`${text.join("")}  ${style("dim", stop)}\n`);
    },
    stopping: (reason) => print(`${style("dim", `stopping: ${reason}`)}\n`),
    stopped(each) {
      for (const { protocol, counts, workers } of each) {
        const served = Object.entries(counts).map(([what, n]) => counted(n, what.slice(0, -1)));
        const who = each.length === 1 ? "" : `${protocol}: `;
        print(
          `${who}served ${served.join(", ")}\n${workers === undefined ? "" : spreadText(workers)}`,
        );
      }
    },
  };
}

/** Lines of JSON. Quiet leaves only the first, which says that it is ready. */
export function jsonReport(quiet: boolean): ServeReport {
  const event = (name: string, more: object): void => printJson({ event: name, ...more });
  return {
    observer: quiet
      ? undefined
      : {
          opened: (peer) => event("open", { peer }),
          received: (peer, bytes) =>
            event("data", { peer, bytes: bytes.length, text: printable(bytes) }),
          closed: (peer, error) => event("close", { peer, error: error?.message }),
        },
    request: quiet
      ? undefined
      : (peer, method, target) => event("request", { peer, method, target }),
    listening(places) {
      const listeners = places.map((place) => {
        const { protocol, host, port, path, workers, dir, model } = place;
        const engine = loops(place) ? place.engine : undefined;
        return { protocol, host, port, path, model: model?.name, engine, workers, dir };
      });
      printJson({ ready: true, listeners });
    },
    stopping(reason) {
      if (!quiet) event("stopping", { reason });
    },
    stopped(each) {
      if (quiet) return;
      const all = each.map(({ protocol, counts, workers }) => ({ protocol, ...counts, workers }));
      const [{ protocol: _, ...only } = {}, ...others] = all;
      event("stopped", others.length === 0 ? only : { listeners: all });
    },
  };
}

/** @param isFirst - Later ones run on the same as the first. */
function placeText(place: Place, isFirst: boolean, style: Styler): string {
  const { protocol, engine, why, workers, dir, model } = place;
  return (
    `${protocol} on ${style("bold", addressText(place))}\n` +
    (model === undefined ? "" : `  model    ${model.name}: ${model.text}\n`) +
    (isFirst && loops(place) ? `  engine   ${engine}, ${why}\n` : "") +
    (isFirst && workers !== undefined ? `  workers  ${workersText(workers)}\n` : "") +
    (dir === undefined ? "" : `  files    ${dir}\n`) +
    `  try it   ${style("cyan", tryText(place))}\n`
  );
}

/** Whether it serves on an event loop, or on several. */
function loops({ model }: Place): boolean {
  return model === undefined || model.name === "event" || model.name === "prefork";
}

function tryText({ protocol, host = "", port, path }: Place): string {
  if (protocol === "http") {
    if (path === undefined) return `curl http://${hostAndPort(reachable(host), port)}/`;
    const flag = path.startsWith("@") ? "--abstract-unix-socket" : "--unix-socket";
    return `curl ${flag} ${path.replace(/^@/, "")} http://localhost/`;
  }
  return path === undefined ? `nc ${reachable(host)} ${port}` : `polloi connect unix:${path}`;
}

function addressText({ host = "", port, path }: Place): string {
  return path ?? hostAndPort(host, port);
}

/** A target as it was sent, but nothing that would move the cursor, and no more than fits. */
function shownTarget(target: string): string {
  return printable(Buffer.from(target, "latin1")).replace(/^"(.*)"/, "$1");
}

function humanObserver(style: Styler): Observer {
  return {
    opened: (peer) => print(`${peer} ${style("green", "connected")}\n`),
    received: (peer, bytes) =>
      print(`${peer} sent ${counted(bytes.length, "byte")}: ${printable(bytes)}\n`),
    closed: (peer, error) =>
      print(
        `${peer} ${error === undefined ? style("dim", "closed") : style("yellow", `lost: ${error.message}`)}\n`,
      ),
  };
}

function workersText(workers: number): string {
  if (workers === 1) return "1 thread";
  return `${workers} threads, each with its own listener; the kernel spreads connections`;
}

function spreadText({ connections, balance }: Spread): string {
  const each = connections.map((count, i) => `worker ${i}: ${counted(count, "connection")}`);
  const even = balance === null ? "" : `; the most by the fewest is ${balance.toFixed(2)}`;
  return `  ${each.join(", ")}${even}\n`;
}

function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function hostAndPort(host: string, port: number | undefined): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Where to reach a server that listens on every address. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

function printJson(value: object): void {
  print(`${JSON.stringify(value)}\n`);
}
