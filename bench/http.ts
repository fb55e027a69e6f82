/** The benchmark of HTTP servers. */
import { type Command, Option } from "commander";
import {
  hasFailed,
  medianColumn,
  type Row,
  ratioColumn,
  rowTable,
  shareColumn,
  spreadColumn,
} from "../packages/polloi-tools/src/measure/grid.ts";
import type { Figure } from "../packages/polloi-tools/src/measure/report.ts";
import { bytesText, whole } from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  countsFrom,
  open,
  type Published,
  publishedBy,
  type Report,
  type Session,
  show,
  type Times,
  timesOf,
} from "./benchmark.ts";
import type { Goal, Limit } from "./goals.ts";
import {
  argumentsIn,
  BODIES,
  CASE_NAMES,
  type CaseName,
  FILE_BYTES,
  HELLO_REQUEST,
  HTTP_NAMES,
  HTTP_PLANS,
  type LoadedName,
  takesPart,
  writeBodies,
  writeCount,
} from "./http-plans.ts";
import {
  type MemoryPlan,
  type MemorySample,
  measureMemory,
  memoryFigure,
  memoryGoals,
} from "./idle.ts";
import type { LoadPlan } from "./load.ts";
import { CHUNKED_BYTES } from "./peers/answers.ts";
import { findPeers } from "./peers.ts";
import {
  type Aim,
  type Case,
  caseMatrix,
  casesFailed,
  cpuOf,
  cpuRatioColumn,
  marksOf,
  rateOf,
  rowRemarks,
  runCases,
  serverColumn,
  type Throughput,
  throughputGoals,
  usageOf,
} from "./throughput.ts";
import { findHttpLoad, LOAD_NAMES, type LoadName } from "./wrk.ts";

/** The requests of a case. */
export interface HttpCasePlan {
  readonly name: LoadedName;
  readonly connections: number;
  /** Requests in flight per connection. */
  readonly depth: number;
  /** Requests/s in an open loop; 0 for a closed loop. */
  readonly rate: number;
  /** Bytes of the response body. */
  readonly size: number;
  /** Bytes of the request body; without it there is none. */
  readonly sent?: number;
}

/** All servers of a case. */
export interface HttpCase extends HttpCasePlan, Case {}

/** A run of the HTTP benchmark. */
export interface HttpResult extends Published {
  readonly benchmark: "http";
  readonly settings: Times & {
    readonly plans: readonly HttpCasePlan[];
    /** The load generator: `c` or `wrk`. */
    readonly load: string;
    /** Idle connections whose memory is measured. */
    readonly idle?: number;
  };
  readonly cases: HttpCase[];
  /** The memory of idle keep-alive connections, if it was measured. */
  readonly idle?: readonly Row<MemorySample>[];
}

// node:http takes the longest until its code is compiled: 0.75 s.
const TIMES = { rounds: 6, seconds: 1, warmup: 1 } as const;
/** Memory varies less than CPU time. */
const IDLE_ROUNDS = 3;

/** The servers that are measured by default. */
export const HTTP_SERVERS: readonly string[] = [
  "c-http",
  "polloi-handler-uring-run",
  "polloi-handler-uring",
  "uws",
  "polloi-handler-epoll",
  "polloi-fetch-uring",
  "bun-serve",
  "polloi-handler-uring-bun",
  "polloi-fetch-uring-bun",
  "node-http",
  "hono-node",
  "go-http",
  "c-sendfile",
  "polloi-files-uring",
  "polloi-files-epoll",
  "nginx",
];

interface HttpFlags extends CommonFlags {
  readonly cases?: readonly CaseName[];
  readonly connections: readonly number[];
  readonly depth: number;
  readonly bodies: readonly number[];
  readonly rate: readonly number[];
  readonly held: number;
  readonly idle: number;
  readonly load?: LoadName;
}

