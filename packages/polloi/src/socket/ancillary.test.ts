import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Arena } from "../sys/arena.ts";
import {
  type AncillaryMessage,
  ancillaryLength,
  ancillarySpace,
  decodeAncillary,
  encodeAncillary,
  encodedLength,
} from "./ancillary.ts";
import { SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET } from "./constants.ts";

const OFFSET = 8;

function dirtyArena(length: number): Arena {
  const arena = new Arena(0, new ArrayBuffer(OFFSET + Math.ceil(length / 8) * 8 + 8));
  arena.u8.fill(0xaa);
  return arena;
}

const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const rights = fc.record({ fds: fc.array(fc.nat(0x7fffffff), { maxLength: 253 }) });
const credentials = fc.record({ credentials: fc.record({ pid: int32, uid: uint32, gid: uint32 }) });
const raw = fc
  .record({ level: int32, type: int32, data: fc.uint8Array({ maxLength: 100 }) })
  .filter(({ level, type }) => level !== SOL_SOCKET || type > SCM_CREDENTIALS || type < SCM_RIGHTS);
// The records of fast-check have no prototype, which deepEqual compares. A clone has one.
const messages: fc.Arbitrary<AncillaryMessage[]> = fc
  .array(fc.oneof(rights, credentials, raw), { maxLength: 5 })
  .map((list) => list.map((message) => structuredClone(message)));

describe("ancillary data", () => {
  test("messages are unchanged after encoding and decoding", () => {
    fc.assert(
      fc.property(messages, (list) => {
        const length = encodedLength(list);
        const arena = dirtyArena(length);
        encodeAncillary(arena, OFFSET, list);
        assert.deepEqual(decodeAncillary(arena, OFFSET, length), list);
        assert.ok(arena.u8.subarray(0, OFFSET).every((byte) => byte === 0xaa));
        assert.ok(arena.u8.subarray(OFFSET + length).every((byte) => byte === 0xaa));
      }),
    );
  });

  test("in a truncated message every complete descriptor is found, and none beyond the end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(0x7fffffff), { maxLength: 20 }),
        fc.nat({ max: 200 }),
        (fds, cut) => {
          const arena = dirtyArena(200);
          encodeAncillary(arena, OFFSET, [{ fds }]);
          const length = Math.min(cut, ancillaryLength(fds.length * 4));
          const whole = Math.max(0, Math.floor((length - ancillaryLength(0)) / 4));
          const found = decodeAncillary(arena, OFFSET, length);
          assert.deepEqual(
            found.flatMap((message) => ("fds" in message ? message.fds : [])),
            fds.slice(0, whole),
          );
        },
      ),
    );
  });

  test("decoding any bytes ends and stays within them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 256 }), (bytes) => {
        const arena = dirtyArena(bytes.length);
        arena.u8.set(bytes, OFFSET);
        const found = decodeAncillary(arena, OFFSET, bytes.length);
        assert.ok(found.length <= bytes.length / ancillaryLength(0));
      }),
    );
  });

  test("space is aligned, length is not", () => {
    assert.deepEqual([0, 1, 4, 8, 9].map(ancillaryLength), [16, 17, 20, 24, 25]);
    assert.deepEqual([0, 1, 4, 8, 9].map(ancillarySpace), [16, 24, 24, 24, 32]);
  });
});
