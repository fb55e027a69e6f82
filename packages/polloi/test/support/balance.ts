import assert from "node:assert/strict";
import type { Balance, Engine } from "../../src/engine/engine.ts";
import { loopOf, type Reactor } from "../../src/reactor/reactor.ts";

/** Far more turns than completions of what was closed need to come in. */
const MAX_TURNS = 50;

/** What is in use, without what is not. */
export function leftIn(balance: Balance): [name: string, count: number][] {
  return Object.entries(balance).filter(([, count]) => count !== 0);
}

/**
 * Turns until nothing is in use that is counted.
 *
 * @throws AssertionError that names what is left.
 */
function assertBalance(
  name: string,
  it: { balance(): Balance; turn(timeoutMs: number): number },
): void {
  for (let turns = 0; turns < MAX_TURNS && leftIn(it.balance()).length > 0; turns++) it.turn(0);
  const left = leftIn(it.balance()).map(([what, count]) => `${what}: ${count}`);
  assert.deepEqual(left, [], `the engine on ${name} has not given everything back`);
}

/** Fails unless an engine whose slots are all closed has given back everything that it had in use. */
export function assertEngineBalance(engine: Engine): void {
  assertBalance(engine.name, engine);
}

/**
 * Ends whatever is open in a reactor, and fails unless it has then given back everything that it had in use.
 *
 * @remarks
 * A reactor that is closed already has unmapped its memory, whoever had it: there is nothing to compare.
 */
export function assertReactorBalance(reactor: Reactor): void {
  const loop = loopOf(reactor);
  if (loop.disposed) return;
  loop.shut();
  assertBalance(loop.engine.name, loop);
}