export function addHttp(program: Command): void {
  addBenchmark(program, {
    name: "http",
    description: "requests/s, CPU time and memory of HTTP servers",
    times: TIMES,
    servers: { usual: HTTP_SERVERS, all: HTTP_NAMES },
    cases: CASE_NAMES,
  })
    .option("--connections <counts>", "connections of the first case", countsFrom, [64, 512])
    .option("--depth <count>", "requests in flight per connection, pipelined", countFrom, 16)
    .option("--bodies <bytes>", "lengths of the request body, post", countsFrom, [1024, 102_400])
    .option("--rate <counts>", "requests/s, paced", countsFrom, [10_000, 1000])
    .option("--held <count>", "connections, paced", countFrom, 2000)
    .option("--idle <count>", "idle connections", countFrom, 15_000)
    .addOption(new Option("--load <name>", "the load generator").choices(LOAD_NAMES))
    .action(run);
}

async function run(flags: HttpFlags): Promise<void> {
  const { cases = CASE_NAMES, quick = false } = flags;
  const hasIdle = cases.includes("idle");
  const idle = quick ? Math.min(flags.idle, 500) : flags.idle;
  const plans = plansOf(flags, cases);
  writeBodies();
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, flags.servers ?? HTTP_SERVERS, HTTP_PLANS),
    ...(hasIdle ? { connections: idle } : {}),
    load: (tools, cores) => findHttpLoad(tools, cores, flags.load),
  });
  const load = session.load.open === undefined ? "c" : "wrk";
  const times = timesOf(flags, TIMES);
  const base = { ...publishedBy(session, "http"), cases: [] };
  const settings = { plans, load, ...times };
  const result: HttpResult = hasIdle
    ? {
        ...base,
        settings: { ...settings, idle },
        idle: await measureIdle(session, { connections: idle, ...times }),
      }
    : { ...base, settings };
  show(session, idleFigures(result));
  await runCases<HttpCase, HttpResult>(session, flags, {
    times,
    plans: plans.map((plan) => caseOf(session, plan, load)),
    result,
    figure: httpFigure,
    report: httpReport,
  });
}

/** The memory of connections that have received one response and are idle. */
async function measureIdle(session: Session, { connections, rounds }: MemoryPlan) {
  const message = { ...requestOf("hello"), size: 13, depth: 1 };
  const peers = session.peers.filter(({ name }) => takesPart(name, "idle"));
  const plan = { connections, rounds: Math.min(rounds, IDLE_ROUNDS), message };
  return await measureMemory(session, peers, plan);
}

function plansOf({ connections, ...flags }: HttpFlags, cases: readonly CaseName[]): HttpCasePlan[] {
  const least = Math.min(...connections);
  const once = { connections: least, depth: 1, rate: 0, size: 13 };
  const plans: Record<LoadedName, HttpCasePlan[]> = {
    hello: connections.map((count) => ({ ...once, name: "hello", connections: count })),
    pipelined: [{ ...once, name: "pipelined", depth: flags.depth }],
    post: flags.bodies.map((sent) => ({ ...once, name: "post", size: `${sent}`.length, sent })),
    chunked: [{ ...once, name: "chunked", size: CHUNKED_BYTES }],
    hono: [{ ...once, name: "hono" }],
    file: [{ ...once, name: "file", size: FILE_BYTES }],
    paced: flags.rate.map((rate) => ({ ...once, name: "paced", connections: flags.held, rate })),
  };
  return CASE_NAMES.flatMap((name) => (name !== "idle" && cases.includes(name) ? plans[name] : []));
}

function caseOf({ peers }: Session, about: HttpCasePlan, generator: string) {
  const { name, connections, depth, size, rate } = about;
  return {
    about,
    title: whereOf(about),
    plan: {
      connections,
      load: { ...requestOf(name, about.sent), connections, depth, size, idle: 0 },
      peers: peers
        .filter((peer) => takesPart(peer.name, name))
        .map((peer) => ({ ...peer, command: [...peer.command, ...argumentsIn(name)] })),
      ...(rate > 0 ? { rate } : {}),
    },
    missing: rate > 0 && generator === "wrk" ? "wrk has no rate" : undefined,
  };
}

/** The request of a case, and the expected body. */
export function requestOf(
  name: LoadedName,
  sentBytes: number = 0,
): Pick<LoadPlan, "mode" | "path" | "body" | "sentBytes"> {
  if (name === "file") return { ...HELLO_REQUEST, path: "/file.bin", body: BODIES.file };
  if (name === "chunked") return { ...HELLO_REQUEST, body: BODIES.chunked };
  return name === "post"
    ? { ...HELLO_REQUEST, body: writeCount(sentBytes), sentBytes }
    : HELLO_REQUEST;
}

