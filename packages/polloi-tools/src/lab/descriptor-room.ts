/** What to do when the descriptors that a process may have are too few for a measurement. */

/** Left for what the runtime, an engine or the output may open while a measurement runs. */
const SPARE = 32;

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
