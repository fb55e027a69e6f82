import { type Bench, note, type Published, type Round, type Row, roundOf, rowsOf } from "./echo.ts";
import { Field } from "./field.ts";
import { BODIES, type CellName, takesPart } from "./http-plans.ts";
import type { LoadOptions } from "./load.ts";
import { whyNotFit } from "./machine.ts";
import { thatHold } from "./peers.ts";

/** What is asked of every server of a cell. */
export interface HttpCellPlan {
  readonly name: CellName;
  readonly connections: number;
  /** Requests in flight on a connection. */
  readonly depth: number;
  /** Requests a second of all connections in turn; 0: the next one when one is answered. */
  readonly rate: number;
  /** Bytes of the answer's body. */
  readonly size: number;
}

/** All servers of a cell. */
export interface HttpCell extends HttpCellPlan {
  readonly rows: readonly Row[];
}

/** A whole run, as it is written to `http.json`. */
export interface HttpResult extends Published {
  readonly benchmark: "http";
  readonly settings: HttpSettings;
  readonly cells: HttpCell[];
}

/** What to measure and for how long. */
export interface HttpSettings {
  readonly plans: readonly HttpCellPlan[];
  /** What made the load: `c` or `wrk`. */
  readonly load: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
}

/** Who is told how far it is. */
export interface HttpProgress {
  step(text: string): void;
  /** A cell is complete. */
  cell(cell: HttpCell): void;
}

/** The server that the ratios of a cell are taken to in its table. */
export const REFERENCES: Readonly<Record<CellName, { name: string; label: string }>> = {
  hello: { name: "c-http", label: "C" },
  pipelined: { name: "c-http", label: "C" },
  file: { name: "nginx", label: "nginx" },
  paced: { name: "node-http", label: "node:http" },
};

/**
 * Measures every cell, as `measureEcho` does: in each round every server is started anew, and all of them
 * are loaded in turns.
 *
 * @returns What had to be left out.
 */
export async function measureHttp(
  bench: Bench,
  settings: HttpSettings,
  progress: HttpProgress,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const plan of settings.plans) {
    const reason =
      whyNotFit(bench.machine, plan.connections) ??
      (plan.rate > 0 && settings.load === "wrk" ? "wrk has no rate" : undefined);
    if (reason === undefined) progress.cell(await measureCell(bench, settings, plan, progress));
    else warnings.push(`${plan.name} is left out: ${reason}`);
  }
  return warnings;
}

function loadOf({ name, connections, depth, size }: HttpCellPlan): Omit<LoadOptions, Where> {
  const asked =
    name === "file" ? { path: "/file.bin", body: BODIES.file } : { path: "/", body: BODIES.hello };
  return { mode: "http", ...asked, connections, depth, size, idle: 0 };
}

type Where = "port" | "serverPid" | "serverCore";

async function measureCell(
  bench: Bench,
  { rounds, seconds, warmup }: HttpSettings,
  plan: HttpCellPlan,
  progress: HttpProgress,
): Promise<HttpCell> {
  const taking = bench.peers.filter(({ name }) => takesPart(name, plan.name));
  const { peers, skipped } = thatHold(plan.connections, { peers: taking, skipped: [] });
  const entries = peers.map(({ command }) => ({ command, loads: [loadOf(plan)] }));
  const rows = rowsOf<Round>(peers);
  const rates = plan.rate > 0 ? { rates: peers.map(() => plan.rate) } : {};
  for (let round = 1; round <= rounds && peers.length > 0; round++) {
    progress.step(`${plan.name} x ${plan.connections}, round ${round} of ${rounds}`);
    const field = await Field.open(bench, entries);
    try {
      await field.warmUp(warmup);
      const results = await field.measure({ seconds, round, ...rates });
      results.forEach((result, i) => {
        note(rows[i] as Row, result instanceof Error ? result : roundOf(result));
      });
    } finally {
      await field.close();
    }
  }
  const none = skipped.map(({ name, label, reason }) => {
    return { name, label, rounds: [], failures: [reason] };
  });
  return { ...plan, rows: [...rows, ...none] };
}
