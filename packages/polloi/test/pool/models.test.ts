/** Cases of the models that are too expensive for every runtime, or need another program. */
import assert from "node:assert/strict";
import { freemem } from "node:os";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { needs, Program } from "../../../../test/support/processes.ts";
import { CASE_TIMEOUT_MS, SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { until } from "../support/waiting.ts";
import { assertEchoed, childrenOf, noise, TestServer, variant } from "./test-server.ts";

const CLIENTS = 100;
/** Threads are reused, so fewer threads serve the same number of clients. */
const THREADS = 10;
/** Memory for this many processes of Node, and some to spare. */
const NEEDED_BYTES = 6 * 2 ** 30;
const tooLittleMemory =
  freemem() < NEEDED_BYTES ? `less than 6 GiB of memory are free for ${CLIENTS} processes` : false;

describe("models", { timeout: SUITE_TIMEOUT_MS }, () => {
  for (const [model, maxChildren] of [
    ["process", CLIENTS],
    ["thread", THREADS],
  ] as const) {
    test(`${model}: ${CLIENTS} clients at once, at most ${maxChildren} of them served at a time`, {
      skip: model === "process" && tooLittleMemory,
      timeout: SUITE_TIMEOUT_MS,
    }, async () => {
      await using test = await TestServer.start({ ...variant(model), maxChildren });
      const clients = Array.from({ length: CLIENTS }, () => test.client());
      for (const [i, client] of clients.entries()) client.send(noise(10_000, i));
      const served = (): number => clients.filter(({ length }) => length >= 10_000).length;
      // Starting a hundred processes of Node takes ten seconds of a processor.
      while (served() < maxChildren) await sleep(10);
      assert.equal(test.server.counts.children, maxChildren);
      assert.equal(served(), maxChildren);
      for (const client of clients) client.end();
      await until("all are closed", () => clients.every(({ closed }) => closed));
      for (const [i, client] of clients.entries()) assertEchoed(client, noise(10_000, i));
      await until("none is left", () => test.server.counts.children === 0);
      const { connections, started, exits } = test.server.counts;
      assert.deepEqual([connections, started, exits, childrenOf()], [CLIENTS, maxChildren, 0, []]);
      // Reported again each time that all are busy again.
      assert.equal(test.limits.length > 0, maxChildren < CLIENTS);
    });
  }

  for (const model of ["process", "thread"] as const) {
    test(`${model}: a second stop leaves no timer`, { timeout: CASE_TIMEOUT_MS }, async () => {
      const timers = (): number =>
        process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
      const before = timers();
      const test = await TestServer.start(variant(model));
      await test.server.stop();
      await test.server.stop();
      assert.equal(timers(), before);
    });
  }

  test("prefork: processes wait on one listener with EPOLLEXCLUSIVE, or each on its own", {
    skip: needs("strace"),
    timeout: CASE_TIMEOUT_MS,
  }, async () => {
    for (const [share, calls] of [
      ["exclusive", /EPOLL_CTL_ADD.*EPOLLEXCLUSIVE/g],
      ["reuseport", /SO_REUSEPORT, \[1\]/g],
    ] as const) {
      const main = Program.file("packages/polloi-tools/dist/main.js");
      const flags = `serve --model prefork --children 2 --share ${share} --engine epoll --port 0 --json`;
      await using program = new Program("strace", [
        ...["-f", "-qq", "-e", "trace=epoll_ctl,setsockopt"],
        ...[process.execPath, main, ...flags.split(" ")],
      ]);
      await program.port();
      program.child.stdin?.write("\n");
      const { code, stderr } = await program.ended;
      assert.equal(code, 0);
      assert.equal(stderr.match(calls)?.length, 2, `--share ${share}`);
    }
  });
});
