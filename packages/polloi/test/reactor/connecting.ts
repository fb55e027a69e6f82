/** Connects that succeed, fail, time out or are closed. */
import assert from "node:assert/strict";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { Connection, ConnectOptions, Handlers, ListenOptions } from "../../src/index.ts";
import { AF_INET, AF_INET6, SOCK_STREAM } from "../../src/socket/constants.ts";
import { createServer } from "../../src/socket/create.ts";
import { isDualStack } from "../../src/socket/listener.ts";
import { Socket } from "../../src/socket/socket.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import { CLOSED_PORT } from "../support/closed-port.ts";
import { whyNoIPv6 } from "../support/ipv6.ts";
import { assertSame, casesOf, pattern, Rig, type Variant } from "./rig.ts";

/** `sizeof(struct sockaddr_in6)`. */
const SOCKADDR_IN6_SIZE = 28;

type Failure = Error & { code?: string; hint?: string; address?: string; port?: number };

const echo: Handlers = { data: (connection, bytes) => void connection.write(bytes) };

/** The result of a connect. */
async function outcome(rig: Rig, options: ConnectOptions): Promise<Failure | "open"> {
  let result: Failure | "open" | undefined;
  let errors = 0;
  const connection = rig.reactor.connect({
    ...options,
    open: () => {
      result = "open";
    },
    error: () => {
      errors++;
    },
    close: (_it, error) => {
      result ??= error ?? new Error("closed without an error");
    },
  });
  assert.equal(connection.state, "connecting");
  await rig.until("connected or failed", () => result !== undefined);
  if (result !== "open") {
    assert.equal(errors, 1);
    assert.equal(connection.state, "closed");
  }
  connection.destroy();
  return result as Failure | "open";
}

/** A rig in which connects to port 1 never complete, and those to port 2 fail at once. */
class ReluctantRig extends Rig {
  readonly #full: Socket[] = [];

