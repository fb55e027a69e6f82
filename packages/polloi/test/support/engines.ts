import type { Suite } from "../../../../test/support/suite.ts";
import type { EngineName, Trigger } from "../../src/engine/engine.ts";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import { kernel } from "../../src/sys/open.ts";

/** The engines that report readiness, with each of their triggers. */
export const READINESS_ENGINES = [
  ["epoll", "level"],
  ["epoll", "edge"],
  ["poll", "level"],
  ["select", "level"],
] as const;

/** All engines; that on io_uring has no trigger. */
export const ENGINES: readonly (readonly [EngineName, Trigger | undefined])[] = [
  ["io_uring", undefined],
  ...READINESS_ENGINES,
];

/** Skips a suite of io_uring, with the reason, if io_uring does not work. */
export function whereUringWorks(suite: Suite): Suite {
  const reason = /io_uring/.test(suite.title) ? whyNoUring(kernel) : undefined;
  if (reason === undefined) return suite;
  const skip = `io_uring does not work here: ${reason}`;
  return { title: suite.title, cases: suite.cases.map((it) => ({ ...it, skip })) };
}
