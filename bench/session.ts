import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import type { Bench, Published } from "./echo.ts";
import type { CommonFlags } from "./flags.ts";
import { type Goal, goalsText } from "./goals.ts";
import { findLoad, type LoadSide } from "./load.ts";
import { describeMachine, machineLines, whyNotFit } from "./machine.ts";
import { type FoundPeers, findPeers, type SkippedPeer, thatHold } from "./peers.ts";
import { inOut } from "./places.ts";
import { findTools, type Tools } from "./tools.ts";

/** A benchmark that is about to run. */
export interface Session extends Bench {
  readonly tools: Tools;
  readonly warnings: string[];
  readonly skipped: SkippedPeer[];
}

/** What a benchmark needs of the machine. */
export interface Needs {
  /** Finds the servers. */
  peers(tools: Tools): Promise<FoundPeers>;
  /** Connections that every server has to hold; one that cannot is skipped. */
  readonly connections?: number;
  /** Finds the load, on these cores. Default: the one of echo servers. */
  load?(tools: Tools, cores: string | undefined): LoadSide;
}

/** What makes a whole run impossible here; the bench then ends with a line. */
export class Refusal extends Error {}

/**
 * Looks at the machine, builds what is to be built, and says what was found.
 *
 * @throws Refusal when the machine cannot hold what is wanted.
 */
export async function open(flags: CommonFlags, needs: Needs): Promise<Session> {
  const tools = findTools();
  const machine = describeMachine(tools, flags);
  const core = machine.pinned ? `${machine.loadCore}` : undefined;
  // The bench itself only waits, but where the server runs even that would be seen.
  if (core !== undefined) {
    execFileSync("taskset", ["-cp", core, `${process.pid}`], { stdio: "ignore" });
  }
  const { connections = 0 } = needs;
  const load = (needs.load ?? findLoad)(tools, core);
  const reason = whyNotFit(machine, connections);
  if (reason !== undefined) throw new Refusal(reason);
  const { peers, skipped } = thatHold(connections, await needs.peers(tools));
  const warnings = load.warning === undefined ? [] : [load.warning];
  const lines = [
    ...machineLines(machine),
    ...warnings.map((warning) => `WARNING   ${warning}`),
    ...skipped.map(({ label, reason: why }) => `skipped   ${label}: ${why}`),
  ];
  console.log(lines.join("\n"));
  if (peers.length === 0) throw new Refusal("none of these servers can run here");
  return { tools, machine, load, peers, skipped, warnings };
}

/** The servers by name. */
export function named(names: readonly string[]): Needs["peers"] {
  return (tools) => findPeers(tools, names);
}

/** One line that is written over on a terminal, and a line each where there is none. */
export function step(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

/** Takes the line of {@link step} away. */
export function stepsAreOver(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}

/** Writes a result where `--json` says, or to bench/out. @returns Where that was. */
export function save(result: Published & { benchmark: string }, { json }: CommonFlags): string {
  mkdirSync(inOut(""), { recursive: true });
  const place = json ?? inOut(`${result.benchmark}.json`);
  writeFileSync(place, `${JSON.stringify(result, null, 1)}\n`);
  return place;
}

/** Says what came of it, and makes the run a failed one when a server did. */
export function close(
  result: Published & { benchmark: string },
  flags: CommonFlags,
  { goals, failed }: { readonly goals: readonly Goal[]; readonly failed: boolean },
): void {
  const text = goalsText(goals);
  if (text !== "") console.log(text);
  console.log(`\nwritten to ${save(result, flags)}`);
  if (failed) process.exitCode = 1;
}
