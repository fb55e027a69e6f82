/**
 * polloi's own load as a load of the bench: connects, and then takes windows from stdin as `load.c` does.
 *
 *     node polloi-load.js -t TARGET -c CONNECTIONS
 *
 * Each window has connections of its own, so what they cost to open is not in its CPU time.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { kernel } from "../../packages/polloi/src/sys/open.ts";
import type { LoadReport } from "../../packages/polloi-tools/src/load/index.ts";
import { SingleThreadRun } from "../../packages/polloi-tools/src/load/load.ts";
import { configFrom } from "../../packages/polloi-tools/src/load/options.ts";

const { values } = parseArgs({
  options: { t: { type: "string" }, c: { type: "string" }, e: { type: "string" } },
});
const target = values.t ?? "";
const connections = Number(values.c ?? 50);
const engine = (values.e ?? "auto") as "auto";

/** In the words of the bench. */
function told({ mismatches, errors, ...report }: LoadReport, p99AsWrkMs: number): object {
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

/** As many milliseconds of load, and what came of it. */
async function ask(durationMs: number): Promise<object> {
  const run = new SingleThreadRun(configFrom({ target, connections, durationMs, engine }), kernel);
  const report = await run.finished;
  // wrk takes it that a connection would have asked as often as it did on average.
  const intervalMs = (report.elapsedMs * connections) / Math.max(1, report.messages);
  return told(report, run.statistics.latency.corrected(intervalMs).at(99));
}

console.log(JSON.stringify({ opened: connections }));
for await (const line of createInterface({ input: process.stdin })) {
  const [warmup = 0, seconds = 1] = line.split(" ").map(Number);
  if (warmup > 0) await ask(1000 * warmup);
  console.log(JSON.stringify(await ask(1000 * seconds)));
}
