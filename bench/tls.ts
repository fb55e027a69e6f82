/** The benchmark of TLS: HTTPS, handshakes, echo of large messages, and the memory of idle connections. */
import type { Command } from "commander";
import {
  hasFailed,
  type Row,
  ratioColumn,
  ratiosOf,
  rowTable,
  shareColumn,
  spreadColumn,
} from "../packages/polloi-tools/src/measure/grid.ts";
import type { Figure } from "../packages/polloi-tools/src/measure/report.ts";
import { whole } from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  finish,
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
import { HELLO_REQUEST, writeBodies } from "./http-plans.ts";
import { bytesOf, type MemorySample, measureMemory, memoryFigure } from "./idle.ts";
import { findTlsLoad, type LoadPlan } from "./load.ts";
import { findPeers } from "./peers.ts";
import {
  type Aim,
  type Case,
  casesFailed,
  cpuOf,
  rateOf,
  rowRemarks,
  runCases,
  serverColumn,
  type Throughput,
  throughputGoals,
  workOf,
} from "./throughput.ts";
import {
  TLS_CASES,
  TLS_NAMES,
  TLS_PLANS,
  type TlsCaseName,
  takesPart,
  writeCertificate,
} from "./tls-plans.ts";

/** The cases with a load. */
type LoadedName = Exclude<TlsCaseName, "idle">;

/** All servers of a case. */
export interface TlsCase extends Case {
  readonly name: LoadedName;
}

/** A run of the TLS benchmark. */
export interface TlsResult extends Published {
  readonly benchmark: "tls";
  readonly settings: Times & { readonly idle: number };
  readonly idle: readonly Row<MemorySample>[];
  readonly cases: TlsCase[];
}

// node:https takes the longest until its code is compiled.
const TIMES = { rounds: 5, seconds: 1, warmup: 1 } as const;
/** Memory varies less than CPU time. */
const IDLE_ROUNDS = 2;
const CONNECTIONS = 64;
/** Fewer, so that those in progress at the ends of a turn are a small part of it. */
const HANDSHAKES = 16;

/** The servers that are measured by default. */
const TLS_SERVERS: readonly string[] = [
  "polloi-http-uring-run",
  "polloi-http-uring",
  "uws",
  "bun-serve",
  "node-https",
  "polloi-echo-uring-run",
  "polloi-echo-uring",
  "bun-listen",
  "node-tls",
];

interface TlsFlags extends CommonFlags {
  readonly cases?: readonly TlsCaseName[];
  readonly idle: number;
}

export function addTls(program: Command): void {
  addBenchmark(program, {
    name: "tls",
    description: "HTTPS, handshakes, echo and idle connections with TLS",
    times: TIMES,
    servers: { usual: TLS_SERVERS, all: TLS_NAMES },
    cases: TLS_CASES,
  })
    .option("--idle <count>", "idle connections", countFrom, 3000)
    .action(run);
}

async function run(flags: TlsFlags): Promise<void> {
  const { cases = TLS_CASES, servers = TLS_SERVERS, quick = false } = flags;
  const times = timesOf(flags, TIMES);
  const settings = { ...times, idle: quick ? Math.min(flags.idle, 500) : flags.idle };
  writeBodies();
  writeCertificate();
  const names = servers.filter((name) => cases.some((each) => takesPart(name, each)));
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, names, TLS_PLANS),
    connections: cases.includes("idle") ? settings.idle : CONNECTIONS,
    load: findTlsLoad,
  });
  const idle = cases.includes("idle") ? await measureIdle(session, settings) : [];
  const result: TlsResult = { ...publishedBy(session, "tls"), settings, idle, cases: [] };
  if (idle.length > 0) show(session, [idleFigure(result)]);
  const plans = TLS_CASES.flatMap((name) => {
    if (name === "idle" || !cases.includes(name)) return [];
    const peers = session.peers.filter((peer) => takesPart(peer.name, name));
    if (peers.length === 0) return [];
    const { [name]: load } = LOADS;
    const { connections } = load;
    return [
      {
        about: { name, connections },
        title: ABOUT[name].title,
        plan: { connections, load, peers },
      },
    ];
  });
  if (plans.length === 0) return finish(result, tlsReport(result), flags);
  await runCases<TlsCase, TlsResult>(session, flags, {
    ...{ times, plans, result },
    figure: tlsFigure,
    report: tlsReport,
  });
}

function measureIdle(session: Session, settings: TlsResult["settings"]) {
  const peers = session.peers.filter(({ name }) => takesPart(name, "idle"));
  const rounds = Math.min(IDLE_ROUNDS, settings.rounds);
  return measureMemory(session, peers, { rounds, connections: settings.idle });
}

const COMMON = { connections: CONNECTIONS, idle: 0, size: 64, depth: 1 } as const;
/** A connection that serves one request. */
const ONCE = {
  ...COMMON,
  ...HELLO_REQUEST,
  connections: HANDSHAKES,
  mode: "http-churn",
  life: 1,
} as const;

