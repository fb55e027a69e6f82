/** What a run of `polloi lab idle` says, in figures and in words; nothing here measures. */
import type { Cell, IdleResult, Sample } from "./idle.ts";
import { pairedRatio, type Spread, spreadOf } from "./spread.ts";
import { percent, spreadText, textTable, threeFigures, whole } from "./table.ts";

/** A sample whose CPU time is less than this share of its time by the clock was kept from its core. */
const WHOLE_CORE = 0.9;
/** More than this share of the machine's time given to others is worth a word. */
const MUCH_STOLEN = 0.01;

/** Whether something else ran in the sample's place: its waits never sleep, so all of its time is CPU. */
export function isDisturbed({ cpuUs, wallUs }: Sample): boolean {
  return cpuUs < wallUs * WHOLE_CORE;
}

/** Whether at least half of a cell's rounds were disturbed, so that its median by the clock is as well. */
export function cellDisturbed({ samples }: Cell): boolean {
  return samples.length > 0 && samples.filter(isDisturbed).length * 2 >= samples.length;
}

/** What of a sample is looked at. */
export type Measure = "cpuUs" | "wallUs";

/** The spread of a cell over its rounds; undefined where nothing was measured. */
export function spreadIn(cell: Cell | undefined, measure: Measure): Spread | undefined {
  return spreadOf((cell?.samples ?? []).map((sample) => sample[measure]));
}

/** The cells of one engine, by size. */
export function cellsOf({ cells }: IdleResult, engine: string): Cell[] {
  return cells.filter((cell) => cell.engine === engine);
}

/** How an engine's cost has grown from its first size to its last. */
export interface Growth {
  readonly label: string;
  readonly from: number;
  readonly to: number;
  /** CPU time at the last size by that at the first, round by round. */
  readonly ratio: Spread;
}

/** The growth of every engine that was measured at two sizes or more. */
export function growthIn(result: IdleResult): Growth[] {
  return result.engines.flatMap(({ name, label }) => {
    const measured = cellsOf(result, name).filter(({ samples }) => samples.length > 0);
    const [first, last] = [measured[0], measured.at(-1)];
    if (first === undefined || last === undefined || first === last) return [];
    const byRound = ({ samples }: Cell): (number | undefined)[] => {
      const costs: (number | undefined)[] = [];
      for (const { round, cpuUs } of samples) costs[round] = cpuUs;
      return costs;
    };
    const ratio = pairedRatio(byRound(last), byRound(first));
    return ratio === undefined ? [] : [{ label, from: first.idle, to: last.idle, ratio }];
  });
}

/** The header and rows of a table: a row for each size, a column for each engine. */
export function idleTable(
  result: IdleResult,
  measure: Measure,
): { header: string[]; rows: string[][] } {
  const { engines, settings, cells } = result;
  return {
    header: ["idle", ...engines.map(({ label }) => label)],
    rows: settings.sizes.map((idle) => [
      whole(idle),
      ...engines.map(({ name }) => {
        const cell = cells.find((each) => each.engine === name && each.idle === idle);
        const text = spreadText(spreadIn(cell, measure), threeFigures);
        return cell !== undefined && cellDisturbed(cell) ? `${text}~` : text;
      }),
    ]),
  };
}

/** The titles of the two tables, and of the charts of the same. */
export const TITLES: Readonly<Record<Measure, string>> = {
  cpuUs: "CPU time of one wake-up",
  wallUs: "Time by the clock of one wake-up",
};

/** What the figure shows, in three sentences or so, which hold whatever was measured. */
export function explanation({ settings }: IdleResult): string[] {
  const { active, writes, pairs } = settings;
  const idle = pairs ? "ends of silent socket pairs" : "silent sockets";
  return [
    `A wake-up is one socket's share of a wait that found it ready, the read of its byte, and the write that makes the next one ready: ${whole(active)} at a time, ${whole(writes)} further writes in a chain.`,
    `Beside the active ${active === 1 ? "pair" : "pairs"}, ${idle} are watched that are never ready. select and poll are handed all of them at every wait, and look at each; epoll and io_uring leave them with the kernel, and are told what is ready.`,
    "So a level line is an engine that pays for what happens, and a rising one an engine that pays for what might.",
  ];
}

/** What a reader has to know before believing a figure: what was left out, and what was disturbed. */
export function remarks(result: IdleResult): string[] {
  const { skipped, notes, cells, stolen } = result;
  const samples = cells.flatMap((cell) => cell.samples);
  const disturbed = samples.filter(isDisturbed).length;
  const lines = skipped.map(({ name, reason }) => `skipped: ${name}: ${reason}`);
  lines.push(...notes.map((note) => `clipped: ${note}`));
  lines.push(...absences(result));
  if (cells.some(cellDisturbed)) {
    lines.push("~ in half of its rounds or more this one had less than 90 % of a core to itself");
  }
  const share = `${disturbed} of ${samples.length} samples had less than 90 % of a core`;
  const others =
    (stolen ?? 0) > MUCH_STOLEN ? `, and other machines took ${percent(stolen ?? 0)}` : "";
  if (disturbed > 0 || others !== "") {
    lines.push(`disturbed: ${share}${others}; CPU time suffers less from it than the clock does`);
  } else {
    lines.push(`undisturbed: each of ${samples.length} samples had 90 % of a core or more`);
  }
  return lines;
}

/** Sizes that an engine was not measured at, one line for each reason. */
function absences({ engines, cells }: IdleResult): string[] {
  return engines.flatMap(({ name, label }) => {
    const mine = cells.filter((cell) => cell.engine === name && cell.absent !== undefined);
    const [first] = mine;
    if (first?.absent === undefined) return [];
    const word = first.absent.failed ? "failed" : "left out";
    const sizes = mine.map(({ idle }) => whole(idle));
    const last = sizes.pop() as string;
    const at = sizes.length === 0 ? last : `${sizes.join(", ")} and ${last}`;
    return [`${word}: ${label} at ${at}: ${first.absent.reason}`];
  });
}

/** Whether an engine did not do what it must: then the run has failed, whatever the others did. */
export function hasFailed({ cells }: IdleResult): boolean {
  return cells.some(({ absent }) => absent?.failed === true);
}

/** How the cost has grown, in one line. */
export function growthLine(result: IdleResult): string {
  const told = growthIn(result).map(
    ({ label, from, to, ratio }) =>
      `${label} x ${spreadText(ratio, threeFigures)} from ${whole(from)} to ${whole(to)}`,
  );
  return told.length === 0 ? "" : `growth of the CPU time (round by round): ${told.join("; ")}`;
}

/** A run as it is shown on the terminal, below what it ran on. */
export function idleText(result: IdleResult): string {
  const table = (measure: Measure): string => {
    const { header, rows } = idleTable(result, measure);
    return `\n${TITLES[measure]} in µs: median of ${result.settings.rounds} (smallest-largest)\n${textTable(header, rows)}`;
  };
  const growth = growthLine(result);
  return [
    table("cpuUs"),
    table("wallUs"),
    "",
    ...(growth === "" ? [] : [growth]),
    ...remarks(result),
    "",
    ...explanation(result),
  ].join("\n");
}
