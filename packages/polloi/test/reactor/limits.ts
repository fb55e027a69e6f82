/** Limits: descriptors, connections, timeouts. */
import assert from "node:assert/strict";
import { raiseDescriptorLimit } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { Connection, SysError } from "../../src/index.ts";
import { EFD_CLOEXEC, F_DUPFD_CLOEXEC } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";
import { casesOf, type Peer, Rig, type Variant, withoutCalls } from "./rig.ts";

/** More than io_uring completes at a time. */
const PEERS = 100;
/** How long the thread is busy with other work. */
const STALL_MS = 60;
/** The byte that makes a handler block the thread. */
const STALLS = 7;

function stall(): void {
  const end = performance.now() + STALL_MS;
  while (performance.now() < end);
}

export function limitCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test(
      "without free descriptors accepting pauses, reports once and recovers; open connections are not affected",
      async () => {
        for (const [errno, hint] of [
          [ERRNO.EMFILE, /ulimit -n/],
          [ERRNO.ENFILE, /fs\.file-max/],
          [ERRNO.ENOBUFS, /memory/],
          [ERRNO.ENOMEM, /memory/],
        ] as const) {
          let left = 2;
          const rig = new Rig(variant, {
            accept4: (...args) => (left-- > 0 ? kernel.libc.accept4(...args) : -errno),
          });
          const errors: SysError[] = [];
          const open: Connection[] = [];
          try {
            const listener = rig.listen({
              open: (it) => void open.push(it),
              data: (it, bytes) => void it.write(bytes),
              acceptError: (error) => {
                assert.equal(error.fd, listener.fileno());
                errors.push(error);
              },
            });
            const peers = Array.from({ length: 5 }, () => rig.peer(listener));
            await rig.until("starved", () => errors.length > 0);
            const before = rig.counts.accept4;
            for (const peer of peers) peer.send("ping");
            await rig.until("echoed", () => peers.filter((peer) => peer.length === 4).length === 2);
            await rig.during(60);
            assert.ok(rig.counts.accept4 - before <= 3, `${rig.counts.accept4 - before} tries`);
            assert.equal(errors.length, 1);
            assert.equal(errors[0]?.code, Object.entries(ERRNO).find(([, n]) => n === errno)?.[0]);
            assert.match(errors[0]?.hint ?? "", hint);
            // A closed connection frees a descriptor: accepting does not wait for the next attempt.
            left = 1;
            open[0]?.destroy();
            for (let steps = 0; open.length < 3; steps++) {
              assert.ok(steps < 100, "accepted when a descriptor is free");
              await rig.step();
            }
            left = 1000;
            await rig.until("accepted", () => open.length === 5);
            await rig.until("echoed", () => peers.every((peer) => peer.length === 4 || peer.ended));
          } finally {
            rig[Symbol.dispose]();
          }
        }
      },
      withoutCalls(variant),
    ),
    test(
      "an accept that always fails is reported once and causes no busy loop; everything else continues",
      async () => {
        for (const [errno, hint] of [
          [ERRNO.EACCES, /forbids/],
          [ERRNO.EPERM, /forbids/],
          [ERRNO.ENOSYS, /retried/],
          [ERRNO.ENETDOWN, /retried/],
          [ERRNO.ECONNABORTED, /retried/],
        ] as const) {
          let left = 1;
          const rig = new Rig(variant, {
            accept4: (...args) => (left-- > 0 ? kernel.libc.accept4(...args) : -errno),
          });
          const errors: SysError[] = [];
          let opened = 0;
          try {
            const listener = rig.listen({
              open: () => void opened++,
              data: (it, bytes) => void it.write(bytes),
              acceptError: (error) => void errors.push(error),
            });
            const open = rig.peer(listener);
            await rig.until("accepted", () => opened === 1);
            const late = rig.peer(listener);
            await rig.until("reported", () => errors.length > 0);
            const before = rig.counts.accept4;
            open.send("ping");
            await rig.until("echoed", () => open.text === "ping");
            await rig.during(60);
            const tries = rig.counts.accept4 - before;
            assert.ok(tries <= 4 * 32, `${tries} calls of accept4`);
            assert.equal(errors.length, 1);
            assert.equal(errors[0]?.errno, -errno);
            assert.match(errors[0]?.hint ?? "", hint);
            left = 100;
            await rig.until("accepted", () => opened === 2);
            late.send("pong");
            await rig.until("echoed", () => late.text === "pong");
          } finally {
            rig[Symbol.dispose]();
          }
        }
      },
      withoutCalls(variant),
    ),
    test(
      "connections that fail before they are accepted are skipped, and not reported",
      async () => {
        let failing = 20;
        const rig = new Rig(variant, {
          accept4: (...args) =>
            failing-- > 0 ? -ERRNO.ECONNABORTED : kernel.libc.accept4(...args),
        });
        try {
          let opened = 0;
          const listener = rig.listen({
            open: () => void opened++,
            acceptError: () => assert.fail("reported"),
          });
          rig.peer(listener);
          await rig.until("accepted", () => opened === 1);
        } finally {
          rig[Symbol.dispose]();
        }
      },
      withoutCalls(variant),
    ),
    test(
      "select with fd 1024: a clear error, a pause, and recovery",
      async (rig) => {
        if (variant.engine !== "select") {
          // The other engines have no such limit.
          const socket = fillTo1024();
          try {
            const opened = rig.reactor.watch(socket.at(-1) as number, 1, () => {});
            assert.ok(opened.fileno() >= 1024);
            opened.close();
          } finally {
            for (const fd of socket) kernel.libc.close(fd);
          }
          return;
        }
        const errors: SysError[] = [];
        let opened = 0;
        const listeners = [0, 1].map(() =>
          rig.listen({
            open: () => {
              opened++;
            },
            data: (it, bytes) => void it.write(bytes),
            acceptError: (error) => void errors.push(error),
          }),
        );
        const [listener, other] = listeners as [(typeof listeners)[0], (typeof listeners)[0]];
        const peer = rig.peer(listener);
        await rig.until("accepted", () => opened === 1);
        const held = fillTo1024();
        try {
          const accepted = [1, 0];
          rig.peer(listener);
          rig.peer(other);
          await rig.until("refused", () => {
            // A descriptor that the runtime closes meanwhile leaves a free number below 1024, and a connection may get it.
            held.push(...fillTo1024());
            listeners.forEach((each, i) => {
              if (each.connections === accepted[i]) return;
              accepted[i] = each.connections;
              rig.peer(each);
            });
            return errors.length >= 2;
          });
          for (let i = 0; i < 3; i++) {
            rig.peer(listener);
            rig.peer(other);
          }
          const before = rig.counts.accept4;
          await rig.during(60);
          const tries = rig.counts.accept4 - before;
          assert.ok(tries <= 8, `${tries} tries: each drops a connection`);
          // A connection that gets such a number ends the pause, and the next one begins another.
          assert.ok(errors.length <= 1 + opened, `${errors.length} reports`);
          assert.match(errors[0]?.hint ?? "", /select\(\) holds fds below 1024; use poll or epoll/);
          // Bun closes descriptors of its own meanwhile: nothing else runs from here to the connect.
          held.push(...fillTo1024());
          assert.throws(() => rig.reactor.watch(Math.max(...held), 1, () => {}), {
            code: "EINVAL",
            hint: "select() holds fds below 1024; use poll or epoll",
          });
          assert.throws(() => rig.listen({}), { code: "EINVAL", syscall: "listen" });
          assert.throws(() => rig.reactor.adopt(held.at(-1) as number), { code: "EINVAL" });
          let error: (Error & { hint?: string }) | undefined;
          rig.reactor.connect({
            host: "127.0.0.1",
            port: listener.port,
            close: (_it, why) => {
              error = why;
            },
          });
          await rig.until("failed", () => error !== undefined);
          assert.match(error?.hint ?? "", /below 1024/);
          peer.send("still here");
          await rig.until("echoed", () => peer.text === "still here");
        } finally {
          for (const fd of held) kernel.libc.close(fd);
        }
        const again = rig.peer(listener);
        again.send("hello");
        await rig.until("served", () => again.text === "hello");
      },
      raiseDescriptorLimit(2048),
    ),
    test("maxConnections: further connections wait until one has closed", async (rig) => {
      const open: Connection[] = [];
      let most = 0;
      const listener = rig.listen({
        maxConnections: 2,
        open: (it) => {
          open.push(it);
          most = Math.max(most, listener.connections);
          it.write("in");
        },
      });
      const peers = Array.from({ length: 5 }, () => rig.peer(listener));
      await rig.until("full", () => open.length === 2);
      await rig.during(5);
      for (let next = 2; next <= 5; next++) {
        assert.equal(open.length, next);
        assert.equal(listener.connections, 2);
        if (next === 5) break;
        open[next - 2]?.destroy();
        await rig.until("accepted", () => open.length > next);
      }
      assert.equal(most, 2);
      await rig.until("greeted", () => peers.every((peer) => peer.length === 2));
    }),
    test("an idle connection is closed with ETIMEDOUT; traffic in either direction keeps it", async (rig) => {
      // If the thread was delayed for long, the peers did not send in time: then the case is repeated.
      for (let tries = 1; !(await keptByTraffic(rig)); tries++) assert.ok(tries < 50);
    }),
    test("bytes that arrived while the thread was blocked count before the idle timeout", async (rig) => {
      const errors: (Error | undefined)[] = [];
      const received = new Set<Connection>();
      const all: Connection[] = [];
      let peers: Peer[] = [];
      // Every peer sends something, and the thread is busy for longer than the timeout.
      const sendAndStall = (): void => {
        for (const connection of all) connection.setIdleTimeout(STALL_MS / 2);
        for (const peer of peers) peer.send(".");
        stall();
      };
      const listener = rig.listen({
        backlog: PEERS,
        open: (it) => void all.push(it),
        data: (it, bytes) => {
          if (bytes[0] === STALLS) return sendAndStall();
          received.add(it);
          it.setIdleTimeout(0);
        },
        close: (_it, why) => void errors.push(why),
      });
      rig.assertFreeDescriptors(2 * PEERS);
      peers = Array.from({ length: PEERS }, () => rig.peer(listener));
      await rig.until("accepted", () => all.length === PEERS);
      for (const within of ["the program", "a call-back"]) {
        received.clear();
        if (within === "the program") sendAndStall();
        else peers[0]?.send(new Uint8Array([STALLS]));
        await rig.until("received", () => received.size === PEERS || errors.length > 0);
        assert.deepEqual(errors, [], `the thread stalls within ${within}`);
      }
      for (const connection of all) connection.setIdleTimeout(1);
      await rig.until("idle", () => errors.length === PEERS);
      assert.ok(errors.every((it) => (it as SysError | undefined)?.code === "ETIMEDOUT"));
    }),
    test("a connect that succeeded while the thread was blocked counts before its timeout", async (rig) => {
      const listener = rig.listen({});
      const { port } = listener;
      const seen: string[] = [];
      rig.reactor.connect({
        host: "127.0.0.1",
        port,
        connectTimeoutMs: STALL_MS / 4,
        open: (it) => {
          seen.push("open");
          it.close();
        },
        error: (_it, error) => void seen.push(error.message),
      });
      stall();
      await rig.until("over", () => seen.length > 0);
      assert.deepEqual(seen, ["open"]);
    }),
    test("a closing connection whose peer acknowledges nothing is given up, with any timeout handler", async (rig) => {
      let error: (Error & { code?: string }) | undefined;
      let timeouts = 0;
      const listener = rig.listen({
        idleTimeoutMs: 30,
        open: (it) => {
          it.write(new Uint8Array(8_000_000));
          it.close();
          it.setIdleTimeout(0);
        },
        timeout: () => void timeouts++,
        close: (_it, why) => {
          error = why;
        },
      });
      rig.peer(listener).reading = false;
      await rig.until("given up", () => error !== undefined, 2000);
      assert.equal(error?.code, "ETIMEDOUT");
      assert.equal(timeouts, 0);
    }),
    test("bytes written to a peer that does not read do not keep an idle connection", async (rig) => {
      let error: (Error & { code?: string }) | undefined;
      let connection: Connection | undefined;
      const listener = rig.listen({
        idleTimeoutMs: 30,
        open: (it) => {
          connection = it;
          it.write(new Uint8Array(8_000_000));
        },
        close: (_it, why) => {
          error = why;
        },
      });
      rig.peer(listener).reading = false;
      await rig.until(
        "timed out",
        () => {
          connection?.write("push");
          return error !== undefined;
        },
        2000,
      );
      assert.equal(error?.code, "ETIMEDOUT");
    }),
    test(
      "a peer that reads the kernel's buffer slowly is not idle; one that stops reading is",
      async (rig) => {
        const idleTimeoutMs = 200;
        // If the machine stalls for long, the peer really is idle: then the case is repeated.
        for (let tries = 0; tries < 5; tries++) {
          let error: (Error & { code?: string }) | undefined;
          let connection: Connection | undefined;
          const listener = rig.listen({
            idleTimeoutMs,
            open: (it) => {
              connection = it;
              it.write(new Uint8Array(3_000_000));
            },
            close: (_, why) => {
              error = why;
            },
          });
          const peer = rig.peer(listener);
          peer.readBytes = 40_000;
          let longest = 0;
          for (let last = performance.now(); peer.length < 2_000_000 && error === undefined; ) {
            peer.reading = true;
            await rig.step();
            peer.reading = false;
            await rig.during(10);
            const now = performance.now();
            longest = Math.max(longest, now - last);
            last = now;
          }
          const survived = error === undefined;
          if (!survived && longest > idleTimeoutMs / 4) continue;
          assert.ok(
            survived,
            `closed after ${peer.length} bytes, with ${longest} ms at most between`,
          );
          assert.ok((connection as Connection | undefined)?.unacknowledgedBytes !== 0);
          await rig.until("given up", () => error !== undefined, 4000);
          assert.equal((error as (Error & { code?: string }) | undefined)?.code, "ETIMEDOUT");
          return;
        }
        assert.fail("the machine is too busy to read at a steady rate");
      },
      variant.mode === "blocking" ? "the hosted variant covers it" : undefined,
    ),
    test("after end a peer that acknowledges nothing is given up, whatever it sends, with any timeout handler", async (rig) => {
      let error: (Error & { code?: string }) | undefined;
      let timeouts = 0;
      let connection: Connection | undefined;
      const listener = rig.listen({
        idleTimeoutMs: 40,
        open: (it) => {
          connection = it;
          it.write(new Uint8Array(8_000_000));
          it.end();
        },
        data: () => {},
        timeout: () => void timeouts++,
        close: (_it, why) => {
          error = why;
        },
      });
      const peer = rig.peer(listener);
      peer.reading = false;
      let next = 0;
      await rig.until(
        "given up",
        () => {
          if (error === undefined && performance.now() > next) {
            next = performance.now() + 5;
            peer.send(".");
          }
          return error !== undefined;
        },
        4000,
      );
      assert.equal(connection?.state, "closed");
      assert.equal(error?.code, "ETIMEDOUT");
      assert.equal(timeouts, 0);
    }),
    test("a peer that has acknowledged everything after end may answer late", async (rig) => {
      let ended = 0;
      const listener = rig.listen({ open: (it) => it.end("question"), close: () => void ended++ });
      const peer = rig.peer(listener);
      await rig.until("asked", () => peer.ended);
      await rig.during(30);
      assert.equal(ended, 0);
      peer.shutdown();
      await rig.until("closed", () => ended === 1);
    }),
    test("with a timeout handler each timeout is reported, and the connection stays open", async (rig) => {
      let timeouts = 0;
      const listener = rig.listen({
        idleTimeoutMs: 10,
        timeout: (it) => {
          if (++timeouts === 3) it.setIdleTimeout(0);
        },
      });
      rig.peer(listener);
      await rig.until("timeouts", () => timeouts === 3);
      await rig.during(25);
      assert.equal(timeouts, 3);
      assert.equal(listener.connections, 1);
    }),
  ];
}

