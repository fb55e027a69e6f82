/** What a comparison of servers says; what is particular to ways or to engines is in their own files. */
import type { Axis, LineChart } from "../measure/chart-types.ts";
import {
  absenceLines,
  cellAt,
  gridChart,
  gridTable,
  hasFailed,
  type Measure,
  sizesOf,
} from "../measure/grid.ts";
import type { Figure, LabReport } from "../measure/report.ts";
import { percent, timeText, whole } from "../measure/table.ts";
import type { ServingResult, ServingSample } from "./serving.ts";
import {
  answeredAll,
  isClientBound,
  isDisturbed,
  MARKS,
  type ServingMeasureName,
  servingGrid,
  servingMeasures,
} from "./serving-measures.ts";

/** What differs between one comparison and another. */
export interface ServingWords {
  readonly title: string;
  readonly findings: readonly string[];
  /** What exactly is compared. */
  readonly meaning: readonly string[];
  /** Contenders whose line may lie on that of another. */
  readonly dashed: ReadonlySet<string>;
}

/** More than this share of the machine's time given to others is worth a word. */
const MUCH_STOLEN = 0.01;

/** A range that is wider than this is drawn in powers of ten; else from nothing, so that heights compare. */
const WIDE_RANGE = 30;

const CHARTED: readonly {
  readonly name: ServingMeasureName;
  readonly y: Axis;
  readonly better: string;
}[] = [
  {
    name: "throughput",
    y: { label: "messages a second", format: shortNumber },
    better: "higher is better",
  },
  {
    name: "p99",
    y: { label: "p99 of a saturated server", format: (ms) => timeText(ms * 1000) },
    better: "lower is better",
  },
  {
    name: "cpu",
    y: { label: "CPU time per message", format: timeText },
    better: "lower is better",
  },
  {
    name: "memory",
    y: { label: "memory per connection", format: kibText },
    better: "lower is better; what a heap takes by itself is left out",
  },
  {
    name: "opening",
    y: { label: "CPU time per connection", format: timeText },
    better: "lower is better; what is too little to tell is left out",
  },
];

/** Tables in the order in which they are read. */
const TABLES: readonly ServingMeasureName[] = [
  "throughput",
  "p50",
  "p99",
  "cpu",
  "memory",
  "opening",
];

/** A result as it is told and drawn. */
export function servingReport(result: ServingResult, words: ServingWords): LabReport {
  const grid = servingGrid(result);
  const measures = servingMeasures(result);
  const figures = TABLES.map((name): Figure => {
    const measure = measures[name];
    const unit = name === "throughput" ? "" : ` in ${measure.unit}`;
    return {
      title: measure.title,
      note: `${unit}: median of ${result.settings.rounds} (smallest-largest)`,
      table: gridTable(grid, measure),
      chart: chartOf(result, name, measure, words.dashed),
      file: `lab-${result.lab}-${name}`,
    };
  });
  const all = result.cells.every((cell) => cell.samples.length === 0 || answeredAll(cell));
  return {
    title: words.title,
    findings: words.findings,
    figures: all ? figures : [...figures, answeredFigure(result)],
    remarks: remarks(result, figures),
    meaning: [...words.meaning, ...MEANING],
    failed: hasFailed(grid) || result.cells.some(({ samples }) => samples.some(isWrong)),
    result,
  };
}

/** What the figures are, the same for every comparison of servers. */
const MEANING: readonly string[] = [
  "Every echoed byte is compared. Each connection has one message out and sends the next when it is back: a closed loop, so the server is saturated, times are those of its queue, and a stall is met once by each connection (coordinated omission).",
  "Memory is the proportional set size of all of the server's processes with every connection open, answered once and silent, less that before, by connections; socket buffers of the kernel are not in it. CPU time to take a connection up is that of all of the server's processes and threads from the first connect until each was answered once, by connections.",
  "Every cell has a server of its own, in a process of its own, started anew; CPU time per message is that of all of its processes and threads while messages are counted.",
];

function isWrong({ mismatches }: ServingSample): boolean {
  return mismatches > 0;
}

