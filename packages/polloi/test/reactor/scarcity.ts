/** Calls that fail for lack of memory or of room in the kernel: a connection fails by itself, and nothing hangs. */
import assert from "node:assert/strict";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import { type Connection, Reactor } from "../../src/index.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_MOD } from "../../src/select/constants.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertGivesBack } from "../support/arenas.ts";
import { casesOf, pattern, Rig, type Variant } from "./rig.ts";

/** A rig whose kernel has no memory to map while `lacks.memory` is set. */
function scarceRig(variant: Variant): { readonly rig: Rig; readonly lacks: { memory: boolean } } {
  const lacks = { memory: false };
  const scarce = proxyKernel(kernel, {
    mapping: () => {
      if (lacks.memory) throw new SysError("mmap", ERRNO.ENOMEM);
    },
  });
  return { rig: new Rig(variant, {}, scarce), lacks };
}

/** A rig whose epoll sets take no descriptor while `lacks.room` is set: see /proc/sys/fs/epoll/max_user_watches. */
function narrowRig(variant: Variant): { readonly rig: Rig; readonly lacks: { room: boolean } } {
  const lacks = { room: false };
  const rig = new Rig(variant, {
    epoll_ctl(epoll, operation, fd, event) {
      const isRefused = operation === EPOLL_CTL_ADD || operation === EPOLL_CTL_MOD;
      if (lacks.room && isRefused) return -ERRNO.ENOSPC;
      return kernel.libc.epoll_ctl(epoll, operation, fd, event);
    },
  });
  return { rig, lacks };
}

const codeOf = (error: Error | undefined): string | undefined =>
  (error as { code?: string } | undefined)?.code;

export function scarcityCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  const { engine, trigger } = variant;
  return [
    test("a reactor that cannot be made for lack of memory gives everything back", async () => {
      assertGivesBack(kernel, (scarce) => {
        const reactor = new Reactor({ engine, trigger, kernel: scarce });
        return () => reactor.close();
      });
    }),
    test("a write without memory for the bytes fails its connection only, and sends no part of what follows", async () => {
      const { rig, lacks } = scarceRig(variant);
      try {
        const results: boolean[] = [];
        const closed: (string | undefined)[] = [];
        const listener = rig.listen({
          data: (connection, bytes) => {
            // More than is mapped already.
            lacks.memory = true;
            for (let i = 0; i < 40; i++) results.push(connection.write(pattern(200_000, i)));
            lacks.memory = false;
            assert.ok(bytes.length > 0);
          },
          error: () => {},
          close: (_, error) => closed.push(codeOf(error)),
          maxPendingBytes: Number.POSITIVE_INFINITY,
        });
        const peer = rig.peer(listener).send("x");
        await rig.until("closed", () => closed.length === 1);
        assert.deepEqual(closed, ["ENOMEM"]);
        assert.equal(results.at(-1), false);
        await rig.until("reset", () => peer.error !== undefined || peer.ended);
        assert.equal(peer.error, "ECONNRESET");
        // The reactor continues.
        const other = rig.peer(rig.listen({ data: (it, bytes) => void it.write(bytes) }));
        other.send("hello");
        await rig.until("echoed", () => other.text === "hello");
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("lent bytes that cannot be sent at once, without memory for a copy, fail their connection only", async () => {
      const { rig, lacks } = scarceRig(variant);
      try {
        const closed: (string | undefined)[] = [];
        const listener = rig.listen({
          zeroCopy: true,
          data: (connection, bytes) => {
            lacks.memory = true;
            connection.write(bytes);
          },
          error: () => {},
          close: (_, error) => closed.push(codeOf(error)),
          maxPendingBytes: Number.POSITIVE_INFINITY,
        });
        const peer = rig.peer(listener);
        peer.reading = false;
        for (let i = 0; i < 400; i++) peer.send(pattern(60_000, i));
        await rig.until("closed", () => closed.length === 1);
        assert.deepEqual(closed, ["ENOMEM"]);
        lacks.memory = false;
        const other = rig.peer(rig.listen({ data: (it, bytes) => void it.write(bytes) }));
        other.send("hello");
        await rig.until("echoed", () => other.text === "hello");
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("a listener that cannot be watched again retries, and accepts later", async () => {
      const { rig, lacks } = narrowRig(variant);
      try {
        const opened: Connection[] = [];
        const listener = rig.listen({
          maxConnections: 1,
          open: (connection) => {
            opened.push(connection);
            connection.write("hello");
          },
          acceptError: () => {},
        });
        const peers = [rig.peer(listener), rig.peer(listener)];
        await rig.until("accepted", () => opened.length === 1);
        await rig.until("hosted", () => peers.some((peer) => peer.text === "hello"));
        lacks.room = true;
        opened[0]?.destroy();
        await rig.during(3);
        lacks.room = false;
        await rig.until("accepted later", () => peers.every((peer) => peer.text === "hello"));
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("a connection that cannot be watched again when it resumes fails", async () => {
      const { rig, lacks } = narrowRig(variant);
      try {
        let received = 0;
        const closed: (string | undefined)[] = [];
        let connection: Connection | undefined;
        const listener = rig.listen({
          open: (opened) => {
            connection = opened;
          },
          data: (it, bytes) => {
            received += bytes.length;
            if (received === 3) it.pause();
          },
          error: () => {},
          close: (_, error) => closed.push(codeOf(error)),
        });
        const peer = rig.peer(listener).send("one");
        await rig.until("paused", () => received === 3);
        peer.send("two");
        await rig.during(3);
        lacks.room = true;
        connection?.resume();
        lacks.room = false;
        await rig.until("received or closed", () => received === 6 || closed.length > 0);
        // Where the engine asks the kernel for nothing, nothing fails.
        if (received < 6) assert.deepEqual(closed, ["ENOSPC"]);
        else peer.close();
        await rig.until("closed", () => closed.length === 1);
      } finally {
        rig[Symbol.dispose]();
      }
    }),
  ];
}
