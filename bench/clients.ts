/** The benchmark of load clients: `polloi load` compared with the client in C and with wrk. */
import type { Command } from "commander";
import type { Child } from "../packages/polloi-tools/src/measure/child.ts";
import {
  absenceLines,
  type Column,
  hasFailed,
  medianColumn,
  type Row,
  rowTable,
  type Sample,
  spreadColumn,
  spreadIn,
  valuesOf,
} from "../packages/polloi-tools/src/measure/grid.ts";
import { cpuMsOf, idleMsOf } from "../packages/polloi-tools/src/measure/process-stats.ts";
import { orderOf } from "../packages/polloi-tools/src/measure/rounds.ts";
import { twoDecimals, whole } from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  countsFrom,
  finish,
  measureEach,
  open,
  type Published,
  publishedBy,
  type Report,
  requireC,
  type Session,
  show,
  type Times,
  timesOf,
} from "./benchmark.ts";
import { portOf, start } from "./children.ts";
import type { Goal } from "./goals.ts";
import { HTTP_PLANS } from "./http-plans.ts";
import { loadOn, withServer } from "./interleave.ts";
import type { Load, LoadResult } from "./load.ts";
import { findPeers, type Peer } from "./peers.ts";
import { compiled } from "./places.ts";
import { PLANS } from "./plans.ts";
import { disturbanceOf } from "./throughput.ts";
import { findHttpLoad } from "./wrk.ts";

/** A run of the client benchmark. */
export interface ClientsResult extends Published {
  readonly benchmark: "load";
  readonly settings: ClientsSettings;
  readonly rows: readonly ClientsRow[];
}

/** A comparison. */
export interface ClientsRow extends Row<ClientsSample> {
  readonly kind: ClientsPlan["kind"];
  readonly connections: number;
}

/** The cells and conditions of a measurement. */
export interface ClientsSettings extends Times {
  readonly connections: readonly number[];
  /** The number of connections whose opening is measured. */
  readonly opened: number;
}

/** Two clients of one server, one after the other, in one round. */
export interface ClientsSample extends Sample {
  readonly polloi: ClientFigures;
  /** The client in C, or wrk. */
  readonly other: ClientFigures;
}

/** The figures of a client's window. */
export interface ClientFigures {
  readonly messagesPerSecond: number;
  readonly cpuUs: number;
  /** For HTTP corrected for coordinated omission as wrk does. */
  readonly p99Us: number;
  /** Until all connections were open; 0 where it is not reported. */
  readonly openMs: number;
  /** CPU time of the server, and idle time of its core, as shares of the client's run. */
  readonly serverBusy: number;
  readonly coreIdle: number;
}

/** Two clients, a server and a number of connections. */
interface ClientsPlan {
  readonly name: string;
  readonly label: string;
  readonly kind: "echo" | "http";
  readonly connections: number;
  readonly server: Peer;
}

// polloi's client and its HTTP server are compiled while they run.
const TIMES = { rounds: 5, seconds: 2, warmup: 2 } as const;

/** Two servers in C, which are faster than a client, and an HTTP server that is not. */
const SERVERS = ["c-epoll", "c-http", "polloi-handler-uring"] as const;
const LABELS: Readonly<Record<(typeof SERVERS)[number], string>> = {
  "c-epoll": "C loop",
  "c-http": "C loop",
  "polloi-handler-uring": "polloi/http",
};

interface ClientsFlags extends CommonFlags {
  readonly connections: readonly number[];
  readonly opened: number;
}

export function addClients(program: Command): void {
  addBenchmark(program, {
    name: "load",
    description: "polloi load, a client in C, and wrk: CPU time, latency, time to open connections",
    times: TIMES,
  })
    .option("--connections <counts>", "connections", countsFrom, [64, 512])
    .option("--opened <count>", "connections that are opened at once", countFrom, 10_000)
    .action(run);
}

