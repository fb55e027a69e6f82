import type { Reactor } from "polloi";
import type { Kernel } from "polloi/internal";

/** Duration of a time slice of the reactor, as long as it has work. */
const SLICE_MS = 5;
/** Limits of a wait in the kernel. While there is work, a wait is at most `BUSY_WAIT_MS` long. */
const MIN_WAIT_MS = 0.05;
const BUSY_WAIT_MS = 2;
const MAX_WAIT_MS = 10;

/**
 * Turns the reactor of a load in alternation with the runtime's own loop, so that its timers are precise.
 *
 * @remarks
 * A hosted reactor uses the timers of the runtime, which are precise to a millisecond. A load with a rate needs a
 * higher precision. Here the reactor waits in the kernel, which is precise to a microsecond, and every few
 * milliseconds the runtime processes its own timers, promises and signals.
 *
 * Waits grow as long as each of them reports something. If data arrives right after a turn of the runtime, the server
 * runs in this thread and could not answer during the wait. Waits are then short.
 *
 * `driveWorker` of `pool/loop-child.ts` alternates the loops to save calls of Node's loop. It continues after an
 * exception, and waits for up to a second while it is idle.
 *
 * @param kernel - Schedules callbacks in the runtime's loop.
 * @param failed - Receives what a turn has thrown. No further turn follows.
 * @returns A function that ends the alternation.
 */
export function driveLoad(
  reactor: Reactor,
  { kernel, failed }: { readonly kernel: Kernel; readonly failed: (error: unknown) => void },
): () => void {
  // Nothing is open yet, so this returns at once. From then on the reactor is not hosted.
  reactor.run();
  let waitMs = MIN_WAIT_MS;
  let wasIdle = false;
  // The reactor's state is no substitute: reading its descriptor would mark it as watched by another loop.
  let ended = false;
  const slice = (): void => {
    if (ended) return;
    try {
      const end = kernel.now() + SLICE_MS;
      if (reactor.turn(0) > 0 && wasIdle) waitMs = MIN_WAIT_MS;
      wasIdle = false;
      while (!wasIdle && !ended && kernel.now() < end) {
        wasIdle = reactor.turn(waitMs) === 0;
        waitMs = Math.min(2 * waitMs, wasIdle ? MAX_WAIT_MS : BUSY_WAIT_MS);
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
