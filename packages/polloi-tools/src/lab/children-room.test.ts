import assert from "node:assert/strict";
import { test } from "node:test";
import { type ChildCost, type Room, roomNow, whyNoRoom } from "./children-room.ts";

const GIB = 1024 * 1024;
const PROCESS: ChildCost = { kind: "process", kib: 31 * 1024, startMs: 60, threads: 11 };
const PLENTY: Room = { freeKiB: 1000 * GIB, threads: null, withinMs: 1e9 };

test("what does not fit into three quarters of the free memory is left out, with the arithmetic", () => {
  const room = { ...PLENTY, freeKiB: 18 * GIB };
  assert.equal(
    whyNoRoom(1000, PROCESS, room),
    "1,000 processes of 31 MiB need 30.3 GiB; 18 GiB are free, of which a quarter is left alone",
  );
  assert.equal(whyNoRoom(400, PROCESS, room), undefined);
  assert.notEqual(whyNoRoom(500, PROCESS, room), undefined);
});

test("the nearest limit of threads is named", () => {
  const room = { ...PLENTY, threads: { left: 4000, limit: "kernel.pid_max" } };
  assert.match(
    whyNoRoom(1000, PROCESS, room) ?? "",
    /^1,000 processes of 11 threads are more than the 4,000 threads that kernel.pid_max leaves$/,
  );
  assert.equal(whyNoRoom(300, PROCESS, room), undefined);
  const thread: ChildCost = { ...PROCESS, kind: "thread", threads: 1 };
  assert.equal(whyNoRoom(1000, thread, room), undefined);
});

test("what takes longer to start than a cell may take is left out", () => {
  const room = { ...PLENTY, withinMs: 45_000 };
  assert.match(whyNoRoom(1000, PROCESS, room) ?? "", /take 60 s to start, at 60 ms each.* 45 s/);
  assert.equal(whyNoRoom(700, PROCESS, room), undefined);
});

test("where the system tells nothing of a limit, it is none", () => {
  assert.equal(whyNoRoom(10_000, PROCESS, { ...PLENTY, freeKiB: null }), undefined);
});

test("this machine tells of its memory and of its limits", () => {
  const { freeKiB, threads } = roomNow(1000);
  assert.ok(freeKiB !== null && freeKiB > 0);
  assert.ok(threads === null || threads.left > 0);
});
