import assert from "node:assert/strict";
import { test } from "node:test";
import { Choices } from "./choices.ts";
import { VirtualClock } from "./clock.ts";
import { type FaultRates, Faults } from "./faults.ts";
import { WaitQueue } from "./wait-queue.ts";
import { DeadlockError, World } from "./world.ts";

function worldOf(choices: Choices, rates?: FaultRates): World {
  return new World(choices, new Faults(choices, rates), new VirtualClock());
}

test("actions run in the order of their times, and the clock moves to them", () => {
  const world = worldOf(Choices.plain());
  const seen: [string, number][] = [];
  for (const [name, delay] of [
    ["c", 3],
    ["a", 1],
    ["b", 1],
  ] as const) {
    world.schedule(delay, () => seen.push([name, world.now()]));
  }
  world.schedule(2, () => seen.push(["never", 0])).cancel();
  while (world.step());
  assert.deepEqual(seen, [
    ["a", 1],
    ["b", 1],
    ["c", 3],
  ]);
});

test("a wait ends with its condition, at its deadline, or as a deadlock", () => {
  const world = worldOf(Choices.plain());
  let done = false;
  world.schedule(5, () => {
    done = true;
  });
  assert.equal(
    world.waitUntil(() => done, 4),
    false,
  );
  assert.equal(world.now(), 4);
  assert.equal(
    world.waitUntil(() => done, Number.POSITIVE_INFINITY),
    true,
  );
  assert.equal(world.now(), 5);
  assert.throws(() => world.waitUntil(() => false, Number.POSITIVE_INFINITY), DeadlockError);
});

test("a task runs neither before a call nor while a call waits, and may wait itself", () => {
  const world = worldOf(Choices.plain());
  const seen: string[] = [];
  world.scheduleTask(1, () => {
    seen.push("task");
    world.schedule(2, () => seen.push("action of the task"));
    world.waitUntil(() => seen.length === 3, Number.POSITIVE_INFINITY);
    seen.push("end of the task");
  });
  world.schedule(3, () => seen.push("action"));
  world.waitUntil(() => seen.length === 1, Number.POSITIVE_INFINITY);
  world.catchUp();
  assert.deepEqual(seen, ["action"]);
  while (world.step());
  assert.deepEqual(seen, ["action", "task", "action of the task", "end of the task"]);
});

test("a run with the same seed, or with the decisions of another run, is the same run", () => {
  const run = (choices: Choices): number[] => {
    const world = worldOf(choices, { order: 2 });
    const seen: number[] = [];
    for (let i = 0; i < 50; i++) world.schedule(i >> 3, () => seen.push(i));
    while (world.step());
    return seen;
  };
  const choices = Choices.seeded(7);
  const first = run(choices);
  assert.deepEqual(run(Choices.seeded(7)), first);
  assert.deepEqual(run(Choices.replay(choices.taken)), first);
  assert.notDeepEqual(run(Choices.seeded(8)), first);
  assert.deepEqual(
    run(Choices.plain()),
    Array.from({ length: 50 }, (_, i) => i),
  );
});

test("decisions are evenly distributed, and a fault happens as often as its rate says", () => {
  const choices = Choices.seeded(1);
  const counts = [0, 0, 0, 0, 0];
  for (let i = 0; i < 10_000; i++) counts[choices.below(5)] = (counts[choices.below(5)] ?? 0) + 1;
  for (const count of counts) assert.ok(count > 1700 && count < 2300, `${counts}`);
  const faults = new Faults(choices, { reset: 100 });
  let resets = 0;
  for (let i = 0; i < 100_000; i++) if (faults.happens("reset")) resets++;
  assert.ok(resets > 800 && resets < 1200, `${resets}`);
  assert.equal(faults.happens("delay"), false);
});

test("one exclusive waiter takes a wake-up, after all others", () => {
  const queue = new WaitQueue();
  const woken: string[] = [];
  const add = (name: string, isExclusive: boolean, takes = true) =>
    queue.add({
      isExclusive,
      wake() {
        woken.push(name);
        return takes;
      },
    });
  add("busy", true, false);
  add("first", true);
  add("second", true);
  add("all", false);
  queue.wake(1);
  assert.deepEqual(woken, ["all", "busy", "first"]);
});

test("waiters that come or go while others are woken do not change who is woken", () => {
  const queue = new WaitQueue();
  const woken: string[] = [];
  const named = (name: string, then: () => void = () => {}) => ({
    isExclusive: false,
    wake() {
      woken.push(name);
      then();
      return true;
    },
  });
  const last = named("last");
  const late = named("late");
  const middle = named("middle", () => {
    queue.remove(middle);
    queue.remove(last);
    queue.add(late);
    // A wake-up within a wake-up.
    if (woken.length === 2) queue.wake(1);
  });
  for (const waiter of [last, middle, named("first")]) queue.add(waiter);
  queue.wake(1);
  assert.deepEqual(woken, ["first", "middle", "late", "first", "last"]);
  queue.wakeAll();
  assert.deepEqual(woken.slice(5), ["late", "first"]);
  assert.equal(queue.size, 2);
});
