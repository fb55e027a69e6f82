import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Arena } from "./arena.ts";

describe("Arena.bytesAt", () => {
  const arena = new Arena(0x1000, new ArrayBuffer(16_384));

  test("every part that is asked for has its offset and its length", () => {
    // In an order in which each length is asked for before and after another one.
    for (const length of [1, 64, 4096, 64, 1]) {
      for (const offset of [0, 64, 1, 65, 4032, 4096, 8192, 12_288, 0]) {
        const bytes = arena.bytesAt(offset, length);
        assert.equal(bytes.buffer, arena.buffer);
        assert.equal(bytes.byteOffset, offset);
        assert.equal(bytes.length, length);
      }
    }
  });

  test("the part of a message of the same length at the same offset is not made again", () => {
    assert.equal(arena.bytesAt(128, 64), arena.bytesAt(128, 64));
  });

  test("two parts at the same offset are different arrays", () => {
    const longer = arena.bytesAt(192, 20);
    const shorter = arena.bytesAt(192, 10);
    assert.notEqual(longer, shorter);
    assert.equal(longer.length, 20);
  });
});
