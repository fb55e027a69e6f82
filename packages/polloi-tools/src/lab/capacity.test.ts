import assert from "node:assert/strict";
import { test } from "node:test";
import { type Capacity, type ChildCost, capacityNow, whyTooMany } from "./capacity.ts";

const GIB = 1024 * 1024;
const PROCESS: ChildCost = { kind: "process", kib: 31 * 1024, startMs: 60, threads: 11 };
const PLENTY: Capacity = { freeKiB: 1000 * GIB, threads: null, withinMs: 1e9 };

test("processes that need more than three quarters of the free memory are left out, with the figures", () => {
  const capacity = { ...PLENTY, freeKiB: 18 * GIB };
  assert.equal(
    whyTooMany(1000, PROCESS, capacity),
    "1,000 processes of 31 MiB need 30.3 GiB; 18 GiB are free, of which a quarter is kept in reserve",
  );
  assert.equal(whyTooMany(400, PROCESS, capacity), undefined);
  assert.notEqual(whyTooMany(500, PROCESS, capacity), undefined);
});

test("the lowest limit on threads is named", () => {
  const capacity = { ...PLENTY, threads: { left: 4000, limit: "kernel.pid_max" } };
  assert.match(
    whyTooMany(1000, PROCESS, capacity) ?? "",
    /^1,000 processes of 11 threads are more than the 4,000 threads that kernel.pid_max leaves$/,
  );
  assert.equal(whyTooMany(300, PROCESS, capacity), undefined);
  const thread: ChildCost = { ...PROCESS, kind: "thread", threads: 1 };
  assert.equal(whyTooMany(1000, thread, capacity), undefined);
});

test("processes that take longer to start than a cell may take are left out", () => {
  const capacity = { ...PLENTY, withinMs: 45_000 };
  assert.match(
    whyTooMany(1000, PROCESS, capacity) ?? "",
    /take 60 s to start, at 60 ms each.* 45 s/,
  );
  assert.equal(whyTooMany(700, PROCESS, capacity), undefined);
});

test("a limit that the system does not report does not apply", () => {
  assert.equal(whyTooMany(10_000, PROCESS, { ...PLENTY, freeKiB: null }), undefined);
});

test("this machine reports its memory and its limits", () => {
  const { freeKiB, threads } = capacityNow(1000);
  assert.ok(freeKiB !== null && freeKiB > 0);
  assert.ok(threads === null || threads.left > 0);
});
