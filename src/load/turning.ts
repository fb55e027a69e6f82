import type { Reactor } from "../reactor/reactor.ts";

/** So long the reactor has the thread, as long as there is something to do. */
const SLICE_MS = 5;
/** So long it waits for more while it is busy, and at most when it is not. */
const BUSY_WAIT_MS = 0.2;
const IDLE_WAIT_MS = 10;
/** After so many waits for nothing it is not busy: whoever is to answer may be in the runtime's loop. */
const BUSY_WAITS = 8;

/**
 * Turns a reactor beside the runtime's own loop until it is closed.
 *
 * @remarks
 * A guest in the runtime's loop has its timers, which are good to a millisecond; messages that are due at a
 * time need better ones. So the two take turns: the reactor waits in the kernel, to the microsecond, and
 * then timers, promises and signals of the runtime have theirs, every few milliseconds.
 */
export function turnBesideRuntime(reactor: Reactor, failed: (error: unknown) => void): void {
  // Nothing is open yet, so this returns at once; from then on nobody else turns it.
  reactor.run();
  let waitMs = BUSY_WAIT_MS;
  let inVain = 0;
  const slice = (): void => {
    const until = performance.now() + SLICE_MS;
    try {
      let happened = 1;
      while (happened > 0 && reactor.fileno() >= 0) {
        happened = reactor.turn(waitMs);
        inVain = happened > 0 ? 0 : inVain + 1;
        waitMs = inVain < BUSY_WAITS ? BUSY_WAIT_MS : Math.min(2 * waitMs, IDLE_WAIT_MS);
        if (performance.now() >= until) break;
      }
    } catch (error) {
      failed(error);
      return;
    }
    if (reactor.fileno() >= 0) setImmediate(slice);
  };
  setImmediate(slice);
}
