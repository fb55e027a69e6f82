import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentWindow } from "./statistics.ts";

test("answers that come in bursts are shown in the ticks between, over the time that they took", () => {
  const recent = new RecentWindow();
  recent.reset(0);
  for (let tick = 1; tick <= 40; tick++) {
    // A burst in every third tick.
    if (tick % 3 === 0) for (let i = 0; i < 300; i++) recent.current.record(20);
    const { messagesPerSecond, recentMs } = recent.advance(250 * tick);
    if (tick < 4) continue;
    // One burst or two in the last second.
    assert.ok(messagesPerSecond === 300 || messagesPerSecond === 600, `${messagesPerSecond}`);
    assert.ok(Math.abs(recentMs.p50 - 20) < 0.1 && recentMs.max === 20, JSON.stringify(recentMs));
  }
});

test("a server that stands still for a second shows nothing, and a late tick counts its time", () => {
  const recent = new RecentWindow();
  recent.reset(0);
  for (let i = 0; i < 100; i++) recent.current.record(1);
  assert.equal(recent.advance(1000).messagesPerSecond, 100);
  for (const at of [1250, 1500, 1750]) assert.ok(recent.advance(at).messagesPerSecond > 0);
  const { messagesPerSecond, recentMs } = recent.advance(2000);
  assert.deepEqual([messagesPerSecond, recentMs], [0, { p50: 0, p99: 0, max: 0 }]);
});
