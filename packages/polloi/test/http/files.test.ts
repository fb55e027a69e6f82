/** Files served to curl, with a faulty kernel, and while links change. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { kernelWith } from "../../../../test/support/descriptors.ts";
import { folder, needs, Program } from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { type FilesOptions, files, type HttpServer, serve } from "../../src/http/index.ts";
import { STATX, SYS } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";
import { Client } from "./client.ts";
import { ask, DATA, HELLO, SECRET, TestSite } from "./files/site.ts";

const limits = { timeout: SUITE_TIMEOUT_MS };

/** A site that is served until it is disposed. */
function served(
  handlerKernel = kernel,
  options: Partial<FilesOptions> = {},
): AsyncDisposable & { site: TestSite; server: HttpServer; errors: unknown[] } {
  const site = new TestSite();
  const handler = files({ dir: site.root, ...options }, handlerKernel);
  const errors: unknown[] = [];
  const error = (thrown: unknown): void => void errors.push(thrown);
  const server = serve({ host: "127.0.0.1", port: 0, handler, error });
  return {
    site,
    server,
    errors,
    async [Symbol.asyncDispose]() {
      await server.stop(0);
      handler.close();
      site[Symbol.dispose]();
    },
  };
}

describe("files to curl", { skip: needs("curl"), ...limits }, () => {
  /** Runs curl. The server is in this process. */
  async function curl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await new Program("curl", ["-sS", "-m", "10", ...args]).ended;
    assert.equal(code, 0, stderr);
    return stdout;
  }

  test("a download arrives, and an interrupted one is resumed", async () => {
    await using at = served();
    using to = folder();
    const url = `http://127.0.0.1:${at.server.port}/data.bin`;
    const path = join(to.path, "data");
    await curl("-o", path, url);
    assert.ok(readFileSync(path).equals(DATA));
    truncateSync(path, 100_001);
    await curl("-C", "-", "-o", path, url);
    assert.ok(readFileSync(path).equals(DATA));
  });

  test("a precompressed file is sent, and decoded to the content of the file", async () => {
    await using at = served();
    writeFileSync(join(at.site.root, "text.txt"), "plain text\n");
    writeFileSync(join(at.site.root, "text.txt.gz"), gzipSync("plain text\n"));
    const url = `http://127.0.0.1:${at.server.port}/text.txt`;
    assert.equal(await curl("-H", "Accept-Encoding: gzip", "--compressed", url), "plain text\n");
    assert.match(
      await curl("-I", "-H", "Accept-Encoding: gzip", url),
      /^Content-Encoding: gzip\r$/m,
    );
  });

  test("curl gets several ranges, a HEAD, a conditional answer, and a 404 for a path with dots", async () => {
    await using at = served();
    const url = `http://127.0.0.1:${at.server.port}`;
    assert.match(await curl("-r", "0-4,7-11", `${url}/hello.txt`), /hello[\s\S]*world/);
    assert.match(
      await curl("-I", `${url}/hello.txt`),
      /^HTTP\/1\.1 200 OK\r\n[\s\S]*Length: 13\r\n/,
    );
    const code = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert.equal(await curl(...code, "-z", "1 Jan 2021", `${url}/hello.txt`), "304");
    assert.equal(await curl(...code, "--path-as-is", `${url}/../outside/secret.txt`), "404");
    assert.equal(await curl("-L", `${url}/dir/sub`), "sub");
  });
});

