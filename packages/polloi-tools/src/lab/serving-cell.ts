import type { Kernel } from "polloi/internal";
import { ControlledLoad, type Measurement } from "../load/controlled-load.ts";
import type { Cores } from "../measure/cores.ts";
import {
  availableKiB,
  cpuMsOf,
  idleMsOf,
  interruptionsOf,
  pssKiBOf,
  threadCount,
} from "../measure/process-stats.ts";
import type { ServingContender, ServingSample, ServingSettings } from "./serving.ts";
import { ServingProcess } from "./serving-process.ts";

/** How long a server is asked before its memory is looked at, so that what it compiles once is there. */
const WARM_UP_MS = 150;
const WARM_UP_CONNECTIONS = 4;
/** Before messages are counted, they are sent for this share of the time, and no less than so long. */
const RUN_UP_SHARE = 0.25;
const SHORTEST_RUN_UP_MS = 30;
/** It goes on until as many answers have come as there are connections, or for so many times as long. */
const LONGEST_RUN_UP = 8;
/** After the accounts were read, answers of this share of the time are counted, and their times not. */
const SETTLE_SHARE = 0.1;
/** How often it is looked whether all have been answered, and how much memory is left. */
const LOOK_MS = 5;
const MEMORY_LOOK_MS = 100;
/** With less than this left, what is under way is ended. */
const LEAST_FREE_KIB: number = 768 * 1024;
/** What is out when sending pauses has come back by then. */
const SETTLE_MS = 20;

/** What a cell is made of. */
export interface CellParts {
  readonly kernel: Kernel;
  readonly contender: ServingContender;
  readonly connections: number;
  readonly round: number;
  readonly settings: ServingSettings;
  readonly cores: Cores;
  /** How long connections may take until each was answered. */
  readonly openWithinMs: number;
  readonly signal: AbortSignal;
}

/** The measurement was ended because the machine was about to run out of memory. */
export class TooLittleMemory extends Error {}

/** The server cannot hold so many descriptors. */
export class TooManyDescriptors extends Error {}

/**
 * Measures one contender once, with a server that is started for it: opens the connections and has each
 * answered once; looks at the memory while all are silent; then counts messages for a while.
 *
 * @throws ServerFailed, TooLittleMemory, TooManyDescriptors; what the signal is aborted with.
 */
export async function measureCell(parts: CellParts): Promise<ServingSample> {
  const { kernel, contender, connections, cores, signal } = parts;
  const input = { ...contender.input, connections };
  const pinned = cores.unpinned === null || cores.client.length === 1 ? cores.server : undefined;
  await using server = await ServingProcess.start(kernel, input, pinned);
  const { maxFd } = contender;
  if (maxFd !== undefined && server.descriptors + connections > maxFd) {
    throw new TooManyDescriptors(
      `${contender.label} holds descriptors up to ${maxFd}, and its server has ${server.descriptors} without connections`,
    );
  }
  // A thread that has served would serve again, and cost nothing.
  if (contender.starts !== "thread") await warmUp(parts, server);
  const before = await server.pids({ collect: true });
  const memoryBefore = pssKiBOf(before);
  const cpuBefore = cpuMsOf(before);
  using load = await begin(parts, server, connections);
  const openMs = await answeredOnce(load, parts);
  const pids = await server.pids();
  const openCpuMs = cpuMsOf(pids) - cpuBefore;
  await pause(SETTLE_MS, signal);
  await server.pids({ collect: true });
  const memory = pssKiBOf(pids);
  const shape = { processes: pids.length, threads: threadCount(pids) };
  const counted = await count(load, pids, parts);
  const { opened, answered, failed } = counted.measured;
  return {
    round: parts.round,
    opened,
    answered,
    failed,
    openMs: rounded(openMs),
    openCpuMs: rounded(openCpuMs),
    memoryKiB: memory === null || memoryBefore === null ? null : memory - memoryBefore,
    ...shape,
    ...figuresOf(counted, parts),
    ...(server.trouble === undefined ? {} : { trouble: server.trouble }),
  };
}

function begin(
  { kernel, settings }: CellParts,
  server: ServingProcess,
  connections: number,
): Promise<ControlledLoad> {
  const target = `tcp://127.0.0.1:${server.port}`;
  return ControlledLoad.start({ target, connections, sizeBytes: settings.sizeBytes }, kernel);
}

async function warmUp(parts: CellParts, server: ServingProcess): Promise<void> {
  const { contender, signal, settings } = parts;
  // Of those who block one serves, and a process is new each time: one is enough to have accepted.
  const several = contender.input.model === "event" || contender.input.model === "prefork";
  const forMs = Math.min(WARM_UP_MS, settings.cellMs);
  {
    using load = await begin(parts, server, several ? WARM_UP_CONNECTIONS : 1);
    await answeredOnce(load, parts);
    load.resume();
    await pause(forMs, signal);
    load.pause();
  }
  // Until what served it is gone.
  for (let i = 0; i < 100 && contender.starts === "process"; i++) {
    if ((await server.pids()).length === 1) break;
    await pause(LOOK_MS, signal);
  }
}

