/** The benchmarks of echo servers: echo, churn (short-lived connections) and trace. */
import type { Command } from "commander";
import type { BarChart, Measured } from "../packages/polloi-tools/src/measure/chart-options.ts";
import {
  medianColumn,
  type Row,
  ratioColumn,
  ratiosOf,
  rowTable,
  shareColumn,
  spreadColumn,
} from "../packages/polloi-tools/src/measure/grid.ts";
import type { Figure } from "../packages/polloi-tools/src/measure/report.ts";
import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import {
  bytesText,
  markdownTable,
  spreadText,
  whole,
} from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  countsFrom,
  open,
  type Published,
  publishedBy,
  type Report,
  requireC,
  type Session,
  type Times,
  timesOf,
} from "./benchmark.ts";
import type { Goal } from "./goals.ts";
import { findPeers } from "./peers.ts";
import { PEER_NAMES, REFERENCE, TRACE_NAMES, TRACE_PLANS } from "./plans.ts";
import {
  type Aim,
  type Case,
  caseMatrix,
  casesFailed,
  cpuOf,
  cpuRatioColumn,
  disturbanceOf,
  rateOf,
  rowRemarks,
  runCases,
  serverColumn,
  type Throughput,
  throughputGoals,
  usageOf,
} from "./throughput.ts";

/** All servers at one number of connections and one message size. */
export interface EchoCase extends Case {
  readonly size: number;
}

/** A run of the echo, the churn or the trace benchmark. */
export interface EchoResult extends Published {
  readonly benchmark: "echo" | "churn" | "trace";
  readonly settings: EchoSettings;
  readonly cases: EchoCase[];
}

/** The cells and conditions of a measurement. */
export interface EchoSettings extends Times {
  readonly connections: readonly number[];
  readonly sizes: readonly number[];
  readonly depth: number;
  /** Messages per connection: churn. */
  readonly life?: number;
}

const ECHO_TIMES = { rounds: 6, seconds: 1 } as const;
const CHURN_TIMES = { rounds: 9, seconds: 1 } as const;

/** The servers that are measured by default. */
export const ECHO_SERVERS: readonly string[] = [
  "c-epoll",
  "polloi-uring-run",
  "polloi-uring",
  "polloi-uring-zero-copy",
  "polloi-epoll",
  "node-net",
  "bun-listen",
  "polloi-uring-bun",
  "c-uring",
];
export const CHURN_SERVERS: readonly string[] = [
  "c-epoll",
  "polloi-uring",
  "polloi-epoll",
  "node-net",
  "c-uring",
];

interface EchoFlags extends CommonFlags {
  readonly connections: readonly number[];
  readonly depth?: number;
  readonly sizes?: readonly number[];
  readonly size?: number;
  readonly life?: number;
}

export function addEcho(program: Command): void {
  addBenchmark(program, {
    name: "echo",
    description: "messages/s and CPU time of echo servers",
    times: ECHO_TIMES,
    servers: { usual: ECHO_SERVERS, all: PEER_NAMES },
  })
    .option("--connections <counts>", "connections", countsFrom, [50, 500, 5000])
    .option("--sizes <bytes>", "message sizes", countsFrom, [64, 16384])
    .option("--depth <count>", "messages in flight per connection", countFrom, 1)
    .action((flags: EchoFlags) => run("echo", flags, timesOf(flags, ECHO_TIMES)));
  addBenchmark(program, {
    name: "churn",
    description: "connections/s and CPU time per connection, with short-lived connections",
    times: CHURN_TIMES,
    servers: { usual: CHURN_SERVERS, all: PEER_NAMES },
  })
    .option("--connections <counts>", "connections at a time", countsFrom, [100])
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--life <count>", "messages per connection", countFrom, 10)
    .action((flags: EchoFlags) => run("churn", flags, timesOf(flags, CHURN_TIMES)));
  addBenchmark(program, {
    name: "trace",
    description: "the CPU time of polloi trace, and of polloi serve without it",
    times: ECHO_TIMES,
    servers: { usual: TRACE_NAMES, all: TRACE_NAMES },
  })
    .option("--connections <counts>", "connections", countsFrom, [50])
    .option("--size <bytes>", "message size", countFrom, 64)
    .action((flags: EchoFlags) => run("trace", flags, timesOf(flags, ECHO_TIMES)));
}

