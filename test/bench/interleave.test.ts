/** Interleaved servers, with real processes. */
import assert from "node:assert/strict";
import { execPath } from "node:process";
import { test } from "node:test";
import { type Bench, Interleaved } from "../../bench/interleave.ts";
import { findLoad } from "../../bench/load.ts";
import { compiled } from "../../bench/places.ts";
import { findCompiler } from "../../bench/tools.ts";

const machine = { pinned: false, serverCore: 0 };
const generators = [
  findLoad({ gcc: findCompiler() }, undefined),
  findLoad({ gcc: { missing: "none" } }, undefined),
];
const loads = [{ connections: 5, size: 64, idle: 0, depth: 1 }];
const server = { command: [execPath, compiled("peers/node-net")], loads };

for (const load of generators) {
  const skip = load === generators[0] && load.warning !== undefined ? load.warning : false;
  const side = load.warning === undefined ? "C" : "polloi";
  test(`each server is measured, beside one that fails to start; the load generator is ${side}`, {
    skip,
  }, async () => {
    const bench: Bench = { machine, load };
    const broken = { command: [execPath, "--eval", "throw new Error('broken')"], loads };
    const servers = await Interleaved.open(bench, [server, broken, server]);
    try {
      await servers.warmUp(0.05);
      const results = await servers.measure({ seconds: 0.4, round: 1 });
      const [first, failed, last] = results;
      assert.match(String(failed), /broken/);
      for (const result of [first, last]) {
        assert.ok(Array.isArray(result), String(result));
        const [{ messages, seconds, lost, mismatches }] = result as [(typeof result)[number]];
        assert.ok(messages > 0);
        // The sum of four turns.
        assert.ok(seconds > 0.3);
        assert.deepEqual({ lost, mismatches }, { lost: 0, mismatches: 0 });
      }
      assert.throws(() => servers.server(1), /broken/);
    } finally {
      await servers.close();
    }
  });
}

test("a server that exits fails alone; the others continue", async () => {
  const bench: Bench = { machine, load: generators[1] as Bench["load"] };
  const servers = await Interleaved.open(bench, [server, server]);
  try {
    await servers.server(0).stop();
    const [gone, alive] = await servers.measure({ seconds: 0.1, round: 1 });
    assert.ok(gone instanceof Error || gone?.[0]?.lost === 5, String(gone));
    assert.ok(Array.isArray(alive) && (alive[0]?.messages ?? 0) > 0);
  } finally {
    await servers.close();
  }
});
