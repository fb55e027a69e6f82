/** A session with a connection of which the test says how much waits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { settingsOf } from "../../src/http/options.ts";
import type { HttpReply } from "../../src/http/reply.ts";
import { HttpServer } from "../../src/http/server.ts";
import { Session } from "../../src/http/session.ts";
import type { Connection } from "../../src/reactor/connection.ts";
import type { Reactor } from "../../src/reactor/reactor.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** What a session has of a connection to a client that is slow. */
class SlowConnection {
  readonly state = "open";
  pendingBytes = 0;
  isReset = false;

  write(bytes: string | Uint8Array): boolean {
    this.pendingBytes += bytes.length;
    return this.pendingBytes < 1000;
  }

  /** The client takes so many bytes. */
  take(length: number): void {
    this.pendingBytes -= length;
  }

  pause(): void {}

  resume(): void {}

  reset(): void {
    this.isReset = true;
  }
}

function streaming(): { connection: SlowConnection; session: Session; reply: HttpReply } {
  const replies: HttpReply[] = [];
  const settings = settingsOf({
    handler: (_, reply) => {
      replies.push(reply.begin());
    },
  });
  const connection = new SlowConnection();
  const server = new HttpServer({} as Reactor, settings);
  const session = new Session(server, connection as unknown as Connection<Session>);
  session.received(Buffer.from(GET));
  return { connection, session, reply: replies[0] as HttpReply };
}

test("a client that takes something is not cut off, though as much waits as did before", () => {
  const { connection, session, reply } = streaming();
  reply.write("x".repeat(100));
  const waiting = connection.pendingBytes;
  session.timedOut();
  reply.write("x".repeat(45));
  connection.take(connection.pendingBytes - waiting);
  session.timedOut();
  // The same, but for more than is wanted at a time.
  reply.write("x".repeat(1100));
  const full = connection.pendingBytes;
  session.timedOut();
  connection.take(full - 400);
  session.drained();
  reply.write("x".repeat(1000));
  connection.pendingBytes = full;
  session.timedOut();
  assert.equal(connection.isReset, false);
});

test("a client that takes nothing is cut off, whatever is written to it", () => {
  const { connection, session, reply } = streaming();
  reply.write("x".repeat(1100));
  session.timedOut();
  session.timedOut();
  assert.equal(connection.isReset, true);
});
