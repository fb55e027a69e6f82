/** The stream of a response: backpressure, with a simulated transport, and the number of sends. */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { HIGH_WATER_BYTES, HttpConnection, type Transport } from "../../src/http/connection.ts";
import { sendResponse } from "../../src/http/fetch/send-response.ts";
import { serve } from "../../src/http/index.ts";
import { settingsOf } from "../../src/http/options.ts";
import type { ReplyWriter } from "../../src/http/reply.ts";
import type { ParsedRequest } from "../../src/http/request.ts";
import { ServingServer } from "../../src/http/server.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import { kernel } from "../../src/sys/open.ts";

const HIGH_WATER = HIGH_WATER_BYTES;
/** Less than a tenth, so that the tenth chunk does not reach the mark. */
const CHUNK = 6000;

/** A transport that sends nothing until it is drained. */
class Slow {
  readonly state = "open";
  /** The pending bytes of bodies, which are zero. */
  waiting = 0;

  get pendingBytes(): number {
    return this.waiting;
  }

  write(bytes: string | Uint8Array): boolean {
    if (typeof bytes !== "string") this.waiting += bytes.filter((byte) => byte === 0).length;
    return this.waiting < HIGH_WATER;
  }

  resume(): void {}

  cork(): void {}

  uncork(): void {}

  expect(): void {}
}

/** The request and the reply of an HTTP connection over a transport. */
function exchangeOver(slow: Slow): { request: ParsedRequest; reply: ReplyWriter; drain(): void } {
  let request: ParsedRequest | undefined;
  let reply: ReplyWriter | undefined;
  const settings = settingsOf({
    handler(...given) {
      [request, reply] = given as [ParsedRequest, ReplyWriter];
    },
  });
  // Callbacks of a closed reactor are microtasks.
  const { shared } = new ServingServer({ fileno: () => -1 } as Reactor, settings);
  const served = new HttpConnection(shared, slow as unknown as Transport);
  served.received(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.ok(request !== undefined && reply !== undefined);
  const drain = () => {
    slow.waiting = 0;
    served.drained();
  };
  return { request, reply, drain };
}

/** Waits until everything that is not blocked has happened. */
async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

for (const [name, size] of [
  ["small chunks", CHUNK],
  ["chunks beyond the high-water mark", 3 * HIGH_WATER],
] as const) {
  test(`backpressure stops the reading of ${name}`, async () => {
    let pulls = 0;
    const stream = new ReadableStream(
      {
        pull(controller) {
          pulls++;
          controller.enqueue(new Uint8Array(size));
          if (pulls === 50) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const slow = new Slow();
    const { request, reply, drain } = exchangeOver(slow);
    const sent = sendResponse(new Response(stream), request, reply);
    let written = 0;
    // The second chunk is read before the first is sent: if there is none, the response has a length.
    for (const ahead of [size === CHUNK ? 0 : 1, 0, 0, 0]) {
      await settled();
      assert.ok(slow.waiting >= HIGH_WATER, `${slow.waiting} bytes wait`);
      assert.ok(slow.waiting < HIGH_WATER + size, `${slow.waiting} bytes wait`);
      written += slow.waiting / size;
      assert.equal(pulls, written + ahead);
      drain();
    }
    while (!reply.done) {
      await settled();
      drain();
    }
    await sent;
    assert.equal(pulls, 50);
  });
}

/** Serves a stream on epoll. @returns The answer, and the lengths of the sends. */
async function sendsOf(stream: ReadableStream): Promise<{ text: string; sends: number[] }> {
  const sends: number[] = [];
  const { send } = kernel.libc;
  const counting = proxyKernel(kernel, {
    calls: () => ({
      send(fd, address, length, flags) {
        sends.push(length);
        return send(fd, address, length, flags);
      },
    }),
  });
  const reactor = new Reactor({ engine: "epoll", kernel: counting });
  const server = serve({
    reactor,
    host: "127.0.0.1",
    port: 0,
    fetch: () => new Response(stream),
  });
  const socket = connect(server.port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let text = "";
  for await (const bytes of socket) text += String(bytes);
  await server.stop(0);
  reactor.close();
  return { text, sends };
}

for (const length of [10, 4000, 5000]) {
  test(`the head, three chunks of ${length} bytes that are available at once, and the end leave in one send`, async () => {
    let left = 3;
    const stream = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(length).fill(97));
        if (--left === 0) controller.close();
      },
    });
    const { text, sends } = await sendsOf(stream);
    assert.equal(text.split("a".repeat(length)).length, 4);
    assert.ok(text.endsWith("\r\n0\r\n\r\n"));
    assert.equal(sends.length, 1, sends.join());
  });
}

test("a chunk does not wait for the next one that comes later", async () => {
  let next = (_: unknown): void => {};
  const stream = new ReadableStream({
    start(controller) {
      controller.enqueue("first");
    },
    async pull(controller) {
      await new Promise((resolve) => {
        next = resolve;
      });
      controller.enqueue("second");
      controller.close();
    },
  });
  const server = serve({ host: "127.0.0.1", port: 0, fetch: () => new Response(stream) });
  const socket = connect(server.port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let text = "";
  for await (const bytes of socket) {
    text += String(bytes);
    if (text.endsWith("first\r\n")) next(undefined);
  }
  assert.match(text, /first\r\n[\s\S]*second\r\n0\r\n\r\n$/);
  await server.stop(0);
});
