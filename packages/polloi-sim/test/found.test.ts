/** Scenarios in which seeds found a fault of the library, made smaller. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Choices } from "../src/base/choices.ts";
import { PLAIN, PLAIN_PEER } from "../src/simulate/plain.ts";
import { nameOf, simulate, VARIANTS } from "../src/simulate/run.ts";
import type { Scenario } from "../src/simulate/scenario.ts";

const REQUEST = {
  route: "ignore",
  length: 3,
  piece: 10_000,
  delayMs: 20,
  framing: "length",
  bodyLength: 16,
  chunk: 300,
  isHead: false,
  closes: false,
} as const;

const AT_ONCE = { piece: 1_000_000, gapMs: 0 } as const;

/** A scenario, and the decisions of its world; those that follow are 0. */
type Found = readonly [scenario: Scenario, taken: readonly number[]];

const FOUND: Readonly<Record<string, Found>> = {
  "100695: a connection is destroyed while a worker of the ring performs the first of linked sends":
    [
      {
        ...PLAIN,
        program: "http",
        isUnix: true,
        shutMs: 30,
        peers: [
          {
            ...PLAIN_PEER,
            reading: { startMs: 1, chunk: 65_536, everyMs: 7 },
            steps: [
              { do: "request", request: REQUEST, ...AT_ONCE },
              { do: "wait", ms: 1 },
              {
                do: "request",
                request: {
                  ...REQUEST,
                  route: "echo",
                  length: 4095,
                  piece: 70_000,
                  bodyLength: 600_002,
                  chunk: 5000,
                },
                ...AT_ONCE,
              },
            ],
          },
        ],
      },
      [],
    ],
  "175 of datagrams: there is no memory for the buffers of a socket that is open already": [
    {
      ...PLAIN,
      program: "datagrams",
      failsEarly: true,
      faults: { noPages: 3 },
      peers: [PLAIN_PEER],
    },
    [0, 0, 2],
  ],
  "2964 of datagrams: there is no memory to receive again after a pause": [
    {
      ...PLAIN,
      program: "datagrams",
      drive: "hosted",
      faults: { noMemory: 3 },
      peers: [{ ...PLAIN_PEER, mode: "pause", steps: [{ do: "send", length: 1, ...AT_ONCE }] }],
    },
    [0, 0, 0, 2],
  ],
};

for (const [name, [scenario, taken]] of Object.entries(FOUND)) {
  for (const variant of VARIANTS) {
    test(`seed ${name}, on ${nameOf(variant)}`, async () => {
      const { violations } = await simulate(scenario, variant, Choices.replay(taken));
      assert.deepEqual(violations, []);
    });
  }
}
