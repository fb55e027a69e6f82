import assert from "node:assert/strict";
import { test } from "node:test";
import { validatorsOf } from "./validators.ts";

const facts = {
  kind: "file",
  size: 10,
  seconds: 1_700_000_000,
  nanoseconds: 5_000_000,
  inode: 1,
  device: 1,
} as const;
const CHANGED_MS = 1_700_000_000_005;

test("a file that may change once more within a tick of the clock has a weak tag", () => {
  const tagAfter = (ms: number) => validatorsOf(facts, "identity", CHANGED_MS + ms).etag;
  assert.match(tagAfter(1), /^W\/"/);
  assert.match(tagAfter(1000), /^"/);
  assert.equal(`W/${tagAfter(1000)}`, tagAfter(1));
});

test("where times are whole seconds, a tag is weak for longer", () => {
  const whole = { ...facts, nanoseconds: 0 };
  assert.match(validatorsOf(whole, "identity", 1_700_000_001_000).etag, /^W\/"/);
  assert.match(validatorsOf(whole, "identity", 1_700_000_003_000).etag, /^"/);
});
