/** Transfer of bytes: none is lost or reordered, at any size and speed. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Case } from "../../../../test/support/suite.ts";
import type { Connection, Handlers } from "../../src/index.ts";
import { loopOf } from "../../src/reactor/reactor.ts";
import { sendFds } from "../../src/socket/pass-fds.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertSame, casesOf, type Peer, pattern, Rig, type Variant, withoutCalls } from "./rig.ts";

const KIB = 1024;
const realSend: typeof kernel.libc.send = kernel.libc.send;
const SIZES = [1, 64, 16 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, KIB * KIB, 20 * KIB * KIB];

/** Echoes, and pauses while the peer does not read. */
const echo: Handlers = {
  data: (connection, bytes) => {
    if (!connection.write(bytes)) connection.pause();
  },
  drain: (connection) => connection.resume(),
};

/** Text with characters of one to four bytes at every position relative to the blocks. */
function mixedText(length: number): string {
  let text = "";
  for (let i = 0; text.length < length; i++) text += `${"x".repeat(i % 7)}é€\u{1F600}${i}`;
  // A lone surrogate is sent as U+FFFD.
  return `${text}\ud800y\udc00${text}\ud83d`;
}

export function transferCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("bytes that arrive while a handler closes another connection reach their own", async (rig) => {
      const received: string[] = [];
      const opened: Connection<string>[] = [];
      const listener = rig.listen<string>({
        zeroCopy: true,
        open: (it) => void opened.push(it),
        data(connection, bytes) {
          const text = Buffer.from(bytes).toString();
          received.push(text);
          if (text !== "first") {
            connection.write(bytes);
            return;
          }
          second.send("the second message");
          // The io_uring engine enters the kernel before it closes what submissions still name.
          opened[2]?.pause();
          opened[2]?.destroy();
        },
      });
      const [first, second, third] = [rig.peer(listener), rig.peer(listener), rig.peer(listener)];
      await rig.until("opened", () => opened.length === 3);
      await rig.during(3);
      first.send("first");
      await rig.until("received", () => received.length === 2);
      await rig.until("echoed", () => second.text === "the second message");
      await rig.until("closed", () => third.ended || third.error !== undefined);
      assert.deepEqual(received, ["first", "the second message"]);
    }),
    test("large arrays and strings are copied in parts, and arrive whole and in order", async (rig) => {
      const large = pattern(5_000_000, 5);
      const text = mixedText(300_000);
      const wanted = Buffer.concat([
        Buffer.from("head"),
        large,
        Buffer.from(text),
        Buffer.from("between"),
        large,
        Buffer.from("tail"),
      ]);
      const all: Connection[] = [];
      let drained = 0;
      const listener = rig.listen({
        maxPendingBytes: Number.MAX_SAFE_INTEGER,
        highWaterBytes: 100_000_000,
        open: (it) => {
          all.push(it);
          it.write("head");
          assert.equal(it.write(large), false, "drain follows, whatever highWaterBytes is");
          it.write(text);
          it.write("between");
          it.write(large);
          it.write("tail");
          assert.equal(it.pendingBytes, wanted.length);
        },
        drain: () => {
          drained++;
          // All bytes are copied, so the program may change the array.
          if (drained === all.length) large.fill(0);
        },
      });
      const peers = [rig.peer(listener), rig.peer(listener)];
      for (const peer of peers) peer.reading = false;
      await rig.until("written", () => all.length === peers.length);
      await rig.during(20);
      const { blocks } = loopOf(rig.reactor).balance();
      assert.ok(
        Number(blocks) <= 24 * peers.length,
        `${blocks} blocks for ${peers.length} connections`,
      );
      assert.ok(all.every((it) => it.pendingBytes > 0));
      for (const peer of peers) peer.reading = true;
      await rig.until(
        "received",
        () => peers.every((peer) => peer.length >= wanted.length),
        20_000,
      );
      await rig.until("drained", () => drained === all.length);
      for (const peer of peers) assertSame(peer.bytes, wanted);
      assert.ok(all.every((it) => it.pendingBytes === 0));
    }),
    test("an array that is detached before it is sent resets its connection", async (rig) => {
      let error: (Error & { code?: string }) | undefined;
      const bytes = new Uint8Array(8_000_000);
      const listener = rig.listen({
        open: (it) => void it.write(bytes),
        close: (_, why) => {
          error = why;
        },
      });
      const peer = rig.peer(listener);
      peer.reading = false;
      await rig.until("accepted", () => listener.connections === 1);
      await rig.during(10);
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
      peer.reading = true;
      await rig.until("closed", () => error !== undefined);
      assert.equal(error?.code, "ERR_INVALID_DATA");
      await rig.until("reset", () => peer.error !== undefined);
      assert.equal(peer.error, "ECONNRESET");
    }),
    ...SIZES.flatMap((size) =>
      [false, true].map((zeroCopy) =>
        test(`${size} bytes echo intact${zeroCopy ? ", lent" : ""}`, async (rig) => {
          const peer = rig.peer(rig.listen({ ...echo, zeroCopy }));
          const bytes = pattern(size);
          peer.send(bytes).shutdown();
          await rig.until("echoed", () => peer.ended || peer.error !== undefined);
          assertSame(peer.bytes, bytes);
        }),
      ),
    ),
    test("an empty write has no effect", async (rig) => {
      const listener = rig.listen({
        open: (connection) => {
          assert.equal(connection.write(""), true);
          assert.equal(connection.write(new Uint8Array(0)), true);
          connection.write("x");
        },
      });
      const peer = rig.peer(listener);
      await rig.until("sent", () => peer.length > 0);
      assert.equal(peer.text, "x");
      assert.equal(peer.ended, false);
    }),
    test(
      "sixteen connections are received from, then answered",
      async () => {
        const { recv, send } = kernel.libc;
        let order = "";
        using rig = new Rig(variant, {
          recv: (fd, buffer, length, flags) => {
            const result = recv(fd, buffer, length, flags);
            if (result > 0) order += "r";
            return result;
          },
          send: (fd, buffer, length, flags) => {
            order += "s";
            return send(fd, buffer, length, flags);
          },
        });
        for (const zeroCopy of [false, true]) {
          let opened = 0;
          const listener = rig.listen({ ...echo, zeroCopy, open: () => void opened++ });
          const peers = Array.from({ length: 20 }, () => rig.peer(listener));
          await rig.until("opened", () => opened === 20);
          order = "";
          for (const [i, peer] of peers.entries()) peer.send(`message ${i}`);
          for (const [i, peer] of peers.entries()) {
            await rig.until("answered", () => peer.text === `message ${i}`);
          }
          assert.equal(order, `${"r".repeat(16)}${"s".repeat(16)}rrrrssss`);
        }
      },
      withoutCalls(variant),
    ),
    test("text is sent as UTF-8, with any characters at any block boundary", async (rig) => {
      const marks = ["a", "\u00e9", "\u20ac", "\u{1f600}", "\ud800"];
      const texts = Array.from({ length: 400 }, (_, i) =>
        (marks[i % marks.length] as string).repeat((i * 37) % 701).padStart(i % 11, "-"),
      );
      texts.push("\u20ac".repeat(30_000));
      const all = Buffer.from(texts.join("|"));
      const peer = rig.peer(
        rig.listen({
          open: (connection) => {
            for (const [i, text] of texts.entries()) connection.write(i > 0 ? `|${text}` : text);
            assert.equal(connection.pendingBytes, all.length);
            connection.end();
          },
        }),
      );
      await rig.until("sent", () => peer.ended || peer.error !== undefined);
      assertSame(peer.bytes, all);
    }),
    test("one byte at a time arrives as one stream", async (rig) => {
      const peer = rig.peer(rig.listen(echo));
      const text = "every byte is a message of its own";
      for (const byte of text) {
        const before = peer.length;
        peer.send(byte);
        await rig.until("echoed", () => peer.length > before);
      }
      assert.equal(peer.text, text);
    }),
    test("no byte is lost or reordered if the peer reads slowly", async (rig) => {
      for (const zeroCopy of [false, true]) {
        const peer = rig.peer(
          rig.listen({ zeroCopy, data: (connection, bytes) => void connection.write(bytes) }),
        );
        const bytes = pattern(6 * KIB * KIB, 7);
        peer.reading = false;
        peer.send(bytes).shutdown();
        await rig.until("all sent", () => !peer.sending);
        peer.reading = true;
        peer.readBytes = 50_001;
        await rig.until("echoed", () => peer.ended || peer.error !== undefined);
        assertSame(peer.bytes, bytes);
      }
    }),
    test(
      "the writes of one callback leave in one send",
      async (rig) => {
        // Few bytes at first, and finally more than a small block holds.
        const numbers = Array.from({ length: 1000 }, (_, i) => `${i},`);
        const listener = rig.listen({
          data: (connection) => {
            for (const number of numbers) connection.write(number);
          },
        });
        const peer = rig.peer(listener);
        await rig.until("accepted", () => listener.connections === 1);
        rig.counts.send = 0;
        peer.send("go");
        await rig.until("answered", () => peer.text.endsWith("999,"));
        assert.equal(peer.text, numbers.join(""));
        assert.equal(rig.counts.send, 1);
      },
      withoutCalls(variant),
    ),
    test(
      "writes to many connections in one callback leave in one send each",
      async (rig) => {
        const all: Connection[] = [];
        const listener = rig.listen({
          open: (connection) => void all.push(connection),
          data: () => {
            for (let i = 0; i < 10; i++) for (const connection of all) connection.write(`${i}`);
          },
        });
        const peers = [rig.peer(listener), rig.peer(listener), rig.peer(listener)];
        await rig.until("accepted", () => all.length === 3);
        rig.counts.send = 0;
        peers[1]?.send("go");
        await rig.until("answered", () => peers.every((peer) => peer.length === 10));
        assert.equal(rig.counts.send, 3);
        for (const peer of peers) assert.equal(peer.text, "0123456789");
      },
      withoutCalls(variant),
    ),
    test(
      "writes of a promise or a timer outside of callbacks leave in one send",
      async (rig) => {
        let connection: Connection | undefined;
        const peer = rig.peer(
          rig.listen({
            open: (it) => {
              connection = it;
            },
          }),
        );
        await rig.until("accepted", () => connection !== undefined);
        rig.counts.send = 0;
        connection?.write("a");
        connection?.write("b");
        await rig.until("sent", () => peer.length === 2);
        await sleep(1);
        connection?.write("c");
        await Promise.resolve();
        await rig.until("sent", () => peer.length === 3);
        assert.equal(peer.text, "abc");
        assert.equal(rig.counts.send, 2);
      },
      withoutCalls(variant),
    ),
    test("write returns false above the high-water mark, and drain is called once each time", async (rig) => {
      let connection: Connection | undefined;
      let falses = 0;
      const drains: number[] = [];
      const peer = rig.peer(
        rig.listen({
          highWaterBytes: 100_000,
          open: (it) => {
            connection = it;
          },
          drain: (it) => void drains.push(it.pendingBytes),
        }),
      );
      await rig.until("accepted", () => connection !== undefined);
      const chunk = pattern(50_000);
      for (let run = 1; run <= 3; run++) {
        peer.reading = false;
        let accepted = 0;
        while (connection?.write(chunk)) {
          if (++accepted % 4 === 0) await rig.step();
        }
        falses++;
        assert.equal(connection?.write(chunk), false);
        assert.ok((connection?.pendingBytes ?? 0) > 100_000);
        assert.equal(drains.length, run - 1);
        peer.reading = true;
        await rig.until("all sent", () => connection?.pendingBytes === 0);
        await rig.until("drained", () => drains.length >= falses);
        await rig.during(3);
        assert.equal(drains.length, falses);
      }
      for (const pending of drains) assert.ok(pending <= 50_000, `drained at ${pending}`);
    }),
    test("drain is delayed by a later write until that is sent as well", async (rig) => {
      const drains: number[] = [];
      let connection: Connection | undefined;
      const peer = rig.peer(
        rig.listen({
          highWaterBytes: 1000,
          open: (it) => {
            connection = it;
          },
          data: (it) => {
            // The kernel accepts the first write at once. Before drain is called, its buffer is full again.
            it.write(pattern(2000));
            rig.reactor.setTimer(0, () => it.write(pattern(8 * KIB * KIB)));
          },
          drain: (it) => void drains.push(it.pendingBytes),
        }),
      );
      peer.reading = false;
      peer.send("go");
      await rig.until("written", () => (connection?.pendingBytes ?? 0) > 1000);
      await rig.during(3);
      peer.reading = true;
      await rig.until("all read", () => peer.length === 2000 + 8 * KIB * KIB);
      await rig.until("drained", () => drains.length > 0);
      for (const pending of drains) assert.ok(pending <= 500, `drained at ${pending}`);
    }),
    test("a drain handler that fills the queue again is called again, without any other event", async (rig) => {
      let drains = 0;
      const peer = rig.peer(
        rig.listen({
          highWaterBytes: 500,
          open: (connection) => void connection.write(pattern(1000)),
          drain(connection) {
            if (++drains < 20) connection.write(pattern(1000));
          },
        }),
      );
      await rig.until("drained as often as it was full", () => drains === 20);
      await rig.until("all there", () => peer.length === 20_000);
    }),
    test("drain is not called after end or close", async (rig) => {
      const drained: string[] = [];
      for (const how of ["end", "close"] as const) {
        const peer = rig.peer(
          rig.listen({
            highWaterBytes: 10,
            open: (connection) => {
              connection.write(pattern(5_000_000));
              connection[how]();
            },
            drain: () => void drained.push(how),
          }),
        );
        await rig.until("ended", () => peer.ended);
        assert.equal(peer.length, 5_000_000);
      }
      assert.deepEqual(drained, []);
    }),
    test("a connection whose peer never reads closes with ENOBUFS at maxPendingBytes; others are not affected", async (rig) => {
      let error: (Error & { code?: string; hint?: string }) | undefined;
      let most = 0;
      const listener = rig.listen({
        maxPendingBytes: 1_000_000,
        data: (connection, bytes) => {
          connection.write(bytes);
          most = Math.max(most, connection.pendingBytes);
        },
        close: (_connection, why) => {
          error ??= why;
        },
      });
      const deaf = rig.peer(listener);
      const good = rig.peer(listener);
      deaf.reading = false;
      deaf.send(pattern(16 * KIB * KIB));
      let echoed = 0;
      await rig.until("closed", () => {
        if (good.length === echoed) {
          good.send("ping");
          echoed += 4;
        }
        return error !== undefined;
      });
      assert.equal(error?.code, "ENOBUFS");
      assert.match(error?.hint ?? "", /maxPendingBytes is 1000000/);
      assert.ok(most < 1_200_000, `${most} bytes waited`);
      await rig.until("echoed", () => good.length === echoed);
      assert.ok(echoed > 0);
    }),
    test("lent bytes arrive in order: in parts, twice, after copied bytes, and on another connection", async (rig) => {
      const all: Connection[] = [];
      const listener = rig.listen({
        zeroCopy: true,
        open: (connection) => void all.push(connection),
        data: (connection, bytes) => {
          const half = bytes.length >> 1;
          connection.write(bytes.subarray(0, half));
          connection.write("|");
          connection.write(bytes);
          connection.write(bytes.subarray(half));
          for (const other of all) {
            if (other === connection) continue;
            other.write("(");
            other.write(bytes);
            other.write(bytes);
            other.write(")");
          }
        },
      });
      const a = rig.peer(listener);
      const b = rig.peer(listener);
      await rig.until("accepted", () => all.length === 2);
      a.send("abcdef");
      await rig.until("answered", () => a.length === 13 && b.length === 14);
      assert.equal(a.text, "abc|abcdefdef");
      assert.equal(b.text, "(abcdefabcdef)");
    }),
    test("lent bytes and copied ones after them keep their order if the kernel accepts few at a time", async () => {
      let budget = 0;
      const rig = new Rig(variant, {
        send: (fd, address, length, flags) =>
          // A short send, and another one, as with a full send buffer. The peer empties it.
          realSend(fd, address, budget++ % 2 === 0 ? Math.min(length, 5) : length, flags),
      });
      try {
        const peer = rig.peer(
          rig.listen({
            zeroCopy: true,
            data: (connection, bytes) => {
              connection.write(bytes);
              connection.write("-own-");
              connection.write(bytes.subarray(0, 3));
              // With edge-triggering, a short send without a full buffer causes no event, so this flushes again.
              rig.reactor.setTimer(0, () => connection.write("."));
            },
          }),
        );
        peer.send("0123456789");
        if (variant.trigger === "edge") return;
        await rig.until("answered", () => peer.length === 19);
        assert.equal(peer.text, "0123456789-own-012.");
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("lent bytes are sent if their connection closes, and dropped if it is destroyed", async (rig) => {
      for (const how of ["close", "end", "destroy"] as const) {
        const peer = rig.peer(
          rig.listen({
            zeroCopy: true,
            data: (connection, bytes) => {
              connection.write(bytes);
              connection[how]();
            },
          }),
        );
        peer.send("lent");
        await rig.until("ended", () => peer.ended || peer.error !== undefined);
        assert.equal(peer.text, how === "destroy" ? "" : "lent");
        assert.equal(peer.error, how === "destroy" ? "ECONNRESET" : undefined);
      }
    }),
    test("lent bytes for a peer that has reset are dropped, and later peers are served", async (rig) => {
      let victim: Peer | undefined;
      let closes = 0;
      const listener = rig.listen({
        zeroCopy: true,
        data: (connection, bytes) => {
          victim?.reset();
          connection.write(bytes);
          // Copied bytes follow the lent ones.
          if (closes % 2 === 0) connection.write("own");
        },
        error: () => {},
        close: () => void closes++,
      });
      for (let count = 1; count <= 20; count++) {
        victim = rig.peer(listener);
        victim.send(new Uint8Array(65_536));
        await rig.until("closed", () => closes === count);
      }
      victim = undefined;
      const peer = rig.peer(listener);
      peer.send("served");
      await rig.until("served", () => peer.text.startsWith("served"));
    }),
    test("lent bytes written to a connecting connection arrive unchanged", async (rig) => {
      const got: string[] = [];
      const sink = rig.listen({ data: (_connection, bytes) => void got.push(String(bytes)) });
      const listener = rig.listen({
        zeroCopy: true,
        data: (_connection, bytes) => {
          const to = rig.reactor.connect({ host: "127.0.0.1", port: sink.port });
          to.write(bytes);
          to.end();
        },
      });
      const peer = rig.peer(listener);
      peer.send(new Uint8Array([1, 2, 3]));
      await rig.until("forwarded", () => got.length > 0);
      peer.send(new Uint8Array([9, 9, 9]));
      await rig.until("forwarded", () => got.length > 1);
      assert.deepEqual(got, ["1,2,3", "9,9,9"]);
    }),
    test("data after passed descriptors is read without another event", async (rig) => {
      let got = "";
      const listener = rig.listen({
        path: `\0polloi-passed-${process.pid}-${Math.random()}`,
        data: (_connection, bytes) => {
          got += Buffer.from(bytes);
        },
      });
      const peer = rig.peer(listener);
      await rig.until("accepted", () => listener.connections === 1);
      sendFds(peer.socket, "before ", [rig.eventfd(0)]);
      peer.socket.send("after");
      await rig.until("all read", () => got === "before after");
    }),
    test("a burst larger than one turn reads arrives without another event", async (rig) => {
      let got = 0;
      const peer = rig.peer(
        rig.listen({
          data: (_connection, bytes) => {
            got += bytes.length;
          },
        }),
      );
      const burst = pattern(2_000_000);
      rig.reactor.setTimer(0, () => {
        // On the reactor's thread, so that all bytes are there at once.
        peer.send(burst);
      });
      await rig.until("all read", () => got === burst.length);
    }),
    test("bytes passed to data do not change later; lent bytes are valid during the call", async (rig) => {
      const kept: Uint8Array[] = [];
      const peer = rig.peer(
        rig.listen({
          data: (connection, bytes) => {
            kept.push(bytes);
            connection.write("k");
          },
        }),
      );
      for (let i = 1; i <= 3; i++) {
        peer.send(new Uint8Array([i, i]));
        await rig.until("taken", () => peer.length === i);
      }
      assert.deepEqual(
        kept.map((bytes) => [...bytes]),
        [
          [1, 1],
          [2, 2],
          [3, 3],
        ],
      );
    }),
    test("data between two urgent bytes is read without another event", async (rig) => {
      let got = "";
      const peer = rig.peer(
        rig.listen({
          data: (_connection, bytes) => {
            got += Buffer.from(bytes);
          },
        }),
      );
      await rig.step();
      const MSG_OOB = 1;
      peer.socket.send("before", 0);
      peer.socket.send("!", MSG_OOB);
      peer.socket.send("after", 0);
      await rig.until("all read", () => got.length >= 11);
      assert.equal(got.replace("!", ""), "beforeafter");
    }),
  ];
}
