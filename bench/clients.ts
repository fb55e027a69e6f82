import { inRounds, type Published, type RowOf } from "./echo.ts";
import { type Load, type LoadResult, openLoad } from "./load.ts";
import type { Peer } from "./peers.ts";
import { compiled } from "./places.ts";
import { portOf, type Running, start } from "./processes.ts";
import { orderOf } from "./rounds.ts";
import type { Session } from "./session.ts";
import { findHttpLoad } from "./wrk.ts";

/** A run of the load benchmark, as it is written to `load.json`. */
export interface ClientsResult extends Published {
  readonly benchmark: "load";
  readonly settings: ClientsSettings;
  readonly rows: RowOf<ClientsRound>[];
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
  readonly p99Us: number;
  /** Until all connections were open. */
  readonly openMs: number;
}

/** A comparison: of what, with whom, before which server. */
export interface ClientsPlan {
  readonly name: string;
  readonly label: string;
  readonly kind: "echo" | "http" | "open";
  readonly connections: number;
  readonly server: Peer;
}

/** What is compared, as far as its server and the other client can be had. */
export function clientPlans(
  { connections, opened }: ClientsSettings,
  { peers, tools }: Pick<Session, "peers" | "tools">,
): ClientsPlan[] {
  const server = (name: string): Peer | undefined => peers.find((peer) => peer.name === name);
  const [echo, http] = [server("c-epoll"), server("c-http")];
  const plans: ClientsPlan[] = [];
  for (const count of connections) {
    if (echo !== undefined) plans.push(planOf("echo", count, echo, "epoll in C"));
    if (http !== undefined && tools.wrk.missing === undefined) {
      plans.push(planOf("http", count, http, "wrk"));
    }
  }
  if (echo !== undefined) plans.push(planOf("open", opened, echo, "epoll in C"));
  return plans;
}

function planOf(
  kind: ClientsPlan["kind"],
  connections: number,
  server: Peer,
  other: string,
): ClientsPlan {
  const name = `${kind}-${connections}`;
  return {
    name,
    label: `${kind}, ${connections} connections : ${other}`,
    kind,
    connections,
    server,
  };
}

/** Has both clients ask one server by turns, in each round. */
export async function measureClients(
  session: Session,
  settings: ClientsSettings,
  { plans, step }: { readonly plans: readonly ClientsPlan[]; step(text: string): void },
): Promise<RowOf<ClientsRound>[]> {
  const { rounds, seconds, warmup } = settings;
  return await inRounds(plans, rounds, async (plan, round) => {
    step(`round ${round} of ${rounds}: ${plan.label}`);
    const { machine } = session;
    const cores = machine.pinned ? `${machine.serverCore}` : undefined;
    const server = await start({ command: plan.server.command, cores });
    const window = plan.kind === "open" ? { warmup: 0, seconds: 0.1 } : { warmup, seconds };
    const openers = { polloi: polloiLoad, other: otherLoad };
    const runs: Partial<Record<keyof ClientsRound, ClientRun>> = {};
    try {
      // To and fro, since a machine that slows down would favour the first.
      for (const who of orderOf(["polloi", "other"] as const, round)) {
        const client = await openers[who](session, plan, server);
        try {
          runs[who] = runOf(await client.run(window));
        } finally {
          await client.stop();
        }
      }
      return runs as ClientsRound;
    } finally {
      await server.stop();
    }
  });
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
function runOf(result: LoadResult): ClientRun {
  const { messages, seconds, cpuSeconds, latencyUs, connectMs, lost, mismatches } = result;
  if (lost + mismatches > 0) {
    throw new Error(
      `${result.side} lost ${lost} connections, and ${mismatches} messages were wrong`,
    );
  }
  return {
    messagesPerSecond: messages / seconds,
    cpuUs: (1e6 * cpuSeconds) / messages,
    p99Us: latencyUs.p99,
    openMs: connectMs,
  };
}
