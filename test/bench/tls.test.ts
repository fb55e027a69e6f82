/** The load generator with TLS, and the report of the TLS benchmark. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BODIES, writeBodies } from "../../bench/http-plans.ts";
import { type Bench, loadOn, withServer } from "../../bench/interleave.ts";
import { findTlsLoad, type LoadGenerator, type LoadPlan } from "../../bench/load.ts";
import type { Machine } from "../../bench/machine.ts";
import { compiled, inOut } from "../../bench/places.ts";
import type { Throughput } from "../../bench/throughput.ts";
import { type TlsResult, tlsReport } from "../../bench/tls.ts";
import { TLS_NAMES, takesPart, writeCertificate } from "../../bench/tls-plans.ts";
import { findCompiler } from "../../bench/tools.ts";

function loadOrReason(): LoadGenerator | string {
  try {
    return findTlsLoad({ gcc: findCompiler() }, undefined);
  } catch (error) {
    return (error as Error).message;
  }
}

const load = loadOrReason();
const skip = typeof load === "string" ? load : false;
const PLAN = { connections: 8, idle: 0, size: 64, depth: 1, perConnection: 10 } as const;
const REQUEST = { ...PLAN, path: "/", body: BODIES.hello } as const;

test("every answer is compared over TLS, on kept and on new connections", { skip }, async () => {
  const bench: Bench = { machine: { pinned: false, serverCore: 0 }, load: load as LoadGenerator };
  const cases: readonly (readonly [server: string, plan: LoadPlan])[] = [
    ["node-net", { ...PLAN, size: 16_384 }],
    ["node-http", { ...REQUEST, mode: "http" }],
    ["node-http", { ...REQUEST, mode: "http-churn", life: 1 }],
    ["node-http", { ...REQUEST, mode: "http-churn", life: 1, resume: true }],
  ];
  writeBodies();
  writeCertificate();
  for (const [name, plan] of cases) {
    const command = [process.execPath, compiled(`peers/${name}`), "--tls", inOut("tls")];
    await withServer(bench, { command }, async (server) => {
      const running = await loadOn(bench, server, plan);
      try {
        const { messages, lost, mismatches } = await running.run({ warmup: 0, seconds: 20 });
        assert.deepEqual({ lost, mismatches }, { lost: 0, mismatches: 0 });
        assert.ok(messages >= PLAN.connections * PLAN.perConnection, `${messages} messages`);
      } finally {
        await running.stop();
      }
    });
  }
});

test("goals compare the server's CPU time", () => {
  const sample = (serverCpuUs: number): Throughput[] => [
    {
      ...{ round: 1, messagesPerSecond: 1000, serverBusy: 0.97, coreIdle: 0, loadBusy: 1 },
      ...{ p50Us: 1, p99Us: 1, connectMs: 1, compared: 1, mismatches: 0, lost: 0 },
      ...{ loadEngine: "c epoll", serverCpuUs },
    },
  ];
  const result: TlsResult = {
    ...{ benchmark: "tls", machine: {} as Machine, warnings: [], skipped: [] },
    settings: { rounds: 1, seconds: 1, warmup: 1, idle: 100 },
    idle: [
      { name: "polloi-echo-uring", label: "one", samples: [{ round: 1, bytesPerConnection: 40 }] },
      { name: "node-tls", label: "other", samples: [{ round: 1, bytesPerConnection: 100 }] },
    ],
    cases: [
      {
        ...{ name: "resumed", connections: 16 },
        rows: [
          { name: "polloi-http-uring", label: "one", samples: sample(100) },
          { name: "node-https", label: "other", samples: sample(180) },
        ],
      },
    ],
  };
  const goals = tlsReport(result).goals.map(({ where, values }) => [where, ...values]);
  assert.deepEqual(goals, [
    ["resumed handshakes", 1.8],
    ["100 connections", 0.4],
  ]);
});

test("every server takes part in a case", () => {
  for (const name of TLS_NAMES) {
    const cases = (["https", "echo"] as const).filter((each) => takesPart(name, each));
    assert.equal(cases.length, 1, name);
  }
});
