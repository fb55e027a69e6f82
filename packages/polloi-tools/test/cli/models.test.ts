import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  exchange,
  folder,
  MAIN,
  noise,
  Program,
  polloi,
  serving,
} from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { childrenOf, runs } from "../../../polloi/test/pool/test-server.ts";
import { until } from "../../../polloi/test/support/waiting.ts";

/** The flags of each model, and what the last line of `--json` has besides connections, messages and bytes. */
const ASKED: readonly (readonly [flags: string, more: object])[] = [
  ["--model blocking", { exits: 0 }],
  ["--model process", { exits: 0, refusals: 0 }],
  ["--model thread --at-limit close", { exits: 0, refusals: 0 }],
  ["--model prefork --children 2", { exits: 0 }],
  ["--model event --engine poll", {}],
];

/** Flags that exclude each other, and the message. */
const WRONG: readonly (readonly [flags: string, message: RegExp])[] = [
  ["--model event --workers 2", /--model <model>' cannot be used with option '-w, --workers/],
  ["--model thread --engine poll", /--engine is for --model prefork and event/],
  ["--children 2", /--children is for --model prefork/],
  ["--model prefork --at-limit wait", /--at-limit is for --model process and thread/],
  ["--model prefork --children 0", /'0' as --children: give auto .* from 1 to 1024/],
  ["http --model process", /http needs an event loop, which --model process .*prefork or event/],
];

