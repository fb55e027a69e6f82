import assert from "node:assert/strict";
import {
  assertNoneLeft,
  openFiles,
  raiseDescriptorLimit,
} from "../../../../../test/support/descriptors.ts";
import { POLLIN } from "../../../src/select/constants.ts";
import { kernel } from "../../../src/sys/open.ts";
import { assertSame, pattern } from "../../reactor/rig.ts";
import { assertEngineBalance } from "../../support/balance.ts";
import { randomFrom } from "../../support/faulty-kernel.ts";
import { UringRig } from "./rig.ts";

const { libc } = kernel;

/** More streams than the most buffers. */
const STREAMS = 560;
const BUFFER_BYTES = 65_536;
/** So few entries that most completions wait outside of the queue. */
const TINY = { entries: 4, completionEntries: 16 } as const;

export const receives: Readonly<Record<string, (rig: UringRig) => void>> = {
  "with repeatedly more streams than buffers, all receive the bytes that were sent": (rig) =>
    starve(rig),

  "the same when the queue of completions overflows all the time": ({ kernel: from }) => {
    using rig = new UringRig(from, TINY);
    starve(rig);
  },

  "a message that is larger than a buffer arrives whole and in order": (rig) => {
    for (const length of [65_535, 65_536, 65_537, 131_072, 700_001]) {
      const [mine, theirs] = rig.tcp();
      const wanted = pattern(length, length);
      rig.engine.open(0, mine.fileno());
      const record = rig.reports.of(0);
      let sent = 0;
      rig.until("received", () => {
        if (sent < length) sent += theirs.send(wanted.subarray(sent)) ?? 0;
        return record.received >= length;
      });
      assertSame(record.bytes, wanted);
      rig.engine.forget(0);
      rig.reports.forget(0);
    }
  },

  "a paused stream receives no more than two buffers": (rig) => {
    const { engine, reports } = rig;
    const [mine, theirs] = rig.tcp();
    const wanted = pattern(6_000_000, 11);
    let sent = 0;
    const fill = (): void => {
      for (let part: number | null = 0; part !== null && sent < wanted.length; sent += part ?? 0) {
        part = theirs.send(wanted.subarray(sent));
      }
    };
    // Megabytes have arrived before the first turn.
    fill();
    assert.ok(sent > 1_000_000);
    engine.open(0, mine.fileno());
    let most = 0;
    // It pauses at once; or it resumes and pauses again, while its receive is in flight.
    let pauses = 0;
    reports.onReceived = () => {
      engine.setReceiving(0, false);
      if (++pauses % 3 === 0) engine.setReceiving(0, true);
      if (pauses % 6 === 0) engine.setReceiving(0, false);
    };
    while (reports.of(0).received < wanted.length) {
      const before = reports.of(0).received;
      engine.setReceiving(0, true);
      rig.until("received", () => {
        fill();
        return reports.of(0).received > before;
      });
      for (let i = 0; i < 3; i++) {
        most = Math.max(most, engine.balance().deferredBytes as number);
        rig.turns(1);
      }
      most = Math.max(most, engine.balance().deferredBytes as number);
    }
    assert.ok(most <= 2 * BUFFER_BYTES, `${most} bytes are kept for it`);
    // The bytes in the record.
    assertSame(reports.of(0).bytes, wanted.subarray(0, reports.of(0).bytes.length));
    engine.forget(0);
  },

  "pause, resume and close at any time lose, duplicate and reorder nothing": (rig) => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = randomFrom(seed);
      const [mine, theirs] = seed % 2 === 0 ? rig.tcp() : pairOf(rig);
      const wanted = pattern(400_000, seed);
      const send = (from: number): number => {
        const part = wanted.subarray(from, from + 1 + Math.floor(random() ** 3 * 100_000));
        kernel.scratch.u8.set(part.subarray(0, 65_536));
        const length = Math.min(part.length, 65_536);
        return Math.max(0, libc.send(theirs.fileno(), kernel.scratch.address, length, 0x4040));
      };
      rig.engine.open(0, mine.fileno());
      const record = rig.reports.of(0);
      let receiving = true;
      let sent = 0;
      rig.reports.onReceived = () => {
        assert.ok(receiving, `seed ${seed}: reported while paused`);
        if (random() < 0.3) toggle();
      };
      const toggle = (): void => {
        receiving = !receiving;
        rig.engine.setReceiving(0, receiving);
      };
      for (let step = 0; step < 80; step++) {
        const chance = random();
        if (chance < 0.3) sent += send(sent);
        else if (chance < 0.6) rig.engine.turn(0);
        else if (chance < 0.7) rig.engine.submit();
        else toggle();
      }
      if (seed % 3 === 0) {
        rig.engine.forget(0);
        assertSame(record.bytes, wanted.subarray(0, record.received));
        const before = record.received;
        rig.turns(3);
        assert.equal(record.received, before, `seed ${seed}: reported after it was closed`);
      } else {
        rig.reports.onReceived = () => {};
        receiving = true;
        rig.engine.setReceiving(0, true);
        theirs.close();
        rig.until(`ended with seed ${seed}`, () => record.ended === 1);
        assertSame(record.bytes, wanted.subarray(0, sent));
        rig.engine.forget(0);
      }
      rig.reports.onReceived = () => {};
      rig.reports.forget(0);
    }
  },

  "a reused slot and a reused descriptor number get nothing of their previous use": (rig) => {
    for (let seed = 1; seed <= 120; seed++) {
      const random = randomFrom(seed);
      const [old, oldPeer] = pairOf(rig);
      const [fresh, freshPeer] = pairOf(rig);
      const fd = old.dup().fileno();
      rig.engine.open(0, fd);
      if (random() < 0.4) rig.engine.turn(0);
      oldPeer.write(3);
      if (random() < 0.3) rig.engine.submit();
      if (random() < 0.4) rig.engine.setReceiving(0, random() < 0.5);
      if (random() < 0.3) rig.engine.turn(0);
      const memory = rig.memory(4096);
      memory.u8.fill(1);
      if (random() < 0.5) rig.engine.send(0, memory.address, 7, 0);
      rig.engine.close(0);
      rig.reports.forget(0);
      const again = libc.fcntl(fresh.fileno(), 1030, fd);
      assert.equal(again, fd, "the number is free as soon as close returns");
      rig.engine.open(0, again);
      freshPeer.write(11);
      const record = rig.reports.of(0);
      rig.until(`received with seed ${seed}`, () => record.received >= 11);
      rig.turns(2);
      assert.deepEqual([record.received, record.failed, record.sent], [11, undefined, 0]);
      assert.ok(freshPeer.read() < 0, `seed ${seed}: the new peer got bytes of the old one`);
      rig.engine.close(0);
      rig.reports.forget(0);
    }
  },

  "dispose with everything in flight leaves no descriptor open": ({ kernel: from }) => {
    for (const options of [{}, TINY]) {
      const before = openFiles();
      {
        using rig = new UringRig(from, options);
        rig.engine.fileno();
        const server = rig.opened.own(rig.listen(0));
        const memory = rig.memory(4_000_000);
        for (let i = 0; i < 60; i++) rig.connect(server);
        rig.engine.submit();
        rig.engine.setAccepting(0, false);
        rig.engine.submit();
        for (let slot = 1; slot < 60; slot++) {
          const [mine, theirs] = slot % 2 === 0 ? rig.tcp() : pairOf(rig);
          rig.engine.open(slot, mine.fileno());
          if (slot % 3 === 0) rig.engine.send(slot, memory.address, memory.byteLength, 0);
          if (slot % 4 === 0) rig.engine.setReceiving(slot, false);
          if (slot % 5 === 0) theirs.close();
        }
        rig.engine.watch(60, rig.opened.counter(0).fileno(), POLLIN);
        rig.engine.submit();
        for (let i = 0; i < 30; i++) rig.connect(server);
        rig.engine.submit();
      }
      assertNoneLeft(before);
    }
  },
};

/** Has every stream send a buffer full, in rounds. */
function starve(rig: UringRig): void {
  const reason = raiseDescriptorLimit(STREAMS * 2 + 200);
  if (reason !== undefined) return;
  const pairs = Array.from({ length: STREAMS }, () => pairOf(rig));
  pairs.forEach(([mine], slot) => void assert.ok(rig.engine.open(slot, mine.fileno()) >= 0));
  rig.engine.submit();
  for (let round = 1; round <= 3; round++) {
    for (const [, theirs] of pairs) assert.equal(theirs.write(BUFFER_BYTES), BUFFER_BYTES);
    const whole = round * BUFFER_BYTES;
    rig.until(`whole in round ${round}`, () =>
      pairs.every((_, slot) => rig.reports.of(slot).received === whole),
    );
  }
  for (let slot = 0; slot < STREAMS; slot++) rig.engine.forget(slot);
  assertEngineBalance(rig.engine);
}

function pairOf(rig: UringRig): ReturnType<UringRig["opened"]["pair"]> {
  return rig.opened.pair();
}
