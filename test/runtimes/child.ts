/**
 * Runs suites on the runtime that executes this file, and prints a line of JSON as each case begins and ends.
 * The arguments are the URL of the module that lists the suites, and the extent. all-runtimes.ts reads the lines.
 */
import { Buffer } from "node:buffer";
import { writeSync } from "node:fs";
import process from "node:process";
import { CASE_TIMEOUT_MS, type Case, type Extent, type Suite } from "../support/suite.ts";

/** A line of the report. */
export type Line =
  | { readonly event: "begin"; readonly suite: string; readonly name: string }
  | {
      readonly event: "end";
      readonly skip?: string | undefined;
      readonly error?: string | undefined;
    }
  | { readonly event: "done" };

/** Writes synchronously, since a crash would lose buffered lines. */
function print(line: Line): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      // A runtime may make the pipe non-blocking, and the reader may be busy.
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

async function attempt({ run }: Case): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    const error = new Error(`Not done within ${CASE_TIMEOUT_MS} ms`);
    timer = setTimeout(() => reject(error), CASE_TIMEOUT_MS);
  });
  try {
    await Promise.race([run(), timeout]);
    return undefined;
  } catch (error) {
    return describe(error);
  } finally {
    clearTimeout(timer);
  }
}

/** The stack, which in JavaScriptCore does not begin with the message. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `Thrown: ${String(error)}`;
  const stack = error.stack ?? "";
  return stack.includes(error.message) ? stack : `${error.name}: ${error.message}\n${stack}`;
}

const [module = "", extent = "smoke"] = process.argv.slice(2);
const { suites } = (await import(module)) as { suites: (extent: Extent) => Suite[] };
for (const { title, cases } of suites(extent as Extent)) {
  for (const each of cases) {
    print({ event: "begin", suite: title, name: each.name });
    if (each.skip === undefined) print({ event: "end", error: await attempt(each) });
    else print({ event: "end", skip: each.skip });
  }
}
print({ event: "done" });
process.exit();
