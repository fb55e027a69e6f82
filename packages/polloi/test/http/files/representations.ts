/** Representations of a file: types, validators, preconditions, ranges, codings. */
import assert from "node:assert/strict";
import { appendFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Case } from "../../../../../test/support/suite.ts";
import { files, type HttpServer, type HttpTimeouts, serve } from "../../../src/http/index.ts";
import { Client } from "../client.ts";
import {
  type Answer,
  ask,
  CHANGED,
  DATA,
  filesCase,
  HELLO,
  parseAnswer,
  TestSite,
} from "./site.ts";

const TYPES: Readonly<Record<string, string>> = {
  "/hello.txt": "text/plain; charset=utf-8",
  "/index.html": "text/html; charset=utf-8",
  "/page.HTML": "text/html; charset=utf-8",
  "/app.js": "text/javascript; charset=utf-8",
  "/style.css": "text/css; charset=utf-8",
  "/app.js.gz": "application/gzip",
  "/data.bin": "application/octet-stream",
  "/no-ending": "application/octet-stream",
  "/.well-known/token": "application/octet-stream",
};

const MODIFIED = "Mon, 03 Feb 2020 04:05:06 GMT";
const BEFORE = "Mon, 03 Feb 2020 04:05:05 GMT";
const AFTER = "Mon, 03 Feb 2020 04:05:07 GMT";

/** Request headers, with TAG for the tag of the file, and the status of the answer. */
const CONDITIONS: readonly (readonly [headers: Record<string, string>, status: number])[] = [
  [{ "If-Match": "TAG" }, 200],
  [{ "If-Match": "*" }, 200],
  [{ "If-Match": '"other", TAG' }, 200],
  [{ "If-Match": '"other"' }, 412],
  [{ "If-Match": "W/TAG" }, 412],
  [{ "If-Match": "nonsense" }, 412],
  [{ "If-Unmodified-Since": MODIFIED }, 200],
  [{ "If-Unmodified-Since": AFTER }, 200],
  [{ "If-Unmodified-Since": BEFORE }, 412],
  [{ "If-Unmodified-Since": "yesterday" }, 200],
  // If-Match has precedence.
  [{ "If-Match": "TAG", "If-Unmodified-Since": BEFORE }, 200],
  [{ "If-Match": '"other"', "If-Unmodified-Since": AFTER }, 412],
  [{ "If-None-Match": "TAG" }, 304],
  [{ "If-None-Match": "W/TAG" }, 304],
  [{ "If-None-Match": "*" }, 304],
  [{ "If-None-Match": '"a", W/"b" , TAG' }, 304],
  [{ "If-None-Match": '"other"' }, 200],
  [{ "If-None-Match": "nonsense" }, 200],
  [{ "If-Modified-Since": MODIFIED }, 304],
  [{ "If-Modified-Since": AFTER }, 304],
  [{ "If-Modified-Since": BEFORE }, 200],
  [{ "If-Modified-Since": "Monday, 03-Feb-20 04:05:06 GMT" }, 304],
  [{ "If-Modified-Since": "Mon Feb  3 04:05:06 2020" }, 304],
  [{ "If-Modified-Since": "Mon, 03 Feb 2020 04:05:06 +0100" }, 200],
  [{ "If-Modified-Since": "" }, 200],
  // If-None-Match has precedence.
  [{ "If-None-Match": '"other"', "If-Modified-Since": AFTER }, 200],
  [{ "If-None-Match": "TAG", "If-Modified-Since": BEFORE }, 304],
  // A failed precondition has precedence over an unmodified file.
  [{ "If-Match": '"other"', "If-None-Match": "TAG" }, 412],
  [{ "If-Unmodified-Since": BEFORE, "If-Modified-Since": AFTER }, 412],
  [{ "If-Match": "TAG", "If-None-Match": "TAG" }, 304],
  // If-Range: the range applies if the file is the same.
  [{ Range: "bytes=0-4", "If-Range": "TAG" }, 206],
  [{ Range: "bytes=0-4", "If-Range": '"other"' }, 200],
  [{ Range: "bytes=0-4", "If-Range": "W/TAG" }, 200],
  [{ Range: "bytes=0-4", "If-Range": MODIFIED }, 206],
  [{ Range: "bytes=0-4", "If-Range": AFTER }, 200],
  [{ Range: "bytes=0-4", "If-Range": "nonsense" }, 200],
  [{ Range: "bytes=99-", "If-Range": '"other"' }, 200],
  [{ Range: "bytes=0-4", "If-None-Match": "TAG" }, 304],
  [{ Range: "bytes=99-", "If-None-Match": "TAG" }, 304],
  [{ Range: "bytes=0-4", "If-Match": '"other"' }, 412],
];

