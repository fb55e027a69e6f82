/** A program that esbuild or Bun has bundled into one file, or compiled into an executable, on every runtime. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execPath, stderr } from "node:process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runtimes } from "./runtimes/installed.ts";

const DIST: string = fileURLToPath(new URL("..", import.meta.url));
const ESBUILD: string = join(DIST, "../node_modules/esbuild/bin/esbuild");
/** The program, the module of its workers, and the thread in which polloi runs that module. */
const ENTRIES: readonly string[] = [
  "test/programs/bundled.js",
  "test/programs/bundled-worker.js",
  "../packages/polloi/dist/thread.js",
].map((entry) => join(DIST, entry));
const EXPECTED = "answered here, answered by a worker\n";
const LONGEST_MS = 60_000;

const installed = runtimes((line) => stderr.write(`# ${line}\n`));
const bun = installed.find(({ name }) => name === "bun");
const noBun = bun?.missing ?? false;
/** Below dist, so that koffi is found, which is native and not bundled. */
let folder = "";

before(() => {
  folder = mkdtempSync(join(DIST, "bundles-"));
});
after(() => rmSync(folder, { recursive: true }));

function runs(path: string, args: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(path, args, {
    encoding: "utf8",
    timeout: LONGEST_MS,
  });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: EXPECTED, stderr: "" });
}

/** Runs `bun build` with the output folder `to`. @returns The path of that folder. */
function bunBuilds(to: string, args: readonly string[]): string {
  const outdir = join(folder, to);
  const { status, stderr } = spawnSync(
    bun?.path ?? "",
    ["build", ...ENTRIES, "--entry-naming=[name].[ext]", "--external=koffi", ...args],
    { cwd: folder, encoding: "utf8", timeout: LONGEST_MS },
  );
  assert.equal(status, 0, stderr);
  return outdir;
}

test("a bundle by esbuild serves, sleeps, resolves names and starts workers", {
  skip: existsSync(ESBUILD) ? false : "esbuild is not installed: run npm ci",
}, async (t) => {
  const outdir = join(folder, "esbuild");
  const flags = ["--bundle", "--platform=node", "--format=esm", "--external:koffi"];
  const args = [...ENTRIES, ...flags, "--entry-names=[name]", `--outdir=${outdir}`];
  // A script for Node, or the program itself if npm has run esbuild's install script.
  const { status, stderr } = spawnSync(ESBUILD, args, { encoding: "utf8", timeout: LONGEST_MS });
  assert.equal(status, 0, stderr);
  const program = join(outdir, "bundled.js");
  await t.test("on node", () => runs(execPath, [program]));
  for (const { name, path, flags, missing } of installed) {
    await t.test(`on ${name} of npm`, { skip: missing ?? false }, () => {
      runs(path ?? "", [...flags, program]);
    });
  }
});

test("a bundle by bun build serves, sleeps, resolves names and starts workers", {
  skip: noBun,
}, () => {
  const outdir = bunBuilds("bun", ["--target=bun", `--outdir=${join(folder, "bun")}`]);
  runs(bun?.path ?? "", [join(outdir, "bundled.js")]);
});

test("an executable by bun build --compile serves, sleeps, resolves names and starts workers", {
  skip: noBun,
}, () => {
  runs(bunBuilds("executable", ["--compile", `--outfile=${join(folder, "executable")}`]), []);
});
