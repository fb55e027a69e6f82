import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { listen } from "../src/index.ts";
import { exchange, needs, noise, Program, portOf } from "./processes.ts";
import { CASE_TIMEOUT_MS } from "./suite.ts";

const MAIN = "src/cli/main.ts";
/** Longer than what pipes and sockets hold, so that all of it waits somewhere at some time. */
const MUCH = 5_000_000;

const limits = { timeout: CASE_TIMEOUT_MS };

function polloi(args: string, options?: ConstructorParameters<typeof Program>[2]): Program {
  return Program.node(MAIN, args.split(" "), options);
}

/** A server on a port of its own, and the port. */
async function serving(args: string): Promise<Program & { at: number }> {
  const program = polloi(`serve ${args} --port 0 --json --quiet`);
  return Object.assign(program, { at: await program.port() });
}

function folder(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "polloi-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

describe("polloi", limits, () => {
  test("prints its version", async () => {
    const { code, stdout } = await polloi("--version").ended;
    assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
    assert.equal(code, 0);
  });

  test("without arguments prints the help, with examples", async () => {
    const alone = await Program.node(MAIN).ended;
    const asked = await polloi("--help").ended;
    assert.equal(alone.stdout, asked.stdout);
    assert.match(asked.stdout, /Examples:\n {2}polloi serve /);
    assert.equal(asked.code, 0);
    assert.equal(alone.code, 0);
  });

  const helps = { serve: /--idle-timeout/, connect: /unix socket/, doctor: /--json/ };
  for (const [command, pattern] of Object.entries(helps)) {
    test(`${command} --help tells what it takes`, async () => {
      const { code, stdout } = await polloi(`${command} --help`).ended;
      assert.match(stdout, pattern);
      assert.equal(code, 0);
    });
  }

  const wrong: [args: string, named: RegExp][] = [
    ["serv", /unknown command 'serv' \(Did you mean serve\?\)/],
    ["frobnicate", /unknown command 'frobnicate'/],
    ["--frobnicate", /unknown option '--frobnicate'/],
    ["serve --prot 1", /'--prot' \(Did you mean --port\?\)/],
    ["serve ecko", /'ecko'.*echo, upper, discard/],
    ["serve echo upper", /'upper'.*only protocol/],
    ["serve --port", /--port <port>' argument missing/],
    ["serve --port=", /''.*0 .*65535/],
    ["serve --port 65536", /'65536'.*0 .*65535/],
    ["serve --port -1", /'-1'.*0 .*65535/],
    ["serve --port 0x10", /'0x10'.*0 .*65535/],
    ["serve --port 80.5", /'80.5'.*0 .*65535/],
    ["serve --host=", /''.*name or an IP address/],
    ["serve --engine kqueue", /'kqueue'.*auto, epoll, poll, select/],
    ["serve --trigger sideways", /'sideways'.*level, edge/],
    ["serve --engine poll --trigger edge", /poll edge-triggered: only epoll/],
    ["serve --engine select --trigger edge", /select edge-triggered: only epoll/],
    ["serve --backlog many", /'many'.*whole number from 0/],
    ["serve --backlog -1", /'-1'.*whole number from 0/],
    ["serve --idle-timeout soon", /'soon'.*500ms, 10s/],
    ["serve --idle-timeout 0", /'0'.*500ms, 10s/],
    ["serve --idle-timeout 10d", /'10d'.*500ms, 10s/],
    ["serve --quiet=yes", /--quiet/],
    ["connect", /missing required argument 'host'/],
    ["connect localhost", /missing port.*'localhost'/],
    ["connect localhost 0", /'0'.*1 to 65535/],
    ["connect localhost echo", /'echo'.*1 to 65535/],
    ["connect /run/x 7788", /'\/run\/x' is a unix socket.*7788/],
    ["connect localhost 7788 9", /'9'.*only host and port/],
    ["doctor --verbose", /unknown option '--verbose'/],
    ["doctor now", /'now'/],
  ];
  for (const [args, named] of wrong) {
    test(`refuses "${args}" in one line`, async () => {
      const { code, stdout, stderr } = await polloi(args).ended;
      assert.match(stderr, /^polloi: [^\n]+\n$/);
      assert.match(stderr, named);
      assert.equal(stdout, "");
      assert.equal(code, 2);
    });
  }
});

describe("polloi serve", limits, () => {
  test("prints exactly one line of JSON once it listens", async () => {
    await using program = polloi("serve --port 0 --json --quiet");
    const port = await program.port();
    const listener = { protocol: "echo", host: "127.0.0.1", port, engine: "epoll" };
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

  test("tells a person the engine, why, how to try it, and what happens", async () => {
    await using program = polloi("serve --port 0");
    const [, port] = await program.says(/try it {3}nc 127\.0\.0\.1 (\d+)\n/);
    await program.says(/engine {3}epoll, level-triggered: the best of those that work here\n/);
    await exchange(Number(port), "hello\u001b[2J\n");
    await program.says(/127\.0\.0\.1:\d+ connected\n/);
    await program.says(/127\.0\.0\.1:\d+ sent 10 bytes: "hello\\u001b\[2J\\n"\n/);
    await program.says(/127\.0\.0\.1:\d+ closed\n/);
    program.signal("SIGINT");
    const { code, stdout, stderr } = await program.ended;
    assert.match(stdout, /stopping: SIGINT\nserved 1 connection, 1 message, 10 bytes\n$/);
    assert.equal(stderr, "");
    assert.equal(code, 0);
  });

  test("shortens what it shows of a long message", async () => {
    await using program = polloi("serve --port 0");
    const [, port] = await program.says(/nc 127\.0\.0\.1 (\d+)\n/);
    await exchange(Number(port), "x".repeat(1000));
    await program.says(/"x{60}" \.\.\.\n/);
  });

  test("quiet, has no line for connections and messages", async () => {
    await using program = polloi("serve --port 0 --quiet");
    const [, port] = await program.says(/nc 127\.0\.0\.1 (\d+)\n/);
    await exchange(Number(port), "hello");
    program.signal("SIGTERM");
    const { stdout } = await program.ended;
    assert.doesNotMatch(stdout, /connected|sent|closed/);
    assert.match(stdout, /served 1 connection, 1 message, 5 bytes\n$/);
  });

  test("with --json, every line is JSON", async () => {
    await using program = polloi("serve upper --port 0 --json");
    await exchange(await program.port(), "hello");
    await program.says(/"event":"close"/);
    program.signal("SIGTERM");
    const { stdout } = await program.ended;
    const lines = stdout.trim().split("\n");
    const events = lines.map((line) => (JSON.parse(line) as { event?: string }).event);
    assert.deepEqual(events, [undefined, "open", "data", "close", "stopping", "stopped"]);
  });

  const engines = [
    ["epoll", "level"],
    ["epoll", "edge"],
    ["poll", "level"],
    ["select", "level"],
    ["auto", "level"],
    ["auto", "edge"],
  ] as const;
  for (const [engine, trigger] of engines) {
    const flags = `--engine ${engine} --trigger ${trigger}`;
    test(`${flags}: echoes ${MUCH} bytes to a client that ends first`, async () => {
      await using program = await serving(`echo ${flags}`);
      const bytes = noise(MUCH);
      assert.ok(bytes.equals(await exchange(program.at, bytes)));
      assert.match(
        program.stdout,
        new RegExp(`"engine":"${engine === "auto" ? "epoll" : engine}"`),
      );
    });

    test(`${flags}: answers in capitals, a to z only`, async () => {
      await using program = await serving(`upper ${flags}`);
      const sent = "abc xyz `{ ABC 123 äöü\n";
      const answer = await exchange(program.at, sent);
      assert.equal(answer.toString(), "ABC XYZ `{ ABC 123 äöü\n");
    });

    test(`${flags}: discards, and ends when the client does`, async () => {
      await using program = await serving(`discard ${flags}`);
      assert.equal((await exchange(program.at, noise(100_000))).length, 0);
    });
  }

  test("capitals keep their order in a queue of megabytes", async () => {
    await using program = await serving("upper");
    const bytes = Buffer.from("the quick brown fox ".repeat(MUCH / 20));
    const answer = await exchange(program.at, bytes);
    assert.ok(answer.equals(Buffer.from(bytes.toString().toUpperCase())));
  });

  test("a peer that never reads costs bounded memory, and holds nobody up", async () => {
    await using program = await serving("echo");
    const deaf = connect(program.at, "127.0.0.1").pause();
    await once(deaf, "connect");
    const chunk = noise(65_536);
    // Many times what the kernel's buffers hold.
    const all = 1024 * chunk.length;
    let taken = 0;
    const feed = (): void => {
      deaf.write(chunk, () => {
        taken += chunk.length;
        if (taken < all) feed();
      });
    };
    feed();
    // It has stalled when others are served again and again and nothing more is taken from it.
    for (let still = 0, before = -1; still < 20; before = taken) {
      still = taken === before ? still + 1 : 0;
      assert.ok((await exchange(program.at, chunk)).equals(chunk));
    }
    assert.ok(taken < all / 2, `${taken} bytes were taken from a peer that does not read`);
    deaf.destroy();
  });

  test("a taken port is told in one line, with a hint", async () => {
    await using program = await serving("echo");
    const { code, stdout, stderr } = await polloi(`serve --port ${program.at}`).ended;
    assert.match(
      stderr,
      new RegExp(
        `^polloi: cannot serve echo on 127\\.0\\.0\\.1 port ${program.at}: the address is in use \\(EADDRINUSE\\)\\nhint: [^\\n]+\\n$`,
      ),
    );
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });

  test("a host that does not resolve is told in one line, with a hint", async () => {
    const { code, stderr } = await polloi("serve --host no-such-host.invalid --port 0").ended;
    assert.match(
      stderr,
      /^polloi: .*no-such-host\.invalid.*\((ENOTFOUND|EAI_AGAIN)\)\nhint: .+\n$/,
    );
    assert.equal(code, 1);
  });

  test("an address of another machine is told in one line, with a hint", async () => {
    const { code, stderr } = await polloi("serve --host 192.0.2.1 --port 0").ended;
    assert.match(stderr, /^polloi: .*\(EADDRNOTAVAIL\)\nhint: .+\n$/);
    assert.equal(code, 1);
  });

  test("listens on a host by name", async () => {
    await using program = await serving("echo --host localhost");
    const [, host = ""] = /"host":"([^"]+)"/.exec(program.stdout) ?? [];
    assert.equal((await exchange(program.at, "hi", { host })).toString(), "hi");
  });

  test("takes --backlog, --delay and --no-delay", async () => {
    for (const flags of ["--backlog 1 --delay", "--backlog 0 --no-delay"]) {
      await using program = await serving(`echo ${flags}`);
      assert.equal((await exchange(program.at, "hi")).toString(), "hi");
    }
  });

  test("--idle-timeout closes a connection on which nothing moves", async () => {
    await using program = polloi("serve --port 0 --idle-timeout 50ms");
    const [, port] = await program.says(/nc 127\.0\.0\.1 (\d+)\n/);
    const idle = connect(Number(port), "127.0.0.1").resume();
    await once(idle, "close");
    await program.says(/lost: idle ETIMEDOUT/);
  });

  test("stopped, a connection still gets what is queued for it", async () => {
    await using program = await serving("echo");
    const bytes = noise(2_000_000);
    const slow = connect(program.at, "127.0.0.1").pause();
    slow.write(bytes);
    // The answer has begun to come, and most of it waits in the server or is yet to be read by it.
    await once(slow, "readable");
    program.signal("SIGTERM");
    const parts: Buffer[] = [];
    slow.on("error", () => {});
    slow.on("data", (part) => parts.push(part));
    await once(slow, "close");
    const answer = Buffer.concat(parts);
    assert.ok(answer.length > 0);
    assert.ok(answer.equals(bytes.subarray(0, answer.length)));
    assert.equal((await program.ended).code, 0);
  });

  test("a second Ctrl-C waits for nobody", async () => {
    await using program = polloi("serve --port 0 --quiet");
    const [, port] = await program.says(/nc 127\.0\.0\.1 (\d+)\n/);
    const deaf = connect(Number(port), "127.0.0.1").pause();
    deaf.on("error", () => {});
    await once(deaf, "connect");
    // Until the server holds more for it than it will ever take.
    while (deaf.write(noise(1_000_000)));
    const asked = performance.now();
    program.signal("SIGINT");
    await program.says(/stopping: SIGINT/);
    program.signal("SIGINT");
    assert.equal((await program.ended).code, 0);
    assert.ok(performance.now() - asked < 1900, "it waited for the grace time");
    deaf.destroy();
  });

  const noScript = needs("script");
  test("Enter at the keyboard stops it", { skip: noScript, ...limits }, async () => {
    const command = `${process.execPath} ${Program.file(MAIN)} serve --port 0`;
    await using terminal = new Program("script", ["-qfec", command, "/dev/null"]);
    await terminal.says(/Ctrl-C or Enter stops it/);
    terminal.child.stdin?.write("\n");
    await terminal.says(/stopping: Enter/);
    assert.equal((await terminal.ended).code, 0);
  });

  for (const engine of ["epoll", "poll", "select"]) {
    test(`${engine}: a line on a pipe stops it, the end of the pipe does not`, async () => {
      await using ended = polloi(`serve --port 0 --json --quiet --engine ${engine}`);
      const port = await ended.port();
      ended.child.stdin?.end("no newline");
      // Whatever stops it would be seen before an answer to a connection that came later.
      for (let i = 0; i < 3; i++) assert.equal((await exchange(port, "on")).toString(), "on");
      await using stopped = await serving(`echo --engine ${engine}`);
      stopped.child.stdin?.write("\n");
      assert.equal((await stopped.ended).code, 0);
    });

    test(`${engine}: keeps serving with nothing and with a file on stdin`, async () => {
      using at = folder();
      const path = join(at.path, "lines");
      writeFileSync(path, "a line\n");
      for (const stdin of ["ignore", openSync(path, "r")] as const) {
        const args = ["serve", "--port", "0", "--json", "--engine", engine];
        await using program = Program.node(MAIN, args, { stdin });
        const port = await program.port();
        for (let i = 0; i < 3; i++) assert.equal((await exchange(port, "on")).toString(), "on");
      }
    });
  }

  test("serves on when nobody reads its log any more", async () => {
    await using program = polloi("serve --port 0");
    const [, port] = await program.says(/nc 127\.0\.0\.1 (\d+)\n/);
    program.child.stdout?.destroy();
    for (let i = 0; i < 3; i++) {
      assert.equal((await exchange(Number(port), "on")).toString(), "on");
    }
    program.signal("SIGTERM");
    assert.equal((await program.ended).code, 0);
  });
});

describe("polloi connect", limits, () => {
  test("sends what is piped into it, prints the whole answer, and exits 0", async () => {
    await using server = await serving("upper");
    const client = polloi(`connect 127.0.0.1 ${server.at}`);
    client.child.stdin?.end("hi");
    assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "HI", stderr: "" });
  });

  test(`loses none of ${MUCH} bytes each way, from a pipe or a file`, async () => {
    await using server = await serving("echo");
    using at = folder();
    const [sent, got] = [join(at.path, "sent"), join(at.path, "got")];
    const bytes = noise(MUCH);
    writeFileSync(sent, bytes);
    const main = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1 ${server.at}`;
    for (const line of [
      `cat ${sent} | ${main} | cat > ${got}`,
      `${main} < ${sent} > ${got}`,
      // Its reader stalls first: it is the client's turn to wait.
      `${main} < ${sent} | { read -r _ < ${sent}; cat; } > ${got}`,
    ]) {
      await using shell = new Program("sh", ["-c", `${line}; cmp ${sent} ${got}`]);
      const { code, stdout, stderr } = await shell.ended;
      assert.equal(`${stdout}${stderr}`, "");
      assert.equal(code, 0, line);
    }
  });

  test("an empty input gets an empty answer", async () => {
    await using server = await serving("echo");
    const client = polloi(`connect 127.0.0.1 ${server.at}`, { stdin: "ignore" });
    assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "", stderr: "" });
  });

  test("is interactive: each answer comes while the input is open", async () => {
    await using server = await serving("upper");
    await using client = polloi(`connect localhost ${server.at}`);
    client.child.stdin?.write("one\n");
    await client.says(/ONE\n/);
    client.child.stdin?.write("two\n");
    await client.says(/TWO\n/);
    client.child.stdin?.end();
    assert.equal((await client.ended).code, 0);
  });

  test("ends when the server does, though its input is open", async () => {
    const server = createServer((socket) => socket.end("bye")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = polloi(`connect 127.0.0.1 ${portOf(server)}`);
    const { code, stdout } = await client.ended;
    server.close();
    assert.equal(stdout, "bye");
    assert.equal(code, 0);
  });

  test("stops without complaint when nobody reads its output", async () => {
    await using server = await serving("echo");
    const main = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1 ${server.at}`;
    await using shell = new Program("sh", ["-c", `yes | ${main} | head -n 1`]);
    const { stdout, stderr } = await shell.ended;
    assert.equal(stdout, "y\n");
    assert.equal(stderr, "");
  });

  test("a refused connection is one line, and exit code 1", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const port = portOf(server);
    server.close();
    await once(server, "close");
    const { code, stdout, stderr } = await polloi(`connect 127.0.0.1 ${port}`).ended;
    assert.equal(
      stderr,
      `polloi: cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED)\n`,
    );
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });

  test("a host that does not resolve is one line, and exit code 1", async () => {
    const { code, stderr } = await polloi("connect no-such-host.invalid 7788").ended;
    assert.match(stderr, /^polloi: cannot connect to no-such-host\.invalid:7788: [^\n]+\n$/);
    assert.equal(code, 1);
  });

  test("a reset is one line, and exit code 1", async () => {
    const server = createServer((socket) => socket.on("data", () => socket.resetAndDestroy()));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = polloi(`connect 127.0.0.1 ${portOf(server)}`);
    client.child.stdin?.write("hi");
    const { code, stderr } = await client.ended;
    server.close();
    assert.match(stderr, /^polloi: lost the connection to .*\(ECONNRESET\)\n$/);
    assert.equal(code, 1);
  });

  test("talks to a unix socket, by path and by abstract name", async () => {
    using at = folder();
    const name = `polloi-test-${process.pid}`;
    for (const [path, where] of [
      [join(at.path, "socket"), join(at.path, "socket")],
      [join(at.path, "other"), `unix:${join(at.path, "other")}`],
      [`\0${name}`, `@${name}`],
    ] as const) {
      // Not Node's own server: some versions pad an abstract name with zeros.
      using _server = listen({ path, data: (connection, bytes) => connection.write(bytes) });
      const client = polloi(`connect ${where}`);
      client.child.stdin?.end("hi");
      assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "hi", stderr: "" });
    }
  });
});

