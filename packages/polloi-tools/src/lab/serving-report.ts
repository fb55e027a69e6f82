/** The report of a comparison of servers. Differences between models and engines are in their own files. */
import type { Axis, LineChart } from "../measure/chart-options.ts";
import {
  type Cell,
  figureText,
  type Grid,
  gridAbsences,
  gridChart,
  gridTable,
  hasFailed,
  isDetected,
  type Measure,
  measuredBy,
  mostly,
  spreadIn,
} from "../measure/grid.ts";
import type { Figure, LabReport } from "../measure/report.ts";
import {
  bytesText,
  inSentence,
  listed,
  percent,
  threeFigures,
  timeText,
  whole,
} from "../measure/table.ts";
import { rankAtLargest, rankingText } from "../measure/verdict.ts";
import type { ServingResult, ServingSample } from "./serving.ts";

/** More than this share of a server's or the client's cores used by other processes disturbs a sample. */
const DISTURBED = 0.1;
/** A core that is used for more than this share is saturated. */
const SATURATED = 0.9;
/** More than this share of the machine's time given to other machines is reported. */
const NOTABLE_STEAL = 0.01;
/** The detection limit of memory: a runtime's heap and compiler use or free as much by themselves. */
const LEAST_KIB = 1024;
/** The detection limit of CPU time for a whole cell: below it, it is the cost of the readings. */
const LEAST_CPU_US = 2000;
/** With fewer connections, the server's own background work costs more than they do. */
const LEAST_CONNECTIONS = 10;
/** A chart of a wider range has a logarithmic axis; others start at 0. */
const WIDE_RANGE = 30;

type ServingGridCell = Cell<ServingSample>;

/** The marks behind figures, and what they mean. */
const MARKS: readonly (readonly [mark: string, meaning: string])[] = [
  ["†", "not every connection was answered: the figure is that of those that were"],
  [
    "~",
    "in at least half of the rounds other processes used over a tenth of the server's or the client's cores",
  ],
  [
    "*",
    "in at least half of the rounds the client was saturated and the server was not: the server may be faster",
  ],
];

/** The addition to a sentence that compares figures with these marks. */
const CAVEATS: readonly (readonly [mark: string, caveat: string])[] = [
  ["~", "other processes ran on these cores (~), so the order is not reliable"],
  ["*", "the client was the bottleneck (*), so servers that it did not saturate may be faster"],
];

/** Whether other processes used the server's cores or the client's. */
function isDisturbed({ othersOnServer, othersOnClient }: ServingSample): boolean {
  return Math.max(othersOnServer, othersOnClient) > DISTURBED;
}

/** Whether the client was the bottleneck, and not the server. */
function isClientBound(
  { cpuMs, clientCpuMs, elapsedMs }: ServingSample,
  serverCores: number,
): boolean {
  return clientCpuMs > SATURATED * elapsedMs && cpuMs < SATURATED * elapsedMs * serverCores;
}

/** Whether every connection was answered. */
export function answeredAll({ samples, at }: ServingGridCell): boolean {
  return samples.length > 0 && samples.every(({ answered }) => answered >= at);
}

export function servingGrid({ contenders, cells }: ServingResult): Grid<ServingSample> {
  return { of: "connections", contenders, cells };
}

/** The measures of a comparison of servers, in the order of their tables. */
export type ServingMeasureName = "throughput" | "p50" | "p99" | "cpu" | "memory" | "opening";

/** A measure, with the text of its chart. */
interface ServingMeasure extends Measure<ServingSample> {
  readonly chart?: { readonly y: Axis; readonly better: string };
}

export function servingMeasures({
  cores,
}: Pick<ServingResult, "cores">): Record<ServingMeasureName, ServingMeasure> {
  const partial = (cell: ServingGridCell): string => (answeredAll(cell) ? "" : "†");
  const mark = (cell: ServingGridCell): string =>
    partial(cell) + (mostly(cell, isDisturbed) ? "~" : "");
  const isBound = (sample: ServingSample): boolean => isClientBound(sample, cores.server.length);
  const latency = { unit: "ms", format: threeFigures, mark };
  const perConnection = { format: threeFigures, mark: partial };
  return {
    throughput: {
      title: "Messages per second",
      unit: "messages/s",
      value: ({ messages, elapsedMs }) => (messages * 1000) / elapsedMs,
      format: whole,
      mark: (cell) => mark(cell) + (mostly(cell, isBound) ? "*" : ""),
      chart: { y: { label: "messages/s", format: shortNumber }, better: "higher is better" },
    },
    p50: { title: "Median latency (p50)", value: ({ p50Ms }) => p50Ms ?? undefined, ...latency },
    p99: {
      title: "99th percentile of latency (p99)",
      value: ({ p99Ms }) => p99Ms ?? undefined,
      ...latency,
      chart: {
        y: { label: "p99 of a saturated server", format: (ms) => timeText(ms * 1000) },
        better: "lower is better",
      },
    },
    cpu: {
      title: "Server CPU time per message",
      unit: "µs",
      value: ({ cpuMs, messages }) => (messages === 0 ? undefined : (cpuMs * 1000) / messages),
      format: threeFigures,
      mark,
      chart: {
        y: { label: "CPU time per message", format: timeText },
        better: "lower is better",
      },
    },
    memory: {
      title: "Server memory per connection",
      unit: "KiB",
      value: ({ memoryKiB, opened }) =>
        memoryKiB === null || opened === 0 ? undefined : memoryKiB / opened,
      least: (at) => LEAST_KIB / at,
      ...perConnection,
      chart: {
        y: { label: "memory per connection", format: kibText },
        better: "lower is better; figures below the detection limit are left out",
      },
    },
    opening: {
      title: "Server CPU time to set up a connection",
      unit: "µs",
      value: ({ openCpuMs, opened }) => (opened === 0 ? undefined : (openCpuMs * 1000) / opened),
      least: (at) => LEAST_CPU_US / at,
      ...perConnection,
      chart: {
        y: { label: "CPU time per connection", format: timeText },
        better: "lower is better; figures below the detection limit are left out",
      },
    },
  };
}

