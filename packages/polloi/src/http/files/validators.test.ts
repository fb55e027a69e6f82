import assert from "node:assert/strict";
import { test } from "node:test";
import { validatorsOf } from "./validators.ts";

const stat = {
  kind: "file",
  size: 10,
  seconds: 1_700_000_000,
  nanoseconds: 5_000_000,
  inode: 1,
  device: 1,
} as const;
const CHANGED_MS = 1_700_000_000_005;

test("a file whose last change is younger than a tick of the clock has a weak tag", () => {
  const tagAfter = (ms: number) => validatorsOf(stat, "identity", CHANGED_MS + ms).etag;
  assert.match(tagAfter(1), /^W\/"/);
  assert.match(tagAfter(1000), /^"/);
  assert.equal(`W/${tagAfter(1000)}`, tagAfter(1));
});

test("a file whose last change is in the future has a weak tag, also if by less than a millisecond", () => {
  const tagAt = (nowMs: number) => validatorsOf(stat, "identity", nowMs).etag;
  const written = { ...stat, nanoseconds: 5_999_999 };
  assert.match(validatorsOf(written, "identity", CHANGED_MS).etag, /^W\/"/);
  for (const ahead of [1, 5, 19, 20, 1000, 3_600_000]) {
    assert.match(tagAt(CHANGED_MS - ahead), /^W\/"/, `${ahead} ms ahead`);
  }
  for (const age of [0, 1, 19]) assert.match(tagAt(CHANGED_MS + age), /^W\/"/, `${age} ms old`);
  assert.match(tagAt(CHANGED_MS + 20), /^"/);
});

test("a tag is weak for longer if times are whole seconds", () => {
  const whole = { ...stat, nanoseconds: 0 };
  assert.match(validatorsOf(whole, "identity", 1_700_000_001_000).etag, /^W\/"/);
  assert.match(validatorsOf(whole, "identity", 1_700_000_003_000).etag, /^"/);
});
