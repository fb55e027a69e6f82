/** The access log: one line for each request, which no request can break. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import {
  type AccessEntry,
  AccessLog,
  type AccessLogOptions,
  type HttpOptions,
} from "../../src/http/index.ts";
import { socketpair } from "../../src/socket/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { Warnings } from "../support/warnings.ts";
import { type Client, GET, LAST, served } from "./client.ts";

const LOCAL = "127.0.0.1";
const TIME = String.raw`\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\]`;

const handler: HttpOptions["handler"] = ({ path }, reply) => {
  if (path === "/stream") reply.begin().end("abcde");
  else if (path !== "/never") reply.status(path === "/none" ? 204 : 200).send("hello");
};

/** Serves with a log, and passes its lines to the case after the log is closed. */
function logged(
  name: string,
  format: AccessLogOptions["format"],
  talk: (client: () => Client, log: AccessLog, path: string) => Promise<void>,
  check: (lines: string[], path: string) => void,
): Case {
  return {
    name,
    async run() {
      const folder = mkdtempSync(join(tmpdir(), "polloi-log-"));
      const path = join(folder, "access.log");
      try {
        const log = new AccessLog({ to: path, ...(format && { format }) });
        const { run } = served(name, { handler, log, headTimeoutMs: 40 }, async (_, client) => {
          await talk(client, log, path);
        });
        await run();
        await log.close();
        check(readFileSync(path, "utf8").split("\n").slice(0, -1), path);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  };
}

const cases: readonly Case[] = [
  logged(
    "combined is the default format: values from the client are escaped",
    undefined,
    async (client) => {
      await client()
        .send(
          LAST.replace("/ ", '/a"b?c=\\ ').replace(
            "\r\n\r\n",
            '\r\nReferer: http://a/\xe9\r\nUser-Agent: me\t"you"\r\n\r\n',
          ),
        )
        .end();
      await client().send(LAST.replace("GET", "HEAD")).end();
    },
    (lines) => {
      assert.equal(lines.length, 2, lines.join("\n"));
      assert.match(
        lines[0] as string,
        new RegExp(
          String.raw`^${LOCAL} - - ${TIME} "GET /a\\x22b\?c=\\x5c HTTP/1\.1" 200 5 "http://a/\\xe9" "me\\x09\\x22you\\x22"$`,
        ),
      );
      assert.match(
        lines[1] as string,
        new RegExp(`^${LOCAL} - - ${TIME} "HEAD / HTTP/1.1" 200 - "-" "-"$`),
      );
    },
  ),
  logged(
    "common: a dash for no body and for an invalid request, and the number of bytes of a chunked body",
    "common",
    async (client) => {
      await client().send(GET.replace("/ ", "/none ")).send(LAST.replace("/ ", "/stream ")).end();
      await client().send("nonsense\r\n\r\n").end();
      await client().send("GET / HTTP/1.1\r\n").end();
      const left = client().send(GET.replace("/ ", "/never "));
      await new Promise((resolve) => setTimeout(resolve, 20));
      left.socket.destroy();
      await new Promise((resolve) => setTimeout(resolve, 20));
    },
    (lines) => {
      const start = new RegExp(`^${LOCAL} - - ${TIME} `);
      assert.deepEqual(
        lines.map((line) => line.replace(start, "")),
        [
          '"GET /none HTTP/1.1" 204 -',
          '"GET /stream HTTP/1.1" 200 5',
          '"-" 400 -',
          '"GET / HTTP/1.1" 408 -',
          '"GET /never HTTP/1.1" 499 -',
        ],
      );
    },
  ),
  logged(
    "json: one object per line",
    "json",
    async (client) => void (await client().send(LAST).end()),
    (lines) => {
      assert.equal(lines.length, 1);
      const { time, durationMs, ...rest } = JSON.parse(lines[0] as string);
      assert.ok(Math.abs(Date.parse(time) - Date.now()) < 60_000);
      assert.ok(durationMs >= 0 && durationMs < 60_000);
      assert.deepEqual(rest, {
        remoteAddress: LOCAL,
        method: "GET",
        target: "/",
        status: 200,
        bytes: 5,
        version: "1.1",
        host: "a",
      });
    },
  ),
  logged(
    "reopening the log leaves a file that was moved where it is",
    "common",
    async (client, log, path) => {
      await client().send(LAST).end();
      renameSync(path, `${path}.1`);
      log.reopen();
      await client().send(LAST.replace("/ ", "/after ")).end();
    },
    (lines, path) => {
      const all = [...readFileSync(`${path}.1`, "utf8").split("\n").slice(0, -1), ...lines];
      assert.equal(all.length, 2, all.join("\n"));
      assert.match(lines.at(-1) as string, /"GET \/after /);
    },
  ),
  {
    name: "a file that cannot be opened and an unknown format throw in the constructor",
    run() {
      assert.throws(() => new AccessLog({ to: "/no/such/folder/log" }), { code: "ENOENT" });
      assert.throws(() => new AccessLog({ format: "fancy" as "json" }), {
        code: "ERR_INVALID_OPTION",
        message: /"fancy".*"common", "combined" or "json"/,
      });
    },
  },
  (() => {
    const thrown: unknown[] = [];
    const log = { write: () => assert.fail("no paper") };
    return served(
      "a log that throws is reported, and the client gets its answer",
      { handler, log, error: (error) => void thrown.push((error as Error).message) },
      async (_, client) => {
        assert.match(await client().send(`${GET}${LAST}`).end(), /hello.*hello$/s);
        assert.deepEqual(thrown, ["no paper", "no paper"]);
      },
    );
  })(),
  {
    name: "a full disk causes one warning, and the server continues",
    async run() {
      using warnings = new Warnings();
      const log = new AccessLog({ to: "/dev/full" });
      const { run } = served("full", { handler, log }, async (_, client) => {
        for (let i = 0; i < 400; i++) await client().send(LAST).end();
        while (warnings.all.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        assert.match(await client().send(LAST).end(), /hello$/);
      });
      await run();
      assert.deepEqual(warnings.all.length, 1);
      assert.match(
        warnings.all[0]?.message ?? "",
        /^The access log cannot be written: .*no space left/i,
      );
    },
  },
];

/** Requests that are refused before the head is complete, and the part of the request line that is logged. */
const REFUSED: readonly (readonly [sent: string, line: string, entry: object])[] = [
  ["GET /a HTTP/1.1\r\n\r\n", "GET /a HTTP/1.1", { method: "GET", target: "/a", version: "1.1" }],
  [
    "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n",
    "POST /b HTTP/1.1",
    { method: "POST", target: "/b", version: "1.1" },
  ],
  [
    `GET /c HTTP/1.0\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
    "GET /c HTTP/1.0",
    { method: "GET", target: "/c", version: "1.0" },
  ],
  [`GET /${"x".repeat(9000)} HTTP/1.1\r\n\r\n`, "GET", { method: "GET" }],
  ["GET /d HTTP/2.0\r\n\r\n", "GET /d", { method: "GET", target: "/d" }],
  ["GET /e", "GET", { method: "GET" }],
  [
    "GET /f HTTP/1.1\r\nHost: a\r\n",
    "GET /f HTTP/1.1",
    { method: "GET", target: "/f", version: "1.1" },
  ],
  ["nonsense\r\n\r\n", "-", {}],
  [`${GET}\n`, "-", {}],
  ["\r\n\r\n\r\n\r\n\r\n\r\n", "-", {}],
];

const refused: readonly Case[] = (["common", "json"] as const).map((format) =>
  logged(
    `the known fields of a refused request are logged: ${format}`,
    format,
    async (client) => {
      for (const [sent] of REFUSED) await client().send(sent).end();
    },
    (lines) => {
      // The valid request does not count.
      const rest = lines.filter((line) => !/ 200 |"status":200/.test(line));
      assert.equal(rest.length, REFUSED.length, rest.join("\n"));
      for (const [i, [, expected, entry]] of REFUSED.entries()) {
        if (format === "common") {
          assert.equal(/"([^"]*)"/.exec(rest[i] as string)?.[1], expected);
        } else {
          const { method, target, version } = JSON.parse(rest[i] as string);
          assert.deepEqual(JSON.parse(JSON.stringify({ method, target, version })), entry);
        }
      }
    },
  ),
);

/** The bytes that a client sends before it disconnects, and the logged request line; undefined if none is logged. */
const LEFT: readonly (readonly [sent: string, line: string | undefined])[] = [
  ["", undefined],
  ["\r\n", undefined],
  ["G", "-"],
  ["GET", "-"],
  ["GET /a", "GET"],
  ["GET /b ", "GET /b"],
  ["GET /c HTTP/1.0\r", "GET /c"],
  ["GET /d HTTP/1.0\r\n", "GET /d HTTP/1.0"],
  ["POST /e HTTP/1.1\r\nHost: a\r\nContent-Le", "POST /e HTTP/1.1"],
  [`${GET}GET /f HT`, "GET /f"],
];

const leaving: readonly Case[] = (["ends its half", "resets"] as const).map((how) => {
  const entries: AccessEntry[] = [];
  const log = { write: (entry: AccessEntry) => void entries.push(entry) };
  return served(
    `a client that disconnects in the middle of a head is logged with its known fields: it ${how}`,
    { handler, log },
    async (server, client) => {
      for (const [sent, line] of LEFT) {
        entries.length = 0;
        const one = client();
        await new Promise((resolve) => one.socket.once("connect", resolve));
        if (sent !== "") one.send(sent);
        const { connections } = server.counts;
        // When a later request is answered, these bytes have arrived.
        const last = client();
        await last.send(LAST).end();
        // Otherwise the server keeps the connection until the time for the peer's end is over.
        last.socket.destroy();
        if (sent.startsWith(GET)) await one.until(({ text }) => text.endsWith("hello"));
        if (how === "resets") one.socket.resetAndDestroy();
        else one.socket.end();
        while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
        assert.ok(server.counts.connections > connections);
        const left = entries.filter(({ status }) => status !== 200);
        assert.equal(left.length, line === undefined ? 0 : 1, JSON.stringify(sent));
        for (const { request, method = "-", target, version, bytes, durationMs } of left) {
          const parts = [method, target, version === undefined ? undefined : `HTTP/1.${version}`];
          assert.equal(parts.filter((part) => part !== undefined).join(" "), line);
          assert.deepEqual([request, left[0]?.status, bytes], [null, 499, 0]);
          assert.ok(durationMs > 0 && durationMs < 60_000, `${durationMs} ms`);
        }
      }
    },
  );
});

const timedOut: readonly Case[] = [
  (() => {
    const entries: AccessEntry[] = [];
    const log = { write: (entry: AccessEntry) => void entries.push(entry) };
    return served(
      "a head that takes too long is logged with its duration",
      { handler, log, headTimeoutMs: 100 },
      async (_, client) => {
        for (const sent of ["GET /a HTTP/1.1\r\nHost: a\r\n", `${GET}GET /a HTTP/1.1\r\n`]) {
          entries.length = 0;
          assert.match(await client().send(sent).end(), /HTTP\/1.1 408 /);
          const { method, target, version, status, durationMs } = entries.at(-1) as AccessEntry;
          assert.deepEqual([method, target, version, status], ["GET", "/a", 1, 408]);
          // A clock in milliseconds may be one short.
          assert.ok(durationMs >= 99 && durationMs < 60_000, `${durationMs} ms`);
        }
      },
    );
  })(),
];

/** An entry as a server makes it, of a request with this user agent. */
function entryOf(agent: string): AccessEntry {
  const header = (name: string) => (name === "user-agent" ? agent : undefined);
  const request = { host: "a", header } as unknown as AccessEntry["request"];
  const of = { remoteAddress: LOCAL, status: 200, bytes: 0, durationMs: 0 };
  return { request, method: "GET", target: "/", version: 1, ...of };
}

/** Characters that must be escaped in a log. */
const MARKS = [
  "\x00",
  "\n",
  "\r",
  "\x1b",
  "\x7f",
  "\x80",
  "\x85",
  "\x9b",
  "\x9f",
  "\u2028",
  "\u2029",
  "\ud800",
];

function inFolder(name: string, run: (folder: string) => void | Promise<void>): Case {
  return {
    name,
    async run() {
      const folder = mkdtempSync(join(tmpdir(), "polloi-log-"));
      try {
        await run(folder);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  };
}

/** Runs a function. @returns The warnings. */
async function warningsOf(run: () => Promise<void>): Promise<string[]> {
  using warnings = new Warnings();
  await run();
  await new Promise((resolve) => setTimeout(resolve, 5));
  return warnings.all.map(({ message }) => message);
}

const PROGRAM = fileURLToPath(new URL("./exiting-log.js", import.meta.url));
const RUN = kernel.runtime === "deno" ? ["run", "--allow-all"] : [];

const files: readonly Case[] = [
  ...(["common", "combined", "json"] as const).map((format) =>
    inFolder(`control characters of any kind are escaped: ${format}`, async (folder) => {
      const path = join(folder, "log");
      const log = new AccessLog({ to: path, format });
      for (const mark of MARKS) log.write(entryOf(`a${mark}b`));
      await log.close();
      const text = readFileSync(path, "utf8");
      assert.equal(text.split("\n").length, MARKS.length + 1);
      assert.match(text, /^[ -~\n]*$/);
      if (format !== "json") return;
      const agents = text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line).userAgent);
      assert.deepEqual(
        agents,
        MARKS.map((mark) => `a${mark}b`),
      );
    }),
  ),
  {
    name: "a log that cannot be written closes, and is reported once: a full disk",
    async run() {
      const warnings = await warningsOf(async () => {
        const log = new AccessLog({ to: "/dev/full" });
        for (let i = 0; i < 500; i++) log.write(entryOf("a"));
        await log.close();
        await log.close();
        assert.equal(log.lost, 500);
      });
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] as string, /ENOSPC \/dev\/full: no space left on device$/);
    },
  },
  {
    name: "a log that cannot be written closes, and is reported once: a FIFO whose reader exited",
    async run() {
      const warnings = await warningsOf(async () => {
        const [reader, writer] = socketpair();
        reader.close();
        const log = new AccessLog({ to: writer.fileno() });
        for (let i = 0; i < 500; i++) log.write(entryOf("a"));
        await log.close();
        assert.equal(log.lost, 500);
        writer.close();
      });
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] as string, /EPIPE/);
    },
  },
  {
    name: "a slow reader of the last lines gets every line, and does not block the thread",
    async run() {
      const [reader, writer] = socketpair();
      reader.setBlocking(false);
      const log = new AccessLog({ to: writer.fileno(), format: "common" });
      for (let i = 0; i < 20_000; i++) log.write(entryOf("a"));
      const closed = log.close();
      let lines = 0;
      const read = (): boolean => {
        const bytes = reader.recv(32_768);
        if (bytes === null || bytes.length === 0) return false;
        for (const byte of bytes) if (byte === 10) lines++;
        return true;
      };
      const timer = setInterval(read, 35);
      await closed;
      clearInterval(timer);
      while (read());
      assert.deepEqual([lines, log.lost], [20_000, 0]);
      writer.close();
      reader.close();
    },
  },
  inFolder(
    "a FIFO without a reader is refused at once, and one with a reader is written",
    async (folder) => {
      const path = join(folder, "fifo");
      execFileSync("mkfifo", [path]);
      assert.throws(() => new AccessLog({ to: path }), {
        code: "ENXIO",
        syscall: "open",
        hint: /no process reads this FIFO/,
      });
      const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const log = new AccessLog({ to: path });
      log.write(entryOf("a"));
      await log.close();
      const bytes = Buffer.alloc(1000);
      assert.match(
        bytes.subarray(0, readSync(reader, bytes)).toString(),
        /"GET \/ HTTP\/1\.1" 200/,
      );
      closeSync(reader);
    },
  ),
  inFolder("process.exit loses no line", (folder) => {
    const path = join(folder, "log");
    const { status, stderr } = spawnSync(process.execPath, [...RUN, PROGRAM, path], {
      encoding: "utf8",
    });
    assert.equal(status, 7, stderr);
    assert.equal(readFileSync(path, "utf8").split("\n").length, 301);
  }),
];

export function httpLoggingSuite(): Suite {
  return {
    title: "HTTP access log",
    cases: [...cases, ...refused, ...leaving, ...timedOut, ...files],
  };
}
