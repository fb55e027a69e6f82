/** Runs the cells of a comparison of servers, in alternating order, within the time and the capacity available. */
import { SysError } from "polloi";
import type { Kernel } from "polloi/internal";
import { ChildFailed } from "../measure/child.ts";
import { type Cores, divideCores } from "../measure/cores.ts";
import { describeHost } from "../measure/host.ts";
import { machineTicks, stolenShare } from "../measure/process-stats.ts";
import type { LabSession } from "../measure/report.ts";
import { orderOf } from "../measure/rounds.ts";
import { type ChildCost, capacityNow, whyTooMany } from "./capacity.ts";
import type {
  ServingCell,
  ServingContender,
  ServingResult,
  ServingSample,
  ServingSettings,
} from "./serving.ts";
import {
  type CellParts,
  measureCell,
  TooLittleMemory,
  TooManyDescriptors,
} from "./serving-cell.ts";

/** The servers to compare. */
export interface ServingPlan {
  readonly lab: ServingResult["lab"];
  readonly contenders: readonly ServingContender[];
  readonly skipped: ServingResult["skipped"];
  readonly settings: ServingSettings;
  /** The numbers of connections at which a contender is measured. */
  readonly sizesOf: (contender: ServingContender) => readonly number[];
  /** Why a contender cannot be measured at a number, independent of the machine. */
  readonly absent?: (contender: ServingContender, connections: number) => string | undefined;
}

/** The number of processes or threads that are started first to measure the cost of one. */
const PROBED = 4;
/** The time of a cell besides counting: to start the server, to warm it up, to stop it. */
const AROUND_MS = 700;
/** Without anything to start, connections are answered within this time, plus the time for each. */
const ANSWER_MS = 500;
const ANSWER_EACH_MS = 0.25;
/** Processes and threads may take this many times as long as was measured with fewer. */
const LENIENCE = 4;

/** Measures every contender at every number of connections in each round, in alternating order. */
export async function measureServing(
  kernel: Kernel,
  plan: ServingPlan,
  session: LabSession,
): Promise<ServingResult> {
  const host = describeHost({ polloi: session.version, command: session.command });
  const { undo, ...cores } = divideCores(kernel);
  const before = machineTicks();
  try {
    const run = new ServingRun(kernel, plan, session, cores);
    const notes = await run.measure();
    const { lab, settings, skipped, contenders } = plan;
    return {
      lab,
      format: 1,
      host,
      settings,
      contenders: contenders.map(({ name, label }) => ({ name, label })),
      skipped,
      notes,
      cores,
      cells: run.cells,
      stolen: stolenShare(before, machineTicks()),
    };
  } finally {
    undo();
  }
}

class ServingRun {
  readonly cells: readonly ServingCell[];
  readonly #kernel: Kernel;
  readonly #plan: ServingPlan;
  readonly #session: LabSession;
  readonly #cores: Cores;
  readonly #costs = new Map<string, ChildCost>();
  readonly #begin: number = performance.now();
  #doneMs = 0;

  constructor(kernel: Kernel, plan: ServingPlan, session: LabSession, cores: Cores) {
    this.#kernel = kernel;
    this.#plan = plan;
    this.#session = session;
    this.#cores = cores;
    this.cells = plan.contenders.flatMap((contender) =>
      plan.sizesOf(contender).map((at): ServingCell => {
        const reason = plan.absent?.(contender, at);
        const absent = reason === undefined ? undefined : { reason, failed: false };
        return { name: contender.name, at, samples: [], ...(absent && { absent }) };
      }),
    );
  }

  /** @returns Notes on the run. */
  async measure(): Promise<string[]> {
    const { rounds, limitMs } = this.#plan.settings;
    try {
      await this.#probe();
      for (let round = 1; round <= rounds; round++) {
        for (const cell of this.#order(round)) {
          if (performance.now() - this.#begin > limitMs) return this.#unfinished(round, "limit");
          await this.#measureCell(cell, round);
        }
      }
      return this.#fewerRounds();
    } catch (error) {
      if (!this.#session.signal.aborted) throw error;
      const round = Math.max(1, ...this.cells.map(({ samples }) => samples.length));
      return this.#unfinished(round, "interrupted");
    }
  }

  /** The cells of a round: by ascending size, with the contenders in alternating order. */
  #order(round: number): ServingCell[] {
    const sizes = [...new Set(this.cells.map(({ at }) => at))].sort((a, b) => a - b);
    return sizes.flatMap((size, row) =>
      orderOf(
        this.cells.filter(({ at }) => at === size),
        round + row,
      ),
    );
  }

  /** Measures the cost of a process or thread before hundreds of them are started. */
  async #probe(): Promise<void> {
    for (const contender of this.#plan.contenders) {
      const isNeeded = this.cells.some(({ name, at }) => name === contender.name && at > PROBED);
      if (contender.starts === undefined || !isNeeded) continue;
      this.#showStep(`the cost of one ${contender.starts}`);
      try {
        const { settings } = this.#plan;
        const parts = this.#parts(contender, PROBED, 0, settings.patienceMs);
        this.#learn(
          contender,
          await measureCell({ ...parts, settings: { ...settings, cellMs: 50 } }),
        );
      } catch (error) {
        if (this.#session.signal.aborted) throw error;
        // It fails again in a cell, where it is recorded.
      }
    }
  }

