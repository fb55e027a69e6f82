/** One function for each benchmark: from its flags to its result. */
import { churnCellText, churnGoals } from "./churn-text.ts";
import { CLIENT_SERVERS, type ClientsResult, clientPlans, measureClients } from "./clients.ts";
import { clientsGoals, clientsText } from "./clients-text.ts";
import { type Cell, type EchoResult, type EchoSettings, measureEcho, summarize } from "./echo.ts";
import { cellText, echoGoals } from "./echo-text.ts";
import { type CommonFlags, DEFAULT_WARMUP } from "./flags.ts";
import { type HttpCell, type HttpCellPlan, type HttpResult, measureHttp } from "./http.ts";
import { CELL_NAMES, type CellName, FILE_BYTES, HTTP_PLANS, writeBodies } from "./http-plans.ts";
import { httpCellText, httpGoals } from "./http-text.ts";
import { measureIdle } from "./idle.ts";
import { idleGoals, idleText } from "./idle-text.ts";
import { type LatencyResult, measureLatency } from "./latency.ts";
import { latencyGoals, latencyText } from "./latency-text.ts";
import { whyNotInNode } from "./load.ts";
import { findPeers } from "./peers.ts";
import { PLANS } from "./plans.ts";
import { close, named, open, Refusal, type Session, save, step, stepsAreOver } from "./session.ts";
import { measureSyscalls, type SyscallsResult } from "./syscalls.ts";
import { syscallsGoals, syscallsText } from "./syscalls-text.ts";
import type { Tools } from "./tools.ts";
import { TRACE_NAMES, TRACE_PLANS } from "./trace-plans.ts";
import { coresFor, findPools, measureWorkers, type WorkersResult } from "./workers.ts";
import { workersGoals, workersText } from "./workers-text.ts";
import { findHttpLoad, type LoadName } from "./wrk.ts";

/** The servers of each benchmark unless `--servers` says otherwise. */
export const SERVERS: Readonly<
  Record<Exclude<keyof typeof DEFAULTS, "workers" | "load">, readonly string[]>
> = {
  echo: [
    "c-epoll",
    "polloi-uring-run",
    "polloi-uring",
    "polloi-uring-zero-copy",
    "polloi-epoll",
    "node-net",
    "bun-listen",
    "polloi-uring-bun",
    "c-uring",
  ],
  churn: ["c-epoll", "polloi-uring", "polloi-epoll", "node-net", "c-uring"],
  syscalls: ["c-epoll", "polloi-uring", "polloi-epoll", "node-net", "c-uring"],
  latency: ["c-epoll", "polloi-uring", "polloi-epoll", "node-net", "bun-listen"],
  idle: [
    "c-epoll",
    "polloi-uring",
    "polloi-epoll",
    "polloi-poll",
    "polloi-select",
    "node-net",
    "bun-listen",
  ],
  http: [
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
    "go-http",
    "c-sendfile",
    "polloi-files-uring",
    "polloi-files-epoll",
    "nginx",
  ],
  trace: TRACE_NAMES,
};

/** Rounds and seconds of each, short enough that a run of all defaults ends within a quarter of an hour. */
export const DEFAULTS = {
  echo: { rounds: 6, seconds: 1 },
  churn: { rounds: 9, seconds: 1 },
  syscalls: { rounds: 3 },
  latency: { rounds: 9, seconds: 2 },
  workers: { rounds: 9, seconds: 1 },
  idle: { rounds: 3, seconds: 1 },
  // node:http takes the longest until its code is compiled: three quarters of a second.
  http: { rounds: 6, seconds: 1, warmup: 1 },
  // Both the client and the server that are not in C are compiled while they run.
  load: { rounds: 5, seconds: 2, warmup: 2 },
  trace: { rounds: 6, seconds: 1 },
} as const;

function timesOf(
  { rounds, seconds, warmup, quick = false }: CommonFlags,
  defaults: { readonly rounds: number; readonly seconds: number; readonly warmup?: number },
): { rounds: number; seconds: number; warmup: number } {
  return {
    rounds: rounds ?? (quick ? 1 : defaults.rounds),
    seconds: seconds ?? (quick ? 0.3 : defaults.seconds),
    warmup: warmup ?? (quick ? 0.1 : (defaults.warmup ?? DEFAULT_WARMUP)),
  };
}

/** Something of a row went wrong. */
function anyFailed(rows: readonly { readonly failures: readonly string[] }[]): boolean {
  return rows.some(({ failures }) => failures.length > 0);
}

function needC(session: Session, what: string): void {
  const reason = whyNotInNode(session.load, what);
  if (reason !== undefined) throw new Refusal(reason);
}

export interface EchoFlags extends CommonFlags {
  readonly connections?: readonly number[];
  readonly sizes: readonly number[];
  readonly depth: number;
}

