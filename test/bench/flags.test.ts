import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { execPath } from "node:process";
import { test } from "node:test";
import { countsFrom, serversFrom } from "../../bench/flags.ts";
import { thatHold } from "../../bench/peers.ts";
import { compiled } from "../../bench/places.ts";
import { PEER_NAMES } from "../../bench/plans.ts";
import { SERVERS } from "../../bench/runs.ts";

test("a wrong flag, command or server ends the bench with 2 and one line that names it", () => {
  const wrong = [
    { args: ["echo", "--frob"], names: "--frob" },
    { args: ["ehco"], names: "ehco" },
    { args: ["echo", "--rounds", "none"], names: "none" },
    { args: ["echo", "--servers", "c-epoll,frob"], names: "frob" },
    { args: ["http", "--servers", "c-epoll"], names: "c-epoll" },
    { args: ["http", "--cells", "hello,frob"], names: "frob" },
    { args: ["http", "--load", "frob"], names: "frob" },
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

test("servers are named one by one, or all at once", () => {
  assert.deepEqual(serversFrom("node-net,c-epoll"), ["node-net", "c-epoll"]);
  assert.deepEqual(serversFrom("all"), PEER_NAMES);
  assert.throws(() => serversFrom("node-net,"), /There is no/);
  assert.deepEqual(countsFrom("50,500"), [50, 500]);
  assert.throws(() => countsFrom("50,0"), /above 0/);
});

test("every server that a benchmark takes by default exists", () => {
  const { http: _, trace: _traced, ...echo } = SERVERS;
  for (const names of Object.values(echo)) {
    assert.deepEqual(
      names.filter((name) => !PEER_NAMES.includes(name)),
      [],
    );
  }
});

test("a server that cannot hold the connections is skipped by name, and says how many it holds", () => {
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
  assert.match(found.skipped[0]?.reason ?? "", /at most 980 connections, and 15000 are wanted/);
});
