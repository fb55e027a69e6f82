import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted } from "./excerpt.ts";

test("an excerpt is one line that no terminal takes for a command", () => {
  assert.equal(quoted("hello\n", 6, 30), '"hello\\n"');
  assert.equal(quoted('a"b\\c', 5, 30), '"a\\"b\\\\c"');
  assert.equal(quoted("\u001b[2J\u0000\u00e4", 6, 30), '"\\x1b[2J\\x00\\xe4"');
});

test("an excerpt that is not all says so, and never takes more room than it has", () => {
  assert.equal(quoted("abc", 100, 30), '"abc"...');
  assert.equal(quoted("abcdefghijkl", 12, 14), '"abcdefghijkl"');
  assert.equal(quoted("abcdefghijkl", 12, 13), '"abcdefgh"...');
  for (let width = 8; width < 20; width++) {
    for (const text of ["abcdefghijkl", "\n".repeat(12), "\u0000".repeat(12)]) {
      for (const length of [12, 13]) {
        const line = quoted(text, length, width);
        assert.ok(line.length <= width, `${line} in ${width}`);
      }
    }
  }
});
