/** `server.adopt`: HTTP on connections that exist already. */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { Suite } from "../../../../test/support/suite.ts";
import { type HttpOptions, type HttpServer, serve } from "../../src/http/index.ts";
import { type Connection, type Handlers, Reactor } from "../../src/index.ts";
import { socketpair } from "../../src/socket/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { until } from "../support/waiting.ts";
import { casesOn, type Setting, textOf } from "./stream-case.ts";

const REQUEST = "GET /one HTTP/1.1\r\nHost: it\r\n\r\n";

function serving(setting: Setting, options: Partial<HttpOptions> = {}): HttpServer {
  return serve({
    reactor: setting.reactor,
    host: "127.0.0.1",
    port: 0,
    ...(options.fetch === undefined
      ? { handler: (request, reply) => void reply.send(`${request.path};`) }
      : {}),
    ...options,
  });
}

/** A listener whose connections the server adopts when it has received bytes that begin with "GET". */
function splitting(setting: Setting, server: HttpServer, handlers: Handlers = {}) {
  return setting.listen({
    ...handlers,
    data(connection, bytes) {
      if (bytes[0] === 71) server.adopt(connection, bytes);
      else connection.end("no HTTP");
    },
  });
}

/** Waits until a client has received `count` replies. */
async function replies(client: Socket, count: number): Promise<string> {
  let text = "";
  client.on("data", (bytes) => {
    text += bytes;
  });
  await until(
    `${count} replies`,
    () => text.split("HTTP/1.1 200").length === count + 1 && /;$/.test(text),
  );
  client.removeAllListeners("data");
  return text;
}

export function adoptingSuite(): Suite {
  const test = casesOn("epoll", "level");
  return {
    title: `HTTP on adopted connections, on ${kernel.runtime}`,
    cases: [
      test("one port serves HTTP and another protocol", async (setting) => {
        const server = serving(setting);
        const listener = splitting(setting, server);
        const client = await setting.client(listener);
        client.write(REQUEST + REQUEST);
        await replies(client, 2);
        client.write(REQUEST);
        assert.match(await replies(client, 1), /\r\n\r\n\/one;$/);
        assert.deepEqual(
          [server.connections, server.counts.connections, server.counts.requests],
          [1, 1, 3],
        );
        const other = await setting.client(listener);
        other.end("hello");
        assert.equal(await textOf(other), "no HTTP");
        client.end();
        await until("closed", () => server.connections === 0);
        assert.equal(listener.connections, 0);
        listener.close();
        await server.stop();
      }),
      test("a server without a listener serves the connections that it adopts, and stops", async (setting) => {
        const { reactor } = setting;
        const aborting = new AbortController();
        const server = serve({
          reactor,
          listen: false,
          signal: aborting.signal,
          fetch: ({ url }) => new Response(`${new URL(url).pathname};`),
        });
        assert.deepEqual([server.port, server.address, server.url], [-1, null, null]);
        assert.equal(await (await server.fetch("http://localhost/two")).text(), "/two;");
        const listener = splitting(setting, server);
        const client = await setting.client(listener);
        client.write(REQUEST);
        await replies(client, 1);
        aborting.abort();
        client.end();
        await server.stop(60_000);
        assert.deepEqual([server.connections, listener.connections], [0, 0]);
        assert.throws(() => server.setTls({ cert: "", key: "" }), { code: "ERR_UNSUPPORTED" });
        listener.close();
        server.close();
      }),
      test("a connection that the program has made is served", async (setting) => {
        const server = serving(setting, {
          fetch: (request) => new Response(`${new URL(request.url).pathname};`),
        });
        const { connection, accepted } = await setting.connect();
        server.adopt(await connection.opened);
        const peer = await accepted;
        peer.write(REQUEST);
        assert.match(await replies(peer, 1), /\/one;$/);
        const stopped = server.stop(60_000);
        assert.equal(await textOf(peer), "");
        peer.end();
        await stopped;
        assert.equal(connection.state, "closed");
      }),
      test("a stop waits for adopted connections, and destroys them after the grace period", async (setting) => {
        const server = serving(setting, { handler() {} });
        const listener = splitting(setting, server);
        const client = await setting.client(listener);
        client.write(REQUEST);
        await until("requested", () => server.connections === 1);
        let isStopped = false;
        const stopped = server.stop(60_000).then(() => {
          isStopped = true;
        });
        await until("stopping", () => server.port < 0);
        assert.equal(isStopped, false);
        await server.stop(0);
        await stopped;
        assert.equal(listener.connections, 0);
        await until(
          "reset",
          () => client.destroyed || client.readableEnded || client.errored !== null,
        );
        listener.close();
      }),
      test("an upgraded connection is still waited for", async (setting) => {
        let upgraded: Connection | undefined;
        const server = serving(setting, {
          handler(request) {
            upgraded = request.upgrade({ data: (it, bytes) => void it.write(bytes) });
            upgraded.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
          },
        });
        const listener = splitting(setting, server);
        const client = await setting.client(listener);
        client.write(
          `GET / HTTP/1.1\r\nHost: it\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst`,
        );
        await until("upgraded", () => upgraded !== undefined);
        const stopped = server.stop(60_000);
        client.end(" second");
        assert.match(await textOf(client), /\r\n\r\nfirst second$/);
        await stopped;
        assert.equal(upgraded?.state, "closed");
        listener.close();
      }),
      test("the listener of an adopted connection stops without the server", async (setting) => {
        const server = serving(setting);
        const listener = splitting(setting, server);
        const client = await setting.client(listener);
        client.write(REQUEST);
        await replies(client, 1);
        const stopped = listener.stop(60_000);
        assert.equal(await textOf(client), "");
        client.end();
        await stopped;
        const another = splitting(setting, server);
        const next = await setting.client(another);
        next.write(REQUEST);
        await replies(next, 1);
        await server.stop(0);
        another.close();
      }),
      test("what the server cannot serve is refused", async (setting) => {
        const server = serving(setting, { maxConnections: 1 });
        const listener = splitting(setting, server);
        const [first, second] = [await setting.client(listener), await setting.client(listener)];
        first.write(REQUEST);
        await replies(first, 1);
        second.write(REQUEST);
        assert.match(await textOf(second), /^HTTP\/1.1 503/);
        second.end();
        using other = new Reactor({ engine: "epoll" });
        const [left, right] = socketpair();
        const foreign = other.adopt(left.detach());
        assert.throws(() => server.adopt(foreign), {
          code: "ERR_INVALID_OPTION",
          message: /of another reactor/,
        });
        foreign.destroy();
        assert.throws(() => server.adopt({} as Connection), { code: "ERR_INVALID_OPTION" });
        const { connection } = await setting.connect();
        assert.throws(() => server.adopt(connection), {
          code: "ERR_CLOSED",
          message: /connecting$/,
        });
        await connection.opened;
        assert.throws(() => server.adopt(connection, "GET" as unknown as Uint8Array), {
          code: "ERR_INVALID_DATA",
        });
        assert.equal(connection.state, "open");
        first.destroy();
        await server.stop(0);
        assert.throws(() => server.adopt(connection), {
          code: "ERR_CLOSED",
          message: /stopped or closed$/,
        });
        connection.destroy();
        right.close();
        listener.close();
      }),
    ],
  };
}
