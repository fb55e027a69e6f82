/** What is asked of servers that are compared, and what came of it: plain data, as `--json` prints it. */

import type { Cores } from "../measure/cores.ts";
import type { Absence } from "../measure/grid.ts";
import type { Host } from "../measure/host.ts";
import type { ServerInput } from "./serving-program.ts";

/** What to measure. */
export interface ServingSettings {
  /** Numbers of connections, ascending. */
  readonly connections: readonly number[];
  readonly rounds: number;
  /** How long messages are counted, in each cell and round. */
  readonly cellMs: number;
  /** How long connections may take until each was answered once. */
  readonly patienceMs: number;
  /** When this is over, no other cell is begun. */
  readonly limitMs: number;
  readonly sizeBytes: number;
}

/** A server that is compared with others. */
export interface ServingContender {
  /** What it is called on the command line and in JSON: `epoll-edge`. */
  readonly name: string;
  /** What it is called in a table or chart: `epoll, edge`. */
  readonly label: string;
  readonly input: ServerInput;
  /** What it starts for each connection. */
  readonly starts?: "process" | "thread";
  /** The largest descriptor that it can hold, where that is a limit of its own. */
  readonly maxFd?: number;
}

/** One contender at one number of connections in one round. */
export interface ServingSample {
  readonly round: number;
  readonly opened: number;
  /** Connections that had an answer at all, until the end of the cell. */
  readonly answered: number;
  readonly failed: number;
  /** From the first connect until each was answered once, or the time for it was over. */
  readonly openMs: number;
  /** The server's CPU time in that: accepting, starting what serves, one message each. */
  readonly openCpuMs: number;
  /** The server's memory (PSS, all of its processes) with all of them silent, less that before; null: not told. */
  readonly memoryKiB: number | null;
  readonly processes: number;
  readonly threads: number;
  /** What came back in the time that is counted. */
  readonly messages: number;
  readonly elapsedMs: number;
  /** From the sending of a message to its answer; null when none was both sent and answered in that time. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly maxMs: number | null;
  /** CPU time in that time: of all of the server's processes and threads, and of the client. */
  readonly cpuMs: number;
  readonly clientCpuMs: number;
  /** The share of the server's cores, and of the client's, that others took in that time. */
  readonly othersOnServer: number;
  readonly othersOnClient: number;
  /** How often the server's main threads, and the client, were taken off their core for another. */
  readonly interruptions: { readonly server: number; readonly client: number };
  /** Messages that did not come back as they were sent. */
  readonly mismatches: number;
  /** What the server complained of. */
  readonly trouble?: string | undefined;
}

/** One contender at one number of connections. */
export interface ServingCell {
  readonly name: string;
  readonly at: number;
  readonly samples: ServingSample[];
  absent?: Absence | undefined;
}

/** A run. */
export interface ServingResult {
  readonly lab: "models" | "engines";
  readonly format: 1;
  readonly host: Host;
  readonly settings: ServingSettings;
  readonly contenders: readonly Pick<ServingContender, "name" | "label">[];
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  /** What else a reader has to know, in sentences. */
  readonly notes: readonly string[];
  readonly cores: Cores;
  readonly cells: readonly ServingCell[];
  /** The share of the machine's time that its hypervisor gave to others; null where it does not tell. */
  readonly stolen: number | null;
}
