/** A session with a connection of which the test says how much waits, and a clock that the test sets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type HttpSettings, settingsOf } from "../../src/http/options.ts";
import type { ReplyWriter } from "../../src/http/reply.ts";
import { SessionServer } from "../../src/http/server.ts";
import { Session } from "../../src/http/session.ts";
import type { Connection } from "../../src/reactor/connection.ts";
import type { Reactor } from "../../src/reactor/reactor.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const SEND_TIMEOUT_MS = 2000;

/** What a session has of a connection to a client that is slow. */
class SlowConnection {
  readonly state = "open";
  readonly paused = false;
  pendingBytes = 0;
  /** What the kernel has taken and the client has not acknowledged. */
  sentBytes = 0;
  isReset = false;

  write(bytes: string | Uint8Array): boolean {
    this.pendingBytes += bytes.length;
    return this.pendingBytes < 1000;
  }

  get unacknowledgedBytes(): number {
    return this.pendingBytes + this.sentBytes;
  }

  /** The kernel takes so many bytes. */
  take(length: number): void {
    this.pendingBytes -= length;
    this.sentBytes += length;
  }

  pause(): void {}

  resume(): void {}

  reset(): void {
    this.isReset = true;
  }
}

interface Streaming {
  readonly connection: SlowConnection;
  readonly session: Session;
  readonly reply: ReplyWriter;
  /** Looks after so many milliseconds. */
  readonly lookAfter: (ms: number) => void;
}

function streaming(): Streaming {
  const replies: ReplyWriter[] = [];
  const settings: HttpSettings = settingsOf({
    sendTimeoutMs: SEND_TIMEOUT_MS,
    handler: (_, reply) => {
      replies.push(reply.begin() as ReplyWriter);
    },
  });
  const connection = new SlowConnection();
  const server = new SessionServer({} as Reactor, settings);
  server.now = 1000;
  const session = new Session(server, connection as unknown as Connection<Session>);
  session.received(Buffer.from(GET));
  const lookAfter = (ms: number): void => {
    server.now += ms;
    session.look();
  };
  return { connection, session, reply: replies[0] as ReplyWriter, lookAfter };
}

test("a client that acknowledges something is not cut off, though as much waits as did before", () => {
  const { connection, reply, lookAfter } = streaming();
  reply.write("x".repeat(5000));
  for (let i = 0; i < 100; i++) {
    lookAfter(SEND_TIMEOUT_MS / 2);
    connection.sentBytes++;
    reply.write("x");
    connection.sentBytes -= 8;
  }
  assert.equal(connection.isReset, false);
});

test("a client that drains the kernel's buffer while nothing goes into it is not cut off", () => {
  const { connection, reply, lookAfter } = streaming();
  reply.write("x".repeat(5000));
  connection.take(4000);
  const { pendingBytes } = connection;
  for (let i = 0; i < 30; i++) {
    lookAfter(SEND_TIMEOUT_MS);
    connection.sentBytes -= 100;
  }
  assert.equal(connection.pendingBytes, pendingBytes);
  assert.equal(connection.isReset, false);
});

test("a client that acknowledges nothing is cut off in time, whatever is written to it", () => {
  for (const first of [100, 5000]) {
    const { connection, reply, lookAfter } = streaming();
    reply.write("x".repeat(first));
    lookAfter(250);
    for (let ms = 250; ms < SEND_TIMEOUT_MS; ms += 250) {
      reply.write("more");
      lookAfter(250);
      assert.equal(connection.isReset, false, `${ms} ms`);
    }
    lookAfter(250);
    assert.equal(connection.isReset, true);
  }
});

test("a client that has everything is not cut off, however long the handler takes", () => {
  const { connection, reply, lookAfter } = streaming();
  reply.write("x".repeat(5000));
  lookAfter(100);
  connection.pendingBytes = 0;
  for (let i = 0; i < 5; i++) lookAfter(10 * SEND_TIMEOUT_MS);
  reply.write("more");
  lookAfter(10);
  assert.equal(connection.isReset, false);
});

test("a client's send timeout begins with what was written last, and not before that", () => {
  const { connection, reply, lookAfter } = streaming();
  reply.write("x".repeat(5000));
  lookAfter(100);
  // All of it has gone, and as much has been written again, between two looks.
  connection.pendingBytes = 0;
  reply.write("x".repeat(5000));
  lookAfter(SEND_TIMEOUT_MS - 10);
  lookAfter(20);
  assert.equal(connection.isReset, false);
});
