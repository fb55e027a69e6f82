import type { Arena } from "../../../polloi/src/sys/arena.ts";
import type { Kernel } from "../../../polloi/src/sys/kernel.ts";
import { Choices } from "../../src/base/choices.ts";
import { VirtualClock } from "../../src/base/clock.ts";
import { Faults } from "../../src/base/faults.ts";
import { World } from "../../src/base/world.ts";
import { Machine } from "../../src/machine/machine.ts";
import { allowedBy } from "./allowed.ts";
import { operationOf } from "./operations/operations.ts";
import { removeTree } from "./operations/paths.ts";
import { pollAll, waitOnce } from "./operations/readiness.ts";
import { enter } from "./operations/uring.ts";
import { type Call, handleOf, type Program } from "./program.ts";
import { type Result, Side } from "./side.ts";

/** A call whose results differ. */
export interface Difference {
  readonly call: Call;
  readonly real: Result;
  readonly simulated: Result;
}

export interface Comparison {
  readonly difference: Difference | undefined;
  /** The number of calls that both sides made. */
  readonly calls: number;
  /** The reasons of the differences that are allowed. */
  readonly allowed: readonly string[];
}

/** All events of poll(2). */
const ALL_EVENTS = 0x3fff;
const MOST_EVENTS = 16;

/**
 * Runs programs on the real kernel and on a simulated one side by side.
 */
export class Comparer {
  readonly #kernel: Kernel;
  readonly #memory: Arena;
  readonly #pause: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  #programs = 0;

  /** @param kernel - The real kernel. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#memory = Side.memoryOf(kernel);
  }

  /**
   * Runs a program until the sides differ.
   *
   * @param settleMs - How long to wait before each call, so that what the real kernel does in the background is done.
   * @param onCall - Called with the results of each call.
   */
  compare(
    { calls }: Program,
    settleMs = 0,
    onCall?: (call: Call, real: Result, simulated: Result) => void,
  ): Comparison {
    const number = this.#programs++;
    this.#memory.u8.fill(0, 0, 8192);
    const real = new Side(this.#kernel, this.#memory, number);
    const machine = new Machine(plainWorld());
    const { kernel } = machine.start();
    const simulated = new Side(kernel, Side.memoryOf(kernel), number, machine.files);
    const allowed: string[] = [];
    let count = 0;
    try {
      for (const call of [...calls, ...endOf(calls)]) {
        if (!call.on.every((handle) => real.knows(handle))) continue;
        if (settleMs > 0) Atomics.wait(this.#pause, 0, 0, settleMs);
        const results = [resultOf(real, call), resultOf(simulated, call)] as const;
        count++;
        onCall?.(call, ...results);
        if (areSame(...results)) continue;
        const rule = allowedBy(call, ...results);
        if (rule === undefined) {
          return {
            difference: { call, real: results[0], simulated: results[1] },
            calls: count,
            allowed,
          };
        }
        allowed.push(rule.why);
        if (rule.ends === true) break;
      }
      return { difference: undefined, calls: count, allowed };
    } finally {
      real.end();
      removeTree(real);
    }
  }
}

function plainWorld(): World {
  const choices = Choices.plain();
  return new World(choices, new Faults(choices), new VirtualClock());
}

/** What every program ends with: all that a program can wait for is compared once more. */
const ENDINGS: Readonly<Record<string, (side: Side, call: Call) => Result>> = {
  "poll all": (side, { on }) => pollAll(side, on, ALL_EVENTS),
  "wait once more": (side, { on }) => waitOnce(side, on[0] ?? 0, MOST_EVENTS),
  "enter once more": (side, { on }) => enter(side, on[0] ?? 0),
};

function endOf(calls: readonly Call[]): Call[] {
  const made = (operation: string) =>
    calls.filter((call) => call.operation === operation).map((call) => handleOf(call, 0));
  let id = 1_000_000;
  const each = (operation: string, handles: readonly number[]): Call[] =>
    handles.map((handle) => ({ id: id++, operation, on: [handle], numbers: [] }));
  const opened = calls.flatMap(({ id: of }) => [0, 1, 2].map((i) => handleOf({ id: of }, i)));
  return [
    ...each("poll all", opened),
    ...each("wait once more", made("epoll_create1")),
    ...each("enter once more", made("io_uring")),
  ];
}

function resultOf(side: Side, call: Call): Result {
  try {
    return (ENDINGS[call.operation] ?? operationOf(call.operation).run)(side, call);
  } catch (error) {
    return [`throws ${(error as Error).message}`];
  }
}

function areSame(a: Result, b: Result): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
