/**
 * The soak: clients that open, close, reset, end by halves and read slowly, for minutes, in a process of
 * their own, against a polloi server in another. `npm run soak -- --minutes 1 --engine epoll --seed 1`.
 *
 * With io_uring, its buffers are kept exhausted first, for a sixth of that time and on top of it: whoever
 * asks for something is to be served all the same.
 *
 * Every byte that is echoed is compared with what was sent. In the end the server's descriptors must be
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
import { exhaust } from "../conformance/uring/exhaustion.ts";
import type { ClientState } from "./client.ts";
import type { ServerState } from "./server.ts";

interface SoakFlags {
  readonly minutes: number;
  readonly engine: string;
  readonly trigger?: string;
  readonly seed: string;
  readonly clients: string;
  readonly lent: boolean;
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
  .option("--lent", "zeroCopy: bytes are written back from where they were received", false)
  .parse()
  .opts<SoakFlags>();
const { engine, seed, clients, lent } = values;
const trigger = values.trigger ?? DEFAULT_TRIGGERS[engine] ?? "level";
const milliseconds = values.minutes * 60_000;
/** The clients call a connection that takes 15 seconds a hanging one, and say so. */
const GRACE_MS = 20_000;
const MAX_GROWTH = 4 / 3;
const SLACK_BYTES = 32 * 1024 * 1024;

function start(name: string, args: readonly string[]): ChildProcess {
  const path = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  return fork(path, args, { execArgv: ["--expose-gc"] });
}

async function ask<State>(child: ChildProcess): Promise<State> {
  const answer = once(child, "message");
  child.send("state");
  return (await answer)[0] as State;
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

console.log(
  `soak: ${engine}${trigger === "none" ? "" : `, ${trigger}-triggered`}${lent ? ", lent" : ""}, ${clients} clients, ${values.minutes} min, --seed ${seed}`,
);
if (engine === "io_uring") {
  const { turns, answers, longestWait } = exhaust(kernel, milliseconds / 6);
  console.log(
    `buffers exhausted for ${(milliseconds / 6000).toFixed(1)} s: ${answers} answers in ${turns} turns, none after more than ${longestWait}`,
  );
}
const server = start("server", [engine, trigger, lent ? "lent" : "copied"]);
const first = await ask<ServerState>(server);
const begun = performance.now();
const client = start("client", [String(first.port), seed, clients, String(milliseconds)]);
let last: ClientState = { done: {}, bytes: 0, violations: [] };
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
    `${Math.round((performance.now() - begun) / 1000)} s: ${state.accepted} accepted, ${state.connections} open, ${mebibytes(state.bytes)} received, ${state.descriptors} descriptors, ${mebibytes(state.residentBytes)} resident`,
  );
}
const [code] = (await over) as [number | null];

// The clients are gone; what the server lingers for is over within seconds.
let final = await ask<ServerState>(server);
for (let i = 0; i < 50 && final.connections > 0; i++) {
  await sleep(100);
  final = await ask<ServerState>(server);
}
server.disconnect();

const problems = [...last.violations, ...final.failures.map((failure) => `server: ${failure}`)];
if (code !== 0) problems.push(`the clients ended with ${code}`);
if (Object.keys(last.done).length < 4) problems.push("not every kind of client had its turn");
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
