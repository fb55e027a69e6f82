import assert from "node:assert/strict";
import { test } from "node:test";
import { descriptorsFor, sizesWithin } from "./descriptors.ts";

const single = { need: { always: 3, perIdle: 1 }, open: 20 };

test("sizes that fit are measured as requested, without a note", () => {
  const limit = descriptorsFor(100, single.need, single.open);
  assert.deepEqual(sizesWithin(limit, [10, 100], single), { sizes: [10, 100] });
});

test("one descriptor too few reduces the largest size by one, with a note", () => {
  const limit = descriptorsFor(100, single.need, single.open) - 1;
  const { sizes, note } = sizesWithin(limit, [10, 100], single);
  assert.deepEqual(sizes, [10, 99]);
  assert.match(
    note as string,
    new RegExp(`100 idle.* limit of ${limit + 1}.* is ${limit} .*to 99`),
  );
});

test("pairs need two descriptors for each idle one", () => {
  const pairs = { need: { always: 3, perIdle: 2 }, open: 20 };
  const limit = descriptorsFor(100, single.need, single.open);
  assert.deepEqual(sizesWithin(limit, [10, 100], pairs).sizes, [10, 50]);
});

test("a size that fits exactly is not measured twice", () => {
  const limit = descriptorsFor(10, single.need, single.open);
  assert.deepEqual(sizesWithin(limit, [10, 100], single).sizes, [10]);
});

test("a limit below the smallest size leaves no sizes, and the note says what that size needs", () => {
  const limit = descriptorsFor(10, single.need, single.open) - 1;
  const { sizes, note } = sizesWithin(limit, [10, 100], single);
  assert.deepEqual(sizes, []);
  assert.match(note as string, new RegExp(`^10 idle.* limit of ${limit + 1}, .* is ${limit}`));
});
