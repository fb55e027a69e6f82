/**
 * Profiles the process that imports it: `node --import profiled.js SERVER`.
 *
 * The line `start` on standard input begins a profile. `stop` ends it, and is answered with the time that each function
 * took by itself.
 */
import { type Profiler, Session } from "node:inspector";
import { createInterface } from "node:readline";

/** The time of a function without that of the functions it called. */
export interface SelfTime {
  readonly name: string;
  /** Its file and line; empty for a part of the runtime. */
  readonly place: string;
  readonly microseconds: number;
}

const SAMPLING_US = 200;
/** Foreign functions, most of which make system calls. V8 reports all of them under the name of one. */
const NATIVE = "(system calls)";

const session: Session = new Session();
session.connect();
session.post("Profiler.enable");
session.post("Profiler.setSamplingInterval", { interval: SAMPLING_US });

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The functions of a profile, the one with the most time first, without the time in which the process was idle. */
function functionsOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): SelfTime[] {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const functions = new Map<string, SelfTime>();
  for (const [i, id] of samples.entries()) {
    const { functionName = "", url = "", lineNumber = 0 } = byId.get(id) ?? {};
    if (functionName === "(idle)") continue;
    const place = url === "" ? "" : `${url}:${lineNumber + 1}`;
    const name = place === "" && !functionName.startsWith("(") ? NATIVE : functionName;
    const key = `${name} ${place}`;
    const microseconds = (functions.get(key)?.microseconds ?? 0) + (timeDeltas[i] ?? 0);
    functions.set(key, { name: name || "(anonymous)", place, microseconds });
  }
  return [...functions.values()].sort((one, other) => other.microseconds - one.microseconds);
}

const commands: Readonly<Record<string, () => void>> = {
  start: () => session.post("Profiler.start", () => print({ started: true })),
  stop: () =>
    session.post("Profiler.stop", (_, { profile }) => print({ functions: functionsOf(profile) })),
};
createInterface({ input: process.stdin }).on("line", (line) => commands[line]?.());
