import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { runtimeFacts } from "polloi/internal/pure";

/** The machine and the checkout that figures were measured on. */
export interface HostFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** The kernel's release, without "Linux". */
  readonly kernel: string;
  /** The commit of a checkout, marked when files differ from it; null for an installed package. */
  readonly commit: string | null;
  /** When the run began, ISO 8601. */
  readonly date: string;
  /** The command that measures the same again. */
  readonly command: string;
  /** The load average when the run began: near 0 on a machine that is otherwise idle. */
  readonly loadAverage: number;
}

/** The same, with the software that was measured. */
export interface Host extends HostFacts {
  /** The runtime's name and version. */
  readonly runtime: string;
  readonly polloi: string;
}

/** The root of the checkout, if this is one. */
const HOME: string = join(
  dirname(createRequire(import.meta.url).resolve("polloi-tools/package.json")),
  "../../",
);

/** Describes this machine. */
export function hostFacts(command: string): HostFacts {
  return {
    cpu: cpus()[0]?.model ?? "unknown processor",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    commit: commitOf(HOME),
    date: new Date().toISOString(),
    command,
    loadAverage: loadavg()[0] ?? 0,
  };
}

/** Describes this machine, the runtime and polloi. */
export function describeHost({ polloi, command }: Pick<Host, "polloi" | "command">): Host {
  return { ...hostFacts(command), runtime: runtimeFacts().title, polloi };
}

/** The lines that every result of the lab begins with. */
export function hostLines(host: Host): string[] {
  const { cpu, cores, memoryGiB, kernel, runtime, polloi, commit, date, command } = host;
  const of = commit === null ? "" : `, commit ${commit}`;
  return [
    `machine   ${cpu}, ${cores} ${cores === 1 ? "core" : "cores"}, ${memoryGiB} GiB, load average ${host.loadAverage.toFixed(2)}`,
    `software  Linux ${kernel}, ${runtime}, polloi ${polloi}${of}`,
    `command   ${command}, ${date.slice(0, 16).replace("T", " ")} UTC`,
  ];
}

/** The commit of a checkout in short form, with "with changes" when tracked files differ from it; null where there is none. */
export function commitOf(folder: string): string | null {
  if (!existsSync(`${folder}/.git`)) return null;
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: folder, encoding: "utf8", stdio: "pipe" }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return git("rev-parse", "--short", "HEAD") + (changed ? " with changes" : "");
  } catch {
    return null;
  }
}
