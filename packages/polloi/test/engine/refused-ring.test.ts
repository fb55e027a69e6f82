/** A process whose ring fails permanently gets an error, and the rest of it continues. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import { kernel } from "../../src/sys/open.ts";

test("a hosted reactor whose ring is refused for good is closed with an uncaught error", {
  skip: whyNoUring(kernel) ?? false,
}, () => {
  const program = fileURLToPath(new URL("./refused-ring-program.js", import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, [program], {
    encoding: "utf8",
    timeout: 30_000,
  });
  assert.equal(stderr, "");
  assert.equal(stdout, "io_uring_enter EAGAIN, listening on -1\nalive\n");
  assert.equal(status, 0);
});
