/** The load in C, against a real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bench, loadServer, withServer } from "../../bench/echo.ts";
import { findLoad, openLoad } from "../../bench/load.ts";
import { compiled } from "../../bench/places.ts";
import { findCompiler } from "../../bench/tools.ts";

const load = findLoad({ gcc: findCompiler() }, undefined);
const skip: string | false = load.warning ?? false;
/** As much of a machine as a run that is pinned nowhere looks at. */
const machine = { pinned: false, serverCore: 0, loadCore: 0 } as Bench["machine"];
const bench: Bench = { machine, load, peers: [] };
const peer = { command: [process.execPath, compiled("peers/node-net")] };
const common = { connections: 20, size: 64, idle: 0, depth: 1, seconds: 0.3, warmup: 0 };

test("a load sends exactly what each connection is to send, and sums up its windows", {
  skip,
}, async () => {
  await withServer(bench, peer, async ({ first, pid }) => {
    const where = { port: Number(first.port), serverPid: pid, serverCore: 0 };
    const running = await openLoad(load, { ...common, ...where, perConnection: 30 });
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

test("with a rate no message leaves before it is due", { skip }, async () => {
  await withServer(bench, peer, async (server) => {
    const rate = 1000;
    const { messages, seconds, ...result } = await loadServer(bench, server, { ...common, rate });
    assert.equal(result.rate, rate);
    // One is due at the very beginning. What was due just before it, and out, is answered in the window: at
    // most one on each connection.
    const most = rate * seconds + 1 + common.connections;
    assert.ok(messages <= most, `${messages} in ${seconds} s`);
  });
});

test("a message that could not leave on time counts from when it was due", { skip }, async () => {
  await withServer(bench, peer, async (server) => {
    // Far more than any server can do: the last messages of the window have waited for most of it.
    const options = { ...common, rate: 10_000_000 };
    const { latencyUs, seconds } = await loadServer(bench, server, options);
    assert.ok(latencyUs.max > seconds * 1e6 * 0.5, `${latencyUs.max} us in ${seconds} s`);
  });
});

test("in churn a connection ends after its messages", { skip }, async () => {
  await withServer(bench, peer, async (server) => {
    const options = { ...common, mode: "churn", life: 4 } as const;
    const { messages, lives = 0, lost } = await loadServer(bench, server, options);
    assert.equal(lost, 0);
    assert.ok(lives > 0);
    // Those that are under way at either end of the window have had up to three of their four.
    assert.ok(Math.abs(messages - lives * 4) <= common.connections * 4, `${messages} / ${lives}`);
  });
});
