/** The load generator in C, with correct and faulty HTTP servers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BODIES, writeBodies } from "../../bench/http-plans.ts";
import { type Bench, loadOn, loadServer, withServer } from "../../bench/interleave.ts";
import { findLoad, type LoadPlan, type Window } from "../../bench/load.ts";
import { compiled } from "../../bench/places.ts";
import { findCompiler } from "../../bench/tools.ts";

const load = findLoad({ gcc: findCompiler() }, undefined);
const skip: string | false = load.warning ?? false;
const bench: Bench = { machine: { pinned: false, serverCore: 0 }, load };
const asked = { mode: "http", path: "/", body: BODIES.hello, size: 13, idle: 0 } as const;
const options: LoadPlan & Window = { ...asked, connections: 20, depth: 1, warmup: 0, seconds: 0.2 };

writeBodies();

/** A server on node:net that answers each request with the value of an expression over `n`. */
function answering(answer: string): { command: string[] } {
  const program = `
    let n = 0;
    const server = require("node:net").createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        const count = bytes.toString().split("\\r\\n\\r\\n").length - 1;
        for (let i = 0; i < count; i++) { n++; socket.write(${answer}); }
      });
    });
    server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));`;
  return { command: [process.execPath, "--eval", program] };
}

/** A correct answer as a JavaScript expression; `date` and `body` are expressions. */
function sound({ head = "", status = "200 OK", date = "", length = 13, body = "" } = {}): string {
  const time = date === "" ? "new Date().toUTCString()" : date;
  const text = body === "" ? '"Hello, world!"' : body;
  const fields = `Content-Length: ${length}\\r\\n${head}`;
  return `"HTTP/1.1 ${status}\\r\\nDate: " + ${time} + "\\r\\n${fields}\\r\\n" + ${text}`;
}

const peer = { command: [process.execPath, compiled("peers/node-http")] };

test("every request is answered and every answer compared, pipelined or not", {
  skip,
}, async () => {
  await withServer(bench, peer, async (server) => {
    for (const depth of [1, 16]) {
      const running = await loadOn(bench, server, { ...options, depth, perConnection: 10 });
      try {
        const result = await running.run({ warmup: 0, seconds: 20 });
        const { messages, lost, mismatches, compared } = result;
        assert.deepEqual(
          { messages, lost, mismatches, compared },
          { messages: 200 * depth, lost: 0, mismatches: 0, compared: 1 },
        );
      } finally {
        await running.stop();
      }
    }
  });
});

test("only the value of Date may differ between answers", { skip }, async () => {
  const days = sound({ date: "new Date(n * 1e9).toUTCString()" });
  await withServer(bench, answering(days), async (server) => {
    assert.equal((await loadServer(bench, server, options)).mismatches, 0);
  });
  const bodies = sound({ body: '(n > 100 ? "Hello, worlds" : "Hello, world!")' });
  await withServer(bench, answering(bodies), async (server) => {
    assert.ok((await loadServer(bench, server, options)).mismatches > 0);
  });
});

test("a faulty first answer is an error that names the fault", {
  skip,
}, async () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    [sound({ status: "404 Not Found" }), /status 200/],
    [sound({ body: '"Hello, moon!!"' }), /another body/],
    [sound({ length: 12 }), /longer than it says/],
    [sound({ head: "Connection: close\\r\\n" }), /the last one/],
    [sound({ head: "Transfer-Encoding: chunked\\r\\n" }), /no Content-Length/],
    [sound({ date: '"today"' }), /no Date/],
  ];
  for (const [answer, reason] of wrong) {
    await withServer(bench, answering(answer), async (server) => {
      await assert.rejects(loadServer(bench, server, options), reason);
    });
  }
});

test("at a rate connections send in turn, and continue where the last window ended", {
  skip,
}, async () => {
  // In turn, no connection has more than two requests after its first; this server exits at the third.
  const program = `
    const server = require("node:http").createServer((request, response) => {
      const { socket } = request;
      socket.asked = (socket.asked ?? 0) + 1;
      if (socket.asked > 3) process.exit(1);
      response.writeHead(200, { "Content-Length": 13 }).end("Hello, world!");
    });
    server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));`;
  const server = { command: [process.execPath, "--eval", program] };
  await withServer(bench, server, async (server) => {
    const running = await loadOn(bench, server, { ...options, connections: 100 });
    try {
      // A first request each, and 50 requests in each of three windows.
      for (const _ of [1, 2, 3]) {
        const { lost } = await running.run({ warmup: 0, seconds: 0.1, rate: 500 });
        assert.equal(lost, 0);
      }
    } finally {
      await running.stop();
    }
  });
});