async function run(flags: ClientsFlags): Promise<void> {
  const { connections, opened } = flags;
  const settings = { connections, opened, ...timesOf(flags, TIMES) };
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, SERVERS, [...PLANS, ...HTTP_PLANS]),
    connections: opened,
  });
  requireC(session, "load");
  const { skipped, tools } = session;
  if (tools.wrk.missing !== undefined) {
    skipped.push({ name: "http", label: "http : wrk", reason: tools.wrk.missing });
    console.log(`skipped   http : wrk: ${tools.wrk.missing}`);
  }
  const plans = plansOf(settings, session);
  const rows = await measureEach<ClientsSample, ClientsPlan>(
    session,
    plans,
    settings.rounds,
    (plan, round) => measureClients(session, plan, { ...settings, round }),
  );
  const result: ClientsResult = {
    ...publishedBy(session, "load"),
    settings,
    rows: rows.map((row, i) => {
      const { kind, connections: count } = plans[i] as ClientsPlan;
      return { ...row, kind, connections: count };
    }),
  };
  const report = clientsReport(result);
  show(session, report.figures);
  finish(result, report, flags);
}

/** The comparisons whose server and clients are available. */
function plansOf({ connections, opened }: ClientsSettings, session: Session): ClientsPlan[] {
  const { peers, tools } = session;
  return SERVERS.flatMap((name): ClientsPlan[] => {
    const server = peers.find((peer) => peer.name === name);
    const kind = name === "c-epoll" ? "echo" : "http";
    if (server === undefined || (kind === "http" && tools.wrk.missing !== undefined)) return [];
    const counts = kind === "echo" ? [...connections, opened] : connections;
    return counts.map((count) => ({
      name: `${kind}-${name}-${count}`,
      label: `${kind}, ${LABELS[name]} : ${kind === "echo" ? "epoll in C" : "wrk"}`,
      kind,
      connections: count,
      server,
    }));
  });
}

/** Loads one server with one client after the other, in alternating order. */
async function measureClients(
  session: Session,
  plan: ClientsPlan,
  { seconds, warmup, round }: ClientsSettings & { readonly round: number },
): Promise<Omit<ClientsSample, "round">> {
  const openers = { polloi: openPolloi, other: openOther };
  return await withServer(session, plan.server, async (server) => {
    const figures: Partial<Record<keyof typeof openers, ClientFigures>> = {};
    for (const name of orderOf(["polloi", "other"] as const, round)) {
      const client = await openers[name](session, plan, server);
      try {
        const usage = serverUsage(server, session.machine.serverCore);
        const result = await client.run({ warmup, seconds });
        figures[name] = figuresOf(plan, result, usage());
      } finally {
        await client.stop();
      }
    }
    return figures as Omit<ClientsSample, "round">;
  });
}

/** @returns A function that computes the server's CPU time and its core's idle time since now. */
function serverUsage(
  { pid }: Child,
  core: number,
): () => Pick<ClientFigures, "serverBusy" | "coreIdle"> {
  const [from, cpu, idle] = [performance.now(), cpuMsOf([pid]), idleMsOf([core])];
  return () => {
    const elapsedMs = performance.now() - from;
    return {
      serverBusy: (cpuMsOf([pid]) - cpu) / elapsedMs,
      coreIdle: (idleMsOf([core]) - idle) / elapsedMs,
    };
  };
}

/** The client of `polloi load`, as a program that reads windows. */
async function openPolloi(
  { load: { cores } }: Session,
  { kind, connections }: ClientsPlan,
  server: Child,
): Promise<Load> {
  const address = `127.0.0.1:${portOf(server)}`;
  const target = kind === "http" ? `http://${address}/` : `tcp://${address}`;
  const program = [process.execPath, compiled("load/polloi-load")];
  const client = await start([...program, "-t", target, "-c", `${connections}`], cores);
  return {
    async run({ warmup, seconds }) {
      const answer = await client.ask(`${warmup} ${seconds}`, 1000 * (warmup + seconds + 60));
      return answer as unknown as LoadResult;
    },
    stop: () => client.stop(),
  };
}

function openOther(session: Session, plan: ClientsPlan, server: Child): Promise<Load> {
  const { load, tools } = session;
  const generator =
    plan.kind === "http"
      ? findHttpLoad(tools, load.cores, "wrk")
      : { ...load, command: [...load.command, "-e", "epoll"] };
  const { connections } = plan;
  const common = { idle: 0, size: 64, depth: 1 };
  return loadOn({ ...session, load: generator }, server, { connections, ...common });
}

