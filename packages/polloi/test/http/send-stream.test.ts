/** Backpressure on the stream of a response, with a simulated connection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Exchange } from "../../src/http/exchange.ts";
import { sendResponse } from "../../src/http/fetch/send-response.ts";
import { ReplyWriter } from "../../src/http/reply.ts";
import type { ParsedRequest } from "../../src/http/request.ts";

const HIGH_WATER = 100;
const CHUNK = 10;

/** A connection that accepts nothing until it is drained. */
class Slow {
  /** The pending bytes of bodies. */
  waiting = 0;
  #drained: (() => void)[] = [];

  get exchange(): Exchange {
    return {
      date: "",
      isFull: false,
      isAnswerable: () => true,
      connectionField: () => "",
      endAfterReply() {},
      replied() {},
      cutOff() {},
      soon: queueMicrotask,
      write: (bytes: string | Uint8Array) => {
        if (typeof bytes !== "string") this.waiting += bytes.length;
        return this.waiting < HIGH_WATER;
      },
      whenDrained: (callback: () => void) => {
        if (this.waiting < HIGH_WATER) queueMicrotask(callback);
        else this.#drained.push(callback);
      },
      // Other members are not called here.
    } as unknown as Exchange;
  }

  drain(): void {
    this.waiting = 0;
    for (const callback of this.#drained.splice(0)) callback();
  }
}

const request = { whenLeft() {} } as unknown as ParsedRequest;

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
    const reply = new ReplyWriter(slow.exchange, "GET", true);
    const sent = sendResponse(new Response(stream), request, reply);
    let written = 0;
    // The second chunk is read before the first is sent: if there is none, the response has a length.
    for (const ahead of [size === CHUNK ? 0 : 1, 0, 0, 0]) {
      await settled();
      assert.ok(slow.waiting >= HIGH_WATER, `${slow.waiting} bytes wait`);
      assert.ok(slow.waiting < HIGH_WATER + size, `${slow.waiting} bytes wait`);
      written += slow.waiting / size;
      assert.equal(pulls, written + ahead);
      slow.drain();
    }
    while (!reply.done) {
      await settled();
      slow.drain();
    }
    await sent;
    assert.equal(pulls, 50);
  });
}
