import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import { spreadText, textTable } from "../packages/polloi-tools/src/measure/table.ts";

/** A figure that is to be reached, and what was measured. */
export interface Goal {
  /** What of whom: `polloi, io_uring : C, raw epoll loop`. */
  readonly what: string;
  /** In which case of it: `64 B x 50`; empty when there is only one. */
  readonly where: string;
  readonly limit: Limit;
  /** What was measured, a figure a round. */
  readonly values: readonly number[];
  /** Why the figure proves nothing, either way. */
  readonly doubt?: string | undefined;
}

/** The figure to reach, and the one that would be a record. */
export type Limit =
  | { readonly atLeast: number; readonly atMost?: undefined; readonly record?: number }
  | { readonly atMost: number; readonly atLeast?: undefined; readonly record?: number };

/** Whether a goal was reached, by the median of its rounds. */
export interface Verdict {
  readonly reached: boolean;
  readonly record: boolean;
  readonly proven: boolean;
  /** How many rounds reached it by themselves. */
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

/** `reached`, `MISSED`, and what is to be thought of it. */
export function verdictText(verdict: Verdict): string {
  const word = verdict.reached ? (verdict.record ? "reached, a record" : "reached") : "MISSED";
  return verdict.proven ? word : `not proven (${word})`;
}

/** `>= 0.93`. */
export function limitText({ atLeast, atMost }: Limit): string {
  return atLeast === undefined ? `<= ${atMost}` : `>= ${atLeast}`;
}

/** A figure in the precision that its goal asks for: bytes are whole, ratios have two decimals. */
function figureText(limit: Limit): (value: number) => string {
  const digits = (limit.atLeast ?? limit.atMost) >= 100 ? 0 : 2;
  return (value) => value.toFixed(digits);
}

const HEADER = ["goal", "median (min-max)", "to reach", "rounds", ""];

function rowsOf(goals: readonly Goal[]): string[][] {
  return goals.flatMap((goal) => {
    const { what, where, limit, values, doubt } = goal;
    const verdict = verdictOf(goal);
    if (verdict === undefined) return [];
    const why = doubt === undefined ? "" : `: ${doubt}`;
    return [
      [
        where === "" ? what : `${what}, ${where}`,
        spreadText(spreadOf(values), figureText(limit)),
        limitText(limit),
        `${verdict.rounds} of ${values.length}`,
        `${verdictText(verdict)}${why}`,
      ],
    ];
  });
}

/** The goals for the terminal, a line each; empty when none of them was measured. */
export function goalsText(goals: readonly Goal[]): string {
  const rows = rowsOf(goals);
  return rows.length === 0 ? "" : `\n${textTable(HEADER, rows)}`;
}

/** Goals that differ only in their case, in one row: `64 B x 50 / 500`, `1.01 / 1.05`. */
export interface GoalRow {
  readonly what: string;
  readonly where: string;
  readonly limit: string;
  /** The median of each case. */
  readonly cases: readonly { readonly median: string; readonly verdict: Verdict }[];
  /** One for all: `reached`, or how many were not. */
  readonly verdict: string;
}

/** @returns A row for each thing to reach, in the order of the goals. */
export function goalRows(goals: readonly Goal[]): GoalRow[] {
  const groups = new Map<string, Goal[]>();
  for (const goal of goals) {
    if (goal.values.length === 0) continue;
    const key = `${goal.what} ${limitText(goal.limit)}`;
    groups.set(key, [...(groups.get(key) ?? []), goal]);
  }
  return [...groups.values()].map((group) => {
    const { what, limit } = group[0] as Goal;
    const text = figureText(limit);
    const cases = group.map((goal) => ({
      median: text(spreadOf(goal.values)?.median as number),
      verdict: verdictOf(goal) as Verdict,
    }));
    return {
      what,
      where: joined(group.map(({ where }) => where)),
      limit: limitText(limit),
      cases,
      verdict: together(cases.map(({ verdict }) => verdict)),
    };
  });
}

/** `reached`, or `2 of 6 MISSED, 1 not proven`. */
function together(verdicts: readonly Verdict[]): string {
  const [only] = verdicts;
  if (verdicts.length === 1 && only !== undefined) return verdictText(only);
  const proven = verdicts.filter((verdict) => verdict.proven);
  const missed = proven.filter((verdict) => !verdict.reached).length;
  const doubtful = verdicts.length - proven.length;
  const said = [
    ...(missed > 0 ? [`${missed} of ${verdicts.length} MISSED`] : []),
    ...(doubtful > 0 ? [`${doubtful} not proven`] : []),
  ];
  return said.length === 0 ? "reached" : said.join(", ");
}

/** `64 B x 50`, `64 B x 500`, `16 KiB x 50` as `64 B x 50 / 500, 16 KiB x 50`. */
function joined(cases: readonly string[]): string {
  let last = "";
  return cases.reduce((text, each) => {
    const [size = "", count] = each.split(" x ");
    const same = count !== undefined && size === last;
    last = size;
    if (text === "") return each;
    return same ? `${text} / ${count}` : `${text}, ${each}`;
  }, "");
}
