/** `polloi lab models`: the five ways to serve, asked the same by the same client. */

import { readFileSync } from "node:fs";
import { allowedCores, type Kernel } from "polloi/internal";
import { MODELS, type ModelName } from "polloi/models";
import type { LabSession } from "../measure/report.ts";
import type { ServingContender, ServingResult, ServingSettings } from "./serving.ts";
import { measureServing } from "./serving-run.ts";

/** Fewer than this would be the event loop once more. */
const LEAST_PREFORKED = 2;
const MOST_PREFORKED = 16;

/** The five ways, the oldest first. */
export function waysToServe(kernel: Kernel): ServingContender[] {
  // One core is the client's.
  const cores = allowedCores(kernel).length - 1;
  const children = Math.min(Math.max(LEAST_PREFORKED, cores), MOST_PREFORKED);
  return MODELS.map((model): ServingContender => {
    const starts = model === "process" || model === "thread" ? { starts: model } : {};
    const input = { model, ...(model === "prefork" ? { children } : {}) };
    return { name: model, label: model, input, ...starts };
  });
}

/** Measures the five ways, or those that are named. */
export function measureModels(
  kernel: Kernel,
  settings: ServingSettings,
  named: readonly string[] | undefined,
  session: LabSession,
): Promise<ServingResult> {
  const contenders = waysToServe(kernel).filter(({ name }) => named?.includes(name) ?? true);
  return measureServing(
    kernel,
    {
      lab: "models",
      contenders,
      skipped: [],
      settings,
      sizesOf: () => settings.connections,
      absent: ({ name }, connections) => whyNothingToShow(name as ModelName, connections),
    },
    session,
  );
}

/** Who waits for a way that serves one at a time waits in the backlog, and only so many do. */
function whyNothingToShow(model: ModelName, connections: number): string | undefined {
  if (model !== "blocking") return undefined;
  try {
    const most = Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8"));
    if (connections <= most) return undefined;
    return `one is served and the others wait in the backlog, which holds ${most} (net.core.somaxconn)`;
  } catch {
    return undefined;
  }
}
