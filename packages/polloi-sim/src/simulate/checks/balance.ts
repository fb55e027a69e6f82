import type { Reactor } from "polloi";
import { loopOf } from "polloi/internal";
import type { Report } from "./report.ts";

/** Far more turns than the completions of closed descriptors need to arrive. */
const MAX_TURNS = 50;
/** More of anything than a simulation uses. A count that fell below 0 may appear as a large number. */
const MOST = 60_000;
/** The most bytes that io_uring may keep for a paused connection. */
const MOST_DEFERRED = 131_072;

/** Checks the resources of a reactor that is in use. */
export function checkUse(reactor: Reactor, report: Report): void {
  const loop = loopOf(reactor);
  if (loop.disposed) return;
  const counts = loop.balance();
  for (const name in counts) {
    const count = counts[name] as number;
    if (count < 0) report.fail("balance", `${name} is ${count}`);
    if (count > MOST && name !== "deferredBytes") report.fail("balance", `${name} is ${count}`);
  }
  const { deferred = 0, deferredBytes = 0 } = counts;
  if (deferredBytes > deferred * MOST_DEFERRED) {
    report.fail("memory", `${deferredBytes} bytes are kept for ${deferred} paused connections`);
  }
}

/** Checks that a reactor in which nothing is open has released all that it used. */
export function checkRest(reactor: Reactor, report: Report): void {
  const loop = loopOf(reactor);
  if (loop.disposed) return;
  const left = (): [string, number][] =>
    Object.entries(loop.balance()).filter(([, count]) => count !== 0);
  for (let turns = 0; turns < MAX_TURNS && left().length > 0; turns++) loop.turn(0);
  const texts = left().map(([name, count]) => `${name}: ${count}`);
  if (texts.length > 0) report.fail("balance", `left at the end: ${texts.join(", ")}`);
}
