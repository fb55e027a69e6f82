import { serve } from "../http/serve.ts";
import type { Reactor } from "../reactor/reactor.ts";
import type { Kernel } from "../sys/kernel.ts";
import { workerCount } from "../workers/options.ts";
import { startWorkers } from "../workers/pool.ts";
import { logFlags, openLog } from "./http-log.ts";
import { openSite, type RequestObserver, type SiteFlags, told } from "./http-site.ts";
import { type HttpInput, type HttpMessage, STRIDE } from "./http-worker.ts";
import {
  placeOf,
  pooled,
  poolOptions,
  type RunningServer,
  spreadOf,
  tellAcceptError,
  type Where,
} from "./running-server.ts";
import type { ServeFlags } from "./serve-flags.ts";

/** Serves HTTP: a greeting, or the files of a directory. */
export async function openHttp(
  reactor: Reactor,
  where: Where,
  flags: ServeFlags,
  observer: RequestObserver | undefined,
  kernel?: Kernel,
): Promise<RunningServer> {
  const { dir, listing = false, dotfiles = false, maxAge: maxAgeMs } = flags;
  const site: SiteFlags = { dir, listing, dotfiles, maxAgeMs };
  const idleTimeoutMs = flags.idleTimeout;
  const { accessLog, logFormat } = flags;
  const logged = accessLog === undefined ? undefined : logFlags(accessLog, logFormat);
  // Opened here in any case: what is wrong with the directory or the log is said before a worker is started.
  const { handler, close } = openSite(site, kernel);
  const log = logged && openLog(logged);
  const files = dir === undefined ? {} : { dir };
  if (flags.workers !== undefined) {
    close();
    await log?.close();
    const pool = await openPool(where, flags, { site, idleTimeoutMs, log: logged }, observer);
    return { ...pool, place: { ...pool.place, ...files } };
  }
  try {
    const server = serve({
      reactor,
      ...where,
      handler: observer === undefined ? handler : told(handler, observer),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(log === undefined ? {} : { log }),
      error: tellError,
      acceptError: (_, error) => tellAcceptError(error),
    });
    return {
      place: { ...placeOf("http", server.listener?.address ?? null), ...files },
      failed: new Promise(() => {}),
      served: () => {
        const { connections, requests } = server.counts;
        return { counts: { connections, requests } };
      },
      async stop(graceMs) {
        await server.stop(graceMs);
        close();
        await log?.close();
      },
      abort: () => void server.stop(0),
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function openPool(
  where: Where,
  flags: ServeFlags,
  input: Pick<HttpInput, "site" | "idleTimeoutMs" | "log">,
  observer: RequestObserver | undefined,
): Promise<RunningServer> {
  const count = workerCount(flags.workers);
  const requests = new SharedArrayBuffer(count * STRIDE * 8);
  const data: HttpInput = { ...input, observed: observer !== undefined, requests };
  const pool = await startWorkers({
    module: new URL("./http-worker.js", import.meta.url),
    workers: count,
    ...poolOptions(where, flags),
    data,
    message: (message) => hear(message as HttpMessage, observer),
  });
  return pooled("http", pool, () => {
    const workers = spreadOf(pool);
    const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0);
    const counts = {
      connections: sum(workers.connections),
      requests: sum(new Float64Array(requests)),
    };
    return { counts, workers };
  });
}

function hear(message: HttpMessage, observer: RequestObserver | undefined): void {
  if (message.event === "request") observer?.(message.peer, message.method, message.target);
  else if (message.event === "error") tellError(message.message);
  else tellAcceptError(message);
}

function tellError(error: unknown): void {
  process.stderr.write(`polloi: cannot answer a request: ${(error as Error).stack ?? error}\n`);
}