async function run(
  benchmark: EchoResult["benchmark"],
  flags: EchoFlags,
  times: Times,
): Promise<void> {
  const { connections, size = 64, sizes = [size], depth = 1, life } = flags;
  const settings = { connections, sizes, depth, ...(life === undefined ? {} : { life }), ...times };
  const usual = { echo: ECHO_SERVERS, churn: CHURN_SERVERS, trace: TRACE_NAMES }[benchmark];
  const plans = benchmark === "trace" ? { plans: TRACE_PLANS } : {};
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, flags.servers ?? usual, plans.plans),
  });
  if (benchmark === "churn") requireC(session, "churn");
  await runCases<EchoCase, EchoResult>(session, flags, {
    times,
    plans: casesOf(session, settings),
    result: { ...publishedBy(session, benchmark), settings, cases: [] },
    figure: (each) => echoFigure(each, life),
    report: echoReport,
  });
}

function casesOf({ peers }: Session, { connections, sizes, depth, life }: EchoSettings) {
  const churn = life === undefined ? {} : ({ mode: "churn", life } as const);
  return sizes.flatMap((size) =>
    connections.map((count) => ({
      about: { connections: count, size },
      title: `${bytesText(size)} x ${whole(count)}`,
      plan: {
        connections: count,
        load: { ...churn, size, connections: count, depth, idle: 0 },
        peers,
      },
    })),
  );
}

function rowNamed(rows: readonly Row<Throughput>[], name: string): Row<Throughput> | undefined {
  return rows.find((row) => row.name === name);
}

export function echoFigure({ rows, size, connections }: EchoCase, life?: number): Figure {
  const c = rowNamed(rows, REFERENCE);
  const load = shareColumn<Throughput>("load", ({ loadBusy }) => loadBusy);
  if (life !== undefined) {
    const cpuPerConnection = (sample: Throughput): number => life * cpuOf(sample);
    const marks = (row: Row<Throughput>): string => (usageOf(row).faulty ? "!" : "");
    return {
      title: `${whole(connections)} at a time`,
      table: rowTable("server", rows, [
        spreadColumn("connections/s", (sample) => sample.connectionsPerSecond, whole),
        medianColumn("messages/s", rateOf),
        spreadColumn("CPU us/connection", cpuPerConnection, whole),
        cpuRatioColumn("of C by CPU", c),
        cpuRatioColumn("of own epoll by CPU", rowNamed(rows, "polloi-epoll")),
        serverColumn(marks),
        load,
      ]),
      remarks: rowRemarks(rows, marks),
    };
  }
  return {
    title: `${bytesText(size)} messages, ${whole(connections)} connections`,
    table: rowTable("server", rows, [
      spreadColumn("messages/s", rateOf, whole),
      ratioColumn("of C", rateOf, c),
      spreadColumn("CPU us/msg", cpuOf),
      cpuRatioColumn("of C by CPU", c),
      serverColumn(),
      load,
      medianColumn("p50 us", ({ p50Us }) => p50Us),
      medianColumn("p99 us", ({ p99Us }) => p99Us),
    ]),
    remarks: rowRemarks(rows),
  };
}

export function echoReport({ benchmark, settings, cases }: EchoResult): Report {
  const { rounds, seconds, life } = settings;
  const goals = { echo: echoGoals, churn: churnGoals, trace: () => [] }[benchmark];
  return {
    method:
      life === undefined
        ? `Each figure: messages/s as a ratio to the C loop in the same round (median, smallest and largest of ${rounds} rounds of ${seconds} s), messages/s, and server CPU time per message.`
        : `Connections that close after ${life} messages; ${rounds} rounds of ${seconds} s. A handshake costs the connecting side more than the accepting side, so the load may be the bottleneck. The ratios are therefore of connections per second of server CPU time.`,
    figures: cases.map((each) => echoFigure(each, life)),
    goals: goals(cases),
    failed: casesFailed(cases),
  };
}

/** The Markdown tables of the echo benchmark: one for each message size, with a column for each number of connections. */
export function echoTables(
  { cases }: EchoResult,
  names?: readonly string[],
  sizes?: readonly number[],
): string[] {
  const all = [...new Set(cases.map(({ size }) => size))];
  return (sizes ?? all).map((size) => {
    const own = cases.filter((each) => each.size === size);
    const columns = own.map(({ connections, rows }) => {
      return { title: `${whole(connections)} connections`, rows, reference: REFERENCE };
    });
    const shown = names ?? own[0]?.rows.map(({ name }) => name) ?? [];
    return caseMatrix(`${bytesText(size)} messages`, columns, shown);
  });
}

