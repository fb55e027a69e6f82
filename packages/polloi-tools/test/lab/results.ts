/** Invented results of the lab, for tests of reports and pages. */

import type { IdleResult } from "../../src/lab/idle.ts";
import type { ServingCell, ServingResult, ServingSample } from "../../src/lab/serving.ts";
import type { Host } from "../../src/measure/host.ts";

export const HOST: Host = {
  cpu: "a processor",
  cores: 2,
  memoryGiB: 4,
  kernel: "6.1",
  runtime: "Node 20",
  polloi: "0.1.0",
  commit: null,
  date: "2026-01-01T00:00:00.000Z",
  command: "polloi lab",
  loadAverage: 0,
};

/** A sample of one second without disturbances or errors. */
export function servingSample(at: number, more: Partial<ServingSample> = {}): ServingSample {
  return {
    round: 1,
    opened: at,
    answered: at,
    failed: 0,
    openMs: at,
    openCpuMs: at,
    memoryKiB: 10 * at + 2000,
    processes: 1,
    threads: 11,
    messages: 50_000,
    elapsedMs: 1000,
    p50Ms: at / 50,
    p99Ms: at / 20,
    maxMs: at / 5,
    cpuMs: 980,
    clientCpuMs: 500,
    othersOnServer: 0,
    othersOnClient: 0,
    interruptions: { server: 0, client: 0 },
    mismatches: 0,
    ...more,
  };
}

/** A cell with one round for each of these numbers of messages. */
export function servingCell(
  name: string,
  at: number,
  messages: readonly number[],
  more: Partial<ServingSample> = {},
): ServingCell {
  const samples = messages.map((each, i) =>
    servingSample(at, { round: i + 1, messages: each, ...more }),
  );
  return { name, at, samples };
}

export function servingResult(
  lab: ServingResult["lab"],
  cells: readonly ServingCell[],
  more: Partial<ServingResult> = {},
): ServingResult {
  return {
    lab,
    format: 1,
    host: { ...HOST, command: `polloi lab ${lab}` },
    settings: {
      connections: [...new Set(cells.map(({ at }) => at))].sort((a, b) => a - b),
      rounds: Math.max(1, ...cells.map(({ samples }) => samples.length)),
      cellMs: 1000,
      patienceMs: 10_000,
      limitMs: 100_000,
      sizeBytes: 64,
    },
    contenders: [...new Set(cells.map(({ name }) => name))].map((name) => ({ name, label: name })),
    skipped: [],
    notes: [],
    cores: { server: [1], client: [0], unpinned: null },
    cells,
    stolen: 0,
    ...more,
  };
}

const SIZES = [1, 10, 100, 1000, 10_000];

/** Three rounds close to a value. */
function about(value: number): number[] {
  return [value * 0.96, value, value * 1.03].map(Math.round);
}

/** A run of `lab models` with complete, partial, disturbed and absent cells. */
export function wholeModels(): ServingResult {
  const speeds: Readonly<Record<string, readonly number[]>> = {
    blocking: [14_000, 14_200, 13_900, 14_100],
    process: [11_000, 32_000, 30_500],
    thread: [10_500, 36_000, 33_000, 27_000],
    prefork: [13_000, 52_000, 69_000, 66_000, 58_000],
    event: [13_500, 55_000, 76_000, 74_000, 61_000],
  };
  const memory: Readonly<Record<string, number>> = { process: 12_000, thread: 9800, prefork: 3.4 };
  const opening: Readonly<Record<string, number>> = { process: 61, thread: 31, prefork: 0.06 };
  const cells = Object.entries(speeds).flatMap(([name, all]) =>
    SIZES.map((at, i): ServingCell => {
      const speed = all[i];
      if (speed === undefined) {
        return { name, at, samples: [], absent: { reason: "too little memory", failed: false } };
      }
      const answered = name === "blocking" ? 1 : at;
      return servingCell(name, at, about(speed), {
        answered,
        memoryKiB: (memory[name] ?? 2.6) * at,
        openCpuMs: (opening[name] ?? 0.045) * at,
        p50Ms: (answered * 1000) / speed,
        p99Ms: (answered * 2600) / speed,
        ...(at === 100 && name === "thread" ? { othersOnServer: 0.3 } : {}),
      });
    }),
  );
  return servingResult("models", cells);
}

/** A run of `lab engines`. */
export function wholeEngines(): ServingResult {
  const speeds: Readonly<Record<string, readonly number[]>> = {
    select: [13_100, 54_000, 70_000],
    poll: [13_200, 54_500, 71_000, 66_000, 49_000],
    epoll: [13_500, 55_000, 74_000, 70_000, 60_000],
    "epoll-edge": [13_600, 56_000, 75_000, 71_000, 61_000],
    io_uring: [13_000, 60_000, 86_000, 80_000, 69_000],
  };
  const cells = Object.entries(speeds).flatMap(([name, all]) =>
    SIZES.flatMap((at, i): ServingCell[] => {
      const speed = all[i];
      if (speed === undefined) return [];
      const waits = { p50Ms: (at * 1000) / speed, p99Ms: (at * 2400) / speed };
      const costs = { memoryKiB: 2.4 * at, openCpuMs: 0.04 * at };
      return [servingCell(name, at, about(speed), { ...waits, ...costs })];
    }),
  );
  const result = servingResult("engines", cells);
  const label = (name: string): string =>
    ({ epoll: "epoll, level", "epoll-edge": "epoll, edge" })[name] ?? name;
  return {
    ...result,
    contenders: result.contenders.map(({ name }) => ({ name, label: label(name) })),
  };
}

/** A run of `lab idle`. */
export function wholeIdle(): IdleResult {
  const sizes = [10, 100, 1000, 10_000];
  const costs: Readonly<Record<string, (idle: number) => number>> = {
    poll: (idle) => 1 + idle * 0.1,
    epoll: () => 1.4,
    io_uring: () => 1.6,
  };
  return {
    lab: "idle",
    format: 1,
    host: HOST,
    settings: { active: 1, writes: 100, sizes, rounds: 3, sampleMs: 10, pairs: false },
    engines: Object.keys(costs).map((name) => ({ name, label: name })),
    skipped: [],
    notes: [],
    cells: Object.entries(costs).flatMap(([engine, cost]) =>
      sizes.map((idle) => ({
        engine,
        idle,
        samples: [0.97, 1, 1.04].map((factor, i) => {
          const us = cost(idle) * factor;
          return { round: i + 1, events: 1000, waits: 1000, cpuUs: us, wallUs: us };
        }),
      })),
    ),
    stolen: 0,
  };
}