/** The parts of a report that depend on the comparison. */
export interface ServingWords extends Pick<LabReport, "title" | "findings" | "method"> {
  /** Contenders whose line may lie on that of another. */
  readonly dashed: ReadonlySet<string>;
}

/** The method of every comparison of servers. */
const METHOD: readonly string[] = [
  "Every echoed byte is compared. Each connection has one message in flight and sends the next one when it is answered. This is a closed loop: the server is saturated, latency is that of its queue, and a pause delays only one message per connection (coordinated omission).",
  "Memory per connection is the growth of the proportional set size of all of the server's processes from no connections to all of them open, answered once and idle. It excludes socket buffers of the kernel. CPU time to set up a connection is that of all of the server's processes and threads from the first connect until every connection was answered once.",
  "Every cell has a server of its own, in a process of its own. CPU time per message is that of all of the server's processes and threads while messages are counted.",
];

export function servingReport(result: ServingResult, words: ServingWords): LabReport {
  const grid = servingGrid(result);
  const { rounds } = result.settings;
  const figures = Object.entries(servingMeasures(result)).map(([name, measure]): Figure => {
    const unit = name === "throughput" ? "" : ` in ${measure.unit}`;
    return {
      title: measure.title,
      note: `${unit}: median of ${rounds} (smallest-largest)`,
      table: gridTable(grid, (cell) => figureText(cell, measure)),
      chart: chartOf(result, measure, words.dashed),
      file: `lab-${result.lab}-${name}`,
    };
  });
  const isComplete = result.cells.every((cell) => cell.samples.length === 0 || answeredAll(cell));
  const answered: Figure = {
    title: "Answered connections",
    note: `: the fewest of ${rounds}`,
    table: gridTable(grid, (cell) => {
      if (cell === undefined || cell.samples.length === 0) return "-";
      const fewest = Math.min(...cell.samples.map((sample) => sample.answered));
      return fewest >= cell.at ? "all" : `${whole(fewest)} of ${whole(cell.at)}`;
    }),
  };
  return {
    title: words.title,
    findings: words.findings,
    figures: isComplete ? figures : [...figures, answered],
    remarks: remarks(result, figures),
    method: [...words.method, ...METHOD],
    failed:
      hasFailed(grid.cells) ||
      grid.cells.some(({ samples }) => samples.some(({ mismatches }) => mismatches > 0)),
    result,
  };
}

function chartOf(
  result: ServingResult,
  { chart, ...measure }: ServingMeasure,
  dashed: ReadonlySet<string>,
): LineChart | undefined {
  if (chart === undefined) return undefined;
  const { settings, host } = result;
  const { cpu, kernel, runtime, polloi, date } = host;
  const samples = result.cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const note = disturbed === 0 ? "" : `; ${disturbed} of ${samples.length} samples disturbed`;
  const rounds = settings.rounds === 1 ? "one round" : `median of ${settings.rounds} rounds`;
  const values = samples
    .flatMap((sample) => measure.value(sample) ?? [])
    .filter((each) => each > 0);
  const isWide = Math.max(...values) > WIDE_RANGE * Math.min(...values);
  const scale = measure.unit !== "messages/s" && isWide ? "log" : "linear";
  return gridChart(servingGrid(result), measure, {
    title: measure.title,
    subtitle: `${rounds}, shaded from the smallest to the largest; ${chart.better}`,
    footer: `polloi ${polloi} on ${runtime}, Linux ${kernel}, ${cpu}, ${date.slice(0, 10)}${note}`,
    x: { label: "connections", scale: "log", format: whole },
    y: { ...chart.y, scale },
    dashed,
  });
}

