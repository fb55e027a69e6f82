/**
 * CPU time of UDP echo servers per datagram: polloi on each engine, and node:dgram. Each runs in a process of its own, for a
 * round at a time, in alternation. The client keeps a number of datagrams on their way.
 *
 *     node dist/bench/datagrams.js [rounds] [seconds]
 *
 * Prints datagrams that were answered per CPU second of the server, the median of the rounds, and the ratio to node:dgram in
 * the same round.
 */
import { type ChildProcess, fork } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { whyNoUring } from "../packages/polloi/src/engine/try-uring.ts";
import { bindDatagrams, type EngineChoice, Reactor } from "../packages/polloi/src/index.ts";
import { kernel } from "../packages/polloi/src/sys/open.ts";

const SERVERS = ["node:dgram", "io_uring", "epoll", "poll", "select"] as const;
type ServerName = (typeof SERVERS)[number];

/** Datagrams of this size, and how many are on their way at a time. */
const CASES: readonly (readonly [bytes: number, inFlight: number])[] = [
  [64, 1],
  [64, 16],
  [64, 128],
  [1200, 128],
];
/** After this time without an answer, datagrams were lost, and others are sent. */
const LOST_MS = 50;
const WARM_UP_MS = 500;

const [role, ...args] = process.argv.slice(2);
if (role === "serve") serve(args[0] as ServerName);
else await measure(Number(role ?? 5), Number(args[0] ?? 1));

/** A server in this process: posts its port, and its CPU time when it is asked. */
function serve(name: ServerName): void {
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.on("disconnect", () => process.exit());
  if (name !== "node:dgram") {
    const engine = name as EngineChoice;
    const socket = bindDatagrams({
      engine,
      host: "127.0.0.1",
      zeroCopy: true,
      message: (it, bytes, from) => it.send(bytes, from),
    });
    process.send?.(socket.port);
    return;
  }
  const socket = createSocket("udp4");
  socket.on("message", (bytes, { port, address }) => socket.send(bytes, port, address));
  socket.bind(0, "127.0.0.1", () => process.send?.(socket.address().port));
}

async function ask(child: ChildProcess): Promise<number> {
  child.send("cpu");
  const [micros] = await once(child, "message");
  return micros as number;
}

/** The answered datagrams per CPU second of a server in one round. */
async function round(
  name: ServerName,
  seconds: number,
  [bytes, inFlight]: readonly [number, number],
): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), ["serve", name]);
  const [port] = await once(child, "message");
  using reactor = new Reactor({ engine: "epoll" });
  const data = new Uint8Array(bytes);
  let answers = 0;
  const client = reactor.bindDatagrams({
    remote: { address: "127.0.0.1", port: port as number },
    zeroCopy: true,
    message(socket) {
      answers++;
      socket.send(data);
    },
  });
  const fill = (): void => {
    for (let i = 0; i < inFlight; i++) client.send(data);
  };
  fill();
  let before = 0;
  const watchdog = setInterval(() => {
    if (answers === before) fill();
    before = answers;
  }, LOST_MS);
  await sleep(WARM_UP_MS);
  const [cpuBefore, answersBefore] = [await ask(child), answers];
  await sleep(seconds * 1000);
  const [cpu, answered] = [(await ask(child)) - cpuBefore, answers - answersBefore];
  clearInterval(watchdog);
  client.close();
  child.disconnect();
  await once(child, "exit");
  return answered / (cpu / 1e6);
}

async function measure(rounds: number, seconds: number): Promise<void> {
  const reason = whyNoUring(kernel);
  if (reason !== undefined) console.log(`without io_uring: ${reason}`);
  const names = SERVERS.filter((name) => name !== "io_uring" || reason === undefined);
  console.log(`${kernel.runtime} ${kernel.runtimeVersion}, ${rounds} rounds of ${seconds} s`);
  for (const at of CASES) {
    const results = new Map<ServerName, number[]>(names.map((name) => [name, []]));
    for (let i = 0; i < rounds; i++) {
      for (const name of names) results.get(name)?.push(await round(name, seconds, at));
    }
    console.log(`\n${at[0]} bytes, ${at[1]} on their way`);
    const reference = results.get("node:dgram") as number[];
    for (const [name, rates] of results) {
      const ratios = rates.map((rate, i) => rate / (reference[i] as number)).sort((a, b) => a - b);
      const [least = 0, most = 0] = [ratios[0], ratios.at(-1)];
      const spread = `${least.toFixed(2)} to ${most.toFixed(2)}`;
      console.log(
        `${name.padEnd(12)}${String(Math.round(median(rates))).padStart(9)} per CPU s   x ${median(ratios).toFixed(2)} (${spread})`,
      );
    }
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] as number;
}
