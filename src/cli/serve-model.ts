import type { ProtocolName } from "../echo/protocols.ts";
import type { Observer } from "../echo/server.ts";
import type { TalkInput } from "../echo/talk.ts";
import type { ModelDeath, ModelName, ModelOptions } from "../models/options.ts";
import { type ModelServer, serveModel } from "../models/server.ts";
import type { Reactor } from "../reactor/reactor.ts";
import { failureLine } from "./failure.ts";
import { placeOf, type RunningServer, tellAcceptError, type Where } from "./running-server.ts";
import type { ServeFlags } from "./serve-flags.ts";
import type { Served } from "./serve-report.ts";

/** Serves one of the oldest protocols in one of the five ways. */
export async function openModel(
  reactor: Reactor,
  protocol: ProtocolName,
  where: Where,
  flags: ServeFlags & { readonly model: ModelName },
  observer: Observer | undefined,
): Promise<RunningServer> {
  const { model, children, share, maxChildren, atLimit, idleTimeout } = flags;
  const data: TalkInput = { protocol };
  const looping = model === "prefork" || model === "event";
  const options: ModelOptions = {
    model,
    module: new URL("../echo/talk.js", import.meta.url),
    listen: where,
    data,
    ...(looping ? { engine: flags.engine, trigger: flags.trigger } : {}),
    ...(model === "event" ? { reactor } : {}),
    children,
    sharing: share,
    maxChildren,
    atLimit,
    noDelay: flags.delay !== true,
    idleTimeoutMs: idleTimeout,
    observer,
    died: tellDeath,
    limitReached: (most) => tellLimit(model, most, atLimit),
    acceptError: tellAcceptError,
  };
  const server = await serveModel(options);
  return {
    place: { ...placeOf(protocol, server.address), model: modelText(server, flags) },
    failed: server.finished.then(() => new Promise(() => {})),
    served: () => servedBy(server),
    stop: (graceMs) => server.stop(graceMs),
    abort: () => void server.stop(0),
  };
}

/** How `model` serves, to a person and by name. */
function modelText(
  { model, children }: ModelServer,
  { share = "exclusive", maxChildren = 256, atLimit = "wait" }: ServeFlags,
): { name: ModelName; text: string } {
  const limit = `${maxChildren} at once; further connections ${atLimit === "wait" ? "wait" : "are closed"}`;
  const shared = share === "exclusive" ? "on one listener" : "each with its own listener";
  const texts: Readonly<Record<ModelName, string>> = {
    blocking: "one client at a time, by blocking calls; the others wait",
    process: `a process for each connection, ${limit}`,
    thread: `a thread for each connection, ${limit}`,
    prefork: `${children.length} processes, ${shared}, each with an event loop`,
    event: "one event loop for all connections",
  };
  return { name: model, text: texts[model] };
}

function servedBy(server: ModelServer): Served {
  const { connections, messages, bytes, deaths, refusals } = server.counts;
  const counts = { connections, messages, bytes };
  if (server.model === "event") return { counts };
  const more = server.model === "process" || server.model === "thread" ? { refusals } : {};
  return { counts: { ...counts, deaths, ...more } };
}

function tellDeath({ kind, id, error, restartInMs }: ModelDeath): void {
  const who = id < 0 ? `a ${kind}` : `${kind} ${id}`;
  if (restartInMs === undefined) process.stderr.write(failureLine(`${who} died`, error));
  else {
    const next = restartInMs === null ? "is given up" : `is replaced in ${restartInMs} ms`;
    process.stderr.write(failureLine(`${who} died and ${next}`, error));
  }
}

function tellLimit(model: ModelName, most: number, atLimit: string | undefined): void {
  const [one, many] = model === "process" ? ["process", "processes"] : ["thread", "threads"];
  const what = most === 1 ? `the one ${one} is` : `all ${most} ${many} are`;
  const rest = atLimit === "close" ? "are closed at once" : "wait until one ends";
  process.stderr.write(
    `polloi: ${what} busy: further connections ${rest}\nhint: --max-children allows more\n`,
  );
}
