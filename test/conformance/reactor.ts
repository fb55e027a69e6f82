import { kernel } from "../../src/sys/open.ts";
import type { Suite } from "../suite.ts";
import { callbackCases } from "./reactor/callbacks.ts";
import { connectingCases } from "./reactor/connecting.ts";
import { endingCases } from "./reactor/ending.ts";
import { enteringCases } from "./reactor/entering.ts";
import { handedOverCases } from "./reactor/handed-over.ts";
import { lifeCases } from "./reactor/life.ts";
import { limitCases } from "./reactor/limits.ts";
import { misuseCases } from "./reactor/misuse.ts";
import type { Variant } from "./reactor/rig.ts";
import { sendingFilesCases } from "./reactor/sending-files.ts";
import { stoppingCases } from "./reactor/stopping.ts";
import { timingCases } from "./reactor/timing.ts";
import { transferCases } from "./reactor/transfer.ts";

export type { Variant } from "./reactor/rig.ts";

/** Every way in which a reactor can work. */
export const VARIANTS: readonly Variant[] = (["hosted", "blocking"] as const).flatMap(
  (mode): Variant[] => [
    { engine: "io_uring", mode },
    { engine: "epoll", trigger: "level", mode },
    { engine: "epoll", trigger: "edge", mode },
    { engine: "poll", trigger: "level", mode },
    { engine: "select", trigger: "level", mode },
  ],
);

/** What a reactor must do, whatever its engine and whoever lets it turn. */
export function reactorConformance(variant: Variant): Suite {
  const { engine, trigger, mode } = variant;
  return {
    title: `Reactor conformance: ${engine}, ${trigger === undefined ? "" : `${trigger}-triggered, `}${mode} on ${kernel.runtime}`,
    cases: [
      ...transferCases(variant),
      ...sendingFilesCases(variant),
      ...endingCases(variant),
      ...stoppingCases(variant),
      ...callbackCases(variant),
      ...connectingCases(variant),
      ...enteringCases(variant),
      ...limitCases(variant),
      ...timingCases(variant),
      ...misuseCases(variant),
      ...handedOverCases(variant),
      ...lifeCases(variant),
    ],
  };
}