export async function echo(flags: EchoFlags): Promise<void> {
  const { sizes, depth, connections = [50, 500, 5000] } = flags;
  const settings = { connections, sizes, depth, ...timesOf(flags, DEFAULTS.echo) };
  const session = await open(flags, { peers: named(flags.servers ?? SERVERS.echo) });
  await inCells("echo", session, flags, { settings, text: cellText, goals: echoGoals });
}

export interface TraceFlags extends CommonFlags {
  readonly connections: readonly number[];
  readonly size: number;
}

export async function trace(flags: TraceFlags): Promise<void> {
  const { connections, size } = flags;
  const settings = { connections, sizes: [size], depth: 1, ...timesOf(flags, DEFAULTS.trace) };
  const peers = (tools: Tools) => findPeers(tools, flags.servers ?? SERVERS.trace, TRACE_PLANS);
  const session = await open(flags, { peers });
  await inCells("trace", session, flags, { settings, text: cellText, goals: () => [] });
}

export interface ChurnFlags extends CommonFlags {
  readonly connections: readonly number[];
  readonly size: number;
  readonly life: number;
}

export async function churn(flags: ChurnFlags): Promise<void> {
  const { connections, size, life } = flags;
  const times = timesOf(flags, DEFAULTS.churn);
  const settings = { connections, sizes: [size], depth: 1, life, ...times };
  const session = await open(flags, { peers: named(flags.servers ?? SERVERS.churn) });
  needC(session, "churn");
  await inCells("churn", session, flags, {
    settings,
    text: (cell) => churnCellText(cell, life),
    goals: churnGoals,
  });
}

interface CellRun {
  readonly settings: EchoSettings;
  text(cell: Cell): string;
  goals(cells: readonly Cell[]): ReturnType<typeof echoGoals>;
}

async function inCells(
  benchmark: EchoResult["benchmark"],
  session: Session,
  flags: CommonFlags,
  { settings, text, goals }: CellRun,
): Promise<void> {
  const { machine, skipped, warnings } = session;
  const cells: Cell[] = [];
  const result: EchoResult = { benchmark, machine, settings, warnings, skipped, cells };
  const late = await measureEcho(session, settings, {
    step,
    cell(cell) {
      stepsAreOver();
      cells.push(cell);
      console.log(text(cell));
      // After each cell, so that a run that is broken off is not lost.
      save(result, flags);
    },
  });
  warnings.push(...late);
  for (const warning of late) console.log(`WARNING   ${warning}`);
  const failed = cells.some(
    (cell) => anyFailed(cell.rows) || cell.rows.some((row) => summarize(cell, row).faulty),
  );
  close(result, flags, { goals: goals(cells), failed });
}

export interface SyscallsFlags extends CommonFlags {
  readonly connections: number;
  readonly size: number;
  readonly messages: number;
}

export async function syscalls(flags: SyscallsFlags): Promise<void> {
  const { connections, size, quick = false, rounds = quick ? 1 : DEFAULTS.syscalls.rounds } = flags;
  const perConnection = quick ? Math.min(50, flags.messages) : flags.messages;
  const settings = { connections, size, perConnection, rounds };
  const peers = named(flags.servers ?? SERVERS.syscalls);
  const session = await open(flags, { peers, connections });
  const { machine, skipped, warnings, tools } = session;
  needC(session, "syscalls");
  if (tools.strace.missing !== undefined) throw new Refusal(tools.strace.missing);
  const strace = tools.strace.path;
  const rows = await measureSyscalls(session, settings, { strace, step });
  stepsAreOver();
  const common = { machine, settings, warnings, skipped, rows };
  const result: SyscallsResult = { benchmark: "syscalls", ...common };
  console.log(syscallsText(result));
  close(result, flags, { goals: syscallsGoals(result), failed: anyFailed(rows) });
}

export interface LatencyFlags extends CommonFlags {
  readonly connections: number;
  readonly size: number;
  readonly share: number;
}

export async function latency(flags: LatencyFlags): Promise<void> {
  const { connections, size, share, quick = false } = flags;
  const times = timesOf(flags, DEFAULTS.latency);
  const settings = { connections, size, share, peakSeconds: quick ? 0.3 : 1, ...times };
  const peers = named(flags.servers ?? SERVERS.latency);
  const session = await open(flags, { peers, connections });
  needC(session, "latency");
  const { machine, skipped, warnings } = session;
  const rows = await measureLatency(session, settings, step);
  stepsAreOver();
  const common = { machine, settings, warnings, skipped, rows };
  const result: LatencyResult = { benchmark: "latency", ...common };
  console.log(latencyText(result));
  close(result, flags, { goals: latencyGoals(result), failed: anyFailed(rows) });
}

export interface WorkersFlags extends CommonFlags {
  readonly engines: readonly string[];
  readonly workers: number;
  readonly connections: number;
  readonly size: number;
  readonly balance: number;
}

