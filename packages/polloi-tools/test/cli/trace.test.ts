import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  assertRefused,
  exchange,
  folder,
  MAIN,
  needs,
  noise,
  Program,
  polloi,
  runInProcess,
} from "../../../../test/support/processes.ts";
import { CASE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import type { TraceEvent } from "../../src/trace/event.ts";

const limits = { timeout: CASE_TIMEOUT_MS };

/** More than a socket buffers, so that sends are partial. */
const MUCH = 3_000_000;

/** Starts `polloi trace serve` on a free port. */
async function tracing(args: string): Promise<Program & { at: number }> {
  const program = polloi(`trace serve ${args} --port 0`);
  return Object.assign(program, { at: await program.port() });
}

async function portOfText(program: Program): Promise<number> {
  return Number((await program.waitFor(/nc 127\.0\.0\.1 (\d+)\n/))[1]);
}

/** Stops it. @returns Its trace. */
async function stopped(program: Program): Promise<string> {
  program.signal("SIGTERM");
  const { code, stderr } = await program.ended;
  assert.equal(code, 0);
  return stderr;
}

function eventsIn(text: string): TraceEvent[] {
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as TraceEvent);
}

describe("polloi trace serve", { ...limits }, () => {
  test("prints each turn and call on standard error, in at most 100 columns", async () => {
    await using program = polloi("trace serve echo --engine epoll --port 0");
    const port = await portOfText(program);
    assert.equal((await exchange(port, "hello\n")).toString(), "hello\n");
    const trace = await stopped(program);
    const lines = [
      /^ {2}listener {2}listen\(\d+, 4096\) = 0 +listener is 127\.0\.0\.1:\d+ +[\d.]+ us$/m,
      /^turn 1 {2}[\d.]+ m?s later, woken by node's loop$/m,
      /^ {2}epoll {5}epoll_wait\(\d+, 1024, 0 ms\) = 1 +1 ready +[\d.]+ us$/m,
      /^ {2}listener {2}ready {2}IN +a connection is waiting$/m,
      /^ {2}listener {2}accept4\(.*\) = \d+ +is #1, 127\.0\.0\.1:\d+ +[\d.]+ .s$/m,
      /^ {2}#1 {8}recv\(\d+, 65536\) = 6 +"hello\\n" +[\d.]+ .s$/m,
      /^ {2}#1 {8}send\(\d+, 6, NOSIGNAL\) = 6 +"hello\\n" +[\d.]+ .s$/m,
      /^ {2}#1 {8}close\(\d+\) = 0 +#1: 6 bytes in, 6 out +[\d.]+ .s$/m,
    ];
    for (const line of lines) assert.match(trace, line);
    const long = trace.split("\n").filter((line) => line.length > 100);
    assert.deepEqual(long, []);
    assert.ok(!trace.includes("\u001b"), "it is no terminal");
    // The output of the server is on standard output, without a line for each message.
    assert.match(program.stdout, /stopping: SIGTERM\nserved 1 connection, 1 message, 6 bytes\n$/);
    assert.doesNotMatch(program.stdout, /connected|recv/);
  });

  for (const engine of ["io_uring", "epoll"]) {
    test(`--json on ${engine}: the bytes of all sends and receives add up`, async (t) => {
      await using program = polloi(`trace serve echo --engine ${engine} --port 0 --json --quiet`);
      const refused = await Promise.race([
        program.port().then(() => false),
        program.ended.then(({ stderr }) => /cannot use the engine/.test(stderr)),
      ]);
      if (refused) return t.skip("io_uring does not work here");
      const bytes = noise(MUCH);
      assert.ok(bytes.equals(await exchange(await program.port(), bytes)));
      await program.waitFor(/"call":"close".*"connection":1/);
      const events = eventsIn(await stopped(program));
      const moved = (name: RegExp): number =>
        events
          .filter((it) => it.event === "call" || it.event === "complete")
          .filter(({ call, connection }) => name.test(call) && connection === 1)
          .reduce((sum, { result }) => sum + Math.max(0, result), 0);
      assert.deepEqual([moved(/^recv$/i), moved(/^send$/i)], [MUCH, MUCH]);
      const close = events.find((it) => it.event === "call" && it.call === "close");
      assert.deepEqual(close && "sent" in close && [close.received, close.sent], [MUCH, MUCH]);
    });
  }

  test("--turns ends the trace, and with it the server", async () => {
    using place = folder();
    const path = join(place.path, "trace.json");
    await using program = await tracing(`echo --json --engine epoll --turns 2 -o ${path}`);
    const client = connect(program.at, "127.0.0.1");
    client.on("error", () => {});
    client.on("connect", () => client.resume().write("hello"));
    const { code, stderr } = await program.ended;
    client.destroy();
    assert.equal(code, 0);
    assert.equal(stderr, "");
    const events = eventsIn(readFileSync(path, "utf8"));
    assert.equal(events.filter(({ event }) => event === "turn").length, 2);
    assert.deepEqual(events.at(-1), { ...events.at(-1), reason: "2 turns were traced" });
  });

  test("the server continues and stops normally when the reader of the trace has left", async () => {
    await using program = await tracing("echo --json --engine epoll");
    await program.waitFor(/"call":"listen"/);
    program.child.stderr?.destroy();
    const bytes = noise(MUCH);
    for (let i = 0; i < 2; i++) assert.ok(bytes.equals(await exchange(program.at, bytes)));
    program.signal("SIGTERM");
    assert.equal((await program.ended).code, 0);
  });

  test("strace reports the same calls in the same order with the same results", {
    skip: cannotTrace(),
  }, async () => {
    using place = folder();
    const [ours, theirs] = [join(place.path, "ours"), join(place.path, "theirs")];
    const flags = `-D -f -qq -o ${theirs} -e trace=accept4,recvfrom,sendto`;
    const serve = `trace serve echo --engine epoll --port 0 --json -o ${ours}`;
    await using program = new Program("strace", [
      ...flags.split(" "),
      process.execPath,
      Program.file(MAIN),
      ...serve.split(" "),
    ]);
    assert.equal((await exchange(await program.port(), "hello")).toString(), "hello");
    await stopped(program);
    const names: Readonly<Record<string, string>> = {
      accept4: "accept4",
      recv: "recvfrom",
      send: "sendto",
    };
    const seen = eventsIn(readFileSync(ours, "utf8")).flatMap((it) =>
      it.event === "call" && it.call in names
        ? [`${names[it.call]} ${it.fd} ${it.errno ?? it.result}`]
        : [],
    );
    const line = /^\d+\s+(\w+)\((\d+),.* = (?:-1 )?(\w+)/gm;
    const straced = [...readFileSync(theirs, "utf8").matchAll(line)].map((it) =>
      it.slice(1).join(" "),
    );
    assert.ok(seen.length >= 4, `${seen}`);
    assert.deepEqual(straced, seen);
  });

  const refusals = [
    [
      "serve --workers 2",
      /^polloi: trace shows one event loop in this process: leave out --workers\n$/,
    ],
    ["serve --turns 0", /^polloi: cannot use '0' as --turns: give a whole number from 1 up\n$/],
    ["echo", /^polloi: unknown command 'echo' \(Did you mean trace serve echo\?\)\n$/],
    ["http --turns 3", /^polloi: unknown command 'http' \(Did you mean trace serve http\?\)\n$/],
    [
      "serve --dir public",
      /^polloi: --dir is for http, and this serves echo: polloi trace serve http --dir public\n$/,
    ],
    ["serve --calls (", /^polloi: cannot use '\(' as --calls: give a regular expression, .*\n$/],
    [
      "serve --connection one",
      /^polloi: cannot use 'one' as --connection: give numbers from 1 up, .*\n$/,
    ],
  ] as const;
  for (const [args, message] of refusals) {
    test(`rejects "trace ${args}" with one line`, () =>
      assertRefused(runInProcess(`trace ${args}`), message));
  }

  test("a file that cannot be written is reported in one line", async () => {
    using place = folder();
    const path = join(place.path, "none", "trace");
    const { code, stderr } = await polloi(`trace serve --port 0 -o ${path}`).ended;
    assert.equal(stderr, `polloi: cannot write the trace to ${path}: no such file (ENOENT)\n`);
    assert.equal(code, 1);
  });
});

/** Why strace does not work here, or false. A sandbox may have it and forbid ptrace. */
function cannotTrace(): string | false {
  const missing = needs("strace");
  if (missing !== false) return missing;
  const { status } = spawnSync("strace", ["-o", "/dev/null", "true"]);
  return status === 0 ? false : "strace cannot trace here";
}
