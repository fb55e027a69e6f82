/** `toDuplex`: a connection as a `Duplex` with the members of `net.Socket`. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection } from "node:net";
import { finished, pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type { Suite } from "../../../../test/support/suite.ts";
import type { EngineName, Trigger } from "../../src/engine/engine.ts";
import { serve } from "../../src/http/index.ts";
import { type Connection, type ConnectionDuplex, toDuplex } from "../../src/index.ts";
import {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SOL_SOCKET,
  TCP_KEEPIDLE,
  TCP_NODELAY,
} from "../../src/socket/constants.ts";
import { createServer, socketpair } from "../../src/socket/index.ts";
import { readIntOption } from "../../src/socket/raw.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertSame, pattern } from "../reactor/rig.ts";
import { until } from "../support/waiting.ts";
import { allOf, casesOn, type Setting, textOf } from "./stream-case.ts";

const MIB = 1 << 20;

/** A listener whose first connection becomes a duplex, a client of node:net, and the duplex. */
async function serverSide(setting: Setting, options = {}) {
  let made: (socket: ConnectionDuplex) => void;
  const duplex = new Promise<ConnectionDuplex>((resolve) => {
    made = resolve;
  });
  let connection: Connection | undefined;
  const listener = setting.listen({
    open: (it) => {
      connection = it;
      made(toDuplex(it, options));
    },
  });
  const client = await setting.client(listener);
  const socket = await duplex;
  return { listener, client, socket, connection: connection as Connection };
}

