/** The parser under the fuzzer for a few seconds, and the corpus that it begins with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { corpus, escaped, fuzz, unescaped } from "./fuzz.ts";
import { assertSound } from "./invariants.ts";
import { bytesOf, parseStream } from "./parse-stream.ts";

const SECONDS = 3;

for (const [name, stream] of corpus()) {
  test(`corpus: ${name} is read the same cut anywhere, and as the reference reads it`, () => {
    assertSound(
      stream,
      Array.from({ length: stream.length }, (_, k) => [k]),
    );
  });
}

test("the corpus says by its names what is accepted", () => {
  const streams = [...corpus()];
  assert.ok(streams.length >= 10);
  for (const [name, stream] of streams) {
    const { failure, idle } = parseStream(bytesOf(stream));
    assert.equal(failure === undefined, !name.startsWith("bad-"), `${name}: ${failure}`);
    if (failure === undefined) assert.ok(idle, `${name} is not complete`);
  }
});

test("what the corpus is written in holds every byte", () => {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");
  assert.equal(unescaped(escaped(all)), all);
});

test(`nothing is found in ${SECONDS} seconds of fuzzing`, () => {
  const seed = Math.floor(Math.random() * 1_000_000);
  const { streams, finding } = fuzz({ seconds: SECONDS, seed });
  const shown = finding === undefined ? "" : `${escaped(finding.stream)}\n${finding.error}`;
  assert.ok(finding === undefined, `seed ${seed}, after ${streams} streams:\n${shown}`);
});
