import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentWindow } from "./statistics.ts";

test("the window spans the intervals between bursts of answers", () => {
  const window = new RecentWindow();
  window.reset(0);
  for (let tick = 1; tick <= 40; tick++) {
    // A burst in every third interval.
    if (tick % 3 === 0) for (let i = 0; i < 300; i++) window.current.record(20);
    const { messagesPerSecond, recentMs } = window.advance(250 * tick);
    if (tick < 4) continue;
    // The last second contains one burst or two.
    assert.ok(messagesPerSecond === 300 || messagesPerSecond === 600, `${messagesPerSecond}`);
    assert.ok(Math.abs(recentMs.p50 - 20) < 0.1 && recentMs.max === 20, JSON.stringify(recentMs));
  }
});

test("a window without answers is empty, and a late interval counts with its duration", () => {
  const window = new RecentWindow();
  window.reset(0);
  for (let i = 0; i < 100; i++) window.current.record(1);
  assert.equal(window.advance(1000).messagesPerSecond, 100);
  for (const at of [1250, 1500, 1750]) assert.ok(window.advance(at).messagesPerSecond > 0);
  const { messagesPerSecond, recentMs } = window.advance(2000);
  assert.deepEqual([messagesPerSecond, recentMs], [0, { p50: 0, p99: 0, max: 0 }]);
});