/** The server that the ratios of a case refer to. */
const REFERENCES: Readonly<Record<LoadedName, { readonly name: string; readonly label: string }>> =
  {
    hello: { name: "c-http", label: "C" },
    pipelined: { name: "c-http", label: "C" },
    post: { name: "uws", label: "uWebSockets.js" },
    chunked: { name: "bun-serve", label: "Bun.serve" },
    hono: { name: "bun-serve", label: "Bun.serve" },
    file: { name: "nginx", label: "nginx" },
    paced: { name: "node-http", label: "node:http" },
  };

/** `"Hello, world!", 16 requests in flight on each of 64 connections`. */
function titleOf(plan: HttpCasePlan): string {
  const { connections, depth, rate } = plan;
  const what = subjectOf(plan);
  if (rate > 0) return `${what}, ${whole(rate)} requests/s over ${whole(connections)} connections`;
  return depth === 1
    ? `${what}, ${whole(connections)} connections`
    : `${what}, ${depth} requests in flight on each of ${whole(connections)} connections`;
}

/** The requests of a case, in words. */
function subjectOf({ name, size, sent = 0 }: HttpCasePlan): string {
  if (name === "file") return `a file of ${bytesText(size)}`;
  if (name === "post") return `POST with a body of ${bytesText(sent)}`;
  if (name === "chunked") return `a stream of ${bytesText(size)} in chunks`;
  return name === "hono" ? "an application of Hono with one route" : '"Hello, world!"';
}

/** The name of a case in goals: `16 pipelined x 64`. */
function whereOf({ name, connections, depth, rate, size, sent = 0 }: HttpCasePlan): string {
  const kinds: Record<LoadedName, string> = {
    hello: "not pipelined",
    pipelined: `${depth} pipelined`,
    post: `POST ${bytesText(sent)}`,
    chunked: `chunked ${bytesText(size)}`,
    hono: "Hono",
    file: bytesText(size),
    paced: `${whole(rate)}/s`,
  };
  return `${kinds[name]} x ${whole(connections)}`;
}

export function httpFigure(of: HttpCase): Figure {
  const { name, label } = REFERENCES[of.name];
  const reference = of.rows.find((row) => row.name === name);
  const isPaced = of.rate > 0;
  // In an open loop no server is saturated.
  const marks = (row: Row<Throughput>): string =>
    isPaced ? (usageOf(row).faulty ? "!" : "") : marksOf(usageOf(row));
  const cpu = spreadColumn("CPU us/request", cpuOf);
  const ratios = isPaced
    ? [cpu, ratioColumn(`ratio to ${label}`, cpuOf, reference)]
    : [
        ratioColumn(`of ${label}`, rateOf, reference),
        cpu,
        cpuRatioColumn(`of ${label} by CPU`, reference),
      ];
  return {
    title: titleOf(of),
    table: rowTable("server", of.rows, [
      spreadColumn("requests/s", rateOf, whole),
      ...ratios,
      serverColumn(marks),
      shareColumn("load", ({ loadBusy }) => loadBusy),
      medianColumn("p50 us", ({ p50Us }) => p50Us),
      medianColumn("p99 us", ({ p99Us }) => p99Us),
    ]),
    remarks: rowRemarks(of.rows, marks),
  };
}

export function httpReport(result: HttpResult): Report {
  const { settings, cases, idle = [] } = result;
  const { rounds, seconds } = settings;
  const speed = `Medians of ${rounds} rounds of ${seconds} s; ratios are computed within a round.`;
  const memory = `Memory: the growth of private pages, divided by the number of connections; garbage is collected before.`;
  return {
    method: [cases.length > 0 ? speed : "", idle.length > 0 ? memory : ""].join(" ").trim(),
    figures: [...idleFigures(result), ...cases.map(httpFigure)],
    goals: [...httpGoals(cases), ...memoryGoals(idle, settings.idle ?? 0, IDLE_LIMIT)],
    failed: casesFailed(cases) || hasFailed(idle),
  };
}

