import { execArgv, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import type { Kernel } from "polloi/internal";
import { ControlledLoad, type Measurement } from "../load/controlled-load.ts";
import { Child } from "../measure/child.ts";
import type { Cores } from "../measure/cores.ts";
import {
  availableKiB,
  cpuMsOf,
  idleMsOf,
  involuntarySwitchesOf,
  pssKiBOf,
  threadCount,
} from "../measure/process-stats.ts";
import type { ServingContender, ServingSample, ServingSettings } from "./serving.ts";
import type { ServerInput, ServerLine } from "./serving-program.ts";

/** How long a server is used before its memory is read, so that its code is compiled by then. */
const WARM_UP_MS = 150;
const WARM_UP_CONNECTIONS = 4;
/** Before messages are counted, they are sent for this share of the time, and at least for this long. */
const RAMP_SHARE = 0.25;
const SHORTEST_RAMP_MS = 30;
/** The ramp continues until there are as many answers as connections, but at most this many times as long. */
const LONGEST_RAMP = 8;
/** After CPU times were read, answers are counted for this share of the time, but their latency is not. */
const SETTLE_SHARE = 0.1;
/** The intervals of checks for answers and for free memory. */
const CHECK_MS = 5;
const MEMORY_CHECK_MS = 100;
/** A cell is ended when less memory is available. */
const LEAST_AVAILABLE_KIB: number = 768 * 1024;
/** Messages that are in flight when sending pauses are answered within this time. */
const DRAIN_MS = 20;
/** How long a server may take to start and to answer a question. */
const SERVER_MS = 20_000;

/** The inputs of a cell. */
export interface CellParts {
  readonly kernel: Kernel;
  readonly contender: ServingContender;
  readonly connections: number;
  readonly round: number;
  readonly settings: ServingSettings;
  readonly cores: Cores;
  /** How long it may take until every connection has been answered. */
  readonly openWithinMs: number;
  readonly signal: AbortSignal;
}

/** The cell was ended because the machine was running out of memory. */
export class TooLittleMemory extends Error {}

/** The server cannot hold this many descriptors. */
export class TooManyDescriptors extends Error {}

/**
 * Measures one contender once, with a server of its own: opens the connections and sends one message on each; reads
 * the memory while all are idle; then counts messages.
 *
 * @throws ChildFailed, TooLittleMemory, TooManyDescriptors; the reason of the signal when it is aborted.
 */
export async function measureCell(parts: CellParts): Promise<ServingSample> {
  const { kernel, contender, connections, cores, signal } = parts;
  const input = { ...contender.input, connections };
  const pinned = cores.unpinned === null || cores.client.length === 1 ? cores.server : undefined;
  await using server = await MeasuredServer.start(kernel, input, pinned);
  const { maxFd } = contender;
  if (maxFd !== undefined && server.descriptors + connections > maxFd) {
    throw new TooManyDescriptors(
      `${contender.label} holds descriptors up to ${maxFd}, and its server has ${server.descriptors} without connections`,
    );
  }
  // A thread that has served a connection would be reused, at no cost.
  if (contender.starts !== "thread") await warmUp(parts, server);
  const before = await server.pids({ collect: true });
  const memoryBefore = pssKiBOf(before);
  const cpuBefore = cpuMsOf(before);
  using load = await openLoad(parts, server, connections);
  const openMs = await answeredOnce(load, parts);
  const pids = await server.pids();
  const openCpuMs = cpuMsOf(pids) - cpuBefore;
  await pause(DRAIN_MS, signal);
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

function openLoad(
  { kernel, settings }: CellParts,
  server: MeasuredServer,
  connections: number,
): Promise<ControlledLoad> {
  const target = `tcp://127.0.0.1:${server.port}`;
  return ControlledLoad.start({ target, connections, sizeBytes: settings.sizeBytes }, kernel);
}

async function warmUp(parts: CellParts, server: MeasuredServer): Promise<void> {
  const { contender, signal, settings } = parts;
  // The blocking model serves one connection, and a process serves only one: there one connection is enough.
  const several = contender.input.model === "event" || contender.input.model === "prefork";
  const forMs = Math.min(WARM_UP_MS, settings.cellMs);
  {
    using load = await openLoad(parts, server, several ? WARM_UP_CONNECTIONS : 1);
    await answeredOnce(load, parts);
    load.resume();
    await pause(forMs, signal);
    load.pause();
  }
  // Until the process that served it has exited.
  for (let i = 0; i < 100 && contender.starts === "process"; i++) {
    if ((await server.pids()).length === 1) break;
    await pause(CHECK_MS, signal);
  }
}

/** @returns The time until every connection was answered, or until the time limit. */
async function answeredOnce(
  load: ControlledLoad,
  { openWithinMs, signal }: CellParts,
): Promise<number> {
  const begin = performance.now();
  let checkedAt = begin;
  for (;;) {
    const now = performance.now();
    if (load.isAnswered || now - begin >= openWithinMs) return now - begin;
    if (now - checkedAt > MEMORY_CHECK_MS) {
      checkedAt = now;
      const free = availableKiB();
      if (free !== null && free < LEAST_AVAILABLE_KIB) {
        throw new TooLittleMemory(
          `ended with ${Math.round(free / 1024)} MiB of memory left, before the machine starts to swap`,
        );
      }
    }
    await pause(CHECK_MS, signal);
  }
}

/** CPU times of server and client at one moment. */
interface CpuTimes {
  readonly at: number;
  readonly server: number;
  readonly client: number;
  readonly idleServer: number;
  readonly idleClient: number;
  readonly interruptions: { readonly server: number; readonly client: number };
}

interface Counted {
  readonly measured: Measurement;
  readonly from: CpuTimes;
  readonly to: CpuTimes;
}

async function count(
  load: ControlledLoad,
  pids: readonly number[],
  { settings, cores, signal }: CellParts,
): Promise<Counted> {
  const read = (): CpuTimes => {
    const { user, system } = process.cpuUsage();
    return {
      at: performance.now(),
      server: cpuMsOf(pids),
      client: (user + system) / 1000,
      idleServer: idleMsOf(cores.server),
      idleClient: idleMsOf(cores.client),
      interruptions: {
        server: involuntarySwitchesOf(pids),
        client: process.resourceUsage().involuntaryContextSwitches,
      },
    };
  };
  load.resume();
  load.resetStatistics();
  const rampMs = Math.max(SHORTEST_RAMP_MS, settings.cellMs * RAMP_SHARE);
  await pause(rampMs, signal);
  // With thousands of connections it takes longer until each has been answered.
  const until = performance.now() + LONGEST_RAMP * rampMs;
  while (load.messages < load.counts.opened && performance.now() < until) {
    await pause(CHECK_MS, signal);
  }
  const from = read();
  load.resetStatistics();
  // Answers that arrived while this thread read CPU times were not delayed by the server.
  await pause(settings.cellMs * SETTLE_SHARE, signal);
  load.resetLatencies();
  await pause(settings.cellMs * (1 - SETTLE_SHARE), signal);
  const measured = load.pause();
  return { measured, from, to: read() };
}

type CountedFigures = Pick<
  ServingSample,
  | ("messages" | "elapsedMs" | "p50Ms" | "p99Ms" | "maxMs" | "cpuMs" | "clientCpuMs")
  | ("othersOnServer" | "othersOnClient" | "interruptions" | "mismatches")
>;

function figuresOf({ measured, from, to }: Counted, { cores }: CellParts): CountedFigures {
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

/** The server of a cell, in a process of its own. */
class MeasuredServer implements AsyncDisposable {
  readonly #child: Child;
  /** The first error that it reported. */
  readonly #trouble: { first?: string };

  private constructor(child: Child, trouble: { first?: string }) {
    this.#child = child;
    this.#trouble = trouble;
  }

  static async start(
    kernel: Kernel,
    input: ServerInput,
    cores: readonly number[] | undefined,
  ): Promise<MeasuredServer> {
    const program = fileURLToPath(new URL("./serving-program.js", import.meta.url));
    const flags = kernel.runtime === "deno" ? ["run", "--allow-all"] : execArgv;
    const trouble: { first?: string } = {};
    const child = await Child.start({
      kernel,
      cores,
      command: [execPath, ...flags, program, JSON.stringify(input)],
      readyMs: SERVER_MS,
      notice: (line) => {
        if (typeof line.trouble !== "string") return false;
        trouble.first ??= line.trouble;
        return true;
      },
    });
    return new MeasuredServer(child, trouble);
  }

  get port(): number {
    return Number(this.#child.first.port);
  }

  /** The descriptors that it has open without connections; the kernel assigns the lowest that is free. */
  get descriptors(): number {
    return Number(this.#child.first.descriptors);
  }

  get trouble(): string | undefined {
    return this.#trouble.first;
  }

  /** The ids of its processes, the main one first. @param collect - Whether it collects garbage before. */
  async pids({ collect = false }: { readonly collect?: boolean } = {}): Promise<readonly number[]> {
    const line = await this.#child.ask(collect ? "collect" : "pids", SERVER_MS);
    return (line as Extract<ServerLine, { readonly pids: unknown }>).pids;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

/** Waits for this long, or until the signal is aborted. */
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

/** Rounded to a thousandth: the rest is noise. */
function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
