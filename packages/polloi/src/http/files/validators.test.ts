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

test("a file whose last change is in the future has a weak tag, be it by less than the clock's unit", () => {
  const tagAt = (nowMs: number) => validatorsOf(facts, "identity", nowMs).etag;
  const written = { ...facts, nanoseconds: 5_999_999 };
  assert.match(validatorsOf(written, "identity", CHANGED_MS).etag, /^W\/"/);
  for (const ahead of [1, 5, 19, 20, 1000, 3_600_000]) {
    assert.match(tagAt(CHANGED_MS - ahead), /^W\/"/, `${ahead} ms ahead`);
  }
  for (const age of [0, 1, 19]) assert.match(tagAt(CHANGED_MS + age), /^W\/"/, `${age} ms old`);
  assert.match(tagAt(CHANGED_MS + 20), /^"/);
});

test("where times are whole seconds, a tag is weak for longer", () => {
  const whole = { ...facts, nanoseconds: 0 };
  assert.match(validatorsOf(whole, "identity", 1_700_000_001_000).etag, /^W\/"/);
  assert.match(validatorsOf(whole, "identity", 1_700_000_003_000).etag, /^"/);
});