const LOADS: Readonly<Record<LoadedName, LoadPlan>> = {
  https: { ...COMMON, ...HELLO_REQUEST },
  handshakes: ONCE,
  resumed: { ...ONCE, resume: true },
  echo: { ...COMMON, size: 16_384 },
};

/** The title of a case, its unit, and the server that its ratios refer to. */
const ABOUT: Readonly<
  Record<LoadedName, { title: string; unit: string; reference: string; label: string }>
> = {
  https: {
    title: `HTTPS "Hello, world!", ${CONNECTIONS} keep-alive connections`,
    unit: "request",
    reference: "node-https",
    label: "node:https",
  },
  handshakes: {
    title: "Connections with a full handshake (TLS 1.3, ECDSA P-256), and one request",
    unit: "handshake",
    reference: "node-https",
    label: "node:https",
  },
  resumed: {
    title: "Connections that resume a session, and one request",
    unit: "handshake",
    reference: "node-https",
    label: "node:https",
  },
  echo: {
    title: `Echo of 16 KiB, ${CONNECTIONS} connections`,
    unit: "message",
    reference: "node-tls",
    label: "node:tls",
  },
};

export function tlsFigure({ name, rows }: TlsCase): Figure {
  const { title, unit, reference: to, label } = ABOUT[name];
  const reference = rows.find((row) => row.name === to);
  return {
    title,
    table: rowTable<Throughput>("server", rows, [
      spreadColumn(`CPU us/${unit}`, cpuOf),
      ratioColumn(`of ${label}`, cpuOf, reference),
      spreadColumn(`${unit}s per CPU second`, workOf, whole),
      spreadColumn(`${unit}s/s`, rateOf, whole),
      serverColumn(),
      shareColumn("load", ({ loadBusy }) => loadBusy),
    ]),
    remarks: rowRemarks(rows),
  };
}

function idleFigure({ settings, idle }: TlsResult): Figure {
  const title = `${whole(settings.idle)} idle connections with TLS`;
  return memoryFigure(title, idle, { name: "node-tls", label: "node:tls" });
}

export function tlsReport(result: TlsResult): Report {
  const { settings, idle, cases } = result;
  const { rounds, seconds } = settings;
  return {
    method: `Medians of ${rounds} rounds of ${seconds} s; ratios are those of the server's CPU time, computed within a round. The client, in C with the system's OpenSSL, costs as much as the servers, so messages/s may be its own limit.`,
    figures: [...(idle.length > 0 ? [idleFigure(result)] : []), ...cases.map(tlsFigure)],
    goals: [...throughputGoals(AIMS, cases.map(goalCase)), ...idleGoals(result)],
    failed: casesFailed(cases) || hasFailed(idle),
  };
}

function goalCase({ name, rows }: TlsCase) {
  const where: Record<LoadedName, string> = {
    https: `keep-alive x ${CONNECTIONS}`,
    handshakes: "full handshakes",
    resumed: "resumed handshakes",
    echo: `16 KiB x ${CONNECTIONS}`,
  };
  return { kind: name, where: where[name], rows };
}

/** Servers on the engine that is chosen by default, in both hosts. */
const OVER_HTTPS = ["polloi-http-uring-run", "polloi-http-uring"];
const OVER_TLS = ["polloi-echo-uring-run", "polloi-echo-uring"];

function aim(by: readonly string[], of: string, kind: LoadedName, limit: Limit): Aim {
  const figures = { https: "cpu", handshakes: "work", resumed: "work", echo: "message" } as const;
  return { by, of, kinds: [kind], figure: figures[kind], limit };
}

const AIMS: readonly Aim[] = [
  aim(OVER_HTTPS, "uws", "https", { atMost: 1, record: 0.9 }),
  aim(OVER_HTTPS, "node-https", "https", { atMost: 0.45 }),
  aim(OVER_HTTPS, "node-https", "handshakes", { atLeast: 1.3, record: 2 }),
  aim(OVER_HTTPS, "node-https", "resumed", { atLeast: 1.5, record: 2 }),
  aim(OVER_TLS, "bun-listen", "echo", { atMost: 1, record: 0.8 }),
  aim(OVER_TLS, "node-tls", "echo", { atMost: 0.7 }),
];

function idleGoals({ settings, idle }: TlsResult): Goal[] {
  const reference = idle.find(({ name }) => name === "node-tls");
  return idle
    .filter(({ name }) => name.startsWith("polloi-"))
    .map((row) => ({
      what: `${row.label} : node:tls, bytes per idle connection`,
      where: `${whole(settings.idle)} connections`,
      limit: { atMost: 0.5, record: 0.3 },
      values: ratiosOf(bytesOf, row, reference),
    }));
}
