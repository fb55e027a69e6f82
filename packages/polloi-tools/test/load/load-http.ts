import assert from "node:assert/strict";
import { serve } from "polloi/http";
import { kernel, proxyKernel } from "polloi/internal";
import type { Extent, Suite } from "../../../../test/support/suite.ts";
import { OwnServers } from "../../../polloi/test/support/own-servers.ts";
import { type LoadOptions, type LoadReport, load } from "../../src/load/index.ts";
import { assertCounts, casesFor, type LoadCase } from "./load.ts";
import { type Script, ScriptedHttp } from "./scripted-http.ts";

const PATIENT_MS = 20_000;

const OK: Script = { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" };

async function loadScripted(
  answer: (request: number, of: number) => Script,
  options: Partial<LoadOptions>,
): Promise<LoadReport & { seen: ScriptedHttp }> {
  using server = new ScriptedHttp(answer);
  const run = load({ target: server.target, timeoutMs: PATIENT_MS, ...options });
  return { ...(await run.finished), seen: server };
}

/** Complete responses, and whether the connection is opened again after them. */
const SOUND: readonly (readonly [what: string, script: Script, reopens: boolean])[] = [
  ["a length", OK, false],
  ["a length of 0", { bytes: "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n" }, false],
  ["no body by status", { bytes: "HTTP/1.1 204 No Content\r\n\r\n" }, false],
  [
    "304 with a length and no body",
    { bytes: "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n" },
    false,
  ],
  [
    "chunks, extensions and trailers",
    {
      bytes:
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\nZ:\r\n\r\n",
    },
    false,
  ],
  [
    "an interim response before it",
    {
      bytes:
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    },
    false,
  ],
  [
    "no reason phrase and no space before it",
    { bytes: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n" },
    false,
  ],
  [
    "HTTP/1.0 and keep-alive",
    { bytes: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx" },
    false,
  ],
  ["HTTP/1.0", { bytes: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", ending: "end" }, true],
  [
    "Connection: close",
    {
      bytes: "HTTP/1.1 200 OK\r\nConnection: a, Close\r\nContent-Length: 1\r\n\r\nx",
      ending: "end",
    },
    true,
  ],
  [
    "a body to the end of the connection",
    { bytes: "HTTP/1.1 200 OK\r\n\r\nbody", ending: "end" },
    true,
  ],
];

/** Invalid responses. */
const BROKEN: readonly string[] = [
  "HELLO\r\n\r\n",
  "HTTP/2.0 200 OK\r\n\r\n",
  "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
  "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
  "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
  "HTTP/1.1 101 Switching Protocols\r\n\r\n",
  // Two responses to one request.
  `${OK.bytes}${OK.bytes}`,
];

/** {@link load} over HTTP reads every response to its end, and counts invalid ones. */
export function loadHttpSuite(extent: Extent): Suite {
  return {
    title: `load over HTTP on ${kernel.runtime}`,
    cases: casesFor(extent, [...soundCases(), ...faultCases()]),
  };
}

function soundCases(): LoadCase[] {
  return [
    {
      name: "polloi/http answers every pipelined request on persistent connections",
      everywhere: true,
      run: async () => {
        const server = await serve({
          port: 0,
          host: "127.0.0.1",
          handler: (_, reply) => void reply.send("Hello, world!"),
        });
        try {
          const target = `http://127.0.0.1:${server.port}/`;
          const report = await load({ target, connections: 3, messages: 100, pipeline: 4 })
            .finished;
          assertCounts(report, { sent: 100, messages: 100 });
          assert.deepEqual(report.statuses, { 200: 100 });
          assert.equal(report.opened, 3);
        } finally {
          await server.stop(0);
        }
      },
    },
    ...SOUND.map(([what, script, reopens]) => ({
      name: `a response with ${what} is complete, and the next request is sent`,
      run: async () => {
        const report = await loadScripted(() => script, { connections: 2, messages: 8 });
        assertCounts(report, { sent: 8, messages: 8, reopened: reopens ? 6 : 0 });
        assert.equal(report.seen.connections, reopens ? 8 : 2);
        assert.deepEqual(report.errors, {});
      },
    })),
    {
      name: "a node:http server in the thread of the load gets turns of the runtime's loop",
      everywhere: true,
      run: async () => {
        await using own = await OwnServers.open();
        let turns = 0;
        const counting = proxyKernel(kernel, {
          soon: (soon) => (callback) => {
            turns++;
            soon(callback);
          },
        });
        const options = { target: own.url, connections: 1, messages: 20, timeoutMs: PATIENT_MS };
        const report = await load(options, { kernel: counting }).finished;
        assertCounts(report, { sent: 20, messages: 20 });
        // Usually 20 to 50, and 1,000 if I/O of the runtime starves.
        assert.ok(turns <= 400, `${turns} turns for 20 messages`);
      },
    },
    {
      name: "requests that were pipelined behind the last response of a connection are sent again",
      everywhere: true,
      run: async () => {
        const last: Script = {
          bytes: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
          ending: "end",
        };
        const report = await loadScripted((i) => (i === 2 ? last : OK), {
          connections: 2,
          messages: 30,
          pipeline: 5,
        });
        assertCounts(report, { sent: 30, messages: 30, reopened: 8 });
      },
    },
    ...(
      [
        ["a request that is due", { rate: 2000 }],
        ["a request after the think time", { thinkMs: 5 }],
      ] as const
    ).map(([request, options]) => ({
      name: `${request} waits for the next connection when the server is about to close this one`,
      run: async () => {
        const last: Script = {
          bytes: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
          afterMs: 1,
          ending: "late",
        };
        const report = await loadScripted((i) => (i === 3 ? last : OK), {
          connections: 20,
          messages: 120,
          pipeline: 2,
          ...options,
        });
        assertCounts(report, { sent: 120, messages: 120, reopened: 20 });
        // Each connection has a request due every 10 ms, and takes 100 ms to close.
        if ("rate" in options) assert.ok(report.latencyMs.max >= 50, `${report.latencyMs.max} ms`);
      },
    })),
    {
      name: "a connection that the server closes with nothing in flight is opened again",
      run: async () => {
        const report = await loadScripted((i) => (i === 1 ? { ...OK, ending: "end" } : OK), {
          connections: 1,
          messages: 5,
          thinkMs: 20,
        });
        assertCounts(report, { sent: 5, messages: 5, reopened: 2 });
      },
    },
    {
      name: "a head of 70 KB is read in pieces of any size, and one above the limit has its own error code",
      run: async () => {
        for (const [bytes, pieceBytes] of [
          [70_000, 4096],
          [70_000, 70_000],
          [300_000, 4096],
          [300_000, 300_000],
        ] as const) {
          const fields = `X: ${"y".repeat(993)}\r\n`.repeat(bytes / 1000);
          const head = `HTTP/1.1 200 OK\r\n${fields}Content-Length: 0\r\n\r\n`;
          const script = { bytes: head, pieceBytes };
          const report = await loadScripted(() => script, { connections: 1, messages: 2 });
          if (bytes === 70_000) assertCounts(report, { sent: 2, messages: 2 });
          else assert.deepEqual(report.errors, { HTTP_HEAD_TOO_LARGE: 1 });
        }
      },
    },
    {
      name: "the fragment of a target is not sent",
      run: async () => {
        using server = new ScriptedHttp(() => OK);
        for (const end of ["#f", "#", "#a?b#c"]) {
          const target = `${server.target}${end}`;
          const report = await load({ target, connections: 1, messages: 1 }).finished;
          assertCounts(report, { sent: 1, messages: 1 });
        }
        assert.equal(server.text.match(/^GET \/path\?query HTTP\/1\.1\r\n/gm)?.length, 3);
      },
    },
    {
      name: "a request has the path, the query and the host of the target, and data as the body of a POST",
      run: async () => {
        const { seen } = await loadScripted(() => OK, { connections: 1, messages: 1 });
        assert.match(seen.text, /^GET \/path\?query HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n/);
        const data = Buffer.from("body\r\n\r\n");
        const posted = await loadScripted(() => OK, { connections: 1, messages: 1, data });
        assert.match(
          posted.seen.text,
          /^POST \/path\?query .*\r\nContent-Length: 8\r\n\r\nbody\r\n\r\n$/s,
        );
      },
    },
  ];
}

function faultCases(): LoadCase[] {
  return [
    {
      name: "statuses from 400 up are counted as errors",
      run: async () => {
        const notFound = { bytes: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" };
        const busy = { bytes: "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n" };
        const scripts = [OK, notFound, busy, OK, OK];
        const report = await loadScripted((i) => scripts[i] ?? OK, {
          connections: 2,
          messages: 10,
        });
        assertCounts(report, { sent: 10, messages: 10 });
        assert.deepEqual(report.statuses, { 200: 6, 404: 2, 503: 2 });
        assert.deepEqual(report.errors, { HTTP_404: 2, HTTP_503: 2 });
      },
    },
    ...BROKEN.map((bytes) => ({
      name: `a connection is given up after ${JSON.stringify(bytes)}`,
      run: async () => {
        const report = await loadScripted((i) => (i === 1 ? { bytes } : OK), {
          connections: 3,
          messages: 12,
          timeoutMs: PATIENT_MS,
        });
        assert.deepEqual(report.errors, { HTTP_INVALID: 3 });
        assert.equal(report.failed, 3);
        assert.equal(report.messages + report.unanswered, report.sent);
      },
    })),
    ...(["end", "reset"] as const).map((ending) => ({
      name: `a connection that ends without a response (${ending}) is counted, and opened again`,
      everywhere: true,
      run: async () => {
        const report = await loadScripted((i) => (i === 2 ? { bytes: "", ending } : OK), {
          connections: 3,
          messages: 12,
        });
        const counts = { sent: 12, messages: 9, unanswered: 3, failed: 3, reopened: 3 };
        assertCounts(report, counts);
        assert.deepEqual(report.errors, ending === "end" ? { PEER_CLOSED: 3 } : { ECONNRESET: 3 });
      },
    })),
    {
      name: "a connection that ends within a response is counted as failed",
      run: async () => {
        const half: Script = {
          bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
          ending: "end",
        };
        const report = await loadScripted(() => half, { connections: 2, messages: 2 });
        assertCounts(report, { sent: 2, messages: 0, unanswered: 2, failed: 2 });
        assert.deepEqual(report.errors, { PEER_CLOSED: 2 });
      },
    },
    {
      name: "a connection that stalls within a response is given up",
      everywhere: true,
      run: async () => {
        const half: Script = { bytes: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe" };
        const options = { connections: 2, messages: 2, timeoutMs: 100 };
        const report = await loadScripted(() => half, options);
        assertCounts(report, { sent: 2, messages: 0, unanswered: 2, failed: 2 });
        assert.deepEqual(report.errors, { NO_ANSWER: 2 });
      },
    },
  ];
}
