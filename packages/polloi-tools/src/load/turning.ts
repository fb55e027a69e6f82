import type { Reactor } from "polloi";
import type { Kernel } from "polloi/internal";

/** So long the reactor has the thread, as long as there is something to do. */
const SLICE_MS = 5;
/** Waits for more are between these, and at most so long while there is work. */
const SHORTEST_WAIT_MS = 0.05;
const BUSY_WAIT_MS = 2;
const LONGEST_WAIT_MS = 10;

/**
 * Turns a reactor beside the runtime's own loop, until what it returns is called.
 *
 * @remarks
 * A guest in the runtime's loop has its timers, which are good to a millisecond; messages that are due at a
 * time need better ones. So the two take turns: the reactor waits in the kernel, to the microsecond, and
 * then timers, promises and signals of the runtime have theirs, every few milliseconds.
 *
 * Waits grow longer as long as something comes of them. What has come right after the runtime had its turn
 * is from a server in this very thread, which could not answer meanwhile: then they are short.
 *
 * @param kernel - Gives the turns of the runtime's loop.
 * @param failed - Receives what a turn threw, after which there are no more turns.
 */
export function turnBesideRuntime(
  reactor: Reactor,
  { kernel, failed }: { readonly kernel: Kernel; readonly failed: (error: unknown) => void },
): () => void {
  // Nothing is open yet, so this returns at once; from then on nobody else turns it.
  reactor.run();
  let waitMs = SHORTEST_WAIT_MS;
  let inVain = false;
  // Not asked of the reactor: whoever asks for its descriptor is taken for one that watches it.
  let ended = false;
  const slice = (): void => {
    if (ended) return;
    try {
      const until = performance.now() + SLICE_MS;
      if (reactor.turn(0) > 0 && inVain) waitMs = SHORTEST_WAIT_MS;
      inVain = false;
      while (!inVain && !ended && performance.now() < until) {
        inVain = reactor.turn(waitMs) === 0;
        const most = inVain ? LONGEST_WAIT_MS : BUSY_WAIT_MS;
        waitMs = Math.min(2 * waitMs, most);
      }
    } catch (error) {
      failed(error);
      return;
    }
    kernel.soon(slice);
  };
  kernel.soon(slice);
  return () => {
    ended = true;
  };
}
