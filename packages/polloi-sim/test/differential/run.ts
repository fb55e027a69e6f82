import type { Kernel } from "../../../polloi/src/sys/kernel.ts";
import { Comparer, type Difference } from "./compare.ts";
import { programOf } from "./generate.ts";
import type { Call, Program } from "./program.ts";
import { shrunk } from "./shrink.ts";
import type { Result } from "./side.ts";

/** A program on which the kernels differ. */
export interface Failure {
  readonly seed: number;
  /** The smallest program that differs. */
  readonly program: Program;
  readonly difference: Difference;
}

/** What was compared. */
export interface Summary {
  programs: number;
  calls: number;
  /** How often each allowed difference occurred. */
  readonly allowed: Map<string, number>;
  readonly failures: Failure[];
}

export interface RunOptions {
  readonly seed: number;
  readonly programs: number;
  /** Ends after this many failures. */
  readonly mostFailures: number;
}

/** Linux may process what arrives over loopback a moment later, when the machine is busy. */
const LATE = "the real kernel was busy, and did the same with pauses between the calls";
const ONCE = "the real kernel was busy, and did the same in later runs";
const SETTLE_MS = [1, 5];

/** Compares the programs of a range of seeds. */
export function compareMany(kernel: Kernel, { seed, programs, mostFailures }: RunOptions): Summary {
  const comparer = new Comparer(kernel);
  const summary: Summary = { programs: 0, calls: 0, allowed: new Map(), failures: [] };
  const allow = (why: string) => summary.allowed.set(why, (summary.allowed.get(why) ?? 0) + 1);
  for (let i = 0; i < programs && summary.failures.length < mostFailures; i++) {
    const program = programOf(seed + i);
    const { difference, calls, allowed } = comparer.compare(program);
    summary.programs++;
    summary.calls += calls;
    for (const why of allowed) allow(why);
    if (difference === undefined) continue;
    if (SETTLE_MS.some((ms) => comparer.compare(program, ms).difference === undefined)) {
      allow(LATE);
      continue;
    }
    const failure = shrink(comparer, program);
    if (failure === undefined) allow(ONCE);
    else summary.failures.push(failure);
  }
  return summary;
}

/** Returns the smallest program that still fails; undefined when the program does not fail again. */
function shrink(comparer: Comparer, program: Program): Failure | undefined {
  const { seed } = program;
  const fails = (smaller: Program) => comparer.compare(smaller).difference !== undefined;
  for (const smallest of [shrunk(program, fails), program, program]) {
    const { difference } = comparer.compare(smallest);
    if (difference !== undefined) return { seed, program: smallest, difference };
  }
  return undefined;
}

/** The calls of a program and their results on both sides, up to the first difference. */
export function traceOf(kernel: Kernel, program: Program): string[] {
  const lines: string[] = [];
  const line = ({ id, operation, on, numbers }: Call, real: Result, simulated: Result): void => {
    const left = `${id}: ${operation} on ${on.join(" ") || "-"} with ${numbers.join(" ") || "-"}`;
    const [a, b] = [real.join(" "), simulated.join(" ")];
    lines.push(
      a === b ? `  ${left}  ->  ${a}` : `  ${left}\n      real       ${a}\n      simulated  ${b}`,
    );
  };
  new Comparer(kernel).compare(program, 0, line);
  return lines;
}
