import type { Observer, ProtocolServer, Tally } from "../echo/server.ts";
import type { EngineName } from "../engine/engine.ts";
import { printable } from "./printable.ts";
import { type Styler, stylerFor } from "./style.ts";

/** Where a server listens and on what it runs. */
export interface Place {
  readonly host: string;
  readonly port: number;
  readonly engine: EngineName;
  /** Why that engine. */
  readonly why: string;
}

/** How `polloi serve` tells what happens: to a person, or as lines of JSON to a program. */
export interface ServeReport {
  /** Told of each connection and message, if anyone is to be. */
  readonly observer: Observer | undefined;
  listening(server: ProtocolServer, place: Place, keyboard: boolean): void;
  stopping(reason: string): void;
  stopped(tally: Tally): void;
}

/** Lines for a person. Quiet leaves out those of each connection and message. */
export function humanReport(quiet: boolean): ServeReport {
  const style = stylerFor(process.stdout);
  return {
    observer: quiet ? undefined : humanObserver(style),
    listening({ protocol }, { host, port, engine, why }, keyboard) {
      const stop = keyboard ? "Ctrl-C or Enter stops it" : "Ctrl-C stops it";
      print(
        `${protocol} on ${style("bold", hostAndPort(host, port))}\n` +
          `  engine   ${engine}, ${why}\n` +
          `  try it   ${style("cyan", `nc ${reachable(host)} ${port}`)}\n` +
          `  ${style("dim", stop)}\n`,
      );
    },
    stopping: (reason) => print(`${style("dim", `stopping: ${reason}`)}\n`),
    stopped({ connections, messages, bytes }) {
      const served = [
        counted(connections, "connection"),
        counted(messages, "message"),
        counted(bytes, "byte"),
      ];
      print(`served ${served.join(", ")}\n`);
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
    listening({ protocol }, { host, port, engine }) {
      printJson({ ready: true, listeners: [{ protocol, host, port, engine }] });
    },
    stopping(reason) {
      if (!quiet) event("stopping", { reason });
    },
    stopped(tally) {
      if (!quiet) event("stopped", tally);
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
