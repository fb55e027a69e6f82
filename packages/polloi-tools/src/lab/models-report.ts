import { type GridCell, measuredBy } from "../measure/grid.ts";
import type { Lab } from "../measure/report.ts";
import { listed, whole } from "../measure/table.ts";
import type { ServingResult, ServingSample } from "./serving.ts";
import { answeredAll, servingGrid } from "./serving-measures.ts";
import { priceText } from "./serving-price.ts";
import { servingReport } from "./serving-report.ts";
import { speedText } from "./serving-speed.ts";

/** What a comparison of the five ways says. */
export const modelsLab: Lab<ServingResult> = {
  name: "models",
  format: 1,
  report: (result) =>
    servingReport(result, {
      title: "polloi lab models: five ways to serve",
      findings: modelsFindings(result),
      meaning: [
        `One handler, an echo, served in five ways: one client at a time, a process for each connection, a thread for each, pre-forked processes with an event loop each, one event loop. Messages of ${result.settings.sizeBytes} bytes over loopback TCP.`,
        "Who serves one client at a time serves it until it leaves, and these stay: so with more than one connection its figures are those of the one that it answered, and the others waited all the time.",
      ],
      dashed: new Set(["prefork"]),
    }),
};

/** Three sentences from the figures: speed, the price of a connection, and who was not served. */
export function modelsFindings(result: ServingResult): string[] {
  const lines: string[] = [];
  const speed = speedText(result);
  if (speed !== undefined) lines.push(speed);
  const memory = priceText(result, "memory");
  const opening = priceText(result, "opening");
  const prices = [
    ...(memory === undefined ? [] : [`Memory for a connection: ${memory}`]),
    ...(opening === undefined ? [] : [`CPU time to take it up: ${opening}`]),
  ];
  if (prices.length > 0) lines.push(`${prices.join(". ")}.`);
  const served = servedText(result);
  if (served !== undefined) lines.push(served);
  return lines;
}

/** Who answered how many, in the worst case of each. */
function servedText(result: ServingResult): string | undefined {
  const grid = servingGrid(result);
  const measured = grid.cells.filter(({ samples }) => samples.length > 0);
  if (measured.length === 0) return undefined;
  const short = grid.contenders.flatMap(({ name, label }) => {
    const cells = measuredBy(grid, name).filter((cell) => !answeredAll(cell));
    if (cells.length === 0) return [];
    return [`${label} answered ${listed(cells.map(fewestText))}`];
  });
  const others = grid.contenders.filter(({ name }) => {
    const cells = measuredBy(grid, name);
    return cells.length > 0 && cells.every(answeredAll);
  });
  if (short.length === 0) {
    return `Every connection was answered, whichever way, up to ${whole(Math.max(...measured.map(({ at }) => at)))}.`;
  }
  const rest =
    others.length === 0
      ? ""
      : `; ${listed(others.map(({ label }) => label))} answered all of theirs`;
  const text = short.join("; ");
  return `Of the connections that were open, ${text}${rest}.`;
}

function fewestText({ samples, at }: GridCell<ServingSample>): string {
  return `${whole(Math.min(...samples.map(({ answered }) => answered)))} of ${whole(at)}`;
}
