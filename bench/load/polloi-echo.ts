/**
 * The load for echo servers without a compiler: polloi's own client, with the flags, the windows and the report of
 * load.c. Each window starts and ends with nothing in flight.
 */
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { kernel } from "polloi/internal";
import { ControlledLoad } from "../../packages/polloi-tools/src/load/controlled-load.ts";
import { cpuMsOf, idleMsOf } from "../../packages/polloi-tools/src/measure/process-stats.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", short: "p" },
    connections: { type: "string", short: "c", default: "50" },
    idle: { type: "string", short: "i", default: "0" },
    size: { type: "string", short: "s", default: "64" },
    depth: { type: "string", short: "n", default: "1" },
    serverPid: { type: "string", short: "P" },
    serverCore: { type: "string", short: "C" },
  },
});
const [connections, idle, sizeBytes, depth, serverPid, serverCore] = [
  values.connections,
  values.idle,
  values.size,
  values.depth,
  values.serverPid,
  values.serverCore,
].map(Number) as [number, number, number, number, number, number];
if (depth !== 1) throw new Error("more than one message in flight needs the load generator in C");

/** Messages that are in flight when sending pauses are answered within this time. */
const DRAIN_MS = 10;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Opens connections and sends one message on each; then they are idle. */
async function open(count: number): Promise<ControlledLoad | undefined> {
  if (count === 0) return undefined;
  const target = `tcp://127.0.0.1:${values.port}`;
  const load = await ControlledLoad.start({ target, connections: count, sizeBytes }, kernel);
  while (!load.isAnswered) await pause(1);
  load.pause();
  return load;
}

const NOTHING = { seconds: 0, messages: 0, mismatches: 0, cpu: 0, server: 0, idle: 0 };
let sums = { ...NOTHING };
/** Of the last window: percentiles cannot be added. */
let latencyMs = { p50: 0, p90: 0, p99: 0, "p99.9": 0, max: 0 };

const begin = performance.now();
const held = await open(idle);
const active = await open(connections);
const connectMs = performance.now() - begin;
const lost = (): number => (held?.counts.failed ?? 0) + (active?.counts.failed ?? 0);

async function run(warmup: number, seconds: number): Promise<void> {
  if (active === undefined) return await pause(1000 * (warmup + seconds));
  active.resume();
  await pause(1000 * warmup);
  active.resetStatistics();
  const cpu = process.cpuUsage();
  const [server, coreIdle] = [cpuMsOf([serverPid]), idleMsOf([serverCore])];
  await pause(1000 * seconds);
  const own = process.cpuUsage(cpu);
  const [serverEnd, idleEnd] = [cpuMsOf([serverPid]), idleMsOf([serverCore])];
  const measured = active.pause();
  await pause(DRAIN_MS);
  latencyMs = measured.latencyMs;
  sums = {
    seconds: sums.seconds + measured.elapsedMs / 1000,
    messages: sums.messages + measured.messages,
    mismatches: sums.mismatches + measured.mismatches,
    cpu: sums.cpu + (own.user + own.system) / 1e6,
    server: sums.server + (serverEnd - server) / 1000,
    idle: sums.idle + (idleEnd - coreIdle) / 1000,
  };
  if (seconds === 0) sums = { ...NOTHING };
}

function report(): object {
  const { p50, p90, p99, "p99.9": p999, max } = latencyMs;
  return {
    side: "polloi",
    engine: "auto",
    ...{ connections, idle, size: sizeBytes, depth },
    seconds: sums.seconds,
    messages: sums.messages,
    bytes: sums.messages * sizeBytes,
    compared: 1,
    mismatches: sums.mismatches,
    lost: lost(),
    connectMs,
    latencyUs: Object.fromEntries(
      Object.entries({ p50, p90, p99, p999, max }).map(([name, ms]) => [name, 1000 * ms]),
    ),
    cpuSeconds: sums.cpu,
    serverCpuSeconds: sums.server,
    coreIdleSeconds: sums.idle,
  };
}

console.log(JSON.stringify({ opened: connections + idle, connectMs }));
for await (const line of createInterface({ input: process.stdin })) {
  const [warmup = 0, seconds = 0] = line.split(" ").map(Number);
  await run(warmup, seconds);
  console.log(JSON.stringify(report()));
}
process.exit(0);
