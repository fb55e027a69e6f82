import assert from "node:assert/strict";
import { test } from "node:test";
import { ProgressLine, timeLeftText } from "./progress.ts";

test("the time left is what the rest takes at the pace so far, and unknown at first", () => {
  assert.equal(timeLeftText({ elapsedMs: 10_000, share: 0.25 }), "about 30 s left");
  assert.equal(timeLeftText({ elapsedMs: 60_000, share: 0.1 }), "about 9 min left");
  assert.equal(timeLeftText({ elapsedMs: 100, share: 0.5 }), "");
  assert.equal(timeLeftText({ elapsedMs: 10_000, share: 0 }), "");
});

/** What a run of steps, a second apart, writes. */
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

test("on a terminal one line is written over, never wider than it, and taken away in the end", () => {
  const texts = written({ isTTY: true, columns: 40 }, 8);
  assert.equal(texts.length, 9);
  for (const text of texts) {
    assert.ok(text.startsWith("\r\u001b[K"));
    assert.ok(!text.includes("\n"));
    assert.ok(text.length - "\r\u001b[K".length < 40);
  }
  assert.equal(texts.at(-1), "\r\u001b[K");
});

test("elsewhere there is a whole line now and then, without codes", () => {
  const texts = written({ isTTY: false }, 12);
  assert.equal(texts.length, 2);
  for (const text of texts) assert.match(text, /^ *\d+ % {2}about \d+ s left {2}part \d+\n$/);
});
