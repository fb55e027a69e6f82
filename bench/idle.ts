import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { orderOf } from "../packages/polloi-tools/src/measure/rounds.ts";
import {
  type Bench,
  holdConnections,
  loadServer,
  type Published,
  roundOf,
  withServer,
} from "./echo.ts";
import { Field } from "./field.ts";
import type { Peer } from "./peers.ts";

/** A run of the idle benchmark, as it is written to `idle.json`. */
export interface IdleResult extends Published {
  readonly benchmark: "idle";
  readonly settings: IdleSettings;
  readonly rows: IdleRow[];
}

/** What to measure. */
export interface IdleSettings {
  /** Idle connections for the memory figure, and the most of the CPU figure. */
  readonly connections: number;
  /** Numbers of idle connections beside the active ones. */
  readonly steps: readonly number[];
  readonly active: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** One server. */
export interface IdleRow {
  readonly name: string;
  readonly label: string;
  /** Bytes of private memory per idle connection, a figure a round. */
  readonly bytesPerConnection: number[];
  /** Server CPU microseconds per active message: `cpuUs[step][round]`. */
  readonly cpuUs: (number | undefined)[][];
  readonly failures: string[];
}

/** Memory is settled when so many looks in a row differ by less than this. */
const SETTLED_LOOKS = 4;
const SETTLED_BYTES = 64 * 1024;
const LOOK_MS = 250;
const LOOKS_AT_MOST = 40;

/**
 * Measures every server: memory per idle connection, and whether idle connections cost the active ones.
 */
export async function measureIdle(
  bench: Bench,
  settings: IdleSettings,
  step: (text: string) => void,
): Promise<IdleRow[]> {
  const rows: IdleRow[] = bench.peers.map(({ name, label }) => ({
    name,
    label,
    bytesPerConnection: [],
    cpuUs: settings.steps.map(() => []),
    failures: [],
  }));
  for (let round = 1; round <= settings.rounds; round++) {
    for (const [i, peer] of orderOf([...bench.peers.entries()], round)) {
      const row = rows[i] as IdleRow;
      const title = `round ${round} of ${settings.rounds}: ${peer.label}`;
      try {
        step(`${title}, memory of ${settings.connections} idle connections`);
        row.bytesPerConnection.push(await memoryPerConnection(bench, peer, settings.connections));
        step(`${title}, ${settings.active} active beside ${settings.steps.join(", ")} idle`);
        const costs = await costBesideIdle(bench, peer, settings, round);
        costs.forEach((cpuUs, at) => {
          (row.cpuUs[at] as (number | undefined)[])[round - 1] = cpuUs;
        });
      } catch (error) {
        row.failures.push((error as Error).message);
      }
    }
  }
  return rows;
}

/** CPU per message beside each number of idle connections, each with a server of its own. */
async function costBesideIdle(
  bench: Bench,
  { command }: Peer,
  { steps, active: connections, seconds, warmup }: IdleSettings,
  round: number,
): Promise<number[]> {
  const loads = steps.map((idle) => [{ connections, idle, size: 64, depth: 1 }]);
  const field = await Field.open(
    bench,
    loads.map((load) => ({ command, loads: load })),
  );
  try {
    await field.warmUp(warmup);
    return (await field.measure({ seconds, round })).map((result) => {
      if (result instanceof Error) throw result;
      return roundOf(result).serverCpuUs;
    });
  } finally {
    await field.close();
  }
}

/**
 * User-space memory of one idle connection.
 *
 * @remarks
 * The server first echoes for 200 connections for a second, so that its code is compiled and its pools
 * exist, and these leave. Then its garbage is collected (SIGUSR2, where the server has a collector),
 * and its private memory read: VmRSS without its file-backed and shared pages, which /proc/PID/status
 * gives as RssAnon. Then the connections come, each echoes one message and falls silent; collected and
 * read again once it stands still. The difference, by their number, is the figure. What the kernel
 * keeps for a socket is in neither.
 */
async function memoryPerConnection(bench: Bench, peer: Peer, count: number): Promise<number> {
  return await withServer(bench, peer, async (server) => {
    const warm = { connections: 200, idle: 0, size: 64, depth: 1, seconds: 1, warmup: 0 };
    await loadServer(bench, server, warm);
    const before = await settledMemory(server.pid, peer);
    const held = await holdConnections(bench, server, count);
    try {
      return ((await settledMemory(server.pid, peer)) - before) / count;
    } finally {
      await held.stop();
    }
  });
}

/** Private memory in bytes, once it no longer moves; or after ten seconds as it is. */
async function settledMemory(pid: number, { collects }: Peer): Promise<number> {
  let last = privateMemory(pid);
  for (let looks = 0, still = 0; looks < LOOKS_AT_MOST && still < SETTLED_LOOKS; looks++) {
    if (collects) process.kill(pid, "SIGUSR2");
    await sleep(LOOK_MS);
    const now = privateMemory(pid);
    still = Math.abs(now - last) <= SETTLED_BYTES ? still + 1 : 0;
    last = now;
  }
  return last;
}

function privateMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kB = (name: string): number =>
    Number(status.match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"))?.[1] ?? 0);
  return (kB("VmRSS") - kB("RssFile") - kB("RssShmem")) * 1024;
}