const conditions: Case = filesCase(
  "preconditions are evaluated in order",
  async ({ get, head }) => {
    const plain = await get("/hello.txt");
    const tag = plain.headers.get("etag") ?? "";
    assert.match(tag, /^"[^"]+"$/);
    assert.equal(plain.headers.get("last-modified"), MODIFIED);
    for (const [asked, status] of CONDITIONS) {
      const headers = Object.fromEntries(
        Object.entries(asked).map(([name, value]) => [name, value.replace("TAG", tag)]),
      );
      const answer = await get("/hello.txt", headers);
      assert.equal(answer.status, status, JSON.stringify(asked));
      if (status === 304) {
        assert.equal(answer.body.length, 0);
        assert.equal(answer.headers.get("etag"), tag);
        assert.equal(answer.headers.has("content-type"), false);
        assert.equal(answer.headers.has("content-length"), false);
      }
      const withHead = await head("/hello.txt", headers);
      // Range applies to GET only.
      const unranged = status === 206 ? 200 : status;
      assert.equal(withHead.status, unranged, `HEAD ${JSON.stringify(asked)}`);
      assert.equal(withHead.body.length, 0);
    }
  },
);

/** Range fields for a file of 13 bytes, and the parts of the answer, or a status. */
const RANGES: readonly (readonly [range: string, parts: readonly string[] | number])[] = [
  ["bytes=0-4", ["0-4"]],
  ["bytes=0-0", ["0-0"]],
  ["bytes=12-12", ["12-12"]],
  ["bytes=7-", ["7-12"]],
  ["bytes=7-99", ["7-12"]],
  ["bytes=7-99999999999999999999999", ["7-12"]],
  ["bytes=-1", ["12-12"]],
  ["bytes=-13", ["0-12"]],
  ["bytes=-99", ["0-12"]],
  ["BYTES=0-4", ["0-4"]],
  ["bytes= 0-4 ", ["0-4"]],
  ["bytes=,,0-4,", ["0-4"]],
  ["bytes=0-1,3-4", ["0-1", "3-4"]],
  ["bytes=5-6, 0-1", ["5-6", "0-1"]],
  ["bytes=0-1,-2", ["0-1", "11-12"]],
  ["bytes=0-1,99-", ["0-1"]],
  ["bytes=0-5,3-8", ["0-5", "3-8"]],
  ["bytes=13-", 416],
  ["bytes=99-100", 416],
  ["bytes=99999999999999999999999-", 416],
  ["bytes=-0", 416],
  ["bytes=20-30,40-50", 416],
  ["bytes=0-,0-,0-", 416],
  ["bytes=0-9,1-8,2-7", 416],
  [`bytes=${Array.from({ length: 40 }, () => "0-0").join(",")}`, 416],
  // Invalid, so ignored.
  ["bytes=4-0", 200],
  ["bytes=", 200],
  ["bytes=-", 200],
  ["bytes=a-b", 200],
  ["bytes=0-4-5", 200],
  ["bytes=0 - 4", 200],
  ["bytes=0-4;q=1", 200],
  ["bytes 0-4", 200],
  ["bytes", 200],
  ["chapters=1-2", 200],
  ["bytes=0-1,x", 200],
  ["bytes=0-1,4-2", 200],
];