describe("files", limits, () => {
  /** `listing` is a directory, `real` a file behind a link that only openat can follow. */
  const PATHS = { file: "/hello.txt", listing: "/dir/", real: "/link-absolute-in" } as const;
  const failures: readonly (readonly [
    call: "openat2" | "openat" | "statx" | "getdents64",
    errno: keyof typeof ERRNO,
    status: number,
    path?: keyof typeof PATHS,
  ])[] = [
    ["openat2", "EACCES", 403],
    ["openat2", "EMFILE", 503],
    ["openat2", "ENFILE", 503],
    ["openat2", "ENOMEM", 503],
    ["openat2", "EIO", 500],
    ["openat", "EIO", 500, "real"],
    ["openat", "EMFILE", 503, "real"],
    ["statx", "EIO", 500],
    ["statx", "EACCES", 403],
    ["statx", "EIO", 500, "listing"],
    ["statx", "ENOMEM", 503, "listing"],
    ["getdents64", "EIO", 500, "listing"],
    ["getdents64", "ENOENT", 404, "listing"],
    ["getdents64", "ENOMEM", 503, "listing"],
  ];
  for (const [call, code, status, path = "file"] of failures) {
    test(`${code} of ${call} (${path}) causes a ${status}, is reported with the call, and the next request is served`, async () => {
      let failing = false;
      const { syscall } = kernel.libc;
      const faulty = kernelWith({
        syscall: (number, ...rest) =>
          failing && number === SYS[call] ? -ERRNO[code] : syscall(number, ...rest),
      });
      await using at = served(faulty, { listing: true });
      failing = true;
      const before = readdirSync("/proc/self/fd").length;
      assert.equal((await ask(at.server.port, PATHS[path])).status, status);
      failing = false;
      assert.deepEqual(
        at.errors.map((error) => (error as Error).message),
        status === 500 ? [`${call} ${code}`] : [],
      );
      assert.equal((await ask(at.server.port, "/hello.txt")).body.toString(), HELLO);
      while (at.server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
      assert.ok(readdirSync("/proc/self/fd").length <= before, "a descriptor stayed open");
    });
  }

  test("files with times out of range are listed and sent", async () => {
    const { syscall } = kernel.libc;
    const { view, address } = kernel.scratch;
    const faulty = kernelWith({
      syscall(number, fd, path, flags, mask, buffer, last) {
        const result = syscall(number, fd, path, flags, mask, buffer, last);
        if (number === SYS.statx) {
          view.setBigInt64(Number(buffer) - address + STATX.mtime, -(2n ** 60n), true);
        }
        return result;
      },
    });
    using site = new TestSite();
    const handler = files({ dir: site.root, listing: true }, faulty);
    await using _ = {
      server: serve({ host: "127.0.0.1", port: 0, handler, error: () => {} }),
      async [Symbol.asyncDispose]() {
        await this.server.stop(0);
        handler.close();
      },
    };
    const { port } = _.server;
    assert.match((await ask(port, "/dir/")).body.toString(), /inner\.txt/);
    const { status, headers } = await ask(port, "/hello.txt");
    assert.equal(status, 200);
    assert.equal(headers.get("last-modified"), "Sat, 01 Jan 0000 00:00:00 GMT");
  });

  test("links that change all the time never lead out of the directory", async () => {
    await using at = served();
    const { root, top } = at.site;
    const turn = `
      const { symlinkSync, renameSync, mkdirSync } = require("node:fs");
      const [root, outside] = process.argv.slice(1);
      process.stdin.on("data", () => process.exit(0));
      console.log("turning");
      const turn = (i) => {
        for (let k = 0; k < 200; k++, i++) {
          const to = i % 2 === 0 ? outside : root + "/dir";
          symlinkSync(to, root + "/turning.new");
          renameSync(root + "/turning.new", root + "/turning");
        }
        setImmediate(turn, i);
      };
      turn(0);`;
    writeFileSync(join(root, "dir", "secret.txt"), "harmless");
    await using turner = new Program(process.execPath, ["-e", turn, root, join(top, "outside")]);
    await turner.waitFor(/turning/);
    const seen = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const { status, body } = await ask(at.server.port, "/turning/secret.txt");
      seen.add(`${status} ${body}`);
    }
    assert.ok(![...seen].some((answer) => answer.includes(SECRET)), [...seen].join("\n"));
    turner.child.stdin?.write("end\n");
    await turner.ended;
  });

  test("the reply is cut off if the file is truncated while it is sent", async () => {
    await using at = served();
    const path = join(at.site.root, "shrinking");
    writeFileSync(path, Buffer.alloc(30_000_000, 1));
    const client = new Client(at.server.port);
    client.send("GET /shrinking HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until(({ text }) => text.length > 1000);
    client.socket.pause();
    truncateSync(path, 10);
    client.socket.resume();
    const text = await client.end();
    assert.ok(text.length < 30_000_000, "it received more bytes than the file had");
    assert.equal((await ask(at.server.port, "/hello.txt")).status, 200);
  });

  test("ranges of a file of 5 GiB are served", async () => {
    await using at = served();
    const path = join(at.site.root, "sparse");
    writeFileSync(path, "");
    truncateSync(path, 5 * 2 ** 30);
    const { status, headers, body } = await ask(at.server.port, "/sparse", {
      headers: { Range: "bytes=-3" },
    });
    assert.deepEqual([status, body.length], [206, 3]);
    assert.equal(headers.get("content-range"), "bytes 5368709117-5368709119/5368709120");
    const head = await ask(at.server.port, "/sparse", { method: "HEAD" });
    assert.equal(head.headers.get("content-length"), "5368709120");
  });

  test("requests after a file are answered after it, however the stream is split", async () => {
    await using at = served();
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const post = "POST /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    const requests = [get("/data.bin"), get("/hello.txt"), post, get("/data.bin"), get("/empty")];
    const all = requests.join("");
    const firsts = requests.map((_, i) => requests.slice(0, i + 1).join("").length);
    const bodies = [DATA.toString("latin1"), HELLO, "405 Method Not Allowed\n"];
    const whole = bodies.join("").length + DATA.length;
    // In one piece; each after the answer to the one before; and split in the middle of each.
    for (const cuts of [[all.length], firsts, firsts.map((end) => end - 9).concat(all.length)]) {
      const client = new Client(at.server.port);
      let from = 0;
      for (const to of cuts) {
        client.send(all.slice(from, to));
        from = to;
        const answered = firsts.filter((end) => end <= to).length;
        await client.until(({ text }) => text.split("HTTP/1.1 ").length > answered);
      }
      await client.until(({ text }) => text.length > whole && text.endsWith("\r\n\r\n"));
      const statuses = client.text.match(/(?<=HTTP\/1\.1 )\d+/g);
      assert.deepEqual(statuses, ["200", "200", "405", "200", "200"], String(cuts));
      for (const body of bodies) assert.ok(client.text.includes(`\r\n\r\n${body}`), String(cuts));
      client.socket.destroy();
    }
  });

  test("a file that replaces another one is sent at once, with its own validators", async () => {
    await using at = served();
    const path = join(at.site.root, "changing.txt");
    const tags = new Set<string>();
    for (const content of ["first", "second", "longer than that"]) {
      writeFileSync(`${path}.new`, content);
      renameSync(`${path}.new`, path);
      for (let i = 0; i < 2; i++) {
        const { headers, body } = await ask(at.server.port, "/changing.txt");
        assert.equal(body.toString(), content);
        assert.equal(headers.get("content-length"), String(content.length));
        // The tag of the same file is weak at first.
        tags.add((headers.get("etag") as string).replace("W/", ""));
      }
    }
    assert.equal(tags.size, 3);
    rmSync(path);
    assert.equal((await ask(at.server.port, "/changing.txt")).status, 404);
  });

  test("many concurrent requests get their own files, and no descriptor stays open", async () => {
    await using at = served();
    const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
    await ask(at.server.port, "/hello.txt");
    const before = readdirSync("/proc/self/fd").length;
    const asked = Array.from({ length: 60 }, (_, i) =>
      ask(at.server.port, i % 3 === 0 ? "/nothing" : i % 3 === 1 ? "/data.bin" : "/hello.txt"),
    );
    for (const [i, { body }] of (await Promise.all(asked)).entries()) {
      if (i % 3 === 1) assert.equal(hash(body), hash(DATA));
      if (i % 3 === 2) assert.equal(body.toString(), HELLO);
    }
    while (at.server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(readdirSync("/proc/self/fd").length <= before + 1, "descriptors stayed open");
  });
});
