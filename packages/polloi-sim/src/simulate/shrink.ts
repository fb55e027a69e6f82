import { Choices } from "../base/choices.ts";
import type { FaultKind } from "../base/faults.ts";
import type { Violation } from "./checks/report.ts";
import { PLAIN, PLAIN_OPTIONS, PLAIN_PEER } from "./plain.ts";
import { HEALTHY, type PoolPlan } from "./pool/plan.ts";
import { type Result, simulate, type Variant } from "./run.ts";
import type { PeerPlan, Scenario, Step } from "./scenario.ts";
import { worldOf } from "./seeds.ts";

/** A scenario that fails on an engine with these decisions of the world. */
export interface Failing {
  readonly scenario: Scenario;
  readonly taken: readonly number[];
  readonly violations: readonly Violation[];
}

/** The most runs of one shrinking. */
const MOST_RUNS = 4000;
/** A smaller scenario makes other decisions: it is tried with as many worlds. */
const WORLDS = 4;

/**
 * Makes a failing scenario smaller while the same rule is violated: fewer peers, fewer steps, fewer faults, smaller
 * numbers; then fewer and smaller decisions of the world.
 */
export async function shrink(
  scenario: Scenario,
  variant: Variant,
  seed: number,
): Promise<Failing | undefined> {
  const shrinking = new Shrinking(variant, seed);
  const first = await shrinking.fails(scenario, undefined);
  return first === undefined ? undefined : shrinking.smallest(first);
}

class Shrinking {
  readonly #variant: Variant;
  readonly #seed: number;
  #runs = 0;

  constructor(variant: Variant, seed: number) {
    this.#variant = variant;
    this.#seed = seed;
  }

  async smallest(failing: Failing): Promise<Failing> {
    let best = failing;
    for (;;) {
      const smaller = await this.#pass(best);
      if (smaller === undefined) break;
      best = smaller;
    }
    return this.#decisions(best);
  }

  /** Runs a scenario. @param rule - The rule that it must violate; undefined for any. */
  async fails(scenario: Scenario, rule: string | undefined): Promise<Failing | undefined> {
    for (let world = 0; world < WORLDS; world++) {
      // The first world is that of the seed.
      const failing = await this.#run(scenario, worldOf(this.#seed + world * 0x1000_0000), rule);
      if (failing !== undefined) return failing;
      if (rule === undefined) return undefined;
    }
    return undefined;
  }

  async #run(
    scenario: Scenario,
    choices: Choices,
    rule: string | undefined,
  ): Promise<Failing | undefined> {
    this.#runs++;
    const { violations, taken }: Result = await simulate(scenario, this.#variant, choices);
    const found = rule === undefined ? violations[0] : violations.find((it) => it.rule === rule);
    return found === undefined ? undefined : { scenario, taken: [...taken], violations };
  }

  /** Tries every way to make the scenario smaller once. @returns undefined when none fails any more. */
  async #pass(failing: Failing): Promise<Failing | undefined> {
    const rule = failing.violations[0]?.rule;
    let best = failing;
    let isSmaller = false;
    for (const smaller of SMALLER) {
      // What has made it smaller once may do so again.
      for (let index = 0; this.#runs < MOST_RUNS; ) {
        const candidate = smaller(best.scenario, index);
        if (candidate === undefined) break;
        const found = candidate === best.scenario ? undefined : await this.fails(candidate, rule);
        if (found === undefined) index++;
        else {
          best = found;
          isSmaller = true;
        }
      }
    }
    return isSmaller ? best : undefined;
  }

  /** Makes the decisions of the world fewer, then smaller. */
  async #decisions(failing: Failing): Promise<Failing> {
    const rule = failing.violations[0]?.rule;
    let best = failing;
    const replay = (taken: readonly number[]) =>
      this.#run(best.scenario, Choices.replay(taken), rule);
    // The decisions of a run that is replayed are the same.
    let low = 0;
    let high = best.taken.length;
    while (low < high && this.#runs < MOST_RUNS) {
      const middle = (low + high) >> 1;
      if ((await replay(best.taken.slice(0, middle))) === undefined) low = middle + 1;
      else high = middle;
    }
    let taken: number[] = best.taken.slice(0, high);
    for (let size = Math.max(1, taken.length >> 1); ; size >>= 1) {
      for (let at = 0; at < taken.length && this.#runs < MOST_RUNS; at += size) {
        if (!taken.slice(at, at + size).some((value) => value !== 0)) continue;
        const plainer = taken.map((value, i) => (i >= at && i < at + size ? 0 : value));
        if ((await replay(plainer)) !== undefined) taken = plainer;
      }
      if (size === 1) break;
    }
    while (taken.at(-1) === 0) taken.pop();
    const found = await replay(taken);
    if (found !== undefined) best = { ...found, taken };
    return best;
  }
}

/** Returns a smaller scenario; itself when there is nothing to make smaller there; undefined after the last. */
type Smaller = (scenario: Scenario, index: number) => Scenario | undefined;

const PLAIN_POOL: Partial<PoolPlan> = {
  children: 1,
  sharing: "exclusive",
  crashLoop: "continue",
  whenUnresponsive: "wait",
  unresponsiveAfterMs: 5000,
  startTimeoutMs: 30_000,
  listens: false,
  stopMs: 0,
  againMs: 0,
};
// Steps, options and faults become fewer one by one.
const { steps: _, ...PLAIN_OF_PEER } = PLAIN_PEER;
const { options: __, faults: ___, ...PLAIN_OF_SCENARIO } = PLAIN;

