import type { EngineName, Trigger } from "../src/engine/engine.ts";

/** The engines that tell of readiness, with each of their triggers. */
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
