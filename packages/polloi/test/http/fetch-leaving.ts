/** Fetch handlers whose client disconnects. */
import assert from "node:assert/strict";
import type { Case } from "../../../../test/support/suite.ts";
import { bodyOf, GET } from "./client.ts";
import { until, type WebCase } from "./fetch-case.ts";

/** The events of a case, in order. */
let seen: string[] = [];

function nameOf(reason: unknown): string {
  return reason instanceof Error ? reason.name : String(reason);
}

/** Runs a function. @returns The unhandled rejections. */
async function withoutRejections(run: () => Promise<void>): Promise<void> {
  const unheard: unknown[] = [];
  const hear = (reason: unknown): void => void unheard.push(reason);
  process.on("unhandledRejection", hear);
  try {
    await run();
    // They are reported after the turn.
    await new Promise((resolve) => setTimeout(resolve, 5));
  } finally {
    process.off("unhandledRejection", hear);
  }
  assert.deepEqual(unheard, []);
}

/** A stream that has produced its first piece, and records its cancellation. */
function endless(): ReadableStream {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
    cancel: (reason) => void seen.push(`cancelled: ${nameOf(reason)}`),
  });
}

export function leavingCases(web: WebCase): Case[] {
  return [
    web(
      "a client that disconnects aborts the signal, and a later response is cancelled",
      async ({ signal }) => {
        seen = [`aborted: ${signal.aborted}`];
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        seen.push(`aborted: ${signal.aborted}`, nameOf(signal.reason));
        await until(() => gone());
        return new Response(endless());
      },
      async ({ client, server, errors }) => {
        gone = () => server.connections === 0;
        await withoutRejections(async () => {
          seen = [];
          const one = client().send(GET);
          await until(() => seen.length === 1);
          one.socket.resetAndDestroy();
          await until(() => seen.length === 4);
        });
        assert.deepEqual(seen, [
          "aborted: false",
          "aborted: true",
          "AbortError",
          "cancelled: AbortError",
        ]);
        assert.deepEqual(errors, []);
      },
    ),
    web(
      "a signal that is first read after the client has disconnected is aborted",
      async (request) => {
        seen.push("called");
        await until(() => gone());
        seen.push(`aborted: ${request.signal.aborted}`);
        return new Response("late");
      },
      async ({ client, server, errors }) => {
        seen = [];
        gone = () => server.connections === 0;
        const one = client().send(GET);
        await until(() => seen.length === 1);
        one.socket.resetAndDestroy();
        await until(() => seen.length === 2);
        assert.deepEqual(seen, ["called", "aborted: true"]);
        assert.deepEqual(errors, []);
      },
    ),
    web(
      "the signal of an answered request is not aborted",
      (request) => {
        signal = request.signal;
        return new Response("ok");
      },
      async ({ client, server }) => {
        const one = client().send(GET);
        await one.until(({ text }) => text.endsWith("ok"));
        one.socket.destroy();
        await until(() => server.connections === 0);
        assert.equal(signal.aborted, false);
      },
    ),
    ...["destroy", "resetAndDestroy"].map((how) =>
      web(
        `a client that disconnects during the response (${how}) cancels its stream`,
        () => new Response(endless()),
        async ({ client, server, errors }) => {
          await withoutRejections(async () => {
            seen = [];
            const one = client().send(GET);
            await one.until(({ text }) => text.includes("first"));
            one.socket[how as "destroy"]();
            await until(() => seen.length > 0 && server.connections === 0);
          });
          assert.deepEqual(seen, ["cancelled: AbortError"]);
          assert.deepEqual(errors, []);
        },
      ),
    ),
    web(
      "a client that disconnects without reading cancels the stream of the response",
      () =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(1_000_000)),
            cancel: (reason) => void seen.push(nameOf(reason)),
          }),
        ),
      async ({ client, server, errors }) => {
        seen = [];
        await withoutRejections(async () => {
          const one = client().send(GET);
          await one.until(({ text }) => text.includes("200 OK"));
          one.socket.pause();
          one.socket.resetAndDestroy();
          await until(() => seen.length > 0 && server.connections === 0);
        });
        assert.deepEqual(seen, ["AbortError"]);
        assert.deepEqual(errors, []);
      },
    ),
    web(
      "a client that disconnects in the middle of its body rejects the reads of it",
      async (request) => {
        seen.push("called");
        try {
          return new Response(await new Response(request.body).text());
        } catch (error) {
          seen.push("rejected");
          throw error;
        }
      },
      async ({ client, server, errors }) => {
        seen = [];
        await withoutRejections(async () => {
          const one = client().send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123");
          await until(() => seen.length === 1);
          one.socket.destroy();
          await until(() => seen.length === 2 && server.connections === 0);
        });
        assert.deepEqual(seen, ["called", "rejected"]);
        assert.deepEqual(errors, []);
      },
    ),
    web(
      "a client that only ends its half gets its answer, also a stream",
      async (request) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (request.url.endsWith("/text")) return new Response("text");
        let pieces = 0;
        const stream = new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, 1));
            controller.enqueue(new TextEncoder().encode(`<${pieces++}>`));
            if (pieces === 5) controller.close();
          },
        });
        return new Response(stream);
      },
      async ({ client, errors }) => {
        for (const [path, body] of [
          ["/text", "text"],
          ["/stream", "<0><1><2><3><4>"],
        ]) {
          const one = client().send(`GET ${path} HTTP/1.0\r\n\r\n`);
          one.socket.end();
          assert.equal(bodyOf(await one.end()), body);
        }
        assert.deepEqual(errors, []);
      },
    ),
    web(
      "a handler that rejects because its signal aborts is not reported",
      async ({ signal }) => {
        seen.push("called");
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason)),
        );
        return new Response("never");
      },
      async ({ client, server, errors }) => {
        seen = [];
        await withoutRejections(async () => {
          const one = client().send(GET);
          await until(() => seen.length === 1);
          one.socket.resetAndDestroy();
          await until(() => server.connections === 0);
        });
        assert.deepEqual(errors, []);
      },
    ),
  ];
}
let gone: () => boolean = () => true;
let signal: AbortSignal;
