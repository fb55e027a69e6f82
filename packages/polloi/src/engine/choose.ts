import type { NamesOf } from "../base/argument.ts";
import { choiceOf, show, typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { openBestPoller, openPoller, POLLER_NAMES, whyNot } from "../selectors/open-poller.ts";
import type { Kernel } from "../sys/kernel.ts";
import { checkKernel, kernel as defaultKernel } from "../sys/open.ts";
import type { Completions, Engine, EngineName, Trigger } from "./engine.ts";
import { ReadinessEngine } from "./readiness-engine.ts";
import { noteFailure, whyNoUring } from "./try-uring.ts";
import { UringEngine } from "./uring-engine.ts";

/** An engine by name, or `"auto"`: the best that works on this system. */
export type EngineChoice = EngineName | "auto";

/** All engines, the best first. */
export const ENGINES: readonly EngineName[] = ["io_uring", ...POLLER_NAMES];

/** Whether an engine works on this system, found by trying. */
export interface EngineReport {
  readonly name: EngineName;
  readonly works: boolean;
  /** The reason why it does not, in one sentence. */
  readonly reason?: string;
}

/** Tries every engine, in the order in which `"auto"` prefers them. */
export function probeEngines(kernel: Kernel = defaultKernel): EngineReport[] {
  checkKernel(kernel);
  return ENGINES.map((name) => {
    const reason = name === "io_uring" ? whyNoUring(kernel) : whyNot(name, kernel);
    return reason === undefined ? { name, works: true } : { name, works: false, reason };
  });
}

/** Which engine to use, and its trigger. */
export interface EngineOptions {
  /** Default `"auto"`. */
  readonly engine?: EngineChoice | undefined;
  /** Of epoll. Default `"edge"`, with which the kernel reports a change only once. poll and select are level-triggered. */
  readonly trigger?: Trigger | undefined;
}

export const ENGINE_OPTIONS: NamesOf<EngineOptions> = { engine: true, trigger: true };

/**
 * Checks the names of an engine and a trigger.
 *
 * @throws TypeError `ERR_INVALID_OPTION`
 */
export function checkEngine({ engine = "auto", trigger }: EngineOptions): void {
  if (engine !== "auto" && !ENGINES.includes(engine)) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use the engine ${show(engine)}: give ${choiceOf(["auto", ...ENGINES])}`,
    );
  }
  if (trigger !== undefined && trigger !== "level" && trigger !== "edge") {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use the trigger ${show(trigger)}: give "level" or "edge"`,
    );
  }
}

/**
 * Makes the engine that is asked for; for `"auto"` the best that works on this system.
 *
 * @throws TypeError `ERR_INVALID_OPTION` for an unknown name or trigger, or for an edge trigger with another
 * engine than epoll; SysError of its first call when the engine does not work on this system.
 */
export function makeEngine(
  kernel: Kernel,
  options: EngineOptions,
  completions: Completions,
): Engine {
  checkEngine(options);
  const { engine = "auto", trigger } = options;
  if (engine === "io_uring") return makeUring(kernel, trigger, completions);
  // Only the readiness engines have a trigger.
  if (engine === "auto" && trigger === undefined && whyNoUring(kernel) === undefined) {
    try {
      return new UringEngine(kernel, completions);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      noteFailure(kernel, error);
    }
  }
  const poller = engine === "auto" ? openBestPoller(kernel).poller : openPoller(engine, kernel);
  if (trigger === "edge" && !poller.capabilities.edge) {
    poller.close();
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use ${poller.name} edge-triggered: only epoll can be; leave trigger at "level"`,
    );
  }
  const best = poller.capabilities.edge ? "edge" : "level";
  try {
    return new ReadinessEngine(kernel, poller, trigger ?? best, completions);
  } catch (error) {
    poller.close();
    throw error;
  }
}

function makeUring(
  kernel: Kernel,
  trigger: Trigger | undefined,
  completions: Completions,
): UringEngine {
  if (trigger !== undefined) {
    throw typeError(
      "ERR_INVALID_OPTION",
      `Cannot use io_uring ${trigger}-triggered: it has no trigger; leave it out`,
    );
  }
  try {
    return new UringEngine(kernel, completions);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const hint = noteFailure(kernel, error);
    throw new SysError(error.syscall, error.errno, { hint });
  }
}
