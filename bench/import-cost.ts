/**
 * The time that a process takes longer because it imports an entry point: medians of cold processes, in turns with a bare
 * one. The CPU time includes that of V8's other threads.
 *
 *     node dist/bench/import-cost.js [PROCESSES]
 */
import { spawnSync } from "node:child_process";
import { execPath, version } from "node:process";
import { spreadOf } from "../packages/polloi-tools/src/measure/spread.ts";
import { inRepository } from "./places.ts";

/** The code of each process, and the most milliseconds that it may take longer than the process before it. */
const PROGRAMS: readonly (readonly [name: string, code: string, mostMs: number])[] = [
  ["node -e 0", "", 0],
  ["polloi", 'import("polloi");', 35],
  ["polloi/http", 'import("polloi/http");', 25],
];
const AT_EXIT = `process.on("exit", () => {
  const { user, system } = process.cpuUsage();
  require("node:fs").writeSync(1, String(user + system));
});`;

/** The time of one process, in milliseconds: by the clock, and of all processors. */
function timesOf(code: string): { wall: number; cpu: number } {
  const began = performance.now();
  const { status, stdout, stderr } = spawnSync(execPath, ["-e", AT_EXIT + code], {
    cwd: inRepository(""),
    encoding: "utf8",
  });
  const wall = performance.now() - began;
  if (status !== 0) throw new Error(`a process has failed: ${stderr}`);
  return { wall, cpu: Number(stdout) / 1000 };
}

const processes = Number(process.argv[2] ?? 20);
const times = PROGRAMS.map((): { wall: number; cpu: number }[] => []);
for (let round = 0; round < processes; round++) {
  for (const [i, [, code]] of PROGRAMS.entries()) times[i]?.push(timesOf(code));
}

console.log(
  `node ${version}, medians of ${processes} processes in ms; in brackets, how much more than the line above`,
);
let before = { wall: 0, cpu: 0 };
for (const [i, [name, , mostMs]] of PROGRAMS.entries()) {
  const all = times[i] ?? [];
  const wall = spreadOf(all.map((time) => time.wall))?.median ?? Number.NaN;
  const cpu = spreadOf(all.map((time) => time.cpu))?.median ?? Number.NaN;
  const more = (now: number, then: number): string =>
    `${now.toFixed(1).padStart(6)}${i === 0 ? "" : ` (+${(now - then).toFixed(1)})`}`;
  const goal = i === 0 ? "" : `   goal: +${mostMs} at most`;
  console.log(
    `${name.padEnd(12)} clock ${more(wall, before.wall)}   CPU ${more(cpu, before.cpu)}${goal}`,
  );
  before = { wall, cpu };
}
