/**
 * The load side without a compiler: the flags, the windows and the report of load.c, over node:net.
 *
 * It costs more per message than a fast server, so it says nothing about one that is faster than it;
 * the bench says so.
 */
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { coreIdleSeconds, serverCpuSeconds } from "./cpu-time.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", short: "p" },
    host: { type: "string", short: "h", default: "127.0.0.1" },
    connections: { type: "string", short: "c", default: "50" },
    idle: { type: "string", short: "i", default: "0" },
    size: { type: "string", short: "s", default: "64" },
    depth: { type: "string", short: "n", default: "1" },
    serverPid: { type: "string", short: "P", default: "0" },
    serverCore: { type: "string", short: "C", default: "-1" },
  },
});

const CONNECTIONS_PER_ADDRESS = 10_000;
const WAVE = 100;

const size = Number(values.size);
const depth = Number(values.depth);
const batch = Buffer.alloc(size * depth, "the quick brown fox jumps over the lazy dog; ");
const latencies: number[] = [];
/** `over`: nothing is sent any more, and what is in flight comes back. */
let phase: "warming" | "measuring" | "over" = "over";
let inFlight = 0;
/** Called when nothing is in flight any more. */
let drained = (): void => {};
let messages = 0;
let bytes = 0;
let mismatches = 0;
let lost = 0;
/** What all windows have come to together. */
const total: Sample = { ms: 0, cpu: 0, server: 0, idle: 0, messages: 0, bytes: 0 };

interface Sample {
  ms: number;
  cpu: number;
  server: number;
  idle: number;
  messages: number;
  bytes: number;
}

function sample(): Sample {
  const { user, system } = process.cpuUsage();
  return {
    ms: performance.now(),
    cpu: (user + system) / 1e6,
    server: serverCpuSeconds(Number(values.serverPid)),
    idle: coreIdleSeconds(Number(values.serverCore)),
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

/** Has one batch in flight at a time, and says how to send the first. */
function exchange(socket: Socket): () => void {
  let received = 0;
  let sentMs = 0;
  const send = (): void => {
    sentMs = performance.now();
    received = 0;
    inFlight++;
    socket.write(batch);
  };
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (!chunk.equals(batch.subarray(received, received + chunk.length))) mismatches++;
    received += chunk.length;
    if (received < batch.length) return;
    inFlight--;
    messages += depth;
    if (phase === "measuring") latencies.push((performance.now() - sentMs) * 1000);
    if (phase !== "over") send();
    else if (inFlight === 0) drained();
  });
  socket.once("close", () => {
    lost++;
  });
  return send;
}

function percentile(fraction: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * fraction))] ?? 0;
}

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** Warms up, measures, and waits until nothing is in flight. */
async function run(sends: readonly (() => void)[], warmup: number, seconds: number): Promise<void> {
  phase = "warming";
  for (const send of sends) send();
  await pause(warmup);
  const first = sample();
  phase = "measuring";
  await pause(seconds);
  const last = sample();
  phase = "over";
  for (const key of Object.keys(total) as (keyof Sample)[]) total[key] += last[key] - first[key];
  if (inFlight > 0) {
    await new Promise<void>((resolve) => {
      drained = resolve;
    });
  }
  if (seconds > 0) return;
  for (const key of Object.keys(total) as (keyof Sample)[]) total[key] = 0;
  latencies.length = 0;
}

function report(): void {
  latencies.sort((a, b) => a - b);
  const result = {
    side: "node",
    engine: "node:net",
    mode: "echo",
    connections: active.length,
    idle: idle.length,
    size,
    depth,
    seconds: total.ms / 1000,
    messages: total.messages,
    bytes: total.bytes,
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
    cpuSeconds: total.cpu,
    serverCpuSeconds: total.server,
    coreIdleSeconds: total.idle,
  };
  console.log(JSON.stringify(result));
}

const startedMs = performance.now();
const idle = await openAll(Number(values.idle), 0);
const active = await openAll(Number(values.connections), idle.length);
const connectMs = performance.now() - startedMs;
const sends = active.map(exchange);
console.log(JSON.stringify({ opened: idle.length + active.length, connectMs }));
for await (const line of createInterface({ input: process.stdin })) {
  const [warmup = 0, seconds = 0] = line.split(" ").map(Number);
  await run(sends, warmup, seconds);
  report();
}
process.exit(0);
