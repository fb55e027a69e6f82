/** A few seconds of the soak for each engine; `npm run soak` has minutes. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const MAIN: string = fileURLToPath(new URL("./soak/main.js", import.meta.url));
const run = promisify(execFile);

for (const args of [
  ["--engine", "epoll", "--trigger", "edge", "--lent"],
  ["--engine", "epoll", "--trigger", "level"],
  ["--engine", "poll", "--lent"],
  ["--engine", "select"],
]) {
  test(`the soak finds nothing lost, reordered or left open: ${args.join(" ")}`, async () => {
    const { stdout } = await run(process.execPath, [MAIN, "--minutes", "0.03", ...args], {
      timeout: 60_000,
    }).catch((error: Error & { stdout?: string }) => assert.fail(error.stdout || error.message));
    assert.match(stdout, /^ok: /m);
  });
}
