/** Callbacks may close their own connection and others, and the reactor that calls them. */
import assert from "node:assert/strict";
import { setImmediate as nextImmediate, setTimeout as sleep } from "node:timers/promises";
import type { Case } from "../../../../test/support/suite.ts";
import type { Connection, Handlers } from "../../src/index.ts";
import { EVENT_READ } from "../../src/selectors/events.ts";
import { kernel } from "../../src/sys/open.ts";
import { casesOf, failing, type Peer, pattern, type Rig, type Variant } from "./rig.ts";

/** A handler, and an action that causes a call of it. */
const OCCASIONS: Record<string, (peer: Peer, connection: Connection) => void> = {
  open: () => {},
  data: (peer) => void peer.send("x"),
  end: (peer) => void peer.shutdown(),
  drain: (_peer, connection) => void connection.write(pattern(500_000)),
  timeout: (_peer, connection) => connection.setIdleTimeout(1),
};

const WAYS = ["close", "destroy", "reset", "end"] as const;

async function occasion(
  rig: Rig,
  name: string,
  handler: (connection: Connection) => void,
): Promise<void> {
  let connection: Connection | undefined;
  let closes = 0;
  let called = 0;
  const listener = rig.listen({
    open: (it) => {
      connection = it;
    },
    ...{
      [name]: (it: Connection) => {
        connection = it;
        called++;
        handler(it);
      },
    },
    close: () => {
      closes++;
    },
  });
  const peer = rig.peer(listener);
  await rig.until("accepted", () => connection !== undefined);
  OCCASIONS[name]?.(peer, connection as Connection);
  await rig.until(`called back: ${name}`, () => called > 0);
  await rig.until("seen the end of", () => peer.ended || peer.error !== undefined);
  peer.close();
  await rig.until("closed", () => closes > 0);
  await rig.during(2);
  assert.equal(closes, 1);
  assert.equal(connection?.state, "closed");
}