export async function workers(flags: WorkersFlags): Promise<void> {
  const { engines, connections, size, balance } = flags;
  const times = timesOf(flags, DEFAULTS.workers);
  const settings = { engines, workers: flags.workers, connections, size, balance, ...times };
  const most = Math.max(connections, balance);
  const peers = () => findPools(settings);
  const session = await open(flags, { peers, connections: most });
  const { machine, skipped, warnings } = session;
  const cores = coresFor(settings.workers, machine);
  const rows = await measureWorkers(session, settings, { cores, step });
  stepsAreOver();
  const common = { machine, settings, cores, warnings, skipped, rows };
  const result: WorkersResult = { benchmark: "workers", ...common };
  console.log(workersText(result));
  close(result, flags, { goals: workersGoals(result), failed: anyFailed(rows) });
}

export interface LoadFlags extends CommonFlags {
  readonly connections: readonly number[];
  readonly opened: number;
}

export async function load(flags: LoadFlags): Promise<void> {
  const { connections, opened } = flags;
  const settings = { connections, opened, ...timesOf(flags, DEFAULTS.load) };
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, CLIENT_SERVERS, [...PLANS, ...HTTP_PLANS]),
    connections: opened,
  });
  needC(session, "load");
  const { machine, skipped, warnings, tools } = session;
  if (tools.wrk.missing !== undefined) {
    skipped.push({ name: "http", label: "http : wrk", reason: tools.wrk.missing });
    console.log(`skipped   http : wrk: ${tools.wrk.missing}`);
  }
  const plans = clientPlans(settings, session);
  const rows = await measureClients(session, settings, { plans, step });
  stepsAreOver();
  const result: ClientsResult = { benchmark: "load", machine, settings, warnings, skipped, rows };
  console.log(clientsText(result));
  close(result, flags, { goals: clientsGoals(result), failed: anyFailed(rows) });
}

export interface IdleFlags extends CommonFlags {
  readonly connections: number;
  readonly steps?: readonly number[];
}

export async function idle(flags: IdleFlags): Promise<void> {
  const { quick = false, connections } = flags;
  const steps = flags.steps ?? (quick ? [100, connections] : [100, 1000, 5000, connections]);
  const settings = { connections, steps, active: 50, ...timesOf(flags, DEFAULTS.idle) };
  const session = await open(flags, {
    peers: named(flags.servers ?? SERVERS.idle),
    connections: Math.max(connections, ...steps) + settings.active,
  });
  const { machine, skipped, warnings } = session;
  const rows = await measureIdle(session, settings, step);
  stepsAreOver();
  const result = { benchmark: "idle", machine, settings, warnings, skipped, rows } as const;
  console.log(idleText(result));
  close(result, flags, { goals: idleGoals(result), failed: anyFailed(rows) });
}

export interface HttpFlags extends CommonFlags {
  readonly cells?: readonly CellName[];
  readonly connections: readonly number[];
  readonly depth: number;
  readonly rate: number;
  readonly held: number;
  readonly load?: LoadName;
}

/** What is measured, cell by cell. */
function httpPlans({ cells = CELL_NAMES, connections, ...flags }: HttpFlags): HttpCellPlan[] {
  const least = Math.min(...connections);
  const once = { connections: least, depth: 1, rate: 0, size: 13 };
  const plans: Record<CellName, HttpCellPlan[]> = {
    hello: connections.map((count) => ({ ...once, name: "hello", connections: count })),
    pipelined: [{ ...once, name: "pipelined", depth: flags.depth }],
    file: [{ ...once, name: "file", size: FILE_BYTES }],
    paced: [{ ...once, name: "paced", connections: flags.held, rate: flags.rate }],
  };
  return CELL_NAMES.filter((name) => cells.includes(name)).flatMap((name) => plans[name]);
}

export async function http(flags: HttpFlags): Promise<void> {
  const plans = httpPlans(flags);
  writeBodies();
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, flags.servers ?? SERVERS.http, HTTP_PLANS),
    load: (tools, cores) => findHttpLoad(tools, cores, flags.load),
  });
  const { machine, skipped, warnings } = session;
  const load = session.load.open === undefined ? "c" : "wrk";
  const settings = { plans, load, ...timesOf(flags, DEFAULTS.http) };
  const cells: HttpCell[] = [];
  const result: HttpResult = { benchmark: "http", machine, settings, warnings, skipped, cells };
  const late = await measureHttp(session, settings, {
    step,
    cell(cell) {
      stepsAreOver();
      cells.push(cell);
      console.log(httpCellText(cell));
      save(result, flags);
    },
  });
  warnings.push(...late);
  for (const warning of late) console.log(`WARNING   ${warning}`);
  const failed = cells.some(
    (cell) => anyFailed(cell.rows) || cell.rows.some((row) => summarize(cell, row).faulty),
  );
  close(result, flags, { goals: httpGoals(cells), failed });
}
