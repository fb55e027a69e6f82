import assert from "node:assert/strict";
import { test } from "node:test";
import { Arena } from "../sys/arena.ts";
import { Copies } from "./copies.ts";

/** Memory whose every byte tells where it is, but for a period of 251. */
function arena(bytes: number): Arena {
  const memory = new Arena(0, new ArrayBuffer(bytes));
  for (let i = 0; i < bytes; i++) memory.u8[i] = i % 251;
  return memory;
}

const memory: Arena = arena(200_000);
const lengths: readonly number[] = [
  1, 63, 64, 65, 127, 128, 129, 1000, 16_383, 16_384, 16_385, 90_000,
];

test("a copy has the bytes, at every size, and keeps them when what was copied changes", () => {
  const copies = new Copies();
  const source = arena(200_000);
  const taken = lengths.map((length) => ({ length, copy: copies.copy(source, 777, length) }));
  source.u8.fill(0xff);
  for (const { length, copy } of taken) {
    assert.deepEqual(copy, memory.u8.slice(777, 777 + length));
  }
});

test("copies share memory and never bytes", () => {
  const copies = new Copies();
  const taken = Array.from({ length: 500 }, (_, i) => copies.copy(memory, i, 65 + (i % 900)));
  for (const [i, copy] of taken.entries()) copy.fill(i % 256);
  for (const [i, copy] of taken.entries()) assert.ok(copy.every((byte) => byte === i % 256));
  assert.ok(new Set(taken.map(({ buffer }) => buffer)).size < 10);
  // Where numbers of every size may begin.
  for (const { byteOffset } of taken) assert.equal(byteOffset % 8, 0);
});

test("a copy whose memory was given away takes no later one along", () => {
  const copies = new Copies();
  const { buffer } = copies.copy(memory, 0, 100);
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  assert.deepEqual(copies.copy(memory, 5, 100), memory.u8.slice(5, 105));
});
