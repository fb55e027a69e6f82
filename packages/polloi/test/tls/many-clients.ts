import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import * as tls from "node:tls";
import type { Reactor } from "../../src/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { tlsLibrary } from "../../src/tls/library.ts";
import { randomOf } from "../http/fuzz.ts";
import { assertSame, pattern } from "../reactor/rig.ts";
import { testCertificate, testRoot } from "./pair.ts";

type Random = (below: number) => number;

const CLIENTS = 1000;
const AT_ONCE = 100;

/** Counts the sessions of OpenSSL in this thread until it is stopped. */
function watchSessions(): { live: Set<number>; stop(): void } {
  const calls = tlsLibrary(kernel).calls as { -readonly [Name in "SSL_new" | "SSL_free"]: Call };
  type Call = (...args: number[]) => number;
  const { SSL_new, SSL_free } = calls;
  const live = new Set<number>();
  calls.SSL_new = (context) => {
    const session = SSL_new(context as number);
    live.add(session);
    return session;
  };
  calls.SSL_free = (session) => {
    assert.ok(live.delete(session as number), "a session is freed that is not open");
    return SSL_free(session as number);
  };
  return {
    live,
    stop() {
      calls.SSL_new = SSL_new;
      calls.SSL_free = SSL_free;
    },
  };
}

/** Sends bytes in random parts, ends its half, and requires all of them back and a proper end. */
async function exchange(port: number, random: Random): Promise<void> {
  const socket = tls.connect({
    port,
    host: "127.0.0.1",
    ca: testRoot().cert,
    servername: "localhost",
    maxVersion: random(2) === 0 ? "TLSv1.2" : "TLSv1.3",
  });
  const closed = once(socket, "close");
  const bytes = pattern(1 + random([100, 20_000, 200_000][random(3)] as number), random(1000));
  const received: Uint8Array[] = [];
  socket.on("data", (part) => void received.push(part));
  // Some write before the handshake is done.
  if (random(2) === 0) await once(socket, "secureConnect");
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + random(random(2) === 0 ? 50_000 : 2_000);
    const isFull = !socket.write(bytes.subarray(at, at + length));
    at += length;
    if (isFull && random(2) === 0) await once(socket, "drain");
    if (random(10) === 0) {
      socket.pause();
      await new Promise((resolve) => setImmediate(resolve));
      socket.resume();
    }
  }
  socket.end();
  await closed;
  assertSame(Buffer.concat(received), bytes);
}

/** Resets the connection during its handshake, or during an exchange. */
async function reset(port: number, random: Random): Promise<void> {
  if (random(2) === 0) {
    // A part of a ClientHello.
    const socket = net.connect(port, "127.0.0.1");
    socket.on("error", () => {});
    await once(socket, "connect");
    socket.write(Uint8Array.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]).subarray(0, random(12)));
    if (random(2) === 0) await new Promise((resolve) => setImmediate(resolve));
    socket.resetAndDestroy();
    await once(socket, "close");
    return;
  }
  const transport = net.connect(port, "127.0.0.1");
  const socket = tls.connect({ socket: transport, ca: testRoot().cert, servername: "localhost" });
  for (const each of [transport, socket]) each.on("error", () => {});
  if (random(2) === 0) {
    await once(socket, "secureConnect");
    socket.write(pattern(1 + random(60_000), 1));
  } else {
    await once(transport, "connect");
  }
  for (let turns = random(4); turns > 0; turns--) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  transport.resetAndDestroy();
  await once(transport, "close");
}

/** Runs a thousand clients of node:tls against an echo server, a hundred at a time. */
export async function manyClients(reactor: Reactor, seed: number): Promise<void> {
  const sessions = watchSessions();
  try {
    const { cert, key } = testCertificate();
    const listener = reactor.listen({
      host: "127.0.0.1",
      port: 0,
      tls: { cert, key },
      data: (connection, bytes) => {
        if (!connection.write(bytes)) connection.pause();
      },
      drain: (connection) => connection.resume(),
      error: () => {},
    });
    let next = 0;
    const work = async () => {
      while (next < CLIENTS) {
        const random = randomOf(seed + next++);
        if (random(5) === 0) await reset(listener.port as number, random);
        else await exchange(listener.port as number, random);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    while (listener.connections > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await listener.stop(1000);
    assert.equal(sessions.live.size, 0, `seed ${seed}: sessions are left`);
  } finally {
    sessions.stop();
  }
}
