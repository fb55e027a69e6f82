import { Reactor } from "../reactor/reactor.ts";
import { EVENT_READ } from "../selectors/events.ts";
import type { Channel } from "./channel.ts";
import { EventServing } from "./event-serving.ts";
import { type ProcessInput, tellingObserver, toldError } from "./messages.ts";
import type { ModelHandlers } from "./module.ts";
import { Served } from "./served.ts";

/** Numbers that change all the time are told so often. */
const TELL_MS = 50;

/** Serves a listener on an event loop that has the process to itself, until it is to stop. */
export function serveListener(
  channel: Channel,
  input: ProcessInput,
  fd: number,
  handlers: ModelHandlers,
): void {
  const { engine, trigger, exclusive, observed } = input;
  // Never closed: the process ends with it, and what a handler has thrown is to be told before anything else.
  const reactor = new Reactor({ engine, trigger });
  let waiting = false;
  const served: Served = new Served(
    observed ? tellingObserver((said) => channel.tell(said)) : undefined,
    () => {
      if (waiting) return;
      waiting = true;
      reactor.setTimer(TELL_MS, tellNumbers);
    },
  );
  const tellNumbers = (): void => {
    waiting = false;
    channel.tell({ type: "tally", tally: served.tally() });
  };
  const acceptError = (_: unknown, error: Error): void =>
    channel.tell({ type: "cannot accept", error: toldError(error) });
  const serving = new EventServing(
    { fd, exclusive, acceptError },
    { reactor, handlers, served, treatment: input },
  );
  const watch = reactor.watch(channel.fd, EVENT_READ, () => {
    channel.hear();
    const graceMs = channel.leftMs();
    if (graceMs !== null) serving.stop(graceMs, () => watch.close());
  });
  channel.tell({ type: "ready", engine: { engine: reactor.engine, trigger: reactor.trigger } });
  try {
    reactor.run();
  } finally {
    tellNumbers();
  }
}