/** The table of idle connections, if they were measured. */
function idleFigures({ settings, idle }: HttpResult): Figure[] {
  if (idle === undefined || settings.idle === undefined) return [];
  const title = `${whole(settings.idle)} idle keep-alive connections after one request`;
  return [memoryFigure(title, idle, { name: "node-http", label: "node:http" })];
}

/** A Markdown table of the "Hello, world!" cases, with a column for each. */
export function httpMatrix({ cases }: HttpResult, names: readonly string[]): string {
  const shown = cases.filter(({ name }) => name === "hello" || name === "pipelined");
  const columns = shown.map((each) => {
    return { title: whereOf(each), rows: each.rows, reference: REFERENCES[each.name].name };
  });
  return caseMatrix('"Hello, world!"', columns, names);
}

const IDLE_LIMIT: Limit = { atMost: 400, record: 250 };

/** The engine that `serve` chooses by default, in both hosts. */
const HANDLER = ["polloi-handler-uring-run", "polloi-handler-uring"];
const FETCH = ["polloi-fetch-uring-run", "polloi-fetch-uring"];

const AIMS: readonly Aim[] = [
  { by: HANDLER, of: "node-http", kinds: ["hello"], limit: { atLeast: 1.8, record: 2.3 } },
  {
    by: [...HANDLER, "polloi-handler-uring-bun"],
    of: "bun-serve",
    kinds: ["hello"],
    limit: { atLeast: 1.05, record: 1.2 },
  },
  { by: HANDLER, of: "uws", kinds: ["hello"], limit: { atLeast: 0.95, record: 1.1 } },
  { by: HANDLER, of: "node-http", kinds: ["pipelined"], limit: { atLeast: 9, record: 14 } },
  {
    by: HANDLER,
    of: "uws",
    kinds: ["hello"],
    figure: "cpu",
    limit: { atMost: 0.93, record: 0.88 },
  },
  { by: HANDLER, of: "uws", kinds: ["pipelined"], limit: { atLeast: 1.3, record: 1.45 } },
  { by: FETCH, of: "node-http", kinds: ["hello"], limit: { atLeast: 1, record: 1.4 } },
  { by: FETCH, of: "uws", kinds: ["hello"], figure: "cpu", limit: { atMost: 1, record: 0.95 } },
  { by: FETCH, of: "uws", kinds: ["pipelined"], limit: { atLeast: 1, record: 1.2 } },
  {
    by: [...FETCH, "polloi-fetch-uring-bun"],
    of: "bun-serve",
    kinds: ["hello"],
    limit: { atLeast: 0.7, record: 1 },
  },
  { by: HANDLER, of: "uws", kinds: ["post"], limit: { atLeast: 0.95, record: 1.1 } },
  { by: HANDLER, of: "node-http", kinds: ["post"], limit: { atLeast: 2 } },
  {
    by: [...FETCH, "polloi-fetch-uring-bun"],
    of: "bun-serve",
    kinds: ["chunked"],
    limit: { atLeast: 0.9, record: 1.1 },
  },
  { by: FETCH, of: "bun-serve", kinds: ["hono"], limit: { atLeast: 1, record: 1.1 } },
  { by: FETCH, of: "hono-node", kinds: ["hono"], limit: { atLeast: 2, record: 2.5 } },
  {
    by: ["polloi-files-uring", "polloi-files-epoll"],
    of: "nginx",
    kinds: ["file"],
    limit: { atLeast: 0.8, record: 1 },
  },
  { by: HANDLER, of: "uws", kinds: ["paced"], limit: { atMost: 1.05, record: 0.95 } },
  {
    by: HANDLER,
    of: "uws",
    kinds: ["paced"],
    figure: "p99",
    limit: { atMost: 1.1, record: 1 },
  },
  { by: HANDLER, of: "node-http", kinds: ["paced"], limit: { atMost: 0.5, record: 0.35 } },
];

export function httpGoals(cases: readonly HttpCase[]): Goal[] {
  return throughputGoals(
    AIMS,
    cases.map((each) => ({
      kind: each.name,
      where: whereOf(each),
      rows: each.rows,
      ...(each.rate > 0 ? { rate: each.rate } : {}),
    })),
  );
}