/** A table of the ratios to the C loop alone, for one message size. */
export function echoRatios({ cases }: EchoResult, names: readonly string[], size: number): string {
  const own = cases.filter((each) => each.size === size);
  const rows = names.flatMap((name) => {
    const label = own.flatMap(({ rows }) => rowNamed(rows, name)?.label ?? [])[0];
    if (label === undefined) return [];
    const ratios = own.map(({ rows }) => {
      const ratio = spreadOf(ratiosOf(rateOf, rowNamed(rows, name), rowNamed(rows, REFERENCE)));
      return ratio === undefined ? "-" : spreadText(ratio);
    });
    return [[label, ...ratios]];
  });
  const columns = own.map(({ connections }) => `${whole(connections)} connections`);
  return markdownTable({ header: [`${bytesText(size)} messages`, ...columns], rows });
}

/** Colours by engine, as in every chart. */
const COLOUR_KEYS: Readonly<Record<string, string>> = {
  "polloi-uring": "io_uring",
  "polloi-epoll": "epoll",
};

/** A chart of messages/s as ratios to the C loop, with a group for each number of connections. */
export function echoChart(result: EchoResult, size: number, names: readonly string[]): BarChart {
  const cases = result.cases.filter((each) => each.size === size);
  const { cpu, kernel, commit, date } = result.machine;
  return {
    title: `Echo, ${bytesText(size)}: messages per second`,
    subtitle: `as a ratio to the C epoll loop in the same round; median and spread of ${result.settings.rounds} rounds; higher is better`,
    footer: `${cpu}, Linux ${kernel}, commit ${commit}, ${date.slice(0, 10)}`,
    x: { label: "ratio to the C epoll loop", format: (value) => value.toFixed(2) },
    groups: cases.map(({ connections }) => `${whole(connections)} connections`),
    series: names.flatMap((name) => {
      const label = cases.flatMap(({ rows }) => rowNamed(rows, name)?.label ?? [])[0];
      if (label === undefined) return [];
      const values = cases.map(({ rows }): Measured | undefined => {
        const ratios = ratiosOf(rateOf, rowNamed(rows, name), rowNamed(rows, REFERENCE));
        const ratio = spreadOf(ratios);
        return ratio && { value: ratio.median, low: ratio.min, high: ratio.max };
      });
      return [{ name: label, key: COLOUR_KEYS[name] ?? name, values }];
    }),
    reference: 1,
  };
}

const SMALL = "64 B";
const LARGE = "16 KiB";
const URING = ["polloi-uring", "polloi-uring-zero-copy"];
const EPOLL = ["polloi-epoll", "polloi-zero-copy"];

const AIMS: readonly Aim[] = [
  {
    by: ["polloi-uring-run", ...URING],
    of: "c-epoll",
    kinds: [SMALL],
    limit: { atLeast: 1, record: 1.08 },
  },
  { by: URING, of: "node-net", limit: { atLeast: 1.5, record: 1.8 } },
  { by: URING, of: "bun-listen", limit: { atLeast: 1.15, record: 1.3 } },
  { by: ["polloi-uring-bun"], of: "bun-listen", limit: { atLeast: 1.15, record: 1.3 } },
  {
    by: ["polloi-uring"],
    of: "polloi-epoll",
    kinds: [LARGE],
    limit: { atLeast: 0.95, record: 1.05 },
  },
  {
    by: ["polloi-uring-zero-copy"],
    of: "polloi-zero-copy",
    kinds: [LARGE],
    limit: { atLeast: 0.95, record: 1.05 },
  },
  { by: EPOLL, of: "c-epoll", limit: { atLeast: 0.93 } },
  { by: EPOLL, of: "node-net", limit: { atLeast: 1.35 } },
  { by: EPOLL, of: "bun-listen", limit: { atLeast: 1 } },
];

export function echoGoals(cases: readonly EchoCase[]): Goal[] {
  return throughputGoals(
    AIMS,
    cases.map(({ size, connections, rows }) => {
      const kind = bytesText(size);
      return { kind, where: `${kind} x ${whole(connections)}`, rows };
    }),
  );
}

/** The goal of churn, by CPU time, since the load may be the bottleneck of connections/s. */
export function churnGoals(cases: readonly EchoCase[]): Goal[] {
  return cases.flatMap(({ rows, connections }) => {
    const [row, own] = [rowNamed(rows, "polloi-uring"), rowNamed(rows, "polloi-epoll")];
    if (row === undefined || own === undefined) return [];
    const usages = [row, own].map(usageOf);
    return [
      {
        what: `${row.label} : ${own.label}, churn by CPU`,
        where: `${whole(connections)} at a time`,
        limit: { atLeast: 0.95, record: 1.05 },
        values: ratiosOf(cpuOf, own, row),
        doubt: usages.some(({ faulty }) => faulty)
          ? "bytes or connections were lost"
          : disturbanceOf(usages),
      },
    ];
  });
}
