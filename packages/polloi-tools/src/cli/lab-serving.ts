import { kernel } from "polloi/internal";
import { enginesLab, enginesToCompare, measureEngines } from "../lab/engines.ts";
import { measureModels, modelsLab, modelsToCompare } from "../lab/models.ts";
import type { ServingSettings } from "../lab/serving.ts";
import { type LabFlags, runLab, UsageError } from "./lab.ts";

/** The flags of the labs that compare servers. */
export interface ServingFlags extends LabFlags {
  readonly connections?: readonly number[];
  readonly rounds?: number;
  readonly cell?: number;
  readonly patience?: number;
  readonly limit?: number;
  readonly size?: number;
  /** `lab models`. */
  readonly models?: readonly string[];
  /** `lab engines`. */
  readonly engines?: readonly string[];
}

const CONNECTIONS = [1, 10, 100, 1000, 10_000];
const QUICK_CONNECTIONS = [1, 10, 100];

/** `polloi lab models`: the five ways to serve, compared. @returns The exit code. */
export function labModels(flags: ServingFlags, version: string): Promise<number> {
  return runLab({
    lab: modelsLab,
    flags,
    version,
    measure: async (session) => {
      const known = modelsToCompare(kernel).map(({ name }) => name);
      for (const name of flags.models ?? []) {
        if (known.includes(name)) continue;
        throw new UsageError(`there is no model '${name}': choose from ${known.join(", ")}`);
      }
      return measureModels(kernel, settingsFrom(flags), flags.models, session);
    },
  });
}

/** `polloi lab engines`: one event loop on each of the engines, compared. @returns The exit code. */
export function labEngines(flags: ServingFlags, version: string): Promise<number> {
  return runLab({
    lab: enginesLab,
    flags,
    version,
    measure: async (session) => {
      const { contenders, skipped } = enginesToCompare(kernel);
      const known = contenders.map(({ name }) => name);
      for (const name of flags.engines ?? []) {
        const reason = skipped.find((each) => each.name === name)?.reason;
        if (reason !== undefined) throw new UsageError(`${name} does not work here: ${reason}`);
        if (known.includes(name)) continue;
        throw new UsageError(`there is no engine '${name}': choose from ${known.join(", ")}`);
      }
      return measureEngines(kernel, settingsFrom(flags), flags.engines, session);
    },
  });
}

function settingsFrom(flags: ServingFlags): ServingSettings {
  const { quick = false } = flags;
  const connections = flags.connections ?? (quick ? QUICK_CONNECTIONS : CONNECTIONS);
  return {
    connections: [...new Set(connections)].sort((a, b) => a - b),
    rounds: flags.rounds ?? (quick ? 3 : 5),
    cellMs: flags.cell ?? (quick ? 150 : 800),
    patienceMs: flags.patience ?? (quick ? 5000 : 45_000),
    limitMs: flags.limit ?? (quick ? 50_000 : 345_000),
    sizeBytes: flags.size ?? 64,
  };
}
