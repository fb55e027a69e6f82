import assert from "node:assert/strict";
import { test } from "node:test";
import type { IdleCell, IdleResult, IdleSample } from "./idle.ts";
import { idleGrowth, idleLab, idleRemarks } from "./idle-report.ts";

/** Samples with these CPU times, and elapsed times that are longer by a factor. */
function samples(cpuUs: readonly number[], stretch = 1): IdleSample[] {
  return cpuUs.map((each, i) => ({
    round: i + 1,
    events: 100,
    waits: 100,
    cpuUs: each,
    wallUs: each * stretch,
  }));
}

function resultOf(cells: IdleCell[], more: Partial<IdleResult> = {}): IdleResult {
  return {
    lab: "idle",
    format: 1,
    host: {
      cpu: "a processor",
      cores: 2,
      memoryGiB: 4,
      kernel: "6.1",
      runtime: "Node 20",
      polloi: "0.1.0",
      commit: null,
      date: "2026-01-01T00:00:00.000Z",
      command: "polloi lab idle",
      loadAverage: 0,
    },
    settings: {
      active: 1,
      writes: 100,
      sizes: [...new Set(cells.map(({ idle }) => idle))],
      rounds: 3,
      sampleMs: 10,
      pairs: false,
    },
    engines: [...new Set(cells.map(({ engine }) => engine))].map((name) => ({ name, label: name })),
    skipped: [],
    notes: [],
    cells,
    stolen: 0,
    ...more,
  };
}

test("growth is computed round by round, from the first measured size to the last", () => {
  const result = resultOf([
    { engine: "poll", idle: 10, samples: samples([1, 2, 4]) },
    { engine: "poll", idle: 100, samples: samples([10, 10, 20]) },
    { engine: "poll", idle: 1000, samples: [], absent: { reason: "no room", failed: false } },
  ]);
  const [growth] = idleGrowth(result);
  assert.deepEqual(growth, {
    label: "poll",
    from: 10,
    to: 100,
    ratio: { median: 5, min: 5, max: 10 },
  });
});

test("a round that is missing at one size is not compared with another round", () => {
  const late = samples([9, 10, 30, 16]).slice(1);
  const [growth] = idleGrowth(
    resultOf([
      { engine: "poll", idle: 10, samples: samples([1, 2, 3, 4]) },
      { engine: "poll", idle: 100, samples: late },
    ]),
  );
  assert.deepEqual(growth?.ratio, { median: 5, min: 4, max: 10 });
});

test("a figure with half of its rounds disturbed is marked, and the mark is explained", () => {
  const quiet: IdleCell = { engine: "poll", idle: 10, samples: samples([1, 1]) };
  const busy: IdleCell = {
    engine: "epoll",
    idle: 10,
    samples: [...samples([1], 1.2), ...samples([1])],
  };
  const result = resultOf([quiet, busy]);
  assert.deepEqual(idleLab.report(result).figures[0]?.table.rows, [
    ["10", "1.00 (1.00-1.00)", "1.00 (1.00-1.00)~"],
  ]);
  const said = idleRemarks(result).join("\n");
  assert.match(said, /^~ in at least half/m);
  assert.match(said, /^disturbed: 1 of 4 samples/m);
});

test("a run is reported as undisturbed only when every sample was, without steal time", () => {
  const cells: IdleCell[] = [{ engine: "poll", idle: 10, samples: samples([1, 1]) }];
  assert.match(idleRemarks(resultOf(cells)).join("\n"), /^undisturbed: all 2 samples/m);
  const stolen = idleRemarks(resultOf(cells, { stolen: 0.05 })).join("\n");
  assert.match(stolen, /^disturbed: 0 of 2 samples .* other machines used 5 %/m);
});

test("engines that are left out, fail or are skipped are named, and only a failure fails the run", () => {
  const left: IdleCell[] = [1000, 3000, 9000].map((idle) => ({
    engine: "select",
    idle,
    samples: [],
    absent: { reason: "too high", failed: false },
  }));
  const skipped = [{ name: "io_uring", reason: "seccomp" }];
  const lines = idleRemarks(resultOf(left, { skipped, notes: ["to 50 instead"] }));
  assert.ok(lines.includes("left out: select at 1,000, 3,000 and 9,000: too high"));
  assert.ok(lines.includes("skipped: io_uring: seccomp"));
  assert.ok(lines.includes("reduced: to 50 instead"));
  assert.equal(idleLab.report(resultOf(left)).failed, false);
  const broken: IdleCell = {
    engine: "poll",
    idle: 10,
    samples: [],
    absent: { reason: "lost", failed: true },
  };
  assert.equal(idleLab.report(resultOf([...left, broken])).failed, true);
  assert.ok(idleRemarks(resultOf([broken])).includes("failed: poll at 10: lost"));
});
