import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestOf } from "./nearest.ts";

const NAMES = ["host", "port", "path", "data", "module", "model", "timeoutMs", "end"];

test("the nearest name is the one that differs least, or that is begun", () => {
  for (const [word, nearest] of [
    ["prot", "port"],
    ["dta", "data"],
    ["modul", "module"],
    ["hostname", "host"],
    ["TIMEOUTMS", "timeoutMs"],
    ["timeout", "timeoutMs"],
    ["ends", "end"],
    ["endpoint", undefined],
    ["xyzzy", undefined],
    ["", undefined],
  ]) {
    assert.equal(nearestOf(word as string, NAMES), nearest, word);
  }
});
