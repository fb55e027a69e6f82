/**
 * Runs the conformance suites of the library on the simulated kernel, and prints the cases that fail, grouped by the
 * first line of their errors.
 *
 * ```sh
 * npm run -s build
 * node dist/packages/polloi-sim/test/conformance/run.js                     # all suites
 * node dist/packages/polloi-sim/test/conformance/run.js libc poll epoll     # suites whose names begin so
 * node dist/packages/polloi-sim/test/conformance/run.js --case "one-shot" pollers   # cases whose names contain it
 * node dist/packages/polloi-sim/test/conformance/run.js --stacks sockets    # with the stack of each first error
 * ```
 *
 * The names are in suites.ts, and the cases that do not apply in not-applicable.ts. Each suite runs in a child process,
 * so that a case that hangs or crashes ends only itself.
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SUITE_NAMES } from "./suites.ts";

/** A case that takes longer hangs. */
const CASE_TIMEOUT_MS = 20_000;
const MOST_LISTED = 6;

/** The result of a case, which a child process prints as a line of JSON. */
export interface CaseResult {
  /** The place of the case in its child process. */
  readonly index: number;
  readonly suite: string;
  readonly name: string;
  /** `begins` is printed before the case runs. */
  readonly outcome: "begins" | "passes" | "fails" | "skipped";
  readonly error?: string;
}

const { values, positionals } = parseArgs({
  options: { case: { type: "string", default: "" }, stacks: { type: "boolean", default: false } },
  allowPositionals: true,
});

/** Runs the cases of a suite from `first` on. @returns The index of a case that hangs or crashes; -1 at the end. */
async function runFrom(name: string, first: number, results: CaseResult[]): Promise<number> {
  const program = fileURLToPath(new URL("./child.js", import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [program, name, String(first), values.case], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let running: CaseResult | undefined;
  let why = "crashes";
  let errors = "";
  let timer: NodeJS.Timeout | undefined;
  const kill = () => {
    why = `hangs for ${CASE_TIMEOUT_MS / 1000} s`;
    child.kill("SIGKILL");
  };
  child.stderr?.on("data", (part) => {
    errors += part;
  });
  const exited = new Promise((resolve) => child.once("close", resolve));
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    if (!line.startsWith("{")) continue;
    const result = JSON.parse(line) as CaseResult;
    clearTimeout(timer);
    timer = setTimeout(kill, CASE_TIMEOUT_MS);
    running = result.outcome === "begins" ? result : undefined;
    if (result.outcome !== "begins") results.push(result);
  }
  clearTimeout(timer);
  await exited;
  if (running === undefined) return -1;
  const error = why === "crashes" ? `crashes: ${errors.trim()}` : why;
  results.push({ ...running, outcome: "fails", error });
  return running.index;
}

function firstLine(error: string): string {
  const line = error.split("\n").find((each) => each.trim() !== "") ?? error;
  // Numbers differ from case to case.
  return line.replace(/\d+/g, "N").slice(0, 160);
}

const asked = positionals.length === 0 ? [""] : positionals;
const names = SUITE_NAMES.filter((name) => asked.some((each) => name.startsWith(each)));
const groups = new Map<string, CaseResult[]>();
const failures: CaseResult[] = [];
const total = { passes: 0, fails: 0, skipped: 0 };
for (const name of names) {
  const results: CaseResult[] = [];
  for (let first = 0; first >= 0; ) {
    const stopped = await runFrom(name, first, results);
    first = stopped < 0 ? -1 : stopped + 1;
  }
  const count = { passes: 0, fails: 0, skipped: 0 };
  for (const result of results) {
    if (result.outcome === "begins") continue;
    count[result.outcome]++;
    total[result.outcome]++;
    if (result.outcome === "fails") failures.push(result);
  }
  const { passes, fails, skipped } = count;
  console.log(`${name}: ${passes} of ${passes + fails} pass, ${skipped} skipped`);
}
for (const failure of failures) {
  const line = firstLine(failure.error ?? "");
  groups.set(line, [...(groups.get(line) ?? []), failure]);
}
for (const [line, cases] of [...groups].sort(([, a], [, b]) => b.length - a.length)) {
  console.log(`\n${cases.length} x ${line}`);
  for (const { suite, name } of cases.slice(0, MOST_LISTED)) console.log(`    ${suite}: ${name}`);
  if (cases.length > MOST_LISTED) console.log(`    and ${cases.length - MOST_LISTED} others`);
  if (values.stacks) console.log((cases[0]?.error ?? "").replace(/^/gm, "      | "));
}
console.log(
  `\n${total.passes} of ${total.passes + total.fails} cases pass, ${total.skipped} are skipped`,
);
process.exitCode = total.fails === 0 ? 0 : 1;
