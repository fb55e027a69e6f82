/** The values of a scenario that make the least difference. */
import type { PeerPlan, ProgramOptions, Scenario, Step } from "./scenario.ts";

/** A peer that does nothing. */
export const PLAIN_PEER: PeerPlan = {
  startMs: 0,
  latencyMs: 0,
  mode: "echo",
  length: 1,
  piece: 70_000,
  delayMs: 0,
  reading: { startMs: 0, chunk: 65_536, everyMs: 0 },
  bufferBytes: 0,
  steps: [],
  again: 0,
};

/** The defaults of the library. */
export const PLAIN_OPTIONS: ProgramOptions = {
  zeroCopy: false,
  highWaterBytes: 0,
  maxPendingBytes: 0,
  idleTimeoutMs: 0,
  maxConnections: 0,
  bufferBytes: 0,
  handlesEnd: false,
};

/** Everything of a scenario but its program and its peers. */
export const PLAIN: Omit<Scenario, "program" | "peers" | "pool"> = {
  drive: "run",
  isUnix: false,
  options: PLAIN_OPTIONS,
  faults: {},
  failsEarly: false,
  slowOneIn: 0,
  slowMs: 1,
  takenOneIn: 0,
  keptOneIn: 0,
  descriptors: 1024,
  stopMs: 0,
  graceMs: 10_000,
  restartMs: 0,
  shutMs: 0,
  usesFetch: false,
  calmMs: 50,
};

/** A peer that behaves well, and is served when there are no more faults. */
export function probeOf(steps: readonly Step[]): PeerPlan {
  return { ...PLAIN_PEER, length: 0, piece: 0, steps };
}
