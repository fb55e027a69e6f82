/** Cases of accepting for a process or thread per connection: reuse, failing accepts, limits. */
import assert from "node:assert/strict";
import { kernelWith } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { kernel } from "../../src/sys/open.ts";
import { Client } from "../support/client.ts";
import { until } from "../support/waiting.ts";
import { WaitingPeers } from "../support/waiting-peers.ts";
import { lean, PER_CONNECTION, TestServer, VARIANTS, variant } from "./test-server.ts";

/** Errors of accept that last, and their hints. */
const FAILURES = [
  ["EMFILE", /ulimit -n/],
  ["EPERM", /security policy/],
  ["EIO", /retried every second/],
] as const;

/** What happens to a child when its connection is closed. */
export function reuseCases(): Case[] {
  return PER_CONNECTION.map((name) => ({
    name: `${name}: ${name === "thread" ? "the next connection is served by the thread of one that is closed" : "every connection has its own process"}`,
    run: async () => {
      await using test = await TestServer.start(variant(name));
      for (const text of ["one", "two", "three"]) {
        const client = test.client();
        assert.equal(await client.ask(text), text);
        client.destroy();
        await until("over", () => test.server.counts.children === 0);
      }
      const { started, messages, bytes } = test.server.counts;
      assert.deepEqual([started, messages, bytes], [name === "thread" ? 1 : 3, 3, 11]);
    },
  }));
}

/** Connections that wait when stop is called, and are accepted while the idle threads exit. */
export function waitingAtStopCase(): Case {
  const count = 4;
  return {
    name: "thread: connections that wait when stop is called are served, although the idle threads exit",
    run: async () => {
      await using test = await TestServer.start(variant("thread"));
      const clients = Array.from({ length: count }, () => test.client());
      await Promise.all(clients.map((client) => client.ask("hello")));
      for (const client of clients) client.destroy();
      await until("all threads are idle", () => test.server.counts.children === 0);
      using peers = new WaitingPeers(count, test.server.port);
      peers.send("again", 0, count);
      const stopped = test.server.stop(20_000);
      assert.deepEqual(await peers.answers(), Array(count).fill("again"));
      await stopped;
      assert.deepEqual([test.server.counts.connections, test.exits], [2 * count, []]);
    },
  };
}

/** Failing accepts, and unix sockets. */
export function acceptCases(): Case[] {
  return [
    ...FAILURES.map(([code, hint]) => ({
      name: `an accept that fails with ${code} is reported once, and retried`,
      run: async () => {
        let left = 3;
        const starved = kernelWith({
          accept4: (...args) => (left-- > 0 ? -ERRNO[code] : kernel.libc.accept4(...args)),
        });
        const errors: (Error & { code?: string; hint?: string })[] = [];
        await using test = await TestServer.start({
          ...variant("thread"),
          kernel: starved,
          acceptError: (error) => void errors.push(error),
        });
        assert.equal(await test.client().ask("hello"), "hello");
        assert.deepEqual([errors.length, errors[0]?.code], [1, code]);
        assert.match(errors[0]?.hint ?? "", hint);
        // Each of the three was followed by a delay.
        assert.equal(left, -1);
      },
    })),
    ...VARIANTS.map(({ name }) => ({
      name: `${name}: serves a unix socket`,
      run: async () => {
        const path = `\0polloi-models-test-${process.pid}-${Math.random()}`;
        await using test = await TestServer.start({ ...lean(name), listen: { path } });
        assert.equal(test.server.port, -1);
        const client = new Client({ path });
        assert.equal(await client.ask("hello"), "hello");
        client.end();
        await client.over();
        assert.equal(client.error, undefined);
      },
    })),
  ];
}

export function limitCases(): Case[] {
  return PER_CONNECTION.flatMap((name) => [
    {
      name: `${name}: at the limit connections wait, which is reported once, and are served when one is closed`,
      run: async () => {
        await using test = await TestServer.start({ ...variant(name), maxChildren: 2 });
        const first = test.client();
        const second = test.client();
        assert.equal(await first.ask("one"), "one");
        assert.equal(await second.ask("two"), "two");
        const third = test.client().send("three");
        await until("it is reported", () => test.limits.length > 0);
        assert.deepEqual(test.limits, [2]);
        assert.deepEqual([third.length, test.server.counts.children], [0, 2]);
        assert.equal(await second.ask("on"), "on");
        first.end();
        await until("served", () => third.text === "three");
        assert.deepEqual(test.limits, [2]);
        assert.equal(test.server.counts.connections, 3);
      },
    },
    {
      name: `${name}: with atLimit "close", connections above the limit are closed at once`,
      run: async () => {
        await using test = await TestServer.start({
          ...variant(name),
          maxChildren: 1,
          atLimit: "close",
        });
        const first = test.client();
        assert.equal(await first.ask("one"), "one");
        const [second, third] = [test.client(), test.client()];
        await Promise.all([second.over(), third.over()]);
        assert.deepEqual([second.length, third.length, test.limits], [0, 0, [1]]);
        assert.equal(test.server.counts.refusals, 2);
        assert.equal(await first.ask("on"), "on");
      },
    },
  ]);
}
