/** What a run of `polloi lab idle` says, in figures and in words; nothing here measures. */
import {
  absenceLines,
  type Grid,
  type GridCell,
  type Growth,
  gridChart,
  gridTable,
  growthIn,
  hasFailed,
  type Measure,
} from "../measure/grid.ts";
import type { Figure, Lab } from "../measure/report.ts";
import { percent, threeFigures, timeText, whole } from "../measure/table.ts";
import { growthTexts, rank, rankAtLargest, rankingText } from "../measure/verdict.ts";
import type { IdleResult, Sample } from "./idle.ts";

/** What is told of `polloi lab idle`. */
export const idleLab: Lab<IdleResult> = {
  name: "idle",
  format: 1,
  report: (result) => ({
    title: "polloi lab idle: what silent descriptors cost",
    findings: idleFindings(result),
    figures: [figureOf(result, "cpuUs"), figureOf(result, "wallUs")],
    remarks: remarks(result),
    meaning: meaning(result),
    failed: hasFailed(idleGrid(result)),
    result,
  }),
};

/** A sample whose CPU time is less than this share of its time by the clock was kept from its core. */
const WHOLE_CORE = 0.9;
/** More than this share of the machine's time given to others is worth a word. */
const MUCH_STOLEN = 0.01;
/** Engines whose line may lie on that of another: select on poll, edges on levels. */
const ALIKE: ReadonlySet<string> = new Set(["select", "epoll-edge"]);

/** Whether something else ran in the sample's place: its waits never sleep, so all of its time is CPU. */
export function isDisturbed({ cpuUs, wallUs }: Sample): boolean {
  return cpuUs < wallUs * WHOLE_CORE;
}

/** Whether at least half of a cell's rounds were disturbed, so that its median by the clock is as well. */
export function cellDisturbed({ samples }: Pick<GridCell<Sample>, "samples">): boolean {
  return samples.length > 0 && samples.filter(isDisturbed).length * 2 >= samples.length;
}

/** A result as a grid. */
export function idleGrid({ engines, cells }: IdleResult): Grid<Sample> {
  return {
    of: "idle",
    contenders: engines,
    cells: cells.map(({ engine, idle, samples, absent }) => ({
      name: engine,
      at: idle,
      samples,
      absent,
    })),
  };
}

const MEASURES: Readonly<Record<"cpuUs" | "wallUs", Measure<Sample>>> = {
  cpuUs: measureOf("CPU time of one wake-up", ({ cpuUs }) => cpuUs),
  wallUs: measureOf("Time by the clock of one wake-up", ({ wallUs }) => wallUs),
};

function measureOf(title: string, value: (sample: Sample) => number): Measure<Sample> {
  const mark = (cell: GridCell<Sample>): string => (cellDisturbed(cell) ? "~" : "");
  return { title, unit: "µs", value, format: threeFigures, mark };
}

/** The growth of the CPU time of every engine that was measured at two sizes or more. */
export function idleGrowth(result: IdleResult): Growth[] {
  return growthIn(idleGrid(result), MEASURES.cpuUs);
}

function figureOf(result: IdleResult, name: keyof typeof MEASURES): Figure {
  const measure = MEASURES[name];
  const grid = idleGrid(result);
  const { active, rounds, pairs } = result.settings;
  const { cpu, kernel, runtime, polloi, date } = result.host;
  const samples = result.cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const quiet = disturbed === 0 ? "" : `; ${disturbed} of ${samples.length} samples disturbed`;
  const beside = active === 1 ? "One active socket" : `${whole(active)} active sockets`;
  const chart = gridChart(grid, measure, {
    title: `${measure.title}, beside idle descriptors`,
    subtitle: `${beside}; median of ${rounds} rounds, shaded from the smallest to the largest; lower is better`,
    footer: `polloi ${polloi} on ${runtime}, Linux ${kernel}, ${cpu}, ${date.slice(0, 10)}${quiet}`,
    x: {
      label: pairs ? "idle ends of pairs, watched" : "idle descriptors, watched",
      scale: "log",
      format: whole,
    },
    y: {
      label: name === "cpuUs" ? "CPU time per wake-up" : "time per wake-up",
      scale: "log",
      format: timeText,
    },
    dashed: ALIKE,
  });
  return {
    title: measure.title,
    note: ` in µs: median of ${rounds} (smallest-largest)`,
    table: gridTable(grid, measure),
    ...(chart.series.length === 0 ? {} : { chart }),
    file: name === "cpuUs" ? "lab-idle-cpu" : "lab-idle-clock",
  };
}

/** Three sentences from the figures: how the cost grows, and who is cheapest beside most and beside fewest. */
export function idleFindings(result: IdleResult): string[] {
  const grid = { ...idleGrid(result), of: "idle descriptors" };
  const words = {
    measure: MEASURES.cpuUs,
    led: "took least CPU time for a wake-up",
    ratio: (ratio: string, label: string) => `${label} took ${ratio} times as much`,
  };
  const lines = growthTexts(idleGrowth(result), {
    of: "idle descriptors",
    what: "the CPU time of a wake-up",
  });
  const most = rankAtLargest(grid, MEASURES.cpuUs, "less");
  const fewest = Math.min(
    ...grid.cells.filter(({ samples }) => samples.length > 0).map(({ at }) => at),
  );
  const least = rank(
    grid.cells.filter(({ at }) => at === fewest),
    MEASURES.cpuUs,
    "less",
  );
  if (most !== undefined) lines.push(rankingText(grid, most, words));
  if (least !== undefined && least.at !== most?.at) lines.push(rankingText(grid, least, words));
  return lines.map((line) => `${line}.`);
}

/** What a wake-up is, and what is to be expected of it, which holds whatever was measured. */
function meaning({ settings }: IdleResult): string[] {
  const { active, writes, pairs } = settings;
  const idle = pairs ? "ends of silent socket pairs" : "silent sockets";
  return [
    `A wake-up is one socket's share of a wait that found it ready, the read of its byte, and the write that makes the next one ready: ${whole(active)} at a time, ${whole(writes)} further writes in a chain.`,
    `Beside the active ${active === 1 ? "pair" : "pairs"}, ${idle} are watched that are never ready. select and poll are handed all of them at every wait, and look at each; epoll leaves them with the kernel, and is told what is ready.`,
    "So a level line is an engine that pays for what happens, and a rising one an engine that pays for what might.",
  ];
}

/** What a reader has to know before believing a figure: what was left out, and what was disturbed. */
export function remarks(result: IdleResult): string[] {
  const { skipped, notes, cells, stolen } = result;
  const samples = cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const lines = skipped.map(({ name, reason }) => `skipped: ${name}: ${reason}`);
  lines.push(...notes.map((note) => `clipped: ${note}`));
  if (result.interrupted !== undefined) lines.push(`cut short: ${result.interrupted}`);
  lines.push(...absenceLines(idleGrid(result)));
  if (cells.some(cellDisturbed)) {
    lines.push("~ in half of its rounds or more this one had less than 90 % of a core to itself");
  }
  const share = `${disturbed} of ${samples.length} samples had less than 90 % of a core`;
  const others =
    (stolen ?? 0) > MUCH_STOLEN ? `, and other machines took ${percent(stolen ?? 0)}` : "";
  if (disturbed > 0 || others !== "") {
    lines.push(`disturbed: ${share}${others}; CPU time suffers less from it than the clock does`);
  } else if (samples.length > 0) {
    lines.push(`undisturbed: each of ${samples.length} samples had 90 % of a core or more`);
  }
  return lines;
}
