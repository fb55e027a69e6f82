import assert from "node:assert/strict";
import { ERRNO } from "../../../src/base/errno.ts";
import { SEND_LENT, SEND_MORE } from "../../../src/engine/engine.ts";
import type { Kernel } from "../../../src/sys/kernel.ts";
import { RingReader } from "../../../src/uring/ring-reader.ts";
import { assertSame } from "../../reactor/rig.ts";
import { assertEngineBalance } from "../../support/balance.ts";
import { UringRig } from "./rig.ts";

const BUFFER_BYTES = 65_536;
/** Few, so that few streams exhaust them. */
const BUFFERS = 16;
/** Streams whose peers always have more to send: several for each buffer. */
const BUSY = 64;
/** Streams whose peers send a byte, and the next one after the reply. */
const ASKING = 8;
/** A waiting stream is served within this many turns. Far fewer suffice for all of them, in order. */
const PATIENCE_TURNS = 40;
/** The soak runs for longer. */
const SPAN_MS = 1000;

export const exhaustion: Readonly<Record<string, (rig: UringRig) => void>> = {
  "lent bytes that were sent release their buffer while the sends behind them wait": ({
    kernel,
  }) => {
    using rig = new UringRig(kernel, { maxBuffers: BUFFERS });
    const { engine, reports, opened } = rig;
    const behind = rig.memory(1 << 20);
    const pairs = Array.from({ length: 3 * BUFFERS }, () => opened.pair());
    reports.onReceived = (slot, arena, offset, length) => {
      if (reports.of(slot).received > length) return;
      engine.send(slot, arena.address + offset, length, SEND_LENT | SEND_MORE);
      engine.send(slot, behind.address, behind.byteLength, 0);
    };
    pairs.forEach(([mine, theirs], slot) => {
      const message = new Uint8Array(BUFFER_BYTES).fill(slot + 1);
      kernel.scratch.u8.set(message);
      assert.equal(theirs.write(BUFFER_BYTES), BUFFER_BYTES);
      engine.open(slot, mine.fileno());
      rig.until(`all of stream ${slot}`, () => reports.of(slot).received === BUFFER_BYTES);
    });
    rig.turns(2);
    pairs.forEach(([, theirs], slot) => {
      const { sent, returned } = reports.of(slot);
      assert.ok(sent < behind.byteLength && returned === 0, `stream ${slot} waits for nothing`);
      assert.equal(theirs.read(BUFFER_BYTES), BUFFER_BYTES);
      const message = new Uint8Array(BUFFER_BYTES).fill(slot + 1);
      assertSame(kernel.scratch.u8.subarray(0, BUFFER_BYTES), message);
    });
    for (const slot of pairs.keys()) engine.forget(slot);
    assertEngineBalance(engine);
  },

  "every stream is served while the buffers are exhausted for a second": ({ kernel }) => {
    exhaust(kernel, SPAN_MS);
  },
};

/** The result. */
export interface Exhaustion {
  readonly turns: number;
  readonly answers: number;
  /** The number of turns in which a stream had to wait. */
  readonly longestWait: number;
}

/**
 * Keeps the buffers exhausted for a time, with streams that receive more than the buffers hold, while others
 * receive little.
 *
 * @throws AssertionError when a stream is not served in its turn.
 */
export function exhaust(from: Kernel, spanMs: number): Exhaustion {
  let missing = 0;
  const { kernel } = new RingReader(from, {
    completed: ({ result }) => {
      if (result === -ERRNO.ENOBUFS) missing++;
    },
  });
  using rig = new UringRig(kernel, { maxBuffers: BUFFERS });
  const { engine, reports, opened } = rig;
  const answer = rig.memory(1);
  const peers = Array.from({ length: BUSY + ASKING }, () => opened.pair());
  const servedAt = peers.map(() => 0);
  let [turns, shortTurns, answers, longestWait] = [0, 0, 0, 0];
  reports.onReceived = (slot) => {
    longestWait = Math.max(longestWait, turns - (servedAt[slot] as number));
    servedAt[slot] = turns;
    if (slot >= BUSY) engine.send(slot, answer.address, 1, 0);
    reports.forget(slot);
  };
  peers.forEach(([mine], slot) => void engine.open(slot, mine.fileno()));
  const [busy, asking] = [peers.slice(0, BUSY), peers.slice(BUSY)];
  for (const [, theirs] of asking) theirs.write();
  const end = performance.now() + spanMs;
  // On a busy machine turns are slow, and too few of them would show nothing.
  for (; performance.now() < end || turns < 3 * PATIENCE_TURNS; turns++) {
    for (const [, theirs] of busy) theirs.fill();
    missing = 0;
    engine.turn(0);
    if (missing > 0) shortTurns++;
    for (const [, theirs] of asking) {
      if (theirs.read(1) !== 1) continue;
      answers++;
      theirs.write();
    }
    const waits = servedAt.findIndex((at) => turns - at > PATIENCE_TURNS);
    assert.equal(waits, -1, `stream ${waits} was not served in ${PATIENCE_TURNS} turns`);
  }
  for (const slot of peers.keys()) engine.forget(slot);
  assertEngineBalance(engine);
  assert.ok(
    shortTurns > 0.9 * turns,
    `in ${turns - shortTurns} of ${turns} turns buffers were left`,
  );
  return { turns, answers, longestWait };
}
