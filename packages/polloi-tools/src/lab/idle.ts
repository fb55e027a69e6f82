/**
 * `polloi lab idle`: what one wake-up costs while more and more descriptors stay silent beside it. The
 * experiment of libevent's bench.c, at the floor of the engines: no registry, no reactor, no callbacks.
 */
import { SysError } from "polloi";
import { type Kernel, openDescriptors, openPoller, raiseDescriptorLimit } from "polloi/internal";
import { describeHost, type Host, machineTicks, stolenShare } from "../measure/host.ts";
import type { LabSession } from "../measure/report.ts";
import { type Contender, findContenders, type Skipped } from "./contenders.ts";
import { descriptorsFor, sizesWithin } from "./descriptor-room.ts";
import { type ChainTally, IdleField } from "./idle-field.ts";

/** What to measure. */
export interface IdleSettings {
  /** Socket pairs that have a byte in them at any time. */
  readonly active: number;
  /** Further writes in a chain, each made because a byte was read. */
  readonly writes: number;
  /** Numbers of idle descriptors, ascending. */
  readonly sizes: readonly number[];
  readonly rounds: number;
  /** Chains are repeated for so long, per engine, size and round. */
  readonly sampleMs: number;
  /** Whether idle sockets are ends of pairs, of two descriptors each. */
  readonly pairs: boolean;
  /** Names of the contenders to measure; undefined means all. */
  readonly engines?: readonly string[] | undefined;
}

/** One engine at one size in one round. */
export interface Sample {
  readonly round: number;
  readonly events: number;
  readonly waits: number;
  /** CPU time of the process, all threads, user and system, by events, in microseconds. */
  readonly cpuUs: number;
  /** Time by the clock, by events, in microseconds. */
  readonly wallUs: number;
}

/** One engine at one size. */
export interface Cell {
  readonly engine: string;
  readonly idle: number;
  readonly samples: Sample[];
  /** Why there are no samples, or no more of them. */
  absent?: { readonly reason: string; readonly failed: boolean };
}

/** A run of the lab, as `--json` prints it and `--from` reads it. */
export interface IdleResult {
  readonly lab: "idle";
  readonly format: 1;
  readonly host: Host;
  readonly settings: IdleSettings;
  readonly engines: readonly Pick<Contender, "name" | "label">[];
  readonly skipped: readonly Skipped[];
  /** What else a reader has to know, in sentences. */
  readonly notes: readonly string[];
  /** That it was, and when. */
  readonly interrupted?: string;
  readonly cells: readonly Cell[];
  /** The share of the machine's time that its hypervisor gave to others; null where it does not tell. */
  readonly stolen: number | null;
}

/** Chains that are run before any is measured, so that the runtime has compiled what they use. */
const WARM_UP_MS = 100;
const WARM_UP_IDLE = 10;

/** There are too few descriptors for even the smallest size. */
export class TooFewDescriptors extends Error {}

/**
 * Measures. In each round every size, and at each size every engine on the same sockets; who goes
 * first changes from round to round.
 *
 * @throws TooFewDescriptors when there is no room for anything; TypeError for an engine that is not known.
 */
export async function measureIdle(
  kernel: Kernel,
  asked: IdleSettings,
  session: LabSession,
): Promise<IdleResult> {
  const host = describeHost({ polloi: session.version, command: session.command });
  const found = findContenders(kernel);
  const contenders = found.contenders.filter(({ name }) => asked.engines?.includes(name) ?? true);
  const { sizes, note } = makeRoom(kernel, asked);
  if (sizes.length === 0) throw new TooFewDescriptors(note);
  const settings = { ...asked, sizes };
  const cells = sizes.flatMap((idle) =>
    contenders.map(({ name }): Cell => ({ engine: name, idle, samples: [] })),
  );
  const before = machineTicks();
  warmUp(kernel, contenders, settings);
  const steps = cells.length * settings.rounds;
  let done = 0;
  rounds: for (let round = 1; round <= settings.rounds; round++) {
    for (const [row, idle] of sizes.entries()) {
      using field = new IdleField(kernel, { ...settings, idle });
      for (const i of contenders.keys()) {
        const which = (i + round + row) % contenders.length;
        const contender = contenders[which] as Contender;
        const cell = cells[row * contenders.length + which] as Cell;
        const where = `round ${round} of ${settings.rounds}, ${idle} idle`;
        session.progress.step(`${where}: ${contender.label}`, { done: done++, steps });
        // A turn of the runtime's own loop, so that what it has put off is not put on the bill.
        await new Promise((resolve) => setImmediate(resolve));
        if (session.signal.aborted) break rounds;
        if (cell.absent === undefined)
          sampleInto(cell, { kernel, field, contender, settings, round });
      }
    }
  }
  return {
    lab: "idle",
    format: 1,
    host,
    settings,
    engines: contenders.map(({ name, label }) => ({ name, label })),
    skipped: found.skipped.filter(({ name }) => asked.engines?.includes(name) ?? true),
    notes: note === undefined ? [] : [note],
    ...(session.signal.aborted ? { interrupted: interruptedNote(cells) } : {}),
    cells,
    stolen: stolenShare(before, machineTicks()),
  };
}

