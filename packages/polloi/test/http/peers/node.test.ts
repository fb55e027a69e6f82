/** The HTTP server, tested with Node's clients: `http.Agent` and fetch. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type ClientRequest, type IncomingMessage, request } from "node:http";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { noise } from "../../../../../test/support/processes.ts";
import type { HttpServer } from "../../../src/http/index.ts";
import { bytesUpTo, ENGINES, hashOf, LIMIT_MS, type RequestReport, serving } from "./rig.ts";

const MUCH = 5_000_000;

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** A body that is generated while it is sent. */
function streamOf(bytes: Uint8Array, pieceBytes: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      await turn();
      if (at >= bytes.length) controller.close();
      else controller.enqueue(bytes.subarray(at, at + pieceBytes));
      at += pieceBytes;
    },
  });
}

/** Requires that a new client is served, on a connection without keep-alive. */
async function isServed({ port }: HttpServer): Promise<void> {
  const sent = request({ host: "127.0.0.1", port, path: "/bytes/100", agent: false });
  const [response] = (await once(sent.end(), "response")) as [IncomingMessage];
  assert.ok((await bodyOf(response)).equals(bytesUpTo(100)));
}

/** Waits until no connection is open. */
async function deserted(server: HttpServer): Promise<void> {
  while (server.connections > 0) await turn();
}

for (const { engine, skip } of ENGINES) {
  describe(`Node's clients, ${engine}`, { skip, timeout: LIMIT_MS }, () => {
    const served = (name: string, body: (server: HttpServer, url: string) => Promise<void>): void =>
      void test(name, () =>
        serving({ engine }, (server) => body(server, `http://127.0.0.1:${server.port}`)),
      );
    const post = (server: HttpServer, agent: Agent, path: string): ClientRequest =>
      request({ host: "127.0.0.1", port: server.port, path, agent, method: "POST" });

    served("an Agent reuses its sockets, and each request gets its own answer", async (server) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 5 });
      const one = async (i: number): Promise<void> => {
        const body = noise(i * 11);
        const sent = post(server, agent, `/what/${i}`);
        sent.end(body);
        const [response] = (await once(sent, "response")) as [IncomingMessage];
        const report = JSON.parse(String(await bodyOf(response))) as RequestReport;
        assert.deepEqual([report.path, report.hash], [`/what/${i}`, hashOf(body)]);
      };
      await Promise.all(Array.from({ length: 500 }, (_, i) => one(i)));
      assert.equal(server.counts.requests, 500);
      assert.equal(server.counts.connections, 5);
      agent.destroy();
      await deserted(server);
    });

    served("an Agent gets 100 Continue before it sends", async (server) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let i = 0; i < 3; i++) {
        const sent = post(server, agent, "/what");
        sent.setHeader("Expect", "100-continue").flushHeaders();
        await once(sent, "continue");
        sent.end(noise(1000));
        const [response] = (await once(sent, "response")) as [IncomingMessage];
        const report = JSON.parse(String(await bodyOf(response))) as RequestReport;
        assert.equal(report.hash, hashOf(noise(1000)));
      }
      assert.equal(server.counts.connections, 1);
      agent.destroy();
    });

    served("fetch streams a body, which is echoed completely", async (_, url) => {
      const bytes = noise(MUCH);
      for (const pieceBytes of [999, 100_000]) {
        const body = streamOf(bytes.subarray(0, pieceBytes * 50), pieceBytes);
        const options = { method: "POST", body, duplex: "half" } as RequestInit;
        const answer = await fetch(`${url}/echo`, options);
        const back = Buffer.from(await answer.arrayBuffer());
        assert.ok(back.equals(bytes.subarray(0, pieceBytes * 50)));
      }
    });

    served("fetch sends bodies unchanged, with a length and without", async (_, url) => {
      const bytes = noise(MUCH);
      for (const body of [bytes, streamOf(bytes, 65_536)]) {
        const options = { method: "PUT", body, duplex: "half" } as RequestInit;
        const report = (await (await fetch(`${url}/what`, options)).json()) as RequestReport;
        assert.deepEqual([report.length, report.hash], [MUCH, hashOf(bytes)]);
      }
    });

    served("many concurrent fetches get their own answers", async (_, url) => {
      const lengths = Array.from({ length: 100 }, (_, i) => i * 997);
      await Promise.all(
        lengths.map(async (length, i) => {
          const answer = await fetch(`${url}/${i % 2 ? "bytes" : "stream"}/${length}`);
          assert.equal(answer.status, 200);
          const body = Buffer.from(await answer.arrayBuffer());
          assert.ok(body.equals(bytesUpTo(length)), `${length} bytes`);
        }),
      );
    });

    served("an aborted fetch does not affect other requests", async (server, url) => {
      for (let i = 0; i < 10; i++) {
        const controller = new AbortController();
        const path = i % 2 ? "/stream/8000000" : "/bytes/8000000";
        const answer = await fetch(url + path, { signal: controller.signal });
        const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
        await reader.read();
        controller.abort();
        await assert.rejects(async () => {
          while (!(await reader.read()).done);
        });
        await isServed(server);
      }
    });

    served("an aborted download frees its connection", async (server) => {
      const agent = new Agent({ keepAlive: true });
      for (const path of ["/bytes/8000000", "/stream/8000000"]) {
        const sent = request({ host: "127.0.0.1", port: server.port, path, agent });
        const [response] = (await once(sent.end(), "response")) as [IncomingMessage];
        await once(response, "data");
        response.on("error", () => {}).destroy();
        await deserted(server);
      }
      await isServed(server);
    });

    served("an aborted upload does not affect other requests", async (server) => {
      const agent = new Agent({ keepAlive: true });
      // One handler answers after the whole body, the other one has begun to answer.
      for (const [path, event] of [
        ["/what", "socket"],
        ["/echo", "response"],
      ] as const) {
        for (let i = 0; i < 5; i++) {
          const sent = post(server, agent, path).on("error", () => {});
          sent.write(noise(100_000));
          await new Promise((resolve) => sent.once(event, resolve));
          await new Promise((resolve) => sent.once("close", resolve).destroy());
        }
        await isServed(server);
      }
      agent.destroy();
      await deserted(server);
    });
  });
}
