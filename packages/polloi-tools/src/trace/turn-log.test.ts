import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceEvent, Untimed } from "./event.ts";
import { type TraceOptions, TurnLog } from "./turn-log.ts";

function logged(options: Partial<TraceOptions> = {}): { log: TurnLog; events: TraceEvent[] } {
  const events: TraceEvent[] = [];
  const all: TraceOptions = {
    event: (event) => void events.push(event),
    flush() {},
    ended() {},
    failed() {},
    ...options,
  };
  const log = new TurnLog(all, () => performance.now());
  return { log, events };
}

const wait = (result: number): Untimed => ({
  ...{ event: "wait", call: "epoll_wait", args: [], result, us: 1, timeoutMs: 0 },
});
const recv = (connection: number): Untimed => ({
  ...{ event: "call", call: "recv", args: [], result: 1, us: 1, fd: 9, connection },
});

test("turns without events are only counted", () => {
  const { log, events } = logged();
  for (let turn = 1; turn <= 5; turn++) {
    log.begin(turn * 10, "node");
    log.add(wait(turn === 5 ? 1 : 0), turn * 10 + 1);
    log.finish(turn * 10 + 2);
  }
  assert.deepEqual(
    events.map(({ event, turn }) => `${event} ${turn}`),
    ["turn 5", "wait 5"],
  );
  assert.equal(events[0]?.event === "turn" && events[0].unshown, 4);
  assert.equal(events[0]?.event === "turn" && events[0].idleMs, 8);
});

test("a wait without a result is shown when another event follows in its turn", () => {
  const { log, events } = logged();
  log.begin(1);
  log.add(wait(0), 2);
  assert.deepEqual(events, []);
  log.add(recv(1), 3);
  assert.deepEqual(
    events.map(({ event }) => event),
    ["turn", "wait", "call"],
  );
});

test("calls between turns follow one event that says so", () => {
  const { log, events } = logged();
  log.begin(1, "node");
  log.add(recv(1), 2);
  log.finish(3);
  log.add(recv(1), 10);
  log.add(recv(1), 11);
  const heads = events.filter((it) => it.event === "turn");
  assert.deepEqual(
    heads.map(({ turn, outside, idleMs }) => [turn, outside ?? false, idleMs]),
    [
      [1, false, heads[0]?.idleMs],
      [1, true, 7],
    ],
  );
});

test("the end is one event, and the last", () => {
  const reasons: string[] = [];
  const { log, events } = logged({ turns: 1, ended: (reason) => void reasons.push(reason) });
  log.begin(1, "node");
  log.add(recv(1), 2);
  log.finish(3);
  log.begin(4, "node");
  log.add(recv(1), 5);
  log.end("again");
  assert.deepEqual(reasons, ["1 turn was traced"]);
  assert.equal(events.at(-1)?.event, "end");
});
