import type { Suite } from "../../../../test/support/suite.ts";
import { kernel } from "../../src/sys/open.ts";
import { callbackCases } from "./callbacks.ts";
import { connectingCases } from "./connecting.ts";
import { datagramCases } from "./datagrams.ts";
import { endingCases } from "./ending.ts";
import { enteringCases } from "./entering.ts";
import { handedOverCases } from "./handed-over.ts";
import { lifeCases } from "./life.ts";
import { limitCases } from "./limits.ts";
import { misuseCases } from "./misuse.ts";
import { proxyProtocolCases } from "./proxy-protocol.ts";
import type { Variant } from "./rig.ts";
import { scarcityCases } from "./scarcity.ts";
import { sendingFilesCases } from "./sending-files.ts";
import { severalAddressesCases } from "./several-addresses.ts";
import { stoppingCases } from "./stopping.ts";
import { timingCases } from "./timing.ts";
import { transferCases } from "./transfer.ts";

export type { Variant } from "./rig.ts";

/** Every variant of a reactor. */
export const VARIANTS: readonly Variant[] = (["hosted", "blocking"] as const).flatMap(
  (mode): Variant[] => [
    { engine: "io_uring", mode },
    { engine: "epoll", trigger: "level", mode },
    { engine: "epoll", trigger: "edge", mode },
    { engine: "poll", trigger: "level", mode },
    { engine: "select", trigger: "level", mode },
  ],
);

/** The suite of the reactor, for every engine, hosted and blocking. */
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
      ...scarcityCases(variant),
      ...timingCases(variant),
      ...misuseCases(variant),
      ...handedOverCases(variant),
      ...proxyProtocolCases(variant),
      ...severalAddressesCases(variant),
      ...datagramCases(variant),
      ...lifeCases(variant),
    ],
  };
}
