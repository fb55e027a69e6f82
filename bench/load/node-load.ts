/**
 * The load side without a compiler: the flags and the report of echo-load.c, over node:net.
 *
 * It costs more per message than a fast server, so it says nothing about one that is faster than it;
 * the bench says so.
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    port: { type: "string", short: "p" },
    host: { type: "string", short: "h", default: "127.0.0.1" },
    mode: { type: "string", short: "m", default: "echo" },
    connections: { type: "string", short: "c", default: "50" },
    idle: { type: "string", short: "i", default: "0" },
    size: { type: "string", short: "s", default: "64" },
    depth: { type: "string", short: "n", default: "1" },
    seconds: { type: "string", short: "d", default: "3" },
    warmup: { type: "string", short: "w", default: "1" },
    serverPid: { type: "string", short: "P", default: "0" },
    serverCore: { type: "string", short: "C", default: "-1" },
  },
});

const CONNECTIONS_PER_ADDRESS = 10_000;
const WAVE = 100;
const TICKS_PER_SECOND = 100;

const size = Number(values.size);
const depth = Number(values.depth);
const batch = Buffer.alloc(size * depth, "the quick brown fox jumps over the lazy dog; ");
const latencies: number[] = [];
let measuring = false;
let messages = 0;
let bytes = 0;
let mismatches = 0;
let lost = 0;
let over = false;

/** The user and system ticks of a process, all threads. */
function processCpu(pid: number): number {
  if (pid <= 0) return 0;
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function coreIdle(core: number): number {
  const line = readFileSync("/proc/stat", "utf8").match(new RegExp(`^cpu${core} (.*)$`, "m"));
  const fields = line?.[1]?.split(" ").map(Number) ?? [];
  return ((fields[3] ?? 0) + (fields[4] ?? 0)) / TICKS_PER_SECOND;
}

interface Sample {
  readonly ms: number;
  readonly cpu: number;
  readonly server: number;
  readonly idle: number;
  readonly messages: number;
  readonly bytes: number;
}

function sample(): Sample {
  const { user, system } = process.cpuUsage();
  return {
    ms: performance.now(),
    cpu: (user + system) / 1e6,
    server: processCpu(Number(values.serverPid)),
    idle: coreIdle(Number(values.serverCore)),
    messages,
    bytes,
  };
}

/** Opens one connection; it is there when its greeting has come back. */
function open(index: number): Promise<Socket> {
  const greeting = batch.subarray(0, Math.min(batch.length, 64));
  return new Promise((resolve, reject) => {
    const localAddress = `127.0.0.${1 + Math.floor(index / CONNECTIONS_PER_ADDRESS)}`;
    const socket = connect({ host: values.host, port: Number(values.port), localAddress });
    let received = 0;
    socket.setNoDelay(true);
    socket.once("error", reject);
    socket.on("data", function greeted(chunk: Buffer) {
      received += chunk.length;
      if (received < greeting.length) return;
      socket.off("data", greeted);
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve(socket);
    });
    socket.write(greeting);
  });
}

async function openAll(count: number, first: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const wave = Math.min(WAVE, count - sockets.length);
    const at = first + sockets.length;
    sockets.push(...(await Promise.all(Array.from({ length: wave }, (_, i) => open(at + i)))));
  }
  return sockets;
}

/** Keeps one batch in flight. */
function exchange(socket: Socket): void {
  let received = 0;
  let sentMs = performance.now();
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (!chunk.equals(batch.subarray(received, received + chunk.length))) mismatches++;
    received += chunk.length;
    if (received < batch.length) return;
    messages += depth;
    const now = performance.now();
    if (measuring) latencies.push((now - sentMs) * 1000);
    received = 0;
    sentMs = now;
    socket.write(batch);
  });
  socket.once("close", () => {
    if (!over) lost++;
  });
  socket.write(batch);
}

function percentile(fraction: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * fraction))] ?? 0;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

const startedMs = performance.now();
const idle = await openAll(Number(values.idle), 0);
const count = values.mode === "hold" ? 0 : Number(values.connections);
const active = await openAll(count, idle.length);
const connectMs = performance.now() - startedMs;

if (values.mode === "hold") {
  console.log(JSON.stringify({ held: idle.length, connectMs }));
  process.stdin.on("end", () => process.exit(0)).resume();
} else {
  for (const socket of active) exchange(socket);
  await pause(Number(values.warmup));
  const first = sample();
  measuring = true;
  await pause(Number(values.seconds));
  const last = sample();
  over = true;
  latencies.sort((a, b) => a - b);
  const result = {
    side: "node",
    engine: "node:net",
    mode: values.mode,
    connections: active.length,
    idle: idle.length,
    size,
    depth,
    seconds: (last.ms - first.ms) / 1000,
    messages: last.messages - first.messages,
    bytes: last.bytes - first.bytes,
    compared: 1,
    mismatches,
    lost,
    connectMs,
    latencyUs: {
      p50: percentile(0.5),
      p90: percentile(0.9),
      p99: percentile(0.99),
      p999: percentile(0.999),
      max: latencies.at(-1) ?? 0,
    },
    cpuSeconds: last.cpu - first.cpu,
    serverCpuSeconds: last.server - first.server,
    coreIdleSeconds: last.idle - first.idle,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}
