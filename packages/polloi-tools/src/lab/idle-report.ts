/** The report of `polloi lab idle`. */
import {
  type Cell,
  figureText,
  type Grid,
  type Growth,
  gridAbsences,
  gridChart,
  gridTable,
  growthIn,
  hasFailed,
  type Measure,
  mostly,
} from "../measure/grid.ts";
import type { Figure, Lab } from "../measure/report.ts";
import { percent, threeFigures, timeText, whole } from "../measure/table.ts";
import { growthTexts, rank, rankAtLargest, rankingText } from "../measure/verdict.ts";
import type { IdleResult, IdleSample } from "./idle.ts";

export const idleLab: Lab<IdleResult> = {
  name: "idle",
  format: 1,
  report: (result) => ({
    title: "polloi lab idle: the cost of idle descriptors",
    findings: idleFindings(result),
    figures: [
      figureOf(result, CPU_TIME, { y: "CPU time per wake-up", file: "lab-idle-cpu" }),
      figureOf(result, ELAPSED_TIME, { y: "time per wake-up", file: "lab-idle-clock" }),
    ],
    remarks: idleRemarks(result),
    method: method(result),
    failed: hasFailed(result.cells),
    result,
  }),
};

/** A sample with less CPU time than this share of its elapsed time was kept from its core. */
const WHOLE_CORE = 0.9;
/** More than this share of the machine's time given to other machines is reported. */
const NOTABLE_STEAL = 0.01;
/** Engines whose line may lie on that of another: select on poll, edge-triggered on level-triggered. */
const DASHED: ReadonlySet<string> = new Set(["select", "epoll-edge", "io_uring-edge"]);

/** Whether another process used the core: the waits never sleep, so all of the elapsed time should be CPU time. */
function isDisturbed({ cpuUs, wallUs }: IdleSample): boolean {
  return cpuUs < wallUs * WHOLE_CORE;
}

function idleGrid({ engines, cells }: IdleResult): Grid<IdleSample> {
  return {
    of: "idle",
    contenders: engines,
    cells: cells.map(({ engine, idle, ...cell }) => ({ name: engine, at: idle, ...cell })),
  };
}

const COMMON = {
  unit: "µs",
  format: threeFigures,
  mark: (cell: Cell<IdleSample>): string => (mostly(cell, isDisturbed) ? "~" : ""),
} as const;
const CPU_TIME: Measure<IdleSample> = {
  title: "CPU time per wake-up",
  value: ({ cpuUs }) => cpuUs,
  ...COMMON,
};
const ELAPSED_TIME: Measure<IdleSample> = {
  title: "Elapsed time per wake-up",
  value: ({ wallUs }) => wallUs,
  ...COMMON,
};

/** The growth of the CPU time of every engine that was measured at two sizes or more. */
export function idleGrowth(result: IdleResult): Growth[] {
  return growthIn(idleGrid(result), CPU_TIME.value);
}

function figureOf(
  result: IdleResult,
  measure: Measure<IdleSample>,
  { y, file }: { readonly y: string; readonly file: string },
): Figure {
  const grid = idleGrid(result);
  const { active, rounds, pairs } = result.settings;
  const { cpu, kernel, runtime, polloi, date } = result.host;
  const samples = result.cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const note = disturbed === 0 ? "" : `; ${disturbed} of ${samples.length} samples disturbed`;
  const sockets = active === 1 ? "One active socket" : `${whole(active)} active sockets`;
  return {
    title: measure.title,
    note: ` in µs: median of ${rounds} (smallest-largest)`,
    table: gridTable(grid, (cell) => figureText(cell, measure)),
    chart: gridChart(grid, measure, {
      title: `${measure.title}, with idle descriptors`,
      subtitle: `${sockets}; median of ${rounds} rounds, shaded from the smallest to the largest; lower is better`,
      footer: `polloi ${polloi} on ${runtime}, Linux ${kernel}, ${cpu}, ${date.slice(0, 10)}${note}`,
      x: {
        label: pairs ? "idle ends of pairs, watched" : "idle descriptors, watched",
        scale: "log",
        format: whole,
      },
      y: { label: y, scale: "log", format: timeText },
      dashed: DASHED,
    }),
    file,
  };
}

/** Three sentences: how the cost grows, and the cheapest engine at the largest and at the smallest size. */
export function idleFindings(result: IdleResult): string[] {
  const grid = { ...idleGrid(result), of: "idle descriptors" };
  const words = {
    measure: CPU_TIME,
    best: "used the least CPU time per wake-up",
    ratio: (ratio: string, label: string) => `${label} used ${ratio} times as much`,
  };
  const lines = growthTexts(idleGrowth(result), {
    of: "idle descriptors",
    what: "the CPU time of a wake-up",
  });
  const atMost = rankAtLargest(grid, CPU_TIME, "less");
  const measured = grid.cells.filter(({ samples }) => samples.length > 0);
  const least = Math.min(...measured.map(({ at }) => at));
  const atLeast = rank(
    grid.cells.filter(({ at }) => at === least),
    CPU_TIME,
    "less",
  );
  if (atMost !== undefined) lines.push(rankingText(grid, atMost, words));
  if (atLeast !== undefined && atLeast.at !== atMost?.at) {
    lines.push(rankingText(grid, atLeast, words));
  }
  return lines.map((line) => `${line}.`);
}

function method({ settings }: IdleResult): string[] {
  const { active, writes, pairs } = settings;
  const idle = pairs ? "ends of idle socket pairs" : "idle sockets";
  return [
    `A wake-up is the share of one socket in a wait that reported it as ready, the read of its byte, and the write that makes the next socket ready: ${whole(active)} at a time, ${whole(writes)} further writes in a chain.`,
    `Besides the active ${active === 1 ? "pair" : "pairs"}, the engine watches ${idle} that are never ready. select and poll receive all of them in every wait and check each; the other engines keep them in the kernel, which reports those that are ready.`,
    "A flat line is an engine whose cost depends on what is ready; a rising line is one whose cost depends on what is watched.",
  ];
}

/** The limits of the figures: cells that were left out or disturbed. */
export function idleRemarks(result: IdleResult): string[] {
  const { skipped, notes, cells, stolen } = result;
  const samples = cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const lines = skipped.map(({ name, reason }) => `skipped: ${name}: ${reason}`);
  lines.push(...notes.map((note) => `reduced: ${note}`));
  if (result.interrupted !== undefined) lines.push(`incomplete: ${result.interrupted}`);
  lines.push(...gridAbsences(idleGrid(result)));
  if (cells.some((cell) => mostly(cell, isDisturbed))) {
    lines.push("~ in at least half of the rounds this engine had less than 90 % of a core");
  }
  const steal =
    (stolen ?? 0) > NOTABLE_STEAL
      ? `, and other machines used ${percent(stolen ?? 0)} of this one`
      : "";
  if (disturbed > 0 || steal !== "") {
    lines.push(
      `disturbed: ${disturbed} of ${samples.length} samples had less than 90 % of a core${steal}; this affects CPU time less than elapsed time`,
    );
  } else if (samples.length > 0) {
    lines.push(`undisturbed: all ${samples.length} samples had at least 90 % of a core`);
  }
  return lines;
}
