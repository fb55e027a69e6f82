/** Servers that take turns, real ones. */
import assert from "node:assert/strict";
import { execPath } from "node:process";
import { test } from "node:test";
import type { Bench } from "../../bench/echo.ts";
import { Field } from "../../bench/field.ts";
import { findLoad } from "../../bench/load.ts";
import { compiled } from "../../bench/places.ts";
import { findCompiler } from "../../bench/tools.ts";

const machine = { pinned: false, serverCore: 0, loadCore: 0 } as Bench["machine"];
const sides = [
  findLoad({ gcc: findCompiler() }, undefined),
  findLoad({ gcc: { missing: "none" } }, undefined),
];
const loads = [{ connections: 5, size: 64, idle: 0, depth: 1 }];
const server = { command: [execPath, compiled("peers/node-net")], loads };

for (const load of sides) {
  const skip = load === sides[0] && load.warning !== undefined ? load.warning : false;
  const side = load.warning === undefined ? "C" : "Node";
  test(`each server has its turns, beside one that fails to start; the load in ${side}`, {
    skip,
  }, async () => {
    const bench: Bench = { machine, load, peers: [] };
    const broken = { command: [execPath, "--eval", "throw new Error('broken')"], loads };
    const field = await Field.open(bench, [server, broken, server]);
    try {
      await field.warmUp(0.05);
      const results = await field.measure({ seconds: 0.4, round: 1 });
      const [first, failed, last] = results;
      assert.match(String(failed), /broken/);
      for (const result of [first, last]) {
        assert.ok(Array.isArray(result), String(result));
        const [{ messages, seconds, lost, mismatches }] = result as [(typeof result)[number]];
        assert.ok(messages > 0);
        // Of four turns, not of the last alone.
        assert.ok(seconds > 0.3);
        assert.deepEqual({ lost, mismatches }, { lost: 0, mismatches: 0 });
      }
      assert.throws(() => field.server(1), /broken/);
    } finally {
      await field.close();
    }
  });
}

test("a server that is gone fails by itself; the others go on", async () => {
  const bench: Bench = { machine, load: sides[1] as Bench["load"], peers: [] };
  const field = await Field.open(bench, [server, server]);
  try {
    await field.server(0).stop();
    const [gone, alive] = await field.measure({ seconds: 0.1, round: 1 });
    assert.ok(gone instanceof Error || gone?.[0]?.lost === 5, String(gone));
    assert.ok(Array.isArray(alive) && (alive[0]?.messages ?? 0) > 0);
  } finally {
    await field.close();
  }
});