describe("polloi serve --model", { timeout: SUITE_TIMEOUT_MS }, () => {
  for (const [flags, more] of ASKED) {
    test(`${flags}: echoes to several clients, prints its counters, and leaves no process behind`, async () => {
      await using program = polloi(`serve upper ${flags} --port 0 --json`);
      const port = await program.port();
      const [, model] = /--model (\w+)/.exec(flags) as RegExpExecArray;
      assert.match(program.stdout, new RegExp(`^{"ready":true,.*"model":"${model}"`));
      const bytes = noise(300_000);
      const expected = Buffer.from(
        bytes.map((byte) => (byte > 96 && byte < 123 ? byte - 32 : byte)),
      );
      const answers = await Promise.all([1, 2, 3].map(() => exchange(port, bytes)));
      for (const answer of answers) assert.ok(answer.equals(expected));
      const children = childrenOf(program.child.pid);
      program.signal("SIGTERM");
      const { code, stdout, stderr } = await program.ended;
      assert.deepEqual([code, stderr], [0, ""]);
      const {
        event,
        connections,
        bytes: count,
        messages,
        ...others
      } = JSON.parse(stdout.trim().split("\n").at(-1) as string) as Record<string, unknown>;
      assert.deepEqual([event, connections, count], ["stopped", 3, 900_000]);
      assert.ok((messages as number) >= 3);
      assert.deepEqual(others, more);
      assert.deepEqual(children.filter(runs), []);
    });
  }

  test("prints the model, connections, the limit when it is reached, and unexpected exits", async () => {
    await using program = polloi("serve --model process --max-children 1 --port 0");
    const [, port] = await program.waitFor(
      /model {4}process: a process per connection, at most 1 at once; further connections wait\n {2}try it {3}nc 127\.0\.0\.1 (\d+)\n/,
    );
    assert.doesNotMatch(program.stdout, /engine/);
    const first = connect(Number(port), "127.0.0.1");
    first.on("error", () => {});
    first.write("hello");
    await once(first, "data");
    await program.waitFor(/127\.0\.0\.1:\d+ sent 5 bytes: "hello"\n/);
    const second = connect(Number(port), "127.0.0.1");
    await program.waitFor(
      /^polloi: the one process is busy: further connections wait until one ends\nhint: --max-children .*\n/,
    );
    const [pid] = childrenOf(program.child.pid);
    process.kill(pid as number, "SIGKILL");
    await program.waitFor(
      new RegExp(
        `polloi: process ${pid} exited unexpectedly with the connection of 127.0.0.1:${first.localPort}: it was killed by SIGKILL\\n`,
      ),
    );
    second.end("next");
    assert.equal(((await once(second, "data")) as [Buffer])[0].toString(), "next");
    program.signal("SIGINT");
    const { code, stdout } = await program.ended;
    assert.match(stdout, /served 2 connections, \d messages?, \d bytes, 1 exit, 0 refusals\n$/);
    assert.equal(code, 0);
    first.destroy();
  });

  test("http --model prefork: every process answers, logs, reopens its log, and is replaced", async () => {
    using at = folder();
    writeFileSync(join(at.path, "hello.txt"), "hello\n");
    const log = join(at.path, "access.log");
    await using program = polloi(
      `serve http --model prefork --children 2 --share reuseport --port 0 --json --dir ${at.path} --access-log ${log}`,
    );
    const port = await program.port();
    const ask = async (times: number): Promise<void> => {
      const asked = Array.from({ length: times }, () =>
        exchange(port, "GET /hello.txt HTTP/1.0\r\n\r\n"),
      );
      for (const answer of await Promise.all(asked)) assert.match(`${answer}`, /\r\n\r\nhello\n$/);
    };
    const logged = (path: string): number =>
      existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0;
    // Enough for the kernel to distribute them over both.
    await ask(24);
    await until("all requests are logged", () => logged(log) === 24);
    renameSync(log, `${log}.1`);
    program.signal("SIGHUP");
    // A process reopens the log at its next request.
    await until("the log is reopened", async () => {
      await ask(4);
      // The log is written in intervals.
      await sleep(100);
      return logged(log) > 0;
    });
    const [pid] = childrenOf(program.child.pid);
    process.kill(pid as number, "SIGKILL");
    await program.waitFor(
      /exited unexpectedly and is replaced in 50 ms: it was killed by SIGKILL\n/,
    );
    const children = childrenOf(program.child.pid);
    await until("the process is replaced", () => childrenOf(program.child.pid).length === 2);
    // Connections in the backlog of the killed process wait for its replacement.
    await ask(12);
    program.signal("SIGTERM");
    const { code, stdout } = await program.ended;
    const { connections, requests, exits } = JSON.parse(
      stdout.trim().split("\n").at(-1) as string,
    ) as Record<string, number>;
    assert.deepEqual([code, exits, children.filter(runs)], [0, 1, []]);
    // The killed process may not have reported its last numbers.
    assert.ok(Math.min(connections as number, requests as number) >= 24);
  });

  test("a signal that comes while processes start leaves no socket file and no process behind", async () => {
    using at = folder();
    const path = join(at.path, "socket");
    await using program = polloi(`serve --model prefork --children 3 --unix ${path} --grace 1h`);
    // The file exists before the processes do.
    await until("the socket file exists", () => existsSync(path));
    program.signal("SIGTERM");
    const { code, stdout } = await program.ended;
    assert.match(stdout, /stopping: SIGTERM\nserved 0 connections/);
    assert.deepEqual([code, existsSync(path)], [0, false]);
  });

  for (const share of ["exclusive", "reuseport"]) {
    test(`a process that does not respond is reported, and so is its recovery; the others serve: ${share}`, async () => {
      await using program = await serving(`echo --model prefork --children 2 --share ${share}`);
      const [pid = 0] = childrenOf(program.child.pid);
      process.kill(pid, "SIGSTOP");
      await program.waitFor(
        new RegExp(
          `^polloi: process ${pid} has not responded for \\d+ ms, and gets no new connections`,
        ),
      );
      // With reuseport, half of them would go to the stopped process.
      for (let i = 0; i < 10; i++) assert.equal(`${await exchange(program.at, "hi")}`, "hi");
      process.kill(pid, "SIGCONT");
      await program.waitFor(new RegExp(`polloi: process ${pid} responds again, after \\d+ ms\n`));
      program.signal("SIGTERM");
      assert.equal((await program.ended).code, 0);
    });
  }

  test("queued data is still sent after a Ctrl-C, which every process of a terminal receives", async () => {
    for (const model of ["process", "prefork"]) {
      const args = `serve --model ${model} --port 0 --json --quiet`.split(" ");
      // In its own process group, like every command of a terminal.
      const program = spawn(process.execPath, [Program.file(MAIN), ...args], {
        detached: true,
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        const [line] = (await once(program.stdout, "data")) as [Buffer];
        const port = Number(/"port":(\d+)/.exec(line.toString())?.[1]);
        const bytes = noise(2_000_000);
        const slow = connect(port, "127.0.0.1").pause();
        slow.write(bytes);
        await once(slow, "readable");
        process.kill(-(program.pid as number), "SIGINT");
        const parts: Buffer[] = [];
        slow.on("error", () => {});
        slow.on("data", (part) => parts.push(part));
        const [code] = (await once(program, "exit")) as [number | null];
        if (!slow.closed) await once(slow, "close");
        const answer = Buffer.concat(parts);
        assert.ok(answer.length > 0 && answer.equals(bytes.subarray(0, answer.length)));
        assert.equal(code, 0);
      } finally {
        program.kill("SIGKILL");
      }
    }
  });

  test("leaves no process behind when it is killed by SIGKILL: busy, stopped, or starting", async () => {
    for (const model of ["prefork --children 3", "process"]) {
      await using program = await serving(`echo --model ${model}`);
      const clients = [1, 2, 3].map(() => connect(program.at, "127.0.0.1"));
      for (const client of clients) {
        client.on("error", () => {});
        client.write(noise(1_000_000));
      }
      // With a process per connection, they are starting when the parent is killed.
      await until("all processes exist", () => childrenOf(program.child.pid).length === 3);
      const children = childrenOf(program.child.pid);
      if (model !== "process") process.kill(children[0] as number, "SIGSTOP");
      program.signal("SIGKILL");
      await program.ended;
      await until("all processes have ended", () => !children.some(runs));
      for (const client of clients) client.destroy();
    }
  });

  test("flags that exclude each other are rejected with one line", async () => {
    for (const [flags, message] of WRONG) {
      const { code, stdout, stderr } = await polloi(`serve ${flags}`).ended;
      assert.match(stderr, message, flags);
      assert.deepEqual([code, stdout, stderr.split("\n").length], [2, "", 2], flags);
    }
  });

  test("a port in use is reported in one line, with a hint", async () => {
    await using program = await serving("echo --model event");
    const taken = await polloi(`serve --model prefork --port ${program.at}`).ended;
    assert.match(taken.stderr, /^polloi: .*the address is in use \(EADDRINUSE\)\nhint: [^\n]+\n$/);
    assert.deepEqual([taken.code, taken.stdout], [1, ""]);
  });
});
