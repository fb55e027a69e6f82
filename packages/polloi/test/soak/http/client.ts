/** The clients of the HTTP soak test: node:net in a separate process, with their own implementation of HTTP. */
import process from "node:process";
import { randomFrom } from "../../support/faulty-kernel.ts";
import type { ClientState } from "../state.ts";
import { KINDS, type Ports, type Work } from "./kinds.ts";
import { OFFENDERS } from "./offenders.ts";
import { Peer } from "./peer.ts";
import { pick } from "./requests.ts";

const [ports, ...numbers] = process.argv.slice(2);
const [seed, workers, milliseconds] = numbers.map(Number) as [number, number, number];
const [handler, fetch, strict, hasty, narrow] = (ports ?? "").split(",").map(Number) as [
  number,
  number,
  number,
  number,
  number,
];
const PORTS: Ports = { handler, fetch, strict, hasty, narrow };
const ALL = { ...KINDS, ...OFFENDERS };
/** Kinds that mostly wait. They are chosen less often. */
const PATIENT: ReadonlySet<string> = new Set(["drip", "idle", "unread"]);
const ONE_OF_MANY: readonly string[] = Object.keys(ALL).flatMap((name) =>
  Array<string>(PATIENT.has(name) ? 1 : 6).fill(name),
);
/** Only these kinds and this client, repeatedly, to reproduce a violation. */
const [only, repeated] = numbers.slice(3) as [string, string];
const names: readonly string[] = only === "" ? ONE_OF_MANY : only.split(",");
const end = performance.now() + milliseconds;
/** The longest time without any bytes, and the longest time of a client. Longer ones are violations. */
const HANGS_MS = 10_000;
const LONGEST_MS = 30_000;
const LOOK_MS = 500;

const done: Record<string, number> = {};
const counted: Record<string, number> = {};
const violations: string[] = [];
let bytes = 0;

/** Runs one client, whose choices depend only on its number. */
async function one(number: number): Promise<void> {
  const random = randomFrom(seed * 1_000_003 + number);
  const name = pick(random, names);
  const peers: Peer[] = [];
  const work: Work = {
    ports: PORTS,
    random,
    peer(port) {
      const peer = new Peer(port);
      peers.push(peer);
      return peer;
    },
    count(what, times = 1) {
      counted[what] = (counted[what] ?? 0) + times;
    },
  };
  let hangs = false;
  const begun = performance.now();
  let [moved, movedAt] = [-1, begun];
  const timer = setInterval(() => {
    const now = performance.now();
    const sum = peers.reduce(
      (all, { received, socket }) => all + received + socket.bytesWritten,
      0,
    );
    if (sum !== moved) [moved, movedAt] = [sum, now];
    hangs = now - movedAt > HANGS_MS || now - begun > LONGEST_MS;
    if (hangs) for (const { socket } of peers) socket.destroy();
  }, LOOK_MS);
  try {
    await ALL[name]?.(work);
    // Some kinds accept any end as that of the server.
    if (hangs) throw new Error("ended by the client");
    done[name] = (done[name] ?? 0) + 1;
  } catch (error) {
    const received = peers.map((peer) => peer.received).join("+");
    const what = `${hangs ? "hangs, " : ""}${(error as Error).message}, after ${received} bytes`;
    if (violations.length < 20) violations.push(`${name} ${number}: ${what}`);
  } finally {
    clearInterval(timer);
    for (const peer of peers) {
      bytes += peer.received;
      peer.socket.destroy();
    }
  }
}

async function work(first: number): Promise<void> {
  for (let number = first; performance.now() < end && violations.length === 0; number += workers) {
    await one(repeated === "" ? number : Number(repeated));
  }
}

process.on("unhandledRejection", (error) => {
  violations.push(`unhandled: ${(error as Error | undefined)?.stack ?? error}`);
});
const say = () => void process.send?.({ done, bytes, violations, counted } satisfies ClientState);
process.on("message", say);
process.on("disconnect", () => process.exit());
await Promise.all(Array.from({ length: workers }, (_, number) => work(number)));
say();
process.disconnect?.();
