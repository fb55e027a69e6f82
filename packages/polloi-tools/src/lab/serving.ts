/** The settings and results of a comparison of servers: plain data, as `--json` prints it. */
import type { Cores } from "../measure/cores.ts";
import type { Absence, Cell, Sample } from "../measure/grid.ts";
import type { Host } from "../measure/host.ts";
import type { ServerInput } from "./serving-program.ts";

/** The cells and conditions of a measurement. */
export interface ServingSettings {
  /** Numbers of connections, ascending. */
  readonly connections: readonly number[];
  readonly rounds: number;
  /** How long messages are counted in each cell and round. */
  readonly cellMs: number;
  /** How long it may take until every connection of a cell has been answered. */
  readonly patienceMs: number;
  /** After this time no further cell is started. */
  readonly limitMs: number;
  readonly sizeBytes: number;
}

/** A server that is compared with others. */
export interface ServingContender {
  /** Its name on the command line and in JSON: `epoll-edge`. */
  readonly name: string;
  /** Its name in tables and charts: `epoll, edge`. */
  readonly label: string;
  readonly input: ServerInput;
  /** The kind of child that it starts for each connection. */
  readonly starts?: "process" | "thread";
  /** The largest descriptor that it can hold, where it has a limit of its own. */
  readonly maxFd?: number;
}

/** One contender at one number of connections in one round. */
export interface ServingSample extends Sample {
  readonly opened: number;
  /** Connections with at least one answer by the end of the cell. */
  readonly answered: number;
  readonly failed: number;
  /** From the first connect until every connection was answered once, or until the time limit. */
  readonly openMs: number;
  /** The server's CPU time in that period: accepting, starting processes or threads, one message each. */
  readonly openCpuMs: number;
  /** The growth of the server's memory (PSS of all processes) with all connections idle; null: not reported. */
  readonly memoryKiB: number | null;
  readonly processes: number;
  readonly threads: number;
  /** Answers in the counted period. */
  readonly messages: number;
  readonly elapsedMs: number;
  /** From sending a message to its answer; null when no message was both sent and answered in the period. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly maxMs: number | null;
  /** CPU time in the period, of all of the server's processes and threads, and of the client. */
  readonly cpuMs: number;
  readonly clientCpuMs: number;
  /** The share of the server's cores, and of the client's, that other processes used in the period. */
  readonly othersOnServer: number;
  readonly othersOnClient: number;
  /** Involuntary context switches of the server's main threads, and of the client. */
  readonly interruptions: { readonly server: number; readonly client: number };
  /** Messages that did not return as they were sent. */
  readonly mismatches: number;
  /** The first error that the server reported. */
  readonly trouble?: string | undefined;
}

/** One contender at one number of connections. */
export interface ServingCell extends Cell<ServingSample> {
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
  /** Notes on the run, in sentences. */
  readonly notes: readonly string[];
  readonly cores: Cores;
  readonly cells: readonly ServingCell[];
  /** The share of the machine's time that its hypervisor gave to other machines; null: not reported. */
  readonly stolen: number | null;
}