/** The parts of an answer, by Content-Range. */
function partsOf({ headers, body }: Answer): [range: string, body: string, type: string][] {
  const type = headers.get("content-type") ?? "";
  const [, boundary] = /^multipart\/byteranges; boundary=(\S+)$/.exec(type) ?? [];
  if (boundary === undefined) return [[headers.get("content-range") ?? "", body.toString(), type]];
  const pieces = body.toString("latin1").split(`\r\n--${boundary}`);
  assert.equal(pieces.shift(), "");
  assert.equal(pieces.pop(), "--\r\n");
  return pieces.map((piece) => {
    const part = parseAnswer(Buffer.from(`HTTP/1.1 206 X${piece}`, "latin1"));
    return [
      part.headers.get("content-range") ?? "",
      part.body.toString(),
      part.headers.get("content-type") ?? "",
    ];
  });
}

const ranges: readonly Case[] = [
  filesCase(
    "one range is sent by itself, several as parts, and an unsatisfiable one is 416",
    async ({ get, head }) => {
      for (const [range, expected] of RANGES) {
        const answer = await get("/hello.txt", { Range: range });
        const { status, headers, body } = answer;
        if (expected === 200) {
          assert.deepEqual([status, body.toString()], [200, HELLO], range);
          assert.equal(headers.get("accept-ranges"), "bytes");
        } else if (typeof expected === "number") {
          assert.deepEqual([status, headers.get("content-range")], [416, "bytes */13"], range);
        } else {
          assert.equal(status, 206, range);
          assert.equal(Number(headers.get("content-length")), body.length, range);
          const parts = expected.map((part) => {
            const [first, last] = part.split("-").map(Number) as [number, number];
            return [`bytes ${part}/13`, HELLO.slice(first, last + 1), "text/plain; charset=utf-8"];
          });
          assert.deepEqual(partsOf(answer), parts, range);
        }
        const { status: ofHead, body: noBody } = await head("/hello.txt", { Range: range });
        assert.deepEqual([ofHead, noBody.length], [200, 0], `HEAD ${range}`);
      }
    },
  ),
  filesCase("ranges of a large file have the bytes of the file", async ({ get }) => {
    for (const [first, last] of [
      [0, DATA.length - 1],
      [1, 1],
      [65_535, 65_536],
      [4095, 262_145],
      [DATA.length - 1, DATA.length - 1],
    ] as const) {
      const { status, body } = await get("/data.bin", { Range: `bytes=${first}-${last}` });
      assert.equal(status, 206);
      assert.ok(body.equals(DATA.subarray(first, last + 1)), `${first} to ${last}`);
    }
    const { body } = await get("/data.bin", { Range: "bytes=0-99999,100000-199999,200000-" });
    assert.ok(body.includes(DATA.subarray(100_000, 200_000)));
    assert.ok(body.includes(DATA.subarray(200_000)));
  }),
  filesCase("an empty file has no satisfiable range", async ({ get }) => {
    assert.equal((await get("/empty", { Range: "bytes=0-" })).status, 416);
    const { status, headers, body } = await get("/empty", { Range: "bytes=-5" });
    assert.deepEqual([status, headers.get("content-length"), body.length], [200, "0", 0]);
  }),
];

/** Accept-Encoding, and the coding that is sent of a file that exists in all codings. */
const ACCEPTED: readonly (readonly [accept: string | undefined, coding: string | undefined])[] = [
  [undefined, undefined],
  ["", undefined],
  ["identity", undefined],
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["GZIP", "gzip"],
  ["br", "br"],
  ["gzip, deflate, br, zstd", "br"],
  ["gzip;q=1.0, br;q=0.5", "gzip"],
  ["gzip;q=0.5 , br ; q=0.8", "br"],
  ["gzip;q=0", undefined],
  ["gzip;q=0.000, br;q=0", undefined],
  ["br;q=0, gzip;q=0.1", "gzip"],
  ["*", "br"],
  ["*;q=0.5, br;q=0.1", "gzip"],
  ["*;q=0, gzip", "gzip"],
  ["br;q=0, *", "gzip"],
  ["identity;q=0, *;q=0.1", "br"],
  ["identity, gzip;q=0.5", undefined],
  ["identity;q=0.5, gzip;q=0.5", "gzip"],
  ["gzip;q=nonsense", undefined],
  ["gzip;q=1.5", undefined],
  ["deflate, zstd", undefined],
];

