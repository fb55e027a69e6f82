/** `polloi lab models` and `polloi lab engines`: measurements, reports, and the end of their processes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ENGINES } from "polloi/internal";
import { MODELS } from "polloi/models";
import {
  assertRefused,
  folder,
  MAIN,
  Program,
  polloi,
} from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { enginesLab } from "../../src/lab/engines.ts";
import { modelsLab } from "../../src/lab/models.ts";
import type { ServingCell, ServingResult } from "../../src/lab/serving.ts";
import { servingCell, servingResult, wholeEngines, wholeModels } from "./results.ts";

const limits = { timeout: SUITE_TIMEOUT_MS };
/** As short as possible: these tests check the report, not the figures. */
const SHORT = "--connections 2 --rounds 1 --cell 20ms --patience 20s --limit 5m";

/** A lab whose processes and their children are marked in their environment. */
function marked(args: string): { program: Program; left(): string[] } {
  const mark = `POLLOI_TEST_MARK=${crypto.randomUUID()}`;
  const command = [mark, process.execPath, Program.file(MAIN), "lab", ...args.split(" ")];
  const left = (): string[] =>
    readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => contents(`/proc/${pid}/environ`).includes(mark))
      .map((pid) => `${pid} ${contents(`/proc/${pid}/cmdline`).replaceAll("\0", " ")}`);
  return { program: new Program("env", command), left };
}

