/** Graceful stop: accepted connections and received bytes are served, within the grace period. */
import assert from "node:assert/strict";
import { leftOpen, openFiles } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { Connection, Listener } from "../../src/index.ts";
import { Socket } from "../../src/socket/socket.ts";
import { kernel } from "../../src/sys/open.ts";
import { until } from "../support/waiting.ts";
import { assertSame, casesOf, type Peer, pattern, Rig, type Variant, withoutCalls } from "./rig.ts";

const echo = {
  data: (connection: Connection, bytes: Uint8Array): void => void connection.write(bytes),
};

/** Whether `promise` has resolved. */
function settledOf(promise: Promise<void>): () => boolean {
  let settled = false;
  promise.then(() => {
    settled = true;
  });
  return () => settled;
}

async function served(rig: Rig, peers: readonly Peer[], stopped: () => boolean): Promise<void> {
  await rig.until("answered", () => peers.every((peer) => peer.ended || peer.error !== undefined));
  for (const [i, peer] of peers.entries()) {
    assert.deepEqual([peer.text, peer.error], [`request ${i}`, undefined]);
    peer.close();
  }
  await rig.until("stopped", stopped);
}

export function stoppingCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("stop serves the backlog and the bytes that open connections have sent, then refuses and closes", async (rig) => {
      for (const where of [{}, { path: `\0polloi stop ${process.pid} ${Math.random()}` }]) {
        const listener = rig.listen({ ...where, ...echo });
        const open = Array.from({ length: 12 }, () => rig.peer(listener));
        await rig.until("accepted", () => listener.connections === open.length);
        const peers = [...open, ...Array.from({ length: 12 }, () => rig.peer(listener))];
        for (const [i, peer] of peers.entries()) peer.send(`request ${i}`);
        const { address } = listener;
        const stopped = settledOf(listener.stop());
        assert.equal(listener.fileno(), -1, "closed before stop returns");
        assert.equal(listener.address, null);
        assert.throws(
          () => new Socket(address?.path === undefined ? 2 : 1, 1).connect(address as never),
          {
            code: "ECONNREFUSED",
          },
        );
        assert.equal(stopped(), false);
        await served(rig, peers, stopped);
        assert.equal(listener.connections, 0);
      }
    }),
    test("stop waits for the first bytes of a new connection", async (rig) => {
      const listener = rig.listen(echo);
      const peers = [rig.peer(listener), rig.peer(listener)];
      await rig.until("accepted", () => listener.connections === 2);
      peers.push(rig.peer(listener), rig.peer(listener));
      const stopped = settledOf(listener.stop());
      await rig.during(3);
      for (const [i, peer] of peers.entries()) peer.send(`request ${i}`);
      await served(rig, peers, stopped);
    }),
    test("stop serves the rest of a message that had arrived in part", async (rig) => {
      const listener = rig.listen(echo);
      const peers = Array.from({ length: 3 }, () => rig.peer(listener));
      for (const peer of peers) peer.send("requ");
      await rig.until("a part is echoed", () => peers.every((peer) => peer.text === "requ"));
      const stopped = settledOf(listener.stop());
      for (const part of ["e", "st"]) {
        for (const peer of peers) peer.send(part);
        await rig.during(3);
      }
      for (const [i, peer] of peers.entries()) peer.send(` ${i}`);
      await served(rig, peers, stopped);
    }),
    test("stop accepts the connections that maxConnections delays as others close, and no new ones", async (rig) => {
      const opened: Connection[] = [];
      const listener = rig.listen({
        ...echo,
        maxConnections: 2,
        open: (connection) => {
          opened.push(connection);
          assert.ok(listener.connections <= 2);
        },
      });
      const peers = Array.from({ length: 5 }, (_, i) => rig.peer(listener).send(`request ${i}`));
      await rig.until("full", () => opened.length === 2);
      const { address } = listener;
      const stopped = settledOf(listener.stop());
      assert.ok(listener.fileno() >= 0, "open for the waiting connections");
      const late = new Socket(2, 1);
      late.setBlocking(false);
      assert.equal(late.connect(address as never), false);
      for (const peer of peers) {
        await rig.until("answered", () => peer.ended);
        peer.close();
      }
      await rig.until("stopped", stopped);
      assert.equal(opened.length, 5, "the late one was not accepted");
      assert.equal(listener.fileno(), -1);
      late.close();
    }),
    test(
      "stop without free descriptors accepts the waiting connections when one is free",
      async () => {
        let left = 1;
        const rig = new Rig(variant, {
          accept4: (...args) => (left-- > 0 ? kernel.libc.accept4(...args) : -ERRNO.EMFILE),
        });
        try {
          let errors = 0;
          const listener = rig.listen({ ...echo, acceptError: () => void errors++ });
          const peers = Array.from({ length: 3 }, (_, i) =>
            rig.peer(listener).send(`request ${i}`),
          );
          await rig.until("starved", () => errors > 0);
          left = 1;
          const stopped = settledOf(listener.stop());
          left = 100;
          await served(rig, peers, stopped);
        } finally {
          rig[Symbol.dispose]();
        }
      },
      withoutCalls(variant),
    ),
    test("a stop that lacks memory to accept tries again later, also when a connection closes", async () => {
      let tries = 0;
      let isLacking = false;
      const rig = new Rig(variant, {
        accept4: (...args) => {
          if (!isLacking) return kernel.libc.accept4(...args);
          assert.ok(++tries < 1000, "it tries without an end");
          return -ERRNO.ENOMEM;
        },
      });
      try {
        const listener = rig.listen({ ...echo, acceptError: () => {} });
        const first = rig.peer(listener);
        await rig.until("accepted", () => listener.connections === 1);
        isLacking = true;
        // It waits in the backlog, because there is no turn before the stop.
        const second = rig.peer(listener).send("request 0");
        const stopped = settledOf(listener.stop());
        first.close();
        await rig.until("closed", () => listener.connections === 0);
        assert.ok(tries < 10, `${tries}`);
        isLacking = false;
        await served(rig, [second], stopped);
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("closing the reactor while a listener stops closes the connections that wait for room", async () => {
      const before = openFiles();
      const rig = new Rig(variant);
      const opened: Connection[] = [];
      const listener = rig.listen({
        maxConnections: 1,
        open: (connection) => void opened.push(connection),
      });
      // io_uring accepts all of them at once, and two are kept.
      const peers = [rig.peer(listener), rig.peer(listener), rig.peer(listener)];
      await rig.until("accepted", () => opened.length === 1);
      // Between two turns: one of the two is served, and the other one waits.
      opened[0]?.destroy();
      listener.stop();
      assert.equal(opened.length, 2);
      rig.reactor.close();
      assert.equal(opened.length, 2, "a reactor that closes accepts nothing");
      for (const peer of peers) {
        peer.pump();
        assert.ok(peer.ended || peer.error !== undefined);
      }
      rig.close(false);
      // The watch of a hosted reactor is closed after it has woken, which is soon.
      await until("every descriptor is closed", () => leftOpen(before).length === 0);
    }),
    test("connections left after the grace period are destroyed; a second stop can shorten it, not extend it", async (rig) => {
      const closed: (Error | undefined)[] = [];
      const listener = rig.listen({
        open: (connection) => void connection.write(new Uint8Array(8_000_000)),
        close: (_, error) => void closed.push(error),
      });
      const deaf = rig.peer(listener);
      deaf.reading = false;
      await rig.until("accepted", () => listener.connections === 1);
      const first = listener.stop(60_000);
      const begun = performance.now();
      const second = settledOf(listener.stop(40));
      const third = settledOf(listener.stop(60_000));
      const stopped = settledOf(first);
      await rig.until("stopped", () => stopped() && second() && third(), 4000);
      assert.ok(performance.now() - begun >= 39);
      assert.deepEqual(closed, [undefined]);
    }),
    test("a grace period of 0 destroys every connection at once and accepts none", async (rig) => {
      let opened = 0;
      let closed = 0;
      const listener = rig.listen({ open: () => void opened++, close: () => void closed++ });
      const peers = [rig.peer(listener), rig.peer(listener)];
      await rig.until("accepted", () => opened === 2);
      const late = rig.peer(listener);
      const promise = listener.stop(0);
      assert.equal(closed, 2);
      assert.equal(listener.connections, 0);
      await promise;
      await rig.until("seen", () => [...peers, late].every((it) => it.ended || it.error));
      assert.equal(opened, 2);
      assert.equal(late.error, "ECONNRESET");
    }),
    test("a stopping handler is called once for each connection, and ends it", async (rig) => {
      const told: Connection[] = [];
      const unread: number[] = [];
      const listener = rig.listen({
        ...echo,
        stopping: (connection) => {
          told.push(connection);
          unread.push(connection.unreadBytes);
        },
      });
      const open = rig.peer(listener);
      const other = rig.peer(listener);
      await rig.until("accepted", () => listener.connections === 2);
      const waiting = rig.peer(listener).send("here");
      const stopped = settledOf(listener.stop());
      await rig.until("told", () => told.length === 3);
      await rig.until("answered", () => waiting.text === "here");
      assert.deepEqual(unread.sort(), [0, 0, 4]);
      open.send("still served");
      await rig.until("answered", () => open.text === "still served");
      await rig.during(3);
      assert.equal(told.length, 3);
      assert.equal(new Set(told).size, 3);
      // After handOver, stopping of the new handlers is called.
      let again = 0;
      for (const connection of told) {
        connection.handOver({
          stopping: (it) => {
            again++;
            it.close();
          },
        });
      }
      await rig.until("told", () => again === 3);
      await rig.until("ended", () => [open, other, waiting].every((peer) => peer.ended));
      for (const peer of [open, other, waiting]) peer.close();
      await rig.until("stopped", stopped);
    }),
    test("a handler that stops its listener can still answer", async (rig) => {
      let stopped: (() => boolean) | undefined;
      const listener: Listener = rig.listen({
        data: (connection) => {
          stopped = settledOf(listener.stop());
          connection.write("goodbye");
        },
      });
      const peer = rig.peer(listener).send("stop");
      await rig.until("ended", () => peer.ended);
      assert.equal(peer.text, "goodbye");
      peer.close();
      await rig.until("stopped", () => stopped?.() === true);
    }),
    test("bytes that arrived at a paused connection are delivered when it resumes, and then it ends", async (rig) => {
      let connection: Connection | undefined;
      const got: Uint8Array[] = [];
      const listener = rig.listen({
        open: (it) => {
          connection = it;
          it.pause();
        },
        data: (it, bytes) => {
          got.push(bytes);
          it.write(`${bytes.length} `);
        },
      });
      const sent = pattern(50_000);
      const peer = rig.peer(listener);
      await rig.until("accepted", () => connection !== undefined);
      peer.send(sent);
      await rig.until("arrived", () => connection?.unreadBytes === sent.length);
      const stopped = settledOf(listener.stop());
      await rig.during(5);
      assert.equal(connection?.state, "open");
      connection?.resume();
      await rig.until("ended", () => peer.ended);
      assertSame(Buffer.concat(got), sent);
      assert.equal(peer.text, got.map(({ length }) => `${length} `).join(""));
      assert.equal(connection?.unreadBytes, 0);
      peer.close();
      await rig.until("stopped", stopped);
    }),
    test("after the local end a peer may keep sending, and is closed when it is silent", async (rig) => {
      let got = "";
      let error: Error | undefined | null = null;
      const listener = rig.listen({
        data: (_, bytes) => {
          got += Buffer.from(bytes);
        },
        close: (_, why) => {
          error = why;
        },
      });
      const peer = rig.peer(listener).send("1");
      await rig.until("received", () => got === "1");
      const stopped = settledOf(listener.stop());
      await rig.until("ended", () => peer.ended);
      peer.send("2");
      await rig.until("received", () => got === "12");
      assert.equal(error, null);
      // The peer does not close.
      await rig.until("stopped", stopped);
      assert.equal(error, undefined);
    }),
    test("stop works after close and without connections, and refuses an invalid grace period", async (rig) => {
      const listener = rig.listen(echo);
      const peer = rig.peer(listener);
      await rig.until("accepted", () => listener.connections === 1);
      listener.close();
      const stopped = settledOf(listener.stop());
      peer.send("request 0");
      await served(rig, [peer], stopped);
      const idle = rig.listen(echo);
      for (const graceMs of [-1, Number.NaN, "5"]) {
        assert.throws(() => idle.stop(graceMs as number), { code: "ERR_INVALID_TIMEOUT" });
      }
      assert.ok(idle.fileno() >= 0);
      await idle.stop();
      await idle.stop();
      assert.equal(rig.reactor.alive, false);
    }),
  ];
}
