import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readRanges } from "./ranges.ts";

test("ranges are not empty and lie within the file", () => {
  const number = fc.oneof(fc.nat(300), fc.bigInt({ min: 0n }), fc.constant(""));
  const spec = fc.tuple(number, number).map(([first, last]) => `${first}-${last}`);
  fc.assert(
    fc.property(fc.array(spec, { maxLength: 6 }), fc.nat(200), (specs, size) => {
      const ranges = readRanges(`bytes=${specs.join(",")}`, size) ?? [];
      for (const { offset, length } of ranges) {
        assert.ok(Number.isInteger(offset) && offset >= 0 && length > 0);
        assert.ok(offset + length <= size, `${offset} and ${length} of ${size}`);
      }
    }),
  );
});