const CONTENT: Readonly<Record<string, string>> = { br: "brotli", gzip: "gzipped" };

const codings: readonly Case[] = [
  filesCase(
    "the coding that a client prefers is sent, with the type of the decoded file",
    async ({ get }) => {
      for (const [accept, coding] of ACCEPTED) {
        const asked = accept === undefined ? {} : { "Accept-Encoding": accept };
        const { status, headers, body } = await get("/app.js", asked);
        const content = coding === undefined ? "// plain" : CONTENT[coding];
        assert.deepEqual([status, body.toString()], [200, content], accept);
        assert.equal(headers.get("content-encoding"), coding, accept);
        assert.equal(headers.get("content-type"), "text/javascript; charset=utf-8");
        assert.equal(headers.get("vary"), "Accept-Encoding");
        assert.equal(headers.get("content-length"), String(body.length));
      }
    },
  ),
  filesCase(
    "a coding without a file is skipped, and without any acceptable one the answer is 406",
    async ({ get }) => {
      for (const [path, accept, status, body] of [
        ["/style.css", "br, gzip", 200, "gzipped style"],
        ["/style.css", "br", 200, "/* plain */"],
        ["/hello.txt", "br, gzip", 200, HELLO],
        ["/hello.txt", "br, gzip, identity;q=0", 406, "406 Not Acceptable\n"],
        ["/hello.txt", "*;q=0", 406, "406 Not Acceptable\n"],
        // A link that leads outside counts as missing.
        ["/link.txt", "gzip", 200, "plain link"],
        ["/app.js.gz", "gzip", 200, "gzipped"],
      ] as const) {
        const answer = await get(path, { "Accept-Encoding": accept });
        assert.deepEqual(
          [answer.status, answer.body.toString()],
          [status, body],
          `${path} ${accept}`,
        );
      }
    },
  ),
  filesCase("each coding has its own tag and ranges", async ({ get, site }) => {
    for (const name of ["app.js", "app.js.br", "app.js.gz"]) {
      writeFileSync(join(site.root, name), "same length");
      utimesSync(join(site.root, name), CHANGED, CHANGED);
    }
    const tags = new Set<string>();
    for (const accept of ["identity", "br", "gzip"]) {
      const asked = { "Accept-Encoding": accept };
      const tag = (await get("/app.js", asked)).headers.get("etag") as string;
      tags.add(tag);
      assert.equal((await get("/app.js", { ...asked, "If-None-Match": tag })).status, 304);
      const other = await get("/app.js", { "If-None-Match": tag });
      assert.equal(other.status, accept === "identity" ? 304 : 200);
      const part = await get("/app.js", { ...asked, Range: "bytes=-6" });
      assert.deepEqual([part.status, part.body.toString()], [206, "length"]);
    }
    assert.equal(tags.size, 3);
  }),
  filesCase(
    "precompressed: false sends files without a coding",
    async ({ get }) => {
      const { headers, body } = await get("/app.js", { "Accept-Encoding": "br, gzip" });
      assert.deepEqual([body.toString(), headers.has("vary")], ["// plain", false]);
    },
    { precompressed: false },
  ),
];

/** More than the socket buffers hold. */
const LARGE = 20_000_000;

/** A server that gets one request for a large file. */
async function servedLarge(
  times: Partial<HttpTimeouts>,
  run: (server: HttpServer, socket: Socket, path: string) => Promise<void>,
): Promise<void> {
  using site = new TestSite();
  writeFileSync(join(site.root, "large"), Buffer.alloc(LARGE, 1));
  using handler = files({ dir: site.root });
  const server = serve({ host: "127.0.0.1", port: 0, handler, ...times });
  const socket = connect({ port: server.port, host: "127.0.0.1" });
  socket.on("error", () => {});
  try {
    socket.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    await new Promise((resolve) => socket.once("readable", resolve));
    // Node's streams resume a little later if there is a listener for data by then.
    await new Promise((resolve) => setImmediate(resolve));
    await run(server, socket, join(site.root, "large"));
  } finally {
    socket.destroy();
    await server.stop(0);
  }
}

