/** The sizes of a measurement that fit into the descriptor limit. */

/** Descriptors that the runtime, an engine or the output may open during a measurement. */
const SPARE = 32;

/** The descriptors that a measurement needs. */
export interface Need {
  /** At every size. */
  readonly always: number;
  /** For each idle descriptor. */
  readonly perIdle: number;
}

/** The number of descriptors that a size needs in total. */
export function descriptorsFor(idle: number, { always, perIdle }: Need, open: number): number {
  return open + SPARE + always + idle * perIdle;
}

/** The sizes that fit into a limit. */
export interface Fit {
  /** Ascending; the last one may be reduced from a larger one. */
  readonly sizes: readonly number[];
  /** The contenders that were left out, with the reason, in one line. */
  readonly note?: string;
}

/** Leaves out the sizes that need too many descriptors. The largest size that fits is measured instead of them. */
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
  return { sizes: fitting, note: `${tooFew(wanted)}: measured up to ${most} instead` };
}
