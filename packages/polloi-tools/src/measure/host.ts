import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { runtimeFacts } from "polloi/internal/pure";

/** Where and with what figures were taken. */
export interface Host {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** The kernel's release, without "Linux". */
  readonly kernel: string;
  /** The runtime's name and version. */
  readonly runtime: string;
  readonly polloi: string;
  /** The commit of a checkout, with a word when files differ from it; null for an installed package. */
  readonly commit: string | null;
  /** When the run began, ISO 8601. */
  readonly date: string;
  /** The command that takes the same figures again. */
  readonly command: string;
  /** How many wanted to run when the run began: near 0 on a machine that is otherwise idle. */
  readonly loadAverage: number;
}

/** The root of the checkout, if this is one. */
const HOME: string = join(
  dirname(createRequire(import.meta.url).resolve("polloi-tools/package.json")),
  "../../",
);

/** Looks at this machine. */
export function describeHost({ polloi, command }: Pick<Host, "polloi" | "command">): Host {
  return {
    cpu: cpus()[0]?.model ?? "an unknown processor",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    runtime: runtimeFacts().title,
    polloi,
    commit: commitOf(HOME),
    date: new Date().toISOString(),
    command,
    loadAverage: loadavg()[0] ?? 0,
  };
}

/** The lines that every result shows. */
export function hostLines(host: Host): string[] {
  const { cpu, cores, memoryGiB, kernel, runtime, polloi, commit, date, command } = host;
  const of = commit === null ? "" : `, commit ${commit}`;
  return [
    `machine   ${cpu}, ${cores} ${cores === 1 ? "core" : "cores"}, ${memoryGiB} GiB, load average ${host.loadAverage.toFixed(2)}`,
    `software  Linux ${kernel}, ${runtime}, polloi ${polloi}${of}`,
    `command   ${command}, ${date.slice(0, 16).replace("T", " ")} UTC`,
  ];
}

function commitOf(folder: string): string | null {
  if (!existsSync(`${folder}.git`)) return null;
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: folder, encoding: "utf8", stdio: "pipe" }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return git("rev-parse", "--short", "HEAD") + (changed ? " with changes" : "");
  } catch {
    return null;
  }
}

/** Ticks of the machine's clock, all processors together, since it started. */
export interface Ticks {
  readonly stolen: number;
  readonly all: number;
}

/**
 * How the machine has spent its time so far; null where that is not told.
 *
 * @source proc_stat(5): user nice system idle iowait irq softirq steal
 */
export function machineTicks(): Ticks | null {
  try {
    const [, first = ""] = /^cpu +(.+)$/m.exec(readFileSync("/proc/stat", "utf8")) ?? [];
    // The last two, of guests, are in user and nice already.
    const ticks = first.split(" ").slice(0, 8).map(Number);
    const [stolen] = ticks.slice(7);
    if (stolen === undefined || ticks.some(Number.isNaN)) return null;
    return { stolen, all: ticks.reduce((sum, each) => sum + each, 0) };
  } catch {
    return null;
  }
}

/** The share of the machine's time that its hypervisor gave to others between two looks. */
export function stolenShare(before: Ticks | null, after: Ticks | null): number | null {
  if (before === null || after === null || after.all <= before.all) return null;
  return (after.stolen - before.stolen) / (after.all - before.all);
}
