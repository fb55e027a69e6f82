/** What is looked at in a comparison of servers, and which figures are to be doubted. */
import type { Grid, GridCell, Measure } from "../measure/grid.ts";
import { threeFigures, whole } from "../measure/table.ts";
import type { ServingResult, ServingSample } from "./serving.ts";

/** Others took more than this of a core that was to be free: somebody else ran there. */
const OTHERS = 0.1;
/** A core that is used by more than this is full. */
const FULL = 0.9;
/** So much memory a runtime's heap and compiler take or give back by themselves: less is not told. */
const LEAST_KIB = 1024;
/** CPU time of a whole cell below which it is that of being asked, more than that of connections. */
const LEAST_CPU_US = 2000;

/** A cell of a comparison of servers. */
export type ServingGridCell = GridCell<ServingSample>;

/** The measures of a comparison of servers, by what they are called in its JSON. */
export type ServingMeasureName = "throughput" | "p50" | "p99" | "cpu" | "memory" | "opening";

/** Whether somebody else ran on the server's cores or on the client's. */
export function isDisturbed({ othersOnServer, othersOnClient }: ServingSample): boolean {
  return Math.max(othersOnServer, othersOnClient) > OTHERS;
}

/** Whether the client, and not the server, was what had no more to give. */
export function isClientBound(
  { cpuMs, clientCpuMs, elapsedMs }: ServingSample,
  serverCores: number,
): boolean {
  return clientCpuMs > FULL * elapsedMs && cpuMs < FULL * elapsedMs * serverCores;
}

/** Whether every connection was answered. */
export function answeredAll({ samples, at }: ServingGridCell): boolean {
  return samples.length > 0 && samples.every(({ answered }) => answered >= at);
}

/** Whether this is so of half of a cell's rounds or more. */
export function mostly(cell: ServingGridCell, so: (sample: ServingSample) => boolean): boolean {
  const { samples } = cell;
  return samples.length > 0 && 2 * samples.filter(so).length >= samples.length;
}

/** The signs behind figures, and what they mean. */
export const MARKS: readonly (readonly [sign: string, meaning: string])[] = [
  ["†", "not every connection was answered: the figure is of those that were"],
  [
    "~",
    "in half of its rounds or more others took over a tenth of the server's cores or the client's",
  ],
  [
    "*",
    "in half of its rounds or more the client had no more to give, and the server had: it may be faster",
  ],
];

/** What a sentence that compares adds to figures with these marks. */
export const DOUBTS: readonly (readonly [sign: string, doubt: string])[] = [
  ["~", "others ran on these cores meanwhile (~), so take no order from it"],
  ["*", "the client was the limit (*), so those it could not fill may be faster than they look"],
];

/** A result as a grid. */
export function servingGrid({ contenders, cells }: ServingResult): Grid<ServingSample> {
  return { of: "connections", contenders, cells };
}

/** What may be looked at. */
export function servingMeasures({
  cores,
}: Pick<ServingResult, "cores">): Record<ServingMeasureName, Measure<ServingSample>> {
  const disturbed = (cell: ServingGridCell): string =>
    (answeredAll(cell) ? "" : "†") + (mostly(cell, isDisturbed) ? "~" : "");
  const bound = (cell: ServingGridCell): string =>
    mostly(cell, (sample) => isClientBound(sample, cores.server.length)) ? "*" : "";
  const mark = disturbed;
  return {
    throughput: {
      title: "Messages a second",
      unit: "messages a second",
      value: ({ messages, elapsedMs }) => (messages * 1000) / elapsedMs,
      format: whole,
      mark: (cell) => disturbed(cell) + bound(cell),
    },
    p50: {
      title: "Time of half of the answers (p50)",
      unit: "ms",
      value: ({ p50Ms }) => p50Ms ?? undefined,
      format: threeFigures,
      mark,
    },
    p99: {
      title: "Time of the slowest hundredth of the answers (p99)",
      unit: "ms",
      value: ({ p99Ms }) => p99Ms ?? undefined,
      format: threeFigures,
      mark,
    },
    cpu: {
      title: "CPU time of the server for a message",
      unit: "µs",
      value: ({ cpuMs, messages }) => (messages === 0 ? undefined : (cpuMs * 1000) / messages),
      format: threeFigures,
      mark,
    },
    memory: {
      title: "Memory of the server for a connection",
      unit: "KiB",
      value: ({ memoryKiB, opened }) =>
        memoryKiB === null || opened === 0 ? undefined : memoryKiB / opened,
      format: threeFigures,
      least: (at) => LEAST_KIB / at,
      mark: (cell) => (answeredAll(cell) ? "" : "†"),
    },
    opening: {
      title: "CPU time of the server to take a connection up",
      unit: "µs",
      value: ({ openCpuMs, opened }) => (opened === 0 ? undefined : (openCpuMs * 1000) / opened),
      format: threeFigures,
      least: (at) => LEAST_CPU_US / at,
      mark: (cell) => (answeredAll(cell) ? "" : "†"),
    },
  };
}