export function duplexSuite(engine: EngineName, trigger?: Trigger): Suite {
  const test = casesOn(engine, trigger);
  return {
    title: `toDuplex: ${engine}${trigger === undefined ? "" : `, ${trigger}-triggered`}, on ${kernel.runtime}`,
    cases: [
      test("pipeline() moves every byte through zlib in both directions", async (setting) => {
        const { client, socket } = await serverSide(setting, { allowHalfOpen: true });
        const sent = pattern(2 * MIB);
        const served = pipeline(socket, createGzip(), socket);
        client.end(sent);
        assertSame(await allOf(client.pipe(createGunzip())), sent);
        await served;
      }),
      test("a stream that nobody reads pauses the connection", async (setting) => {
        const { client, socket, connection } = await serverSide(setting);
        const sent = pattern(16 * MIB);
        client.end(sent);
        await until("paused", () => connection.paused);
        assert.ok(socket.readableLength < MIB, `${socket.readableLength} bytes are buffered`);
        assert.equal(socket.bytesRead, socket.readableLength);
        const received = allOf(socket);
        assertSame(await received, sent);
        assert.equal(socket.bytesRead, sent.length);
      }),
      test("a peer that does not read holds up the callbacks of writes", async (setting) => {
        const { client, socket, connection } = await serverSide(setting);
        client.pause();
        const sent = pattern(24 * MIB);
        let accepted = 0;
        let drains = 0;
        for (let at = 0; at < sent.length; at += MIB) {
          socket.write(sent.subarray(at, at + MIB), () => void accepted++);
        }
        socket.on("drain", () => void drains++);
        assert.equal(socket.writableNeedDrain, true);
        await until("full", () => connection.pendingBytes > 0 && accepted > 0);
        assert.ok(accepted < 24);
        assert.ok(connection.pendingBytes <= MIB + 65_536, `${connection.pendingBytes} are queued`);
        assert.equal(socket.bytesWritten, sent.length);
        socket.end();
        assertSame(await allOf(client), sent);
        assert.deepEqual([accepted, drains], [24, 0], "drain is not emitted after the end");
      }),
      test("a connection that connects emits connect and ready, and sends what was written before", async (setting) => {
        const { connection, accepted } = await setting.connect();
        const socket = toDuplex(connection);
        assert.deepEqual(
          [socket.connecting, socket.pending, socket.readyState],
          [true, true, "opening"],
        );
        assert.deepEqual([socket.remoteAddress, socket.address()], [undefined, {}]);
        socket.setNoDelay(false).setKeepAlive(true, 7000);
        socket.write("before ");
        const events: string[] = [];
        for (const name of ["connect", "ready", "close"]) socket.on(name, () => events.push(name));
        await once(socket, "ready");
        assert.deepEqual(
          [socket.connecting, socket.pending, socket.readyState],
          [false, false, "open"],
        );
        const fd = connection.fileno();
        const option = (level: number, name: number) => readIntOption(kernel, fd, level, name);
        assert.equal(option(IPPROTO_TCP, TCP_NODELAY), 0);
        assert.equal(option(SOL_SOCKET, SO_KEEPALIVE), 1);
        assert.equal(option(IPPROTO_TCP, TCP_KEEPIDLE), 7);
        socket.setNoDelay().setKeepAlive(false);
        assert.notEqual(option(IPPROTO_TCP, TCP_NODELAY), 0);
        assert.equal(option(SOL_SOCKET, SO_KEEPALIVE), 0);
        socket.end("and after");
        const peer = await accepted;
        assert.equal(await textOf(peer), "before and after");
        peer.end("reply");
        assert.equal(await textOf(socket), "reply");
        await until("closed", () => events.includes("close"));
        assert.deepEqual(events, ["connect", "ready", "close"]);
      }),
      test("a stream that was ended while it connects sends everything and ends", async (setting) => {
        const { connection, accepted } = await setting.connect();
        const socket = toDuplex(connection);
        socket.end("all of it");
        const peer = await accepted;
        assert.equal(await textOf(peer), "all of it");
        peer.end();
        await finished(socket.resume());
      }),
      test("a connect that fails is an error of the stream", async (setting) => {
        const closed = createServer({ host: "127.0.0.1", port: 0 });
        const { port } = closed.localAddress() as { port: number };
        closed.close();
        const socket = toDuplex(setting.reactor.connect({ host: "127.0.0.1", port }));
        const [error] = await Promise.all([
          new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve)),
          new Promise<void>((resolve, reject) => {
            socket.once("close", (hadError: boolean) => {
              hadError ? resolve() : reject(new Error("closed without an error"));
            });
          }),
        ]);
        assert.deepEqual([error.code, error.syscall], ["ECONNREFUSED", "connect"]);
        assert.deepEqual(
          [socket.destroyed, socket.connecting, socket.readyState],
          [true, false, "closed"],
        );
      }),
      test("addresses are those of both ends", async (setting) => {
        const { listener, client, socket } = await serverSide(setting);
        assert.deepEqual(
          [socket.remoteAddress, socket.remotePort, socket.remoteFamily],
          ["127.0.0.1", client.localPort, "IPv4"],
        );
        assert.deepEqual(
          [socket.localAddress, socket.localPort, socket.localFamily],
          ["127.0.0.1", listener.port, "IPv4"],
        );
        assert.deepEqual(socket.address(), {
          address: "127.0.0.1",
          family: "IPv4",
          port: listener.port,
        });
        socket.destroy();
        await once(socket, "close");
        assert.equal(socket.remotePort, client.localPort, "what was read once is kept");
      }),
      test("a unix socket has no address, and its options have no effect", async (setting) => {
        const [mine, theirs] = socketpair();
        const socket = toDuplex(setting.reactor.adopt(mine.detach()));
        assert.deepEqual(
          [socket.remoteAddress, socket.localPort, socket.address()],
          [undefined, undefined, {}],
        );
        socket.setNoDelay(true).setKeepAlive(true, 1000);
        theirs.sendAll("hello");
        theirs.close();
        assert.equal(await textOf(socket), "hello");
        await until("closed", () => socket.closed);
      }),
      test("the local half ends with the peer's, unless half-open is allowed", async (setting) => {
        const { client, socket } = await serverSide(setting);
        client.end("ping");
        assert.deepEqual(await Promise.all([textOf(socket), textOf(client)]), ["ping", ""]);
        const half = await serverSide(setting, { allowHalfOpen: true });
        half.client.end("ping");
        assert.equal(await textOf(half.socket), "ping");
        assert.deepEqual([half.socket.writable, half.socket.readyState], [true, "writeOnly"]);
        half.socket.end("pong");
        assert.equal(await textOf(half.client), "pong");
      }),
      test("the end of the peer is noticed although nobody reads", async (setting) => {
        const { client, socket } = await serverSide(setting);
        client.end();
        await once(socket, "close");
        assert.equal(socket.destroyed, true);
      }),
      test("what was received can be read after both halves have ended", async (setting) => {
        const { client, socket, connection } = await serverSide(setting);
        socket.end("bye");
        assert.equal(await textOf(client), "bye");
        client.end("last words");
        await until("closed", () => connection.state === "closed");
        assert.equal(await textOf(socket), "last words");
      }),
      test("a reset by the peer destroys the stream with its error", async (setting) => {
        const { client, socket } = await serverSide(setting);
        let hadError: unknown;
        socket.once("close", (it: unknown) => {
          hadError = it;
        });
        const failed = new Promise<NodeJS.ErrnoException>((resolve) =>
          socket.once("error", resolve),
        );
        client.resetAndDestroy();
        assert.equal((await failed).code, "ECONNRESET");
        await until("closed", () => hadError !== undefined);
        assert.equal(hadError, true);
      }),
      test("finish is emitted when everything is sent, and destroy then loses nothing", async (setting) => {
        const { client, socket, connection } = await serverSide(setting);
        client.pause();
        const sent = pattern(12 * MIB);
        let isFinished = false;
        socket.once("finish", () => {
          isFinished = true;
          assert.equal(connection.pendingBytes, 0);
          socket.destroy();
        });
        socket.end(sent);
        await until("full", () => connection.pendingBytes > 0);
        assert.equal(isFinished, false);
        assertSame(await allOf(client), sent);
        await until("closed", () => socket.closed);
      }),
      test("destroy sends what was just written, and closes", async (setting) => {
        const { client, socket } = await serverSide(setting);
        socket.write("last");
        socket.destroy();
        const [hadError] = await once(socket, "close");
        assert.equal(hadError, false);
        assert.equal(await textOf(client), "last");
      }),
      test("destroy drops what waits for the peer", async (setting) => {
        const { client, socket, connection } = await serverSide(setting);
        client.pause();
        const error = new Error("given up");
        const dropped = new Promise<unknown>((resolve) => {
          for (let i = 0; i < 32; i++) socket.write(pattern(MIB), i === 31 ? resolve : () => {});
        });
        await until("full", () => connection.pendingBytes > 0);
        const failed = new Promise((resolve) => socket.once("error", resolve));
        socket.destroy(error);
        assert.equal(await failed, error);
        assert.ok((await dropped) instanceof Error, "its callback has an error");
        assert.equal(connection.state, "closed");
        // libuv may report the reset as the end.
        client.resume();
        await until("the peer has noticed", () => client.readableEnded || client.destroyed);
        assert.ok(client.bytesRead < 32 * MIB);
      }),
      test("destroySoon ends first, and resetAndDestroy resets", async (setting) => {
        const soon = await serverSide(setting);
        soon.socket.write("all ");
        soon.socket.write("of it");
        soon.socket.destroySoon();
        assert.equal(await textOf(soon.client), "all of it");
        await until("destroyed", () => soon.socket.destroyed);
        const reset = await serverSide(setting);
        const failed = new Promise<NodeJS.ErrnoException>((resolve) => {
          reset.client.once("error", resolve);
        });
        reset.client.resume();
        reset.socket.resetAndDestroy();
        assert.equal((await failed).code, "ECONNRESET");
      }),
      test("a write after the connection was ended fails with EPIPE", async (setting) => {
        const { socket, connection } = await serverSide(setting);
        connection.end();
        const failed = new Promise((resolve) => socket.once("error", resolve));
        const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
          socket.write("lost", resolve);
        });
        assert.equal(error?.code, "EPIPE");
        assert.equal(await failed, error);
      }),
      test("timeout is emitted when nothing moves, and the stream stays open", async (setting) => {
        const { client, socket } = await serverSide(setting);
        let fired = 0;
        assert.equal(
          socket.setTimeout(5, () => void fired++),
          socket,
        );
        assert.equal(socket.timeout, 5);
        await once(socket, "timeout");
        await until("the callback", () => fired === 1);
        assert.equal(socket.destroyed, false);
        client.write("again");
        await once(socket, "timeout");
        assert.equal(fired, 1, "the callback is for the next timeout only");
        const removed = (): void => void fired++;
        socket.setTimeout(60_000, removed).setTimeout(0, removed);
        assert.deepEqual([socket.timeout, socket.listenerCount("timeout")], [undefined, 0]);
        assert.throws(() => socket.setTimeout(-1), { code: "ERR_INVALID_TIMEOUT" });
      }),
      test("a connection without a reference does not keep the reactor alive", async (setting) => {
        const { listener, client, socket } = await serverSide(setting);
        listener.close();
        await until("released", () => setting.reactor.alive);
        assert.equal(socket.unref().unref(), socket);
        await until("not alive", () => !setting.reactor.alive);
        socket.ref();
        assert.equal(setting.reactor.alive, true);
        socket.unref();
        client.write("still served");
        assert.equal(String((await once(socket, "data"))[0]), "still served");
      }),
      test("an upgraded connection passes on what was behind the request", async (setting) => {
        const { reactor } = setting;
        let socket: ConnectionDuplex | undefined;
        const server = serve({
          reactor,
          host: "127.0.0.1",
          port: 0,
          handler(request) {
            socket = toDuplex(request.upgrade({}));
            socket.write(
              "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
            );
            socket.pipe(socket);
          },
        });
        const client = setting.own(createConnection(server.port, "127.0.0.1"));
        const head = "GET / HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        client.write(`${head}first `);
        await until("upgraded", () => socket !== undefined);
        client.end("second");
        assert.match(await textOf(client), /\r\n\r\nfirst second$/);
        await server.stop(0);
      }),
      test("a listener that stops emits stopping, or ends the stream", async (setting) => {
        const first = await serverSide(setting);
        first.socket.on("stopping", () => first.socket.end("goodbye"));
        const stopped = first.listener.stop(20_000);
        assert.equal(await textOf(first.client), "goodbye");
        first.client.end();
        await stopped;
        const second = await serverSide(setting);
        const also = second.listener.stop(20_000);
        assert.equal(await textOf(second.client), "");
        second.client.end();
        await also;
      }),
      test("what is no open connection is refused", async (setting) => {
        const { connection } = await setting.connect();
        connection.destroy();
        assert.throws(() => toDuplex(connection), {
          code: "ERR_CLOSED",
          message: /that is closed$/,
        });
        assert.throws(() => toDuplex({} as Connection), { code: "ERR_INVALID_OPTION" });
        const open = await serverSide(setting);
        for (const options of [{ highWaterMark: -1 }, { allowHalfOpen: 1 }, { halfOpen: true }]) {
          assert.throws(() => toDuplex(open.connection, options as object), {
            code: "ERR_INVALID_OPTION",
          });
        }
      }),
    ],
  };
}
