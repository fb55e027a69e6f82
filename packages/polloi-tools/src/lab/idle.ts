/**
 * `polloi lab idle`: the cost of one wake-up with a growing number of idle descriptors. It is the experiment of
 * libevent's bench.c, on the engines themselves: no registry, no reactor, no callbacks.
 */
import { SysError } from "polloi";
import {
  type Kernel,
  openDescriptors,
  openPoller,
  POLLER_NAMES,
  type Poller,
  raiseDescriptorLimit,
  whyNot,
} from "polloi/internal";
import { EPOLLET, POLLIN } from "polloi/select";
import type { PollerName } from "polloi/selectors";
import type { Absence, Sample } from "../measure/grid.ts";
import { describeHost, type Host } from "../measure/host.ts";
import { machineTicks, stolenShare } from "../measure/process-stats.ts";
import type { LabSession } from "../measure/report.ts";
import { orderOf } from "../measure/rounds.ts";
import { descriptorsFor, type Fit, sizesWithin } from "./descriptors.ts";
import { type ChainCounts, IdleSockets } from "./idle-sockets.ts";

/** The cells and conditions of a measurement. */
export interface IdleSettings {
  /** Socket pairs that hold a byte at any time. */
  readonly active: number;
  /** Further writes in a chain, one for each byte read. */
  readonly writes: number;
  /** Numbers of idle descriptors, ascending. */
  readonly sizes: readonly number[];
  readonly rounds: number;
  /** How long chains are repeated for each engine, size and round. */
  readonly sampleMs: number;
  /** Whether idle sockets are ends of pairs, with two descriptors each. */
  readonly pairs: boolean;
  /** Names of the contenders to measure; undefined means all. */
  readonly engines?: readonly string[] | undefined;
}

/** One engine at one size in one round. */
export interface IdleSample extends Sample {
  readonly events: number;
  readonly waits: number;
  /** CPU time of the process per event, all threads, user and system, in microseconds. */
  readonly cpuUs: number;
  /** Elapsed time per event, in microseconds. */
  readonly wallUs: number;
}

/** One engine at one size. */
export interface IdleCell {
  readonly engine: string;
  readonly idle: number;
  readonly samples: IdleSample[];
  absent?: Absence;
}

/** An engine in one of its modes. */
export interface IdleContender {
  /** Its name on the command line and in JSON: `epoll`, `epoll-edge`. */
  readonly name: string;
  /** Its name in tables and charts: `epoll, edge`. */
  readonly label: string;
  readonly engine: PollerName;
  /** POLLIN, and EPOLLET where it is edge-triggered. */
  readonly interest: number;
}

/** A run, as `--json` prints it and `--from` reads it. */
export interface IdleResult {
  readonly lab: "idle";
  readonly format: 1;
  readonly host: Host;
  readonly settings: IdleSettings;
  readonly engines: readonly Pick<IdleContender, "name" | "label">[];
  /** Engines that do not work here, and why. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  /** Notes on the run, in sentences. */
  readonly notes: readonly string[];
  /** When it was interrupted. */
  readonly interrupted?: string;
  readonly cells: readonly IdleCell[];
  /** The share of the machine's time that its hypervisor gave to other machines; null: not reported. */
  readonly stolen: number | null;
}

/** Chains that are run before any is measured, so that their code is compiled. */
const WARM_UP_MS = 100;
const WARM_UP_IDLE = 10;

/** There are too few descriptors for the smallest size. */
export class TooFewDescriptors extends Error {}

/**
 * Every engine of polloi, the oldest first: level-triggered, and edge-triggered where it supports that.
 *
 * @remarks
 * It opens each engine, so an engine that is added to the pollers is measured without a change here.
 */
export function findContenders(
  kernel: Kernel,
): Pick<IdleResult, "skipped"> & { readonly contenders: readonly IdleContender[] } {
  const contenders: IdleContender[] = [];
  const skipped: { name: string; reason: string }[] = [];
  // The names are ordered from the best to the oldest.
  for (const engine of [...POLLER_NAMES].reverse()) {
    const reason = whyNot(engine, kernel);
    if (reason !== undefined) {
      skipped.push({ name: engine, reason });
      continue;
    }
    const poller = openPoller(engine, kernel);
    const { edge } = poller.capabilities;
    poller.close();
    const level = { name: engine, label: edge ? `${engine}, level` : engine };
    contenders.push({ ...level, engine, interest: POLLIN });
    if (!edge) continue;
    const names = { name: `${engine}-edge`, label: `${engine}, edge` };
    contenders.push({ ...names, engine, interest: POLLIN | EPOLLET });
  }
  return { contenders, skipped };
}

/**
 * Measures every size in each round, and at each size every engine on the same sockets, in alternating order.
 *
 * @throws TooFewDescriptors when not even the smallest size fits.
 */
