/** How connections end: half-close, close, destroy and reset, from either side. */
import assert from "node:assert/strict";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { Connection } from "../../src/index.ts";
import { failingSends } from "../support/faulty-kernel.ts";
import { assertSame, casesOf, type Peer, pattern, Rig, type Variant } from "./rig.ts";

type Closing = Error & { code?: string };

/** The events of a listener's connections, in order. */
class Log {
  readonly all: string[] = [];
  connection: Connection | undefined;
  error: Closing | undefined;
  closed = 0;
  readonly handlers = {
    open: (connection: Connection): void => {
      this.connection = connection;
      this.all.push("open");
    },
    close: (_connection: Connection, error?: Closing): void => {
      this.closed++;
      this.error ??= error;
      this.all.push(error === undefined ? "close" : `close ${error.code}`);
    },
    error: (_connection: Connection, error: Closing): void => {
      this.all.push(`error ${error.code ?? error.message}`);
    },
  };
}

/** Waits until the reactor is idle. Sending to a peer that does not read may take some turns before. */
async function settled(rig: Rig): Promise<void> {
  let turns = 0;
  for (let looks = 0; looks < 20; looks++) {
    const before = rig.turns;
    await rig.during(20);
    turns = rig.turns - before;
    // In blocking mode the test calls turn once a millisecond.
    if (turns < 60) return;
  }
  assert.fail(`${turns} turns in 20 ms: a busy loop`);
}

const LONG = pattern(150_000);
/** More than is copied when it is written. */
const LONGEST = pattern(400_000);
const ASKED = pattern(20_000, 2);

/** Ways to answer. Each returns the answer. */
const ANSWERS: Readonly<Record<string, (it: Connection, asked: Uint8Array) => Uint8Array>> = {
  written: (it) => {
    it.write(LONG);
    return LONG;
  },
  "written before close": (it) => {
    it.write(LONG);
    it.close();
    return LONG;
  },
  "written before end": (it) => {
    it.end(LONG);
    return LONG;
  },
  "written without a copy": (it) => {
    it.write(LONGEST);
    it.close();
    return LONGEST;
  },
  "lent bytes, and more": (it, asked) => {
    it.write(asked);
    it.write(LONG);
    it.close();
    return Buffer.concat([asked, LONG]);
  },
};

/** Makes a send of each answer fail: the first one, or the one after `went` others. The sends of a ring are linked. */
async function cutShort(variant: Variant, errno: number, went: number): Promise<void> {
  for (const [how, answer] of Object.entries(ANSWERS)) {
    let left = went;
    using rig = new Rig(
      variant,
      {},
      failingSends(() => (left-- > 0 ? 0 : errno)),
    );
    const log = new Log();
    let missing = ASKED.length;
    let wanted: Uint8Array = ASKED;
    const listener = rig.listen({
      ...log.handlers,
      zeroCopy: true,
      data: (it, bytes) => {
        missing -= bytes.length;
        if (missing === 0) wanted = answer(it, bytes);
      },
    });
    const peer = rig.peer(listener).send(ASKED);
    const what = `${how}, after ${went} sends`;
    await rig.until(`closed: ${what}`, () => log.closed === 1);
    assert.match(log.error?.message ?? "", /^send /, what);
    await rig.until(`seen: ${what}`, () => peer.ended || peer.error !== undefined);
    assert.equal(peer.error, "ECONNRESET", what);
    assertSame(peer.bytes, wanted.subarray(0, peer.length));
    assert.ok(went === 0 ? peer.length === 0 : peer.length < wanted.length, what);
  }
}

