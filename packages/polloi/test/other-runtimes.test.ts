/** The suites under Bun, Deno and the newest Node. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { env } from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { RUNTIMES, testOnAllRuntimes } from "../../../test/runtimes/all-runtimes.ts";

const OPEN: string = fileURLToPath(new URL("../src/sys/open.js", import.meta.url));

testOnAllRuntimes(new URL("./suites.js", import.meta.url));

const deno = RUNTIMES.find(({ name }) => name === "deno");

test("an error under Deno without --allow-ffi names the flag", {
  skip: deno?.missing ?? false,
}, () => {
  for (const flags of [[], ["--allow-ffi=libc.so.6"]]) {
    const args = ["run", "--no-prompt", ...flags, OPEN];
    const options = { encoding: "utf8", env: { ...env, NO_COLOR: "1" } } as const;
    const { status, stderr } = spawnSync(deno?.path ?? "", args, options);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /UnsupportedError: polloi calls libc through Deno's FFI, which is not permitted here; run deno with --allow-ffi$/m,
    );
  }
});

test("Deno needs no permission but --allow-ffi", { skip: deno?.missing ?? false }, () => {
  const args = ["run", "--no-prompt", "--allow-ffi", OPEN];
  const { status, stderr } = spawnSync(deno?.path ?? "", args, { encoding: "utf8" });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});