  async #measureCell(cell: ServingCell, round: number): Promise<void> {
    const contender = this.#plan.contenders.find(({ name }) => name === cell.name);
    if (contender === undefined || cell.absent !== undefined) return;
    const { patienceMs, rounds } = this.#plan.settings;
    const at = `${cell.at} ${cell.at === 1 ? "connection" : "connections"}`;
    this.#showStep(`round ${round} of ${rounds}, ${at}: ${contender.label}`);
    const cost = this.#costs.get(cell.name);
    if (round > this.#roundsOf(cell)) return;
    if (contender.starts !== undefined && cell.at > PROBED) {
      const reason =
        cost === undefined
          ? `none of the first ${PROBED} answered, so the cost of one ${contender.starts} is unknown`
          : whyTooMany(cell.at, cost, capacityNow(patienceMs));
      if (reason !== undefined) {
        if (cell.samples.length === 0) cell.absent = { reason, failed: false };
        return;
      }
    }
    const withinMs = Math.min(patienceMs, this.#openWithinMs(contender, cell.at));
    try {
      const sample = await measureCell(this.#parts(contender, cell.at, round, withinMs));
      cell.samples.push(sample);
      this.#learn(contender, sample);
    } catch (error) {
      if (this.#session.signal.aborted) throw error;
      const absent = absenceOf(error);
      if (absent === undefined) throw error;
      cell.absent = absent;
    }
    this.#doneMs += this.#expectedMs(cell);
  }

  #parts(
    contender: ServingContender,
    connections: number,
    round: number,
    openWithinMs: number,
  ): CellParts {
    const { settings } = this.#plan;
    const { signal } = this.#session;
    const [kernel, cores] = [this.#kernel, this.#cores];
    return { kernel, contender, connections, round, settings, cores, openWithinMs, signal };
  }

  /** Records the cost of one process or thread. Several give a better estimate than one. */
  #learn({ name, starts }: ServingContender, sample: ServingSample): void {
    const { answered, memoryKiB, openMs, processes, threads } = sample;
    if (starts === undefined || answered === 0) return;
    if (answered < PROBED && this.#costs.has(name)) return;
    this.#costs.set(name, {
      kind: starts,
      kib: Math.max(0, memoryKiB ?? 0) / answered,
      startMs: openMs / answered,
      threads: starts === "thread" ? 1 : Math.ceil(threads / processes),
    });
  }

  /** The time limit for answers: some connections may never be answered. */
  #openWithinMs({ name, starts }: ServingContender, connections: number): number {
    const startMs = this.#costs.get(name)?.startMs;
    if (starts !== undefined && startMs === undefined) return Number.POSITIVE_INFINITY;
    return ANSWER_MS + LENIENCE * connections * Math.max(ANSWER_EACH_MS, startMs ?? 0);
  }

  /** The expected time to open a cell, from earlier rounds or from the cost of what it starts. */
  #openingMs({ name, at, samples }: ServingCell): number {
    const startMs = this.#costs.get(name)?.startMs;
    if (startMs !== undefined) return at * startMs;
    return samples.at(-1)?.openMs ?? at * ANSWER_EACH_MS;
  }

  /** Cells that take long to open have fewer rounds: all rounds together take at most half the patience. */
  #roundsOf(cell: ServingCell): number {
    const { rounds, patienceMs } = this.#plan.settings;
    const affordable = Math.floor(patienceMs / 2 / this.#openingMs(cell));
    return Math.min(rounds, Math.max(1, affordable));
  }

  #expectedMs(cell: ServingCell): number {
    const { cellMs } = this.#plan.settings;
    return AROUND_MS + 1.25 * cellMs + this.#openingMs(cell);
  }

  #showStep(text: string): void {
    const { rounds, limitMs } = this.#plan.settings;
    const all = this.cells
      .filter(({ absent }) => absent === undefined)
      .reduce(
        (sum, cell) => sum + this.#expectedMs(cell) * Math.min(rounds, this.#roundsOf(cell)),
        0,
      );
    const steps = Math.max(1, Math.min(all, limitMs));
    // The run ends at the time limit, whatever the cells take.
    const elapsed = (steps * (performance.now() - this.#begin)) / limitMs;
    const done = Math.min(Math.max(this.#doneMs, elapsed), 0.99 * steps);
    this.#session.progress.step(text, { done, steps });
  }

  /** The cells that have fewer rounds than requested. */
  #fewerRounds(): string[] {
    const { rounds } = this.#plan.settings;
    return this.cells
      .filter(({ samples }) => samples.length > 0 && samples.length < rounds)
      .map(({ name, at, samples }) => {
        const label = this.#plan.contenders.find((each) => each.name === name)?.label ?? name;
        return `${label} at ${at} has ${samples.length} of ${rounds} rounds because it takes long to open`;
      });
  }

  #unfinished(round: number, why: "limit" | "interrupted"): string[] {
    const { rounds, limitMs } = this.#plan.settings;
    const reason =
      why === "limit"
        ? `the time limit of ${limitMs / 1000} s was reached (--limit)`
        : "interrupted";
    for (const cell of this.cells) {
      if (cell.samples.length === 0) cell.absent ??= { reason, failed: false };
    }
    return [`${reason}, in round ${round} of ${rounds}`];
  }
}

function absenceOf(error: unknown): ServingCell["absent"] {
  if (error instanceof TooManyDescriptors || error instanceof TooLittleMemory) {
    return { reason: error.message, failed: false };
  }
  if (error instanceof SysError) return { reason: error.hint ?? error.message, failed: true };
  if (error instanceof ChildFailed) return { reason: error.message, failed: true };
  return undefined;
}
