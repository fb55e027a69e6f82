/** The load generator in C, with a real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bench, loadOn, loadServer, withServer } from "../../bench/interleave.ts";
import { findLoad } from "../../bench/load.ts";
import { compiled } from "../../bench/places.ts";
import { findCompiler } from "../../bench/tools.ts";

const load = findLoad({ gcc: findCompiler() }, undefined);
const skip: string | false = load.warning ?? false;
const bench: Bench = { machine: { pinned: false, serverCore: 0 }, load };
const peer = { command: [process.execPath, compiled("peers/node-net")] };
const common = { connections: 20, size: 64, idle: 0, depth: 1, seconds: 0.3, warmup: 0 };

test("a load sends the requested number of messages per connection, and sums up its windows", {
  skip,
}, async () => {
  await withServer(bench, peer, async (server) => {
    const running = await loadOn(bench, server, { ...common, perConnection: 30 });
    try {
      for (const times of [1, 2]) {
        const result = await running.run({ warmup: 0, seconds: 20 });
        const { messages, bytes, lost, mismatches } = result;
        assert.deepEqual(
          { messages, bytes, lost, mismatches },
          { messages: 600 * times, bytes: 600 * 64 * times, lost: 0, mismatches: 0 },
        );
      }
      assert.equal((await running.run({ warmup: 0.01, seconds: 0 })).messages, 0);
      assert.equal((await running.run({ warmup: 0, seconds: 20 })).messages, 600);
    } finally {
      await running.stop();
    }
  });
});

test("at a rate no message is sent before it is due", { skip }, async () => {
  await withServer(bench, peer, async (server) => {
    const rate = 1000;
    const { messages, seconds, ...result } = await loadServer(bench, server, { ...common, rate });
    assert.equal(result.rate, rate);
    // One message is due at the start. Messages that were in flight at the start, at most one per connection, are
    // answered in the window.
    const most = rate * seconds + 1 + common.connections;
    assert.ok(messages <= most, `${messages} in ${seconds} s`);
  });
});

test("the latency of a message that was sent late counts from when it was due", {
  skip,
}, async () => {
  await withServer(bench, peer, async (server) => {
    // No server reaches this rate: the last messages of the window have waited for most of it.
    const options = { ...common, rate: 10_000_000 };
    const { latencyUs, seconds } = await loadServer(bench, server, options);
    assert.ok(latencyUs.max > seconds * 1e6 * 0.5, `${latencyUs.max} us in ${seconds} s`);
  });
});

test("in churn a connection closes after its messages", { skip }, async () => {
  await withServer(bench, peer, async (server) => {
    const options = { ...common, mode: "churn", life: 4 } as const;
    const { messages, lives = 0, lost } = await loadServer(bench, server, options);
    assert.equal(lost, 0);
    assert.ok(lives > 0);
    // Connections that are open at the start or the end of the window have up to three of their four messages.
    assert.ok(Math.abs(messages - lives * 4) <= common.connections * 4, `${messages} / ${lives}`);
  });
});
