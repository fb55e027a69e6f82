import assert from "node:assert/strict";
import { test } from "node:test";
import { Arena } from "../sys/arena.ts";
import { BufferPool } from "./buffer-pool.ts";

/** Memory whose bytes follow from their offset, with a period of 251. */
function arena(bytes: number): Arena {
  const memory = new Arena(0, new ArrayBuffer(bytes));
  for (let i = 0; i < bytes; i++) memory.u8[i] = i % 251;
  return memory;
}

const memory: Arena = arena(200_000);
const lengths: readonly number[] = [
  1, 63, 64, 65, 127, 128, 129, 1000, 16_383, 16_384, 16_385, 90_000,
];

test("a copy of any size keeps its bytes when the source changes", () => {
  const pool = new BufferPool();
  const source = arena(200_000);
  const copies = lengths.map((length) => ({ length, copy: pool.copy(source, 777, length) }));
  source.u8.fill(0xff);
  for (const { length, copy } of copies) {
    assert.deepEqual(copy, memory.u8.slice(777, 777 + length));
  }
});

test("copies share buffers, and never overlap", () => {
  const pool = new BufferPool();
  const copies = Array.from({ length: 500 }, (_, i) => pool.copy(memory, i, 65 + (i % 900)));
  for (const [i, copy] of copies.entries()) copy.fill(i % 256);
  for (const [i, copy] of copies.entries()) assert.ok(copy.every((byte) => byte === i % 256));
  assert.ok(new Set(copies.map(({ buffer }) => buffer)).size < 10);
  // Aligned for numbers of every size.
  for (const { byteOffset } of copies) assert.equal(byteOffset % 8, 0);
});

test("a copy whose buffer was transferred does not affect later copies", () => {
  const pool = new BufferPool();
  const { buffer } = pool.copy(memory, 0, 100);
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  assert.deepEqual(pool.copy(memory, 5, 100), memory.u8.slice(5, 105));
});
