/**
 * The soak test: clients that open, close, reset, half-close and read slowly, for minutes, in one child process,
 * against a polloi server in another. `npm run soak -- --minutes 1 --engine epoll --seed 1`.
 *
 * With `--protocol http` they are clients of HTTP servers, some of them malicious: each kind is described
 * in `http/kinds.ts` and `http/offenders.ts`. A client that failed is reported by its kind and number, and
 * can be repeated with `--seed 1 --only pipelined --repeat 42`.
 *
 * With io_uring, all buffers are first kept exhausted, for an additional sixth of that time: every client
 * must be served nevertheless.
 *
 * With `--faults`, system calls of the server fail, its descriptors run out, its handlers are slow or stall, and its
 * listener restarts: see `faults.ts`. Connections may then be cut off, but no other violation may occur.
 *
 * Every echoed byte is compared with the byte that was sent. At the end the server's reactor must have released
 * everything that it used (`packages/polloi/test/support/balance.ts`). The number of its descriptors must be
 * the same as at the beginning. Its resident memory, after a garbage collection, may be at most a third
 * and 32 MiB larger than after the first quarter of the time, when every buffer has had its largest size.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError, Option } from "commander";
import { kernel } from "../../src/sys/open.ts";
import { exhaust } from "../engine/uring/exhaustion.ts";
import type { ClientState, ServerState } from "./state.ts";

interface SoakFlags {
  readonly minutes: number;
  readonly engine: string;
  readonly trigger?: string;
  readonly seed: string;
  readonly clients: string;
  readonly lent: boolean;
  readonly protocol: "echo" | "http";
  readonly only?: string;
  readonly repeat?: string;
  readonly faults: boolean;
}

/** "none" omits the option. */
const DEFAULT_TRIGGERS: Readonly<Record<string, string>> = { io_uring: "none", epoll: "edge" };

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("Give a number above 0.");
  return value;
}

const values = new Command("soak")
  .description("random clients against a polloi server; nothing may be lost, reordered or leaked")
  .addOption(new Option("--minutes <count>", "duration of the test").default(1).argParser(positive))
  .addOption(
    new Option("--engine <name>").choices(["io_uring", "epoll", "poll", "select"]).default("epoll"),
  )
  .addOption(
    new Option(
      "--trigger <name>",
      "default: edge with epoll, level with poll and select; io_uring has none",
    ).choices(["level", "edge"]),
  )
  .option("--seed <number>", "repeats a run", String(Date.now() % 1_000_000))
  .option("--clients <count>", "number of concurrent clients", "60")
  .addOption(new Option("--protocol <name>").choices(["echo", "http"]).default("echo"))
  .option("--only <kinds>", "kinds of HTTP clients, separated by commas")
  .option("--repeat <number>", "number of the client that failed, with its kind as --only")
  .option("--faults", "calls fail, descriptors run out, handlers stall, listeners restart", false)
  .option("--lent", "zeroCopy: bytes are sent from the receive buffer", false)
  .parse()
  .opts<SoakFlags>();
const { engine, seed, clients, lent, protocol, faults } = values;
const trigger = values.trigger ?? DEFAULT_TRIGGERS[engine] ?? "level";
const milliseconds = values.minutes * 60_000;
/** The clients report a connection that takes 15 seconds, or 30 with HTTP. */
const GRACE_MS = 35_000;
/** The longest wait for an answer of a child. Stalls and a busy machine take a few seconds at most. */
const ANSWER_MS = 20_000;
const MAX_GROWTH = 4 / 3;
const SLACK_BYTES = 32 * 1024 * 1024;

const children: ChildProcess[] = [];

function start(name: string, args: readonly string[]): ChildProcess {
  const folder = protocol === "http" ? "http/" : "";
  const path = fileURLToPath(new URL(`./${folder}${name}.js`, import.meta.url));
  const child = fork(path, args, { execArgv: ["--expose-gc"] });
  children.push(child);
  return child;
}

/** @throws Error when the child has ended, or does not answer in time. */
async function ask<State>(child: ChildProcess, what = "state"): Promise<State> {
  const over = new AbortController();
  const { signal } = over;
  const events = [
    once(child, "message", { signal }).then(([state]) => state as State),
    once(child, "exit", { signal }).then(([code]) => {
      throw new Error(`the server ended with ${code}`);
    }),
    sleep(ANSWER_MS, undefined, { signal }).then(() => {
      throw new Error(`the server does not answer for ${ANSWER_MS / 1000} s`);
    }),
  ];
  // The losers of the race are aborted.
  for (const event of events) event.catch(() => {});
  child.send(what, () => {});
  try {
    return await Promise.race(events);
  } finally {
    over.abort();
  }
}

