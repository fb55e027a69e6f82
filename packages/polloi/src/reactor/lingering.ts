import { SHUT_WR } from "../socket/constants.ts";
import { readUntaken } from "../socket/raw.ts";
import { IdleTimeout } from "./idle-timeout.ts";
import type { Loop } from "./loop.ts";

/** How long a closing connection waits for the end of a peer that is still sending. */
const LINGER_MS = 1000;
/** How long a closing connection waits for a peer that takes nothing of what there is for it. */
export const CLOSING_MS = 30_000;

/**
 * Ends the own half of a connection of which all is sent, and gives the peer time to end its own.
 *
 * @remarks
 * A peer that is slow to take what the kernel has for it is waited for as `close` waits for one that is
 * slow to take what is queued.
 *
 * @param giveUp - Called when the time is up.
 */
export function linger({ kernel, timers }: Loop, fd: number, giveUp: () => void): IdleTimeout {
  kernel.libc.shutdown(fd, SHUT_WR);
  let before = 0;
  let patienceMs = CLOSING_MS;
  return new IdleTimeout(timers, LINGER_MS, () => {
    const left = readUntaken(kernel, fd);
    patienceMs = left < before ? CLOSING_MS : patienceMs - LINGER_MS;
    if ((left === 0 && before === 0) || patienceMs <= 0) giveUp();
    before = left;
  });
}