  constructor(variant: Variant) {
    // A listener with a full backlog drops handshakes.
    const server = createServer({ host: "127.0.0.1", port: 0, backlog: 0 });
    const address = server.localAddress();
    super(variant, {
      connect: (fd, at, length) => {
        const { view } = kernel.scratch;
        const port = at - kernel.scratch.address + 2;
        if (view.getUint16(port) === 2) return -ERRNO.ENETUNREACH;
        if (view.getUint16(port) === 1) view.setUint16(port, address.port as number);
        return kernel.libc.connect(fd, at, length);
      },
    });
    this.#full.push(server);
    for (let i = 0; i < 2; i++) {
      const socket = new Socket(AF_INET, SOCK_STREAM);
      socket.setBlocking(false);
      socket.connectEx(address);
      this.#full.push(socket);
    }
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    for (const socket of this.#full) socket.close();
  }
}

export function connectingCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  const blocking =
    variant.mode === "blocking"
      ? "names are resolved by the runtime, which does not run in blocking mode"
      : undefined;
  return [
    test("bytes that are written, and an end, before the connection opens arrive in order", async (rig) => {
      const listeners = [
        rig.listen(echo),
        rig.listen({ ...echo, path: `\0polloi-connect-${process.pid}-${Math.random()}` }),
      ];
      for (const listener of listeners) {
        const { address } = listener;
        const got: Uint8Array[] = [];
        let closed = 0;
        const to =
          address?.path === undefined
            ? { host: "127.0.0.1", port: listener.port }
            : { path: address.path };
        const bytes = pattern(300_000);
        const connection = rig.reactor.connect({
          ...to,
          open: (it) => void it.write("open "),
          data: (_it, part) => void got.push(part),
          close: () => {
            closed++;
          },
        });
        assert.equal(connection.fileno(), -1);
        assert.equal(connection.remoteAddress, null);
        connection.write("before ");
        connection.write(bytes);
        await rig.until("echoed", () => Buffer.concat(got).length === 300_012);
        assertSame(Buffer.concat(got).subarray(7, 300_007), bytes);
        assert.equal(connection.state, "open");
        connection.end();
        await rig.until("closed", () => closed === 1);
      }
    }),
    test("end before the connection opens: written bytes arrive, then the end", async (rig) => {
      const path = `\0polloi-ended-${process.pid}-${Math.random()}`;
      const got: string[] = [];
      let ends = 0;
      const handlers: Handlers = {
        data: (_it, bytes) => void got.push(Buffer.from(bytes).toString()),
        end: (it) => {
          ends++;
          it.close();
        },
      };
      const listener = rig.listen(handlers);
      rig.listen({ ...handlers, path });
      for (const to of [{ host: "127.0.0.1", port: listener.port }, { path }]) {
        const connection = rig.reactor.connect(to);
        connection.end("all of it");
        assert.equal(connection.state, "ending");
      }
      await rig.until("ended", () => ends === 2);
      assert.deepEqual(got, ["all of it", "all of it"]);
    }),
    test("close before the connection opens: written bytes arrive first", async (rig) => {
      const path = `\0polloi-closed-${process.pid}-${Math.random()}`;
      const got: string[] = [];
      let closes = 0;
      const handlers: Handlers = {
        data: (_it, bytes) => void got.push(Buffer.from(bytes).toString()),
      };
      const listener = rig.listen(handlers);
      rig.listen({ ...handlers, path });
      for (const to of [{ host: "127.0.0.1", port: listener.port }, { path }]) {
        const connection = rig.reactor.connect({
          ...to,
          close: (_it, error) => {
            assert.equal(error, undefined);
            closes++;
          },
        });
        connection.write("all of it");
        connection.close();
        assert.equal(connection.state, "closing");
      }
      await rig.until("closed", () => closes === 2);
      await rig.until("received", () => got.length === 2);
      assert.deepEqual(got, ["all of it", "all of it"]);
    }),
    test("a refused connect fails with ECONNREFUSED and the address", async (rig) => {
      const port = CLOSED_PORT;
      const error = await outcome(rig, { host: "127.0.0.1", port });
      assert.ok(error !== "open");
      assert.equal(error.code, "ECONNREFUSED");
      assert.equal(error.message, `connect ECONNREFUSED 127.0.0.1:${port}`);
      assert.equal(error.hint, "nothing listens at that address");
    }),
    test("a connect to a missing socket path fails with ENOENT", async (rig) => {
      const error = await outcome(rig, { path: "/nonexistent/polloi.sock" });
      assert.ok(error !== "open");
      assert.equal(error.code, "ENOENT");
    }),
    test(
      "the error of an unknown host has its name",
      async (rig) => {
        const error = await outcome(rig, { host: "does-not-exist.invalid", port: 80 });
        assert.ok(error !== "open");
        assert.match(error.message, /does-not-exist\.invalid/);
      },
      blocking,
    ),
    test(
      "a name is resolved, and each of its addresses is tried",
      async (rig) => {
        const listener = rig.listen(echo);
        // localhost may be ::1 first, where nothing listens on that port.
        assert.equal(await outcome(rig, { host: "localhost", port: listener.port }), "open");
      },
      blocking,
    ),
    test("a connect that does not complete fails with ETIMEDOUT, and leaves nothing open", async () => {
      const rig = new ReluctantRig(variant);
      try {
        const error = await outcome(rig, { host: "127.0.0.1", port: 1, connectTimeoutMs: 15 });
        assert.ok(error !== "open");
        assert.equal(error.code, "ETIMEDOUT");
        await rig.during(2);
        assert.equal(rig.reactor.alive, false);
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("a connect that fails at once is reported after connect has returned", async () => {
      const rig = new ReluctantRig(variant);
      try {
        const error = await outcome(rig, { host: "127.0.0.1", port: 2 });
        assert.ok(error !== "open");
        assert.equal(error.code, "ENETUNREACH");
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("a connection that is closed while it connects gets close and no other event", async () => {
      const rig = new ReluctantRig(variant);
      try {
        for (const how of ["close", "destroy", "reset"] as const) {
          for (const late of [false, true]) {
            const heard: string[] = [];
            const connection = rig.reactor.connect({
              host: "127.0.0.1",
              port: 1,
              open: () => void heard.push("open"),
              error: () => void heard.push("error"),
              close: () => void heard.push("close"),
            });
            // close() would send it first.
            if (how !== "close") connection.write("never");
            if (late) await rig.during(2);
            connection[how]();
            assert.deepEqual(heard, ["close"]);
            await rig.during(2);
            assert.deepEqual(heard, ["close"]);
          }
        }
        assert.equal(rig.reactor.alive, false);
      } finally {
        rig[Symbol.dispose]();
      }
    }),
    test("a reactor that is closed during a connect calls close, and leaks nothing", async () => {
      for (const host of ["127.0.0.1", "localhost"]) {
        for (const late of [false, true]) {
          const rig = new ReluctantRig(variant);
          let closes = 0;
          const connection = rig.reactor.connect({
            host,
            port: 1,
            close: () => {
              closes++;
            },
          });
          if (late) await rig.during(2);
          rig.reactor.close();
          assert.equal(closes, 1);
          assert.equal(connection.state, "closed");
          rig[Symbol.dispose]();
        }
      }
    }),
    test("a connection that is paused before it opens delivers after resume", async (rig) => {
      const listener = rig.listen({ open: (it) => void it.write("hello") });
      let got = "";
      let opened = false;
      const connection = rig.reactor.connect({
        host: "127.0.0.1",
        port: listener.port,
        open: () => {
          opened = true;
        },
        data: (_it, bytes) => {
          got += Buffer.from(bytes);
        },
      });
      connection.pause();
      await rig.until("open", () => opened);
      await rig.during(3);
      assert.equal(got, "");
      connection.resume();
      await rig.until("received", () => got === "hello");
    }),
    test("a local address is bound first; one of another family makes the connect fail", async (rig) => {
      let from: Connection["remoteAddress"] = null;
      const listener = rig.listen({
        open: (it) => {
          from = it.remoteAddress;
        },
      });
      const to = { host: "127.0.0.1", port: listener.port };
      const localAddress = { address: "127.0.0.2", port: 0 };
      assert.equal(await outcome(rig, { ...to, localAddress }), "open");
      await rig.until("accepted", () => from !== null);
      assert.equal((from as Connection["remoteAddress"])?.address, "127.0.0.2");
      const error = await outcome(rig, { ...to, localAddress: { address: "::1", port: 0 } });
      assert.ok(error !== "open");
      assert.equal(error.code, "EAFNOSUPPORT");
    }),
    test(
      "without a host, a listener accepts IPv6 and IPv4, whose addresses are not mapped",
      async (rig) => {
        const { port } = rig.reactor.listen({
          port: 0,
          open: ({ remoteAddress, localAddress }) => {
            seen.push(remoteAddress?.address, localAddress?.address);
          },
        });
        const seen: (string | undefined)[] = [];
        for (const host of ["127.0.0.1", "::1"]) {
          const at = seen.length;
          assert.equal(await outcome(rig, { host, port }), "open");
          await rig.until("accepted", () => seen.length > at);
          assert.deepEqual(seen.slice(at), [host, host]);
        }
        // The same, written out.
        const everywhere: Partial<ListenOptions>[] = [{ host: "" }, { hostname: "" }];
        for (const options of everywhere) {
          const other = rig.reactor.listen({ ...options, port: 0 });
          assert.equal(await outcome(rig, { host: "::1", port: other.port }), "open");
          assert.equal(await outcome(rig, { host: "127.0.0.1", port: other.port }), "open");
        }
      },
      whyNoIPv6(),
    ),
    test(
      "a family, dualStack: false or a host exclude the other family",
      async (rig) => {
        const six: Partial<ListenOptions>[] = [{ family: AF_INET6 }, { hostname: "::1" }];
        for (const options of six) {
          const listener = rig.reactor.listen({ ...options, port: 0 });
          assert.equal(await outcome(rig, { host: "::1", port: listener.port }), "open");
          assert.equal(isDualStack(kernel, listener.fileno()), false);
        }
        const four: Partial<ListenOptions>[] = [
          { family: AF_INET },
          { dualStack: false },
          { hostname: "127.0.0.1" },
        ];
        for (const options of four) {
          const listener = rig.reactor.listen({ ...options, port: 0 });
          assert.equal(await outcome(rig, { host: "127.0.0.1", port: listener.port }), "open");
          assert.equal(listener.address?.family, AF_INET);
        }
        const both = { host: "::1", hostname: "::1", port: 0 };
        assert.throws(() => rig.reactor.listen(both), { message: /a host and a hostname/ });
      },
      whyNoIPv6(),
    ),
    {
      name: "on a machine without IPv6, a listener without a host accepts IPv4",
      async run() {
        const { libc } = kernel;
        const missing: Partial<Libc>[] = [
          {
            socket: (family, type, protocol) =>
              family === AF_INET6 ? -ERRNO.EAFNOSUPPORT : libc.socket(family, type, protocol),
          },
          {
            bind: (fd, address, length) =>
              length === SOCKADDR_IN6_SIZE ? -ERRNO.EADDRNOTAVAIL : libc.bind(fd, address, length),
          },
        ];
        for (const calls of missing) {
          using rig = new Rig(variant, calls);
          const { port, address } = rig.reactor.listen({ port: 0 });
          assert.equal(address?.address, "0.0.0.0");
          assert.equal(await outcome(rig, { host: "127.0.0.1", port }), "open");
          // What is asked for explicitly fails.
          const explicit = { port: 0, dualStack: true };
          assert.throws(() => rig.reactor.listen(explicit), { code: /EAFNOSUPPORT|EADDRNOTAVAIL/ });
        }
      },
    },
    test("IPv6 listeners accept IPv6, and dual-stack listeners also IPv4", async (rig) => {
      const six = rig.listen({ ...echo, host: "::1" });
      assert.equal(await outcome(rig, { host: "::1", port: six.port }), "open");
      const both = rig.reactor.listen({ ...echo, dualStack: true, port: 0 });
      assert.equal(await outcome(rig, { host: "::1", port: both.port }), "open");
      assert.equal(await outcome(rig, { host: "127.0.0.1", port: both.port }), "open");
    }),
    test("each of hundreds of clients receives its own bytes", async (rig) => {
      const clients = variant.engine === "select" ? 150 : 400;
      const listener = rig.listen({ ...echo, backlog: 1000 });
      let done = 0;
      for (let i = 0; i < clients; i++) {
        const wanted = `client ${i} of many`;
        let got = "";
        const connection = rig.reactor.connect({
          host: "127.0.0.1",
          port: listener.port,
          data: (it, bytes) => {
            got += Buffer.from(bytes);
            if (got.length < wanted.length) return;
            assert.equal(got, wanted);
            it.end();
          },
          close: (_it, error) => {
            assert.equal(error, undefined);
            done++;
          },
        });
        connection.write(wanted);
      }
      await rig.until("all done", () => done === clients);
      await rig.until("all closed", () => listener.connections === 0);
    }),
  ];
}
