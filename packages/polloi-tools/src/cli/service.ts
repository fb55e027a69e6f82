import { readFileSync } from "node:fs";
import type { EngineChoice, Reactor, Trigger } from "polloi";
import type { AccessFormat } from "polloi/http";
import type { AtLimit, ModelName, ModelServer, Sharing } from "polloi/models";
import type { SocketAddress } from "polloi/socket";
import type { WorkerPool } from "polloi/workers";
import { errorLine, hintLine } from "./errors.ts";
import type { ServedName } from "./flags.ts";
import { complain } from "./output.ts";
import type { ServeOutput, Totals } from "./serve-output.ts";
import type { TraceFlags } from "./trace.ts";

/** The flags of `polloi serve`. */
export interface ServeFlags {
  readonly host: string;
  readonly port?: number;
  /** A path, or a name with a leading NUL. */
  readonly unix?: string;
  readonly engine: EngineChoice;
  readonly trigger?: Trigger;
  readonly workers?: number | "auto";
  /** The serving model; without it, an event loop on this thread or on each worker. */
  readonly model?: ModelName;
  readonly children?: number | "auto";
  readonly share?: Sharing;
  readonly maxChildren?: number;
  readonly atLimit?: AtLimit;
  readonly backlog?: number;
  /** From `--delay` and `--no-delay`; undefined when neither is given. */
  readonly delay?: boolean;
  /** In milliseconds. */
  readonly idleTimeout?: number;
  /** In milliseconds. */
  readonly grace?: number;
  readonly dir?: string;
  readonly listing?: boolean;
  readonly dotfiles?: boolean;
  /** In milliseconds. */
  readonly maxAge?: number;
  /** A path, or `-` for standard output. */
  readonly accessLog?: string;
  readonly logFormat?: AccessFormat;
  /** From `--proxy-protocol`: the addresses of the proxies; true for those on this machine. */
  readonly proxyProtocol?: true | readonly string[];
  /** Files in PEM format; both or none is set. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly quiet?: boolean;
  readonly json?: boolean;
  /** Set by `polloi trace serve`. */
  readonly trace?: TraceFlags;
}

/** Where a server listens. */
export interface ListenAddress {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly dualStack?: boolean;
  readonly backlog?: number;
}

/** A server on the reactor of this thread. */
export interface LocalServer {
  readonly address: SocketAddress | null;
  counts(): Totals["counts"];
  stop(graceMs: number): Promise<void>;
}

/** A protocol, and how it is served on this thread, on workers, and by a serving model. */
export interface Service {
  readonly protocol: ServedName;
  /** The directory whose files are served. */
  readonly dir?: string | undefined;
  onReactor(reactor: Reactor, address: ListenAddress): Promise<LocalServer>;
  onWorkers(count: number): Promise<ChildModule & { counts(pool: WorkerPool): Totals["counts"] }>;
  byModel(): Promise<
    ChildModule & {
      readonly idleTimeoutMs?: number | undefined;
      readonly tls?: TlsFiles;
      readonly observer?: ServeOutput["observer"];
      counts(server: ModelServer): Totals["counts"];
      /** Called when the server is ready. */
      started?(server: ModelServer): void;
    }
  >;
}

/** The module of a worker or a child process, its data, and a handler of its messages. */
export interface ChildModule {
  readonly module: URL;
  readonly data: unknown;
  readonly message?: (message: unknown) => void;
}

/** A certificate and its key in PEM format. It is passed to workers. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** The option `tls` for `--tls-cert` and `--tls-key`. @throws Error if a file cannot be read. */
export function readTlsFiles({ tlsCert, tlsKey }: ServeFlags): { readonly tls?: TlsFiles } {
  if (tlsCert === undefined || tlsKey === undefined) return {};
  return { tls: { cert: readFileSync(tlsCert, "utf8"), key: readFileSync(tlsKey, "utf8") } };
}

/** Reports a connection that was closed because of its PROXY header. */
export function reportProxyRefusal(peer: string, reason: string): void {
  complain(`polloi: closed the connection of ${peer}: ${reason}\n`);
}

/** Reports an error of accept. */
export function reportAcceptError(error: object): void {
  complain(errorLine("cannot accept", error) + hintLine(error));
}
