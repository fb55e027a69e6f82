import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chdir, cwd } from "node:process";
import { test } from "node:test";
import { duration, durationOrNone, unixSuggestion } from "./flags.ts";

test("a number without a unit is in seconds", () => {
  const times: Readonly<Record<string, number>> = {
    "10": 10_000,
    "10s": 10_000,
    "0.25": 250,
    "500ms": 500,
    "0.5ms": 0.5,
    "2m": 120_000,
    "1.5h": 5_400_000,
  };
  for (const [text, ms] of Object.entries(times)) {
    assert.equal(duration(text), ms, text);
    assert.equal(durationOrNone(text), ms, text);
  }
});

test("0 is a duration only for durationOrNone", () => {
  for (const text of ["0", "00", "0.0", "0ms", "0s", "0h"]) {
    assert.equal(durationOrNone(text), 0, text);
    assert.throws(() => duration(text), /seconds above 0/, text);
  }
});

test("a unix socket is suggested for a name that ends like one, or that is one", async () => {
  assert.equal(unixSuggestion("localhost"), "");
  assert.equal(unixSuggestion("sock"), "");
  assert.equal(unixSuggestion("app.sock"), " (Did you mean unix:app.sock?)");
  const folder = mkdtempSync(join(tmpdir(), "polloi-"));
  const before = cwd();
  const server = createServer();
  try {
    chdir(folder);
    writeFileSync("file", "");
    await new Promise<void>((resolve) => server.listen("talk", resolve));
    assert.equal(unixSuggestion("talk"), " (Did you mean unix:talk?)");
    assert.equal(unixSuggestion("file"), "");
  } finally {
    chdir(before);
    server.close();
    rmSync(folder, { recursive: true });
  }
});

test("invalid durations and those above the limit of timers are rejected", () => {
  for (const text of [
    "",
    "-1",
    "1d",
    "1 s",
    "s",
    "1e3",
    "0x10",
    ".5",
    "Infinity",
    "597h",
    "2147484",
  ]) {
    assert.throws(() => duration(text), /give seconds above 0/, text);
    assert.throws(() => durationOrNone(text), /give seconds above 0/, text);
  }
});
