import assert from "node:assert/strict";
import { test } from "node:test";
import { kernel } from "../sys/open.ts";
import { BLOCK_BYTES, Blocks } from "./blocks.ts";

const LENGTH = 4 * BLOCK_BYTES;

test("no more long blocks are lent for parts of a body than are kept", () => {
  const blocks = new Blocks(kernel);
  const taken = [];
  for (let block = blocks.takeLongFor(LENGTH); block !== null; block = blocks.takeLongFor(LENGTH)) {
    assert.ok(block.bytes.length >= LENGTH);
    taken.push(block);
    assert.ok(taken.length < 1000, "there is no limit");
  }
  assert.equal(blocks.used, taken.length);
  // Records of TLS have to be sent in any case.
  const records = blocks.takeFor(LENGTH);
  assert.equal(blocks.takeLongFor(LENGTH), null);
  blocks.give(records);
  for (const block of taken) blocks.give(block);
  assert.equal(blocks.used, 0);
  const again = blocks.takeLongFor(LENGTH);
  assert.ok(again !== null && taken.includes(again));
  blocks.give(again);
  blocks.dispose();
});

test("a part that is longer than every block gets none", () => {
  const blocks = new Blocks(kernel);
  assert.equal(blocks.takeLongFor(100_000), null);
  blocks.dispose();
});
