/** The access log: a line for whatever came, which nothing that came can break. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { AccessLog, type AccessLogOptions, type HttpOptions } from "../../../src/http/index.ts";
import type { Case, Suite } from "../../suite.ts";
import { type Client, GET, LAST, served } from "./client.ts";

const LOCAL = "127.0.0.1";
const TIME = String.raw`\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\]`;

const handler: HttpOptions["handler"] = ({ path }, reply) => {
  if (path === "/stream") reply.begin().end("abcde");
  else if (path !== "/never") reply.status(path === "/none" ? 204 : 200).send("hello");
};

/** Serves with a log, and gives the case its lines once the log is closed. */
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
    "combined, unless something else is asked for: with what came from the client escaped",
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
    "common: what has no body has a dash, what goes in chunks its bytes, what was no request a dash",
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
          '"-" 408 -',
          '"GET /never HTTP/1.1" 499 -',
        ],
      );
    },
  ),
  logged(
    "json: an object a line",
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
    "a file that was moved away is left where it is when the log is opened anew",
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
    name: "a file that cannot be opened is the error of who asked for it, and so is a format",
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
      "a log that throws is told of, and the client has its answer",
      { handler, log, error: (error) => void thrown.push((error as Error).message) },
      async (_, client) => {
        assert.match(await client().send(`${GET}${LAST}`).end(), /hello.*hello$/s);
        assert.deepEqual(thrown, ["no paper", "no paper"]);
      },
    );
  })(),
  {
    name: "a full disk is warned of once, and no reason to stop serving",
    async run() {
      const warnings: string[] = [];
      const hear = (warning: Error) => void warnings.push(warning.message);
      process.on("warning", hear);
      try {
        const log = new AccessLog({ to: "/dev/full" });
        const { run } = served("full", { handler, log }, async (_, client) => {
          for (let i = 0; i < 400; i++) await client().send(LAST).end();
          while (warnings.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
          assert.match(await client().send(LAST).end(), /hello$/);
        });
        await run();
        assert.deepEqual(warnings.length, 1);
        assert.match(warnings[0] as string, /^The access log cannot be written: .*no space left/i);
      } finally {
        process.off("warning", hear);
      }
    },
  },
];

export function httpLoggingConformance(): Suite {
  return { title: "HTTP access log", cases };
}
