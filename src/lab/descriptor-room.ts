/** How many descriptors this process may have, and what to do when they are too few. */
import { readdirSync } from "node:fs";
import { RLIMIT_NOFILE } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";

/** Where the hard limit lies in a `struct rlimit`. */
const HARD = 8;
/** Left for what the runtime, an engine or the output may open while a measurement runs. */
const SPARE = 32;

/**
 * Raises the soft limit of descriptors to `wanted`, or as far as the hard limit lets it.
 *
 * @returns The limit from now on.
 * @source getrlimit(2)
 */
export function raiseDescriptorLimit(kernel: Kernel, wanted: number): number {
  const { libc, scratch } = kernel;
  const { address } = scratch;
  if (libc.getrlimit(RLIMIT_NOFILE, address) < 0) return 1024;
  const soft = scratch.getWord(0);
  const raised = Math.min(wanted, scratch.getWord(HARD));
  if (soft >= raised) return soft;
  scratch.setWord(0, raised);
  return libc.setrlimit(RLIMIT_NOFILE, address) < 0 ? soft : raised;
}

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** What a measurement needs of the descriptor table. */
export interface Need {
  /** Descriptors that every size needs. */
  readonly always: number;
  /** Descriptors for each idle one. */
  readonly perIdle: number;
}

/** The descriptors that `idle` idle ones need, all in all. */
export function descriptorsFor(idle: number, { always, perIdle }: Need, open: number): number {
  return open + SPARE + always + idle * perIdle;
}

/** Which sizes a limit has room for. */
export interface Fit {
  /** Ascending; the last one may be what the limit made of a larger one. */
  readonly sizes: readonly number[];
  /** What was left out and why, in one line. */
  readonly note?: string;
}

/**
 * Leaves out the sizes for which there are too few descriptors. The largest that there is room for
 * stands in for them, so that a figure reaches as far as the machine lets it.
 */
export function sizesWithin(
  limit: number,
  sizes: readonly number[],
  { need, open }: { readonly need: Need; readonly open: number },
): Fit {
  const most = Math.floor((limit - descriptorsFor(0, need, open)) / need.perIdle);
  const fitting = sizes.filter((size) => size <= most);
  if (fitting.length === sizes.length) return { sizes };
  const tooFew = (idle: number): string =>
    `${idle} idle descriptors need a limit of ${descriptorsFor(idle, need, open)}, and the hard limit is ${limit} (ulimit -Hn)`;
  const [least, wanted] = [sizes[0] as number, sizes.at(-1) as number];
  if (most < least) return { sizes: [], note: tooFew(least) };
  if (fitting.at(-1) !== most) fitting.push(most);
  return { sizes: fitting, note: `${tooFew(wanted)}: measured to ${most} instead` };
}