/** The limits of the figures. */
function remarks(result: ServingResult, figures: readonly Figure[]): string[] {
  const { skipped, notes, cells, stolen, cores } = result;
  const samples = cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const bound = samples.filter((sample) => isClientBound(sample, cores.server.length)).length;
  const text = figures.flatMap(({ table }) => table.rows.flat()).join(" ");
  const lines = skipped.map(({ name, reason }) => `skipped: ${name}: ${reason}`);
  lines.push(...notes.map((note) => `incomplete: ${note}`), ...gridAbsences(servingGrid(result)));
  for (const { name, at, samples: own } of cells) {
    const trouble = own.find((sample) => sample.trouble !== undefined)?.trouble;
    if (trouble !== undefined) lines.push(`error: ${name} at ${whole(at)}: ${trouble}`);
    const wrong = own.reduce((sum, { mismatches }) => sum + mismatches, 0);
    if (wrong > 0) {
      lines.push(`wrong: ${name} at ${whole(at)}: ${whole(wrong)} messages came back changed`);
    }
  }
  for (const [mark, meaning] of MARKS) if (text.includes(mark)) lines.push(`${mark} ${meaning}`);
  lines.push(coresLine(cores));
  const causes = [
    ...(disturbed > 0
      ? [`in ${disturbed} of ${samples.length} samples other processes used over a tenth of a core`]
      : []),
    ...((stolen ?? 0) > NOTABLE_STEAL
      ? [`other machines used ${percent(stolen ?? 0)} of this one`]
      : []),
  ];
  if (causes.length > 0) {
    lines.push(`disturbed: ${causes.join(", and ")}; this affects CPU time less than throughput`);
  } else if (samples.length > 0) {
    lines.push(
      `undisturbed: in all ${samples.length} samples server and client had at least 90 % of their cores`,
    );
  }
  if (bound > 0) {
    lines.push(`the client was the bottleneck in ${bound} of ${samples.length} samples`);
  }
  return lines;
}

function coresLine({ server, client, unpinned }: ServingResult["cores"]): string {
  const text = (cores: readonly number[]): string =>
    `${cores.length === 1 ? "core" : "cores"} ${cores.join(", ")}`;
  if (unpinned !== null)
    return `NOT PINNED: ${unpinned}, so server and client compete for CPU time`;
  const one =
    server.length === 1
      ? "; the server's processes and threads share one core, so the figures do not show what more cores give"
      : "";
  return `pinned: the server to ${text(server)}, the client to ${text(client)}${one}`;
}

/** The highest throughput at the largest size that several contenders answered completely, as a sentence. */
export function throughputText(result: ServingResult): string | undefined {
  const grid = servingGrid(result);
  const { throughput } = servingMeasures(result);
  const ranking = rankAtLargest(grid, throughput, "more", answeredAll);
  if (ranking === undefined) return undefined;
  const text = rankingText(grid, ranking, {
    measure: throughput,
    best: "had the highest throughput",
    ratio: (ratio, label) => `${ratio} times that of ${label}`,
    caveats: CAVEATS,
  });
  return `${text}.`;
}

const COST_TEXTS: Readonly<Record<"memory" | "opening", (value: number) => string>> = {
  memory: (kib) => bytesText(1024 * kib),
  opening: timeText,
};

/** The cost of a connection for each contender at the most connections that it answered, without a full stop. */
export function costText(result: ServingResult, name: keyof typeof COST_TEXTS): string | undefined {
  const grid = servingGrid(result);
  const measure = servingMeasures(result)[name];
  const text = COST_TEXTS[name];
  const costs: string[] = [];
  const below = new Map<string, string[]>();
  for (const { name: contender, label } of grid.contenders) {
    const cell = measuredBy(grid, contender)
      .filter((each) => answeredAll(each) && each.at >= LEAST_CONNECTIONS)
      .at(-1);
    const median = spreadIn(cell, measure.value)?.median;
    if (cell === undefined || median === undefined) continue;
    const at = `at ${whole(cell.at)}`;
    if (isDetected(cell, measure)) {
      costs.push(`${text(median)} with ${inSentence(label)} (${at})`);
    } else {
      const limit = `less than ${text(measure.least?.(cell.at) ?? 0)} (${at})`;
      below.set(limit, [...(below.get(limit) ?? []), inSentence(label)]);
    }
  }
  const parts = costs.length === 0 ? [] : [listed(costs)];
  for (const [limit, labels] of below) parts.push(`${limit} with ${listed(labels)}`);
  return parts.length === 0 ? undefined : parts.join("; ");
}

/** In one unit, since a logarithmic axis has round numbers of it. */
function kibText(kib: number): string {
  return `${kib < 10 ? Number(kib.toPrecision(2)) : whole(kib)} KiB`;
}

/** `1k`, `25k`, `1.2M`. */
function shortNumber(value: number): string {
  const [by, unit] = value >= 1e6 ? [1e6, "M"] : value >= 1000 ? [1000, "k"] : [1, ""];
  return `${Number((value / by).toPrecision(2))}${unit}`;
}
