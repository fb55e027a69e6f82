import { growthIn } from "../measure/grid.ts";
import type { Lab } from "../measure/report.ts";
import { growthTexts } from "../measure/verdict.ts";
import type { ServingResult } from "./serving.ts";
import { servingGrid, servingMeasures } from "./serving-measures.ts";
import { priceText } from "./serving-price.ts";
import { servingReport } from "./serving-report.ts";
import { speedText } from "./serving-speed.ts";

/** What a comparison of the engines says. */
export const enginesLab: Lab<ServingResult> = {
  name: "engines",
  format: 1,
  report: (result) =>
    servingReport(result, {
      title: "polloi lab engines: one event loop on each engine",
      findings: enginesFindings(result),
      meaning: [
        `The same server, an echo on one event loop, with each engine below it; messages of ${result.settings.sizeBytes} bytes over loopback TCP.`,
        "Every connection is busy here, so a wait finds many of them ready, and engines that look at all of them find something each time. What silent ones cost is another figure: polloi lab idle.",
      ],
      dashed: new Set(["select", "epoll-edge"]),
    }),
};

/** From here up a wait finds more than one connection ready, which is what is compared. */
const FEW = 10;

/** Three sentences from the figures: speed, how CPU time grows, and the price of a connection. */
export function enginesFindings(result: ServingResult): string[] {
  const { cpu } = servingMeasures(result);
  const lines: string[] = [];
  const speed = speedText(result);
  if (speed !== undefined) lines.push(speed);
  const growth = growthTexts(growthIn(servingGrid(result), cpu, FEW), {
    of: "connections",
    what: "the CPU time of a message",
  });
  if (growth.length > 0) lines.push(`${growth.join(". ")}.`);
  const price = priceText(result, "memory");
  if (price !== undefined) lines.push(`Memory for a connection: ${price}.`);
  return lines;
}
