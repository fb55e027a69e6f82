import assert from "node:assert/strict";
import { test } from "node:test";
import { IdleTimeout } from "./idle-timeout.ts";
import { Timers } from "./timers.ts";

/** A simulated connection, whose kernel and peer the test controls, with its own clock. */
class Bench {
  now = 0;
  idleAt: number[] = [];
  pendingBytes = 0;
  untaken = 0;
  readonly timers: Timers = new Timers(
    { now: () => this.now },
    () => {},
    () => {},
  );
  readonly idle: IdleTimeout;

  constructor(timeoutMs: number, untaken = 0) {
    this.untaken = untaken;
    this.idle = new IdleTimeout(this.timers, timeoutMs, () => this.idleAt.push(this.now), this);
  }

  get unacknowledgedBytes(): number {
    return this.pendingBytes + this.untaken;
  }

  /** The kernel accepts bytes. */
  takes(bytes: number): void {
    this.untaken += bytes;
    this.idle.sent(bytes);
  }

  until(end: number, each: () => void = () => {}): void {
    for (; this.now < end; this.now += 10) {
      each();
      this.timers.fire((callback) => callback());
      this.timers.fireLimits(this.timers.overdue, (callback) => callback());
    }
  }
}

test("a connection without traffic is idle after each timeout", () => {
  const bench = new Bench(1000);
  bench.until(3500);
  assert.deepEqual(bench.idleAt, [1000, 2000, 3000]);
});

test("received bytes count from the time of their arrival", () => {
  const bench = new Bench(1000);
  bench.until(700);
  bench.idle.touch();
  bench.until(3000);
  assert.deepEqual(bench.idleAt[0], 1700);
});

test("a peer that steadily reads bytes that the kernel accepted at once is never idle", () => {
  const bench = new Bench(60_000);
  bench.takes(60_000_000);
  bench.until(1_400_000, () => {
    bench.untaken -= 400;
  });
  assert.deepEqual(bench.idleAt, []);
});

for (const [timeoutMs, latest] of [
  [1000, 1500],
  [60_000, 76_000],
] as const) {
  test(`a peer that acknowledges nothing is detected within 1.25 times ${timeoutMs} ms`, () => {
    const bench = new Bench(timeoutMs);
    bench.takes(2_000_000);
    bench.pendingBytes = 5_000_000;
    bench.until(2 * timeoutMs);
    const [first = 0] = bench.idleAt;
    assert.ok(first >= timeoutMs && first <= latest, `at ${first}`);
  });

  test(`a peer that stops acknowledging in the middle is detected, and not before ${timeoutMs} ms`, () => {
    const bench = new Bench(timeoutMs);
    bench.takes(50_000_000);
    const stops = 2.6 * timeoutMs;
    bench.until(stops, () => {
      bench.untaken -= 10;
    });
    bench.until(5 * timeoutMs);
    const [first = 0] = bench.idleAt;
    assert.ok(first >= stops + timeoutMs - 10 && first <= stops + latest, `at ${first}`);
  });
}

test("bytes that were unacknowledged before the timeout began are not progress", () => {
  const bench = new Bench(1000, 2_000_000);
  bench.until(1500);
  assert.deepEqual(bench.idleAt, [1000]);
});

test("after the end only sent bytes count, and received ones again once everything is acknowledged", () => {
  const bench = new Bench(1000);
  bench.takes(5000);
  bench.idle.outgoingOnly();
  bench.until(1990, () => bench.idle.touch());
  const [first = 0] = bench.idleAt;
  assert.ok(first >= 1000 && first <= 1300, `at ${first}`);
  bench.idleAt = [];
  bench.untaken = 0;
  bench.until(6000, () => bench.idle.touch());
  assert.deepEqual(bench.idleAt, []);
});

test("a peer that acknowledges all bytes as they are written is not idle", () => {
  const bench = new Bench(1000);
  bench.takes(1000);
  bench.until(5000, () => {
    bench.takes(10);
    bench.untaken -= 10;
  });
  assert.deepEqual(bench.idleAt, []);
});
