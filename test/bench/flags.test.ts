import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { execPath } from "node:process";
import { test } from "node:test";
import { countsFrom, namesFrom } from "../../bench/benchmark.ts";
import { CHURN_SERVERS, ECHO_SERVERS } from "../../bench/echo.ts";
import { IDLE_SERVERS } from "../../bench/idle.ts";
import { LATENCY_SERVERS } from "../../bench/latency.ts";
import { thatHold } from "../../bench/peers.ts";
import { compiled } from "../../bench/places.ts";
import { PEER_NAMES } from "../../bench/plans.ts";
import { SYSCALLS_SERVERS } from "../../bench/syscalls.ts";

test("a wrong flag, command or server is an error in one line that names it, with exit code 2", () => {
  const wrong = [
    { args: ["echo", "--frob"], names: "--frob" },
    { args: ["ehco"], names: "ehco" },
    { args: ["echo", "--rounds", "none"], names: "none" },
    { args: ["echo", "--servers", "c-epoll,frob"], names: "frob" },
    { args: ["http", "--servers", "c-epoll"], names: "c-epoll" },
    { args: ["http", "--cases", "hello,frob"], names: "frob" },
    { args: ["http", "--load", "frob"], names: "frob" },
    { args: ["profile", "--cases", "file"], names: "file" },
    { args: ["report", "more"], names: "report" },
    { args: [], names: "command" },
  ];
  for (const { args, names } of wrong) {
    const { status, stdout, stderr } = spawnSync(execPath, [compiled("main"), ...args], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.equal(status, 2, `${args.join(" ")}: ${stderr}`);
    assert.equal(stdout, "");
    assert.match(stderr, /^bench: .*\n$/);
    assert.ok(stderr.includes(names), stderr);
  }
});

test("servers are selected by name, or all at once", () => {
  assert.deepEqual(namesFrom("node-net,c-epoll", PEER_NAMES), ["node-net", "c-epoll"]);
  assert.deepEqual(namesFrom("all", PEER_NAMES), PEER_NAMES);
  assert.throws(() => namesFrom("node-net,", PEER_NAMES), /Unknown name/);
  assert.deepEqual(countsFrom("50,500"), [50, 500]);
  assert.throws(() => countsFrom("50,0"), /above 0/);
});

test("every server that a benchmark measures by default exists", () => {
  const all = [ECHO_SERVERS, CHURN_SERVERS, IDLE_SERVERS, LATENCY_SERVERS, SYSCALLS_SERVERS];
  for (const names of all) {
    assert.deepEqual(
      names.filter((name) => !PEER_NAMES.includes(name)),
      [],
    );
  }
});

test("a server that cannot hold the connections is skipped by name, with its limit", () => {
  const common = { command: [], collects: true };
  const peers = [
    { ...common, name: "polloi-select", label: "polloi, select", holds: 980 },
    { ...common, name: "polloi-poll", label: "polloi, poll", holds: Number.POSITIVE_INFINITY },
  ];
  const found = thatHold(15_000, { peers, skipped: [] });
  assert.deepEqual(
    found.peers.map(({ name }) => name),
    ["polloi-poll"],
  );
  assert.match(found.skipped[0]?.reason ?? "", /at most 980 connections, and 15000 are required/);
});