export async function measureIdle(
  kernel: Kernel,
  requested: IdleSettings,
  session: LabSession,
): Promise<IdleResult> {
  const host = describeHost({ polloi: session.version, command: session.command });
  const found = findContenders(kernel);
  const isRequested = ({ name }: { readonly name: string }): boolean =>
    requested.engines?.includes(name) ?? true;
  const contenders = found.contenders.filter(isRequested);
  const { sizes, note } = fitDescriptors(kernel, requested);
  if (sizes.length === 0) throw new TooFewDescriptors(note);
  const settings = { ...requested, sizes };
  const cells = sizes.flatMap((idle) =>
    contenders.map(({ name }): IdleCell => ({ engine: name, idle, samples: [] })),
  );
  const before = machineTicks();
  warmUp(kernel, contenders, settings);
  const steps = cells.length * settings.rounds;
  let done = 0;
  rounds: for (let round = 1; round <= settings.rounds; round++) {
    for (const [row, idle] of sizes.entries()) {
      using sockets = new IdleSockets(kernel, { ...settings, idle });
      for (const [i, contender] of orderOf([...contenders.entries()], round + row)) {
        const cell = cells[row * contenders.length + i] as IdleCell;
        const where = `round ${round} of ${settings.rounds}, ${idle} idle`;
        session.progress.step(`${where}: ${contender.label}`, { done: done++, steps });
        // The runtime's own loop runs here, so that its work is not measured.
        await new Promise((resolve) => setImmediate(resolve));
        if (session.signal.aborted) break rounds;
        if (cell.absent !== undefined) continue;
        addSample(cell, { kernel, sockets, contender, settings, round });
      }
    }
  }
  return {
    lab: "idle",
    format: 1,
    host,
    settings,
    engines: contenders.map(({ name, label }) => ({ name, label })),
    skipped: found.skipped.filter(isRequested),
    notes: note === undefined ? [] : [note],
    ...(session.signal.aborted ? { interrupted: interruptedNote(cells) } : {}),
    cells,
    stolen: stolenShare(before, machineTicks()),
  };
}

/** The cells may have different numbers of rounds, and some none. */
function interruptedNote(cells: readonly IdleCell[]): string {
  for (const cell of cells) {
    if (cell.samples.length === 0) cell.absent ??= { reason: "interrupted", failed: false };
  }
  const rounds = cells.map(({ samples }) => samples.length);
  return `interrupted after ${Math.min(...rounds)} to ${Math.max(...rounds)} rounds`;
}

function fitDescriptors(kernel: Kernel, { sizes, active, pairs }: IdleSettings): Fit {
  // The writing end of an active pair is moved above 1023, and briefly has two descriptors.
  const need = { always: 2 * active + 1, perIdle: pairs ? 2 : 1 };
  const open = openDescriptors();
  const wanted = descriptorsFor(sizes.at(-1) as number, need, open);
  return sizesWithin(raiseDescriptorLimit(kernel, wanted), sizes, { need, open });
}

function warmUp(
  kernel: Kernel,
  contenders: readonly IdleContender[],
  settings: IdleSettings,
): void {
  using sockets = new IdleSockets(kernel, { ...settings, idle: WARM_UP_IDLE });
  for (const { engine, interest } of contenders) {
    const poller = openPoller(engine, kernel);
    try {
      sockets.watchBy(poller, interest);
      const until = performance.now() + Math.min(WARM_UP_MS, settings.sampleMs * 5);
      while (performance.now() < until) sockets.chain(poller, 100, { events: 0, waits: 0 });
    } catch {
      // It fails again in a cell, where it is recorded.
    } finally {
      poller.close();
    }
  }
}

interface Trial {
  readonly kernel: Kernel;
  readonly sockets: IdleSockets;
  readonly contender: IdleContender;
  readonly settings: IdleSettings;
  readonly round: number;
}

function addSample(cell: IdleCell, trial: Trial): void {
  const { kernel, sockets, contender } = trial;
  try {
    const poller = openPoller(contender.engine, kernel);
    try {
      const { maxFd } = poller.capabilities;
      if (sockets.highest > maxFd) {
        const reason = `${poller.name} holds descriptors up to ${maxFd}, and the highest here is ${sockets.highest}`;
        cell.absent = { reason, failed: false };
        return;
      }
      sockets.watchBy(poller, contender.interest);
      cell.samples.push(sampleOf(poller, trial));
    } finally {
      poller.close();
    }
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    cell.absent = { reason: error.hint ?? error.message, failed: true };
  }
}

function sampleOf(
  poller: Poller,
  { sockets, settings: { writes, sampleMs }, round }: Trial,
): IdleSample {
  sockets.chain(poller, Math.min(writes, sockets.active * 10), { events: 0, waits: 0 });
  const counts: ChainCounts = { events: 0, waits: 0 };
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  let elapsedMs = 0;
  while (elapsedMs < sampleMs) {
    sockets.chain(poller, writes, counts);
    elapsedMs = performance.now() - begin;
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const { events, waits } = counts;
  return {
    round,
    events,
    waits,
    cpuUs: rounded((user + system) / events),
    wallUs: rounded((elapsedMs * 1000) / events),
  };
}

/** Rounded to a nanosecond: the rest is noise. */
function rounded(us: number): number {
  return Math.round(us * 1000) / 1000;
}
