import assert from "node:assert/strict";
import { assertNoneLeft, openFiles } from "../../../../../test/support/descriptors.ts";
import { ERRNO } from "../../../src/base/errno.ts";
import { kernel } from "../../../src/sys/open.ts";
import { IORING_OP } from "../../../src/uring/constants.ts";
import { RingReader } from "../../../src/uring/ring-reader.ts";
import { randomFrom } from "../../support/faulty-kernel.ts";
import { UringRig } from "./rig.ts";

const { libc } = kernel;

export const accepts: Readonly<Record<string, (rig: UringRig) => void>> = {
  "every connection is accepted although the queue of completions overflows": ({
    kernel: from,
  }) => {
    using rig = new UringRig(from, { entries: 4, completionEntries: 8 });
    const server = rig.opened.own(rig.listen(0));
    for (let i = 0; i < 150; i++) rig.connect(server);
    rig.until("all accepted", () => rig.reports.fds.length === 150);
    rig.engine.forget(0);
  },

  "an accept that keeps failing is reported and does not spin; a failed connection is skipped": ({
    kernel: from,
  }) => {
    for (const [errno, connections] of [
      [ERRNO.EACCES, 1],
      [ERRNO.EPERM, 1],
      [ERRNO.EBADF, 1],
      [ERRNO.ECONNABORTED, 32],
    ] as const) {
      let failing = true;
      let submitted = 0;
      const { kernel: refusing } = new RingReader(from, {
        submitting: ({ operation }) => {
          if (!failing || operation !== IORING_OP.ACCEPT) return undefined;
          submitted++;
          return -errno;
        },
      });
      using rig = new UringRig(refusing);
      const errors: number[] = [];
      rig.reports.onAcceptFailed = (slot, why) => {
        errors.push(why);
        rig.engine.setAccepting(slot, false);
      };
      const server = rig.opened.own(rig.listen(0));
      rig.connect(server);
      rig.until("a failure", () => errors.length > 0);
      rig.turns(10);
      assert.deepEqual(errors, [errno]);
      assert.equal(submitted, connections);
      failing = false;
      rig.engine.setAccepting(0, true);
      rig.until("accepted", () => rig.reports.fds.length === 1);
      rig.engine.forget(0);
    }
  },

  "a listener paused and resumed at any time loses no connection": (rig) => {
    const { engine, reports } = rig;
    const server = rig.opened.own(rig.listen(0));
    const random = randomFrom(7);
    let accepting = true;
    let connected = 0;
    reports.onAccepted = () => assert.ok(accepting, "accepted while paused");
    for (let step = 0; step < 400; step++) {
      const chance = random();
      if (chance < 0.3) {
        rig.connect(server);
        connected++;
      } else if (chance < 0.6) {
        engine.turn(0);
      } else if (chance < 0.7) {
        engine.submit();
      } else {
        accepting = !accepting;
        engine.setAccepting(0, accepting);
      }
    }
    accepting = true;
    engine.setAccepting(0, true);
    rig.until("all accepted", () => reports.fds.length === connected);
    engine.forget(0);
  },

  "the port of a listener is free as soon as it is closed, whatever else is in flight": (rig) => {
    const busy = Array.from({ length: 120 }, () => rig.opened.pair());
    busy.forEach(([mine], i) => void rig.engine.open(i + 1, mine.fileno()));
    rig.engine.turn(0);
    let port = 0;
    for (let round = 0; round < 20; round++) {
      const server = rig.listen(0, port);
      port = server.localAddress().port ?? 0;
      if (round % 2 === 0) rig.engine.turn(0);
      const peer = rig.connect(server);
      for (const [, theirs] of busy) theirs.write(1);
      server.detach();
      rig.engine.close(0);
      peer.close();
    }
    for (let i = 0; i < busy.length; i++) rig.engine.forget(i + 1);
  },

  "connections that were accepted and not reported are closed with the engine": ({
    kernel: from,
  }) => {
    for (const completionEntries of [8, 1024]) {
      const before = openFiles();
      {
        using rig = new UringRig(from, { entries: 8, completionEntries });
        const server = rig.opened.own(rig.listen(0));
        for (let i = 0; i < 60; i++) rig.connect(server);
        rig.engine.submit();
        rig.engine.submit();
        rig.dispose();
        assert.equal(rig.reports.fds.length, 0);
      }
      assertNoneLeft(before);
    }
  },

  "connections that a closing listener had accepted are reported or closed, and no descriptor is left":
    ({ kernel: from }) => {
      for (let seed = 1; seed <= 12; seed++) {
        const random = randomFrom(seed);
        const before = openFiles();
        {
          using rig = new UringRig(from, {
            entries: 8,
            completionEntries: random() < 0.5 ? 8 : 256,
          });
          const server = rig.listen(0);
          for (let i = 0; i < 40; i++) rig.connect(server);
          if (random() < 0.7) rig.engine.submit();
          if (random() < 0.4) rig.engine.setAccepting(0, false);
          if (random() < 0.4) rig.engine.submit();
          if (random() < 0.4) rig.engine.turn(0);
          rig.engine.close(server.detach() >= 0 ? 0 : -1);
          rig.turns(3);
          assert.ok(new Set(rig.reports.fds).size === rig.reports.fds.length);
          for (const fd of rig.reports.fds) assert.ok(libc.fcntl(fd, 1, 0) >= 0);
        }
        assertNoneLeft(before, `seed ${seed}`);
      }
    },
};
