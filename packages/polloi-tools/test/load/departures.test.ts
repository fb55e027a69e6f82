/** When messages of a closed loop leave, and from when their latency counts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { probeEngines, Reactor, type Timer } from "polloi";
import { AF_UNIX, beforeSends, SOCK_STREAM } from "polloi/internal";
import { socketpair } from "polloi/socket";
import type { Client } from "../../src/load/client.ts";
import { Departures } from "../../src/load/departures.ts";

/** A reactor whose turns are made by hand. */
class Turns {
  timer: (() => void) | undefined;
  leave: () => void = () => {};
  #active = false;

  setTimer(_delayMs: number, callback: () => void): Timer {
    this.timer = callback;
    this.#active = true;
    const turns = this;
    return {
      get active() {
        return turns.#active;
      },
      refresh: () => {
        this.#active = true;
      },
      cancel: () => {
        this.#active = false;
      },
    };
  }

  /** The end of a turn: the timer that is due, and then what was written leaves. */
  turn(): boolean {
    if (!this.#active) return false;
    this.#active = false;
    this.timer?.();
    this.leave();
    return true;
  }
}

test("those who may send do so in their order, a few in each turn, and are stamped when they leave", () => {
  const turns = new Turns();
  const times = new Float64Array(100);
  const departures = new Departures(turns as unknown as Reactor, times, (_, leave) => {
    turns.leave = leave;
  });
  const order: number[] = [];
  const clients = Array.from(times, (_, i): Client => {
    const go = (): void => {
      order.push(i);
      departures.written(i);
      assert.equal(times[i], 0, "stamped before it left");
    };
    return { isInLine: false, go } as unknown as Client;
  });
  for (const client of clients) departures.add(client);
  // Who stands in line does so once.
  for (const client of clients) departures.add(client);
  const counts: number[] = [];
  for (let before = performance.now(); turns.turn(); before = performance.now()) {
    const from = counts.reduce((sum, count) => sum + count, 0);
    counts.push(order.length - from);
    for (const i of order.slice(from)) assert.ok((times[i] as number) >= before);
  }
  assert.deepEqual(counts, [32, 32, 32, 4]);
  assert.deepEqual(order, [...clients.keys()]);
  // And again, when what has come lets them.
  times[7] = 0;
  departures.add(clients[7] as Client);
  assert.ok(turns.turn());
  assert.equal(order.at(-1), 7);
  assert.ok(!turns.turn());
});

for (const { name, works, reason } of probeEngines()) {
  test(`what was written has not left before beforeSends was called, and has after it: ${name}`, {
    skip: works ? false : `${name}: ${reason}`,
  }, () => {
    const [ours, theirs] = socketpair(AF_UNIX, SOCK_STREAM);
    using _ = theirs;
    theirs.setBlocking(false);
    const reactor = new Reactor({ engine: name });
    using __ = reactor;
    const connection = reactor.adopt(ours.detach());
    const seen: unknown[] = [];
    beforeSends(reactor, () => seen.push(theirs.recv(1)));
    reactor.setTimer(0, () => {
      connection.write("a");
      connection.write("b");
    });
    reactor.turn(0);
    assert.deepEqual(seen, [null]);
    reactor.turn(0);
    assert.equal(Buffer.from(theirs.recv(8) ?? []).toString(), "ab");
    assert.equal(seen.length, 1);
  });
}
