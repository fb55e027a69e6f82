/** The HTTP server, tested with curl. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { folder, noise } from "../../../../../test/support/processes.ts";
import type { HttpServer } from "../../../src/http/index.ts";
import {
  bytesUpTo,
  ENGINES,
  hashOf,
  LIMIT_MS,
  PATIENCE_MS,
  type RequestReport,
  run,
  type Said,
  serving,
  unless,
} from "./rig.ts";

const NO_BYTES = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/** More than the socket buffers hold. */
const MUCH = 6_000_000;

/** Runs curl, verbose but without progress, and requires success. */
async function curl(args: readonly string[], input?: string | Uint8Array): Promise<Said> {
  const limit = String(PATIENCE_MS / 1000);
  const said = await run("curl", ["--silent", "-v", "--max-time", limit, ...args], input);
  assert.equal(said.code, 0, said.errors);
  return said;
}

function runInProcess(said: Said): RequestReport {
  return JSON.parse(said.text) as RequestReport;
}

function headersOf({ headers }: RequestReport): Record<string, string> {
  return Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]));
}

/** How often curl reports that it reused a connection. */
function reused({ errors }: Said): number {
  return errors.match(/Re-using existing connection/g)?.length ?? 0;
}

/** The lines of responses as curl prints them. */
function responses({ errors }: Said): string[] {
  return [...errors.matchAll(/^< (.*?)\r?$/gm)].map(([, line]) => line as string);
}