function contents(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Checks what every sample has in common. */
function assertSamples({ cells }: ServingResult): void {
  for (const { name, at, samples, absent } of cells) {
    const who = `${name} at ${at}`;
    assert.equal(absent, undefined, `${who}: ${absent?.reason}`);
    assert.equal(samples.length, 1, who);
    for (const sample of samples) {
      assert.equal(sample.opened, at, who);
      assert.equal(sample.answered, name === "blocking" ? 1 : at, who);
      assert.ok(sample.openMs > 0 && sample.openCpuMs > 0 && sample.elapsedMs > 0, who);
      assert.ok(sample.memoryKiB !== null && sample.threads > 0, who);
      assert.deepEqual([sample.failed, sample.mismatches, sample.trouble], [0, 0, undefined], who);
    }
  }
}

describe("polloi lab models", limits, () => {
  test("measures the five models, and leaves no process behind", async () => {
    const { program, left } = marked(`models ${SHORT} --json`);
    const { code, stdout, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.deepEqual(left(), []);
    const result = JSON.parse(stdout) as ServingResult;
    assert.deepEqual(
      result.contenders.map(({ name }) => name),
      [...MODELS],
    );
    assert.equal(result.cells.length, MODELS.length);
    assertSamples(result);
    const processes = (name: string): number | undefined =>
      result.cells.find((cell) => cell.name === name)?.samples[0]?.processes;
    assert.equal(processes("process"), 3);
    assert.equal(processes("event"), 1);
    assert.ok((processes("prefork") ?? 0) > 2);
  });

  test("Ctrl-C ends every process, and shows the samples so far", async () => {
    const { program, left } = marked(
      "models --connections 1 --models event --rounds 900 --cell 30ms",
    );
    // Measuring has begun once a server is running.
    for (let i = 0; i < 1000 && !left().some((line) => line.includes("serving-program")); i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const pid = left()
      .find((line) => line.includes("main.js"))
      ?.split(" ")[0];
    process.kill(Number(pid), "SIGINT");
    const { code, stdout, stderr } = await program.ended;
    assert.equal(code, 130, stderr);
    assert.match(stdout, /^Messages per second/m);
    assert.match(stdout, /^incomplete: interrupted, in round \d+ of 900/m);
    assert.deepEqual(left(), []);
  });

  const wrong: [args: string, named: RegExp, code: number][] = [
    ["lab models --models fork", /'fork'.*blocking, process, thread/, 2],
    ["lab models --connections 0", /'0'.*1 to 28000/, 2],
    ["lab engines --engines kqueue", /'kqueue'.*select, poll, epoll/, 2],
    ["lab models --json no/such/folder.json", /no\/such\/folder.json.*ENOENT/, 1],
  ];
  for (const [args, named, expected] of wrong) {
    test(`refuses "${args}" in one line`, () => assertRefused(polloi(args).ended, named, expected));
  }
});

describe("polloi lab engines", limits, () => {
  test("measures every engine or reports why not, and writes JSON to a file besides its tables", async () => {
    using at = folder();
    const json = join(at.path, "a.json");
    const { program, left } = marked(`engines ${SHORT} --json ${json}`);
    const { code, stdout, stderr } = await program.ended;
    assert.equal(code, 0, stderr);
    assert.deepEqual(left(), []);
    const result = JSON.parse(readFileSync(json, "utf8")) as ServingResult;
    for (const name of ENGINES) {
      const skipped = result.skipped.some((each) => each.name === name);
      const measured = result.contenders.some((each) => each.name === name);
      assert.ok(skipped !== measured, `${name} is neither measured nor skipped`);
    }
    assert.ok(result.contenders.some(({ name }) => name === "epoll-edge"));
    assertSamples(result);
    assert.match(stdout, /^Server CPU time per message in µs/m);
  });

  test("select is measured up to its limit, and left out by name above it", async () => {
    const { code, stdout, stderr } = await polloi(
      "lab engines --engines select --connections 2000 --rounds 1 --cell 20ms --patience 20s",
    ).ended;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^980 +[\d,]+/m);
    assert.match(stdout, /^left out: select at 2,000: select holds descriptors up to 1023/m);
  });
});

describe("the report of a comparison of servers", () => {
  const lines = (result: ServingResult): { findings: string; remarks: string } => {
    const { findings, remarks } = (result.lab === "models" ? modelsLab : enginesLab).report(result);
    return { findings: findings.join("\n"), remarks: remarks.join("\n") };
  };

  test("a server that answered only some connections is reported, marked, and not ranked", () => {
    const { findings, remarks } = lines(wholeModels());
    assert.match(
      findings,
      /^Answered connections: blocking 1 of 10, 1 of 100 and 1 of 1,000; process, thread, prefork and event all\.$/m,
    );
    assert.match(remarks, /^† not every connection was answered/m);
    const report = modelsLab.report(wholeModels());
    assert.match(report.figures[0]?.table.rows[1]?.[1] ?? "", /†$/);
    const answered = report.figures.at(-1)?.table.rows.map((row) => row[1]);
    assert.deepEqual(answered, ["all", "1 of 10", "1 of 100", "1 of 1,000", "-"]);
    const both = servingResult("models", [
      servingCell("blocking", 10, [90_000, 90_000, 90_000], { answered: 1 }),
      servingCell("event", 10, [50_000, 50_000, 50_000]),
    ]);
    assert.doesNotMatch(lines(both).findings, /highest throughput/);
  });

  test("the three sentences depend on the figures", () => {
    const three = (event: number, thread: number): string =>
      lines(
        servingResult("models", [
          servingCell("thread", 100, [thread, thread, thread], { memoryKiB: 980_000 }),
          servingCell("event", 100, [event, event, event], { memoryKiB: 300 }),
        ]),
      ).findings;
    assert.match(
      three(80_000, 20_000),
      /^At 100 connections, event had the highest throughput: .* 4.00 .* that of thread/,
    );
    assert.match(
      three(20_000, 80_000),
      /^At 100 connections, thread had the highest throughput: .* that of event/,
    );
    assert.match(three(50_000, 50_500), /no significant difference from event/);
    assert.match(
      three(1, 1),
      /9.57 MiB with thread \(at 100\); less than 10.2 KiB \(at 100\) with event/,
    );
    assert.match(three(1, 1), /^Every model answered every connection, up to 100\.$/m);
    assert.equal(three(1, 1).split("\n").length, 3);
    assert.equal(enginesLab.report(wholeEngines()).findings.length, 3);
  });

  test("a disturbed cell, or one with a saturated client, is marked, and a comparison with it has a caveat", () => {
    const cells: ServingCell[] = [
      servingCell("poll", 10, [50_000, 50_000, 50_000], { othersOnClient: 0.4 }),
      servingCell("epoll", 10, [90_000, 90_000, 90_000], { clientCpuMs: 970, cpuMs: 600 }),
    ];
    const result = servingResult("engines", cells, { stolen: 0.05 });
    const { findings, remarks } = lines(result);
    assert.match(
      findings,
      /other processes ran on these cores \(~\), so the order is not reliable/,
    );
    assert.match(findings, /the client was the bottleneck \(\*\)/);
    assert.match(
      remarks,
      /^disturbed: in 3 of 6 samples .*, and other machines used 5 % of this one/m,
    );
    assert.match(remarks, /^the client was the bottleneck in 3 of 6 samples/m);
    const [row] = enginesLab.report(result).figures[0]?.table.rows ?? [];
    assert.deepEqual(row, ["10", "50,000 (50,000-50,000)~", "90,000 (90,000-90,000)*"]);
    const quiet = lines(servingResult("engines", [servingCell("poll", 10, [1, 1, 1])]));
    assert.match(quiet.remarks, /^undisturbed: in all 3 samples/m);
    assert.doesNotMatch(quiet.findings + quiet.remarks, /^[~*†]|\(~\)/m);
  });

  test("cells that are left out, incomplete or not pinned are reported, and only a failure fails the run", () => {
    const absent = (name: string, at: number, failed: boolean): ServingCell => ({
      name,
      at,
      samples: [],
      absent: { reason: "no room", failed },
    });
    const cells = [
      servingCell("event", 10, [1, 1, 1]),
      absent("process", 1000, false),
      absent("process", 10_000, false),
    ];
    const result = servingResult("models", cells, {
      notes: ["the time limit was reached"],
      skipped: [{ name: "io_uring", reason: "seccomp" }],
      cores: { server: [0], client: [0], unpinned: "there is one core for both" },
    });
    const { remarks } = lines(result);
    assert.match(remarks, /^left out: process at 1,000 and 10,000: no room$/m);
    assert.match(remarks, /^incomplete: the time limit was reached$/m);
    assert.match(remarks, /^skipped: io_uring: seccomp$/m);
    assert.match(remarks, /^NOT PINNED: there is one core for both/m);
    assert.equal(modelsLab.report(result).failed, false);
    const broken = servingResult("models", [...cells, absent("thread", 10, true)]);
    assert.equal(modelsLab.report(broken).failed, true);
    const wrong = servingResult("models", [servingCell("event", 10, [1], { mismatches: 2 })]);
    assert.equal(modelsLab.report(wrong).failed, true);
    assert.match(lines(wrong).remarks, /^wrong: event at 10: 2 messages came back changed$/m);
  });

  test("a run without any figure has a report", () => {
    const nothing = servingResult("models", [
      {
        name: "event",
        at: 10,
        samples: [],
        absent: { reason: "interrupted", failed: false },
      },
    ]);
    const report = modelsLab.report(nothing);
    assert.deepEqual(report.findings, []);
    assert.equal(report.figures[0]?.chart, undefined);
    assert.deepEqual(report.figures[0]?.table.rows, [["10", "-"]]);
  });
});
