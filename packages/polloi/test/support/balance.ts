import assert from "node:assert/strict";
import type { Balance, Engine } from "../../src/engine/engine.ts";
import { loopOf, type Reactor } from "../../src/reactor/reactor.ts";

/** Far more turns than the completions of closed descriptors need to arrive. */
const MAX_TURNS = 50;

/** The counts that are not zero. */
export function leftIn(balance: Balance): [name: string, count: number][] {
  return Object.entries(balance).filter(([, count]) => count !== 0);
}

/**
 * Turns until all counts are zero.
 *
 * @throws AssertionError with the remaining counts.
 */
function assertBalance(
  name: string,
  it: { balance(): Balance; turn(timeoutMs: number): number },
): void {
  for (let turns = 0; turns < MAX_TURNS && leftIn(it.balance()).length > 0; turns++) it.turn(0);
  const left = leftIn(it.balance()).map(([what, count]) => `${what}: ${count}`);
  assert.deepEqual(left, [], `the engine on ${name} has not given everything back`);
}

/** Fails unless an engine whose slots are all closed has released everything that it used. */
export function assertEngineBalance(engine: Engine): void {
  assertBalance(engine.name, engine);
}

/**
 * Closes everything that is open in a reactor, and fails unless the reactor has then released all that it used.
 *
 * @remarks
 * A reactor that is closed already has unmapped all of its memory, so there is nothing to compare.
 */
export function assertReactorBalance(reactor: Reactor): void {
  const loop = loopOf(reactor);
  if (loop.disposed) return;
  loop.shut();
  assertBalance(loop.engine.name, loop);
}
