/** Messages/s and CPU time of servers under load: the common part of the echo and HTTP benchmarks. */
import {
  absenceLines,
  type Column,
  hasFailed,
  type Row,
  ratiosOf,
  type Sample,
  type Samples,
  spreadIn,
} from "../packages/polloi-tools/src/measure/grid.ts";
import { escaped, type Figure } from "../packages/polloi-tools/src/measure/report.ts";
import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import {
  markdownTable,
  percent,
  spreadText,
  whole,
} from "../packages/polloi-tools/src/measure/table.ts";
import {
  addSample,
  type CommonFlags,
  emptyRows,
  finish,
  type OpenRow,
  type Published,
  type Report,
  type Session,
  save,
  show,
  type Times,
} from "./benchmark.ts";
import type { Goal, Limit } from "./goals.ts";
import { type Bench, Interleaved } from "./interleave.ts";
import type { LoadPlan, LoadResult } from "./load.ts";
import { whyNotFit } from "./machine.ts";
import { type Peer, thatHold } from "./peers.ts";

/** One server in one round. */
export interface Throughput extends Sample {
  readonly messagesPerSecond: number;
  /** In churn only. */
  readonly connectionsPerSecond?: number;
  /** CPU time of all threads of the server per message, in microseconds. */
  readonly serverCpuUs: number;
  /** CPU time of the server as a share of the window: 1 is one core. */
  readonly serverBusy: number;
  /** The share of the window in which the server's core was idle. */
  readonly coreIdle: number;
  readonly loadBusy: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly connectMs: number;
  readonly compared: number;
  readonly mismatches: number;
  readonly lost: number;
  readonly loadEngine: string;
}

/** All servers in one case. */
export interface Case {
  readonly connections: number;
  readonly rows: readonly Row<Throughput>[];
}

export const rateOf = ({ messagesPerSecond }: Throughput): number => messagesPerSecond;
export const cpuOf = ({ serverCpuUs }: Throughput): number => serverCpuUs;
/** Messages per CPU second of the server. */
export const workOf = ({ serverCpuUs }: Throughput): number => 1e6 / serverCpuUs;
const p99Of = ({ p99Us }: Throughput): number => p99Us;

