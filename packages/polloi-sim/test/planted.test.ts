import assert from "node:assert/strict";
import { test } from "node:test";
import { builtFiles } from "../src/simulate/planted.ts";
import { apply, PLANTS } from "../src/simulate/plants.ts";

test("every planted fault applies to the library that is built", () => {
  const files = builtFiles();
  assert.ok(PLANTS.length >= 30, `${PLANTS.length}`);
  for (const { name, patches } of PLANTS) {
    assert.doesNotThrow(() => {
      const copy = new Map(files);
      for (const patch of patches) apply(copy, patch);
    }, name);
  }
});

test("the names of planted faults differ in their first word", () => {
  const words = PLANTS.map(({ name }) => name.split(":")[0]);
  assert.equal(new Set(words).size, words.length);
});
