import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  assertRefused,
  exchange,
  folder,
  needs,
  Program,
  polloi,
  portsOf,
  runInProcess,
  serving,
} from "../../../../test/support/processes.ts";
import { CASE_TIMEOUT_MS, SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";

const limits = { timeout: CASE_TIMEOUT_MS };

/** Sends a request with the client of Node. */
function ask(
  where: number | string,
  path = "/",
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  const at = typeof where === "number" ? { port: where, host: "127.0.0.1" } : { socketPath: where };
  return new Promise((resolve, reject) => {
    const asked = request({ ...at, path, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    asked.on("error", reject).end();
  });
}

/** A folder with a page, a file and a directory. */
function siteFolder(): ReturnType<typeof folder> {
  const at = folder();
  writeFileSync(join(at.path, "index.html"), "<h1>home</h1>");
  writeFileSync(join(at.path, "hello.txt"), "hello\n");
  writeFileSync(join(at.path, ".secret"), "secret");
  mkdirSync(join(at.path, "sub"));
  writeFileSync(join(at.path, "sub", "inner.txt"), "inner");
  return at;
}

describe("polloi serve http", { timeout: SUITE_TIMEOUT_MS }, () => {
  test("answers every request with the greeting of the reference text's server", async () => {
    await using program = await serving("http");
    const port = program.at;
    for (const path of ["/", "/anything?x=1"]) {
      const { status, headers, body } = await ask(port, path);
      assert.equal(status, 200);
      assert.equal(body, "Hello, world!");
      assert.equal(headers["content-type"], "text/plain");
      assert.equal(headers["content-length"], "13");
      assert.match(String(headers.date), / GMT$/);
    }
    const old = (await exchange(port, "GET / HTTP/1.0\r\n\r\n")).toString();
    assert.match(old, /^HTTP\/1\.1 200 OK\r\nDate: .*\r\n\r\nHello, world!$/s);
    program.signal("SIGTERM");
    assert.equal((await program.ended).code, 0);
  });

  for (const workers of ["", " --workers 2"]) {
    test(`writes an access log, which SIGHUP reopens${workers}`, async () => {
      using at = folder();
      const path = join(at.path, "access.log");
      await using program = await serving(
        `http --access-log ${path} --log-format common${workers}`,
      );
      await ask(program.at, "/one");
      renameSync(path, `${path}.1`);
      program.signal("SIGHUP");
      // A worker reopens the log at its next request.
      const lines = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");
      let asked = 0;
      while (!lines(path).includes("GET /again")) {
        asked++;
        await ask(program.at, "/again");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      program.signal("SIGTERM");
      assert.equal((await program.ended).code, 0);
      const all = `${lines(`${path}.1`)}${lines(path)}`.split("\n").slice(0, -1);
      assert.equal(all.filter((line) => /"GET \/one HTTP\/1.1" 200 13$/.test(line)).length, 1);
      assert.equal(
        all.filter((line) => /"GET \/again HTTP\/1.1" 200 13$/.test(line)).length,
        asked,
      );
    });
  }

  test("an access log that cannot be written is reported in one line, with exit code 1", async () => {
    await using program = polloi("serve http --port 0 --access-log /no/such/folder/log");
    const { code, stderr } = await program.ended;
    assert.equal(code, 1);
    assert.equal(
      stderr,
      "polloi: cannot write the access log /no/such/folder/log: no such file (ENOENT)\n",
    );
  });

  test("an access log that is a FIFO without a reader is rejected at once, with a hint", async () => {
    using at = folder();
    const path = join(at.path, "fifo");
    execFileSync("mkfifo", [path]);
    await using program = polloi(`serve http --port 0 --access-log ${path}`);
    const { code, stderr } = await program.ended;
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^polloi: cannot write the access log .*fifo: open ENXIO .*\nhint: no process reads this FIFO/,
    );
  });

  test("prints the address, an example, and requests", async () => {
    await using program = polloi("serve http --port 0");
    const [, port] = await program.waitFor(/try it {3}curl http:\/\/127\.0\.0\.1:(\d+)\/\n/);
    await program.waitFor(new RegExp(`^http on 127\\.0\\.0\\.1:${port}\n {2}engine {3}`));
    await ask(Number(port), "/a?b");
    await program.waitFor(/127\.0\.0\.1:\d+ GET \/a\?b\n/);
    program.signal("SIGINT");
    const { code, stdout, stderr } = await program.ended;
    assert.match(stdout, /stopping: SIGINT\nserved 1 connection, 1 request\n$/);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });

  test("with --json every line is JSON, and --quiet leaves the first", async () => {
    await using program = polloi("serve http --port 0 --json");
    await ask(await program.port(), "/x");
    program.signal("SIGTERM");
    const lines = (await program.ended).stdout.trim().split("\n");
    type Line = { event?: string; method?: string; target?: string };
    const events = lines.map((line) => JSON.parse(line) as Line);
    assert.deepEqual(
      events.map(({ event }) => event),
      [undefined, "request", "stopping", "stopped"],
    );
    assert.deepEqual([events[1]?.method, events[1]?.target], ["GET", "/x"]);
    assert.deepEqual(events[3], { event: "stopped", connections: 1, requests: 1 });
    await using quiet = await serving("http");
    await ask(quiet.at);
    quiet.signal("SIGTERM");
    assert.equal((await quiet.ended).stdout.trim().split("\n").length, 1);
  });

  test("--dir serves files, none that are hidden or outside, and lists directories with --listing", async () => {
    using at = siteFolder();
    await using program = await serving(`http --dir ${at.path}`);
    assert.match(program.stdout, new RegExp(`"dir":"${at.path}"`));
    const statuses: Record<string, number> = {};
    const paths = [
      "/",
      "/hello.txt",
      "/.secret",
      "/nothing",
      "/sub/",
      "/sub/inner.txt",
      "/%2e%2e/",
    ];
    for (const path of paths) statuses[path] = (await ask(program.at, path)).status;
    assert.deepEqual(Object.values(statuses), [200, 200, 404, 404, 404, 200, 404]);
    const { headers, body } = await ask(program.at, "/hello.txt");
    assert.deepEqual([headers["content-type"], body], ["text/plain; charset=utf-8", "hello\n"]);
    assert.equal("cache-control" in headers, false);

    await using listing = await serving(
      `http --dir ${at.path} --listing --dotfiles --max-age 2m --engine epoll`,
    );
    assert.match((await ask(listing.at, "/sub/")).body, /<bdi>inner\.txt<\/bdi>/);
    assert.equal((await ask(listing.at, "/.secret")).body, "secret");
    const { headers: aged } = await ask(listing.at, "/hello.txt");
    assert.equal(aged["cache-control"], "max-age=120");
  });

  test("the directory is printed, and a relative one is resolved from the working directory", async () => {
    using at = siteFolder();
    await using program = polloi("serve http --dir sub --port 0", { cwd: at.path });
    const [, port] = await program.waitFor(/files {4}sub\n {2}try it {3}curl http:\/\/\S+:(\d+)\//);
    assert.equal((await ask(Number(port), "/inner.txt")).body, "inner");
  });

  test("--workers serves the same on every thread, and counts requests", async () => {
    using at = siteFolder();
    await using program = polloi(`serve http --dir ${at.path} --workers 2 --port 0`);
    const [, port] = await program.waitFor(/workers {2}2 threads.*\n.*\n.*:(\d+)\/\n/);
    for (let i = 0; i < 10; i++)
      assert.equal((await ask(Number(port), "/hello.txt")).body, "hello\n");
    await program.waitFor(/127\.0\.0\.1:\d+ GET \/hello\.txt\n/);
    program.signal("SIGINT");
    const { code, stdout, stderr } = await program.ended;
    assert.match(stdout, /served 10 connections, 10 requests\n {2}worker 0: \d+ conn/);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });

  test("--unix listens on a path, also with workers, and removes the file", async () => {
    using at = folder();
    const path = join(at.path, "socket");
    for (const flags of ["", " --workers 2"]) {
      await using program = polloi(`serve http --unix ${path}${flags} --quiet`);
      await program.waitFor(new RegExp(`try it {3}curl --unix-socket ${path} http://localhost/`));
      assert.equal((await ask(path)).body, "Hello, world!");
      program.signal("SIGINT");
      assert.equal((await program.ended).code, 0);
      assert.equal(existsSync(path), false);
    }
  });

  test("echo and http are served by one process, with separate counters", async () => {
    await using program = polloi("serve echo,http --port 0 --json --quiet");
    const { echo = 0, http = 0 } = await portsOf(program);
    assert.equal((await exchange(echo, "hi")).toString(), "hi");
    assert.equal((await ask(http)).body, "Hello, world!");
    program.signal("SIGTERM");
    assert.equal((await program.ended).code, 0);

    await using human = polloi("serve echo:0,http:0");
    const [, port] = await human.waitFor(
      /^echo on [\s\S]*nc 127\.0\.0\.1 \d+\nhttp on \S+:(\d+)\n/,
    );
    await ask(Number(port));
    human.signal("SIGINT");
    const { stdout } = await human.ended;
    assert.match(stdout, /echo: served 0 connections, 0 messages, 0 bytes\nhttp: served 1 conn/);
  });

  test("each protocol can have its port, and one in use is reported, with nothing left behind", async () => {
    await using taken = await serving("http");
    const asked = polloi(`serve echo:0,http:${taken.at}`);
    const { code, stdout, stderr } = await asked.ended;
    assert.match(
      stderr,
      new RegExp(
        `^polloi: cannot serve http on 127\\.0\\.0\\.1 port ${taken.at}: the address is in use \\(EADDRINUSE\\)\\nhint: [^\\n]+\\n$`,
      ),
    );
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  });

  test("a directory that cannot be served is reported in one line", async () => {
    using at = siteFolder();
    for (const flags of ["", " --workers 2"]) {
      for (const [name, code] of [
        ["nothing", "ENOENT"],
        ["hello.txt", "ENOTDIR"],
      ]) {
        const dir = join(at.path, name as string);
        const ended = await polloi(`serve http --dir ${dir} --port 0${flags}`).ended;
        assert.match(ended.stderr, new RegExp(`^polloi: .*${dir}: .*\\(${code}\\)\n$`));
        assert.deepEqual([ended.code, ended.stdout], [1, ""]);
      }
    }
  });

  const wrong: [args: string, named: RegExp][] = [
    ["serve http,ecko", /'http,ecko'.*echo, upper, discard or http/],
    ["serve http:99999", /'http:99999'.*0 .*65535/],
    ["serve http:", /'http:'.*0 .*65535/],
    ["serve http,", /'http,'.*echo, upper, discard or http/],
    ["serve --dir x", /--dir is for http.*echo: polloi serve http --dir x$/m],
    ["serve --dir a|b", /: polloi serve http --dir 'a\|b'$/m],
    ["serve upper --access-log -", /--access-log is for http.*polloi serve http --access-log -$/m],
    ["serve upper --listing", /--listing is for http with --dir/],
    ["serve http --listing", /--listing is for http with --dir/],
    ["serve http --dotfiles", /--dotfiles is for http with --dir/],
    ["serve http --max-age 1m", /--max-age is for http with --dir/],
    ["serve http --dir x --max-age soon", /'soon'.*500ms, 10s/],
    ["serve http --delay", /--delay is not for http/],
    ["serve http --unix /a --port 1", /--unix .*cannot be used with.*--port/],
    ["serve http --unix /a --host ::1", /--unix .*cannot be used with.*--host/],
    ["serve echo,http --unix /a", /--unix is for one protocol/],
    ["serve http http", /'http'.*only protocol/],
  ];
  for (const [args, named] of wrong) {
    test(`rejects "${args}" with one line`, () => assertRefused(runInProcess(args), named));
  }

  test("npm start serves echo and http on one reactor", {
    skip: needs("npm"),
    ...limits,
  }, async () => {
    const cwd = fileURLToPath(new URL("../../../../..", import.meta.url));
    await using npm = new Program("npm", ["start", "--", "--port", "0", "--json"], { cwd });
    await npm.waitFor(/"ready":true/);
    const [line = ""] = npm.stdout.split("\n").filter((text) => text.startsWith("{"));
    const { listeners } = JSON.parse(line) as { listeners: { protocol: string; port: number }[] };
    assert.deepEqual(
      listeners.map(({ protocol }) => protocol),
      ["echo", "http"],
    );
    assert.equal((await exchange(listeners[0]?.port ?? 0, "on")).toString(), "on");
    assert.equal((await ask(listeners[1]?.port ?? 0)).body, "Hello, world!");
    npm.signal("SIGTERM");
    await npm.ended;
  });

  test("TCP_NODELAY is set without --delay", {
    skip: needs("strace"),
    ...limits,
  }, async () => {
    using at = folder();
    const log = join(at.path, "calls");
    const main = Program.file("packages/polloi-tools/dist/main.js");
    const calls = ["-f", "-qq", "-e", "trace=setsockopt", "-o", log];
    for (const [flags, on] of [
      ["", true],
      ["--delay", false],
    ] as const) {
      const args = [
        "serve",
        "--port",
        "0",
        "--engine",
        "epoll",
        ...flags.split(" ").filter(Boolean),
      ];
      await using program = new Program("strace", [...calls, process.execPath, main, ...args]);
      await program.waitFor(/nc /);
      assert.equal(/TCP_NODELAY, \[1\]/.test(readFileSync(log, "utf8")), on, flags);
      program.child.stdin?.write("\n");
      await program.ended;
    }
  });
});
