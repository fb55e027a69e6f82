import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  assertRefused,
  folder,
  MAIN,
  needs,
  Program,
  polloi,
  serving,
} from "../../../../test/support/processes.ts";
import { CASE_TIMEOUT_MS, SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { CLOSED_PORT } from "../../../polloi/test/support/closed-port.ts";
import {
  errorsText,
  msText,
  reportText,
  showProgress,
  sparkline,
} from "../../src/cli/load-output.ts";
import { type LoadReport, type LoadRun, type LoadSnapshot, load } from "../../src/load/index.ts";
import { INITIAL_SNAPSHOT } from "../../src/load/report.ts";

const limits = { timeout: CASE_TIMEOUT_MS };

/** A server that reads everything and answers nothing. */
async function mute(): Promise<Server & { at: number; [Symbol.dispose](): void }> {
  const server = createServer((socket) => void socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const at = (server.address() as AddressInfo).port;
  return Object.assign(server, { at, [Symbol.dispose]: () => void server.close() });
}

/** An echo server in its own process, for most of the tests. */
let echo: Awaited<ReturnType<typeof serving>>;
before(async () => {
  echo = await serving("echo");
});
after(async () => await echo[Symbol.asyncDispose]());

describe("polloi load", { timeout: SUITE_TIMEOUT_MS }, () => {
  test("--json prints exactly one object, with the documented properties", limits, async () => {
    const server = echo;
    const args = `load tcp://127.0.0.1:${server.at} -c 20 --messages 200 --pipeline 2 --json`;
    const { code, stdout, stderr } = await polloi(args).ended;
    assert.equal(stderr, "");
    const report = JSON.parse(stdout) as LoadReport;
    const { target, mode, connections, messages, bytes, errors, mismatches, latencyMs } = report;
    assert.deepEqual(
      { target, mode, connections, messages, bytes, errors, mismatches },
      {
        target: `tcp://127.0.0.1:${server.at}`,
        mode: "closed",
        connections: 20,
        messages: 200,
        bytes: 12_800,
        errors: {},
        mismatches: 0,
      },
    );
    assert.ok(report.messagesPerSecond > 0);
    assert.deepEqual(Object.keys(report).slice(0, 4), ["target", "mode", "connections", "rate"]);
    const figures = ["p50", "p90", "p99", "p99.9", "p99.99", "max"] as const;
    for (const [i, name] of figures.entries()) {
      assert.ok(latencyMs[name] >= latencyMs[figures[i - 1] ?? name], JSON.stringify(latencyMs));
    }
    assert.equal(code, 0);
  });

  test("prints messages, latency, mode and errors", limits, async () => {
    const server = echo;
    const args = `load tcp://127.0.0.1:${server.at} -c 3 --rate 500 --duration 300ms --quiet`;
    const { code, stdout, stderr } = await polloi(args).ended;
    assert.match(stdout, /^tcp:\/\/127\.0\.0\.1:\d+ {2}3 connections, \d\.\d\d s, \w+\n/);
    assert.match(stdout, /\n {2}messages +\d+, \d+ a second of 500, [\d.]+ (Ki)?B received\n/);
    assert.match(
      stdout,
      /\n {2}latency +p50 [\d.]+ {2}p90 .* {2}p99\.99 [\d.,]+ {2}max [\d.,]+ ms\n/,
    );
    assert.match(stdout, /\n +fixed rate: .*corrected for coordinated omission/);
    assert.match(stdout, /\n {2}connect +p50 .*; 3 opened in/);
    assert.match(stdout, /\n {2}mismatches +none\n {2}unanswered +0\n {2}errors +none\n/);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });

  test("loads an HTTP server, and prints the statuses", limits, async () => {
    await using server = await serving("http");
    const args = `load http://127.0.0.1:${server.at}/ -c 4 --messages 40 --quiet`;
    const { code, stdout } = await polloi(args).ended;
    assert.match(stdout, /\n {2}requests +40, /);
    assert.match(stdout, /\n {2}statuses +200: 40\n$/);
    assert.equal(code, 0);
  });

  test(
    "--data sends a file, --from sets local addresses, --workers uses threads",
    limits,
    async () => {
      using at = folder();
      const path = join(at.path, "message");
      writeFileSync(path, "what is in the file\n");
      const server = echo;
      const how = `--data ${path} --from 127.0.0.2,127.0.0.3 --workers 2 --think 1ms --ramp 20ms`;
      const args = `load tcp://127.0.0.1:${server.at} -c 4 --messages 12 ${how} --json`;
      const { code, stdout } = await polloi(args).ended;
      const report = JSON.parse(stdout) as LoadReport;
      assert.deepEqual([report.messages, report.bytes, report.threads], [12, 12 * 20, 2]);
      assert.equal(code, 0);
    },
  );

  test("accepts a target without a scheme, like connect", limits, async () => {
    for (const target of [`127.0.0.1:${echo.at}`, `localhost:${echo.at}`]) {
      const { code, stdout } = await polloi(`load ${target} -c 2 --messages 4 --json`).ended;
      assert.equal((JSON.parse(stdout) as LoadReport).messages, 4);
      assert.equal(code, 0);
    }
  });

  test(
    "connections that the server closes are reopened, and their number is printed",
    limits,
    async () => {
      const server = createHttpServer((_, response) => {
        response.shouldKeepAlive = false;
        response.end("hello");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const target = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const args = `load ${target} -c 4 --messages 40`;
      const { code, stdout } = await polloi(`${args} --json`).ended;
      const { messages, opened, reopened, errors } = JSON.parse(stdout) as LoadReport;
      assert.deepEqual([messages, opened, reopened, errors], [40, 40, 36, {}]);
      assert.equal(code, 0);
      const text = await polloi(`${args} --quiet`).ended;
      assert.match(text.stdout, /\n {2}connect +.*; 4 opened in .* ms\n/);
      assert.match(text.stdout, /\n {2}reopened +36 connections after a loss\n/);
      server.close();
    },
  );

  test(
    "a number without a unit is in seconds, for every flag that takes a time",
    limits,
    async () => {
      const args = "--duration 0.3 --ramp 0.05 --think 0.01 --timeout 5 -c 2 --json";
      const { code, stdout } = await polloi(`load 127.0.0.1:${echo.at} ${args}`).ended;
      const { elapsedMs, messages } = JSON.parse(stdout) as LoadReport;
      // The difference of two clock readings may have a rounding error.
      assert.ok(Math.round(elapsedMs) >= 300, `${elapsedMs} ms`);
      // Each connection waits ten milliseconds after an answer.
      assert.ok(messages > 0 && messages <= 2 * 31, `${messages} messages`);
      assert.equal(code, 0);
    },
  );

  test(
    "a target without a listener is one line, and with --json in the report, with exit code 1",
    limits,
    async () => {
      const at = CLOSED_PORT;
      const { code, stdout } = await polloi(`load tcp://127.0.0.1:${at} -c 5 --json`).ended;
      const { errors, messages } = JSON.parse(stdout) as LoadReport;
      assert.deepEqual([errors, messages], [{ ECONNREFUSED: 5 }, 0]);
      assert.equal(code, 1);
      const { signal: _, ...text } = await polloi(`load tcp://127.0.0.1:${at} -c 5`).ended;
      assert.deepEqual(text, {
        code: 1,
        stdout: "",
        stderr: `polloi: cannot connect to tcp://127.0.0.1:${at}: connection refused (ECONNREFUSED)\n`,
      });
    },
  );

  test("mismatches are printed, with exit code 1", limits, async () => {
    await using server = await serving("upper");
    const args = `load tcp://127.0.0.1:${server.at} -c 2 --messages 10 --quiet`;
    const { code, stdout } = await polloi(args).ended;
    assert.match(stdout, /\n {2}mismatches +10 corrupted\n/);
    assert.equal(code, 1);
  });

  test("ends when a server does not answer", limits, async () => {
    using server = await mute();
    const args = `load tcp://127.0.0.1:${server.at} -c 3 --timeout 100ms --duration 1h --json`;
    const { code, stdout } = await polloi(args).ended;
    const { errors, unanswered, sent } = JSON.parse(stdout) as LoadReport;
    assert.deepEqual([errors, unanswered, sent], [{ NO_ANSWER: 3 }, 3, 3]);
    assert.equal(code, 1);
  });

  test("Ctrl-C ends it early, with a report", limits, async () => {
    const server = echo;
    await using program = polloi(`load tcp://127.0.0.1:${server.at} -c 5 --duration 1h`);
    await program.waitFor(/\d\.\d s {2}sending {2}5 open {2}[\d,]+ answered {2}[\d,]+\/s/);
    program.signal("SIGINT");
    const { code, signal, stdout, stderr } = await program.ended;
    assert.match(stdout, /^tcp:\S+ {2}5 connections, .*, stopped early\n/);
    assert.match(stderr, /stopping: /);
    assert.deepEqual({ code, signal }, { code: 0, signal: null });
  });

  test("a second Ctrl-C does not wait for answers", limits, async () => {
    using server = await mute();
    const args = `load tcp://127.0.0.1:${server.at} -c 5 --duration 1h --timeout 1h --json`;
    await using program = polloi(args);
    let connected = 0;
    await new Promise<void>((resolve) => {
      server.on("connection", () => ++connected === 5 && resolve());
    });
    const again = setInterval(() => {
      if (program.stdout === "") program.signal("SIGINT");
    }, 100);
    const { code, signal, stdout } = await program.ended;
    clearInterval(again);
    assert.equal((JSON.parse(stdout) as LoadReport).stoppedEarly, true);
    // One more signal may arrive when it has reported and is about to exit.
    assert.ok(code === 0 || code === 1 || signal === "SIGINT", `${code}`);
  });

  test("reports a limit on descriptors before anything is opened", limits, async () => {
    const command = `ulimit -n 500; exec ${process.execPath} ${Program.file(MAIN)} load tcp://127.0.0.1:1 -c 1000`;
    const { code, stdout, stderr } = await new Program("sh", ["-c", command]).ended;
    assert.match(
      stderr,
      /^polloi: cannot load tcp:\/\/127\.0\.0\.1:1: too many open descriptors \(EMFILE\)\nhint: 1000 connections need \d+ descriptors, and the hard limit is 500: .*\n$/,
    );
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  });

  test("a name that does not resolve is reported in one line, with a hint", limits, async () => {
    const { code, stderr } = await polloi("load tcp://no-such-host.invalid:7 --quiet").ended;
    assert.match(stderr, /^polloi: cannot load .*\((ENOTFOUND|EAI_AGAIN)\)\nhint: .+\n$/);
    assert.equal(code, 1);
  });

  const wrong: [args: string, message: RegExp][] = [
    ["", /missing required argument 'target'/],
    [
      "127.0.0.1",
      /^polloi: cannot load "127\.0\.0\.1": the port is missing; give tcp:\/\/HOST:PORT/,
    ],
    ["127.0.0.1:80/path", /^polloi: cannot load "127\.0\.0\.1:80\/path": .*give tcp:\/\/HOST:PORT/],
    ["http://127.0.0.1/a\r\nX:y", /cannot load "http:.*": a path has no line breaks/],
    ["tcp://127.0.0.1:7 --duration fast", /500ms, 10s/],
    ["http://127.0.0.1/ --size 4", /^polloi: cannot load with --size over HTTP: give data/],
    ["tcp://127.0.0.1:7 --rate 5 --think 1", /^polloi: cannot load with a rate and --think/],
    ["tcp://127.0.0.1:7 --rate 0", /above 0/],
    ["tcp://127.0.0.1:7 --rate 99999999999999999999", /up to 1000000000/],
    ["tcp://127.0.0.1:7 --duration 1s --messages 5", /cannot be used with/],
    [
      "tcp://127.0.0.1:7 --engine kqueue",
      /'kqueue' as --engine: give auto, io_uring, epoll, poll or select$/m,
    ],
  ];
  for (const [args, named] of wrong) {
    test(`rejects "load ${args}" with one line`, limits, () =>
      assertRefused(polloi(`load ${args}`.trim()).ended, named),
    );
  }

  test("a missing file is reported in one line", limits, async () => {
    const { code, stderr } = await polloi("load tcp://127.0.0.1:7 --data no-such-file").ended;
    assert.match(stderr, /^polloi: cannot read no-such-file: no such file \(ENOENT\)\n$/);
    assert.equal(code, 1);
  });

  const noScript = needs("script");
  test("a terminal shows the progress, and finally only the report", {
    skip: noScript,
    ...limits,
  }, async () => {
    const server = echo;
    const load = `load tcp://127.0.0.1:${server.at} -c 5 --duration 600ms`;
    const command = `${process.execPath} ${Program.file(MAIN)} ${load}`;
    const { stdout } = await new Program("script", ["-qfec", command, "/dev/null"]).ended;
    assert.match(stdout, /sending +[#.]{20} \d+ %/);
    assert.match(stdout, /connections +5 open of 5, 0 failed/);
    assert.match(stdout, /latency +p50 [\d.]+ {2}p99 [\d.]+ {2}max [\d.,]+ ms {2}[▁-█]+/);
    assert.match(stdout, /errors +none/);
    const last = stdout.slice(stdout.lastIndexOf("\u001b[J"));
    assert.match(last, /messages +[\d,]+, /);
    assert.doesNotMatch(last, /sending/);
  });
});

const ESC = String.fromCharCode(27);
const ERASING = new RegExp(`^${ESC}\\[\\d+A\\r${ESC}\\[J`);
const STYLE = new RegExp(`${ESC}\\[\\d+m`, "g");

/** A terminal that stores the last write. */
class Screen {
  readonly isTTY = true;
  columns: number;
  text = "";

  constructor(columns: number) {
    this.columns = columns;
  }

  write(text: string): void {
    this.text = text;
  }

  /** The lines on the screen, without styles. */
  get lines(): string[] {
    return this.text.replace(ERASING, "").replaceAll(STYLE, "").split("\n");
  }
}

function runWith(snapshot: Partial<LoadSnapshot>): LoadRun {
  const whole: LoadSnapshot = {
    ...INITIAL_SNAPSHOT,
    phase: "sending",
    elapsedMs: 1000,
    ...snapshot,
  };
  const finished = new Promise<LoadReport>(() => {});
  return { finished, snapshot: () => whole, stop() {}, abort() {} };
}

test("progress is never wider than its terminal, and has as many of the latest bars as fit", () => {
  const recentMs = { p50: 0.812, p99: 1234.5, max: 5678 };
  const errors = { ECONNREFUSED: 12_345, ECONNRESET: 99, NO_ANSWER: 1 };
  const run = runWith({ recentMs, errors, messagesPerSecond: 123_456 });
  const options = { target: `tcp://127.0.0.1:7788`, connections: 10_000 };
  for (const columns of [200, 80, 60, 40, 24]) {
    const screen = new Screen(columns);
    const progress = showProgress(options, run, screen);
    for (let i = 0; i < 60; i++) progress.stopping();
    for (const line of screen.lines) assert.ok(line.length < columns, `${columns}: ${line}`);
    const latency = screen.lines.find((line) => line.startsWith("  latency")) ?? "";
    assert.match(latency, /p50/);
    // Of sixty values, as many as fit are shown, and at most 40.
    const bars = /█*$/.exec(latency)?.[0].length ?? 0;
    assert.ok(bars === 0 || bars === 40 || latency.length === columns - 1, `${columns}: ${bars}`);
    progress.end();
  }
});

test("progress shows no latencies when there were no recent answers", () => {
  const screen = new Screen(80);
  const options = { target: "tcp://127.0.0.1:7788" };
  const progress = showProgress(options, runWith({ messagesPerSecond: 0 }), screen);
  const { text } = screen;
  progress.end();
  assert.match(text, /latency +p50 - {2}p99 - {2}max -/);
});

test("all wrapped lines are erased when a terminal became narrower", () => {
  const screen = new Screen(80);
  const run = runWith({ errors: { ECONNREFUSED: 12_345, ECONNRESET: 99 } });
  const progress = showProgress({ target: "tcp://127.0.0.1:7788" }, run, screen);
  const { lines } = screen;
  screen.columns = 30;
  progress.end();
  const rows = lines.slice(0, -1).map((line) => Math.ceil(line.length / 30));
  const sum = rows.reduce((all, each) => all + each, 0);
  assert.ok(sum > lines.length, lines.join("\n"));
  assert.equal(screen.text, `\u001b[${sum}A\r\u001b[J`);
});

test("a report is wrapped at the width of a terminal, and not elsewhere", async () => {
  const server = echo;
  const target = `tcp://127.0.0.1:${server.at}`;
  const report = await load({ target, connections: 2, messages: 4 }).finished;
  const plain = (_: unknown, text: string): string => text;
  assert.equal(reportText(report, plain).split("\n").length, 8);
  const lines = reportText(report, plain, 40).split("\n");
  for (const line of lines) assert.ok(line.length <= 40, line);
  // A name and its figure stay together.
  for (const line of lines) assert.doesNotMatch(line, /p[\d.]+$/);
  const words = (text: string): string => text.replace(/\s+/g, " ");
  assert.equal(words(lines.join("\n")), words(reportText(report, plain)));
});

test("a load without answers has no latency", async () => {
  using server = await mute();
  const options = { connections: 1, messages: 1, timeoutMs: 50 };
  const report = await load({ target: `tcp://127.0.0.1:${server.at}`, ...options }).finished;
  assert.match(
    reportText(report, (_, text) => text),
    /\n {2}latency +none\n/,
  );
});

test("figures have three digits, errors are sorted by number, and bars are relative to the largest", () => {
  assert.deepEqual([0.41234, 1.2345, 12.345, 1234.5].map(msText), [
    "0.412",
    "1.23",
    "12.3",
    "1,235",
  ]);
  assert.equal(errorsText({}), "none");
  assert.equal(
    errorsText({ HTTP_404: 2, ECONNREFUSED: 1200 }),
    "ECONNREFUSED 1,200 (connection refused), HTTP_404 2",
  );
  assert.equal(sparkline([0, 5, 10]), "▁▅█");
  assert.equal(sparkline([0, 0]), "▁▁");
});

test("a finished load does not keep the process alive", limits, async () => {
  const server = echo;
  const { messages } = await load({
    target: `tcp://127.0.0.1:${server.at}`,
    connections: 2,
    messages: 4,
  }).finished;
  assert.equal(messages, 4);
});
