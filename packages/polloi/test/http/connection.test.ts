/** An HTTP connection with a simulated transport, whose pending bytes the test sets, and a simulated clock. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpConnection, type Transport } from "../../src/http/connection.ts";
import { type HttpSettings, settingsOf } from "../../src/http/options.ts";
import type { ReplyWriter } from "../../src/http/reply.ts";
import { ServingServer } from "../../src/http/server.ts";
import type { Reactor } from "../../src/reactor/reactor.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const SEND_TIMEOUT_MS = 2000;

/** The members of a transport that an HTTP connection uses, of a slow client. */
class SlowConnection {
  readonly state = "open";
  readonly paused = false;
  pendingBytes = 0;
  /** Bytes that the kernel has accepted and the client has not acknowledged. */
  sentBytes = 0;
  isReset = false;

  write(bytes: string | Uint8Array): boolean {
    this.pendingBytes += bytes.length;
    return this.pendingBytes < 1000;
  }

  get unacknowledgedBytes(): number {
    return this.pendingBytes + this.sentBytes;
  }

  /** The kernel accepts this many bytes. */
  take(length: number): void {
    this.pendingBytes -= length;
    this.sentBytes += length;
  }

  pause(): void {}

  resume(): void {}

  expect(): void {}

  reset(): void {
    this.isReset = true;
  }
}

interface Streaming {
  readonly connection: SlowConnection;
  readonly reply: ReplyWriter;
  /** Advances the clock, and lets the HTTP connection check its timeouts. */
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
  const { shared } = new ServingServer({} as Reactor, settings);
  const { sweep } = shared;
  sweep.now = 1000;
  const served = new HttpConnection(shared, connection as unknown as Transport);
  served.received(Buffer.from(GET));
  const lookAfter = (ms: number): void => {
    sweep.now += ms;
    served.look();
  };
  return { connection, reply: replies[0] as ReplyWriter, lookAfter };
}

test("a client that acknowledges something is not cut off, even if as many bytes wait as before", () => {
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

test("a client that acknowledges bytes of the send buffer while none are added is not cut off", () => {
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

test("a client that acknowledges nothing is cut off in time, also while more is written", () => {
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

test("a client that has received everything is not cut off, however long the handler takes", () => {
  const { connection, reply, lookAfter } = streaming();
  reply.write("x".repeat(5000));
  lookAfter(100);
  connection.pendingBytes = 0;
  for (let i = 0; i < 5; i++) lookAfter(10 * SEND_TIMEOUT_MS);
  reply.write("more");
  lookAfter(10);
  assert.equal(connection.isReset, false);
});

test("a client's send timeout begins with the last write", () => {
  const { connection, reply, lookAfter } = streaming();
  reply.write("x".repeat(5000));
  lookAfter(100);
  // Everything was acknowledged, and as much was written again, between two checks.
  connection.pendingBytes = 0;
  reply.write("x".repeat(5000));
  lookAfter(SEND_TIMEOUT_MS - 10);
  lookAfter(20);
  assert.equal(connection.isReset, false);
});

test("a reader that resumes when its client has left is not served again", () => {
  const failures: unknown[] = [];
  let resumed = 0;
  const settings: HttpSettings = settingsOf({
    error: (error) => void failures.push(error),
    handler(request, reply) {
      reply.begin();
      request.read({
        data(bytes) {
          request.pause();
          reply.write(bytes);
          reply.whenDrained(() => {
            resumed++;
            request.resume();
          });
        },
      });
    },
  });
  const connection = new SlowConnection();
  const { shared } = new ServingServer({} as Reactor, settings);
  const served = new HttpConnection(shared, connection as unknown as Transport);
  const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n";
  served.received(Buffer.from(head + "x".repeat(20_000)));
  served.closed();
  assert.deepEqual([resumed, failures], [1, []]);
});
