/** Who gets a process or a thread, and what becomes of who does not. */
import assert from "node:assert/strict";
import { kernelWith } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { kernel } from "../../src/sys/open.ts";
import { Client } from "../support/client.ts";
import { until } from "../support/waiting.ts";
import { lean, PER_CONNECTION, TestServer, VARIANTS, variant } from "./test-server.ts";

/** How an accept fails for longer than a connection, and what is said of it. */
const FAILURES = [
  ["EMFILE", /ulimit -n/],
  ["EPERM", /security policy/],
  ["EIO", /retried every second/],
] as const;

/** What becomes of a child when its connection is over. */
export function reuseCases(): Case[] {
  return PER_CONNECTION.map((name) => ({
    name: `${name}: ${name === "thread" ? "the next connection has the thread of one that is over" : "every connection has a process of its own"}`,
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

/** Without descriptors, and where there are no ports. */
export function acceptCases(): Case[] {
  return [
    ...FAILURES.map(([code, hint]) => ({
      name: `an accept that fails with ${code} is reported once, and tried again by itself`,
      run: async () => {
        let left = 3;
        const starved = kernelWith({
          accept4: (...args) => (left-- > 0 ? -ERRNO[code] : kernel.libc.accept4(...args)),
        });
        const told: (Error & { code?: string; hint?: string })[] = [];
        await using test = await TestServer.start({
          ...variant("thread"),
          kernel: starved,
          acceptError: (error) => void told.push(error),
        });
        assert.equal(await test.client().ask("hello"), "hello");
        assert.deepEqual([told.length, told[0]?.code], [1, code]);
        assert.match(told[0]?.hint ?? "", hint);
        // Each of the three was followed by a delay.
        assert.equal(left, -1);
      },
    })),
    ...VARIANTS.map(({ name }) => ({
      name: `${name}: serves a unix socket as well`,
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
      name: `${name}: at the limit connections wait, which is told once, and are served when one ends`,
      run: async () => {
        await using test = await TestServer.start({ ...variant(name), maxChildren: 2 });
        const first = test.client();
        const second = test.client();
        assert.equal(await first.ask("one"), "one");
        assert.equal(await second.ask("two"), "two");
        const third = test.client().send("three");
        await until("told", () => test.limits.length > 0);
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
      name: `${name}: at the limit connections are closed at once, when that is asked for`,
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
