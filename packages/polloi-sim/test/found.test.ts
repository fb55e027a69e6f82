/** Scenarios in which seeds found a fault of the library, made smaller. No number decides anything in them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Choices } from "../src/base/choices.ts";
import { nameOf, simulate, VARIANTS } from "../src/simulate/run.ts";
import type { Scenario } from "../src/simulate/scenario.ts";

const PLAIN = {
  options: {
    zeroCopy: false,
    highWaterBytes: 0,
    maxPendingBytes: 0,
    idleTimeoutMs: 0,
    maxConnections: 0,
    bufferBytes: 0,
    handlesEnd: false,
  },
  faults: {},
  failsEarly: false,
  calmMs: 50,
  slowOneIn: 0,
  slowMs: 1,
  takenOneIn: 0,
  keptOneIn: 0,
  descriptors: 1024,
  stopMs: 0,
  graceMs: 10_000,
  usesFetch: false,
  shutMs: 0,
  restartMs: 0,
} as const satisfies Partial<Scenario>;

const FOUND: Readonly<Record<string, Scenario>> = {
  "100695: a connection is destroyed while a worker of the ring performs the first of linked sends":
    {
      ...PLAIN,
      program: "http",
      drive: "run",
      isUnix: true,
      shutMs: 30,
      peers: [
        {
          startMs: 0,
          latencyMs: 0,
          mode: "echo",
          length: 1,
          piece: 70_000,
          delayMs: 0,
          reading: { startMs: 1, chunk: 65_536, everyMs: 7 },
          bufferBytes: 0,
          steps: [
            {
              do: "request",
              request: {
                route: "ignore",
                length: 3,
                piece: 10_000,
                delayMs: 20,
                framing: "length",
                bodyLength: 16,
                chunk: 300,
                isHead: false,
                closes: false,
              },
              piece: 1_000_000,
              gapMs: 0,
            },
            { do: "wait", ms: 1 },
            {
              do: "request",
              request: {
                route: "echo",
                length: 4095,
                piece: 70_000,
                delayMs: 20,
                framing: "length",
                bodyLength: 600_002,
                chunk: 5000,
                isHead: false,
                closes: false,
              },
              piece: 1_000_000,
              gapMs: 0,
            },
          ],
          again: 0,
        },
      ],
    },
};

for (const [name, scenario] of Object.entries(FOUND)) {
  for (const variant of VARIANTS) {
    test(`seed ${name}, on ${nameOf(variant)}`, async () => {
      const { violations } = await simulate(scenario, variant, Choices.replay([]));
      assert.deepEqual(violations, []);
    });
  }
}