function chartOf(
  result: ServingResult,
  name: ServingMeasureName,
  measure: Measure<ServingSample>,
  dashed: ReadonlySet<string>,
): LineChart | undefined {
  const charted = CHARTED.find((each) => each.name === name);
  if (charted === undefined) return undefined;
  const { settings, host } = result;
  const { cpu, kernel, runtime, polloi, date } = host;
  const samples = result.cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const quiet = disturbed === 0 ? "" : `; ${disturbed} of ${samples.length} samples disturbed`;
  const rounds = settings.rounds === 1 ? "one round" : `median of ${settings.rounds} rounds`;
  const values = samples
    .flatMap((sample) => measure.value(sample) ?? [])
    .filter((each) => each > 0);
  const isWide = Math.max(...values) > WIDE_RANGE * Math.min(...values);
  const scale = name !== "throughput" && isWide ? "log" : "linear";
  const chart = gridChart(servingGrid(result), measure, {
    title: measure.title,
    subtitle: `${rounds}, shaded from the smallest to the largest; ${charted.better}`,
    footer: `polloi ${polloi} on ${runtime}, Linux ${kernel}, ${cpu}, ${date.slice(0, 10)}${quiet}`,
    x: { label: "connections", scale: "log", format: whole },
    y: { ...charted.y, scale },
    dashed,
  });
  return chart.series.length === 0 ? undefined : chart;
}

/** How many were answered, of how many: what a way that serves few at a time is about. */
function answeredFigure(result: ServingResult): Figure {
  const grid = servingGrid(result);
  return {
    title: "Connections that were answered at all",
    note: `, within the time of a cell: the fewest of ${result.settings.rounds}`,
    table: {
      header: ["connections", ...grid.contenders.map(({ label }) => label)],
      rows: sizesOf(grid).map((at) => [
        whole(at),
        ...grid.contenders.map(({ name }) => {
          const samples = cellAt(grid, name, at)?.samples ?? [];
          if (samples.length === 0) return "-";
          const fewest = Math.min(...samples.map(({ answered }) => answered));
          return fewest >= at ? "all" : `${whole(fewest)} of ${whole(at)}`;
        }),
      ]),
    },
    file: `lab-${result.lab}-answered`,
  };
}

/** What a reader has to know before believing a figure. */
function remarks(result: ServingResult, figures: readonly Figure[]): string[] {
  const { skipped, notes, cells, stolen, cores } = result;
  const samples = cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const bound = samples.filter((sample) => isClientBound(sample, cores.server.length)).length;
  const written = figures.flatMap(({ table }) => table.rows.flat()).join(" ");
  const lines = skipped.map(({ name, reason }) => `skipped: ${name}: ${reason}`);
  lines.push(...notes.map((note) => `cut short: ${note}`), ...absenceLines(servingGrid(result)));
  for (const { name, at, samples: mine } of cells) {
    const trouble = mine.find((sample) => sample.trouble !== undefined)?.trouble;
    if (trouble !== undefined) lines.push(`trouble: ${name} at ${whole(at)}: ${trouble}`);
    const wrong = mine.reduce((sum, { mismatches }) => sum + mismatches, 0);
    if (wrong > 0)
      lines.push(`wrong: ${name} at ${whole(at)}: ${whole(wrong)} messages came back changed`);
  }
  for (const [sign, meaning] of MARKS) if (written.includes(sign)) lines.push(`${sign} ${meaning}`);
  lines.push(coresLine(cores));
  const taken =
    (stolen ?? 0) > MUCH_STOLEN ? `other machines took ${percent(stolen ?? 0)} of this one` : "";
  const told = [
    disturbed > 0
      ? `in ${disturbed} of ${samples.length} samples others took over a tenth of a core`
      : "",
    taken,
  ].filter((text) => text !== "");
  if (told.length > 0)
    lines.push(`disturbed: ${told.join(", and ")}; CPU time suffers less from it than speed`);
  else if (samples.length > 0) {
    lines.push(
      `undisturbed: in each of ${samples.length} samples both had nine tenths of their cores`,
    );
  }
  if (bound > 0) lines.push(`the client was the limit in ${bound} of ${samples.length} samples`);
  return lines;
}

function coresLine({ server, client, unpinned }: ServingResult["cores"]): string {
  const whose = (cores: readonly number[]): string =>
    `${cores.length === 1 ? "core" : "cores"} ${cores.join(", ")}`;
  if (unpinned !== null)
    return `NOT PINNED: ${unpinned}, so server and client took from each other`;
  const one =
    server.length === 1
      ? "; with one for the server, its processes and threads took turns: what more cores would give cannot be seen"
      : "";
  return `pinned: the server to ${whose(server)}, the client to ${whose(client)}${one}`;
}

/** In one unit, since an axis in powers of ten has round numbers of it. */
function kibText(kib: number): string {
  return `${kib < 10 ? Number(kib.toPrecision(2)) : whole(kib)} KiB`;
}

/** `1k`, `25k`, `1.2M`. */
function shortNumber(value: number): string {
  const [by, unit] = value >= 1e6 ? [1e6, "M"] : value >= 1000 ? [1000, "k"] : [1, ""];
  return `${Number((value / by).toPrecision(2))}${unit}`;
}
