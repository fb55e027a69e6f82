/**
 * Runs programs on the simulated kernel: hundreds of seeds in `npm test`, thousands in `npm run test:rest`. A failure
 * prints the command that runs its seed again, and the smallest program that fails.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../src/simulate/main.js", import.meta.url));
const SEEDS = process.env.POLLOI_TEST_ALL === undefined ? 500 : 20_000;

// In a process of its own: simulated processes that are killed leave promises that are rejected, for which the test
// runner would blame the test.
test(`${SEEDS} seeds violate no rule on any engine`, async () => {
  const child = spawn(process.execPath, [MAIN, "--seeds", `${SEEDS}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const [code] = await once(child, "close");
  assert.equal(code, 0, output);
  assert.match(output, new RegExp(`^${SEEDS} seeds .* 0 failed$`, "m"), output);
});
