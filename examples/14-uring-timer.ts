/**
 * Two timers on an io_uring: one that ticks, and one that ends the program. Neither needs a descriptor.
 *
 *     node dist/examples/14-uring-timer.js [interval in ms] [ticks]
 *
 * Follows text 5, whose program gives epoll a timeout. Faults of the original:
 * - The timeout of a wait restarts with every event, so on a busy server it never expired.
 *   Here a timer is independent of other completions.
 */
import { Ring } from "polloi/uring";
import { numberArgument, orExit } from "./command-line.ts";

const TICK = 1;
const STOP = 2;
const ETIME = -62;

const interval = numberArgument({ at: 1, default: 500, least: 1, most: 86_400_000 });
const ticks = numberArgument({ at: 2, default: 5, least: 1, most: 1_000_000 });
const start = performance.now();

using ring = orExit(() => new Ring());
ring.timeout(interval, { tag: TICK });
// Half an interval later than the last tick, so that the tick is always first.
ring.timeout(interval * (ticks + 0.5), { tag: STOP });

let count = 0;
for (let running = true; running; ) {
  for (const completion of ring.wait()) {
    // An expired timeout is reported as the error ETIME.
    if (completion.result !== ETIME) completion.check("timeout");
    if (completion.tag === STOP) {
      running = false;
    } else {
      count++;
      console.log(`tick ${count}`);
      // Measured from the start and not from now, so that delays do not accumulate.
      const next = start + interval * (count + 1);
      if (count < ticks) ring.timeout(Math.max(next - performance.now(), 0), { tag: TICK });
    }
  }
}
console.log(`${count} ticks`);
