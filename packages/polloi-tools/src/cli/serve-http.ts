import type { Reactor } from "polloi";
import { serve } from "polloi/http";
import { type Kernel, workerCount } from "polloi/internal";
import { type ModelServer, serveModel } from "polloi/models";
import { startWorkers } from "polloi/workers";
import { logFlags, openLog } from "./http-log.ts";
import type { HttpProcessInput, HttpProgress } from "./http-process.ts";
import { openSite, type RequestObserver, type SiteFlags, told } from "./http-site.ts";
import { type HttpInput, type HttpMessage, STRIDE } from "./http-worker.ts";
import { complain } from "./output.ts";
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
import { type ModelFlags, modelled, modelOptions } from "./serve-model.ts";

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
  const { model, workers } = flags;
  if (model !== undefined || workers !== undefined) {
    close();
    await log?.close();
    const input = { site, idleTimeoutMs, log: logged };
    const others =
      model === undefined
        ? await openPool(where, flags, input, observer)
        : await openHttpModel(reactor, where, { ...flags, model }, input, observer);
    return { ...others, place: { ...others.place, ...files } };
  }
  try {
    const server = serve({
      reactor,
      ...where,
      handler: observer === undefined ? handler : told(handler, observer),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(log === undefined ? {} : { log }),
      error: tellError,
      acceptError: tellAcceptError,
    });
    return {
      place: { ...placeOf("http", server.address), ...files },
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

/** In processes with an event loop each, or on the one event loop of the main thread. */
async function openHttpModel(
  reactor: Reactor,
  where: Where,
  flags: ModelFlags,
  { log, ...input }: Pick<HttpInput, "site" | "idleTimeoutMs" | "log">,
  observer: RequestObserver | undefined,
): Promise<RunningServer> {
  let requests = 0;
  const data: HttpProcessInput = {
    ...input,
    log: log && { to: log.to, format: log.format },
    observed: observer !== undefined,
  };
  const server = await serveModel({
    ...modelOptions(reactor, where, flags),
    module: new URL("./http-process.js", import.meta.url),
    data,
    message(said) {
      const message = said as HttpMessage | HttpProgress;
      if (message.event === "requests") requests += message.count;
      else hear(message, observer);
    },
  });
  if (log !== undefined) passOnHangup(server);
  return modelled("http", server, flags, () => {
    const { connections, deaths } = server.counts;
    return { connections, requests, ...(flags.model === "event" ? {} : { deaths }) };
  });
}

/** Each process has the log open for itself. */
function passOnHangup(server: ModelServer): void {
  process.on("SIGHUP", () => {
    // One that is about to start opens the new file, and would not survive to be told.
    for (const { id, ready } of server.children) if (ready) process.kill(id, "SIGHUP");
  });
}

function hear(message: HttpMessage, observer: RequestObserver | undefined): void {
  if (message.event === "request") observer?.(message.peer, message.method, message.target);
  else if (message.event === "error") tellError(message.message);
  else tellAcceptError(message);
}

function tellError(error: unknown): void {
  complain(`polloi: cannot answer a request: ${(error as Error).stack ?? error}\n`);
}
