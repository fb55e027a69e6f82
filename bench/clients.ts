import { orderOf } from "../packages/polloi-tools/src/measure/rounds.ts";
import { inRounds, type Published, type RowOf } from "./echo.ts";
import { coreIdleSeconds, serverCpuSeconds } from "./load/cpu-time.ts";
import { type Load, type LoadResult, openLoad } from "./load.ts";
import type { Peer } from "./peers.ts";
import { compiled } from "./places.ts";
import { portOf, type Running, start } from "./processes.ts";
import type { Session } from "./session.ts";
import { findHttpLoad } from "./wrk.ts";

/** A run of the load benchmark, as it is written to `load.json`. */
export interface ClientsResult extends Published {
  readonly benchmark: "load";
  readonly settings: ClientsSettings;
  readonly rows: ClientsRow[];
}

/** A comparison, with what came of it in each round. */
export interface ClientsRow extends RowOf<ClientsRound> {
  readonly kind: ClientsPlan["kind"];
  readonly connections: number;
}

/** What to measure. */
export interface ClientsSettings {
  readonly connections: readonly number[];
  /** How many are opened at once, to see how long that takes. */
  readonly opened: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** Two clients of one server, one after the other, in one round. */
export interface ClientsRound {
  readonly polloi: ClientRun;
  /** The one in C, or wrk. */
  readonly other: ClientRun;
}

/** What one client did in its window. */
export interface ClientRun {
  readonly messagesPerSecond: number;
  readonly cpuUs: number;
  /** Of HTTP corrected as wrk corrects its own. */
  readonly p99Us: number;
  /** Until all connections were open; 0 where it is not told. */
  readonly openMs: number;
  /** CPU time of the server, and idle time of its core, as shares of all the time that the client ran. */
  readonly serverBusy: number;
  readonly coreIdle: number;
}

/** A comparison: of what, with whom, before which server. */
export interface ClientsPlan {
  readonly name: string;
  readonly label: string;
  readonly kind: "echo" | "http";
  readonly connections: number;
  readonly server: Peer;
}

/** The servers: two in C, which are quicker than a client, and one of HTTP that is not. */
export const CLIENT_SERVERS = ["c-epoll", "c-http", "polloi-handler-uring"] as const;
const IN_WORDS: Readonly<Record<(typeof CLIENT_SERVERS)[number], string>> = {
  "c-epoll": "C loop",
  "c-http": "C loop",
  "polloi-handler-uring": "polloi/http",
};

/** What is compared, as far as its server and the other client can be had. */
export function clientPlans(
  { connections, opened }: ClientsSettings,
  { peers, tools }: Pick<Session, "peers" | "tools">,
): ClientsPlan[] {
  return CLIENT_SERVERS.flatMap((name): ClientsPlan[] => {
    const server = peers.find((peer) => peer.name === name);
    const kind = name === "c-epoll" ? "echo" : "http";
    if (server === undefined || (kind === "http" && tools.wrk.missing !== undefined)) return [];
    const counts = kind === "echo" ? [...connections, opened] : connections;
    return counts.map((count) => ({
      name: `${kind}-${name}-${count}`,
      label: `${kind}, ${IN_WORDS[name]} : ${kind === "echo" ? "epoll in C" : "wrk"}`,
      kind,
      connections: count,
      server,
    }));
  });
}

/** Has both clients ask one server by turns, in each round. */
export async function measureClients(
  session: Session,
  settings: ClientsSettings,
  { plans, step }: { readonly plans: readonly ClientsPlan[]; step(text: string): void },
): Promise<ClientsRow[]> {
  const { rounds, seconds, warmup } = settings;
  const openers = { polloi: polloiLoad, other: otherLoad };
  const rows = await inRounds(plans, rounds, async (plan, round) => {
    step(`round ${round} of ${rounds}: ${plan.label}, ${plan.connections}`);
    const { machine } = session;
    const cores = machine.pinned ? `${machine.serverCore}` : undefined;
    const server = await start({ command: plan.server.command, cores });
    const runs: Partial<Record<keyof ClientsRound, ClientRun>> = {};
    try {
      // To and fro, since a machine that slows down would favour the first.
      for (const who of orderOf(["polloi", "other"] as const, round)) {
        const client = await openers[who](session, plan, server);
        try {
          const watch = watchServer(server, machine.serverCore);
          const result = await client.run({ warmup, seconds });
          runs[who] = runOf(plan, result, watch());
        } finally {
          await client.stop();
        }
      }
      return runs as ClientsRound;
    } finally {
      await server.stop();
    }
  });
  return rows.map((row, i) => {
    const { kind, connections } = plans[i] as ClientsPlan;
    return { ...row, kind, connections };
  });
}

/** @returns What says how busy the server and its core have been since. */
function watchServer(
  server: Running,
  core: number,
): () => Pick<ClientRun, "serverBusy" | "coreIdle"> {
  const [from, cpu, idle] = [
    performance.now(),
    serverCpuSeconds(server.pid),
    coreIdleSeconds(core),
  ];
  return () => {
    const seconds = (performance.now() - from) / 1000;
    return {
      serverBusy: (serverCpuSeconds(server.pid) - cpu) / seconds,
      coreIdle: (coreIdleSeconds(core) - idle) / seconds,
    };
  };
}

/** polloi's own load, as a program that takes windows. */
async function polloiLoad(session: Session, plan: ClientsPlan, server: Running): Promise<Load> {
  const scheme = plan.kind === "http" ? "http" : "tcp";
  const target = `${scheme}://127.0.0.1:${portOf(server)}${plan.kind === "http" ? "/" : ""}`;
  const program = [process.execPath, compiled("load/polloi-load")];
  const command = [...program, "-t", target, "-c", `${plan.connections}`];
  const client = await start({ command, cores: session.load.cores });
  return {
    async run({ warmup, seconds }) {
      const answer = await client.ask(`${warmup} ${seconds}`, 1000 * (warmup + seconds + 60));
      return answer as unknown as LoadResult;
    },
    stop: client.stop,
  };
}

function otherLoad(session: Session, plan: ClientsPlan, server: Running): Promise<Load> {
  const { load, tools, machine } = session;
  const side =
    plan.kind === "http"
      ? findHttpLoad(tools, load.cores, "wrk")
      : { ...load, command: [...load.command, "-e", "epoll"] };
  return openLoad(side, {
    port: portOf(server),
    serverPid: server.pid,
    serverCore: machine.serverCore,
    connections: plan.connections,
    idle: 0,
    size: 64,
    depth: 1,
  });
}

/** @throws Error when anything came back wrong: then its figures are worth nothing. */
function runOf(
  { kind }: ClientsPlan,
  result: LoadResult,
  server: Pick<ClientRun, "serverBusy" | "coreIdle">,
): ClientRun {
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
    ...server,
  };
}
