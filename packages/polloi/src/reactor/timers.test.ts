import assert from "node:assert/strict";
import { test } from "node:test";
import { type Timer, Timers } from "./timers.ts";

test("timers of the same deadline fire in the order in which they were set or refreshed", () => {
  let now = 0;
  const timers = new Timers(
    { now: () => now },
    () => {},
    () => {},
  );
  const fired: number[] = [];
  // Removing some from the middle makes the heap move the others.
  const all = Array.from({ length: 40 }, (_, i) => timers.add(5, () => fired.push(i), true));
  for (const i of [0, 3, 17, 30]) (all[i] as Timer).cancel();
  (all[5] as Timer).refresh();
  now = 5;
  timers.fire((callback) => callback());
  const left = all.map((_, i) => i).filter((i) => ![0, 3, 5, 17, 30].includes(i));
  assert.deepEqual(fired, [...left, 5]);
});
