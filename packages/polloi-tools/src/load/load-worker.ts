/** What each thread of a load with workers runs. */
import type { PoolWorker } from "polloi/workers";
import { Crowd } from "./crowd.ts";
import type { LoadPlan } from "./options.ts";
import type { Place } from "./place.ts";
import { shareOf } from "./share.ts";
import type { LoadSnapshot } from "./snapshot.ts";
import type { PlainTally } from "./tally.ts";

/** What a worker is given. */
export interface LoadInput {
  readonly plan: LoadPlan;
  readonly place: Place;
  /** What is asked of the workers, in one number: see {@link ASKED}. */
  readonly asked: SharedArrayBuffer;
}

/** What a worker may be asked. */
export const ASKED = { nothing: 0, stop: 1, abort: 2 } as const;

/** How often a worker looks what is asked of it. */
const LOOK_MS = 20;

/** What a worker tells. */
export type LoadMessage =
  | { readonly snapshot: LoadSnapshot }
  | { readonly tally: PlainTally; readonly stoppedEarly?: boolean };

export function start(worker: PoolWorker<LoadInput>): void {
  const { plan, place, asked } = worker.data;
  const { reactor, index, count } = worker;
  const say = (message: LoadMessage): void => worker.post(message);
  const told = new Int32Array(asked);
  const look = reactor.setTimer(LOOK_MS, () => {
    const what = Atomics.load(told, 0);
    if (what === ASKED.abort) crowd.abort();
    else if (what === ASKED.stop) crowd.stop();
    if (!crowd.isOver) look.refresh();
  });
  const crowd = new Crowd({
    reactor,
    plan,
    share: shareOf(plan, index, count),
    place,
    ticked: () => say({ snapshot: crowd.snapshot() }),
    over: () => {
      look.cancel();
      say({ snapshot: crowd.snapshot() });
      say({ tally: crowd.tally.plain() });
    },
  });
  crowd.start();
}
