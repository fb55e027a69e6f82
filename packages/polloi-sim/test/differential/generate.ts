import { Choices } from "../../src/base/choices.ts";
import { OPERATIONS } from "./operations/operations.ts";
import { type Call, type Operation, type Program, Sketch } from "./program.ts";

const SHORTEST = 5;
const LONGEST = 50;
/** The most operations that are drawn for one call, when there is nothing to make them on. */
const DRAWS = 8;
/** The calls that open something, of which a program begins with some. */
const OPENING: readonly string[] = [
  "socketpair",
  "tcp connection",
  "pipe",
  "socket",
  "eventfd",
  "epoll_create1",
  "io_uring",
];

const BEGINNINGS: readonly Operation[] = OPERATIONS.filter(({ name }) => OPENING.includes(name));

/** Makes the program of a seed. */
export function programOf(seed: number): Program {
  const choices = Choices.seeded(seed);
  const sketch = new Sketch(choices);
  const calls: Call[] = [];
  const add = (operations: readonly Operation[]): void => {
    for (let draw = 0; draw < DRAWS; draw++) {
      const operation = drawn(operations, choices);
      const chosen = operation.choose(sketch);
      if (chosen === undefined) continue;
      calls.push(sketch.add(operation.name, chosen));
      return;
    }
  };
  for (let left = choices.between(1, 4); left > 0; left--) add(BEGINNINGS);
  for (let left = choices.between(SHORTEST, LONGEST); left > 0; left--) add(OPERATIONS);
  return { seed, calls };
}

const TOTALS: Map<readonly Operation[], number> = new Map();

/** One of `operations`, by their weights. */
function drawn(operations: readonly Operation[], choices: Choices): Operation {
  let total = TOTALS.get(operations);
  if (total === undefined) {
    total = operations.reduce((sum, { weight }) => sum + weight, 0);
    TOTALS.set(operations, total);
  }
  let at = choices.below(total);
  for (const operation of operations) {
    at -= operation.weight;
    if (at < 0) return operation;
  }
  return operations[0] as Operation;
}
