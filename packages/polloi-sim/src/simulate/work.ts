import type { Variant } from "./run.ts";
import { type Fixed, PROGRAMS, type ProgramName } from "./scenario.ts";
import { type Finding, runScenario, seedScenario } from "./seeds.ts";

/** A range of seeds, and how they are run. */
export interface Work {
  readonly first: number;
  readonly count: number;
  readonly variants: readonly Variant[];
  readonly fixed: Fixed;
  /** Ends after as many findings. */
  readonly mostFindings: number;
}

/** What was done of a {@link Work} since the last report. */
export interface Progress {
  readonly seeds: number;
  readonly programs: Readonly<Record<ProgramName, number>>;
  readonly findings: readonly Finding[];
}

/** A report is made after this many seeds. */
const REPORTED = 100;

/** Runs a range of seeds. @param report - Called after every few seeds, and at the end. */
export async function perform(work: Work, report: (progress: Progress) => void): Promise<void> {
  const { first, count, variants, fixed, mostFindings } = work;
  // Stacks take longer than the errors that are thrown on purpose. A seed that fails is run again.
  const { stackTraceLimit } = Error;
  if (count > 1) Error.stackTraceLimit = 0;
  let progress = nothing();
  let found = 0;
  for (let seed = first; seed < first + count && found < mostFindings; seed++) {
    const scenario = seedScenario(seed, fixed);
    const finding = await runScenario(seed, variants, scenario);
    if (finding !== undefined) {
      found++;
      progress.findings.push(finding);
    }
    progress.seeds++;
    progress.programs[scenario.program]++;
    if (progress.seeds < REPORTED && finding === undefined) continue;
    report(progress);
    progress = nothing();
  }
  report(progress);
  Error.stackTraceLimit = stackTraceLimit;
}

function nothing(): { seeds: number; programs: Record<ProgramName, number>; findings: Finding[] } {
  const programs = Object.fromEntries(PROGRAMS.map((name) => [name, 0]));
  return { seeds: 0, programs: programs as Record<ProgramName, number>, findings: [] };
}
