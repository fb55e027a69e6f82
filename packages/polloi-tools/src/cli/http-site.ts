/** The site and the access log of `polloi serve http`, on the main thread, on workers and in child processes. */
import {
  type AccessFormat,
  AccessLog,
  type AccessSink,
  type FilesHandler,
  files,
  type HttpHandler,
  serve,
} from "polloi/http";
import type { HttpWorker, Kernel } from "polloi/internal";
import type { Stoppable } from "polloi/workers";
import {
  type AcceptErrorMessage,
  acceptErrorMessage,
  type ProxyRefusalMessage,
  peerName,
  proxyProtocolOf,
} from "../echo/protocols.ts";
import { errorLine } from "./errors.ts";
import { complain } from "./output.ts";

/** The site to serve, as data that can be passed to a child. */
export interface SiteOptions {
  /** A directory; without one, every request is answered with a greeting. */
  readonly dir: string | undefined;
  readonly listing: boolean;
  readonly dotfiles: boolean;
  readonly maxAgeMs: number | undefined;
}

/** A handler, and how to release what it uses. */
export interface Site {
  readonly handler: HttpHandler;
  close(): void;
}

/** @throws as `files` does. */
export function openSite({ dir, ...options }: SiteOptions, kernel?: Kernel): Site {
  if (dir === undefined) return { handler: greeting, close() {} };
  const handler: FilesHandler = files({ dir, ...options }, kernel);
  return { handler, close: () => handler.close() };
}

/** The answer of the reference text's server. */
const greeting: HttpHandler = (_, reply) => {
  reply.header("Content-Type", "text/plain").send("Hello, world!");
};

/** Is notified of each request. @param target - As it was sent, one character per byte. */
export type RequestObserver = (peer: string, method: string, target: string) => void;

/** A handler that notifies an observer first. */
export function observed(handler: HttpHandler, observer: RequestObserver): HttpHandler {
  return (request, reply) => {
    observer(peerName(request.remoteAddress), request.method, request.target);
    return handler(request, reply);
  };
}

/** The access log, as data that can be passed to a worker. */
export interface LogOptions {
  /** A path, or a descriptor. */
  readonly to: string | number;
  readonly format: AccessFormat | undefined;
  /** Shared memory with the number of times that the log was to be reopened. */
  readonly reopens: SharedArrayBuffer;
}

/** Counts each SIGHUP as a request to reopen the log, as logrotate expects. @returns The memory of the count. */
export function countHangups(): SharedArrayBuffer {
  const reopens = new SharedArrayBuffer(4);
  process.on("SIGHUP", () => Atomics.add(new Int32Array(reopens), 0, 1));
  return reopens;
}

/** @throws what opening the file fails with. */
export function openLog({
  to,
  format,
  reopens,
}: LogOptions): AccessSink & { close(): Promise<void> } {
  const log = new AccessLog({ to, ...(format === undefined ? {} : { format }) });
  const requested = new Int32Array(reopens);
  let done = Atomics.load(requested, 0);
  return {
    write(entry) {
      const now = Atomics.load(requested, 0);
      if (now !== done) {
        done = now;
        reopen(log);
      }
      log.write(entry);
    },
    close: () => log.close(),
  };
}

/** Reopens a log. When that fails, it continues in the previous file. */
function reopen(log: AccessLog): void {
  try {
    log.reopen();
  } catch (error) {
    complain(errorLine("cannot reopen the access log", error));
  }
}

/** A message of a worker or child process to the main thread, which prints it. */
export type HttpMessage =
  | {
      readonly event: "request";
      readonly peer: string;
      readonly method: string;
      readonly target: string;
    }
  | { readonly event: "error"; readonly message: string }
  | ProxyRefusalMessage
  | AcceptErrorMessage;

/** Options of {@link serveSite}. */
export interface ServeSiteOptions {
  readonly site: SiteOptions;
  readonly log: LogOptions | undefined;
  readonly idleTimeoutMs: number | undefined;
  readonly proxies: true | readonly string[] | undefined;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Whether to post a message for each request. */
  readonly isObserved: boolean;
}

/**
 * Serves a site on a worker, or on the event loop of a serving model.
 *
 * @param post - Sends a message to the main thread.
 * @param counted - Called for each request.
 */
export function serveSite(
  worker: HttpWorker,
  { site, idleTimeoutMs, proxies, tls, isObserved, log: logOptions }: ServeSiteOptions,
  post: (message: HttpMessage) => void,
  counted: () => void,
): Stoppable {
  const { handler, close } = openSite(site);
  const log = logOptions && openLog(logOptions);
  const answer = isObserved
    ? observed(handler, (peer, method, target) => post({ event: "request", peer, method, target }))
    : handler;
  const server = serve({
    worker,
    handler(request, reply) {
      counted();
      return answer(request, reply);
    },
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...proxyProtocolOf(proxies, (peer, reason) => post({ event: "proxyRefused", peer, reason })),
    ...(tls === undefined ? {} : { tls }),
    ...(log === undefined ? {} : { log }),
    error: (error) => post({ event: "error", message: String((error as Error).stack ?? error) }),
    acceptError: (error) => post(acceptErrorMessage(error)),
  });
  return {
    async stop(graceMs) {
      await server.stop(graceMs);
      close();
      await log?.close();
    },
  };
}
