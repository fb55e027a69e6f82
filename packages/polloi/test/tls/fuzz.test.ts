/** The fuzzer of TLS sessions, run for a second. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzz } from "./fuzz.ts";
import { whyNoTls } from "./pair.ts";

const SECONDS = 1;

test(`${SECONDS} second of fuzzing finds no violated invariant`, { skip: whyNoTls() }, () => {
  const seed = Math.floor(Math.random() * 1_000_000);
  const { finding } = fuzz({ seconds: SECONDS, seed });
  assert.ok(finding === undefined, `seed ${finding?.seed}: ${finding?.error}`);
});
