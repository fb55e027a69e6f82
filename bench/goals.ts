/** Figures to reach, and whether they were reached. */
import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import { spreadText, type Table } from "../packages/polloi-tools/src/measure/table.ts";

/** A figure to reach, and the measured values. */
export interface Goal {
  /** The servers that are compared: `polloi, io_uring : C, raw epoll loop`. */
  readonly what: string;
  /** The case: `64 B x 50`; empty when there is only one. */
  readonly where: string;
  readonly limit: Limit;
  /** A value for each round. */
  readonly values: readonly number[];
  /** Why the values prove nothing. */
  readonly doubt?: string | undefined;
}

/** The value to reach, and the one that is a record. */
export type Limit =
  | { readonly atLeast: number; readonly atMost?: undefined; readonly record?: number }
  | { readonly atMost: number; readonly atLeast?: undefined; readonly record?: number };

/** Whether the median of the rounds reaches a goal. */
export interface Verdict {
  readonly reached: boolean;
  readonly record: boolean;
  readonly proven: boolean;
  /** The number of rounds that reach it. */
  readonly rounds: number;
}

/** @returns `undefined` when nothing was measured. */
export function verdictOf({ limit, values, doubt }: Goal): Verdict | undefined {
  const spread = spreadOf(values);
  if (spread === undefined) return undefined;
  const passes = (value: number, mark: number): boolean =>
    limit.atLeast === undefined ? value <= mark : value >= mark;
  const mark = limit.atLeast ?? limit.atMost;
  return {
    reached: passes(spread.median, mark),
    record: limit.record !== undefined && passes(spread.median, limit.record),
    proven: doubt === undefined,
    rounds: values.filter((value) => passes(value, mark)).length,
  };
}

/** `reached`, `MISSED`, `not proven (reached)`. */
export function verdictText(verdict: Verdict): string {
  const word = verdict.reached ? (verdict.record ? "reached, a record" : "reached") : "MISSED";
  return verdict.proven ? word : `not proven (${word})`;
}

/** `>= 0.93`. */
function limitText({ atLeast, atMost }: Limit): string {
  return atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`;
}

/** Formats values with the precision of the limit: bytes as whole numbers, ratios with two decimals. */
function formatFor(limit: Limit): (value: number) => string {
  const digits = (limit.atLeast ?? limit.atMost) >= 100 ? 0 : 2;
  return (value) => value.toFixed(digits);
}

/** The goals, a row each. */
export function goalTable(goals: readonly Goal[]): Table {
  return {
    header: ["goal", "median (min-max)", "to reach", "rounds", ""],
    rows: goals.flatMap((goal) => {
      const { what, where, limit, values, doubt } = goal;
      const verdict = verdictOf(goal);
      if (verdict === undefined) return [];
      const why = doubt === undefined ? "" : `: ${doubt}`;
      return [
        [
          where === "" ? what : `${what}, ${where}`,
          spreadText(spreadOf(values), formatFor(limit)),
          limitText(limit),
          `${verdict.rounds} of ${values.length}`,
          `${verdictText(verdict)}${why}`,
        ],
      ];
    }),
  };
}

/** Goals that differ only in their case, in one row: `64 B x 50 / 500`, `1.01 / 1.05`. */
export interface GoalRow {
  readonly what: string;
  readonly where: string;
  readonly limit: string;
  /** The median of each case. */
  readonly cases: readonly { readonly median: string; readonly verdict: Verdict }[];
  /** One for all cases: `reached`, or the number of those that were not. */
  readonly verdict: string;
}

/** @returns A row for each goal in all of its cases, in the order of the goals. */
export function goalRows(goals: readonly Goal[]): GoalRow[] {
  const groups = new Map<string, Goal[]>();
  for (const goal of goals) {
    if (goal.values.length === 0) continue;
    const key = `${goal.what} ${limitText(goal.limit)}`;
    groups.set(key, [...(groups.get(key) ?? []), goal]);
  }
  return [...groups.values()].map((group) => {
    const { what, limit } = group[0] as Goal;
    const format = formatFor(limit);
    const cases = group.map((goal) => ({
      median: format(spreadOf(goal.values)?.median as number),
      verdict: verdictOf(goal) as Verdict,
    }));
    return {
      what,
      where: joined(group.map(({ where }) => where)),
      limit: limitText(limit),
      cases,
      verdict: summaryOf(cases.map(({ verdict }) => verdict)),
    };
  });
}

/** `reached`, or `2 of 6 MISSED, 1 not proven`. */
function summaryOf(verdicts: readonly Verdict[]): string {
  const [only] = verdicts;
  if (verdicts.length === 1 && only !== undefined) return verdictText(only);
  const proven = verdicts.filter((verdict) => verdict.proven);
  const missed = proven.filter((verdict) => !verdict.reached).length;
  const unproven = verdicts.length - proven.length;
  const parts = [
    ...(missed > 0 ? [`${missed} of ${verdicts.length} MISSED`] : []),
    ...(unproven > 0 ? [`${unproven} not proven`] : []),
  ];
  return parts.length === 0 ? "reached" : parts.join(", ");
}

/** `64 B x 50`, `64 B x 500`, `16 KiB x 50` as `64 B x 50 / 500, 16 KiB x 50`. */
function joined(cases: readonly string[]): string {
  let last = "";
  return cases.reduce((text, each) => {
    const [size = "", count] = each.split(" x ");
    const isSame = count !== undefined && size === last;
    last = size;
    if (text === "") return each;
    return isSame ? `${text} / ${count}` : `${text}, ${each}`;
  }, "");
}
