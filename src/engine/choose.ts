import { show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import type { Poller } from "../selectors/poller.ts";
import { EpollPoller } from "../selectors/pollers/epoll-poller.ts";
import { PollPoller } from "../selectors/pollers/poll-poller.ts";
import { SelectPoller } from "../selectors/pollers/select-poller.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { Completions, Engine, EngineName, Trigger } from "./engine.ts";
import { ReadinessEngine } from "./readiness-engine.ts";

/** An engine by name, or `"auto"`: the best that works here. */
export type EngineChoice = EngineName | "auto";

/** Every engine, the best first. */
export const ENGINES: readonly EngineName[] = ["epoll", "poll", "select"];

const POLLERS: Readonly<Record<EngineName, (kernel: Kernel) => Poller>> = {
  epoll: (kernel) => new EpollPoller(kernel),
  poll: (kernel) => new PollPoller(kernel),
  select: (kernel) => new SelectPoller(kernel),
};

/** Whether an engine works here, found by trying. */
export interface EngineReport {
  readonly name: EngineName;
  readonly works: boolean;
  /** Why it does not, in one sentence. */
  readonly reason?: string;
}

/** Tries every engine, the best first. */
export function probeEngines(kernel: Kernel): EngineReport[] {
  return ENGINES.map((name) => {
    try {
      POLLERS[name](kernel).close();
      return { name, works: true };
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      return { name, works: false, reason: error.hint ?? error.message };
    }
  });
}

/** Which engine and how it is to report. */
export interface EngineOptions {
  readonly engine?: EngineChoice | undefined;
  readonly trigger?: Trigger | undefined;
}

/**
 * The engine that is asked for; for `"auto"` the best that works here.
 *
 * @throws TypeError `ERR_INVALID_OPTION` for a name or trigger that there is not, or an edge trigger
 * where only epoll has it; SysError of its first call when the engine does not work here.
 */
export function makeEngine(
  kernel: Kernel,
  { engine = "auto", trigger = "level" }: EngineOptions,
  completions: Completions,
): Engine {
  if (engine !== "auto" && !ENGINES.includes(engine)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use the engine ${show(engine)}: give "auto", ${ENGINES.map(show).join(", ")}`,
    );
  }
  if (trigger !== "level" && trigger !== "edge") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use the trigger ${show(trigger)}: give "level" or "edge"`,
    );
  }
  const poller = engine === "auto" ? bestPoller(kernel) : POLLERS[engine](kernel);
  if (trigger === "edge" && !poller.capabilities.edge) {
    poller.close();
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${poller.name} edge-triggered: only epoll can be; leave trigger at "level"`,
    );
  }
  return new ReadinessEngine(kernel, poller, trigger, completions);
}

function bestPoller(kernel: Kernel): Poller {
  let failure: unknown;
  for (const name of ENGINES) {
    try {
      return POLLERS[name](kernel);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}