/** The resources that the reactor uses, as text. */
function inUse({ balance }: ServerState): string {
  const { slots = 0, buffersHeld = 0, blocks = 0, timers = 0, deferredBytes = 0 } = balance;
  return `in use: ${slots} slots, ${buffersHeld} buffers, ${blocks} blocks, ${timers} timers, ${mebibytes(deferredBytes)} deferred`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Checks that the servers still answer an ordinary request. */
async function serveStill(ports: readonly number[]): Promise<string[]> {
  const problems: string[] = [];
  for (const port of ports) {
    const response = await fetch(`http://127.0.0.1:${port}/text/0/0`).catch(() => undefined);
    if (response?.status !== 200) problems.push(`port ${port} no longer answers`);
  }
  return problems;
}

console.log(
  `soak: ${protocol}, ${engine}${trigger === "none" ? "" : `, ${trigger}-triggered`}${lent ? ", lent" : ""}${faults ? ", faults" : ""}, ${clients} clients, ${values.minutes} min, --seed ${seed}`,
);
if (engine === "io_uring") {
  const { turns, answers, longestWait } = exhaust(kernel, milliseconds / 6);
  console.log(
    `buffers exhausted for ${(milliseconds / 6000).toFixed(1)} s: ${answers} answers in ${turns} turns, none after more than ${longestWait}`,
  );
}
const server = start("server", [engine, trigger, lent ? "lent" : "copied", faults ? seed : ""]);
process.on("uncaughtException", (error) => {
  console.log(`VIOLATION ${error.message}`);
  console.log("FAILED: the soak test cannot continue");
  for (const child of children) child.kill("SIGKILL");
  process.exit(1);
});
const first = await ask<ServerState>(server);
const begun = performance.now();
const client = start("client", [
  first.ports.join(),
  seed,
  clients,
  String(milliseconds),
  values.only ?? "",
  values.repeat ?? "",
  faults ? "faults" : "",
]);
let last: ClientState = { done: {}, bytes: 0, violations: [], counted: {} };
client.on("message", (state: ClientState) => {
  last = state;
});
const over = once(client, "exit");
let warm: ServerState | undefined;
let running = true;
void over.then(() => {
  running = false;
});
while (running) {
  await Promise.race([over, sleep(Math.min(5000, milliseconds / 4))]);
  const state = await ask<ServerState>(server);
  if (performance.now() - begun >= milliseconds / 4) warm ??= state;
  // The child may end at this moment.
  if (client.connected) client.send("state", () => {});
  if (performance.now() - begun > milliseconds + GRACE_MS) client.kill("SIGKILL");
  console.log(
    `${Math.round((performance.now() - begun) / 1000)} s: ${state.accepted} accepted, ${state.connections} open, ${mebibytes(state.bytes)} moved, ${inUse(state)}, ${state.descriptors} descriptors, ${mebibytes(state.residentBytes)} resident`,
  );
}
const [code] = (await over) as [number | null];

await ask<ServerState>(server, "calm");
// The clients have ended; lingering closes of the server end within seconds.
let final = await ask<ServerState>(server);
for (let i = 0; i < 50 && final.connections > 0; i++) {
  await sleep(100);
  final = await ask<ServerState>(server);
}
const unserved = protocol === "http" ? await serveStill(first.ports) : [];
const { failures, balance } = await ask<ServerState>(server, "stop");
final = { ...final, failures, balance };
server.disconnect();

const problems = [
  ...unserved,
  ...last.violations,
  ...final.failures.map((failure) => `server: ${failure}`),
];
if (code !== 0) problems.push(`the clients ended with ${code}`);
for (const what of new Set([...Object.keys(last.counted), ...Object.keys(final.counted)])) {
  const [seen, counted] = [last.counted[what] ?? 0, final.counted[what] ?? 0];
  if (faults || seen === counted || last.violations.length > 0) continue;
  problems.push(`${what}: the clients counted ${seen}, the server ${counted}`);
}
if (Object.keys(last.done).length < 4 && values.only === undefined)
  problems.push("not every kind of client was run");
if (final.connections !== 0) problems.push(`${final.connections} connections are left open`);
if (final.descriptors !== first.descriptors) {
  problems.push(
    `${final.descriptors} descriptors are open, ${first.descriptors} were at the start`,
  );
}
const allowed = (warm ?? first).residentBytes * MAX_GROWTH + SLACK_BYTES;
if (final.residentBytes > allowed) {
  problems.push(`${mebibytes(final.residentBytes)} are resident, more than ${mebibytes(allowed)}`);
}
for (const problem of problems) console.log(`VIOLATION ${problem}`);
const kinds = Object.entries(last.done).map(([kind, count]) => `${count} ${kind}`);
console.log(
  `${problems.length === 0 ? "ok" : "FAILED"}: ${kinds.join(", ")}; ${mebibytes(last.bytes)} received, ${problems.length === 0 ? "none lost, none reordered" : `${problems.length} violations`}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
