/** The fuzzer of the parser, run for a few seconds, and its corpus. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { corpus, escaped, fuzz, unescaped } from "./fuzz.ts";
import { assertSound } from "./invariants.ts";
import { bytesOf, parseStream } from "./parse-stream.ts";

const SECONDS = 3;

for (const [name, stream] of corpus()) {
  test(`corpus: ${name} is parsed alike wherever it is split, and as the reference parses it`, () => {
    assertSound(
      stream,
      Array.from({ length: stream.length }, (_, k) => [k]),
    );
  });
}

test("names in the corpus begin with bad- if and only if the stream is refused", () => {
  const streams = [...corpus()];
  assert.ok(streams.length >= 10);
  for (const [name, stream] of streams) {
    const { failure, idle } = parseStream(bytesOf(stream));
    assert.equal(failure === undefined, !name.startsWith("bad-"), `${name}: ${failure}`);
    if (failure === undefined) assert.ok(idle, `${name} is not complete`);
  }
});

test("the format of the corpus can express every byte", () => {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");
  assert.equal(unescaped(escaped(all)), all);
});

test(`${SECONDS} seconds of fuzzing find no violated invariant`, () => {
  const seed = Math.floor(Math.random() * 1_000_000);
  const { streams, finding } = fuzz({ seconds: SECONDS, seed });
  const shown = finding === undefined ? "" : `${escaped(finding.stream)}\n${finding.error}`;
  assert.ok(finding === undefined, `seed ${seed}, after ${streams} streams:\n${shown}`);
});
