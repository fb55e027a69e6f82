import assert from "node:assert/strict";
import { test } from "node:test";
import type { TraceEvent, Untimed } from "./event.ts";
import { type TraceOptions, TurnLog } from "./turn-log.ts";

function logged(options: Partial<TraceOptions> = {}): { log: TurnLog; told: TraceEvent[] } {
  const told: TraceEvent[] = [];
  const log = new TurnLog({
    event: (event) => void told.push(event),
    flush() {},
    ended() {},
    failed() {},
    ...options,
  });
  return { log, told };
}

const wait = (result: number): Untimed => ({
  ...{ event: "wait", call: "epoll_wait", args: [], result, us: 1, timeoutMs: 0 },
});
const recv = (connection: number): Untimed => ({
  ...{ event: "call", call: "recv", args: [], result: 1, us: 1, fd: 9, connection },
});

test("turns that find nothing are only counted", () => {
  const { log, told } = logged();
  for (let turn = 1; turn <= 5; turn++) {
    log.begin(turn * 10, "node");
    log.tell(wait(turn === 5 ? 1 : 0), turn * 10 + 1);
    log.finish(turn * 10 + 2);
  }
  assert.deepEqual(
    told.map(({ event, turn }) => `${event} ${turn}`),
    ["turn 5", "wait 5"],
  );
  assert.equal(told[0]?.event === "turn" && told[0].unshown, 4);
  assert.equal(told[0]?.event === "turn" && told[0].idleMs, 8);
});

test("a wait that found nothing is told of once something follows it in its turn", () => {
  const { log, told } = logged();
  log.begin(1);
  log.tell(wait(0), 2);
  assert.deepEqual(told, []);
  log.tell(recv(1), 3);
  assert.deepEqual(
    told.map(({ event }) => event),
    ["turn", "wait", "call"],
  );
});

test("what is called between turns has a head of its own, once", () => {
  const { log, told } = logged();
  log.begin(1, "node");
  log.tell(recv(1), 2);
  log.finish(3);
  log.tell(recv(1), 10);
  log.tell(recv(1), 11);
  const heads = told.filter((it) => it.event === "turn");
  assert.deepEqual(
    heads.map(({ turn, outside, idleMs }) => [turn, outside ?? false, idleMs]),
    [
      [1, false, heads[0]?.idleMs],
      [1, true, 7],
    ],
  );
});

test("the end is told once, and nothing after it", () => {
  const reasons: string[] = [];
  const { log, told } = logged({ turns: 1, ended: (reason) => void reasons.push(reason) });
  log.begin(1, "node");
  log.tell(recv(1), 2);
  log.finish(3);
  log.begin(4, "node");
  log.tell(recv(1), 5);
  log.end("again");
  assert.deepEqual(reasons, ["1 turn was traced"]);
  assert.equal(told.at(-1)?.event, "end");
});
