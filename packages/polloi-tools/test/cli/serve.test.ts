import assert from "node:assert/strict";
import { once } from "node:events";
import { openSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type EngineName, probeEngines } from "polloi";
import {
  exchange,
  folder,
  MAIN,
  needs,
  noise,
  Program,
  polloi,
  portsOf,
  serving,
} from "../../../../test/support/processes.ts";
import { CASE_TIMEOUT_MS, SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { ENGINES } from "../../../polloi/test/support/engines.ts";
import { serveTests } from "./serve-tests.ts";

/** More than pipes and sockets buffer. */
const MUCH = 5_000_000;

/** The engine that "auto" selects here. */
const BEST: EngineName = probeEngines().find(({ works }) => works)?.name ?? "select";

const limits = { timeout: CASE_TIMEOUT_MS };

describe("polloi serve", { timeout: SUITE_TIMEOUT_MS }, () => {
  test("prints exactly one line of JSON when it listens", async () => {
    await using program = polloi("serve --port 0 --json --quiet");
    const port = await program.port();
    const listener = { protocol: "echo", host: "127.0.0.1", port, engine: BEST };
    const line = JSON.stringify({ ready: true, listeners: [listener] });
    assert.equal((await exchange(port, "hi")).toString(), "hi");
    program.signal("SIGTERM");
    assert.deepEqual(await program.ended, {
      code: 0,
      signal: null,
      stdout: `${line}\n`,
      stderr: "",
    });
  });

  test("prints the engine, the reason, an example, connections and messages", async () => {
    await using program = polloi("serve --port 0");
    const [, port] = await program.waitFor(/try it {3}nc 127\.0\.0\.1 (\d+)\n/);
    const how = BEST === "io_uring" ? "completion-based" : "edge-triggered";
    await program.waitFor(
      new RegExp(`engine {3}${BEST}, ${how}: the best that works here( \\(not .*\\))?\n`),
    );
    await exchange(Number(port), "hello\u001b[2J\n");
    await program.waitFor(/127\.0\.0\.1:\d+ connected\n/);
    await program.waitFor(/127\.0\.0\.1:\d+ sent 10 bytes: "hello\\u001b\[2J\\n"\n/);
    await program.waitFor(/127\.0\.0\.1:\d+ closed\n/);
    // A long message is shortened.
    await exchange(Number(port), "x".repeat(1000));
    await program.waitFor(/"x{60}" \.\.\.\n/);
    program.signal("SIGINT");
    const { code, stdout, stderr } = await program.ended;
    assert.match(stdout, /stopping: SIGINT\nserved 2 connections, \d+ messages, 1,?010 bytes\n$/);
    assert.equal(stderr, "");
    assert.equal(code, 0);
  });

  test("--quiet omits the lines of connections and messages", async () => {
    await using program = polloi("serve --port 0 --quiet");
    const [, port] = await program.waitFor(/nc 127\.0\.0\.1 (\d+)\n/);
    await exchange(Number(port), "hello");
    program.signal("SIGTERM");
    const { stdout } = await program.ended;
    assert.doesNotMatch(stdout, /connected|sent|closed/);
    assert.match(stdout, /served 1 connection, 1 message, 5 bytes\n$/);
  });

  test("with --json every line is JSON", async () => {
    await using program = polloi("serve upper --port 0 --json");
    await exchange(await program.port(), "hello");
    await program.waitFor(/"event":"close"/);
    program.signal("SIGTERM");
    const { stdout } = await program.ended;
    const lines = stdout.trim().split("\n");
    const events = lines.map((line) => (JSON.parse(line) as { event?: string }).event);
    assert.deepEqual(events, [undefined, "open", "data", "close", "stopping", "stopped"]);
  });

  const choices = [
    ...ENGINES.map(([engine, trigger]) => [engine, trigger, engine] as const),
    ["auto", "level", "epoll"],
    ["auto", "edge", "epoll"],
  ] as const;
  for (const [engine, trigger, chosen] of choices) {
    const flags = `--engine ${engine}${trigger === undefined ? "" : ` --trigger ${trigger}`}`;
    const { reason } = probeEngines().find(({ name }) => name === engine) ?? {};
    test(`${flags}: echoes ${MUCH} bytes to a client that ends first, changes a to z only, discards`, {
      skip: reason ?? false,
      ...limits,
    }, async () => {
      await using program = polloi(`serve echo,upper,discard ${flags} --port 0 --json --quiet`);
      const { echo = 0, upper = 0, discard = 0 } = await portsOf(program);
      const bytes = noise(MUCH);
      assert.ok(bytes.equals(await exchange(echo, bytes)));
      const answer = await exchange(upper, "abc xyz `{ ABC 123 äöü\n");
      assert.equal(answer.toString(), "ABC XYZ `{ ABC 123 äöü\n");
      assert.equal((await exchange(discard, noise(100_000))).length, 0);
      assert.match(program.stdout, new RegExp(`"engine":"${chosen}"`));
      // The engine also watches standard input.
      program.child.stdin?.write("\n");
      assert.equal((await program.ended).code, 0);
    });
  }

  test("upper keeps the order of bytes in a queue of megabytes", async () => {
    await using program = await serving("upper");
    const bytes = Buffer.from("the quick brown fox ".repeat(MUCH / 20));
    const answer = await exchange(program.at, bytes);
    assert.ok(answer.equals(Buffer.from(bytes.toString().toUpperCase())));
  });

  test("a peer that never reads uses bounded memory, and others are served", async () => {
    await using program = await serving("echo");
    const unread = connect(program.at, "127.0.0.1").pause();
    await once(unread, "connect");
    const chunk = noise(65_536);
    // Many times the size of the kernel's buffers.
    const all = 1024 * chunk.length;
    let taken = 0;
    const feed = (): void => {
      unread.write(chunk, () => {
        taken += chunk.length;
        if (taken < all) feed();
      });
    };
    feed();
    // The peer has stalled when nothing more is read from it while others are served.
    for (let still = 0, before = -1; still < 20; before = taken) {
      still = taken === before ? still + 1 : 0;
      assert.ok((await exchange(program.at, chunk)).equals(chunk));
    }
    assert.ok(taken < all / 2, `${taken} bytes were read from a peer that does not read`);
    unread.destroy();
  });

  test("a port in use is reported in one line, with a hint", async () => {
    await using program = await serving("echo");
    const { code, stdout, stderr } = await polloi(`serve --port ${program.at}`).ended;
    assert.match(
      stderr,
      new RegExp(
        `^polloi: cannot serve echo on 127\\.0\\.0\\.1 port ${program.at}: the address is in use \\(EADDRINUSE\\)\\nhint: [^\\n]+ another port \\(--port 0 [^\\n]+\\n$`,
      ),
    );
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });

  test("a host that does not resolve is reported in one line, with a hint", async () => {
    const { code, stderr } = await polloi("serve --host no-such-host.invalid --port 0").ended;
    assert.match(
      stderr,
      /^polloi: .*no-such-host\.invalid.*\((ENOTFOUND|EAI_AGAIN)\)\nhint: .+\n$/,
    );
    assert.equal(code, 1);
  });

  test("an address of another machine is reported in one line, with a hint", async () => {
    const { code, stderr } = await polloi("serve --host 192.0.2.1 --port 0").ended;
    assert.match(stderr, /^polloi: .*\(EADDRNOTAVAIL\)\nhint: .+\n$/);
    assert.equal(code, 1);
  });

  test("listens on a host by name", async () => {
    await using program = await serving("echo --host localhost");
    const [, host = ""] = /"host":"([^"]+)"/.exec(program.stdout) ?? [];
    assert.equal((await exchange(program.at, "hi", { host })).toString(), "hi");
  });

  test("accepts a host in brackets, and a port after it", async () => {
    for (const where of ["[::1]:0", "tcp://[::1]:0", "127.0.0.1:0"]) {
      await using program = polloi(`serve --host ${where} --json --quiet`);
      const port = await program.port();
      const host = where.includes("::1") ? "::1" : "127.0.0.1";
      assert.match(program.stdout, new RegExp(`"host":"${host}"`));
      assert.equal((await exchange(port, "hi", { host })).toString(), "hi");
    }
  });

  test("a full disk under the log is reported once, and the server continues", async () => {
    const main = [process.execPath, Program.file(MAIN)].join(" ");
    using at = folder();
    const path = join(at.path, "socket");
    const line = `${main} serve --unix ${path} > /dev/full`;
    await using program = new Program("sh", ["-c", `exec ${line}`]);
    await program.waitFor(/cannot write to standard output: no space/);
    for (let i = 0; i < 3; i++) {
      const socket = connect(path).end("on");
      assert.equal((await socket.toArray()).toString(), "on");
    }
    program.signal("SIGTERM");
    const { code, stderr } = await program.ended;
    assert.match(stderr, /^polloi: cannot write to standard output: [^\n]*\(ENOSPC\)\n$/);
    assert.equal(code, 0);
  });

  test("accepts --backlog, --delay and --no-delay", async () => {
    for (const flags of ["--backlog 1 --delay", "--backlog 0 --no-delay"]) {
      await using program = await serving(`echo ${flags}`);
      assert.equal((await exchange(program.at, "hi")).toString(), "hi");
    }
  });

  test("--idle-timeout closes an idle connection", async () => {
    await using program = polloi("serve --port 0 --idle-timeout 50ms");
    const [, port] = await program.waitFor(/nc 127\.0\.0\.1 (\d+)\n/);
    const idle = connect(Number(port), "127.0.0.1").resume();
    await once(idle, "close");
    await program.waitFor(/lost: idle ETIMEDOUT/);
  });

  serveTests();

  test("several signals at once, as npm sends them, are one graceful stop", async () => {
    await using program = polloi("serve --port 0 --quiet");
    await program.waitFor(/nc /);
    for (let i = 0; i < 5; i++) program.signal(i % 2 === 0 ? "SIGINT" : "SIGTERM");
    const { code, signal, stdout } = await program.ended;
    assert.match(stdout, /served 0 connections/);
    assert.equal(signal, null);
    assert.equal(code, 0);
  });

  const noScript = needs("script");
  test("Enter at the keyboard stops it", { skip: noScript, ...limits }, async () => {
    const command = `${process.execPath} ${Program.file(MAIN)} serve --port 0`;
    await using terminal = new Program("script", ["-qfec", command, "/dev/null"]);
    await terminal.waitFor(/Ctrl-C or Enter stops it/);
    terminal.child.stdin?.write("\n");
    await terminal.waitFor(/stopping: Enter/);
    assert.equal((await terminal.ended).code, 0);
  });

  for (const { name: engine, works } of probeEngines()) {
    if (!works) continue;
    test(`${engine}: neither the end of a pipe nor /dev/null on stdin stops it`, async () => {
      for (const stdin of ["pipe", "ignore"] as const) {
        const flags = `serve --port 0 --json --quiet --engine ${engine}`;
        await using program = polloi(flags, { stdin });
        const port = await program.port();
        program.child.stdin?.end("no newline");
        // A stop would take effect before a later connection is answered.
        for (let i = 0; i < 3; i++) assert.equal((await exchange(port, "on")).toString(), "on");
      }
    });
  }

  test("a file on stdin does not stop it", async () => {
    using at = folder();
    const path = join(at.path, "lines");
    writeFileSync(path, "a line\n");
    await using program = polloi("serve --port 0 --json", { stdin: openSync(path, "r") });
    const port = await program.port();
    for (let i = 0; i < 3; i++) assert.equal((await exchange(port, "on")).toString(), "on");
  });

  test("npm start serves, and forwards a signal", { skip: needs("npm"), ...limits }, async () => {
    const cwd = fileURLToPath(new URL("../../../../..", import.meta.url));
    await using npm = new Program("npm", ["start", "--", "--port", "0"], { cwd });
    const [, port] = await npm.waitFor(/nc 127\.0\.0\.1 (\d+)\n/);
    assert.equal((await exchange(Number(port), "on")).toString(), "on");
    npm.signal("SIGTERM");
    await npm.ended;
    assert.match(npm.stdout, /served 1 connection, 1 message, 2 bytes\n/);
  });

  test("continues when the reader of its log has left", async () => {
    await using program = polloi("serve --port 0");
    const [, port] = await program.waitFor(/nc 127\.0\.0\.1 (\d+)\n/);
    program.child.stdout?.destroy();
    for (let i = 0; i < 3; i++) {
      assert.equal((await exchange(Number(port), "on")).toString(), "on");
    }
    program.signal("SIGTERM");
    assert.equal((await program.ended).code, 0);
  });
});
