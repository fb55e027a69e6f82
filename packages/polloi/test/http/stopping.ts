/** The graceful stop of an HTTP server: every request that has arrived is answered, and idle connections do not delay it. */
import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { type HttpOptions, type HttpServer, serve } from "../../src/http/index.ts";
import { Socket } from "../../src/socket/socket.ts";
import { Peer } from "../reactor/rig.ts";
import { ENGINES } from "../support/engines.ts";
import { GET, served } from "./client.ts";
import { onEngine } from "./disconnects.ts";
import { until } from "./fetch-case.ts";

/** A client that connects and sends before the server's next turn. */
function peerOf(server: HttpServer, sent = ""): Peer {
  const socket = new Socket(2, 1);
  socket.connect({ address: "127.0.0.1", port: server.port });
  return new Peer(socket).send(sent);
}

async function ended(peers: readonly Peer[]): Promise<void> {
  await until(() => {
    for (const peer of peers) peer.pump();
    return peers.every((peer) => peer.ended || peer.error !== undefined);
  });
}

function statusesOf({ text }: Peer): string[] {
  return [...text.matchAll(/HTTP\/1.1 (\d+)/g)].map(([, status]) => status as string);
}

const POST = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED =
  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";

/** The bytes that have arrived when the server is stopped, and the number of answers to them. */
const SENT: readonly (readonly [bytes: string, answers: number])[] = [
  [GET, 1],
  [POST, 1],
  [CHUNKED, 1],
  [GET + GET + GET, 3],
  [GET + POST + GET, 3],
  [POST + CHUNKED, 2],
  [GET.repeat(1000), 1000],
];

/** Ways to answer. */
const WAYS: readonly (readonly [name: string, options: HttpOptions])[] = [
  ["handler", { handler: (_, reply) => reply.send("hello") }],
  [
    "a slow handler",
    {
      async handler(_, reply) {
        await null;
        reply.send("hello");
      },
    },
  ],
  [
    "a handler that reads the body",
    {
      async handler(request, reply) {
        await request.bytes();
        reply.send("hello");
      },
    },
  ],
  ["fetch", { fetch: () => new Response("hello") }],
];

const answered: readonly Case[] = ENGINES.flatMap((engine) =>
  WAYS.map(([name, options]) =>
    onEngine(
      engine,
      `requests that have arrived when a server stops are answered, and the last answer ends the connection: ${name}`,
      options,
      async (server) => {
        // Used connections, new ones, and those in the backlog.
        const used = SENT.map(() => peerOf(server, GET));
        const fresh = SENT.map(() => peerOf(server));
        await until(() => {
          for (const peer of used) peer.pump();
          return used.every(({ text }) => text.endsWith("hello")) && server.connections === 14;
        });
        const backlog = SENT.map(() => peerOf(server));
        for (const peers of [used, fresh, backlog]) {
          for (const [i, [bytes]] of SENT.entries()) peers[i]?.send(bytes);
        }
        const stopped = server.stop();
        const all = [...used, ...fresh, ...backlog];
        await ended(all);
        for (const [i, peer] of all.entries()) {
          const [bytes, count] = SENT[i % SENT.length] as (typeof SENT)[number];
          const before = i < used.length ? 1 : 0;
          const what = `${JSON.stringify(bytes.slice(0, 200))} of connection ${i}`;
          assert.equal(peer.error, undefined, what);
          assert.deepEqual(statusesOf(peer), Array(count + before).fill("200"), what);
          assert.equal(peer.text.match(/\r\nConnection: close\r\n/g)?.length, 1, what);
          assert.match(peer.text, /Connection: close\r\n(?!.*HTTP).*hello$/s, what);
          peer.close();
        }
        await stopped;
        assert.equal(server.connections, 0);
      },
    ),
  ),
);

const hello: HttpOptions = { handler: (_, reply) => reply.send("hello") };