/** @throws Error when messages were damaged or connections were lost. */
function figuresOf(
  { kind }: ClientsPlan,
  result: LoadResult,
  usage: Pick<ClientFigures, "serverBusy" | "coreIdle">,
): ClientFigures {
  const { messages, seconds, cpuSeconds, latencyUs, connectMs, lost, mismatches } = result;
  if (lost + mismatches > 0) {
    throw new Error(
      `${result.side} lost ${lost} connections, and ${mismatches} messages were wrong`,
    );
  }
  const { p99, p99AsWrk = p99 } = latencyUs;
  return {
    messagesPerSecond: messages / seconds,
    cpuUs: (1e6 * cpuSeconds) / messages,
    p99Us: kind === "http" ? p99AsWrk : p99,
    openMs: connectMs,
    ...usage,
  };
}

/** The goals: CPU time relative to the other client, and the ratio of both p99. */
const MOST_CPU = 1.3;
const MOST_APART = 1.15;
/** The number of connections that have to be open within this time. */
const MANY = 10_000;
const MOST_OPEN_MS = 3000;

function ratioOf(of: keyof ClientFigures): (sample: ClientsSample) => number {
  return ({ polloi, other }) => polloi[of] / other[of];
}

/** A pair of columns, one for each client. A figure of 0 was not reported. */
function bothColumns(
  title: string,
  of: keyof ClientFigures,
  unit = 1,
  format: (value: number) => string = whole,
): Column<ClientsSample>[] {
  return (["polloi", "other"] as const).map((client) =>
    medianColumn(
      client === "polloi" ? title : client,
      (sample) => (sample[client][of] === 0 ? undefined : sample[client][of] / unit),
      format,
    ),
  );
}

export function clientsReport({ rows, settings: { rounds, seconds } }: ClientsResult): Report {
  return {
    method: `One server on a core of its own, and two clients on the other core, one after the other in each round: 64 B messages or requests, one in flight per connection. CPU time is the client's. p99 of HTTP is corrected as wrk corrects its own: as if each connection had sent requests at its average interval. Medians of ${rounds} rounds of ${seconds} s.`,
    figures: [
      {
        title: "polloi load : other",
        table: rowTable("polloi load : other", rows, [
          { title: "connections", text: (row) => whole((row as ClientsRow).connections) },
          spreadColumn("CPU us/msg", ({ polloi }) => polloi.cpuUs),
          spreadColumn("other", ({ other }) => other.cpuUs),
          spreadColumn("ratio", ratioOf("cpuUs")),
          ...bothColumns("messages/s", "messagesPerSecond"),
          ...bothColumns("p99 ms", "p99Us", 1000, twoDecimals),
          spreadColumn("ratio", ratioOf("p99Us")),
          ...bothColumns("all open, ms", "openMs"),
        ]),
        remarks: absenceLines(rows),
      },
    ],
    goals: rows.flatMap(goalsOf),
    failed: hasFailed(rows),
  };
}

function goalsOf(row: ClientsRow): Goal[] {
  const { kind, label, connections } = row;
  const common = { where: `${whole(connections)} connections`, doubt: doubtOf(row) };
  const client = `polloi load, ${label}`;
  const cpu = { limit: { atMost: MOST_CPU }, values: valuesOf(row, ratioOf("cpuUs")) };
  const goals: Goal[] = [{ what: `${client}, CPU per message`, ...cpu, ...common }];
  if (kind === "http") {
    // A client that measures less than another is as wrong as one that measures more.
    const values = valuesOf(row, ratioOf("p99Us")).map((ratio) => Math.max(ratio, 1 / ratio));
    goals.push({ what: `${client}, p99 apart`, limit: { atMost: MOST_APART }, values, ...common });
  }
  if (connections >= MANY) {
    const values = valuesOf(row, ({ polloi }) => polloi.openMs);
    const limit = { atMost: MOST_OPEN_MS };
    goals.push({ what: "polloi load, ms to open", limit, values, ...common });
  }
  return goals;
}

/** By the median over the windows of both clients. */
function doubtOf({ samples }: ClientsRow): string | undefined {
  const windows = samples.flatMap(({ round, polloi, other }) => [
    { round, ...polloi },
    { round, ...other },
  ]);
  const median = (of: "serverBusy" | "coreIdle"): number | undefined =>
    spreadIn({ samples: windows }, (window) => window[of])?.median;
  return disturbanceOf([{ serverBusy: median("serverBusy"), coreIdle: median("coreIdle") }]);
}
