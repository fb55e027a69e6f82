/** Compares the working tree with another commit, side by side: throughput, CPU time per operation, idle memory. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Argument, type Command } from "commander";
import {
  absenceLines,
  hasFailed,
  type Row,
  ratiosOf,
  type Sample,
  spreadIn,
  type Value,
} from "../packages/polloi-tools/src/measure/grid.ts";
import type { Figure } from "../packages/polloi-tools/src/measure/report.ts";
import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import { bytesText, spreadText, whole } from "../packages/polloi-tools/src/measure/table.ts";
import { type Change, changeOf } from "../packages/polloi-tools/src/measure/verdict.ts";
import {
  addBenchmark,
  type CommonFlags,
  numberFrom,
  open,
  type Published,
  publishedBy,
  requireC,
  type Session,
  save,
  show,
  type Times,
  timesOf,
} from "./benchmark.ts";
import { checkOut, commitOf } from "./commits.ts";
import { requestOf } from "./http.ts";
import { writeBodies } from "./http-plans.ts";
import { bytesOf, measureMemory } from "./idle.ts";
import type { LoadPlan } from "./load.ts";
import { findPeers } from "./peers.ts";
import { inRepository } from "./places.ts";
import { NODE, type PeerPlan } from "./plans.ts";
import {
  cpuOf,
  marksOf,
  measureCase,
  notesFor,
  rateOf,
  type Throughput,
  usageOf,
} from "./throughput.ts";

const SUITES = ["echo", "http", "idle"] as const;
type Suite = (typeof SUITES)[number];
const ENGINES = ["io_uring", "epoll"] as const;
/** The two versions: the working tree, and the other commit. */
const VERSIONS = ["tree", "base"] as const;
type Version = (typeof VERSIONS)[number];

const TIMES = { rounds: 5, seconds: 1, warmup: 0.75 } as const;
const QUICK: Times = { rounds: 3, seconds: 0.3, warmup: 0.3 };
const IDLE_ROUNDS = 3;
const IDLE_CONNECTIONS = 15_000;
const DEFAULT_LIMIT_SECONDS = 900;

interface CompareFlags extends CommonFlags {
  readonly against: string;
  readonly limit: number;
}

/** One figure of one case and engine, in both versions. */
export interface Comparison {
  readonly suite: Suite;
  /** `64 B x 50, io_uring`. */
  readonly where: string;
  /** `messages/s`, `CPU us/msg`, `bytes per idle connection`. */
  readonly unit: string;
  readonly better: "more" | "less";
  /** Medians. */
  readonly tree: number;
  readonly base: number;
  /** The working tree's value divided by the other's, for each round. */
  readonly ratios: readonly number[];
  /** Marks of both servers: the load was the bottleneck, other processes ran. */
  readonly marks: string;
}

/** A run of the comparison. */
export interface CompareResult extends Published {
  readonly benchmark: "compare";
  readonly settings: Times & { readonly against: string; readonly suites: readonly Suite[] };
  readonly comparisons: Comparison[];
}

export function addCompare(program: Command): void {
  addBenchmark(program, {
    name: "compare",
    description: "the working tree and another commit side by side, with a verdict for each figure",
    times: TIMES,
  })
    .addArgument(new Argument("[suites...]", "suites to compare (default: all)").choices(SUITES))
    .requiredOption("--against <commit>", "the commit to compare with")
    .option(
      "--limit <seconds>",
      "no further case starts after this time",
      numberFrom,
      DEFAULT_LIMIT_SECONDS,
    )
    .action((suites: Suite[], flags: CompareFlags) =>
      run(suites.length === 0 ? SUITES : suites, flags),
    );
}

