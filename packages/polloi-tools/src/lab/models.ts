/** `polloi lab models`: the five serving models under the same load. */
import { allowedCores, type Kernel } from "polloi/internal";
import { MODELS, type ModelName } from "polloi/models";
import { type Cell, measuredBy } from "../measure/grid.ts";
import { textOf } from "../measure/process-stats.ts";
import type { Lab, LabSession } from "../measure/report.ts";
import { listed, whole } from "../measure/table.ts";
import type { ServingContender, ServingResult, ServingSample, ServingSettings } from "./serving.ts";
import {
  answeredAll,
  costText,
  servingGrid,
  servingReport,
  throughputText,
} from "./serving-report.ts";
import { measureServing } from "./serving-run.ts";

/** The numbers of pre-forked processes: one would be a single event loop. */
const LEAST_PREFORKED = 2;
const MOST_PREFORKED = 16;

/** The five models, the oldest first. */
export function modelsToCompare(kernel: Kernel): ServingContender[] {
  // One core is for the client.
  const cores = allowedCores(kernel).length - 1;
  const children = Math.min(Math.max(LEAST_PREFORKED, cores), MOST_PREFORKED);
  return MODELS.map((model): ServingContender => {
    const starts = model === "process" || model === "thread" ? { starts: model } : {};
    const input = { model, ...(model === "prefork" ? { children } : {}) };
    return { name: model, label: model, input, ...starts };
  });
}

/** Measures all models, or those in `names`. */
export function measureModels(
  kernel: Kernel,
  settings: ServingSettings,
  names: readonly string[] | undefined,
  session: LabSession,
): Promise<ServingResult> {
  const contenders = modelsToCompare(kernel).filter(({ name }) => names?.includes(name) ?? true);
  return measureServing(
    kernel,
    {
      lab: "models",
      contenders,
      skipped: [],
      settings,
      sizesOf: () => settings.connections,
      absent: ({ name }, connections) => whyNotServed(name as ModelName, connections),
    },
    session,
  );
}

/** The blocking model serves one connection, and the backlog holds a limited number of others. */
function whyNotServed(model: ModelName, connections: number): string | undefined {
  const most = Number(textOf("/proc/sys/net/core/somaxconn"));
  if (model !== "blocking" || most === 0 || connections <= most) return undefined;
  return `one is served and the others wait in the backlog, which holds ${most} (net.core.somaxconn)`;
}

/** The report of a comparison of the models. */
export const modelsLab: Lab<ServingResult> = {
  name: "models",
  format: 1,
  report: (result) =>
    servingReport(result, {
      title: "polloi lab models: five serving models",
      findings: findings(result),
      method: [
        `One echo handler in five serving models: one client at a time, a process per connection, a thread per connection, pre-forked processes with an event loop each, one event loop. Messages of ${result.settings.sizeBytes} bytes over loopback TCP.`,
        "The blocking model serves a client until it disconnects, and these clients stay. With more than one connection its figures are those of the one connection that it serves; the others wait.",
      ],
      dashed: new Set(["prefork"]),
    }),
};

/** Three sentences: throughput, the cost of a connection, and which connections were not answered. */
function findings(result: ServingResult): string[] {
  const memory = costText(result, "memory");
  const opening = costText(result, "opening");
  const costs = [
    memory && `Memory per connection: ${memory}`,
    opening && `CPU time to set up a connection: ${opening}`,
  ].filter((text) => text !== undefined);
  return [
    throughputText(result),
    costs.length === 0 ? undefined : `${costs.join(". ")}.`,
    answeredText(result),
  ].filter((line) => line !== undefined);
}

/** How many connections each model answered, in its worst round. */
function answeredText(result: ServingResult): string | undefined {
  const grid = servingGrid(result);
  const measured = grid.cells.filter(({ samples }) => samples.length > 0);
  if (measured.length === 0) return undefined;
  const models = grid.contenders.map(({ name, label }) => {
    const cells = measuredBy(grid, name);
    return { label, cells, partial: cells.filter((cell) => !answeredAll(cell)) };
  });
  const partial = models.filter((each) => each.partial.length > 0);
  if (partial.length === 0) {
    return `Every model answered every connection, up to ${whole(Math.max(...measured.map(({ at }) => at)))}.`;
  }
  const texts = partial.map((each) => `${each.label} ${listed(each.partial.map(fewestText))}`);
  const others = models.filter((each) => each.cells.length > 0 && each.partial.length === 0);
  if (others.length > 0) texts.push(`${listed(others.map(({ label }) => label))} all`);
  return `Answered connections: ${texts.join("; ")}.`;
}

function fewestText({ samples, at }: Cell<ServingSample>): string {
  return `${whole(Math.min(...samples.map(({ answered }) => answered)))} of ${whole(at)}`;
}
