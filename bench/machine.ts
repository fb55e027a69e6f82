import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { inRepository } from "./places.ts";
import type { Tool, Tools } from "./tools.ts";

/** Where and with what the figures were taken. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly congestionControl: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly commit: string;
  readonly date: string;
  readonly command: string;
  readonly serverCore: number;
  readonly loadCore: number;
  readonly pinned: boolean;
  readonly descriptorLimit: number;
  readonly portRange: string;
  readonly somaxconn: number;
  /** Processes that wanted to run when the bench began; 0 on a machine that is otherwise idle. */
  readonly loadAverage: number;
}

/** The cores to use, when the caller says. */
export interface Cores {
  readonly serverCore?: number | undefined;
  readonly loadCore?: number | undefined;
}

/** Describes this machine and chooses the cores. */
export function describeMachine(tools: Tools, chosen: Cores): Machine {
  const cores = availableParallelism();
  const loadCore = chosen.loadCore ?? 0;
  const serverCore = chosen.serverCore ?? coreApartFrom(loadCore, cores);
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    congestionControl: read("/proc/sys/net/ipv4/tcp_congestion_control"),
    versions: { node: process.versions.node, ...versionsOf(tools) },
    commit: commit(),
    date: new Date().toISOString(),
    command: `npm run bench -- ${process.argv.slice(2).join(" ")}`,
    serverCore,
    loadCore,
    pinned: tools.taskset.missing === undefined && serverCore !== loadCore,
    descriptorLimit: descriptorLimit(),
    portRange: read("/proc/sys/net/ipv4/ip_local_port_range").replace(/\s+/, "-"),
    somaxconn: Number(read("/proc/sys/net/core/somaxconn")),
    loadAverage: loadavg()[0] as number,
  };
}

/** The lines that every result begins with. */
export function machineLines(machine: Machine): string[] {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const pinned = machine.pinned
    ? `server on core ${machine.serverCore}, load on core ${machine.loadCore}`
    : "NOT PINNED: needs taskset and two cores; the figures are worth little";
  return [
    `machine   ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${pinned}`,
    `kernel    Linux ${machine.kernel}, TCP ${machine.congestionControl}, descriptors ${machine.descriptorLimit}, ports ${machine.portRange}, somaxconn ${machine.somaxconn}`,
    `versions  ${versions.join(", ")}`,
    `commit    ${machine.commit}, ${machine.date}, load average ${machine.loadAverage.toFixed(2)}`,
    `command   ${machine.command}`,
  ];
}

/** What of the wanted connections does not fit this machine, as a sentence; or nothing. */
export function whyNotFit(machine: Machine, connections: number): string | undefined {
  // Beside its connections a server holds its listener, its pollers and what its runtime opens.
  if (connections + 100 > machine.descriptorLimit) {
    return `${connections} connections do not fit the descriptor limit of ${machine.descriptorLimit} (ulimit -n)`;
  }
  return undefined;
}

/** The first core that shares no execution units with `core`: not its hyper-thread. */
function coreApartFrom(core: number, cores: number): number {
  for (let other = 1; other < cores; other++) {
    const candidate = (core + other) % cores;
    const path = `/sys/devices/system/cpu/cpu${candidate}/topology/thread_siblings_list`;
    const siblings = read(path).split(/[,-]/).map(Number);
    if (!siblings.includes(core)) return candidate;
  }
  return (core + 1) % cores;
}

function versionsOf(tools: Tools): Record<string, string> {
  const found = Object.entries(tools as unknown as Record<string, Tool>).flatMap(([name, tool]) =>
    tool.missing === undefined && name !== "taskset" ? [[name, tool.version]] : [],
  );
  return Object.fromEntries(found);
}

function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: inRepository(""), encoding: "utf8", stdio: "pipe" }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return git("rev-parse", "--short", "HEAD") + (changed ? " with changes" : "");
  } catch {
    return "unknown";
  }
}

/** Node raises its own limit at start, and its children inherit that. */
function descriptorLimit(): number {
  const limit = read("/proc/self/limits").match(/^Max open files\s+(\d+)/m)?.[1];
  return Number(limit ?? 1024);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