async function run(suites: readonly Suite[], flags: CompareFlags): Promise<void> {
  const times = timesOf(flags, TIMES, QUICK);
  const settings = { ...times, against: commitOf(flags.against), suites };
  writeBodies();
  const folder = checkOut(settings.against);
  const plans = VERSIONS.flatMap((version) =>
    ENGINES.flatMap((engine) =>
      (["polloi", "polloi-http"] as const).map((program) =>
        planOf(program, { version, engine, root: version === "tree" ? inRepository("") : folder }),
      ),
    ),
  );
  const connections = flags.quick === true ? [50, 500] : [50, 500, 5000];
  const names = plans.map(({ name }) => name);
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, names, plans),
    connections: Math.max(...connections),
  });
  requireC(session, "compare");
  const result: CompareResult = { ...publishedBy(session, "compare"), settings, comparisons: [] };
  const until = performance.now() + 1000 * flags.limit;
  const add = (comparisons: readonly Comparison[]): void => {
    result.comparisons.push(...comparisons);
    save(result, flags);
  };
  const cases = suites.flatMap((suite) =>
    suite === "idle" ? [] : casesOf(suite, connections).map((each) => ({ suite, each })),
  );
  const steps = cases.length * times.rounds;
  for (const [i, { suite, each }] of cases.entries()) {
    if (performance.now() > until) {
      session.warnings.push(`${suite} ${each.title} is left out: the time limit was reached`);
      continue;
    }
    const step = (round: number, pass: number): void =>
      session.progress.step(
        `${suite} ${each.title}, round ${round} of ${times.rounds}${pass > 0 ? ", again" : ""}`,
        { done: (i + (pass > 0 ? 1 : 0)) * times.rounds + (pass > 0 ? 0 : round - 1), steps },
      );
    add(await compareCase(session, suite, each, times, step));
  }
  if (suites.includes("idle") && performance.now() < until) add(await compareIdle(session));
  show(
    session,
    suites
      .map((suite) => ({ suite, own: result.comparisons.filter((each) => each.suite === suite) }))
      .filter(({ own }) => own.length > 0)
      .map(({ suite, own }) => compareFigure(suite, own, settings.against)),
  );
  for (const warning of session.warnings) console.log(`WARNING   ${warning}`);
  const worse = result.comparisons.filter((each) => verdictOf(each) === "worse");
  console.log(`\n${summaryOf(result)}`);
  console.log(`\nwritten to ${save(result, flags)}`);
  if (worse.length > 0 || session.skipped.length > 0) process.exitCode = 1;
}

/** A server of a version, on an engine. */
function planOf(
  program: "polloi" | "polloi-http",
  at: { readonly version: Version; readonly engine: string; readonly root: string },
): PeerPlan {
  const { version, engine, root } = at;
  const file = join(root, `dist/bench/peers/${program}.js`);
  return {
    name: nameOf(program, version, engine),
    label: `${program}, ${engine}, ${version === "tree" ? "this tree" : "the other commit"}`,
    command: () => {
      if (existsSync(file)) return [...NODE, file, "--engine", engine];
      throw new Error(`the commit has no bench/peers/${program}.ts`);
    },
  };
}

function nameOf(program: string, version: Version, engine: string): string {
  return `${program}-${engine}-${version}`;
}

interface ComparedCase {
  readonly title: string;
  readonly load: LoadPlan;
  readonly program: "polloi" | "polloi-http";
}

function casesOf(suite: "echo" | "http", connections: readonly number[]): ComparedCase[] {
  const common = { idle: 0, depth: 1 };
  if (suite === "echo") {
    return [64, 16_384].flatMap((size) =>
      connections.map(
        (count): ComparedCase => ({
          title: `${bytesText(size)} x ${whole(count)}`,
          load: { ...common, connections: count, size },
          program: "polloi",
        }),
      ),
    );
  }
  const hello = { ...common, ...requestOf("hello"), size: 13 };
  return [
    { title: "not pipelined x 64", load: { ...hello, connections: 64 }, program: "polloi-http" },
    { title: "not pipelined x 512", load: { ...hello, connections: 512 }, program: "polloi-http" },
    {
      title: "16 pipelined x 64",
      load: { ...hello, connections: 64, depth: 16 },
      program: "polloi-http",
    },
  ];
}

/** Measures a case, and once more if a figure is worse: all rounds count, so a coincidence does not. */
async function compareCase(
  session: Session,
  suite: Suite,
  { title, load, program }: ComparedCase,
  times: Times,
  step: (round: number, pass: number) => void,
): Promise<Comparison[]> {
  const peers = session.peers.filter(({ name }) => isOf(name, program));
  const plan = { connections: load.connections, load, peers };
  let rows: Row<Throughput>[] = [];
  for (let pass = 0; pass < 2; pass++) {
    const measured = await measureCase(session, plan, times, (round) => step(round, pass));
    rows = merged(rows, measured, pass * times.rounds);
    const comparisons = compareRows(suite, title, rows, program);
    if (pass > 0 || !comparisons.some((each) => verdictOf(each) === "worse")) return comparisons;
  }
  return [];
}

/** Whether a server runs this program, in any version and on any engine. */
function isOf(name: string, program: string): boolean {
  return ENGINES.some((engine) =>
    VERSIONS.some((version) => name === nameOf(program, version, engine)),
  );
}

function merged(
  rows: readonly Row<Throughput>[],
  more: readonly Row<Throughput>[],
  rounds: number,
): Row<Throughput>[] {
  return more.map((row) => {
    const before = rows.find(({ name }) => name === row.name)?.samples ?? [];
    const after = row.samples.map((sample) => ({ ...sample, round: sample.round + rounds }));
    return { ...row, samples: [...before, ...after] };
  });
}

