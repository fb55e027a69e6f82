/** The module of a worker that serves HTTP: what `polloi serve http --workers` runs. */
import type { SysError } from "polloi";
import { serve } from "polloi/http";
import type { HttpWorker } from "polloi/internal";
import type { PoolWorker, Stoppable } from "polloi/workers";
import { type LogFlags, openLog } from "./http-log.ts";
import { openSite, type SiteFlags, told } from "./http-site.ts";

/** What each worker is given. */
export interface HttpInput {
  readonly site: SiteFlags;
  readonly idleTimeoutMs: number | undefined;
  readonly log: LogFlags | undefined;
  /** Whether to tell of each request. */
  readonly observed: boolean;
  /** Where workers count the requests that they answer, each at its place: see {@link STRIDE}. */
  readonly requests: SharedArrayBuffer;
}

/** What a worker tells the main thread, which is the one that prints. */
export type HttpMessage =
  | {
      readonly event: "request";
      readonly peer: string;
      readonly method: string;
      readonly target: string;
    }
  | { readonly event: "error"; readonly message: string }
  | {
      readonly event: "acceptError";
      readonly message: string;
      readonly code: string;
      readonly hint: string;
    };

/** Numbers between one worker's and the next one's, so that they are not on one cache line. */
export const STRIDE = 8;

export function start(worker: PoolWorker<HttpInput>): Stoppable {
  const counts = new Float64Array(worker.data.requests);
  const at = worker.index * STRIDE;
  return serveSite(worker, worker.data, {
    tell: (message) => worker.post(message),
    counted: () => {
      counts[at] = (counts[at] as number) + 1;
    },
  });
}

/** Who hears of what a server of HTTP does that is not on the main thread. */
export interface SiteEvents {
  tell(message: HttpMessage): void;
  /** A request came. */
  counted(): void;
}

/** Serves a site on the event loop of a worker, or of a process. */
export function serveSite(
  worker: HttpWorker,
  { site, idleTimeoutMs, observed, log: logFlags }: Omit<HttpInput, "requests">,
  { tell, counted }: SiteEvents,
): Stoppable {
  const { handler, close } = openSite(site);
  const log = logFlags && openLog(logFlags);
  const shown = observed
    ? told(handler, (peer, method, target) => tell({ event: "request", peer, method, target }))
    : handler;
  const server = serve({
    worker,
    handler(request, reply) {
      counted();
      return shown(request, reply);
    },
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(log === undefined ? {} : { log }),
    error: (error) => tell({ event: "error", message: String((error as Error).stack ?? error) }),
    acceptError: ({ message, code, hint = "" }: SysError) =>
      tell({ event: "acceptError", message, code, hint }),
  });
  return {
    async stop(graceMs) {
      await server.stop(graceMs);
      close();
      await log?.close();
    },
  };
}