const others: readonly Case[] = [
  filesCase("the type follows from the extension, and text is UTF-8", async ({ get }) => {
    for (const [path, type] of Object.entries(TYPES)) {
      assert.equal((await get(path)).headers.get("content-type"), type, path);
    }
  }),
  filesCase("HEAD has the head of GET, and no body", async ({ get, head }) => {
    for (const path of ["/hello.txt", "/", "/data.bin", "/empty", "/nothing", "/dir", "/%"]) {
      const [full, bare] = [await get(path), await head(path)];
      const headers = (answer: Answer) => [...answer.headers].filter(([name]) => name !== "date");
      assert.deepEqual([bare.status, headers(bare)], [full.status, headers(full)], path);
      assert.equal(bare.body.length, 0);
    }
  }),
  filesCase(
    "maxAgeMs is sent in seconds, also with 304",
    async ({ get }) => {
      const { headers } = await get("/hello.txt");
      assert.equal(headers.get("cache-control"), "max-age=90");
      const again = await get("/hello.txt", { "If-None-Match": "*" });
      assert.deepEqual([again.status, again.headers.get("cache-control")], [304, "max-age=90"]);
      assert.equal((await get("/nothing")).headers.has("cache-control"), false);
    },
    { maxAgeMs: 90_500 },
  ),
  filesCase("a tag changes with the modification time and the length", async ({ get, site }) => {
    const path = join(site.root, "hello.txt");
    const tagOf = async () => (await get("/hello.txt")).headers.get("etag");
    const before = await tagOf();
    writeFileSync(path, "HELLO, WORLD\n");
    utimesSync(path, CHANGED, new Date(CHANGED.getTime() + 1));
    const after = await tagOf();
    writeFileSync(path, "of another length");
    utimesSync(path, CHANGED, CHANGED);
    const third = await tagOf();
    assert.equal(new Set([before, after, third]).size, 3);
  }),
  filesCase("the tag of a file that was just written is weak", async ({ get, site }) => {
    const path = join(site.root, "fresh.txt");
    for (let i = 0; i < 20; i++) {
      writeFileSync(path, `fresh ${i}`);
      const written = statSync(path).mtimeMs;
      const tag = (await get("/fresh.txt")).headers.get("etag") as string;
      // An answer that took longer than a tick of the clock proves nothing.
      if (Date.now() - written < 20) assert.match(tag, /^W\/"/, `written at ${written}`);
    }
    const soon = new Date(Date.now() + 60_000);
    utimesSync(path, soon, soon);
    assert.match((await get("/fresh.txt")).headers.get("etag") as string, /^W\/"/);
  }),
  {
    name: "a handler that fails before files() causes a 500, and one that fails after it is reported",
    async run() {
      using site = new TestSite();
      using handler = files({ dir: site.root });
      const errors: unknown[] = [];
      const server = serve({
        host: "127.0.0.1",
        port: 0,
        handler(request, reply) {
          reply.header("X-A", "b");
          if (request.query === "before") throw new Error("before");
          const { query } = request;
          handler(request, reply);
          if (query === "behind") throw new Error("behind");
        },
        error: (thrown) => void errors.push(String(thrown)),
      });
      try {
        const { port } = server;
        const plain = await ask(port, "/data.bin");
        assert.deepEqual([plain.headers.get("x-a"), plain.body.length], ["b", DATA.length]);
        const before = await ask(port, "/data.bin?before");
        assert.deepEqual([before.status, before.headers.has("x-a")], [500, false]);
        assert.ok((await ask(port, "/data.bin?behind")).body.equals(DATA));
        handler.close();
        assert.equal((await ask(port, "/data.bin")).status, 500);
        assert.deepEqual(errors.slice(0, 2), ["Error: before", "Error: behind"]);
        assert.match(String(errors[2]), /Cannot serve files: the handler is closed/);
      } finally {
        await server.stop(0);
      }
    },
  },
  {
    name: "a file that grows while it is sent is sent with its original length",
    run: () =>
      servedLarge({}, async (server, socket, path) => {
        const parts: Buffer[] = [];
        appendFileSync(path, "more");
        socket.on("data", (part: Buffer) => void parts.push(part));
        const isWhole = (): boolean => {
          const length = parts.reduce((sum, part) => sum + part.length, 0);
          return length >= LARGE && Buffer.concat(parts).indexOf("\r\n\r\n") + 4 + LARGE === length;
        };
        while (!isWhole()) await new Promise((resolve) => setImmediate(resolve));
        // The next answer has the new length.
        const { headers } = await ask(server.port, "/large", { method: "HEAD" });
        assert.equal(headers.get("content-length"), String(LARGE + 4));
      }),
  },
  filesCase(
    "Last-Modified of a file with a future time is not later than now",
    async ({ get, site }) => {
      const future = new Date(Date.now() + 86_400_000);
      utimesSync(join(site.root, "hello.txt"), future, future);
      const { headers } = await get("/hello.txt");
      assert.ok(
        Date.parse(headers.get("last-modified") ?? "") <= Date.parse(headers.get("date") ?? ""),
      );
    },
  ),
  filesCase("files are sent in order on one connection", async ({ server }) => {
    const client = new Client(server.port);
    const paths = ["hello.txt", "data.bin", "nothing", "empty", "data.bin", "hello.txt"];
    const requests = paths.map((path) => `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    const text = await client.send(`${requests.join("")}${last}`).end();
    let at = 0;
    for (const body of [
      HELLO,
      DATA.toString("latin1"),
      "404 Not Found\n",
      "",
      DATA.toString("latin1"),
      HELLO,
      "<h1>home</h1>",
    ]) {
      at = text.indexOf("\r\n\r\n", at) + 4;
      assert.equal(text.slice(at, at + body.length), body);
      at += body.length;
    }
    assert.equal(at, text.length);
  }),
  filesCase(
    "a client that disconnects in the middle of a file leaks no descriptor",
    async ({ server, site, get }) => {
      writeFileSync(join(site.root, "large"), Buffer.alloc(20_000_000, 1));
      for (let i = 0; i < 10; i++) {
        const client = new Client(server.port);
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        await client.until(({ text }) => text.length > 1000);
        client.socket.destroy();
      }
      assert.equal((await get("/hello.txt")).status, 200);
      while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 2));
    },
  ),
  filesCase(
    "a slow client gets the whole file, and others are served meanwhile",
    async ({ server, get }) => {
      const client = new Client(server.port);
      client.send("GET /data.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      await client.until(({ text }) => text.length > 0);
      client.socket.pause();
      for (let i = 0; i < 5; i++) assert.equal((await get("/data.bin")).body.length, DATA.length);
      client.socket.resume();
      assert.ok((await client.end()).endsWith(DATA.toString("latin1")));
    },
  ),
  {
    name: "a client that reads nothing of a file is cut off",
    run: () =>
      servedLarge({ sendTimeoutMs: 50, idleTimeoutMs: 20_000 }, async (server, socket) => {
        socket.pause();
        while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 5));
        assert.deepEqual(server.counts.refused, { SEND_TIMEOUT: 1 });
      }),
  },
  {
    name: "a connection is not idle while a file is sent, and is afterwards",
    run: () =>
      servedLarge({ sendTimeoutMs: 20_000, idleTimeoutMs: 40 }, async (server, socket) => {
        let length = 0;
        socket.pause().on("data", (bytes) => {
          length += bytes.length;
        });
        await new Promise((resolve) => setTimeout(resolve, 200));
        assert.deepEqual(server.counts.refused, {});
        socket.resume();
        await new Promise((resolve) => socket.once("close", resolve));
        assert.ok(length > LARGE, `only ${length} bytes came`);
        assert.deepEqual(server.counts.refused, { IDLE_TIMEOUT: 1 });
      }),
  },
];

export const representationCases: readonly Case[] = [conditions, ...ranges, ...codings, ...others];
