/**
 * The client of `polloi load`, which reads windows from standard input as `load.c` does.
 *
 *     node polloi-load.js -t TARGET -c CONNECTIONS
 *
 * Each window opens its own connections. Its CPU time does not include opening them.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { kernel } from "polloi/internal";
import type { LoadReport } from "../../packages/polloi-tools/src/load/index.ts";
import { SingleThreadRun } from "../../packages/polloi-tools/src/load/load.ts";
import { configFrom } from "../../packages/polloi-tools/src/load/options.ts";

const { values } = parseArgs({
  options: { t: { type: "string" }, c: { type: "string" }, e: { type: "string" } },
});
const target = values.t ?? "";
const connections = Number(values.c ?? 50);
const engine = (values.e ?? "auto") as "auto";

/** A report with the names of the benchmark. */
function resultOf({ mismatches, errors, ...report }: LoadReport, p99AsWrkMs: number): object {
  const { user, system } = report.cpuMs;
  const { p50, p90, p99, max } = report.latencyMs;
  return {
    side: "polloi",
    engine: report.engine,
    connections,
    seconds: report.elapsedMs / 1000,
    messages: report.messages,
    bytes: report.bytes,
    compared: 1,
    mismatches,
    lost: report.failed + report.unanswered,
    errors,
    connectMs: report.openMs,
    latencyUs: {
      p50: 1000 * p50,
      p90: 1000 * p90,
      p99: 1000 * p99,
      p999: 1000 * report.latencyMs["p99.9"],
      max: 1000 * max,
      p99AsWrk: 1000 * p99AsWrkMs,
    },
    cpuSeconds: (user + system) / 1000,
  };
}

/** Runs a load and returns its result. */
async function run(durationMs: number): Promise<object> {
  const load = new SingleThreadRun(configFrom({ target, connections, durationMs, engine }), kernel);
  const report = await load.finished;
  // wrk assumes that a connection would have sent requests at its average interval.
  const intervalMs = (report.elapsedMs * connections) / Math.max(1, report.messages);
  return resultOf(report, load.statistics.latency.corrected(intervalMs).at(99));
}

console.log(JSON.stringify({ opened: connections }));
for await (const line of createInterface({ input: process.stdin })) {
  const [warmup = 0, seconds = 1] = line.split(" ").map(Number);
  if (warmup > 0) await run(1000 * warmup);
  console.log(JSON.stringify(await run(1000 * seconds)));
}
