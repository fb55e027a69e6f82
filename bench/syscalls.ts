/** The benchmark of system calls per message. */
import type { Command } from "commander";
import {
  absenceLines,
  hasFailed,
  type Row,
  rowTable,
  type Sample,
  spreadColumn,
  valuesOf,
} from "../packages/polloi-tools/src/measure/grid.ts";
import { whole } from "../packages/polloi-tools/src/measure/table.ts";
import {
  addBenchmark,
  type CommonFlags,
  countFrom,
  finish,
  measureEach,
  open,
  type Published,
  publishedBy,
  Refusal,
  type Report,
  requireC,
  show,
} from "./benchmark.ts";
import type { Limit } from "./goals.ts";
import { type Bench, loadOn, withServer } from "./interleave.ts";
import { findPeers, type Peer } from "./peers.ts";
import { PEER_NAMES } from "./plans.ts";
import { attach, type Calls, totalOf } from "./strace.ts";

/** A run of the system call benchmark. */
export interface SyscallsResult extends Published {
  readonly benchmark: "syscalls";
  readonly settings: SyscallsSettings;
  readonly rows: readonly Row<SyscallsSample>[];
}

/** The cells and conditions of a count. */
export interface SyscallsSettings {
  readonly connections: number;
  readonly size: number;
  /** Messages per connection within the counted window. */
  readonly perConnection: number;
  readonly rounds: number;
}

/** The system calls of one server while these messages were echoed, and nothing else happened. */
export interface SyscallsSample extends Sample {
  readonly messages: number;
  readonly calls: Calls;
}

const TIMES = { rounds: 3 } as const;
/** A window ends with the last answer. With strace a server handles a few thousand messages/s. */
const WINDOW = { warmup: 0, seconds: 60 };
/** Messages per connection before the window, so that the server's code is compiled. */
const WARM_UP_MESSAGES = 1000;
/** The number of most frequent calls that are listed. */
const LISTED = 4;

/** The servers that are measured by default. */
export const SYSCALLS_SERVERS: readonly string[] = [
  "c-epoll",
  "polloi-uring",
  "polloi-epoll",
  "node-net",
  "c-uring",
];

interface SyscallsFlags extends CommonFlags {
  readonly connections: number;
  readonly size: number;
  readonly messages: number;
}

export function addSyscalls(program: Command): void {
  addBenchmark(program, {
    name: "syscalls",
    description: "system calls per message, counted by strace",
    times: TIMES,
    servers: { usual: SYSCALLS_SERVERS, all: PEER_NAMES },
  })
    .option("--connections <count>", "active connections", countFrom, 64)
    .option("--size <bytes>", "message size", countFrom, 64)
    .option("--messages <count>", "messages per connection", countFrom, 500)
    .action(run);
}

async function run(flags: SyscallsFlags): Promise<void> {
  const { connections, size, quick = false, rounds = quick ? 1 : TIMES.rounds } = flags;
  const perConnection = quick ? Math.min(50, flags.messages) : flags.messages;
  const settings = { connections, size, perConnection, rounds };
  const session = await open(flags, {
    peers: (tools) => findPeers(tools, flags.servers ?? SYSCALLS_SERVERS),
    connections,
  });
  requireC(session, "syscalls");
  const { strace } = session.tools;
  if (strace.missing !== undefined) throw new Refusal(strace.missing);
  const rows = await measureEach<SyscallsSample>(session, session.peers, rounds, (peer) =>
    countCalls(session, peer, { ...settings, strace: strace.path }),
  );
  const result: SyscallsResult = { ...publishedBy(session, "syscalls"), settings, rows };
  const report = syscallsReport(result);
  show(session, report.figures);
  finish(result, report, flags);
}

/**
 * Counts a server's system calls while messages are echoed.
 *
 * @remarks
 * One load warms the server up and is then idle. Another one connects and waits; strace attaches to all threads of
 * the server; every connection sends its messages; strace detaches after the last answer; only then do connections
 * close. So the counted calls are those of these messages, and of all of them.
 */
async function countCalls(
  bench: Bench,
  peer: Peer,
  { connections, size, perConnection, strace }: SyscallsSettings & { readonly strace: string },
): Promise<Omit<SyscallsSample, "round">> {
  return await withServer(bench, peer, async (server) => {
    const plan = { connections, size, idle: 0, depth: 1 };
    const warm = await loadOn(bench, server, { ...plan, perConnection: WARM_UP_MESSAGES });
    await warm.run(WINDOW);
    const load = await loadOn(bench, server, { ...plan, perConnection });
    try {
      const traced = await attach(strace, server.pid);
      const { messages, lost } = await load.run(WINDOW);
      const calls = await traced.detach();
      if (messages === connections * perConnection && lost === 0) return { messages, calls };
      throw new Error(`${messages} of ${connections * perConnection} messages came back`);
    } finally {
      await load.stop();
      await warm.stop();
    }
  });
}

function perMessage({ calls, messages }: SyscallsSample): number {
  return totalOf(calls) / messages;
}

/** The most frequent calls of all rounds, per message. */
function mostFrequent({ samples }: Row<SyscallsSample>): string {
  const messages = samples.reduce((sum, sample) => sum + sample.messages, 0);
  const counts = new Map<string, number>();
  for (const { calls } of samples) {
    for (const [name, count] of Object.entries(calls)) {
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, LISTED)
    .map(([name, count]) => `${name} ${(count / messages).toFixed(3)}`)
    .join(", ");
}

const LIMITS: Readonly<Record<string, Limit>> = {
  "polloi-uring": { atMost: 0.15, record: 0.05 },
  "polloi-epoll": { atMost: 2.1 },
};

export function syscallsReport({ rows, settings }: SyscallsResult): Report {
  const { connections, size, perConnection } = settings;
  return {
    method: `All system calls of all threads of the server while ${whole(connections)} connections exchange ${whole(perConnection)} messages of ${size} B each, counted by \`strace -c -f\`; nothing is opened, closed or compiled in that time.`,
    figures: [
      {
        title: "system calls",
        table: rowTable("server", rows, [
          spreadColumn("calls per message", perMessage, (value) => value.toFixed(3)),
          { title: "of which", text: mostFrequent },
        ]),
        remarks: absenceLines(rows),
      },
    ],
    goals: rows.flatMap((row) => {
      const limit = LIMITS[row.name];
      if (limit === undefined) return [];
      return [
        {
          what: `${row.label}, calls per message`,
          where: `${whole(connections)} connections`,
          limit,
          values: valuesOf(row, perMessage),
        },
      ];
    }),
    failed: hasFailed(rows),
  };
}
