import assert from "node:assert/strict";
import {
  allowDescriptors,
  kernelWith,
  type Opened,
  opening,
} from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import {
  EVENT_PEER_CLOSED,
  EVENT_READ,
  EVENT_WRITE,
  MODE_EDGE,
  MODE_EXCLUSIVE,
  MODE_ONE_SHOT,
} from "../../src/selectors/events.ts";
import { ReadyBatch } from "../../src/selectors/poller.ts";
import { EpollPoller } from "../../src/selectors/pollers/epoll-poller.ts";
import { UringPoller } from "../../src/selectors/pollers/uring-poller.ts";
import { SYS } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

const SHUT_WR = 1;

const using = (body: (poller: UringPoller, opened: Opened) => void): (() => void) =>
  opening((opened) => {
    const poller = new UringPoller(kernel);
    opened.own({ [Symbol.dispose]: () => poller.close() });
    body(poller, opened);
  });

/** What is ready now: tags and events. */
function readyNow(poller: UringPoller, batch: ReadyBatch = new ReadyBatch()): number[][] {
  const count = poller.wait(batch, 0);
  assert.ok(count >= 0, `wait gave ${count}`);
  return Array.from({ length: count }, (_, i) => [
    batch.tags[i] as number,
    batch.events[i] as number,
  ]);
}

/** Whether another loop that watches it would hear of something. */
function isReadable(poller: UringPoller): boolean {
  const other = new UringPoller(kernel);
  other.add(poller.fileno(), EVENT_READ, 1);
  const found = readyNow(other).length > 0;
  other.close();
  return found;
}

