/** Streams, iteration and adopted connections with TLS at both ends. */
import assert from "node:assert/strict";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type { Suite } from "../../../../test/support/suite.ts";
import { serve } from "../../src/http/index.ts";
import { type Connection, type Handlers, toDuplex } from "../../src/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertSame, pattern } from "../reactor/rig.ts";
import { rejection } from "../support/waiting.ts";
import { testCertificate, testRoot, whyNoTls } from "../tls/pair.ts";
import { allOf, casesOn, type Setting } from "./stream-case.ts";

/** A listener with TLS, and a connection to it. */
function connected(setting: Setting, handlers: Handlers) {
  const { cert, key } = testCertificate();
  const listener = setting.listen({ ...handlers, tls: { cert, key } });
  const connection = setting.reactor.connect({
    host: "127.0.0.1",
    port: listener.port,
    tls: { ca: testRoot().cert },
  });
  return { listener, connection };
}

async function textOf(connection: Connection): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of connection) parts.push(part);
  return Buffer.concat(parts).toString();
}

export function streamsWithTlsSuite(): Suite {
  const test = casesOn("epoll", "level");
  const skip = whyNoTls();
  return {
    title: `Streams with TLS on ${kernel.runtime}`,
    cases: [
      test(
        "a Duplex moves every byte in both directions",
        async (setting) => {
          const sent = pattern(1 << 20);
          let served: Promise<void> | undefined;
          const { connection } = connected(setting, {
            open: (it) => {
              const socket = toDuplex(it, { allowHalfOpen: true });
              served = pipeline(socket, createGzip({ level: 1 }), socket);
            },
          });
          const socket = toDuplex(connection, { allowHalfOpen: true });
          socket.end(sent);
          assertSame(await allOf(socket.pipe(createGunzip())), sent);
          await served;
        },
        skip,
      ),
      test(
        "an iteration begins after the handshake, and nothing that follows it is lost",
        async (setting) => {
          const { connection } = connected(setting, {
            async open(it) {
              it.write("a greeting, ");
              for await (const bytes of it) it.write(bytes);
              it.end(", and the end");
            },
          });
          assert.equal(await connection.opened, connection);
          connection.end("an echo");
          assert.equal(await textOf(connection), "a greeting, an echo, and the end");
        },
        skip,
      ),
      test(
        "readable and writable move every byte, and close waits until it is sent",
        async (setting) => {
          const sent = pattern(1 << 20);
          const { connection } = connected(setting, {
            open: (it) => void it.readable.pipeTo(it.writable),
          });
          const received = new Response(connection.readable).arrayBuffer();
          const writer = connection.writable.getWriter();
          await writer.write(sent);
          await writer.close();
          assert.equal(connection.pendingBytes, 0);
          assertSame(new Uint8Array(await received), sent);
        },
        skip,
      ),
      test(
        "opened is rejected when the handshake fails",
        async (setting) => {
          const { cert, key } = testCertificate();
          const listener = setting.listen({ tls: { cert, key } });
          const { port } = listener;
          const connection = setting.reactor.connect({ host: "127.0.0.1", port, tls: true });
          assert.match((await rejection(connection.opened)).message, /certificate/i);
        },
        skip,
      ),
      test(
        "a server adopts a connection",
        async (setting) => {
          const { reactor } = setting;
          const server = serve({
            reactor,
            host: "127.0.0.1",
            port: 0,
            handler: (request, reply) => void reply.send(request.path),
          });
          const { connection } = connected(setting, {
            data: (it, bytes) => server.adopt(it, bytes),
          });
          connection.write("GET /adopted HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n");
          assert.match(await textOf(connection), /\r\n\r\n\/adopted$/);
          connection.close();
          await server.stop();
        },
        skip,
      ),
    ],
  };
}
