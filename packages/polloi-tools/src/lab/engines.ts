/** `polloi lab engines`: one event loop on each of the engines, asked the same by the same client. */
import { type EngineName, probeEngines } from "polloi";
import { FD_SETSIZE, type Kernel } from "polloi/internal";
import type { LabSession } from "../measure/report.ts";
import type { ServingContender, ServingResult, ServingSettings } from "./serving.ts";
import { measureServing } from "./serving-run.ts";

/** What select's server has open beside its connections fits in here; rounded to a number that is read. */
const SELECT_SIZE = 980;

/** The oldest first, as in the other figures. */
const ORDER: readonly EngineName[] = ["select", "poll", "epoll", "io_uring"];

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

/** Measures the engines, or those that are named. */
export function measureEngines(
  kernel: Kernel,
  settings: ServingSettings,
  named: readonly string[] | undefined,
  session: LabSession,
): Promise<ServingResult> {
  const { contenders, skipped } = enginesToCompare(kernel);
  const isNamed = ({ name }: { readonly name: string }): boolean => named?.includes(name) ?? true;
  const { connections } = settings;
  const most = connections.at(-1) ?? 0;
  return measureServing(
    kernel,
    {
      lab: "engines",
      contenders: contenders.filter(isNamed),
      skipped: skipped.filter(isNamed),
      settings,
      // As far as it goes, so that its line does not end at a tenth of it.
      sizesOf: ({ maxFd }) =>
        maxFd === undefined || most <= SELECT_SIZE
          ? connections
          : [...new Set([...connections, SELECT_SIZE])].sort((a, b) => a - b),
    },
    session,
  );
}
