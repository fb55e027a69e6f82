import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { CASE_TIMEOUT_MS } from "../../../../test/support/suite.ts";

test("waits continue when real signals interrupt them", { timeout: CASE_TIMEOUT_MS }, async () => {
  const program = fileURLToPath(new URL("./interrupted-waits-program.js", import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
  let signals: NodeJS.Timeout | undefined;
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    output += chunk;
    if (output.includes("waiting\n")) signals ??= setInterval(() => child.kill("SIGUSR1"), 20);
  }
  clearInterval(signals);
  const report = JSON.parse(output.slice(output.indexOf("\n"))) as {
    call: string;
    ready: number;
    early: boolean;
    interruptions: number;
  }[];
  assert.deepEqual(
    report.map(({ call, ready, early }) => ({ call, ready, early })),
    ["select", "poll", "epoll"].map((call) => ({ call, ready: 0, early: false })),
  );
  for (const { call, interruptions } of report) {
    assert.ok(interruptions > 0, `${call} was not interrupted`);
  }
});