/** Opens descriptors until every number below 1024 is used, and one more. */
function fillTo1024(): number[] {
  // A kind that every engine can watch: standard input may be /dev/null.
  const fds: number[] = [kernel.libc.eventfd(0, EFD_CLOEXEC)];
  for (;;) {
    const fd = kernel.libc.fcntl(fds[0] as number, F_DUPFD_CLOEXEC, 0);
    assert.ok(fd >= 0);
    fds.push(fd);
    if (fd >= 1024) return fds;
  }
}

/** @returns Whether the result is valid: false if the thread was delayed for too long. */
async function keptByTraffic(rig: Rig): Promise<boolean> {
  const timeoutMs = 40;
  const closed: [Connection, (Error & { code?: string }) | undefined, at: number][] = [];
  const all: Connection[] = [];
  using listener = rig.listen({
    open: (it) => void all.push(it),
    data: () => {},
    close: (it, error) => void closed.push([it, error, performance.now()]),
  });
  const [talks, listens, idle] = [rig.peer(listener), rig.peer(listener), rig.peer(listener)];
  // Otherwise the kernel keeps what it sends until the server acknowledges the bytes before, which may take 40 ms.
  talks.socket.options.noDelay = true;
  await rig.until("accepted", () => all.length === 3);
  const find = (port: number | undefined) =>
    all.find((it) => it.remoteAddress?.port === port) as Connection;
  const active = find(listens.socket.localAddress().port);
  const quiet = find(idle.socket.localAddress().port);
  const begun = performance.now();
  for (const it of all) it.setIdleTimeout(timeoutMs);
  let last = begun;
  let longest = 0;
  await rig.until("timed out", () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    if (now > last + timeoutMs / 8) {
      last = now;
      talks.send(".");
      active.write(".");
    }
    return closed.length > 0;
  });
  const found = closed.splice(0);
  for (const it of all) it.destroy();
  if (longest > timeoutMs / 2) return false;
  assert.deepEqual(
    found.map(([it, error]) => [it === quiet, error?.code]),
    [[true, "ETIMEDOUT"]],
  );
  assert.ok((found[0]?.[2] as number) - begun >= timeoutMs);
  return true;
}
