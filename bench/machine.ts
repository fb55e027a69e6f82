import { type HostFacts, hostFacts } from "../packages/polloi-tools/src/measure/host.ts";
import { textOf } from "../packages/polloi-tools/src/measure/process-stats.ts";
import type { Tool, Tools } from "./tools.ts";

/** The machine, its limits, and the versions of everything that was measured. */
export interface Machine extends HostFacts {
  readonly congestionControl: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly serverCore: number;
  readonly loadCore: number;
  readonly pinned: boolean;
  readonly descriptorLimit: number;
  readonly portRange: string;
  readonly somaxconn: number;
}

/** Describes this machine, without the cores that are used. */
export function describeMachine(tools: Tools): Omit<Machine, "serverCore" | "loadCore" | "pinned"> {
  const found = Object.entries(tools as unknown as Record<string, Tool>).flatMap(([name, tool]) =>
    tool.missing === undefined ? [[name, tool.version]] : [],
  );
  // Node raises its own limit when it starts, and its child processes inherit that.
  const limit = /^Max open files\s+(\d+)/m.exec(textOf("/proc/self/limits"))?.[1];
  const sysctl = (path: string): string => textOf(`/proc/sys/net/${path}`).trim();
  return {
    ...hostFacts(`npm run bench -- ${process.argv.slice(2).join(" ")}`),
    congestionControl: sysctl("ipv4/tcp_congestion_control"),
    versions: { node: process.versions.node, ...Object.fromEntries(found) },
    descriptorLimit: Number(limit ?? 1024),
    portRange: sysctl("ipv4/ip_local_port_range").replace(/\s+/, "-"),
    somaxconn: Number(sysctl("core/somaxconn")),
  };
}

/** The lines that every result begins with. */
export function machineLines(machine: Machine): string[] {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const pinned = machine.pinned
    ? `server on core ${machine.serverCore}, load on core ${machine.loadCore}`
    : "NOT PINNED: server and load compete for one core, so the figures are not reliable";
  return [
    `machine   ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${pinned}`,
    `kernel    Linux ${machine.kernel}, TCP ${machine.congestionControl}, descriptors ${machine.descriptorLimit}, ports ${machine.portRange}, somaxconn ${machine.somaxconn}`,
    `versions  ${versions.join(", ")}`,
    `commit    ${machine.commit}, ${machine.date}, load average ${machine.loadAverage.toFixed(2)}`,
    `command   ${machine.command}`,
  ];
}

/** Why this machine cannot hold this many connections; undefined when it can. */
export function whyNotFit({ descriptorLimit }: Machine, connections: number): string | undefined {
  // A server also has a listener, its pollers and the descriptors of its runtime.
  if (connections + 100 <= descriptorLimit) return undefined;
  return `${connections} connections exceed the descriptor limit of ${descriptorLimit} (ulimit -n)`;
}