export function callbackCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  const noUncaught =
    variant.mode === "hosted" && kernel.runtime !== "node"
      ? `${kernel.runtime} handles uncaught exceptions in its own way: tested in a separate process`
      : undefined;
  return [
    ...Object.keys(OCCASIONS).flatMap((name) =>
      WAYS.map((way) =>
        test(`${way} within ${name}, twice`, (rig) =>
          occasion(rig, name, (connection) => {
            connection[way]();
            connection[way]();
          })),
      ),
    ),
    test("after handOver every event goes to the new handlers", async (rig) => {
      const seen: string[] = [];
      const listener = rig.listen<number>({
        zeroCopy: true,
        open: (connection) => {
          connection.data = 1;
        },
        data: (connection, bytes) => {
          seen.push(`first ${bytes.length} ${connection.data}`);
          const next = connection.handOver<string>({
            idleTimeoutMs: 20,
            open: () => seen.push("open"),
            data: (_, more) => seen.push(`next ${more.length} ${next.data}`),
            timeout: () => {
              // If this process is delayed, the bytes have not arrived yet, and the timeout is reported again.
              if (!seen.includes("next 2 two")) return;
              seen.push("timeout");
              next.destroy(new Error("enough"));
            },
            error: (_, error) => seen.push(error.message),
            close: () => seen.push("close"),
          });
          assert.equal(next.data, undefined);
          assert.equal(next as unknown, connection);
          next.data = "two";
          next.write("over");
        },
        close: () => seen.push("closed for the first"),
      });
      const peer = rig.peer(listener);
      peer.send("abc");
      await rig.until("handed over", () => peer.text === "over");
      peer.send("de");
      await rig.until("closed", () => seen.includes("close"));
      assert.deepEqual(seen, ["first 3 1", "next 2 two", "timeout", "enough", "close"]);
      await rig.until("counted no longer", () => listener.connections === 0);
    }),
    test("closing within close and error is safe", async (rig) => {
      const seen: string[] = [];
      const peer = rig.peer(
        rig.listen({
          data: (connection) => connection.destroy(new Error("no")),
          error: (connection) => {
            seen.push("error");
            connection.close();
            connection.destroy();
          },
          close: (connection) => {
            seen.push("close");
            connection.reset();
            connection.pause();
            connection.resume();
            connection.setIdleTimeout(5);
          },
        }),
      );
      peer.send("x");
      await rig.until("closed", () => seen.length === 2);
      assert.deepEqual(seen, ["error", "close"]);
    }),
    test("connections that a callback closes get no further event of the same batch", async (rig) => {
      for (const how of ["destroy", "reset", "close"] as const) {
        const all: Connection<string>[] = [];
        let calls = 0;
        const late: string[] = [];
        const listener = rig.listen<string>({
          open: (connection) => void all.push(connection),
          data: (connection) => {
            calls++;
            if (connection.state !== "open") late.push(connection.state);
            for (const other of all) if (other !== connection) other[how]();
          },
        });
        const peers = Array.from({ length: 8 }, () => rig.peer(listener));
        await rig.until("accepted", () => all.length === 8);
        for (const peer of peers) peer.socket.send("x");
        await rig.until("called", () => calls > 0);
        await rig.during(3);
        assert.equal(calls, 1, how);
        assert.deepEqual(late, []);
        for (const connection of all) connection.destroy();
        listener.close();
      }
    }),
    test("a descriptor number that is reused within a batch gets no stale event", async (rig) => {
      const all: Connection[] = [];
      const fresh: Connection[] = [];
      const wrong: unknown[] = [];
      const [one, two] = socketpairs(8);
      const handlers: Handlers = {
        open: (connection) => void all.push(connection),
        data: (connection) => {
          if (fresh.length > 0) return;
          const numbers = new Set(all.map((each) => each.fileno()));
          for (const each of all) if (each !== connection) each.destroy();
          // These get the numbers that have just become free, while the batch still has events for them.
          for (const [fd, other] of [...socketpairs(4)[2]]) {
            rig.own(other);
            if (!numbers.has(fd) && !numbers.has(other)) continue;
            fresh.push(
              rig.reactor.adopt(fd, {
                data: (_it, bytes) => void wrong.push(bytes),
                end: () => void wrong.push("end"),
                close: (_it, error) => void (error && wrong.push(error)),
              }),
            );
          }
          assert.ok(fresh.length > 0, "no number was reused");
        },
      };
      for (const fd of one) rig.reactor.adopt(fd, handlers);
      for (const fd of two) rig.own(fd);
      for (const fd of two) kernel.libc.write(fd, kernel.scratch.address, 1);
      await rig.until("reused", () => fresh.length > 0);
      await rig.during(3);
      assert.deepEqual(wrong, []);
      for (const each of fresh) assert.equal(each.state, "open");
    }),
    test("an exception of a handler goes to its connection's error handler, and the connection stays open", async (rig) => {
      for (const name of ["open", "data", "drain", "end", "timeout"]) {
        const errors: string[] = [];
        let connection: Connection | undefined;
        let got = "";
        const listener = rig.listen({
          open: (it) => {
            connection = it;
          },
          data: (_it, bytes) => {
            got += Buffer.from(bytes);
          },
          ...{
            [name]: (it: Connection) => {
              connection = it;
              throw new Error(`thrown in ${name}`);
            },
          },
          error: (_it, error) => void errors.push(error.message),
        });
        const peer = rig.peer(listener);
        await rig.until("accepted", () => connection !== undefined || errors.length > 0);
        if (connection !== undefined) OCCASIONS[name]?.(peer, connection);
        await rig.until("told", () => errors.length > 0);
        assert.equal(errors[0], `thrown in ${name}`);
        assert.notEqual(connection?.state, "closed");
        connection?.setIdleTimeout(0);
        if (name === "end") continue;
        if (name !== "data") {
          peer.send("on");
          await rig.until("received", () => got.endsWith("on"));
        }
        connection?.destroy();
      }
    }),
    test("a thrown value that is not an Error is wrapped in one, as its cause", async (rig) => {
      let error: Error | undefined;
      const peer = rig.peer(
        rig.listen({
          data: () => {
            throw "a string";
          },
          error: (_it, it) => {
            error = it;
          },
        }),
      );
      peer.send("x");
      await rig.until("told", () => error !== undefined);
      assert.equal(error?.cause, "a string");
    }),
    test(
      "an exception of a handler without an error handler fails the process after the turn",
      async (rig) => {
        let got = 0;
        const failure = await failing(rig, async () => {
          const listener = rig.listen({
            data: (_it, bytes) => {
              got += bytes.length;
              throw new Error("nobody catches this");
            },
          });
          const peer = rig.peer(listener);
          peer.send("x");
          await rig.until("received", () => got > 0);
        });
        assert.equal((failure as Error).message, "nobody catches this");
      },
      noUncaught,
    ),
    test(
      "several exceptions of one turn are thrown together",
      async (rig) => {
        let calls = 0;
        const failure = await failing(rig, async () => {
          for (let i = 0; i < 3; i++) {
            rig.reactor.setTimer(0, () => {
              calls++;
              throw new Error(`thrown ${i}`);
            });
          }
          await rig.until("called", () => calls > 0);
        });
        assert.equal(calls, 3);
        assert.ok(failure instanceof AggregateError, String(failure));
        assert.deepEqual(
          failure.errors.map((error: Error) => error.message),
          ["thrown 0", "thrown 1", "thrown 2"],
        );
      },
      noUncaught,
    ),
    test("turn and run are refused within a callback", async (rig) => {
      const codes: unknown[] = [];
      rig.reactor.setTimer(0, () => {
        for (const call of [() => rig.reactor.turn(0), () => rig.reactor.run()]) {
          try {
            call();
            codes.push("no error");
          } catch (error) {
            codes.push((error as { code?: unknown }).code);
          }
        }
      });
      await rig.until("called", () => codes.length === 2);
      assert.deepEqual(codes, ["ERR_BLOCKING", "ERR_BLOCKING"]);
    }),
    test("a reactor that is closed within a callback closes everything and calls no handler afterwards", async (rig) => {
      const closes: string[] = [];
      let late = 0;
      let closed = false;
      const called = () => {
        if (closed) late++;
      };
      const listener = rig.listen<number>({
        open: (it) => {
          it.data = listener.connections;
        },
        data: () => {
          called();
          rig.reactor.setTimer(0, called);
          rig.reactor.close();
          closed = true;
        },
        close: (it) => void closes.push(`close ${it.data}`),
      });
      rig.reactor.watch(listener.fileno() < 0 ? 0 : rig.eventfd(1), EVENT_READ, called);
      const peers = [rig.peer(listener), rig.peer(listener), rig.peer(listener)];
      await rig.until("accepted", () => listener.connections === 3);
      for (const peer of peers) peer.socket.send("x");
      if (variant.mode === "blocking") while (!closed) rig.reactor.turn(0);
      else while (!closed) await nextImmediate();
      for (let i = 0; i < 3; i++) await sleep(1);
      assert.equal(late, 0);
      assert.equal(closes.length, 3);
      assert.equal(rig.reactor.alive, false);
      assert.throws(() => rig.reactor.turn(0), { code: "ERR_CLOSED" });
      assert.equal(listener.fileno(), -1);
    }),
    test("a listener that is closed within open accepts no more, and accepted connections stay open", async (rig) => {
      for (const reusePort of [false, true]) {
        let opened = 0;
        const listener = rig.listen({
          reusePort,
          open: (connection) => {
            opened++;
            listener.close();
            connection.write("hello");
          },
        });
        const first = rig.peer(listener);
        const more = [rig.peer(listener), rig.peer(listener), rig.peer(listener)];
        await rig.until("greeted", () => first.text === "hello");
        if (reusePort) {
          await rig.until("greeted", () => more.every((peer) => peer.text === "hello"));
          assert.equal(opened, 4);
        } else {
          await rig.until("refused", () => more.every(({ error, ended }) => error ?? ended));
          // Reset, because it was not served.
          for (const { error } of more) assert.equal(error, "ECONNRESET");
          assert.equal(opened, 1);
        }
        assert.equal(listener.fileno(), -1);
        assert.equal(listener.port, -1);
        assert.equal(listener.address, null);
      }
    }),
    test("closing a reusePort listener serves every connection of a long backlog", async (rig) => {
      let opened = 0;
      rig.assertFreeDescriptors(650);
      const listener = rig.listen({
        reusePort: true,
        open: (connection) => {
          opened++;
          listener.close();
          connection.end("!");
        },
      });
      const peers = Array.from({ length: 300 }, () => rig.peer(listener));
      listener.close();
      await rig.until("greeted", () => peers.every((peer) => peer.ended));
      assert.equal(opened, 300);
      for (const peer of peers) assert.equal(peer.text, "!");
    }),
    test(
      "promises in a handler continue before the next turn",
      async (rig) => {
        // Timers that are due at once are called at the end of every turn.
        let turns = 0;
        const count = (): void => {
          turns++;
          rig.reactor.setTimer(0, count);
        };
        count();
        const seen: (readonly [began: number, wentOn: number])[] = [];
        const listener = rig.listen({
          data: async (connection) => {
            const began = turns;
            await null;
            await null;
            seen.push([began, turns]);
            connection.write("done");
          },
        });
        const peers = [rig.peer(listener), rig.peer(listener)];
        await rig.until("accepted", () => listener.connections === 2);
        for (const peer of peers) peer.socket.send("x");
        await rig.until("answered", () => peers.every((peer) => peer.length === 4));
        assert.equal(seen.length, 2);
        for (const [began, wentOn] of seen) assert.equal(wentOn, began + 1);
      },
      variant.mode === "blocking" ? "run() lets no promises run" : undefined,
    ),
  ];
}

/** Pairs of connected sockets: one end of each, the other end of each, and both. */
function socketpairs(count: number): [number[], number[], [number, number][]] {
  const { libc, scratch } = kernel;
  const pairs = Array.from({ length: count }, (): [number, number] => {
    assert.equal(libc.socketpair(1, 1 | 0o2004000, 0, scratch.address), 0);
    return [scratch.i32[0] as number, scratch.i32[1] as number];
  });
  return [pairs.map(([a]) => a), pairs.map(([, b]) => b), pairs];
}
