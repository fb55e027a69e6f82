/** The load generator in C, with correct and faulty HTTP servers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { portOf } from "../../bench/children.ts";
import { BODIES, writeBodies, writeCount } from "../../bench/http-plans.ts";
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

test("a request has the body that was asked for, and the server receives all of it", {
  skip,
}, async () => {
  const counting = { command: [...peer.command, "--answer", "post"] };
  await withServer(bench, counting, async (server) => {
    for (const sentBytes of [1, 1024, 300_000]) {
      const body = writeCount(sentBytes);
      const plan = { ...options, body, sentBytes, size: 1, perConnection: 3 };
      const { messages, mismatches } = await loadServer(bench, server, { ...plan, seconds: 20 });
      assert.deepEqual({ messages, mismatches }, { messages: 60, mismatches: 0 });
    }
  });
});

/** A chunked answer as an expression; `body` is an expression, and `end` the text of its last chunk. */
function chunked(body: string, end: string = "0\\r\\n\\r\\n"): string {
  const head =
    '"HTTP/1.1 200 OK\\r\\nDate: " + new Date().toUTCString() + "\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"';
  const split = `(() => {
    const at = n % 12 + 1, text = ${body};
    return [text.slice(0, at), text.slice(at)].map((part) => part.length.toString(16) + "\\r\\n" + part + "\\r\\n").join("");
  })()`;
  return `${head} + ${split} + "${end}"`;
}

test("of a chunked answer the decoded body is compared, and the chunks may differ", {
  skip,
}, async () => {
  await withServer(bench, answering(chunked('"Hello, world!"')), async (server) => {
    const plan = { ...options, perConnection: 30, seconds: 20 };
    const { messages, mismatches, compared } = await loadServer(bench, server, plan);
    assert.deepEqual(
      { messages, mismatches, compared },
      { messages: 600, mismatches: 0, compared: 1 },
    );
  });
  const moon = chunked('(n > 100 ? "Hello, moon!!" : "Hello, world!")');
  await withServer(bench, answering(moon), async (server) => {
    assert.ok((await loadServer(bench, server, options)).mismatches > 0);
  });
  const wrong: readonly (readonly [string, RegExp])[] = [
    [chunked('"Hello, moon!!"'), /another body/],
    [chunked('"Hello, world"'), /body that is too short/],
    [chunked('"Hello, world! And more"'), /longer than the body|too long/],
    [chunked('"Hello, world!"', "0\\r\\nA: b\\r\\n\\r\\n"), /invalid chunks, or trailers/],
    [chunked('"Hello, world!"', "x\\r\\n"), /invalid chunks/],
  ];
  for (const [answer, reason] of wrong) {
    await withServer(bench, answering(answer), async (server) => {
      await assert.rejects(loadServer(bench, server, options), reason);
    });
  }
});

test("connections that are kept alive send requests between windows, which count nowhere", {
  skip,
}, async () => {
  const program = `
    let count = 0;
    const server = require("node:http").createServer((request, response) => {
      const text = request.url === "/count" ? String(count) : "Hello, world!";
      if (request.url !== "/count") count++;
      response.writeHead(200, { "Content-Length": text.length }).end(text);
    });
    server.listen(0, "127.0.0.1", () => console.log(JSON.stringify(server.address())));`;
  const server = { command: [process.execPath, "--eval", program] };
  await withServer(bench, server, async (server) => {
    const url = `http://127.0.0.1:${portOf(server)}/count`;
    const countOf = async (): Promise<number> => Number(await (await fetch(url)).text());
    const plan = { ...options, keepSeconds: 1, perConnection: 10 };
    const running = await loadOn(bench, server, plan);
    try {
      // One request opens each of the 20 connections.
      while ((await countOf()) < 60) await new Promise((resolve) => setTimeout(resolve, 50));
      const { messages, lost, mismatches } = await running.run({ warmup: 0, seconds: 20 });
      assert.deepEqual({ messages, lost, mismatches }, { messages: 200, lost: 0, mismatches: 0 });
    } finally {
      await running.stop();
    }
  });
});