const waiting: readonly Case[] = [
  served(
    "a request that arrives just after a stop is answered, on a used and on a new connection",
    hello,
    async (server) => {
      const peers = [peerOf(server, GET), peerOf(server)];
      await until(() => {
        for (const peer of peers) peer.pump();
        return peers[0]?.text.endsWith("hello") === true && server.connections === 2;
      });
      peers.push(peerOf(server));
      const stopped = server.stop();
      setTimeout(() => {
        for (const peer of peers) peer.send(GET);
      }, 5);
      await ended(peers);
      for (const peer of peers) {
        assert.match(peer.text, /Connection: close\r\n.*hello$/s);
        peer.close();
      }
      await stopped;
    },
  ),
  served(
    "a server that stops closes idle connections long before the grace period ends",
    hello,
    async (server) => {
      const peers = [peerOf(server, GET), peerOf(server)];
      await until(() => server.counts.requests === 1 && server.connections === 2);
      const began = performance.now();
      const stopped = server.stop(20_000);
      await ended(peers);
      for (const peer of peers) peer.close();
      await stopped;
      assert.ok(performance.now() - began < 10_000);
      assert.deepEqual(server.counts.refused, {});
    },
  ),
  served(
    "a server that stops waits for the rest of a request that has begun to arrive",
    hello,
    async (server) => {
      const one = peerOf(server, GET.slice(0, 10));
      await until(() => server.connections === 1);
      const stopped = server.stop();
      // Longer than a connection without a request is kept.
      await new Promise((resolve) => setTimeout(resolve, 700));
      one.send(GET.slice(10));
      await ended([one]);
      assert.match(one.text, /Connection: close\r\n.*hello$/s);
      one.close();
      await stopped;
    },
  ),
  served(
    "a stop with a grace period of 0 cuts every connection off",
    { handler() {} },
    async (server) => {
      const peers = [peerOf(server, GET), peerOf(server)];
      await until(() => server.connections === 2);
      await server.stop(0);
      assert.equal(server.connections, 0);
      await ended(peers);
      for (const peer of peers) peer.close();
    },
  ),
];

const disposed: readonly Case[] = [
  ...ENGINES.map((engine) =>
    onEngine(
      engine,
      "a server that is closed refuses new connections, and serves those that it accepted",
      hello,
      async (server) => {
        const { port } = server;
        const used = peerOf(server, GET);
        await until(() => {
          used.pump();
          return used.text.endsWith("hello");
        });
        server.close();
        server.close();
        assert.equal(server.port, -1);
        assert.equal(server.address, null);
        const late = new Socket(2, 1);
        assert.throws(() => late.connect({ address: "127.0.0.1", port }), { code: "ECONNREFUSED" });
        late.close();
        used.send(GET);
        await until(() => {
          used.pump();
          return server.counts.requests === 2 && statusesOf(used).length === 2;
        });
        assert.doesNotMatch(used.text, /Connection: close/);
        assert.equal(server.connections, 1);
        await server.stop(0);
        assert.equal(server.connections, 0);
        used.close();
      },
    ),
  ),
  {
    name: "a server that is disposed of has stopped",
    async run() {
      const server = serve({ host: "127.0.0.1", port: 0, ...hello });
      const peer = peerOf(server);
      await until(() => server.connections === 1);
      const stopped = server[Symbol.asyncDispose]();
      peer.send(GET);
      await ended([peer]);
      await stopped;
      assert.match(peer.text, /Connection: close\r\n.*hello$/s);
      assert.equal(server.connections, 0);
      assert.equal(server.port, -1);
      peer.close();
    },
  },
  {
    name: "a closed server restores the globals when its last connection has closed",
    async run() {
      const before = globalThis.Response;
      const fetch = () => new Response("hello");
      const server = serve({ host: "127.0.0.1", port: 0, fetch });
      const peer = peerOf(server, GET);
      await until(() => server.connections === 1);
      server.close();
      assert.notEqual(globalThis.Response, before);
      peer.close();
      await until(() => server.connections === 0);
      assert.equal(globalThis.Response, before);
      await server.stop();
      serve({ host: "127.0.0.1", port: 0, fetch }).close();
      assert.equal(globalThis.Response, before);
    },
  },
];

export function httpStoppingSuite(): Suite {
  return { title: "HTTP stopping", cases: [...answered, ...waiting, ...disposed] };
}