const SMALLER: readonly Smaller[] = [
  // Without a half of the peers, and without one of them.
  (scenario, index) => {
    const { peers } = scenario;
    if (index > 1) return undefined;
    const half = peers.length >> 1;
    if (half === 0) return scenario;
    return { ...scenario, peers: index === 0 ? peers.slice(0, half) : peers.slice(half) };
  },
  (scenario, index) => {
    const { peers } = scenario;
    if (index >= peers.length) return undefined;
    return peers.length === 1 ? scenario : { ...scenario, peers: without(peers, index) };
  },
  // Without a step.
  (scenario, index) => ofSteps(scenario, index, (steps, at) => without(steps, at)),
  // Without a fault.
  (scenario, index) => {
    const kinds = Object.keys(scenario.faults) as FaultKind[];
    const kind = kinds[index];
    if (kind === undefined) return undefined;
    const { [kind]: _, ...faults } = scenario.faults;
    return { ...scenario, faults };
  },
  // With the plain value of one property.
  (scenario, index) => {
    const smaller = plainer(scenario, PLAIN_OF_SCENARIO, index);
    // Processes cannot wait in the kernel.
    const isHosted = scenario.pool !== undefined && smaller?.drive !== scenario.drive;
    return smaller !== undefined && isHosted ? scenario : smaller;
  },
  (scenario, index) => {
    const options = plainer(scenario.options, PLAIN_OPTIONS, index);
    return options === undefined ? undefined : same(scenario, { options }, scenario.options);
  },
  (scenario, index) => {
    const names = Object.keys(PLAIN_OF_PEER).length;
    const peer = scenario.peers[Math.floor(index / names)];
    if (peer === undefined) return undefined;
    const plain = plainer(peer, PLAIN_OF_PEER, index % names) as PeerPlan;
    if (plain === peer) return scenario;
    return { ...scenario, peers: replaced(scenario.peers, Math.floor(index / names), plain) };
  },
  // With a smaller pool, and with children that do not fail.
  (scenario, index) => {
    const { pool } = scenario;
    const smaller = pool === undefined ? undefined : plainer(pool, PLAIN_POOL, index);
    if (smaller === undefined) return undefined;
    return smaller === pool ? scenario : { ...scenario, pool: smaller };
  },
  (scenario, index) => {
    const { pool } = scenario;
    const life = pool?.lives[index];
    if (pool === undefined || life === undefined) return undefined;
    if (life.failure === "none" && life.startMs === 1) return scenario;
    const lives = replaced(pool.lives, index, HEALTHY);
    return { ...scenario, pool: { ...pool, lives } };
  },
  // With smaller steps.
  (scenario, index) =>
    ofSteps(scenario, index, (steps, at) => {
      const step = steps[at] as Step;
      const smaller = plainStep(step);
      return smaller === step ? steps : replaced(steps, at, smaller);
    }),
  (scenario, index) =>
    ofSteps(scenario, index, (steps, at) => {
      const step = steps[at] as Step;
      if (step.do !== "send" || step.length <= 1) return steps;
      return replaced(steps, at, { ...step, length: step.length >> 1 });
    }),
  (scenario, index) => {
    const peer = scenario.peers[index];
    if (peer === undefined) return undefined;
    if (peer.length <= 1) return scenario;
    return {
      ...scenario,
      peers: replaced(scenario.peers, index, { ...peer, length: peer.length >> 1 }),
    };
  },
];

/** Changes the steps of one peer, counted over all peers. */
function ofSteps(
  scenario: Scenario,
  index: number,
  change: (steps: readonly Step[], at: number) => readonly Step[],
): Scenario | undefined {
  let at = index;
  for (const [number, peer] of scenario.peers.entries()) {
    if (at < peer.steps.length) {
      const steps = change(peer.steps, at);
      if (steps === peer.steps) return scenario;
      return { ...scenario, peers: replaced(scenario.peers, number, { ...peer, steps }) };
    }
    at -= peer.steps.length;
  }
  return undefined;
}

function plainStep(step: Step): Step {
  switch (step.do) {
    case "send":
      if (step.length === 1 && step.gapMs === 0) return step;
      return { do: "send", length: 1, piece: 1_000_000, gapMs: 0 };
    case "request":
    case "garbage":
      if (step.gapMs === 0 && step.piece === 1_000_000) return step;
      return { ...step, piece: 1_000_000, gapMs: 0 };
    case "wait":
      return step.ms <= 1 ? step : { do: "wait", ms: 1 };
    default:
      return step;
  }
}

/** `from` with the plain value of its property `index`; itself when it has that value. */
function plainer<T extends object>(from: T, plain: Partial<T>, index: number): T | undefined {
  const name = Object.keys(plain)[index] as keyof T | undefined;
  if (name === undefined) return undefined;
  const isSame = JSON.stringify(from[name]) === JSON.stringify(plain[name]);
  return isSame ? from : { ...from, [name]: plain[name] };
}

function same(scenario: Scenario, change: Pick<Scenario, "options">, before: object): Scenario {
  return change.options === before ? scenario : { ...scenario, ...change };
}

function without<T>(all: readonly T[], index: number): T[] {
  return all.filter((_, i) => i !== index);
}

function replaced<T>(all: readonly T[], index: number, by: T): T[] {
  return all.map((each, i) => (i === index ? by : each));
}
