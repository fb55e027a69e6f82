import { serve } from "polloi/http";
import type { Kernel } from "polloi/internal";
import type { ModelServer } from "polloi/models";
import { proxyProtocolOf } from "../echo/protocols.ts";
import {
  countHangups,
  type HttpMessage,
  type LogOptions,
  observed,
  openLog,
  openSite,
  type RequestObserver,
  type ServeSiteOptions,
  type SiteOptions,
} from "./http-site.ts";
import {
  type HttpProcessInput,
  type HttpProgress,
  type HttpWorkerInput,
  STRIDE,
} from "./http-worker.ts";
import { complain } from "./output.ts";
import {
  readTlsFiles,
  reportAcceptError,
  reportProxyRefusal,
  type ServeFlags,
  type Service,
} from "./service.ts";

const HTTP_WORKER: URL = new URL("./http-worker.js", import.meta.url);

/** The service of HTTP: a greeting, or the files of a directory. @param kernel - Reads the files. */
export function httpService(
  flags: ServeFlags,
  observer: RequestObserver | undefined,
  kernel: Kernel | undefined,
): Service {
  const { dir, listing = false, dotfiles = false, maxAge: maxAgeMs, accessLog } = flags;
  const idleTimeoutMs = flags.idleTimeout;
  const proxies = flags.proxyProtocol;
  const secured = readTlsFiles(flags);
  const site: SiteOptions = { dir, listing, dotfiles, maxAgeMs };
  const log: LogOptions | undefined =
    accessLog === undefined
      ? undefined
      : {
          to: accessLog === "-" ? 1 : accessLog,
          format: flags.logFormat,
          reopens: countHangups(),
        };
  const options: ServeSiteOptions = {
    site,
    log,
    idleTimeoutMs,
    proxies,
    ...secured,
    isObserved: observer !== undefined,
  };
  /** Opens the directory and the log once, so that an error is reported before children are started. */
  const check = async (): Promise<void> => {
    openSite(site, kernel).close();
    if (log !== undefined) await openLog(log).close();
  };
  return {
    protocol: "http",
    dir,
    async onReactor(reactor, address) {
      const { handler, close } = openSite(site, kernel);
      try {
        const sink = log && openLog(log);
        const server = serve({
          reactor,
          ...address,
          handler: observer === undefined ? handler : observed(handler, observer),
          ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
          ...proxyProtocolOf(proxies, reportProxyRefusal),
          ...secured,
          ...(sink === undefined ? {} : { log: sink }),
          error: reportError,
          acceptError: reportAcceptError,
        });
        return {
          address: server.address,
          counts: () => {
            const { connections, requests } = server.counts;
            return { connections, requests };
          },
          async stop(graceMs) {
            await server.stop(graceMs);
            close();
            await sink?.close();
          },
        };
      } catch (error) {
        close();
        throw error;
      }
    },
    async onWorkers(count) {
      await check();
      const requests = new SharedArrayBuffer(count * STRIDE * 8);
      return {
        module: HTTP_WORKER,
        data: { ...options, requests } satisfies HttpWorkerInput,
        message: (message) => print(message as HttpMessage, observer),
        counts: ({ workers }) => ({
          connections: sum(workers.map(({ accepted }) => accepted)),
          requests: sum([...new Float64Array(requests)]),
        }),
      };
    },
    async byModel() {
      await check();
      let requests = 0;
      const data: HttpProcessInput = {
        ...options,
        log: log && { to: log.to, format: log.format },
      };
      return {
        module: HTTP_WORKER,
        data,
        message(posted) {
          const message = posted as HttpMessage | HttpProgress;
          if (message.event === "requests") requests += message.count;
          else print(message, observer);
        },
        counts: ({ model, counts: { connections, exits } }) => ({
          connections,
          requests,
          ...(model === "event" ? {} : { exits }),
        }),
        started(server) {
          if (log !== undefined) forwardHangups(server);
        },
      };
    },
  };
}

/** Forwards SIGHUP to the child processes, each of which has opened the log. */
function forwardHangups(server: ModelServer): void {
  process.on("SIGHUP", () => {
    // A process that is starting opens the new file anyway, and would be killed by the signal.
    for (const { id, ready } of server.children) if (ready) process.kill(id, "SIGHUP");
  });
}

/** Prints what a worker or a process has posted. */
function print(message: HttpMessage, observer: RequestObserver | undefined): void {
  if (message.event === "request") observer?.(message.peer, message.method, message.target);
  else if (message.event === "error") reportError(message.message);
  else if (message.event === "proxyRefused") reportProxyRefusal(message.peer, message.reason);
  else reportAcceptError(message);
}

function reportError(error: unknown): void {
  complain(`polloi: cannot answer a request: ${(error as Error).stack ?? error}\n`);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}
