/** Web streams, async iteration, `opened`, `signal`, and references. */
import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import type { EngineName, Trigger } from "../../src/engine/engine.ts";
import { serve } from "../../src/http/index.ts";
import { type Connection, type Handlers, Reactor } from "../../src/index.ts";
import { EVENT_READ, Waker } from "../../src/selectors/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertSame, pattern } from "../reactor/rig.ts";
import { CLOSED_PORT } from "../support/closed-port.ts";
import { rejection, until } from "../support/waiting.ts";
import { allOf, casesOn, type Setting, textOf } from "./stream-case.ts";

const MIB = 1 << 20;

/** A connection that a listener has accepted, and the client. */
async function accepted(setting: Setting, handlers: Handlers = {}) {
  let connection: Connection | undefined;
  const listener = setting.listen({
    ...handlers,
    open: (it) => {
      connection = it;
      handlers.open?.(it);
    },
  });
  const client = await setting.client(listener);
  await until("accepted", () => connection !== undefined);
  return { listener, client, connection: connection as Connection };
}

/** A signal that does not abort, and the number of its listeners. */
function countedSignal(): { readonly signal: AbortSignal; readonly listeners: () => number } {
  const listeners = new Set<unknown>();
  const signal = Object.create(new AbortController().signal, {
    aborted: { value: false },
    throwIfAborted: { value: () => {} },
    addEventListener: { value: (_: string, listener: unknown) => void listeners.add(listener) },
    removeEventListener: { value: (_: string, listener: unknown) => listeners.delete(listener) },
  }) as AbortSignal;
  return { signal, listeners: () => listeners.size };
}

