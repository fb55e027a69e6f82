import assert from "node:assert/strict";
import { test } from "node:test";
import { readHttpDate } from "./date.ts";

const NOW: number = Date.UTC(2026, 5, 1);

test("the three forms of a date are one moment", () => {
  for (const text of [
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
  ]) {
    assert.equal(readHttpDate(text, NOW), 784_111_777, text);
  }
});

test("a year of two digits is at most 50 years ahead", () => {
  const yearOf = (digits: string): number =>
    new Date(readHttpDate(`Sunday, 06-Nov-${digits} 08:49:37 GMT`, NOW) * 1000).getUTCFullYear();
  assert.deepEqual(["26", "27", "76", "77", "99"].map(yearOf), [2026, 2027, 2076, 1977, 1999]);
});

test("text that is not a date is rejected", () => {
  for (const text of [
    "",
    "0",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nux 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:00 GMT",
    "1994-11-06T08:49:37Z",
    " Sun, 06 Nov 1994 08:49:37 GMT",
  ]) {
    assert.ok(Number.isNaN(readHttpDate(text, NOW)), text);
  }
});
