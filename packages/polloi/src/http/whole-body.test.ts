import assert from "node:assert/strict";
import { test } from "node:test";
import { WholeBody } from "./whole-body.ts";

const LENGTHS = [0, 1, 4096, 4097, 100_000, 131_072, 131_073, 1_500_000] as const;

function bodyOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i % 251);
}

test("a body is the bytes that arrived, in whatever pieces, and nothing else of its buffer", () => {
  for (const length of LENGTHS) {
    const body = bodyOf(length);
    for (const expected of [length, -1]) {
      for (const size of [length, 65_536, 1000].filter((each) => each > 0)) {
        const whole = new WholeBody(expected);
        for (let at = 0; at < length; at += size) whole.add(body.subarray(at, at + size));
        const bytes = whole.take();
        assert.ok(Buffer.from(body).equals(bytes), `${length} bytes in pieces of ${size}`);
        assert.equal(bytes.buffer.byteLength, length);
      }
    }
  }
});

test("bytes beyond the expected length are kept, too", () => {
  const whole = new WholeBody(3);
  whole.add(bodyOf(3));
  whole.add(bodyOf(9));
  assert.deepEqual([...whole.take()], [0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
});

test("each body has a buffer of its own, also an empty one", () => {
  const buffers = [0, 0, 5, 5].map((length) => {
    const whole = new WholeBody(length);
    if (length > 0) whole.add(bodyOf(length));
    return whole.take().buffer;
  });
  assert.equal(new Set(buffers).size, buffers.length);
});

test("a client that announces a long body and sends little makes little be allocated", () => {
  const before = process.memoryUsage().arrayBuffers;
  const bodies = Array.from({ length: 10 }, () => {
    const whole = new WholeBody(2 ** 40);
    whole.add(bodyOf(1000));
    return whole;
  });
  // With the announced length, the first allocation would throw.
  assert.ok(process.memoryUsage().arrayBuffers - before < 10 * 2 ** 20);
  for (const whole of bodies) assert.equal(whole.take().length, 1000);
});

test("memory of a temporary body is used again, and never has the bytes of another one", () => {
  const buffers = new Set<ArrayBuffer>();
  for (const length of [0, 10, 20_000, 100_000, 131_072, 20_000, 131_073, 1_500_000, 30_000]) {
    for (const size of [65_536, 1000]) {
      const body = bodyOf(length);
      const whole = new WholeBody(length, true);
      for (let at = 0; at < length; at += size) whole.add(body.subarray(at, at + size));
      const bytes = whole.take();
      assert.ok(Buffer.from(body).equals(bytes), `${length} bytes in pieces of ${size}`);
      if (bytes.buffer.byteLength === 131_072) buffers.add(bytes.buffer);
      bytes.fill(255);
      WholeBody.reuse(bytes);
    }
  }
  assert.equal(buffers.size, 1);
});

test("two temporary bodies that arrive at the same time have memory of their own", () => {
  const bodies = [1, 2, 3].map((byte) => {
    const whole = new WholeBody(40_000, true);
    whole.add(new Uint8Array(20_000).fill(byte));
    return { byte, whole };
  });
  for (const { byte, whole } of bodies) whole.add(new Uint8Array(20_000).fill(byte));
  for (const { byte, whole } of bodies) {
    const bytes = whole.take();
    assert.ok(bytes.length === 40_000 && bytes.every((each) => each === byte));
    WholeBody.reuse(bytes);
  }
});
