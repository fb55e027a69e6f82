/** A few seconds of the soak test for each engine; `npm run soak` takes minutes. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { RUNS_ALL, TEST_ALL } from "../../../../test/support/suite.ts";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import { kernel } from "../../src/sys/open.ts";
import { checkPlants } from "./planted.ts";

const MAIN: string = fileURLToPath(new URL("./main.js", import.meta.url));
const run = promisify(execFile);

const ALWAYS: readonly string[][] = [
  ["--engine", "io_uring"],
  ["--engine", "io_uring", "--lent"],
  ["--engine", "epoll", "--trigger", "edge", "--lent"],
  ["--engine", "select"],
  ["--engine", "io_uring", "--lent", "--faults"],
  ["--engine", "io_uring", "--faults"],
  ["--engine", "epoll", "--trigger", "edge", "--lent", "--faults"],
  ["--protocol", "http", "--engine", "io_uring"],
  ["--protocol", "http", "--engine", "epoll", "--trigger", "edge"],
];
/** Runs over engines whose turns are like those of one above. */
const AS_WELL: readonly string[][] = [
  ["--engine", "epoll", "--trigger", "level"],
  ["--engine", "poll", "--lent"],
  ["--protocol", "http", "--engine", "poll"],
];

test("every known fault can still be planted: npm run soak:planted", () => {
  checkPlants();
});

for (const args of [...ALWAYS, ...AS_WELL]) {
  const isLeftOut = AS_WELL.includes(args) && !TEST_ALL;
  const why = isLeftOut ? `as select is; ${RUNS_ALL}` : undefined;
  const skip = why ?? ((args.includes("io_uring") && whyNoUring(kernel)) || false);
  const name = `nothing is lost, reordered or left open: ${args.join(" ")}`;
  test(name, { skip }, async () => {
    // Long enough for each kind of fault.
    const minutes = args.includes("--faults") ? "0.07" : "0.02";
    const { stdout } = await run(process.execPath, [MAIN, "--minutes", minutes, ...args], {
      timeout: 60_000,
    }).catch((error: Error & { stdout?: string; stderr?: string }) =>
      assert.fail(`${error.message}\n${error.stdout}\n${error.stderr}`),
    );
    assert.match(stdout, /^ok: /m);
  });
}
