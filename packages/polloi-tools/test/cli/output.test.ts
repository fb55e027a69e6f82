/** The command line when its output cannot be written, on every runtime. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Runtime, runtimes } from "../../../../test/runtimes/installed.ts";
import { folder, MAIN, Program } from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";

const NODE: Runtime = { name: "node", flags: [], path: process.execPath };
const ROOT: string = fileURLToPath(new URL("../../../../..", import.meta.url));
const FULL = "polloi: cannot write to standard output: no space is left on the device (ENOSPC)\n";

/** Commands that print a result. */
const RESULTS: readonly string[] = [
  "serve --help",
  "help lab idle",
  "doctor",
  "load tcp://127.0.0.1:1 -c 1 --json",
  "lab idle --from docs/pictures/lab-idle.json",
];

/** Runs a shell script in which `polloi` is the command under `runtime`. */
function shell({ path = "", flags }: Runtime, line: string): ReturnType<typeof spawnSync> {
  const command = [path, ...flags, Program.file(MAIN)].join(" ");
  const script = `polloi() { ${command} "$@"; }\n${line}`;
  return spawnSync("sh", ["-c", script], { encoding: "utf8", cwd: ROOT });
}

for (const runtime of [NODE, ...runtimes((line) => console.log(line))]) {
  const { missing, name, version = process.version } = runtime;
  describe(`output that cannot be written, on ${name} ${version}`, {
    timeout: SUITE_TIMEOUT_MS,
    skip: missing ?? false,
  }, () => {
    test("a command ends without a message when the reader has left", () => {
      using at = folder();
      const pipe = join(at.path, "pipe");
      // Descriptor 4 is a pipe whose only reader has closed it.
      const open = `mkfifo ${pipe}; exec 3<> ${pipe} 4> ${pipe} 3<&-`;
      const all = RESULTS.map((args) => `polloi ${args} >&4; echo $?`).join("\n");
      const { stdout, stderr } = shell(runtime, `${open}\n${all}`);
      assert.equal(stderr, "");
      assert.equal(stdout, "141\n".repeat(RESULTS.length));
    });

    test("a full disk is reported in one line, with exit code 1", () => {
      const all = RESULTS.map((args) => `polloi ${args} > /dev/full; echo $?`).join("\n");
      const { stdout, stderr } = shell(runtime, all);
      assert.equal(stderr, FULL.repeat(RESULTS.length));
      assert.equal(stdout, "1\n".repeat(RESULTS.length));
    });

    test("messages that cannot be written do not change the exit code", () => {
      const line = "(polloi serv; echo $?; polloi connect 127.0.0.1:1; echo $?) 2> /dev/full";
      assert.equal(shell(runtime, line).stdout, "2\n1\n");
    });
  });
}

test("a disk that becomes full within a result is reported", () => {
  using at = folder();
  // The limit of a file is one block of 512 bytes.
  const line = `ulimit -f 1; trap '' XFSZ; polloi serve --help > ${join(at.path, "help")}`;
  const { status, stderr } = shell(NODE, line);
  assert.match(`${stderr}`, /^polloi: cannot write to standard output: .*\(EFBIG\)\n$/);
  assert.equal(status, 1);
});
