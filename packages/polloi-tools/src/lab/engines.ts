/** `polloi lab engines`: one event loop on each of the engines, under the same load. */
import { type EngineName, probeEngines } from "polloi";
import { FD_SETSIZE, type Kernel } from "polloi/internal";
import { growthIn } from "../measure/grid.ts";
import type { Lab, LabSession } from "../measure/report.ts";
import { growthTexts } from "../measure/verdict.ts";
import type { ServingContender, ServingResult, ServingSettings } from "./serving.ts";
import {
  costText,
  servingGrid,
  servingMeasures,
  servingReport,
  throughputText,
} from "./serving-report.ts";
import { measureServing } from "./serving-run.ts";

/** The most connections of select beside the descriptors that its server has open, rounded down. */
const SELECT_SIZE = 980;

/** The oldest first, as in the other figures. */
const ORDER: readonly EngineName[] = ["select", "poll", "epoll", "io_uring"];

/** With fewer connections a wait finds one of them ready. The growth is that of busier loops. */
const LEAST_CONNECTIONS = 10;

/** The engines that work here, and why the others do not. */
export function enginesToCompare(kernel: Kernel): {
  contenders: ServingContender[];
  skipped: { name: string; reason: string }[];
} {
  const contenders: ServingContender[] = [];
  const skipped: { name: string; reason: string }[] = [];
  const reports = probeEngines(kernel);
  for (const name of ORDER) {
    const report = reports.find((each) => each.name === name);
    if (report === undefined) continue;
    if (!report.works) {
      skipped.push({ name, reason: report.reason ?? "it does not work here" });
      continue;
    }
    const input = { model: "event", engine: name } as const;
    if (name === "epoll") {
      contenders.push(
        { name, label: "epoll, level", input: { ...input, trigger: "level" } },
        { name: "epoll-edge", label: "epoll, edge", input: { ...input, trigger: "edge" } },
      );
    } else {
      const limit = name === "select" ? { maxFd: FD_SETSIZE - 1 } : {};
      contenders.push({ name, label: name, input, ...limit });
    }
  }
  return { contenders, skipped };
}

/** Measures all engines, or those in `names`. */
export function measureEngines(
  kernel: Kernel,
  settings: ServingSettings,
  names: readonly string[] | undefined,
  session: LabSession,
): Promise<ServingResult> {
  const { contenders, skipped } = enginesToCompare(kernel);
  const isNamed = ({ name }: { readonly name: string }): boolean => names?.includes(name) ?? true;
  const { connections } = settings;
  const most = connections.at(-1) ?? 0;
  return measureServing(
    kernel,
    {
      lab: "engines",
      contenders: contenders.filter(isNamed),
      skipped: skipped.filter(isNamed),
      settings,
      // select is measured up to its own limit as well.
      sizesOf: ({ maxFd }) =>
        maxFd === undefined || most <= SELECT_SIZE
          ? connections
          : [...new Set([...connections, SELECT_SIZE])].sort((a, b) => a - b),
    },
    session,
  );
}

/** The report of a comparison of the engines. */
export const enginesLab: Lab<ServingResult> = {
  name: "engines",
  format: 1,
  report: (result) =>
    servingReport(result, {
      title: "polloi lab engines: one event loop on each engine",
      findings: findings(result),
      method: [
        `The same echo server on one event loop, on each engine; messages of ${result.settings.sizeBytes} bytes over loopback TCP.`,
        "Every connection is busy, so a wait finds many of them ready, and engines that check every descriptor find work at each. polloi lab idle measures what idle descriptors cost.",
      ],
      dashed: new Set(["select", "epoll-edge"]),
    }),
};

/** Three sentences: throughput, the growth of CPU time, and the memory of a connection. */
function findings(result: ServingResult): string[] {
  const { cpu } = servingMeasures(result);
  const growth = growthTexts(growthIn(servingGrid(result), cpu.value, LEAST_CONNECTIONS), {
    of: "connections",
    what: "the CPU time of a message",
  });
  const memory = costText(result, "memory");
  return [
    throughputText(result),
    growth.length === 0 ? undefined : `${growth.join(". ")}.`,
    memory && `Memory per connection: ${memory}.`,
  ].filter((line) => line !== undefined);
}
