/**
 * The soak: clients that open, close, reset, end by halves and read slowly, for minutes, in a process of
 * their own, against a polloi server in another. `npm run soak -- --minutes 1 --engine epoll --seed 1`.
 *
 * With `--protocol http` they are clients of HTTP servers, and those who do harm are among them: what each
 * kind does is in `http/kinds.ts` and `http/offenders.ts`. One that failed is said by its kind and number, and
 * does the same again with `--seed 1 --only pipelined --repeat 42`.
 *
 * With io_uring, its buffers are kept exhausted first, for a sixth of that time and on top of it: whoever
 * asks for something is to be served all the same.
 *
 * With `--unlucky`, calls of the server fail, its descriptors run out, its handlers are slow or stall, and its
 * listener restarts: see `misfortunes.ts`. Connections may then be cut off, but nothing else may go wrong.
 *
 * Every byte that is echoed is compared with what was sent. In the end the server's reactor must have given
 * back everything that it had in use (`packages/polloi/test/support/balance.ts`), and its descriptors must be
 * as many as in the beginning; and its resident memory, after a garbage collection, no more than a third
 * and 32 MiB above what it was after the first quarter of the time, when every buffer has seen its most.
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
  readonly unlucky: boolean;
}

/** "none" leaves it out. */
const DEFAULT_TRIGGERS: Readonly<Record<string, string>> = { io_uring: "none", epoll: "edge" };

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("Give a number above 0.");
  return value;
}

const values = new Command("soak")
  .description("random clients against a polloi server; nothing may be lost, moved or leaked")
  .addOption(new Option("--minutes <count>", "how long").default(1).argParser(positive))
  .addOption(
    new Option("--engine <name>").choices(["io_uring", "epoll", "poll", "select"]).default("epoll"),
  )
  .addOption(
    new Option("--trigger <name>", "edge is epoll's default, and io_uring has none").choices([
      "level",
      "edge",
    ]),
  )
  .option("--seed <number>", "repeats a run", String(Date.now() % 1_000_000))
  .option("--clients <count>", "at a time", "60")
  .addOption(new Option("--protocol <name>").choices(["echo", "http"]).default("echo"))
  .option("--only <kinds>", "of the HTTP clients, with a comma in between")
  .option("--repeat <number>", "of the one that failed, with its kind as --only")
  .option("--unlucky", "calls fail, descriptors run out, handlers stall, listeners restart", false)
  .option("--lent", "zeroCopy: bytes are written back from where they were received", false)
  .parse()
  .opts<SoakFlags>();
const { engine, seed, clients, lent, protocol, unlucky } = values;
const trigger = values.trigger ?? DEFAULT_TRIGGERS[engine] ?? "level";
const milliseconds = values.minutes * 60_000;
/** The clients call a connection that takes 15 seconds, or 30 with HTTP, a hanging one, and say so. */
const GRACE_MS = 35_000;
/** Stalls and a busy machine take a few seconds at most. */
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
  // Those that lose are aborted.
  for (const event of events) event.catch(() => {});
  child.send(what, () => {});
  try {
    return await Promise.race(events);
  } finally {
    over.abort();
  }
}

/** What the reactor has in use, in a few words. */
function inUse({ balance }: ServerState): string {
  const { slots = 0, buffersHeld = 0, blocks = 0, timers = 0, deferredBytes = 0 } = balance;
  return `in use: ${slots} slots, ${buffersHeld} buffers, ${blocks} blocks, ${timers} timers, ${mebibytes(deferredBytes)} deferred`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Whoever comes next is served as if nothing had been. */
async function serveStill(ports: readonly number[]): Promise<string[]> {
  const problems: string[] = [];
  for (const port of ports) {
    const response = await fetch(`http://127.0.0.1:${port}/text/0/0`).catch(() => undefined);
    if (response?.status !== 200) problems.push(`port ${port} serves no more`);
  }
  return problems;
}

console.log(
  `soak: ${protocol}, ${engine}${trigger === "none" ? "" : `, ${trigger}-triggered`}${lent ? ", lent" : ""}${unlucky ? ", unlucky" : ""}, ${clients} clients, ${values.minutes} min, --seed ${seed}`,
);
if (engine === "io_uring") {
  const { turns, answers, longestWait } = exhaust(kernel, milliseconds / 6);
  console.log(
    `buffers exhausted for ${(milliseconds / 6000).toFixed(1)} s: ${answers} answers in ${turns} turns, none after more than ${longestWait}`,
  );
}
const server = start("server", [engine, trigger, lent ? "lent" : "copied", unlucky ? seed : ""]);
process.on("uncaughtException", (error) => {
  console.log(`VIOLATION ${error.message}`);
  console.log("FAILED: the soak cannot go on");
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
  unlucky ? "unlucky" : "",
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
  // It may end just now.
  if (client.connected) client.send("state", () => {});
  if (performance.now() - begun > milliseconds + GRACE_MS) client.kill("SIGKILL");
  console.log(
    `${Math.round((performance.now() - begun) / 1000)} s: ${state.accepted} accepted, ${state.connections} open, ${mebibytes(state.bytes)} moved, ${inUse(state)}, ${state.descriptors} descriptors, ${mebibytes(state.residentBytes)} resident`,
  );
}
const [code] = (await over) as [number | null];

await ask<ServerState>(server, "calm");
// The clients are gone; what the server lingers for is over within seconds.
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
  if (unlucky || seen === counted || last.violations.length > 0) continue;
  problems.push(`${what}: the clients saw ${seen}, and the server counts ${counted}`);
}
if (Object.keys(last.done).length < 4 && values.only === undefined)
  problems.push("not every kind of client had its turn");
if (final.connections !== 0) problems.push(`${final.connections} connections are left open`);
if (final.descriptors !== first.descriptors) {
  problems.push(`${final.descriptors} descriptors are open, and ${first.descriptors} were`);
}
const allowed = (warm ?? first).residentBytes * MAX_GROWTH + SLACK_BYTES;
if (final.residentBytes > allowed) {
  problems.push(`${mebibytes(final.residentBytes)} are resident, above ${mebibytes(allowed)}`);
}
for (const problem of problems) console.log(`VIOLATION ${problem}`);
const kinds = Object.entries(last.done).map(([kind, count]) => `${count} ${kind}`);
console.log(
  `${problems.length === 0 ? "ok" : "FAILED"}: ${kinds.join(", ")}; ${mebibytes(last.bytes)} came back, ${problems.length === 0 ? "none lost, none reordered" : `${problems.length} violations`}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
