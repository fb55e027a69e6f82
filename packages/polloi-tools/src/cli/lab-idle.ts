import { kernel } from "polloi/internal";
import { findContenders, type IdleSettings, measureIdle } from "../lab/idle.ts";
import { idleLab } from "../lab/idle-report.ts";
import { type LabFlags, runLab, UsageError } from "./lab.ts";

/** The flags of `polloi lab idle`. */
export interface IdleFlags extends LabFlags {
  readonly active?: number;
  readonly writes?: number;
  readonly sizes?: readonly number[];
  readonly max?: number;
  readonly rounds?: number;
  readonly sample?: number;
  readonly engines?: readonly string[];
  readonly pairs?: boolean;
}

const SIZES = [10, 30, 100, 300, 1000, 3000, 10_000, 15_000];
const QUICK_SIZES = [10, 100, 1000];

/** `polloi lab idle`: the cost of one wake-up beside idle descriptors. @returns The exit code. */
export function labIdle(flags: IdleFlags, version: string): Promise<number> {
  return runLab({
    lab: idleLab,
    flags,
    version,
    measure: async (session) => measureIdle(kernel, settingsFrom(flags), session),
  });
}

function settingsFrom(flags: IdleFlags): IdleSettings {
  const { quick = false, max, engines } = flags;
  checkEngines(engines);
  const usual = quick ? QUICK_SIZES : SIZES;
  const upToMax = max === undefined ? usual : [...SIZES.filter((size) => size < max), max];
  const sizes = flags.sizes ?? upToMax;
  return {
    active: flags.active ?? 1,
    writes: flags.writes ?? 100,
    sizes: [...new Set(sizes)].sort((a, b) => a - b),
    rounds: flags.rounds ?? (quick ? 3 : 7),
    sampleMs: flags.sample ?? (quick ? 5 : 100),
    pairs: flags.pairs === true,
    ...(engines === undefined ? {} : { engines }),
  };
}

function checkEngines(asked: readonly string[] | undefined): void {
  if (asked === undefined) return;
  const { contenders, skipped } = findContenders(kernel);
  const known = contenders.map(({ name }) => name);
  for (const name of asked) {
    const reason = skipped.find((each) => each.name === name)?.reason;
    if (reason !== undefined) throw new UsageError(`${name} does not work here: ${reason}`);
    if (known.includes(name)) continue;
    throw new UsageError(`there is no engine '${name}': choose from ${known.join(", ")}`);
  }
}