/** The sample of loads that ran at the same time: each reports its own messages and all of the server's CPU time. */
export function throughputOf(results: readonly LoadResult[], round: number): Throughput {
  const [first] = results;
  if (first === undefined) throw new Error("no load has run");
  const sum = (of: (result: LoadResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  const most = (of: (result: LoadResult) => number): number => Math.max(...results.map(of));
  const messagesPerSecond = sum(({ messages, seconds }) => messages / seconds);
  const connectionsPerSecond = sum(({ lives = 0, seconds }) => lives / seconds);
  const serverBusy =
    sum(({ serverCpuSeconds, seconds }) => serverCpuSeconds / seconds) / results.length;
  return {
    round,
    messagesPerSecond,
    ...(connectionsPerSecond > 0 ? { connectionsPerSecond } : {}),
    serverCpuUs: (serverBusy / messagesPerSecond) * 1e6,
    serverBusy,
    coreIdle: first.coreIdleSeconds / first.seconds,
    loadBusy: sum(({ cpuSeconds, seconds }) => cpuSeconds / seconds),
    p50Us: most(({ latencyUs }) => latencyUs.p50),
    p99Us: most(({ latencyUs }) => latencyUs.p99),
    connectMs: most(({ connectMs }) => connectMs),
    compared: first.compared,
    mismatches: sum(({ mismatches }) => mismatches),
    lost: sum(({ lost }) => lost),
    loadEngine: `${first.side} ${first.engine}`,
  };
}

/** A case of a benchmark: its load, and the servers that take part. */
export interface CasePlan {
  readonly connections: number;
  readonly load: LoadPlan;
  /** Messages/s in an open loop. */
  readonly rate?: number;
  readonly peers: readonly Peer[];
}

/**
 * In an open loop a server waits for almost every message, by functions that a closed loop seldom calls. A runtime
 * compiles them well only after some ten thousand messages, which may take longer than a round at the measured rate.
 */
const OPEN_LOOP_WARMUP = { factor: 3, rate: 10_000 } as const;

/** Measures all servers of a case side by side; each round starts them again. */
export async function measureCase(
  bench: Bench,
  { connections, load, rate, peers: all }: CasePlan,
  { rounds, seconds, warmup }: Times,
  step: (round: number) => void,
): Promise<Row<Throughput>[]> {
  const { peers, skipped } = thatHold(connections, { peers: all, skipped: [] });
  const rows = emptyRows<Throughput>(peers);
  const plans = peers.map(({ command, idleSeconds }) => {
    const keepSeconds = idleSeconds === undefined ? undefined : Math.floor(idleSeconds / 2);
    return { command, loads: [keepSeconds === undefined ? load : { ...load, keepSeconds }] };
  });
  const rates = rate === undefined ? {} : { rates: peers.map(() => rate) };
  for (let round = 1; round <= rounds && peers.length > 0; round++) {
    step(round);
    const servers = await Interleaved.open(bench, plans);
    try {
      await servers.warmUp(warmup);
      if (rate !== undefined) {
        await servers.warmUp(OPEN_LOOP_WARMUP.factor * warmup, OPEN_LOOP_WARMUP.rate);
      }
      const results = await servers.measure({ seconds, round, ...rates });
      results.forEach((result, i) => {
        const sample = result instanceof Error ? result : throughputOf(result, round);
        addSample(rows[i] as OpenRow<Throughput>, sample);
      });
    } finally {
      await servers.close();
    }
  }
  const others = skipped.map(({ name, label, reason }) => {
    return { name, label, samples: [], absent: { reason, failed: false } };
  });
  return [...rows, ...others];
}

/** A benchmark that measures several cases. */
export interface CasesRun<C extends Case, R extends Published & { readonly cases: C[] }> {
  readonly times: Times;
  readonly plans: readonly {
    /** The plain data of the case, as it is published. */
    readonly about: Omit<C, "rows">;
    /** The name of the case in progress lines. */
    readonly title: string;
    readonly plan: CasePlan;
    /** Why it cannot be measured. */
    readonly missing?: string | undefined;
  }[];
  readonly result: R;
  figure(of: C): Figure;
  report(result: R): Report;
}

/** Measures the cases, and prints and saves each when it is complete. */
export async function runCases<C extends Case, R extends Published & { readonly cases: C[] }>(
  session: Session,
  flags: CommonFlags,
  { times, plans, result, figure, report }: CasesRun<C, R>,
): Promise<void> {
  const { machine, warnings, progress } = session;
  const steps = plans.length * times.rounds;
  for (const [i, { about, title, plan, missing }] of plans.entries()) {
    const reason = missing ?? whyNotFit(machine, plan.connections);
    if (reason !== undefined) {
      warnings.push(`${title} is left out: ${reason}`);
      progress.end();
      console.log(`WARNING   ${warnings.at(-1)}`);
      continue;
    }
    const rows = await measureCase(session, plan, times, (round) =>
      progress.step(`${title}, round ${round} of ${times.rounds}`, {
        done: i * times.rounds + round - 1,
        steps,
      }),
    );
    const measured = { ...about, rows } as unknown as C;
    result.cases.push(measured);
    show(session, [figure(measured)]);
    save(result, flags);
  }
  finish(result, report(result), flags);
}

/** Whether a server failed or damaged messages in any case. */
export function casesFailed(cases: readonly Case[]): boolean {
  return cases.some(({ rows }) => hasFailed(rows) || rows.some((row) => usageOf(row).faulty));
}

/** Below this share of its core, the server was not the bottleneck. */
const SATURATED = 0.95;
/** With more idle time of the server's core, the load did not saturate the server. */
const IDLE_AT_MOST = 0.05;
/** Throughput can be compared if the servers' shares of the core differ by less. */
const SHARES_DIFFER = 0.03;
/** With more CPU time used by other processes, a server's CPU time is not reliable either. */
const OTHERS_AT_MOST = 0.1;
/** With a smaller share of its core, a server's code was not warmed up. */
const WARMED_UP = 0.5;
/** Below this share of a requested rate, the server did not keep up. */
export const REACHED = 0.99;

/** The medians that decide whether a figure is reliable. */
export interface Usage {
  readonly serverBusy: number | undefined;
  readonly coreIdle: number | undefined;
  /** Bytes came back changed, or connections were lost. */
  readonly faulty: boolean;
}

export function usageOf(row: Samples<Throughput>): Usage {
  return {
    serverBusy: spreadIn(row, ({ serverBusy }) => serverBusy)?.median,
    coreIdle: spreadIn(row, ({ coreIdle }) => coreIdle)?.median,
    faulty: row.samples.some(({ mismatches, lost }) => mismatches > 0 || lost > 0),
  };
}

/** The marks behind the share of a server's core. */
const NOTES: Readonly<Record<string, string>> = {
  "*": "* the server did not saturate its core, which was idle at times: the load was the bottleneck, or was kept from its own core",
  "~": "~ other processes ran on the server's core: the CPU columns are more reliable",
  "!": "! bytes came back changed, or connections were lost",
};

export function marksOf({ serverBusy, coreIdle, faulty }: Usage): string {
  const isShort = serverBusy !== undefined && serverBusy < SATURATED;
  const isIdle = (coreIdle ?? 0) > IDLE_AT_MOST;
  return `${isShort ? (isIdle ? "*" : "~") : ""}${faulty ? "!" : ""}`;
}

/** The meaning of the marks that occur. */
export function notesFor(marks: string): string[] {
  return Object.entries(NOTES).flatMap(([mark, note]) => (marks.includes(mark) ? [note] : []));
}

/** The remarks below a figure: its marks, and servers without samples. */
export function rowRemarks(
  rows: readonly Row<Throughput>[],
  marks: (row: Row<Throughput>) => string = (row) => marksOf(usageOf(row)),
): string[] {
  return [...notesFor(rows.map(marks).join("")), ...absenceLines(rows)];
}

/** Why CPU times prove nothing: other processes used a server's core. */
export function disturbanceOf(
  usages: readonly Pick<Usage, "serverBusy" | "coreIdle">[],
): string | undefined {
  const isDisturbed = usages.some(
    ({ serverBusy = 1, coreIdle = 0 }) => 1 - serverBusy - coreIdle > OTHERS_AT_MOST,
  );
  return isDisturbed ? "other processes ran on a server's core" : undefined;
}

/**
 * Why a ratio of messages/s proves nothing: a server was not saturated, or had more of its core than the other.
 * Turns of a tenth of a second distribute the CPU time of other processes evenly.
 */
function throughputDoubt(one: Usage, other: Usage): string | undefined {
  const marks = marksOf(one) + marksOf(other);
  if (marks.includes("!")) return "bytes or connections were lost";
  if (marks.includes("*")) return "a server did not saturate its core";
  const difference = Math.abs((one.serverBusy ?? 1) - (other.serverBusy ?? 1));
  if (difference > SHARES_DIFFER) return "one server had more of its core than the other";
  const isCold = [one, other].some(({ serverBusy = 1 }) => serverBusy < WARMED_UP);
  return isCold ? "a server had less than half of its core" : undefined;
}

/** Why CPU time per message of saturated servers proves nothing. */
function cpuDoubt(usages: readonly Usage[]): string | undefined {
  return usages.some(({ faulty }) => faulty)
    ? "bytes or connections were lost"
    : disturbanceOf(usages);
}

/** Why CPU time per message in an open loop proves nothing. */
function rateDoubt(rows: readonly Row<Throughput>[], rate: number): string | undefined {
  const usages = rows.map(usageOf);
  if (usages.some(({ faulty }) => faulty)) return "answers or connections were lost";
  const isSlow = rows.some((row) => (spreadIn(row, rateOf)?.median ?? 0) < rate * REACHED);
  return isSlow ? "the rate was not reached" : disturbanceOf(usages);
}

/** Servers that should reach a ratio to another. */
export interface Aim {
  readonly by: readonly string[];
  readonly of: string;
  /** The kinds of cases in which they should. Default: all. */
  readonly kinds?: readonly string[];
  /** The figure that is compared. Default: messages/s, or CPU time per message where a rate was requested. */
  readonly figure?: keyof typeof FIGURES;
  readonly limit: Limit;
}

/** The figures that aims compare, and their names in goals. */
const FIGURES: Readonly<
  Record<
    "rate" | "cpu" | "message" | "work" | "p99",
    { value: (sample: Throughput) => number; suffix: string }
  >
> = {
  rate: { value: rateOf, suffix: "" },
  cpu: { value: cpuOf, suffix: ", CPU per request" },
  message: { value: cpuOf, suffix: ", CPU per message" },
  work: { value: workOf, suffix: ", per CPU second" },
  p99: { value: p99Of, suffix: ", p99" },
};

/** A case, as goals refer to it. */
export interface GoalCase {
  readonly kind: string;
  /** Its name in a goal; names that differ only after ` x ` share a row. */
  readonly where: string;
  /** The requested rate, where CPU time per message is compared instead of throughput. */
  readonly rate?: number;
  readonly rows: readonly Row<Throughput>[];
}

/** The goals of these aims. An aim whose server was not measured has none. */
export function throughputGoals(aims: readonly Aim[], cases: readonly GoalCase[]): Goal[] {
  return aims.flatMap(({ by, of, kinds, limit, figure }) =>
    by.flatMap((name) =>
      cases
        .filter(({ kind }) => kinds?.includes(kind) ?? true)
        .flatMap(({ rows, where, rate }): Goal[] => {
          const row = rows.find((each) => each.name === name);
          const other = rows.find((each) => each.name === of);
          if (row === undefined || other === undefined) return [];
          const compared = figure ?? (rate === undefined ? "rate" : "cpu");
          const { value, suffix } = FIGURES[compared];
          const values = ratiosOf(value, row, other);
          if (values.length === 0) return [];
          const what = `${row.label} : ${other.label}${suffix}`;
          const usages = [usageOf(row), usageOf(other)] as const;
          if (rate !== undefined) {
            return [{ what, where, limit, values, doubt: rateDoubt([row, other], rate) }];
          }
          const doubt = compared === "rate" ? throughputDoubt(...usages) : cpuDoubt(usages);
          return [{ what, where, limit, values, doubt }];
        }),
    ),
  );
}

/** A column of messages per CPU second, as a ratio to a reference. */
export function cpuRatioColumn(
  title: string,
  reference: Samples<Throughput> | undefined,
): Column<Throughput> {
  return {
    title: `${title} (min-max)`,
    text: (row) => spreadText(spreadOf(ratiosOf(cpuOf, reference, row))),
  };
}

/** A column of the server's share of its core, with marks. */
export function serverColumn(
  marks: (row: Row<Throughput>) => string = (row) => marksOf(usageOf(row)),
): Column<Throughput> {
  return { title: "server", text: (row) => `${percent(usageOf(row).serverBusy)}${marks(row)}` };
}

/** A Markdown table with a column for each case: `**1.03 (1.01-1.05)** 108 k/s, 8.6 us`. */
export function caseMatrix(
  title: string,
  cases: readonly {
    readonly title: string;
    readonly rows: readonly Row<Throughput>[];
    readonly reference: string;
  }[],
  names: readonly string[],
): string {
  let marks = "";
  const cell = ({ rows, reference }: (typeof cases)[number], name: string): string => {
    const row = rows.find((each) => each.name === name);
    const rate = spreadIn(row, rateOf)?.median;
    if (row === undefined || rate === undefined) return "-";
    const own = marksOf(usageOf(row));
    marks += own;
    const to = rows.find((each) => each.name === reference);
    const ratio = spreadOf(ratiosOf(rateOf, row, to));
    const bold = ratio === undefined ? "" : `**${spreadText(ratio)}** `;
    const cpu = `${spreadIn(row, cpuOf)?.median.toFixed(1)} us`;
    return `${bold}${whole(rate / 1000)} k/s, ${cpu}${escaped(own)}`;
  };
  const labels = new Map(
    cases.flatMap(({ rows }) => rows.map(({ name, label }) => [name, label] as const)),
  );
  const rows = names
    .filter((name) => labels.has(name))
    .map((name) => [labels.get(name) as string, ...cases.map((each) => cell(each, name))]);
  const table = markdownTable({ header: [title, ...cases.map((each) => each.title)], rows });
  return [table, ...notesFor(marks).map(escaped)].join("\n\n");
}