for (const { engine, skip } of ENGINES) {
  describe(`curl, ${engine}`, { skip: unless(skip, "curl"), timeout: LIMIT_MS }, () => {
    const served = (name: string, body: (server: HttpServer, url: string) => Promise<void>): void =>
      void test(name, () =>
        serving({ engine }, (server) => body(server, `http://127.0.0.1:${server.port}`)),
      );

    served(
      "an HTTP/1.0 request is answered with a length, and its connection closed",
      async (_, url) => {
        const said = await curl(["--http1.0", `${url}/bytes/1000`]);
        assert.ok(said.output.equals(bytesUpTo(1000)));
        const lines = responses(said);
        assert.equal(lines[0], "HTTP/1.1 200 OK");
        assert.ok(lines.includes("Connection: close"));
        assert.match(said.errors, /Closing connection/);
        const { version, method } = runInProcess(await curl(["--http1.0", `${url}/what`]));
        assert.deepEqual({ version, method }, { version: 0, method: "GET" });
      },
    );

    served("an HTTP/1.0 connection with keep-alive is kept", async (server, url) => {
      const urls = Array.from({ length: 5 }, (_, i) => `${url}/bytes/${i}`);
      const said = await curl(["--http1.0", "-H", "Connection: keep-alive", ...urls]);
      assert.ok(
        said.output.equals(Buffer.concat([0, 1, 2, 3, 4].map((length) => bytesUpTo(length)))),
      );
      assert.equal(reused(said), 4);
      assert.equal(server.counts.connections, 1);
      const kept = responses(said).filter((line) => line === "Connection: keep-alive");
      assert.equal(kept.length, 5);
    });

    served(
      "HTTP/1.0 gets a stream until the connection ends, without chunk framing",
      async (_, url) => {
        const said = await curl(["--http1.0", `${url}/stream/${MUCH}`]);
        assert.ok(said.output.equals(bytesUpTo(MUCH)));
        assert.doesNotMatch(said.errors, /transfer-encoding|content-length/i);
      },
    );

    served("several URLs use one connection, and each gets its answer", async (server, url) => {
      const urls = Array.from(
        { length: 20 },
        (_, i) => `${url}/${i % 2 ? "bytes" : "stream"}/${i}`,
      );
      const said = await curl(urls);
      const wanted = Array.from({ length: 20 }, (_, i) => bytesUpTo(i));
      assert.ok(said.output.equals(Buffer.concat(wanted)));
      assert.equal(reused(said), 19);
      assert.deepEqual(server.counts, { connections: 1, requests: 20, refused: {} });
    });

    served("a chunked upload from stdin arrives and is echoed completely", async (_, url) => {
      const bytes = noise(MUCH);
      const chunked = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T", "-"];
      const seen = runInProcess(await curl([...chunked, `${url}/up`], bytes));
      assert.deepEqual(
        [seen.method, seen.length, seen.hash, headersOf(seen)["transfer-encoding"]],
        ["PUT", MUCH, hashOf(bytes), "chunked"],
      );
      const echoed = await curl([...chunked, `${url}/echo`], bytes);
      assert.ok(echoed.output.equals(bytes));
      const posted = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"];
      const { method, hash } = runInProcess(await curl([...posted, `${url}/up`], bytes));
      assert.deepEqual({ method, hash }, { method: "POST", hash: hashOf(bytes) });
    });

    served("an upload of a known length arrives completely", async (_, url) => {
      const bytes = noise(MUCH);
      const seen = runInProcess(
        await curl(["-H", "Expect:", "--data-binary", "@-", `${url}/up`], bytes),
      );
      assert.deepEqual([seen.method, seen.length, seen.hash], ["POST", MUCH, hashOf(bytes)]);
      assert.equal(headersOf(seen)["content-length"], String(MUCH));
    });

    served("a client that expects 100-continue gets it once, and then sends", async (_, url) => {
      const bytes = noise(MUCH);
      for (const framing of [[], ["-H", "Transfer-Encoding: chunked"]]) {
        // Longer than a test may take, so that curl sends nothing before 100 Continue.
        const patient = ["--expect100-timeout", "300", "-H", "Expect: 100-continue"];
        const said = await curl(
          [...patient, ...framing, "--data-binary", "@-", `${url}/up`],
          bytes,
        );
        const statuses = responses(said).filter((line) => line.startsWith("HTTP/"));
        assert.deepEqual(statuses, ["HTTP/1.1 100 Continue", "HTTP/1.1 200 OK"]);
        assert.equal(runInProcess(said).hash, hashOf(bytes));
      }
    });

    served("a client that expects 100-continue and is refused sends no body", async (_, url) => {
      const patient = ["--expect100-timeout", "300", "-H", "Expect: 100-continue"];
      const said = await curl(
        [...patient, "--write-out", "%{size_upload}", "--data-binary", "@-", `${url}/refuse`],
        noise(MUCH),
      );
      const lines = responses(said);
      assert.equal(lines[0], "HTTP/1.1 403 Forbidden");
      assert.ok(
        lines.includes("Connection: close"),
        "the connection is closed, because the client may still send the body",
      );
      assert.equal(said.text, "no\n0");
    });

    served("HEAD has the length of GET, and no body", async (server, url) => {
      const said = await curl(["-I", `${url}/bytes/1234`, `${url}/bytes/5`, `${url}/stream/7`]);
      const heads = said.text.split("\r\n\r\n");
      assert.match(heads[0] as string, /^HTTP\/1\.1 200 OK\r\n.*Content-Length: 1234$/s);
      assert.match(heads[1] as string, /Content-Length: 5$/);
      assert.match(heads[2] as string, /Transfer-Encoding: chunked$/);
      assert.equal(heads.length, 4);
      assert.equal(server.counts.connections, 1);
    });

    served(
      "--raw shows chunks that contain the body and end with the last chunk",
      async (_, url) => {
        const { output } = await curl(["--raw", `${url}/stream/70000`]);
        const piece = (from: number, to: number): Buffer =>
          Buffer.concat([
            Buffer.from(`${(to - from).toString(16)}\r\n`),
            bytesUpTo(70_000).subarray(from, to),
            Buffer.from("\r\n"),
          ]);
        const wanted = [piece(0, 50_000), piece(50_000, 70_000), Buffer.from("0\r\n\r\n")];
        assert.ok(output.equals(Buffer.concat(wanted)));
        const { text } = await curl(["--raw", `${url}/trailers`]);
        assert.equal(text, "2\r\nhi\r\n0\r\nX-Count: 2\r\n\r\n");
        const seen = await curl(["-i", `${url}/trailers`]);
        assert.match(seen.text, /\r\n\r\nhiX-Count: 2\r\n/, "curl prints it after the body");
      },
    );

    served("OPTIONS * has the target *", async (_, url) => {
      const args = ["-X", "OPTIONS", "--request-target", "*", url];
      const { method, target, path, query } = runInProcess(await curl(args));
      assert.deepEqual([method, target, path, query], ["OPTIONS", "*", "*", ""]);
    });

    served("a target in absolute form names the host", async (_, url) => {
      const args = ["--proxy", url, "http://elsewhere.example:81/a/b?c=d"];
      const { target, path, query, host } = runInProcess(await curl(args));
      assert.deepEqual(
        { target, path, query, host },
        {
          target: "http://elsewhere.example:81/a/b?c=d",
          path: "/a/b",
          query: "c=d",
          host: "elsewhere.example:81",
        },
      );
    });

    served("a path arrives unchanged", async (_, url) => {
      const raw = "/a/../../b/./%2e%2e/%00//c?d=../e";
      const { target, path, query } = runInProcess(await curl(["--path-as-is", `${url}${raw}`]));
      assert.deepEqual([target, path, query], [raw, raw.split("?")[0], raw.split("?")[1]]);
    });

    served("headers arrive in order, also repeated and empty ones", async (_, url) => {
      const args = ["-H", "X-A: 1", "-H", "x-b;", "-H", "X-A: two words", "-H", "X-C: \u00e4"];
      const { headers, hash } = runInProcess(await curl([...args, `${url}/headers`]));
      const own = headers.filter(([name]) => /^x-/i.test(name));
      const bytes = Buffer.from("\u00e4").toString("latin1");
      assert.deepEqual(own, [
        ["X-A", "1"],
        ["x-b", ""],
        ["X-A", "two words"],
        ["X-C", bytes],
      ]);
      assert.equal(hash, NO_BYTES);
    });

    served(
      "a client that disconnects during a download does not affect the next one",
      async (server, url) => {
        // The number of bytes that it reads before it disconnects.
        const cut = ["--silent", "--max-filesize", "1000", `${url}/bytes/${MUCH}`];
        assert.equal((await run("curl", cut)).code, 63);
        assert.ok((await curl([`${url}/bytes/10`])).output.equals(bytesUpTo(10)));
        while (server.connections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
      },
    );

    test("requests over a unix socket are answered", async () => {
      using at = folder();
      const path = join(at.path, "http.sock");
      await serving({ engine, path }, async (server) => {
        const args = ["--unix-socket", path, "http://a/bytes/9", "http://a/stream/70000"];
        const said = await curl(args);
        const wanted = Buffer.concat([bytesUpTo(9), bytesUpTo(70_000)]);
        assert.ok(said.output.equals(wanted));
        assert.deepEqual(server.counts, { connections: 1, requests: 2, refused: {} });
      });
    });
  });
}
