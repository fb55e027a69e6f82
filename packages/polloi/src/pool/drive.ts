import type { Reactor } from "../reactor/reactor.ts";
import type { RuntimeName } from "../sys/kernel.ts";

/** While nothing happens, each wait is twice as long as the one before, up to this. */
const LONGEST_WAIT_MS = 1024;

/**
 * Lets the reactor of a worker turn, beside the runtime's own loop.
 *
 * @remarks
 * On Bun and Deno it is hosted, as anywhere. In a worker thread of Node the two loops take turns, which saves the
 * calls that Node's loop makes around each turn: the reactor waits in the kernel, then the runtime does what is due.
 * So promises, timers and I/O of the runtime go on, in handlers too, as under `run()` they would not.
 *
 * What the runtime is waiting for cannot wake the kernel's wait. So as long as it says that it waits for
 * something (a timer, a socket, a file), the wait is a millisecond. Some things it does not say, such as
 * work of `node:crypto`; so a wait begins at a millisecond too, and is doubled while nothing happens:
 * whatever took so long is noticed after as long again, and a second later at most.
 */
export function drive(reactor: Reactor, runtime: RuntimeName): void {
  if (runtime !== "node") return;
  // Nothing is open yet, so this returns at once; from then on the reactor is turned by whoever asks.
  reactor.run();
  let waitMs = 1;
  const turn = (): void => {
    if (reactor.fileno() < 0) return;
    try {
      const busy = runtimeIsBusy();
      const happened = reactor.turn(busy ? 1 : waitMs);
      waitMs = busy || happened > 0 ? 1 : Math.min(2 * waitMs, LONGEST_WAIT_MS);
    } finally {
      // Also after a throw: who handles `uncaughtException` goes on serving.
      setImmediate(turn);
    }
  };
  setImmediate(turn);
}

/** Whether the runtime waits for anything, or has output that the main thread has not taken. */
function runtimeIsBusy(): boolean {
  return (
    process.getActiveResourcesInfo().length > 0 ||
    process.stdout.writableLength > 0 ||
    process.stderr.writableLength > 0
  );
}
