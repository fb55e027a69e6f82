import { orderOf } from "../packages/polloi-tools/src/measure/rounds.ts";
import type { Bench } from "./echo.ts";
import {
  type Load,
  type LoadOptions,
  type LoadResult,
  openLoad,
  type Turn,
  type Window,
} from "./load.ts";
import { portOf, type Running, start } from "./processes.ts";

/** A server that is to be measured beside others. */
export interface Entry {
  readonly command: readonly string[];
  /** Cores as taskset takes them. Default: the server's of the machine. */
  readonly cores?: string;
  /** Its loads, which run at the same time. */
  readonly loads: readonly Omit<LoadOptions, "port" | "serverPid" | "serverCore">[];
}

/** What came of it, or why nothing did. */
export type Outcome<T> = T | Error;

/** A server that runs, with loads that are connected. */
interface Contestant {
  readonly server: Running;
  readonly loads: readonly Load[];
}

/** What to measure of all. */
export interface Measure {
  /** Of each, in all of its turns together. */
  readonly seconds: number;
  /** From 1; who begins depends on it. */
  readonly round: number;
  /** Messages a second, of each; as many as come back when left out. */
  readonly rates?: readonly number[];
}

/** From so many connections on, one answer for each of them takes much of a short turn. */
const MANY = 1000;

/**
 * Servers that run side by side on one core, each with loads of its own that are connected; one at a
 * time is loaded, in turns of a fraction of a second, to and fro.
 *
 * @remarks
 * What a shared machine gives changes by a quarter and more, and stays so for a second or two. Measured
 * one after the other, two servers would see different machines; in turns they see the same.
 */
export class Field {
  readonly #contestants: Outcome<Contestant>[] = [];
  readonly #turn: Turn;

  private constructor(entries: readonly Entry[], turn: Turn | undefined) {
    const connections = entries.flatMap(({ loads }) => loads.map((load) => load.connections));
    const many = Math.max(...connections) > MANY;
    this.#turn = turn ?? (many ? { seconds: 0.2, settle: 0.07 } : { seconds: 0.1, settle: 0.03 });
  }

  /** Starts every server and connects its loads. One that fails has no turns, and gives its error. */
  static async open(bench: Bench, entries: readonly Entry[]): Promise<Field> {
    const field = new Field(entries, bench.load.turn);
    for (const entry of entries) {
      field.#contestants.push(await outcomeOf(openContestant(bench, entry)));
    }
    return field;
  }

  /** The server of an entry. @throws Error when it has failed. */
  server(index: number): Running {
    const contestant = this.#contestants[index] as Outcome<Contestant>;
    if (contestant instanceof Error) throw contestant;
    return contestant.server;
  }

  /** Loads each for so many seconds, of which nothing is counted, nor of what was before. */
  async warmUp(seconds: number): Promise<void> {
    for (const i of this.#contestants.keys()) await this.#run(i, { warmup: seconds, seconds: 0 });
  }

  /** @returns Of each entry what its loads report, since the last warm-up; or why there is nothing. */
  async measure({ seconds, round, rates }: Measure): Promise<Outcome<LoadResult[]>[]> {
    const turns = Math.max(1, Math.round(seconds / this.#turn.seconds));
    const results: Outcome<LoadResult[]>[] = this.#contestants.map(() => []);
    for (let turn = 0; turn < turns; turn++) {
      for (const i of orderOf([...results.keys()], round + turn)) {
        const window = { warmup: this.#turn.settle, seconds: seconds / turns };
        results[i] = await this.#run(i, { ...window, rate: rates?.[i] ?? 0 });
      }
    }
    return results.map((result) =>
      result instanceof Error || result.every(({ messages }) => messages > 0)
        ? result
        : new Error("not one message came back within the window"),
    );
  }

  /** Ends all of it. */
  async close(): Promise<void> {
    for (const contestant of this.#contestants) {
      if (!(contestant instanceof Error)) await end(contestant);
    }
    this.#contestants.length = 0;
  }

  async #run(i: number, window: Window): Promise<Outcome<LoadResult[]>> {
    const contestant = this.#contestants[i] as Outcome<Contestant>;
    if (contestant instanceof Error) return contestant;
    const loads = contestant.loads.map((load) => load.run(window));
    const outcome = await outcomeOf(Promise.all(loads));
    if (outcome instanceof Error) {
      await end(contestant);
      this.#contestants[i] = outcome;
    }
    return outcome;
  }
}

function outcomeOf<T>(promise: Promise<T>): Promise<Outcome<T>> {
  return promise.catch((error: Error) => error);
}

async function openContestant({ machine, load: side }: Bench, entry: Entry): Promise<Contestant> {
  const { serverCore } = machine;
  const cores = entry.cores ?? (machine.pinned ? `${serverCore}` : undefined);
  const server = await start({ command: entry.command, cores });
  const loads: Load[] = [];
  try {
    for (const options of entry.loads) {
      const where = { port: portOf(server), serverPid: server.pid, serverCore };
      loads.push(await openLoad(side, { ...options, ...where }));
    }
  } catch (error) {
    await end({ server, loads });
    throw error;
  }
  return { server, loads };
}

async function end({ server, loads }: Contestant): Promise<void> {
  await Promise.all([server, ...loads].map((each) => each.stop()));
}
