import assert from "node:assert/strict";
import { test } from "node:test";
import { threeFigures, timeText } from "./table.ts";

test("numbers have three significant figures, and rounding never adds a fourth", () => {
  const written = [0.1234, 0.99951, 1.234, 9.996, 12.34, 99.96, 123.4, 12_345].map(threeFigures);
  assert.deepEqual(written, ["0.123", "1.00", "1.23", "10.0", "12.3", "100", "123", "12,345"]);
});

test("a time has the unit of its magnitude", () => {
  assert.deepEqual([0.85, 1, 10, 183.6, 1000, 9034].map(timeText), [
    "850 ns",
    "1 µs",
    "10 µs",
    "180 µs",
    "1 ms",
    "9 ms",
  ]);
});
