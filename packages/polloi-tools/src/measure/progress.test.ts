import assert from "node:assert/strict";
import { test } from "node:test";
import { ProgressLine, timeLeftText } from "./progress.ts";

test("the time left is estimated from the time so far, and unknown at first", () => {
  assert.equal(timeLeftText({ elapsedMs: 10_000, share: 0.25 }), "about 30 s left");
  assert.equal(timeLeftText({ elapsedMs: 60_000, share: 0.1 }), "about 9 min left");
  assert.equal(timeLeftText({ elapsedMs: 100, share: 0.5 }), "");
  assert.equal(timeLeftText({ elapsedMs: 10_000, share: 0 }), "");
});

/** The output of a run with a step each second. */
function written(stream: { isTTY: boolean; columns?: number }, steps: number): string[] {
  const texts: string[] = [];
  let now = 0;
  const line = new ProgressLine({ ...stream, write: (text) => texts.push(text) }, () => now);
  for (let done = 0; done < steps; done++) {
    now += 1000;
    line.step(`part ${done}`, { done, steps });
  }
  line.end();
  return texts;
}

test("on a terminal one line is overwritten, never wider than the terminal, and removed at the end", () => {
  const texts = written({ isTTY: true, columns: 40 }, 8);
  assert.equal(texts.length, 9);
  for (const text of texts) {
    assert.ok(text.startsWith("\r\u001b[K"));
    assert.ok(!text.includes("\n"));
    assert.ok(text.length - "\r\u001b[K".length < 40);
  }
  assert.equal(texts.at(-1), "\r\u001b[K");
});

test("elsewhere a line is printed every few seconds, without escape sequences", () => {
  const texts = written({ isTTY: false }, 12);
  assert.equal(texts.length, 2);
  for (const text of texts) assert.match(text, /^ *\d+ % {2}about \d+ s left {2}part \d+\n$/);
});
