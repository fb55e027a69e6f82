import type { ProtocolName } from "../echo/protocols.ts";
import type { Observer, Tally } from "../echo/server.ts";
import type { EngineName } from "../engine/engine.ts";
import { printable } from "./printable.ts";
import { type Styler, stylerFor } from "./style.ts";

/** What is served, where it listens and on what it runs. */
export interface Place {
  readonly protocol: ProtocolName;
  readonly host: string;
  readonly port: number;
  readonly engine: EngineName;
  /** Why that engine. */
  readonly why: string;
  /** How many workers; undefined when the main thread serves. */
  readonly workers?: number;
}

/** What a server has done, and where it has workers, how it was spread over them. */
export interface Served extends Tally {
  readonly workers?: Spread;
}

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
  listening(place: Place, keyboard: boolean): void;
  stopping(reason: string): void;
  stopped(served: Served): void;
}

/** Lines for a person. Quiet leaves out those of each connection and message. */
export function humanReport(quiet: boolean): ServeReport {
  const style = stylerFor(process.stdout);
  return {
    observer: quiet ? undefined : humanObserver(style),
    listening({ protocol, host, port, engine, why, workers }, keyboard) {
      const stop = keyboard ? "Ctrl-C or Enter stops it" : "Ctrl-C stops it";
      print(
        `${protocol} on ${style("bold", hostAndPort(host, port))}\n` +
          `  engine   ${engine}, ${why}\n` +
          (workers === undefined ? "" : `  workers  ${workersText(workers)}\n`) +
          `  try it   ${style("cyan", `nc ${reachable(host)} ${port}`)}\n` +
          `  ${style("dim", stop)}\n`,
      );
    },
    stopping: (reason) => print(`${style("dim", `stopping: ${reason}`)}\n`),
    stopped({ connections, messages, bytes, workers }) {
      const served = [
        counted(connections, "connection"),
        counted(messages, "message"),
        counted(bytes, "byte"),
      ];
      print(`served ${served.join(", ")}\n${workers === undefined ? "" : spreadText(workers)}`);
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
    listening({ protocol, host, port, engine, workers }) {
      printJson({ ready: true, listeners: [{ protocol, host, port, engine, workers }] });
    },
    stopping(reason) {
      if (!quiet) event("stopping", { reason });
    },
    stopped(served) {
      if (!quiet) event("stopped", served);
    },
  };
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

function hostAndPort(host: string, port: number): string {
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

function print(text: string): void {
  process.stdout.write(text);
}
