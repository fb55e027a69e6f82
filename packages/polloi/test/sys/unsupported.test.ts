/** On an unsupported platform the import fails with one line that says why. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execPath } from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const OPEN: string = fileURLToPath(new URL("../../src/sys/open.js", import.meta.url));

/** Imports `module` in a new process that runs `prelude` first. */
function importing(module: string, prelude: string): { line: string; status: number | null } {
  const code = `
    import process from "node:process";
    import { syncBuiltinESMExports } from "node:module";
    ${prelude}
    syncBuiltinESMExports();
    await import(${JSON.stringify(module)}).then(
      () => console.log("imported"),
      ({ name, code, message }) => console.log(name, code, message),
    );`;
  const args = ["--input-type=module", "--eval", code];
  const { stdout, status } = spawnSync(execPath, args, { encoding: "utf8" });
  return { line: stdout.trimEnd(), status };
}

test("the same import works on this platform", () => {
  assert.deepEqual(importing(OPEN, ""), { line: "imported", status: 0 });
});

test("on another system than Linux, the line names the platform", () => {
  const prelude = `Object.defineProperty(process, "platform", { value: "darwin" });`;
  assert.equal(
    importing(OPEN, prelude).line,
    "UnsupportedError ERR_UNSUPPORTED_PLATFORM polloi requires Linux, because it makes Linux system calls directly; this is darwin",
  );
});

test("on an unsupported processor, the line names it", () => {
  const prelude = `Object.defineProperty(process, "arch", { value: "riscv64" });`;
  assert.equal(
    importing(OPEN, prelude).line,
    "UnsupportedError ERR_UNSUPPORTED_PLATFORM polloi supports x64 and arm64; this is riscv64",
  );
});

test("without koffi under Node, the line says what to install", () => {
  const folder = mkdtempSync(join(tmpdir(), "polloi-"));
  try {
    // The same files, in a folder without node_modules above it.
    cpSync(fileURLToPath(new URL("../../src", import.meta.url)), join(folder, "src"), {
      recursive: true,
    });
    writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
    const { line } = importing(join(folder, "src/sys/open.js"), "");
    assert.match(
      line,
      /^UnsupportedError ERR_UNSUPPORTED_PLATFORM polloi calls libc through koffi, which did not load: Cannot find module 'koffi'; run "npm install koffi".*$/,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
