/** When the messages of a closed loop are sent, and from when their latency counts. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { probeEngines, Reactor, type Timer } from "polloi";
import { AF_UNIX, beforeSends, SOCK_STREAM } from "polloi/internal";
import { socketpair } from "polloi/socket";
import { ClosedLoop, type ScheduledClient } from "../../src/load/schedule.ts";

/** A reactor whose turns the test takes. */
class ManualReactor {
  timer: (() => void) | undefined;
  stamp: () => void = () => {};
  #active = false;

  setTimer(_delayMs: number, callback: () => void): Timer {
    this.timer = callback;
    this.#active = true;
    const reactor = this;
    return {
      get active() {
        return reactor.#active;
      },
      refresh: () => {
        this.#active = true;
      },
      ref: () => {},
      unref: () => {},
      cancel: () => {
        this.#active = false;
      },
    };
  }

  /** Ends a turn: fires the timer if it is due, then sends what was written. @returns Whether it was due. */
  turn(): boolean {
    if (!this.#active) return false;
    this.#active = false;
    this.timer?.();
    this.stamp();
    return true;
  }
}

test("a closed loop sends in the order of readiness, in batches, and stamps messages as they are sent", () => {
  const reactor = new ManualReactor();
  const times = new Float64Array(100);
  const now = () => performance.now();
  const schedule = new ClosedLoop(reactor as unknown as Reactor, times, now, (_, stamp) => {
    reactor.stamp = stamp;
  });
  const order: number[] = [];
  const clients = Array.from(times, (_, i): ScheduledClient => {
    const send = (): void => {
      order.push(i);
      schedule.written(i);
      assert.equal(times[i], 0, "stamped before it was sent");
    };
    return { isQueued: false, send } as unknown as ScheduledClient;
  });
  for (const client of clients) schedule.ready(client, 0);
  // A client is in the queue once.
  for (const client of clients) schedule.ready(client, 0);
  const counts: number[] = [];
  for (let before = performance.now(); reactor.turn(); before = performance.now()) {
    const from = counts.reduce((sum, count) => sum + count, 0);
    counts.push(order.length - from);
    for (const i of order.slice(from)) assert.ok((times[i] as number) >= before);
  }
  assert.deepEqual(counts, [32, 32, 32, 4]);
  assert.deepEqual(order, [...clients.keys()]);
  // A client is queued again when it has had an answer.
  times[7] = 0;
  schedule.ready(clients[7] as ScheduledClient, 0);
  assert.ok(reactor.turn());
  assert.equal(order.at(-1), 7);
  assert.ok(!reactor.turn());
});

for (const { name, works, reason } of probeEngines()) {
  test(`${name}: beforeSends is called before written bytes are sent, and they are sent after it`, {
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
