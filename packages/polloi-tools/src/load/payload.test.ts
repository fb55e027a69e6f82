import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberedPayload, type Payload, PlainPayload } from "./payload.ts";

/** The bytes of a message, written in one piece or in two. */
function written(payload: Payload, connection: number, sequence: number, cut = 0): Buffer {
  const pieces: Uint8Array[] = [];
  // Copied, because the next piece may use the same memory.
  const sink = { write: (bytes: Uint8Array) => pieces.push(bytes.slice()) > 0 };
  if (cut > 0) payload.write(sink, connection, sequence, 0, cut);
  payload.write(sink, connection, sequence, cut, payload.size);
  return Buffer.concat(pieces);
}

const sizes: fc.Arbitrary<number> = fc.oneof(
  fc.integer({ min: 16, max: 300 }),
  fc.constantFrom(1023, 1024, 1025, 1028, 5000),
);
const numbers: fc.Arbitrary<number> = fc.oneof(fc.nat(3), fc.nat(0x7fffffff));

test("a message matches itself, in whatever pieces it is written or compared", () => {
  fc.assert(
    fc.property(
      sizes,
      numbers,
      numbers,
      fc.nat(),
      fc.nat(7),
      (size, connection, sequence, at, skew) => {
        const payload = new NumberedPayload(size);
        const cut = at % size;
        const message = written(payload, connection, sequence, cut);
        assert.deepEqual(message, written(payload, connection, sequence));
        assert.deepEqual(
          Buffer.from(payload.start(connection, sequence, cut)),
          message.subarray(0, cut),
        );
        assert.equal(payload.sequenceAt(connection, message, 0), sequence);
        // At any alignment, and in any pieces.
        const bytes = new Uint8Array(size + 8).subarray(skew, skew + size);
        bytes.set(message);
        assert.equal(payload.differs(connection, sequence, 0, bytes, 0, size), false);
        assert.equal(payload.differs(connection, sequence, 0, bytes, 0, cut), false);
        assert.equal(payload.differs(connection, sequence, cut, bytes, cut, size - cut), false);
      },
    ),
  );
});

test("a changed bit is detected at any offset and alignment", () => {
  fc.assert(
    fc.property(
      sizes,
      numbers,
      fc.nat(),
      fc.nat(7),
      fc.nat(7),
      (size, sequence, place, bit, skew) => {
        const payload = new NumberedPayload(size);
        const bytes = new Uint8Array(size + 8).subarray(skew, skew + size);
        bytes.set(written(payload, 5, sequence));
        const at = place % size;
        bytes[at] = (bytes[at] as number) ^ (1 << bit);
        assert.equal(payload.differs(5, sequence, 0, bytes, 0, size), true);
        assert.equal(payload.differs(5, sequence, at, bytes, at, 1), true);
      },
    ),
  );
});

test("a message does not match another of the same connection or of another one", () => {
  const payload = new NumberedPayload(64);
  for (let sequence = 0; sequence < 50; sequence++) {
    const bytes = written(payload, 3, sequence);
    assert.equal(payload.differs(3, sequence + 1, 0, bytes, 0, 64), true);
    assert.equal(payload.differs(4, sequence, 0, bytes, 0, 64), true);
    assert.equal(payload.sequenceAt(4, bytes, 0), -1);
    for (let at = 1; at <= 48; at++) assert.equal(payload.sequenceAt(3, bytes, at), -1);
  }
});

test("every message of a PlainPayload has the given bytes", () => {
  const payload = new PlainPayload(Buffer.from("given"));
  assert.equal(written(payload, 1, 7).toString(), "given");
  assert.equal(payload.differs(1, 7, 1, Buffer.from("xivex"), 1, 3), false);
  assert.equal(payload.differs(1, 7, 0, Buffer.from("xiven"), 0, 5), true);
  assert.equal(payload.sequenceAt(), -1);
});
