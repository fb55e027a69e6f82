/** Profiles of polloi's HTTP server. */
import assert from "node:assert/strict";
import { execPath } from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { start } from "../../bench/children.ts";
import type { SelfTime } from "../../bench/peers/profiled.ts";
import { compiled } from "../../bench/places.ts";
import { profileFigure } from "../../bench/profile.ts";

test("a table has the functions with the most time of each version, by the request", () => {
  const { title, table } = profileFigure(
    {
      api: "handler",
      name: "pipelined",
      profiles: [
        {
          commit: "abc",
          requests: 1000,
          functions: [
            { name: "scan", place: "file:///x/dist/http.js:7", microseconds: 1500 },
            { name: "(program)", place: "", microseconds: 500 },
          ],
        },
        {
          commit: undefined,
          requests: 2000,
          functions: [{ name: "read", place: "file:///x/chunk-1a.js:7", microseconds: 1000 }],
        },
      ],
    },
    1,
  );
  assert.equal(title, "polloi handler, 16 pipelined, 64 connections");
  assert.deepEqual(table, {
    header: ["", "abc: 2.00 us/request", "function", "this tree: 0.50 us/request", "function"],
    rows: [["1", "1.500 (75.0 %)", "scan (http.js)", "0.500 (100.0 %)", "read"]],
  });
});

test("a process that imports the profiler answers with the functions that ran in between", async () => {
  const program = `
    function busyFunction() { for (const end = Date.now() + 20; Date.now() < end; ) {} }
    setInterval(busyFunction, 1);
    console.log("{}");`;
  const profiler = pathToFileURL(compiled("peers/profiled")).href;
  const child = await start([execPath, "--import", profiler, "--eval", program]);
  try {
    assert.deepEqual(await child.ask("start", 20_000), { started: true });
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      const functions = (await child.ask("stop", 20_000)).functions as readonly SelfTime[];
      if (functions.some(({ name }) => name === "busyFunction")) break;
      await child.ask("start", 20_000);
    }
  } finally {
    await child.stop();
  }
});
