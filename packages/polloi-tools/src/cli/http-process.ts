/** The module of a process that serves HTTP: what `polloi serve http --model prefork` runs. */
import type { ModelLoop } from "polloi/models";
import type { Stoppable } from "polloi/workers";
import type { LogFlags } from "./http-log.ts";
import type { HttpInput, HttpMessage } from "./http-worker.ts";
import { serveSite } from "./http-worker.ts";

/** What each process is given: all of it can be written as JSON. */
export interface HttpProcessInput extends Omit<HttpInput, "requests" | "log"> {
  readonly log: Omit<LogFlags, "moves"> | undefined;
}

/** What it tells beside: how many requests it has answered since it last told. */
export interface HttpProgress {
  readonly event: "requests";
  readonly count: number;
}

/** Numbers that change all the time are told so often. */
const TELL_MS = 50;

export function startOn(loop: ModelLoop<HttpProcessInput>): Stoppable {
  const { log, ...input } = loop.data;
  let count = 0;
  const tellCount = (): void => {
    if (count > 0) loop.post({ event: "requests", count } satisfies HttpProgress);
    count = 0;
  };
  const site = serveSite(
    loop,
    { ...input, log: log && { ...log, moves: movesAtHangup() } },
    {
      tell: (message: HttpMessage) => loop.post(message),
      counted: () => {
        if (count++ === 0) loop.reactor.setTimer(TELL_MS, tellCount);
      },
    },
  );
  return {
    async stop(graceMs) {
      await site.stop(graceMs);
      tellCount();
    },
  };
}

/** The number that says when to open the log anew. The parent passes SIGHUP on. */
function movesAtHangup(): SharedArrayBuffer {
  const moves = new SharedArrayBuffer(4);
  process.on("SIGHUP", () => Atomics.add(new Int32Array(moves), 0, 1));
  return moves;
}