export function endingCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("half-close: without an end handler, queued bytes still arrive", async (rig) => {
      const log = new Log();
      const answer = pattern(12_000_000);
      const peer = rig.peer(
        rig.listen({ ...log.handlers, data: (connection) => void connection.write(answer) }),
      );
      peer.reading = false;
      peer.send("go").shutdown();
      await rig.until("written", () => (log.connection?.pendingBytes ?? 0) > 0);
      await settled(rig);
      peer.reading = true;
      await rig.until("ended", () => peer.ended);
      assertSame(peer.bytes, answer);
      await rig.until("closed", () => log.closed === 1);
      assert.deepEqual(log.all, ["open", "close"]);
    }),
    test("half-close: with an end handler, the program ends the local half", async (rig) => {
      const log = new Log();
      let ends = 0;
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          end: () => {
            ends++;
          },
        }),
      );
      peer.shutdown();
      await rig.until("told", () => ends === 1);
      await settled(rig);
      assert.equal(log.connection?.state, "open");
      log.connection?.write("later");
      await rig.until("sent", () => peer.length === 5);
      assert.equal(peer.ended, false);
      log.connection?.end("!");
      await rig.until("ended", () => peer.ended);
      assert.equal(peer.text, "later!");
      await rig.until("closed", () => log.closed === 1);
      assert.equal(ends, 1);
      assert.deepEqual(log.all, ["open", "close"]);
    }),
    test("half-close by the local side: receiving continues until the peer ends", async (rig) => {
      const log = new Log();
      let got = "";
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          data: (connection, bytes) => {
            got += Buffer.from(bytes);
            if (connection.state === "open") connection.end("bye");
          },
        }),
      );
      peer.send("first ");
      await rig.until("ended", () => peer.ended);
      assert.equal(peer.text, "bye");
      peer.send("second");
      await rig.until("received", () => got === "first second");
      assert.equal(log.closed, 0);
      assert.equal(log.connection?.write("x"), false);
      peer.shutdown();
      await rig.until("closed", () => log.closed === 1);
      assert.equal(log.error, undefined);
      assert.equal(log.connection?.write("x"), false);
      assert.equal(log.connection?.fileno(), -1);
    }),
    test("a connection that is destroyed or times out with unsent bytes is reset; without any, the peer sees the end", async (rig) => {
      const much = new Uint8Array(8_000_000);
      const endings: [
        what: string,
        writes: string | Uint8Array,
        (it: Connection) => void,
        string | undefined,
      ][] = [
        ["nothing waits", "", (it) => it.destroy(), undefined],
        ["nothing waits, and it failed", "", (it) => it.destroy(new Error("why")), undefined],
        ["bytes wait", much, (it) => it.destroy(), "ECONNRESET"],
        ["a byte waits, and it failed", "x", (it) => it.destroy(new Error("why")), "ECONNRESET"],
        ["maxPendingBytes", much, (it) => void it.write("more"), "ECONNRESET"],
        ["the idle timeout", much, (it) => it.setIdleTimeout(20), "ECONNRESET"],
      ];
      for (const [what, writes, end, wanted] of endings) {
        const opened: Connection[] = [];
        const one = rig.listen({
          maxPendingBytes: 1_000_000,
          error: () => {},
          open: (it) => void opened.push(it),
        });
        const peer = rig.peer(one);
        peer.reading = false;
        await rig.until("accepted", () => opened.length === 1);
        (opened[0] as Connection).write(writes);
        end(opened[0] as Connection);
        await rig.until("closed", () => one.connections === 0, 4000);
        peer.reading = true;
        await rig.until("seen", () => peer.ended || peer.error !== undefined);
        assert.equal(peer.error, wanted, what);
        one.close();
      }
    }),
    {
      name: "a failed send resets the connection, so that the peer does not take a part for the whole",
      run: async () => {
        await cutShort(variant, ERRNO.EIO, 0);
        await cutShort(variant, ERRNO.ENOBUFS, 1);
        await cutShort(variant, ERRNO.ENOMEM, 3);
        await cutShort(variant, ERRNO.EPIPE, 6);
      },
    },
    test("a broadcast reaches every peer, also if one connection is ending, and write does not throw", async (rig) => {
      const all: Connection[] = [];
      const listener = rig.listen({
        open: (it) => void all.push(it),
        data: () => {
          for (const connection of all) connection.write("news");
        },
      });
      const peers = Array.from({ length: 4 }, () => rig.peer(listener));
      await rig.until("accepted", () => all.length === 4);
      const [ended, closing, closed, sender] = all as [
        Connection,
        Connection,
        Connection,
        Connection,
      ];
      // Each is found by its port, because the kernel decides the order of accepts.
      const peerOf = (it: Connection): Peer =>
        peers.find(({ socket }) => socket.localAddress().port === it.remoteAddress?.port) as Peer;
      const half = peerOf(ended);
      half.reading = false;
      ended.write(new Uint8Array(8_000_000));
      await rig.until("full", () => ended.pendingBytes > 0);
      half.shutdown();
      await rig.until("ending", () => ended.state === "ending");
      const teller = peerOf(sender);
      closing.close();
      closed.destroy();
      assert.deepEqual(
        [ended, closing, closed].map((it) => it.write("x")),
        [false, false, false],
      );
      teller.send("tell");
      await rig.until("told", () => teller.text === "news");
      assert.equal(ended.state, "ending");
      ended.destroy();
    }),
    test("close sends queued bytes; then the peer sees the end, not a reset", async (rig) => {
      const log = new Log();
      const answer = pattern(5_000_000, 3);
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          data: (connection) => {
            connection.write(answer);
            connection.close();
            connection.close();
          },
        }),
      );
      peer.send("go");
      await rig.until("ended", () => peer.ended || peer.error !== undefined);
      assert.equal(peer.error, undefined);
      assertSame(peer.bytes, answer);
      peer.close();
      await rig.until("closed", () => log.closed === 1);
      assert.deepEqual(log.all, ["open", "close"]);
    }),
    test("close waits for a peer that is still sending, so that it receives every byte", async (rig) => {
      const log = new Log();
      const answer = pattern(3_000_000, 4);
      let received = 0;
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          data: (connection, bytes) => {
            received += bytes.length;
            if (connection.state !== "open") return;
            connection.write(answer);
            connection.close();
          },
        }),
      );
      peer.reading = false;
      peer.send(pattern(2_000_000));
      await rig.during(10);
      peer.reading = true;
      peer.readBytes = 100_000;
      await rig.until("ended", () => {
        if (!peer.sending) peer.send("more and more");
        return peer.ended || peer.error !== undefined;
      });
      assert.equal(peer.error, undefined);
      assertSame(peer.bytes, answer);
      assert.ok(received > 0);
      peer.close();
      await rig.until("closed", () => log.closed === 1);
      assert.equal(log.error, undefined);
    }),
    test("close waits for a peer that begins to send afterwards, so that it receives every byte", async (rig) => {
      const log = new Log();
      // As much as the socket buffers of both sides hold, so that all of it is sent at once.
      const answer = pattern(1_000_000, 5);
      const peer = rig.peer(rig.listen(log.handlers));
      await rig.until("accepted", () => log.connection !== undefined);
      peer.reading = false;
      log.connection?.write(answer);
      log.connection?.close();
      await rig.until("sent", () => log.connection?.pendingBytes === 0);
      await rig.during(5);
      // If this stayed unread, the kernel would reset the connection before the peer has received everything.
      peer.send("one thing more");
      await rig.during(5);
      peer.reading = true;
      await rig.until("ended", () => peer.ended || peer.error !== undefined);
      assert.equal(peer.error, undefined);
      assertSame(peer.bytes, answer);
      peer.close();
      await rig.until("closed", () => log.closed === 1);
    }),
    test("destroy drops queued bytes, and close gets the error", async (rig) => {
      const log = new Log();
      const peer = rig.peer(rig.listen(log.handlers));
      await rig.until("accepted", () => log.connection !== undefined);
      log.connection?.write("dropped");
      log.connection?.destroy(new Error("enough"));
      log.connection?.destroy(new Error("again"));
      log.connection?.close();
      log.connection?.end();
      await rig.until("reset", () => peer.ended || peer.error !== undefined);
      assert.equal(peer.error, "ECONNRESET");
      assert.equal(peer.length, 0);
      assert.deepEqual(log.all, ["open", "error enough", "close undefined"]);
      assert.equal(log.connection?.state, "closed");
    }),
    test("reset gives the peer ECONNRESET", async (rig) => {
      const log = new Log();
      const peer = rig.peer(rig.listen(log.handlers));
      await rig.until("accepted", () => log.connection !== undefined);
      log.connection?.reset();
      await rig.until("reset", () => peer.error !== undefined || peer.ended);
      assert.equal(peer.error, "ECONNRESET");
      assert.deepEqual(log.all, ["open", "close"]);
    }),
    test("a reset in the middle of a message closes the connection with ECONNRESET, and no other one", async (rig) => {
      const log = new Log();
      const listener = rig.listen({
        ...log.handlers,
        data: (connection, bytes) => void connection.write(bytes),
      });
      const other = rig.peer(listener);
      await rig.until("accepted", () => listener.connections === 1);
      const peer = rig.peer(listener);
      peer.send("half a mess");
      await rig.until("echoed", () => peer.length === 11);
      peer.reset();
      await rig.until("closed", () => log.closed === 1);
      assert.equal(log.error?.code, "ECONNRESET");
      assert.deepEqual(log.all, ["open", "open", "error ECONNRESET", "close ECONNRESET"]);
      other.send("still here");
      await rig.until("echoed", () => other.text === "still here");
    }),
    test("a reset while bytes are queued closes the connection with an error", async (rig) => {
      const log = new Log();
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          data: (connection) => {
            connection.write(pattern(8_000_000));
          },
        }),
      );
      peer.reading = false;
      peer.send("go");
      await rig.until("written", () => (log.connection?.pendingBytes ?? 0) > 0);
      peer.reset();
      await rig.until("closed", () => log.closed === 1);
      assert.match(log.error?.code ?? "", /^(ECONNRESET|EPIPE)$/);
      assert.equal(log.connection?.pendingBytes, 0);
    }),
    ...(variant.engine === "epoll" ? [slowToTake(test)] : []),
    test("connections that are reset before they are accepted affect no others", async (rig) => {
      const log = new Log();
      const listener = rig.listen({
        ...log.handlers,
        data: (connection, bytes) => void connection.write(bytes),
      });
      for (let i = 0; i < 30; i++) rig.peer(listener).reset();
      const peer = rig.peer(listener);
      peer.send("here");
      await rig.until("echoed", () => peer.text === "here");
      await rig.until("gone", () => listener.connections === 1);
    }),
    test("pause stops data, resume continues it, and no byte is lost", async (rig) => {
      const log = new Log();
      let got = "";
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          data: (connection, bytes) => {
            got += Buffer.from(bytes);
            connection.pause();
          },
        }),
      );
      peer.send("one ");
      await rig.until("received", () => got === "one ");
      assert.equal(log.connection?.paused, true);
      peer.send("two ");
      await settled(rig);
      assert.equal(got, "one ");
      log.connection?.resume();
      await rig.until("received", () => got === "one two ");
      log.connection?.resume();
      log.connection?.pause();
      log.connection?.resume();
      peer.send("three").shutdown();
      await rig.until("received", () => got === "one two three");
      log.connection?.resume();
      await rig.until("closed", () => log.closed === 1);
    }),
    test("a connection that is paused in open gets no data before resume", async (rig) => {
      let connection: Connection | undefined;
      let got = "";
      const peer = rig.peer(
        rig.listen({
          open: (it) => {
            connection = it;
            it.pause();
          },
          data: (_it, bytes) => {
            got += Buffer.from(bytes);
          },
        }),
      );
      peer.send("early");
      await rig.until("accepted", () => connection !== undefined);
      await settled(rig);
      assert.equal(got, "");
      connection?.resume();
      await rig.until("received", () => got === "early");
    }),
    test("a peer's end while paused causes no busy loop, and resume delivers the rest", async (rig) => {
      const log = new Log();
      let got = 0;
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          open: (connection) => {
            log.handlers.open(connection);
            connection.pause();
          },
          data: (_connection, bytes) => {
            got += bytes.length;
          },
        }),
      );
      peer.send(pattern(300_000)).shutdown();
      await rig.until("accepted", () => log.connection !== undefined);
      await settled(rig);
      assert.equal(got, 0);
      log.connection?.resume();
      await rig.until("received", () => got === 300_000);
      await rig.until("closed", () => log.closed === 1);
      assert.equal(log.error, undefined);
    }),
    test("the end of both halves while paused causes no busy loop, and resume delivers the rest", async (rig) => {
      const log = new Log();
      let got = 0;
      const peer = rig.peer(
        rig.listen({
          ...log.handlers,
          open: (connection) => {
            log.handlers.open(connection);
            connection.pause();
            connection.end("bye");
          },
          data: (_connection, bytes) => {
            got += bytes.length;
          },
        }),
      );
      peer.send(pattern(200_000)).shutdown();
      await rig.until("ended", () => peer.ended);
      await settled(rig);
      assert.equal(log.closed, 0);
      log.connection?.resume();
      await rig.until("received", () => got === 200_000);
      await rig.until("closed", () => log.closed === 1);
    }),
    test("a reset while paused causes no busy loop, and is reported", async (rig) => {
      const log = new Log();
      const listener = rig.listen({
        ...log.handlers,
        open: (connection) => {
          log.handlers.open(connection);
          connection.pause();
        },
      });
      const peer = rig.peer(listener);
      await rig.until("accepted", () => log.connection !== undefined);
      await rig.step();
      peer.reset();
      await settled(rig);
      // select reports nothing about a descriptor without interest.
      if (variant.engine === "select") log.connection?.resume();
      await rig.until("closed", () => log.closed === 1);
      assert.equal(log.error?.code, "ECONNRESET");
    }),
    test("after the peer's end an idle half-open connection causes no busy loop", async (rig) => {
      const log = new Log();
      let ended = false;
      const path = `\0polloi-test-${process.pid}-${Math.random()}`;
      const listener = rig.listen({
        ...log.handlers,
        path,
        end: () => {
          ended = true;
        },
      });
      const peer = rig.peer(listener);
      await rig.until("accepted", () => log.connection !== undefined);
      // Closing a unix socket hangs up both halves at once.
      peer.close();
      await rig.until("told", () => ended);
      await settled(rig);
      assert.equal(log.closed, 0);
      log.connection?.end("to nobody");
      await rig.until("closed", () => log.closed === 1);
    }),
  ];
}

/** This takes more than a second, and is the same on every engine. */
function slowToTake(test: ReturnType<typeof casesOf>): Case {
  return test("close: a peer that keeps sending and reads its answer later receives all of it", async (rig) => {
    const log = new Log();
    const answer = pattern(1_000_000);
    const peer = rig.peer(
      rig.listen({
        ...log.handlers,
        data: (connection) => {
          connection.write(answer);
          connection.close();
        },
      }),
    );
    peer.reading = false;
    peer.send("go");
    await rig.until("sent", () => log.connection?.pendingBytes === 0);
    // Longer than a closing connection waits for a peer that has acknowledged everything.
    for (let i = 0; i < 13; i++) {
      peer.send("more");
      await rig.during(100);
    }
    assert.equal(log.closed, 0);
    peer.reading = true;
    await rig.until("ended", () => peer.ended);
    assertSame(peer.bytes, answer);
    peer.shutdown();
    await rig.until("closed", () => log.closed === 1);
    assert.deepEqual(log.all, ["open", "close"]);
  });
}
