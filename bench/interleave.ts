import type { Child } from "../packages/polloi-tools/src/measure/child.ts";
import { orderOf } from "../packages/polloi-tools/src/measure/rounds.ts";
import { portOf, start } from "./children.ts";
import {
  ECHO,
  type Load,
  type LoadGenerator,
  type LoadPlan,
  type LoadResult,
  type MessagePlan,
  openLoad,
  type Turn,
  type Window,
} from "./load.ts";
import type { Machine } from "./machine.ts";

/** The cores and the load generator of a benchmark. */
export interface Bench {
  readonly machine: Pick<Machine, "serverCore" | "pinned">;
  readonly load: LoadGenerator;
}

/** A server that is measured side by side with others. */
export interface ServerPlan {
  readonly command: readonly string[];
  /** Default: the server's core of the machine. */
  readonly cores?: readonly number[];
  /** Its loads, which run at the same time. */
  readonly loads: readonly LoadPlan[];
}

/** A result, or why there is none. */
export type Outcome<T> = T | Error;

/** The cells and conditions of a measurement. */
export interface Measurement {
  /** Seconds for each server, in all of its turns together. */
  readonly seconds: number;
  /** From 1; determines the order. */
  readonly round: number;
  /** Messages/s of each server in an open loop. Default: a closed loop. */
  readonly rates?: readonly number[];
}

/** A running server with connected loads. */
interface LoadedServer {
  readonly server: Child;
  readonly loads: readonly Load[];
}

/** With more connections, one answer for each takes a large part of a short turn. */
const MANY_CONNECTIONS = 1000;
const SHORT_TURN: Turn = { seconds: 0.1, settle: 0.03 };
const LONG_TURN: Turn = { seconds: 0.2, settle: 0.07 };

/**
 * Servers on one core, each with connected loads. One at a time is loaded, in turns of a fraction of a second, in
 * alternating order.
 *
 * @remarks
 * The speed of a shared machine changes by 25 % and more, for a second or two. Servers that are measured one after the
 * other would run at different speeds; in turns they run at the same speed.
 */
export class Interleaved {
  readonly #servers: Outcome<LoadedServer>[] = [];
  readonly #turn: Turn;

  private constructor(turn: Turn) {
    this.#turn = turn;
  }

  /** Starts every server and connects its loads. One that fails has no turns; its result is the error. */
  static async open(bench: Bench, plans: readonly ServerPlan[]): Promise<Interleaved> {
    const connections = plans.flatMap(({ loads }) => loads.map((load) => load.connections));
    const isMany = Math.max(...connections) > MANY_CONNECTIONS;
    const interleaved = new Interleaved(bench.load.turn ?? (isMany ? LONG_TURN : SHORT_TURN));
    for (const plan of plans) interleaved.#servers.push(await outcomeOf(openServer(bench, plan)));
    return interleaved;
  }

  /** The server of a plan. @throws Error when it has failed. */
  server(index: number): Child {
    const loaded = this.#servers[index] as Outcome<LoadedServer>;
    if (loaded instanceof Error) throw loaded;
    return loaded.server;
  }

  /**
   * Loads each server for this time, and resets the counters.
   *
   * @param rate - Messages/s in an open loop. Default: a closed loop.
   */
  async warmUp(seconds: number, rate?: number): Promise<void> {
    const window = { warmup: seconds, seconds: 0, ...(rate === undefined ? {} : { rate }) };
    for (const i of this.#servers.keys()) await this.#run(i, window);
  }

  /** @returns The reports of each server's loads since the last warm-up, or the reason why there are none. */
  async measure({ seconds, round, rates }: Measurement): Promise<Outcome<LoadResult[]>[]> {
    const turns = Math.max(1, Math.round(seconds / this.#turn.seconds));
    const results: Outcome<LoadResult[]>[] = this.#servers.map(() => []);
    for (let turn = 0; turn < turns; turn++) {
      for (const i of orderOf([...results.keys()], round + turn)) {
        const window = { warmup: this.#turn.settle, seconds: seconds / turns };
        results[i] = await this.#run(i, { ...window, rate: rates?.[i] ?? 0 });
      }
    }
    return results.map((result) =>
      result instanceof Error || result.every(({ messages }) => messages > 0)
        ? result
        : new Error("no message came back within the window"),
    );
  }

  async close(): Promise<void> {
    for (const loaded of this.#servers) if (!(loaded instanceof Error)) await stop(loaded);
    this.#servers.length = 0;
  }

  async #run(i: number, window: Window): Promise<Outcome<LoadResult[]>> {
    const loaded = this.#servers[i] as Outcome<LoadedServer>;
    if (loaded instanceof Error) return loaded;
    const outcome = await outcomeOf(Promise.all(loaded.loads.map((load) => load.run(window))));
    if (outcome instanceof Error) {
      await stop(loaded);
      this.#servers[i] = outcome;
    }
    return outcome;
  }
}

/** The cores of servers; undefined where they are not pinned. */
function serverCores({ machine: { pinned, serverCore } }: Bench): readonly number[] | undefined {
  return pinned ? [serverCore] : undefined;
}

function outcomeOf<T>(promise: Promise<T>): Promise<Outcome<T>> {
  return promise.catch((error: Error) => error);
}

async function openServer(
  bench: Bench,
  { command, cores = serverCores(bench), loads: plans }: ServerPlan,
): Promise<LoadedServer> {
  const server = await start(command, cores);
  const loads: Load[] = [];
  try {
    for (const plan of plans) loads.push(await loadOn(bench, server, plan));
  } catch (error) {
    await stop({ server, loads });
    throw error;
  }
  return { server, loads };
}

async function stop({ server, loads }: LoadedServer): Promise<void> {
  await Promise.all([server, ...loads].map((each) => each.stop()));
}

/** Connects a load to a running server. */
export function loadOn(
  { machine: { serverCore }, load }: Bench,
  server: Child,
  plan: LoadPlan,
): Promise<Load> {
  return openLoad(load, { ...plan, port: portOf(server), serverPid: server.pid, serverCore });
}

/** Loads a running server once. @throws Error when no message came back. */
export async function loadServer(
  bench: Bench,
  server: Child,
  { warmup, seconds, rate = 0, ...plan }: LoadPlan & Window,
): Promise<LoadResult> {
  const load = await loadOn(bench, server, plan);
  try {
    const result = await load.run({ warmup, seconds, rate });
    if (result.messages > 0) return result;
    throw new Error("no message came back within the window");
  } finally {
    await load.stop();
  }
}

/** Opens `count` connections that exchange one message and are then idle, until `stop`. */
export function holdConnections(
  bench: Bench,
  server: Child,
  count: number,
  message: MessagePlan = ECHO,
): Promise<Load> {
  return loadOn(bench, server, { ...message, connections: 0, idle: count });
}

/** Starts a server on its core, and stops it after `use`. */
export async function withServer<T>(
  bench: Bench,
  { command }: Pick<ServerPlan, "command">,
  use: (server: Child) => Promise<T>,
): Promise<T> {
  const server = await start(command, serverCores(bench));
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}
