/**
 * Two timers on an io_uring: one that ticks, and one that ends it all. Neither needs a descriptor.
 *
 *     node dist/examples/14-uring-timer.js [interval in ms] [ticks]
 *
 * Follows text 5, whose program gives epoll a timeout. What the original got wrong:
 * - A timeout of the wait begins anew with every event, so that a busy server never came to its turn.
 *   Here a timer runs by itself, whatever else completes.
 */
import { Ring } from "polloi/uring";
import { numberArgument, orExit } from "./command-line.ts";

const TICK = 1;
const STOP = 2;
const ETIME = -62;

const interval = numberArgument({ at: 1, usual: 500, least: 1, most: 86_400_000 });
const ticks = numberArgument({ at: 2, usual: 5, least: 1, most: 1_000_000 });
const start = performance.now();

using ring = orExit(() => new Ring());
ring.timeout(interval, { tag: TICK });
// Half an interval more, so that the last tick is not in doubt.
ring.timeout(interval * (ticks + 0.5), { tag: STOP });

let count = 0;
for (let running = true; running; ) {
  for (const completion of ring.wait()) {
    // That the time has run out is what was asked for, and has the number of an error.
    if (completion.result !== ETIME) completion.check("timeout");
    if (completion.tag === STOP) {
      running = false;
    } else {
      count++;
      console.log(`tick ${count}`);
      // From the start on, and not from now: what is late does not make the next one later.
      const next = start + interval * (count + 1);
      if (count < ticks) ring.timeout(Math.max(next - performance.now(), 0), { tag: TICK });
    }
  }
}
console.log(`${count} ticks`);