/** @returns How long it took until each connection was answered, or the time for it was over. */
async function answeredOnce(
  load: ControlledLoad,
  { openWithinMs, signal }: CellParts,
): Promise<number> {
  const begin = performance.now();
  let lookedAt = begin;
  for (;;) {
    const now = performance.now();
    if (load.isAnswered || now - begin >= openWithinMs) return now - begin;
    if (now - lookedAt > MEMORY_LOOK_MS) {
      lookedAt = now;
      const free = availableKiB();
      if (free !== null && free < LEAST_FREE_KIB) {
        throw new TooLittleMemory(
          `ended with ${Math.round(free / 1024)} MiB of memory left, before the machine would swap`,
        );
      }
    }
    await pause(LOOK_MS, signal);
  }
}

/** The accounts of both sides at a moment. */
interface Accounts {
  readonly at: number;
  readonly server: number;
  readonly client: number;
  readonly idleServer: number;
  readonly idleClient: number;
  readonly interruptions: { readonly server: number; readonly client: number };
}

interface Counted {
  readonly measured: Measurement;
  readonly from: Accounts;
  readonly to: Accounts;
}

async function count(
  load: ControlledLoad,
  pids: readonly number[],
  { settings, cores, signal }: CellParts,
): Promise<Counted> {
  const look = (): Accounts => {
    const { user, system } = process.cpuUsage();
    return {
      at: performance.now(),
      server: cpuMsOf(pids),
      client: (user + system) / 1000,
      idleServer: idleMsOf(cores.server),
      idleClient: idleMsOf(cores.client),
      interruptions: {
        server: interruptionsOf(pids),
        client: process.resourceUsage().involuntaryContextSwitches,
      },
    };
  };
  load.resume();
  load.resetStatistics();
  const runUpMs = Math.max(SHORTEST_RUN_UP_MS, settings.cellMs * RUN_UP_SHARE);
  await pause(runUpMs, signal);
  // With very many connections it takes longer until each has had its turn.
  const until = performance.now() + LONGEST_RUN_UP * runUpMs;
  while (load.messages < load.counts.opened && performance.now() < until) {
    await pause(LOOK_MS, signal);
  }
  const from = look();
  load.resetStatistics();
  // Who was answered while this thread was looking was not waiting for the server.
  await pause(settings.cellMs * SETTLE_SHARE, signal);
  load.resetLatencies();
  await pause(settings.cellMs * (1 - SETTLE_SHARE), signal);
  const measured = load.pause();
  return { measured, from, to: look() };
}

function figuresOf(
  { measured, from, to }: Counted,
  { cores }: CellParts,
): Omit<
  ServingSample,
  | "round"
  | "opened"
  | "answered"
  | "failed"
  | "openMs"
  | "openCpuMs"
  | "memoryKiB"
  | "processes"
  | "threads"
  | "trouble"
> {
  const wallMs = to.at - from.at;
  const server = to.server - from.server;
  const client = to.client - from.client;
  const latency = (ms: number): number | null =>
    measured.latencyMs.count === 0 ? null : rounded(ms);
  const shared = cores.client.length > 1 || cores.client[0] === cores.server[0];
  const others = (own: number, idle: number, count: number): number =>
    Math.max(0, rounded(1 - (own + idle) / (wallMs * count)));
  const onAll = others(server + client, to.idleServer - from.idleServer, cores.server.length);
  return {
    messages: measured.messages,
    elapsedMs: rounded(measured.elapsedMs),
    p50Ms: latency(measured.latencyMs.p50),
    p99Ms: latency(measured.latencyMs.p99),
    maxMs: latency(measured.latencyMs.max),
    cpuMs: rounded(server),
    clientCpuMs: rounded(client),
    othersOnServer: shared
      ? onAll
      : others(server, to.idleServer - from.idleServer, cores.server.length),
    othersOnClient: shared
      ? onAll
      : others(client, to.idleClient - from.idleClient, cores.client.length),
    interruptions: {
      server: to.interruptions.server - from.interruptions.server,
      client: to.interruptions.client - from.interruptions.client,
    },
    mismatches: measured.mismatches,
  };
}

/** Waits so long, or until the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const aborted = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", aborted);
      resolve();
    }, ms);
    signal.addEventListener("abort", aborted, { once: true });
  });
}

/** To a thousandth: what is beyond is noise, and a file that people look at. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