/** What the poller over io_uring must do beside what all must: what its polls make hard. */
export function uringPollerConformance(): Suite {
  return {
    title: `UringPoller on ${kernel.runtime}`,
    cases: [
      {
        name: "each of a hundred writes to a counter makes the descriptor readable, whatever the trigger",
        run: () => {
          for (const mode of [0, MODE_EDGE, MODE_ONE_SHOT]) {
            for (const first of ["added", "asked for the descriptor"]) {
              using((poller, opened) => {
                const counter = opened.counter(0);
                const fd = counter.fileno();
                if (first !== "added") poller.fileno();
                assert.equal(poller.add(fd, EVENT_READ | mode, 7), 0);
                const loop = new EpollPoller(kernel);
                opened.own({ [Symbol.dispose]: () => loop.close() });
                assert.equal(loop.add(poller.fileno(), EVENT_READ, 1), 0);
                const batch = new ReadyBatch();
                for (let i = 0; i < 100; i++) {
                  kernel.scratch.setWord(0, 1);
                  assert.equal(kernel.libc.write(fd, kernel.scratch.address, 8), 8);
                  // It may be readable for nothing a few times more, and is not when it stays so for ever.
                  const seen: number[][] = [];
                  for (let turns = 0; loop.wait(batch, seen.length > 0 ? 0 : 5000) > 0; turns++) {
                    assert.ok(turns < 5, `mode ${mode}, ${first}: write ${i}: still readable`);
                    seen.push(...readyNow(poller));
                    counter.read(8);
                  }
                  assert.deepEqual(seen, [[7, EVENT_READ]], `mode ${mode}, ${first}: write ${i}`);
                  if (mode === MODE_ONE_SHOT) poller.modify(fd, EVENT_READ | mode, 7);
                }
              })();
            }
          }
        },
      },
      {
        name: "a descriptor that was removed and closed is closed: its peer sees the end at once",
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          poller.add(a.fileno(), EVENT_READ, 1);
          assert.deepEqual(readyNow(poller), []);
          poller.remove(a.fileno());
          a.close();
          assert.equal(b.read(1), 0);
        }),
      },
      {
        name: "one that was modified, removed and closed is closed, too",
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          poller.add(a.fileno(), EVENT_READ, 1);
          readyNow(poller);
          poller.modify(a.fileno(), EVENT_PEER_CLOSED, 1);
          poller.remove(a.fileno());
          a.close();
          assert.equal(b.read(1), 0);
        }),
      },
      {
        name: "an io_uring_enter that fails for a moment is made again; one that goes on is the wait's errno",
        run: opening((opened) => {
          for (const errno of [ERRNO.EINTR, ERRNO.EAGAIN, ERRNO.EBUSY, ERRNO.ENOMEM]) {
            let left = 0;
            const refusing = kernelWith({
              syscall: (number, ...args) =>
                number === SYS.io_uring_enter && left-- > 0
                  ? -errno
                  : kernel.libc.syscall(number, ...args),
            });
            const poller = new UringPoller(refusing);
            opened.own({ [Symbol.dispose]: () => poller.close() });
            for (const times of [1, 3]) {
              const [a, b] = opened.pair();
              poller.add(a.fileno(), EVENT_READ, 1);
              left = times;
              assert.deepEqual(readyNow(poller), []);
              b.write();
              left = times;
              assert.deepEqual(readyNow(poller), [[1, EVENT_READ]]);
              left = times;
              poller.remove(a.fileno());
              a.drain();
              a.close();
              assert.equal(b.read(1), 0);
            }
            left = Number.POSITIVE_INFINITY;
            const ready = new ReadyBatch();
            if (errno === ERRNO.ENOMEM) {
              poller.add(opened.counter(0).fileno(), EVENT_READ, 1);
              assert.equal(poller.wait(ready, -1), -errno);
            }
            left = 0;
          }
        }),
      },
      {
        name: "a peer's closed half that nobody asked for does not spin, and hides nothing after it",
        run: opening((opened) => {
          let enters = 0;
          const counting = kernelWith({
            syscall: (...args) => {
              enters++;
              return kernel.libc.syscall(...args);
            },
          });
          const poller = new UringPoller(counting);
          opened.own({ [Symbol.dispose]: () => poller.close() });
          const [a, b] = opened.pair();
          a.fill();
          kernel.libc.shutdown(b.fileno(), SHUT_WR);
          poller.add(a.fileno(), EVENT_WRITE, 1);
          enters = 0;
          assert.equal(poller.wait(new ReadyBatch(), 20), 0);
          assert.ok(enters < 10, `${enters} calls`);
          b.drain();
          for (let i = 0; i < 3; i++) assert.deepEqual(readyNow(poller), [[1, EVENT_WRITE]]);
          a.fill();
          assert.deepEqual(readyNow(poller), []);
        }),
      },
      {
        name: "what was taken between two waits is not reported, though a small batch left it over",
        run: using((poller, opened) => {
          const pipes = Array.from({ length: 20 }, () => opened.pipe());
          pipes.forEach(({ reader }, tag) => {
            poller.add(reader.fileno(), EVENT_READ, tag);
          });
          assert.deepEqual(readyNow(poller), []);
          for (const { writer } of pipes) writer.write();
          const batch = new ReadyBatch(4);
          assert.equal(readyNow(poller, batch).length, 4);
          for (const { reader } of pipes) reader.drain();
          assert.deepEqual(readyNow(poller, batch), []);
        }),
      },
      {
        name: "edges that a small batch left over are reported once each",
        run: using((poller, opened) => {
          const pipes = Array.from({ length: 20 }, () => opened.pipe());
          pipes.forEach(({ reader }, tag) => {
            poller.add(reader.fileno(), EVENT_READ | MODE_EDGE, tag);
          });
          assert.deepEqual(readyNow(poller), []);
          for (const { writer } of pipes) writer.write();
          const batch = new ReadyBatch(7);
          const seen = [1, 2, 3, 4].flatMap(() => readyNow(poller, batch)).map(([tag]) => tag);
          assert.deepEqual(
            seen.sort((a = 0, b = 0) => a - b),
            pipes.map((_, tag) => tag),
          );
        }),
      },
      {
        name: "more become ready at once than the rings have places for, and all are reported",
        skip: allowDescriptors(6000),
        run: using((poller, opened) => {
          const many = Array.from({ length: 5000 }, () => opened.counter(0));
          many.forEach((it, tag) => {
            poller.add(it.fileno(), EVENT_READ | (tag % 2 === 0 ? MODE_EDGE : 0), tag);
          });
          assert.deepEqual(readyNow(poller), []);
          kernel.scratch.setWord(0, 1);
          for (const it of many) it.write(8);
          const seen = new Set<number>();
          while (seen.size < many.length) {
            const found = readyNow(poller);
            assert.ok(found.length > 0, `only ${seen.size} were reported`);
            for (const [tag] of found) seen.add(tag as number);
          }
        }),
      },
      {
        name: "of two that watch exclusively, one is woken",
        run: using((first, opened) => {
          const second = new UringPoller(kernel);
          opened.own({ [Symbol.dispose]: () => second.close() });
          const { reader, writer } = opened.pipe();
          const pollers = [first, second];
          for (const poller of pollers) {
            poller.add(reader.fileno(), EVENT_READ | MODE_EXCLUSIVE | MODE_EDGE, 1);
            assert.deepEqual(readyNow(poller), []);
          }
          writer.write();
          assert.equal(pollers.flatMap((poller) => readyNow(poller)).length, 1);
        }),
      },
      {
        name: "its descriptor tells of what came before anybody asked for it",
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          poller.add(a.fileno(), EVENT_READ, 1);
          assert.deepEqual(readyNow(poller), []);
          b.write();
          assert.equal(isReadable(poller), true);
          assert.deepEqual(readyNow(poller), [[1, EVENT_READ]]);
        }),
      },
      {
        name: "its descriptor is silent when nothing is ready, and tells what comes after that",
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          assert.equal(isReadable(poller), false);
          poller.add(a.fileno(), EVENT_READ, 1);
          assert.equal(isReadable(poller), false);
          b.write();
          for (let i = 0; i < 3; i++) {
            assert.equal(isReadable(poller), true);
            assert.deepEqual(readyNow(poller), [[1, EVENT_READ]]);
          }
          a.drain();
          assert.deepEqual(readyNow(poller), []);
          assert.equal(isReadable(poller), false);
          poller.modify(a.fileno(), EVENT_WRITE, 2);
          assert.equal(isReadable(poller), true);
          assert.deepEqual(readyNow(poller), [[2, EVENT_WRITE]]);
        }),
      },
    ],
  };
}