function compareRows(
  suite: Suite,
  title: string,
  rows: readonly Row<Throughput>[],
  program: string,
): Comparison[] {
  if (hasFailed(rows)) throw new Error(absenceLines(rows).join("; "));
  const of = suite === "http" ? "request" : "msg";
  return pairsOf(rows, program).flatMap(({ engine, tree, base }): Comparison[] => {
    const marks = [...new Set(marksOf(usageOf(tree)) + marksOf(usageOf(base)))].join("");
    const common = { suite, where: `${title}, ${engine}`, marks };
    return [
      { ...common, ...figuresOf(tree, base, rateOf), unit: `${of}/s`, better: "more" },
      { ...common, ...figuresOf(tree, base, cpuOf), unit: `CPU us/${of}`, better: "less" },
    ];
  });
}

function figuresOf<S extends Sample>(
  tree: Row<S>,
  base: Row<S>,
  value: Value<S>,
): Pick<Comparison, "tree" | "base" | "ratios"> {
  return {
    tree: spreadIn(tree, value)?.median ?? 0,
    base: spreadIn(base, value)?.median ?? 0,
    ratios: ratiosOf(value, tree, base),
  };
}

async function compareIdle(session: Session): Promise<Comparison[]> {
  const peers = session.peers.filter(({ name }) => isOf(name, "polloi"));
  const rows = await measureMemory(session, peers, {
    rounds: IDLE_ROUNDS,
    connections: IDLE_CONNECTIONS,
  });
  if (hasFailed(rows)) throw new Error(absenceLines(rows).join("; "));
  return pairsOf(rows, "polloi").map(({ engine, tree, base }) => ({
    suite: "idle",
    where: `${whole(IDLE_CONNECTIONS)} connections, ${engine}`,
    unit: "bytes per connection",
    better: "less",
    // Memory that shrank while connections opened had not settled before.
    ...figuresOf(tree, base, (sample) => (bytesOf(sample) > 0 ? bytesOf(sample) : undefined)),
    marks: "",
  }));
}

/** The rows of both versions on each engine. */
function pairsOf<S extends Sample>(
  rows: readonly Row<S>[],
  program: string,
): { engine: string; tree: Row<S>; base: Row<S> }[] {
  return ENGINES.flatMap((engine) => {
    const [tree, base] = VERSIONS.map((version) =>
      rows.find(({ name }) => name === nameOf(program, version, engine)),
    );
    return tree === undefined || base === undefined ? [] : [{ engine, tree, base }];
  });
}

/** The verdict. Throughput of a server that the load did not saturate has none. */
export function verdictOf({ unit, ratios, better, marks }: Comparison): Change | "not saturated" {
  if (unit.endsWith("/s") && marks.includes("*")) return "not saturated";
  return changeOf(ratios, better);
}

/** The comparisons of a suite as a table. */
export function compareFigure(
  suite: Suite,
  comparisons: readonly Comparison[],
  against: string,
): Figure {
  const format = ({ better, unit }: Comparison): ((value: number) => string) =>
    better === "more" || unit.startsWith("bytes") ? whole : (value) => value.toFixed(2);
  return {
    title: `${suite}: this tree : ${against}`,
    table: {
      header: ["case", "figure", against, "this tree", "ratio (min-max)", "verdict"],
      rows: comparisons.map((each) => [
        each.where,
        each.unit,
        format(each)(each.base),
        format(each)(each.tree),
        spreadText(spreadOf(each.ratios), (ratio) => ratio.toFixed(3)),
        `${verdictOf(each)}${each.marks}`,
      ]),
    },
    remarks: notesFor(comparisons.map(({ marks }) => marks).join("")),
  };
}

/** One sentence about all comparisons. */
export function summaryOf({ comparisons, settings: { against } }: CompareResult): string {
  const worse = comparisons.filter((each) => verdictOf(each) === "worse");
  const judged = comparisons.filter((each) => /^(worse|better|similar)$/.test(verdictOf(each)));
  if (judged.length === 0) return `Too few rounds to compare with ${against}.`;
  if (worse.length === 0) {
    const disturbed = judged.filter(({ marks }) => marks.includes("~")).length;
    const note = disturbed === 0 ? "" : `, ${disturbed} of them disturbed`;
    return `No figure is worse than that of ${against} by more than the spread (${judged.length} of ${comparisons.length} compared${note}).`;
  }
  const list = worse.map(({ suite, where, unit }) => `${suite} ${where} (${unit})`);
  return `Worse than ${against} by more than the spread: ${list.join("; ")}.`;
}
