import type { Reactor } from "polloi";
import { recoveredText, unresponsiveText } from "polloi/internal";
import {
  type ModelDeath,
  type ModelName,
  type ModelOptions,
  type ModelServer,
  serveModel,
} from "polloi/models";
import type { TalkInput } from "../echo/echo-handlers.ts";
import { ECHO_HANDLERS } from "../echo/modules.ts";
import type { ProtocolName } from "../echo/protocols.ts";
import type { Observer } from "../echo/server.ts";
import { failureLine } from "./failure.ts";
import { complain } from "./output.ts";
import { placeOf, type RunningServer, tellAcceptError, type Where } from "./running-server.ts";
import type { ServedName, ServeFlags } from "./serve-flags.ts";
import type { Served } from "./serve-report.ts";

/** Flags that ask for one of the five ways. */
export type ModelFlags = ServeFlags & { readonly model: ModelName };

/** Serves one of the oldest protocols in one of the five ways. */
export async function openModel(
  reactor: Reactor,
  protocol: ProtocolName,
  where: Where,
  flags: ModelFlags,
  observer: Observer | undefined,
): Promise<RunningServer> {
  const data: TalkInput = { protocol };
  const server = await serveModel({
    ...modelOptions(reactor, where, flags),
    module: ECHO_HANDLERS,
    data,
    idleTimeoutMs: flags.idleTimeout,
    observer,
  });
  return modelled(protocol, server, flags, () => countsOf(server));
}

/** What of the flags says how, and not what, to serve. */
export function modelOptions(
  reactor: Reactor,
  where: Where,
  flags: ModelFlags,
): Omit<ModelOptions, "module"> {
  const { model, children, share, maxChildren, atLimit } = flags;
  const looping = model === "prefork" || model === "event";
  return {
    model,
    listen: where,
    ...(looping ? { engine: flags.engine, trigger: flags.trigger } : {}),
    ...(model === "event" ? { reactor } : {}),
    children,
    sharing: share,
    maxChildren,
    atLimit,
    noDelay: flags.delay !== true,
    died: tellDeath,
    unresponsive: (child) => {
      const rest = model === "prefork" ? ", and gets no new connections until it does" : "";
      complain(`polloi: ${unresponsiveText(child)}${rest}\n`);
    },
    recovered: (child) => complain(`polloi: ${recoveredText(child)}\n`),
    limitReached: (most) => tellLimit(model, most, atLimit),
    acceptError: tellAcceptError,
  };
}

/** A model as a server of `polloi serve`. */
export function modelled(
  protocol: ServedName,
  server: ModelServer,
  flags: ServeFlags,
  counts: () => Served["counts"],
): RunningServer {
  return {
    place: { ...placeOf(protocol, server.address), model: modelText(server, flags) },
    failed: server.finished.then(() => new Promise(() => {})),
    served: () => ({ counts: counts() }),
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

function countsOf({ model, counts }: ModelServer): Served["counts"] {
  const { connections, messages, bytes, deaths, refusals } = counts;
  if (model === "event") return { connections, messages, bytes };
  const more = model === "process" || model === "thread" ? { refusals } : {};
  return { connections, messages, bytes, deaths, ...more };
}

function tellDeath({ kind, id, peer, error, restartInMs }: ModelDeath): void {
  const who = id < 0 ? `a ${kind}` : `${kind} ${id}`;
  const whose = peer === undefined ? "" : ` with the connection of ${peer}`;
  if (restartInMs === undefined) complain(failureLine(`${who} died${whose}`, error));
  else {
    const next = restartInMs === null ? "is given up" : `is replaced in ${restartInMs} ms`;
    complain(failureLine(`${who} died and ${next}`, error));
  }
}

function tellLimit(model: ModelName, most: number, atLimit: string | undefined): void {
  const [one, many] = model === "process" ? ["process", "processes"] : ["thread", "threads"];
  const what = most === 1 ? `the one ${one} is` : `all ${most} ${many} are`;
  const rest = atLimit === "close" ? "are closed at once" : "wait until one ends";
  complain(`polloi: ${what} busy: further connections ${rest}\nhint: --max-children allows more\n`);
}