describe("polloi doctor", limits, () => {
  test("tells of the machine, one thing a line, aligned", async () => {
    const { code, stdout, stderr } = await polloi("doctor").ended;
    for (const pattern of [
      new RegExp(`^runtime +Node ${process.versions.node}$`, "m"),
      /^kernel +Linux \d+\./m,
      new RegExp(`^architecture +${process.arch}$`, "m"),
      /^libc +(glibc \d+\.\d+|musl)$/m,
      /^FFI \(koffi\) +works$/m,
      /^epoll +works$/m,
      /^poll +works$/m,
      /^select +works$/m,
      /^open descriptors +(\d+|unlimited) \(soft\), (\d+|unlimited) \(hard\)/m,
      /^somaxconn +\d+$/m,
      /^tcp_max_syn_backlog +\d+$/m,
      /^local ports +\d+ to \d+/m,
    ]) {
      assert.match(stdout, pattern);
    }
    const columns = new Set(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.search(/(?<= {2})\S/)),
    );
    assert.equal(columns.size, 1);
    assert.ok(!stdout.includes("\u001b"), "it coloured what no terminal shows");
    assert.equal(stderr, "");
    assert.equal(code, 0);
  });

  test("--json gives the same as data", async () => {
    const { code, stdout } = await polloi("doctor --json").ended;
    const { engines, ffi } = JSON.parse(stdout);
    assert.deepEqual(
      engines.map(({ name, works }: { name: string; works: boolean }) => [name, works]),
      [
        ["epoll", true],
        ["poll", true],
        ["select", true],
      ],
    );
    assert.deepEqual(ffi, { name: "koffi", works: true });
    assert.equal(code, 0);
  });

  test("tells why, where the library does not load", async () => {
    // What koffi loads is not there when its package is looked for and found to be empty.
    using at = folder();
    const hook = join(at.path, "no-koffi.cjs");
    writeFileSync(
      hook,
      `const Module = require("node:module"); const load = Module._load;
       Module._load = (name, ...rest) => {
         if (name === "koffi") throw new Error("no koffi here");
         return load(name, ...rest);
       };`,
    );
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--require", hook, Program.file(MAIN), "doctor"],
      { encoding: "utf8" },
    );
    assert.match(stdout, /^FFI \(koffi\) +does not work: .*no koffi here.*npm install koffi/m);
    assert.match(stdout, /^somaxconn +\d+$/m);
    assert.equal(stderr, "");
    assert.equal(status, 1);
    const served = spawnSync(process.execPath, ["--require", hook, Program.file(MAIN), "serve"], {
      encoding: "utf8",
    });
    assert.match(served.stderr, /^polloi: cannot run: .*no koffi here[^\n]*\n$/);
    assert.equal(served.status, 1);
  });
});
