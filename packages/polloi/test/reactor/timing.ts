/** Timers and watches. */
import assert from "node:assert/strict";
import { Opened } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import type { Timer, Watch } from "../../src/index.ts";
import { EPOLLIN, Epoll } from "../../src/select/index.ts";
import { EVENT_ERROR, EVENT_HANGUP, EVENT_READ, EVENT_WRITE } from "../../src/selectors/events.ts";
import { Waker } from "../../src/selectors/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { casesOf, type Variant } from "./rig.ts";

const { libc, scratch } = kernel;

export function timingCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("timers fire in order, never early", async (rig) => {
      const order: number[] = [];
      const set = (delay: number): Timer => {
        const begun = performance.now();
        return rig.reactor.setTimer(delay, () => {
          assert.ok(performance.now() - begun >= delay, `${delay} ms fired early`);
          order.push(delay);
        });
      };
      // Delays count from the call, and the calls must take less time than the difference of two delays.
      for (;;) {
        const begun = performance.now();
        const timers = [12, 3, 0, 7.5, 3.25, 20].map(set);
        if (performance.now() - begun < 0.25) break;
        for (const timer of timers) timer.cancel();
      }
      await rig.until("fired", () => order.length === 6);
      assert.deepEqual(order, [0, 3, 3.25, 7.5, 12, 20]);
    }),
    test("of ten thousand timers, those that are not cancelled fire", async (rig) => {
      let state = 1;
      const random = () => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
        return state / 0x7fff_ffff;
      };
      const fired: number[] = [];
      const timers = Array.from({ length: 10_000 }, () => {
        const delay = random() * 30;
        const at = performance.now() + delay;
        return rig.reactor.setTimer(delay, () => void fired.push(at));
      });
      for (const timer of timers) if (random() < 0.5) timer.cancel();
      const left = timers.filter((timer) => timer.active).length;
      await rig.until("fired", () => fired.length >= left);
      await rig.during(2);
      assert.equal(fired.length, left);
      assert.ok(timers.every((timer) => !timer.active));
      assert.equal(rig.reactor.alive, false);
    }),
    test("cancel and refresh work before, within and after the callback", async (rig) => {
      const log: string[] = [];
      const never = rig.reactor.setTimer(1, () => void log.push("never"));
      never.cancel();
      never.cancel();
      let again = 0;
      const repeated: Timer = rig.reactor.setTimer(1, () => {
        log.push(`again ${++again}`);
        if (again < 3) repeated.refresh();
      });
      const other = rig.reactor.setTimer(0, () => void log.push("other"));
      rig.reactor.setTimer(0, () => {
        // Both were due together: the earlier one has fired, the later one must not.
        last.cancel();
        last.refresh();
        last.cancel();
      });
      const last = rig.reactor.setTimer(0, () => void log.push("last"));
      await rig.until("fired", () => again === 3);
      await rig.during(5);
      assert.deepEqual(log, ["other", "again 1", "again 2", "again 3"]);
      other.refresh();
      assert.equal(other.active, true);
      await rig.until("fired again", () => log.length === 5);
      assert.equal(log[4], "other");
      assert.equal(rig.reactor.alive, false);
    }),
    test("a timer without delay that is set within a timer fires in a later turn", async (rig) => {
      let depth = 0;
      const next = () => {
        if (++depth < 50) rig.reactor.setTimer(0, next);
      };
      rig.reactor.setTimer(0, next);
      await rig.until("fired", () => depth === 50);
    }),
    test("a timer that is set while the reactor sleeps fires in time", async (rig) => {
      rig.listen({});
      rig.reactor.setTimer(60_000, () => {});
      await rig.during(5);
      let fired = false;
      rig.reactor.setTimer(2, () => {
        fired = true;
      });
      await rig.until("fired", () => fired, 1000);
    }),
    test("a pipe, an eventfd and a timerfd are watched, and not reported after the watch is closed", async (rig) => {
      const opened = new Opened();
      try {
        const { reader, writer } = opened.pipe();
        const seen: string[] = [];
        const pipe = rig.reactor.watch(reader, EVENT_READ, (events) => {
          assert.ok((events & EVENT_READ) !== 0);
          reader.drain();
          seen.push("pipe");
        });
        const counter = opened.counter(0);
        const count = rig.reactor.watch(counter, EVENT_READ, () => {
          counter.read(8);
          seen.push("counter");
        });
        const timer = rig.own(libc.timerfd_create(1, 0o2004000));
        scratch.u8.fill(0, 0, 32);
        scratch.setTimespec(16, 3);
        libc.timerfd_settime(timer, 0, scratch.address, 0);
        const clock: Watch = rig.reactor.watch(timer, EVENT_READ, () => {
          seen.push("timer");
          clock.close();
          clock.close();
        });
        await rig.until("timed", () => seen.length === 1);
        writer.write();
        await rig.until("piped", () => seen.length === 2);
        scratch.setWord(0, 1);
        libc.write(counter.fileno(), scratch.address, 8);
        await rig.until("counted", () => seen.length === 3);
        assert.deepEqual(seen, ["timer", "pipe", "counter"]);
        assert.equal(clock.fileno(), -1);
        pipe.close();
        count.close();
        writer.write();
        await rig.during(3);
        assert.equal(seen.length, 3);
        assert.equal(rig.reactor.alive, false);
        // Closing a watch leaves the descriptor open.
        assert.equal(reader.read(), 1);
      } finally {
        opened[Symbol.dispose]();
      }
    }),
    test("each of a hundred writes to a watched eventfd is reported, and connections are served", async (rig) => {
      const opened = new Opened();
      try {
        const counter = opened.counter(0);
        const behind = opened.counter(0);
        const waker = opened.own(new Waker());
        const set = opened.own(new Epoll());
        set.register(behind, EPOLLIN);
        const copy = opened.dupAt(counter, 0);
        const listener = rig.listen({ data: (connection, bytes) => void connection.write(bytes) });
        const peer = rig.peer(listener);
        const seen: string[] = [];
        const watchAll = () => [
          rig.reactor.watch(copy, EVENT_READ, () => {
            counter.read(8);
            seen.push("copy");
          }),
          rig.reactor.watch(set, EVENT_READ, () => {
            behind.read(8);
            seen.push("set");
          }),
          rig.reactor.watch(waker, EVENT_READ, () => {
            waker.drain();
            seen.push("waker");
          }),
        ];
        const one = (fd: number) => {
          scratch.setWord(0, 1);
          assert.equal(libc.write(fd, scratch.address, 8), 8);
        };
        let answered = 0;
        const served = async () => {
          peer.send("x");
          answered++;
          await rig.until("answered", () => peer.length === answered);
        };
        await served();
        // Later watches are added beside a listener that the runtime's loop watches already.
        const watches = watchAll();
        for (let i = 0; i < 34; i++) {
          one(counter.fileno());
          await rig.until(`the copy's event ${i}`, () => seen.length === 3 * i + 1);
          one(behind.fileno());
          await rig.until(`the set's event ${i}`, () => seen.length === 3 * i + 2);
          waker.wake();
          await rig.until(`the waker's event ${i}`, () => seen.length === 3 * i + 3);
          if (i % 10 === 3) await served();
        }
        assert.deepEqual(seen.slice(-3), ["copy", "set", "waker"]);
        // Events without interest are not reported; with interest they are again.
        for (const watch of watches) watch.modify(0);
        one(counter.fileno());
        await served();
        assert.equal(seen.length, 102);
        for (const watch of watches) watch.modify(EVENT_READ);
        await rig.until("reported with interest", () => seen.length === 103);
        for (const watch of watches) watch.close();
        waker.wake();
        await served();
        assert.equal(seen.length, 103);
      } finally {
        opened[Symbol.dispose]();
      }
    }),
    test("modify changes the interest, also to none and back", async (rig) => {
      const opened = new Opened();
      try {
        const [a, b] = opened.pair();
        const seen: number[] = [];
        const watch = rig.reactor.watch(a, EVENT_READ, (events) => {
          seen.push(events);
          watch.modify(0);
        });
        await rig.during(3);
        assert.deepEqual(seen, []);
        watch.modify(EVENT_WRITE);
        await rig.until("writable", () => seen.length === 1);
        b.write();
        await rig.during(3);
        assert.equal(seen.length, 1);
        watch.modify(EVENT_READ | EVENT_WRITE);
        await rig.until("both", () => seen.length === 2);
        assert.deepEqual(seen, [EVENT_WRITE, EVENT_READ | EVENT_WRITE]);
      } finally {
        rig.reactor.close();
        opened[Symbol.dispose]();
      }
    }),
    test("a hang-up is reported without interest", async (rig) => {
      const opened = new Opened();
      try {
        const { reader, writer } = opened.pipe();
        let seen = 0;
        const watch = rig.reactor.watch(reader, EVENT_READ, (events) => {
          seen = events;
          watch.close();
        });
        writer.close();
        await rig.until("told", () => seen !== 0);
        assert.ok((seen & (EVENT_HANGUP | EVENT_READ | EVENT_ERROR)) !== 0);
      } finally {
        opened[Symbol.dispose]();
      }
    }),
    test("watching a descriptor twice fails with EEXIST, and the first watch continues", async (rig) => {
      const opened = new Opened();
      try {
        const { reader, writer } = opened.pipe();
        let seen = 0;
        const watch = rig.reactor.watch(reader, EVENT_READ, () => {
          seen++;
          reader.drain();
        });
        assert.throws(() => rig.reactor.watch(reader, EVENT_READ, () => {}), {
          code: "EEXIST",
          hint: "this reactor watches that descriptor already; use modify()",
        });
        writer.write();
        await rig.until("seen", () => seen === 1);
        watch.close();
      } finally {
        opened[Symbol.dispose]();
      }
    }),
    test("a regular file fails with EPERM on epoll, and is always ready on the other engines", async (rig) => {
      const opened = new Opened();
      try {
        const file = opened.file();
        if (variant.engine === "epoll") {
          assert.throws(() => rig.reactor.watch(file, EVENT_READ, () => {}), {
            code: "EPERM",
            hint: /regular file/,
          });
          return;
        }
        let seen = 0;
        const watch = rig.reactor.watch(file, EVENT_READ, () => {
          if (++seen === 3) watch.close();
        });
        await rig.until("seen", () => seen === 3);
        await rig.during(3);
        assert.equal(seen, 3);
        assert.equal(rig.reactor.alive, false);
      } finally {
        opened[Symbol.dispose]();
      }
    }),
    test("a watch that is closed by another of the same batch gets no event", async (rig) => {
      const opened = new Opened();
      try {
        const counters = Array.from({ length: 6 }, () => opened.counter(1));
        let calls = 0;
        const watches: Watch[] = counters.map((counter) =>
          rig.reactor.watch(counter, EVENT_READ, () => {
            calls++;
            for (const watch of watches) watch.close();
          }),
        );
        await rig.until("called", () => calls > 0);
        await rig.during(3);
        assert.equal(calls, 1);
      } finally {
        opened[Symbol.dispose]();
      }
    }),
  ];
}