/** Some cells have a round more than others, and some none. */
function interruptedNote(cells: readonly Cell[]): string {
  for (const cell of cells) {
    if (cell.samples.length === 0) cell.absent ??= { reason: "it was interrupted", failed: false };
  }
  const rounds = cells.map(({ samples }) => samples.length);
  return `it was interrupted after ${Math.min(...rounds)} to ${Math.max(...rounds)} rounds`;
}

function makeRoom(
  kernel: Kernel,
  { sizes, active, pairs }: IdleSettings,
): ReturnType<typeof sizesWithin> {
  // The far end of an active pair is moved above select's descriptors, and has two for a moment.
  const need = { always: 2 * active + 1, perIdle: pairs ? 2 : 1 };
  const open = openDescriptors();
  const wanted = descriptorsFor(sizes.at(-1) as number, need, open);
  return sizesWithin(raiseDescriptorLimit(kernel, wanted), sizes, { need, open });
}

function warmUp(kernel: Kernel, contenders: readonly Contender[], settings: IdleSettings): void {
  using field = new IdleField(kernel, { ...settings, idle: WARM_UP_IDLE });
  for (const { engine, interest } of contenders) {
    const poller = openPoller(engine, kernel);
    try {
      field.watchBy(poller, interest);
      const until = performance.now() + Math.min(WARM_UP_MS, settings.sampleMs * 5);
      while (performance.now() < until) field.chain(poller, 100, { events: 0, waits: 0 });
    } catch {
      // It will fail again where it is noted.
    } finally {
      poller.close();
    }
  }
}

interface Trial {
  readonly kernel: Kernel;
  readonly field: IdleField;
  readonly contender: Contender;
  readonly settings: IdleSettings;
  readonly round: number;
}

function sampleInto(cell: Cell, trial: Trial): void {
  try {
    const poller = openPoller(trial.contender.engine, trial.kernel);
    try {
      const { maxFd } = poller.capabilities;
      if (trial.field.highest > maxFd) {
        const reason = `${poller.name} holds descriptors up to ${maxFd}, and here they go up to ${trial.field.highest}`;
        cell.absent = { reason, failed: false };
        return;
      }
      trial.field.watchBy(poller, trial.contender.interest);
      cell.samples.push(sample(poller, trial));
    } finally {
      poller.close();
    }
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    cell.absent = { reason: error.hint ?? error.message, failed: true };
  }
}

function sample(
  poller: ReturnType<typeof openPoller>,
  { field, settings: { writes, sampleMs }, round }: Trial,
): Sample {
  const tally: ChainTally = { events: 0, waits: 0 };
  field.chain(poller, Math.min(writes, field.active * 10), tally);
  tally.events = 0;
  tally.waits = 0;
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  let elapsedMs = 0;
  while (elapsedMs < sampleMs) {
    field.chain(poller, writes, tally);
    elapsedMs = performance.now() - begin;
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  const { events, waits } = tally;
  return {
    round,
    events,
    waits,
    cpuUs: rounded((user + system) / events),
    wallUs: rounded((elapsedMs * 1000) / events),
  };
}

/** To a nanosecond: what is beyond is noise, and a file that people look at. */
function rounded(us: number): number {
  return Math.round(us * 1000) / 1000;
}
