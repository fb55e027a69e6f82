import type { EngineName } from "polloi";
import type { ModelName } from "polloi/models";
import type { Observer } from "../echo/protocols.ts";
import type { ServedName } from "./flags.ts";
import type { RequestObserver } from "./http-site.ts";
import { printable, printLog, type Styler, stylerFor } from "./output.ts";

/** A server and its address. */
export interface ServerInfo {
  readonly protocol: ServedName;
  /** For TCP, the address and the port; for a unix socket, the path. */
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  /** Number of workers; undefined when the main thread serves. */
  readonly workers?: number;
  /** The serving model, if the command line has one. */
  readonly model?: { readonly name: ModelName; readonly text: string };
  /** The directory whose files are served. */
  readonly dir?: string;
  /** Whether connections use TLS. */
  readonly tls?: boolean;
}

/** The engine of all servers, and why it was chosen. */
export interface EngineInfo {
  readonly engine: EngineName;
  readonly why: string;
}

/** The totals of a server. */
export interface Totals {
  /** Counters by name, in the plural. */
  readonly counts: Readonly<Record<string, number>>;
  readonly workers?: WorkerTotals;
}

/** How connections were distributed over workers. */
export interface WorkerTotals {
  /** Connections that each worker accepted. */
  readonly connections: readonly number[];
  /** The ratio of the largest to the smallest of them; null when one is 0. */
  readonly balance: number | null;
}

/** The output of `polloi serve`: text or lines of JSON. */
export interface ServeOutput {
  /** Prints connections and messages; undefined when they are not to be printed. */
  readonly observer: Observer | undefined;
  /** Prints requests; undefined when they are not to be printed. */
  readonly requestObserver: RequestObserver | undefined;
  /** @param stopsOnEnter - Whether Enter at the keyboard stops the servers. */
  listening(servers: readonly ServerInfo[], engine: EngineInfo, stopsOnEnter: boolean): void;
  stopping(reason: string): void;
  stopped(servers: readonly (Totals & Pick<ServerInfo, "protocol">)[]): void;
}

/** Text for a person. @param quiet - Omits the lines of connections and messages. */
export function textOutput(quiet: boolean): ServeOutput {
  const style = stylerFor(process.stdout);
  return {
    observer: quiet ? undefined : textObserver(style),
    requestObserver: quiet
      ? undefined
      : (peer, method, target) => printLog(`${peer} ${method} ${targetText(target)}\n`),
    listening(servers, engine, stopsOnEnter) {
      const stop = stopsOnEnter ? "Ctrl-C or Enter stops it" : "Ctrl-C stops it";
      const texts = servers.map((server, i) => serverText(server, engine, i === 0, style));
      printLog(`${texts.join("")}  ${style("dim", stop)}\n`);
    },
    stopping: (reason) => printLog(`${style("dim", `stopping: ${reason}`)}\n`),
    stopped(servers) {
      for (const { protocol, counts, workers } of servers) {
        const totals = Object.entries(counts).map(([name, n]) => counted(n, name.slice(0, -1)));
        const label = servers.length === 1 ? "" : `${protocol}: `;
        const details = workers === undefined ? "" : workerTotalsText(workers);
        printLog(`${label}served ${totals.join(", ")}\n${details}`);
      }
    },
  };
}

/** Lines of JSON. @param quiet - Omits all lines but the first, which says that the servers are ready. */
export function jsonOutput(quiet: boolean): ServeOutput {
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
    requestObserver: quiet
      ? undefined
      : (peer, method, target) => event("request", { peer, method, target }),
    listening(servers, { engine }) {
      const listeners = servers.map((server) => {
        const { protocol, host, port, path, workers, dir, model } = server;
        const used = hasEventLoop(server) ? engine : undefined;
        return { protocol, host, port, path, model: model?.name, engine: used, workers, dir };
      });
      printJson({ ready: true, listeners });
    },
    stopping(reason) {
      if (!quiet) event("stopping", { reason });
    },
    stopped(servers) {
      if (quiet) return;
      const all = servers.map(({ protocol, counts, workers }) => ({
        protocol,
        ...counts,
        workers,
      }));
      const [{ protocol: _, ...only } = {}, ...others] = all;
      event("stopped", others.length === 0 ? only : { listeners: all });
    },
  };
}

/** @param isFirst - Whether to print what all servers have in common. */
function serverText(
  server: ServerInfo,
  { engine, why }: EngineInfo,
  isFirst: boolean,
  style: Styler,
): string {
  const { protocol, workers, dir, model } = server;
  return (
    `${protocol} on ${style("bold", addressText(server))}\n` +
    (model === undefined ? "" : `  model    ${model.name}: ${model.text}\n`) +
    (isFirst && hasEventLoop(server) ? `  engine   ${engine}, ${why}\n` : "") +
    (isFirst && workers !== undefined ? `  workers  ${workersText(workers)}\n` : "") +
    (dir === undefined ? "" : `  files    ${dir}\n`) +
    `  try it   ${style("cyan", exampleText(server))}\n`
  );
}

function hasEventLoop({ model }: ServerInfo): boolean {
  return model === undefined || model.name === "event" || model.name === "prefork";
}

/** A command that connects to a server. */
function exampleText({ protocol, host = "", port, path, tls }: ServerInfo): string {
  if (protocol === "http") {
    // The certificate may be for another name.
    const [curl, scheme] = tls ? ["curl --insecure", "https"] : ["curl", "http"];
    if (path === undefined) return `${curl} ${scheme}://${hostAndPort(localHost(host), port)}/`;
    const flag = path.startsWith("@") ? "--abstract-unix-socket" : "--unix-socket";
    return `${curl} ${flag} ${path.replace(/^@/, "")} ${scheme}://localhost/`;
  }
  if (tls) {
    const to = path === undefined ? `${localHost(host)} ${port}` : `unix:${path}`;
    return `polloi connect --tls --insecure ${to}`;
  }
  return path === undefined ? `nc ${localHost(host)} ${port}` : `polloi connect unix:${path}`;
}

function addressText({ host = "", port, path }: ServerInfo): string {
  return path ?? hostAndPort(host, port);
}

/** A request target, shortened and without control characters. */
function targetText(target: string): string {
  return printable(Buffer.from(target, "latin1")).replace(/^"(.*)"/, "$1");
}

function textObserver(style: Styler): Observer {
  return {
    opened: (peer) => printLog(`${peer} ${style("green", "connected")}\n`),
    received: (peer, bytes) =>
      printLog(`${peer} sent ${counted(bytes.length, "byte")}: ${printable(bytes)}\n`),
    closed: (peer, error) => {
      const text =
        error === undefined ? style("dim", "closed") : style("yellow", `lost: ${error.message}`);
      printLog(`${peer} ${text}\n`);
    },
  };
}

function workersText(workers: number): string {
  if (workers === 1) return "1 thread";
  return `${workers} threads, each with its own listener; the kernel distributes connections`;
}

function workerTotalsText({ connections, balance }: WorkerTotals): string {
  const each = connections.map((count, i) => `worker ${i}: ${counted(count, "connection")}`);
  const ratio = balance === null ? "" : `; ratio of most to fewest ${balance.toFixed(2)}`;
  return `  ${each.join(", ")}${ratio}\n`;
}

function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function hostAndPort(host: string, port: number | undefined): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The address at which a server that listens on every address can be reached. */
function localHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

function printJson(value: object): void {
  printLog(`${JSON.stringify(value)}\n`);
}