/** What an iteration receives until the end. */
async function received(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

export function webStreamsSuite(engine: EngineName, trigger?: Trigger): Suite {
  const test = casesOn(engine, trigger);
  return {
    title: `Web streams: ${engine}${trigger === undefined ? "" : `, ${trigger}-triggered`}, on ${kernel.runtime}`,
    cases: [
      test("an iteration receives every byte, and a slow one pauses the connection", async (setting) => {
        const sent = pattern(4 * MIB);
        let result: Promise<Uint8Array> | undefined;
        let wasPaused = false;
        const slowly = async (connection: Connection): Promise<Uint8Array> => {
          const parts: Uint8Array[] = [];
          for await (const part of connection) {
            parts.push(part);
            if (parts.length < 4) await until("paused", () => connection.paused);
            wasPaused ||= connection.paused;
          }
          return Buffer.concat(parts);
        };
        const { client, connection } = await accepted(setting, {
          open: (it) => {
            result = slowly(it);
          },
        });
        client.end(sent);
        assertSame(await (result as Promise<Uint8Array>), sent);
        assert.equal(wasPaused, true);
        assert.equal(connection.state, "open", "the local half stays open");
        connection.end("reply");
        assert.equal(await textOf(client), "reply");
      }),
      test("a loop that is left continues in the next one", async (setting) => {
        const { client, connection } = await accepted(setting, {
          open: (it) => void it[Symbol.asyncIterator](),
        });
        client.write("first");
        for await (const bytes of connection) {
          assert.equal(String(Buffer.from(bytes)), "first");
          break;
        }
        client.end("second");
        assert.equal(Buffer.from(await received(connection)).toString(), "second");
        assert.deepEqual(await received(connection), Buffer.alloc(0), "after the end");
        connection.close();
      }),
      test("an error of the connection is thrown after what was received", async (setting) => {
        let closedWith: Error | undefined;
        const { client, connection } = await accepted(setting, {
          open: (it) => void it[Symbol.asyncIterator](),
          close: (_, error) => {
            closedWith = error;
          },
        });
        client.write("before");
        const iterator = connection[Symbol.asyncIterator]();
        assert.equal(Buffer.from((await iterator.next()).value).toString(), "before");
        const failed = rejection(iterator.next());
        client.resetAndDestroy();
        assert.equal((await failed).code, "ECONNRESET");
        assert.equal(closedWith, await failed, "the handlers of the program are called as well");
        assert.equal((await rejection(iterator.next())).code, "ECONNRESET");
      }),
      test("a connection that is destroyed ends the iteration", async (setting) => {
        const { connection } = await accepted(setting);
        const all = received(connection);
        connection.destroy();
        assert.equal((await all).length, 0);
        assert.equal((await received(connection)).length, 0);
      }),
      test("readable and writable move every byte through a TransformStream", async (setting) => {
        const sent = pattern(2 * MIB);
        let piped: Promise<void> | undefined;
        const { client } = await accepted(setting, {
          open: (it) => {
            const inverted = new TransformStream<Uint8Array, Uint8Array>({
              transform: (bytes, controller) => controller.enqueue(bytes.map((byte) => byte ^ 255)),
            });
            piped = it.readable.pipeThrough(inverted).pipeTo(it.writable);
          },
        });
        client.end(sent);
        assertSame(
          await allOf(client),
          sent.map((byte) => byte ^ 255),
        );
        await piped;
      }),
      test("readable has readers with buffers of the program, and can be cancelled", async (setting) => {
        const first = await accepted(setting, { open: (it) => void it.readable });
        const reader = first.connection.readable.getReader({ mode: "byob" });
        first.client.write("abcdef");
        const { value } = await reader.read(new Uint8Array(4));
        assert.equal(Buffer.from(value ?? []).toString(), "abcd");
        first.client.end();
        assert.equal(
          Buffer.from((await reader.read(new Uint8Array(4))).value ?? []).toString(),
          "ef",
        );
        assert.equal((await reader.read(new Uint8Array(4))).done, true);
        assert.equal(first.connection.readable, first.connection.readable);
        first.connection.close();
        const second = await accepted(setting, { open: (it) => void it.readable });
        await second.connection.readable.cancel();
        second.client.end(pattern(MIB));
        second.connection.end("all the same");
        assert.equal(await textOf(second.client), "all the same");
        await until("closed", () => second.connection.state === "closed");
      }),
      test("a message in shared memory is not transferred by a reader", async (setting) => {
        const others: Uint8Array[] = [];
        const other = await accepted(setting, { data: (_, bytes) => void others.push(bytes) });
        const { client, connection } = await accepted(setting, { open: (it) => void it.readable });
        other.client.write(pattern(1000));
        await until("received", () => others.length > 0);
        client.write(pattern(1000, 2));
        const reader = connection.readable.getReader();
        const { value } = await reader.read();
        assert.equal(value?.length, 1000);
        assertSame(others[0] as Uint8Array, pattern(1000));
      }),
      test("writable has back-pressure, and close waits until everything is sent", async (setting) => {
        const { client, connection } = await accepted(setting);
        client.pause();
        const sent = pattern(16 * MIB);
        const writer = connection.writable.getWriter();
        let written = 0;
        const writing = (async () => {
          for (let at = 0; at < sent.length; at += MIB) {
            await writer.write(sent.subarray(at, at + MIB));
            written++;
          }
          await writer.write("!");
          await writer.close();
          assert.equal(connection.pendingBytes, 0);
        })();
        await until("full", () => connection.pendingBytes > 0);
        assert.ok(written < 16);
        const all = await allOf(client);
        await writing;
        assertSame(all.subarray(0, -1), sent);
      }),
      test("a writer whose connection fails, closes or is aborted is rejected", async (setting) => {
        const reset = await accepted(setting);
        const writer = reset.connection.writable.getWriter();
        const closed = rejection(writer.closed);
        reset.client.resetAndDestroy();
        assert.equal((await closed).code, "ECONNRESET");
        const destroyed = await accepted(setting);
        const other = destroyed.connection.writable.getWriter();
        const ended = rejection(other.closed);
        destroyed.connection.destroy();
        assert.equal((await ended).code, "EPIPE");
        let error: Error | undefined;
        const aborted = await accepted(setting, {
          close: (_, it) => {
            error = it;
          },
        });
        const reason = new Error("no more");
        await aborted.connection.writable.abort(reason);
        assert.equal(error, reason);
      }),
      test("opened resolves with the connection, and nothing that follows is lost", async (setting) => {
        const listener = setting.listen({ open: (it) => it.end("a greeting") });
        const connection = await setting.reactor.connect({ host: "127.0.0.1", port: listener.port })
          .opened;
        assert.equal(connection.state, "open");
        assert.equal(await connection.opened, connection);
        assert.equal(Buffer.from(await received(connection)).toString(), "a greeting");
        connection.end();
        // A program that does not read is not held up.
        const silent = await setting.reactor.connect({ host: "127.0.0.1", port: listener.port })
          .opened;
        silent.end();
        await until("closed", () => silent.state === "closed");
        listener.close();
        const { connection: closed } = await accepted(setting);
        closed.destroy();
        assert.equal((await rejection(closed.opened)).code, "ERR_CLOSED");
      }),
      test("opened is rejected with the error of the connect, which does not fail the process", async (setting) => {
        const connection = setting.reactor.connect({ host: "127.0.0.1", port: CLOSED_PORT });
        assert.equal((await rejection(connection.opened)).code, "ECONNREFUSED");
        const destroyed = setting.reactor.connect({ host: "127.0.0.1", port: CLOSED_PORT });
        const failed = rejection(destroyed.opened);
        destroyed.destroy();
        assert.equal((await failed).code, "ECANCELED");
        assert.equal(
          (await rejection(setting.reactor.connect({ port: CLOSED_PORT }).opened)).code,
          "ECONNREFUSED",
        );
      }),
      test("handlers that replace others end the streams of these", async (setting) => {
        const { client, connection } = await accepted(setting);
        const reading = rejection(received(connection));
        let text = "";
        connection.handOver({
          data: (_, bytes) => {
            text += Buffer.from(bytes).toString();
          },
        });
        assert.equal((await reading).code, "ERR_CLOSED");
        client.write("for the next");
        await until("received", () => text === "for the next");
        connection.handOver({});
        const again = received(connection);
        client.end("and again");
        assert.equal(Buffer.from(await again).toString(), "and again");
        connection.close();
      }),
      test("a signal destroys a connection while it connects, and later", async (setting) => {
        const aborting = new AbortController();
        const { connection, accepted } = await setting.connect({ signal: aborting.signal });
        await connection.opened;
        const peer = await accepted;
        const reading = rejection(received(connection));
        const reason = new Error("enough");
        aborting.abort(reason);
        assert.equal(await reading, reason);
        assert.equal(await textOf(peer), "");
        const errors: unknown[] = [];
        const error = (_: Connection, it: Error): void => void errors.push(it);
        const aborted = (await setting.connect({ signal: AbortSignal.abort("a word"), error }))
          .connection;
        assert.equal(aborted.state, "connecting", "every event follows the return of connect");
        await until("closed", () => aborted.state === "closed");
        const [{ name, cause }] = errors as [Error];
        assert.deepEqual([name, cause], ["AbortError", "a word"]);
        const timed = (await setting.connect({ signal: AbortSignal.timeout(1), error })).connection;
        await until("timed out", () => timed.state === "closed");
        assert.equal((errors[1] as Error).name, "TimeoutError");
      }),
      test("a signal survives that the connection is handed over, and a closed one is forgotten", async (setting) => {
        const { signal, listeners } = countedSignal();
        const { connection } = await setting.connect({ signal });
        await connection.opened;
        connection.handOver({}).handOver({});
        assert.equal(listeners(), 1);
        connection.destroy();
        assert.equal(listeners(), 0);
      }),
      test("a signal is forgotten with the last connection of a listener or server that has ended", async (setting) => {
        const { reactor } = setting;
        const { signal, listeners } = countedSignal();
        const listener = setting.listen({ signal });
        const client = await setting.client(listener);
        await until("accepted", () => listener.connections === 1);
        listener.close();
        assert.equal(listeners(), 1, "an abort ends the connection");
        client.destroy();
        await until("closed", () => listener.connections === 0);
        assert.equal(listeners(), 0);
        await setting.listen({ signal }).stop();
        assert.equal(listeners(), 0);
        const local = { reactor, host: "127.0.0.1", port: 0, signal, handler() {} };
        const stopped = serve(local);
        const closed = serve(local);
        const adopting = serve({ reactor, listen: false, signal, handler() {} });
        assert.equal(listeners(), 3);
        closed.close();
        assert.equal(listeners(), 2);
        await Promise.all([stopped.stop(), adopting.stop()]);
        assert.equal(listeners(), 0);
        const other = new Reactor({ engine: reactor.engine });
        other.listen({ host: "127.0.0.1", port: 0, signal });
        serve({ ...local, reactor: other });
        other.close();
        assert.equal(listeners(), 0);
      }),
      test("a signal stops a listener and a server", async (setting) => {
        const aborting = new AbortController();
        const { signal } = aborting;
        const { listener, client } = await accepted(setting, {});
        const other = setting.listen({ signal });
        const { reactor } = setting;
        const server = serve({ reactor, host: "127.0.0.1", port: 0, signal, handler() {} });
        aborting.abort(new Error("enough"));
        assert.deepEqual([other.port, server.port], [-1, -1]);
        await Promise.all([other.stop(), server.stop()]);
        assert.throws(() => setting.listen({ signal }), { message: "enough" });
        assert.throws(() => serve({ reactor, port: 0, signal, handler() {} }), {
          message: "enough",
        });
        client.destroy();
        listener.close();
      }),
      test("watches and timers that are not referenced do not keep the reactor alive, and work", async (setting) => {
        const { reactor } = setting;
        using waker = new Waker();
        let fired = 0;
        const watch = reactor.watch(waker, EVENT_READ, () => {
          waker.drain();
          fired++;
        });
        const timer = reactor.setTimer(1, () => void fired++);
        assert.equal(reactor.alive, true);
        watch.unref();
        watch.unref();
        timer.unref();
        timer.unref();
        assert.equal(reactor.alive, false);
        timer.ref();
        assert.equal(reactor.alive, true);
        timer.unref();
        waker.wake();
        await until("both", () => fired === 2);
        timer.refresh();
        assert.deepEqual([reactor.alive, timer.active], [false, true]);
        watch.ref();
        assert.equal(reactor.alive, true);
        watch.close();
        watch.unref();
        timer.cancel();
      }),
      test("a connection that is not referenced and fails is released", async (setting) => {
        const connection = setting.reactor.connect({
          host: "127.0.0.1",
          port: CLOSED_PORT,
          close() {},
        });
        connection.unref();
        assert.equal(setting.reactor.alive, true, "until it is established or has failed");
        await until("failed", () => connection.state === "closed");
        const { client, connection: open } = await accepted(setting);
        open.unref();
        client.resetAndDestroy();
        await until("closed", () => open.state === "closed");
      }),
    ],
  };
}
