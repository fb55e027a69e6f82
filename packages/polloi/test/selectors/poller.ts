import assert from "node:assert/strict";
import {
  assertFreeDescriptors,
  closedFd,
  interrupted,
  type Opened,
  opening,
  withoutPwait2,
} from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import {
  EPOLLET,
  EPOLLONESHOT,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLRDHUP,
} from "../../src/select/constants.ts";
import { INTEREST_BITS, type Poller, ReadyBatch } from "../../src/selectors/poller.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertGivesBack } from "../support/arenas.ts";

/** The ready descriptors, by tag. */
function readyNow(poller: Poller, batch: ReadyBatch = new ReadyBatch()): Map<number, number> {
  const count = poller.wait(batch, 0);
  assert.ok(count >= 0, `${poller.name}: wait gave ${count}`);
  assert.equal(batch.count, count);
  const found = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    assert.ok(!found.has(batch.tags[i] as number), `${poller.name}: a tag came twice`);
    found.set(batch.tags[i] as number, batch.masks[i] as number);
  }
  return found;
}

/** The conformance suite of {@link Poller}. `make` makes a new one. */
export function pollerConformance(name: string, make: (kernel: Kernel) => Poller): Suite {
  const { capabilities, name: engine } = probe(make);
  const using = (body: (poller: Poller, opened: Opened) => void): (() => void) =>
    opening((opened) => {
      const poller = make(kernel);
      opened.own({ [Symbol.dispose]: () => poller.close() });
      body(poller, opened);
    });
  const without = (capable: boolean, what: string): string | undefined =>
    capable ? undefined : `${name} has no ${what}`;

  return {
    title: `Poller conformance: ${name} on ${kernel.runtime}`,
    cases: [
      {
        name: "a poller that finds no memory, at any step, releases all that it had",
        run() {
          assertGivesBack(kernel, (scarce) => {
            const poller = make(scarce);
            return () => poller.close();
          });
        },
      },
      {
        name: "reports a tag of all 32 bits with a ready descriptor, and nothing else",
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          assert.equal(poller.add(a.fileno(), POLLIN, 0xffff_fffe), 0);
          assert.deepEqual([...readyNow(poller)], []);
          b.write();
          assert.deepEqual([...readyNow(poller)], [[0xffff_fffe, POLLIN]]);
          a.drain();
          assert.deepEqual([...readyNow(poller)], []);
        }),
      },
      {
        name: "reports both directions of one descriptor as one entry",
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          b.write();
          poller.add(a.fileno(), POLLIN | POLLOUT, 7);
          assert.deepEqual([...readyNow(poller)], [[7, POLLIN | POLLOUT]]);
        }),
      },
      {
        name: "keeps reporting a descriptor that stays ready, until it is read",
        run: using((poller, opened) => {
          const { reader, writer } = opened.pipe();
          writer.write();
          poller.add(reader.fileno(), POLLIN, 1);
          for (let i = 0; i < 3; i++) assert.equal(readyNow(poller).get(1), POLLIN);
        }),
      },
      {
        name: "modify replaces the interest and the tag",
        run: using((poller, opened) => {
          const [a] = opened.pair();
          poller.add(a.fileno(), POLLOUT, 1);
          assert.equal(poller.modify(a.fileno(), POLLIN, 2), 0);
          assert.deepEqual([...readyNow(poller)], []);
          poller.modify(a.fileno(), POLLIN | POLLOUT, 3);
          assert.deepEqual([...readyNow(poller)], [[3, POLLOUT]]);
        }),
      },
      {
        name: "a descriptor with an empty interest is not reported, and can be watched again",
        run: using((poller, opened) => {
          const [a] = opened.pair();
          poller.add(a.fileno(), 0, 1);
          assert.deepEqual([...readyNow(poller)], []);
          poller.modify(a.fileno(), POLLOUT, 1);
          assert.equal(readyNow(poller).get(1), POLLOUT);
        }),
      },
      {
        name: "a removed descriptor is not reported, and can be added again",
        run: using((poller, opened) => {
          const [a] = opened.pair();
          poller.add(a.fileno(), POLLOUT, 1);
          assert.equal(poller.remove(a.fileno()), 0);
          assert.deepEqual([...readyNow(poller)], []);
          assert.equal(poller.add(a.fileno(), POLLOUT, 2), 0);
          assert.deepEqual([...readyNow(poller)], [[2, POLLOUT]]);
        }),
      },
      {
        name: "returns EEXIST, ENOENT and EBADF as the kernel does",
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          poller.add(a.fileno(), POLLIN, 1);
          assert.equal(poller.add(a.fileno(), POLLIN, 2), -ERRNO.EEXIST);
          assert.equal(poller.modify(b.fileno(), POLLIN, 2), -ERRNO.ENOENT);
          assert.equal(poller.remove(b.fileno()), -ERRNO.ENOENT);
          assert.equal(poller.add(closedFd(), POLLIN, 3), -ERRNO.EBADF);
          assert.equal(poller.add(-1, POLLIN, 3), -ERRNO.EBADF);
        }),
      },
      {
        name: "a modify that fails leaves the interest unchanged",
        run: using((poller, opened) => {
          const [a] = opened.pair();
          poller.add(a.fileno(), POLLOUT, 1);
          if (capabilities.edge) {
            // epoll has all modes, so a closed descriptor makes its modify fail.
            assert.equal(poller.modify(closedFd(), POLLIN, 9), -ERRNO.EBADF);
          } else {
            assert.equal(poller.modify(a.fileno(), POLLIN | EPOLLET, 9), -ERRNO.EINVAL);
          }
          assert.deepEqual([...readyNow(poller)], [[1, POLLOUT]]);
        }),
      },
      {
        name: "refuses the modes that its capabilities lack",
        skip: capabilities.edge ? `${name} has them all` : undefined,
        run: using((poller, opened) => {
          const [a] = opened.pair();
          assert.equal(poller.add(a.fileno(), POLLIN | EPOLLET, 1), -ERRNO.EINVAL);
          assert.equal(poller.add(a.fileno(), POLLIN | EPOLLONESHOT, 1), -ERRNO.EINVAL);
          assert.equal(poller.remove(a.fileno()), -ERRNO.ENOENT);
        }),
      },
      {
        name: "edge-triggered, reports a change once",
        skip: without(capabilities.edge, "edge"),
        run: using((poller, opened) => {
          const { reader, writer } = opened.pipe();
          poller.add(reader.fileno(), POLLIN | EPOLLET, 1);
          writer.write();
          assert.equal(readyNow(poller).get(1), POLLIN);
          assert.equal(readyNow(poller).size, 0);
          writer.write();
          assert.equal(readyNow(poller).get(1), POLLIN);
        }),
      },
      {
        name: "one-shot, reports once until modified",
        skip: without(capabilities.oneShot, "one-shot"),
        run: using((poller, opened) => {
          const [a] = opened.pair();
          poller.add(a.fileno(), POLLOUT | EPOLLONESHOT, 1);
          assert.equal(readyNow(poller).get(1), POLLOUT);
          assert.equal(readyNow(poller).size, 0);
          poller.modify(a.fileno(), POLLOUT | EPOLLONESHOT, 1);
          assert.equal(readyNow(poller).get(1), POLLOUT);
        }),
      },
      {
        name: "a hang-up is reported with an empty interest",
        skip: without(capabilities.hangup, "report of hang-ups"),
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          poller.add(a.fileno(), 0, 1);
          b.close();
          assert.equal((readyNow(poller).get(1) ?? 0) & POLLHUP, POLLHUP);
        }),
      },
      {
        name: "the end of a stream is readable",
        run: using((poller, opened) => {
          const { reader, writer } = opened.pipe();
          const [a, b] = opened.pair();
          poller.add(a.fileno(), POLLIN, 2);
          b.close();
          assert.equal((readyNow(poller).get(2) ?? 0) & POLLIN, POLLIN);
          poller.add(reader.fileno(), POLLIN, 1);
          writer.close();
          const told = capabilities.hangup ? POLLHUP : POLLIN;
          assert.equal((readyNow(poller).get(1) ?? 0) & told, told);
        }),
      },
      {
        name: "a peer that closed its half is distinguished from data",
        skip: without(capabilities.peerClosed, "POLLRDHUP"),
        run: using((poller, opened) => {
          const [a, b] = opened.pair();
          poller.add(a.fileno(), POLLRDHUP, 1);
          b.write();
          assert.equal(readyNow(poller).size, 0);
          const SHUT_WR = 1;
          kernel.libc.shutdown(b.fileno(), SHUT_WR);
          assert.equal(readyNow(poller).get(1), POLLRDHUP);
        }),
      },
      {
        name: "a descriptor that was closed while watched does not prevent the reports of others",
        run: using((poller, opened) => {
          const { reader, writer } = opened.pipe();
          const [gone, peer] = opened.pair();
          writer.write();
          peer.write();
          poller.add(reader.fileno(), POLLIN, 1);
          poller.add(gone.fileno(), POLLIN, 2);
          const fd = gone.fileno();
          gone.close();
          for (let i = 0; i < 3; i++) {
            const found = readyNow(poller);
            assert.equal(found.get(1), POLLIN);
            // epoll removes a descriptor that is closed; the others must report it.
            if (poller.name !== "epoll") assert.equal(found.get(2), POLLNVAL);
          }
          poller.remove(fd);
          assert.deepEqual([...readyNow(poller)], [[1, POLLIN]]);
        }),
      },
      {
        name: "a closed descriptor ends a wait without a timeout",
        skip: engine === "epoll" ? "epoll forgets a descriptor when it closes" : undefined,
        run: using((poller, opened) => {
          const { reader } = opened.pipe();
          poller.add(reader.fileno(), POLLIN, 1);
          reader.close();
          const batch = new ReadyBatch();
          assert.equal(poller.wait(batch, -1), 1);
          assert.equal(batch.masks[0], POLLNVAL);
        }),
      },
      {
        name: "when more are ready than a batch holds, all are reported in turn",
        run: using((poller, opened) => {
          const many = 100;
          assertFreeDescriptors(many, capabilities.maxFd);
          for (let tag = 0; tag < many; tag++) {
            assert.equal(poller.add(opened.counter(1).fileno(), POLLIN, tag), 0);
          }
          const batch = new ReadyBatch(7);
          const seen = new Set<number>();
          for (let turn = 0; turn < Math.ceil(many / 7); turn++) {
            assert.equal(readyNow(poller, batch).size, 7);
            for (const tag of batch.tags) seen.add(tag);
          }
          assert.equal(seen.size, many);
        }),
      },
      {
        name: "removing any one of many leaves the others as they were",
        run: using((poller, opened) => {
          assertFreeDescriptors(600, capabilities.maxFd);
          const many = Array.from({ length: 600 }, () => opened.counter(1));
          many.forEach((it, tag) => {
            const added = poller.add(it.fileno(), tag % 2 === 0 ? POLLIN : POLLOUT, tag);
            assert.equal(added, 0, `${name}: add of descriptor ${it.fileno()}`);
          });
          const expected = new Map(many.map((_, tag) => [tag, tag % 2 === 0 ? POLLIN : POLLOUT]));
          for (let tag = 0; tag < many.length; tag += 3) {
            assert.equal(poller.remove((many[tag] as (typeof many)[0]).fileno()), 0);
            expected.delete(tag);
          }
          const found = [...readyNow(poller)].sort(([a], [b]) => a - b);
          assert.deepEqual(found, [...expected]);
        }),
      },
      {
        name: "watches regular files as always ready, or refuses them with EPERM",
        run: using((poller, opened) => {
          const result = poller.add(opened.file().fileno(), POLLIN | POLLOUT, 1);
          if (capabilities.regularFiles) {
            assert.equal(result, 0);
            assert.equal(readyNow(poller).get(1), POLLIN | POLLOUT);
          } else {
            assert.equal(result, -ERRNO.EPERM);
          }
        }),
      },
      {
        name: "a wait lasts for its whole timeout",
        run: using((poller, opened) => {
          poller.add(opened.counter(0).fileno(), POLLIN, 1);
          for (const timeoutMs of [0.3, 1, 7.5, 20]) {
            const start = performance.now();
            assert.equal(poller.wait(new ReadyBatch(), timeoutMs), 0);
            const took = performance.now() - start;
            assert.ok(took >= timeoutMs, `${name}: waited ${took} of ${timeoutMs} ms`);
          }
        }),
      },
      {
        name: "without epoll_pwait2, or where it is forbidden, waits are whole milliseconds and never shorter",
        run: opening((opened) => {
          for (const old of withoutPwait2()) {
            const poller = make(old);
            opened.own({ [Symbol.dispose]: () => poller.close() });
            poller.add(opened.counter(0).fileno(), POLLIN, 1);
            for (const timeoutMs of [0.2, 5.5]) {
              const start = performance.now();
              assert.equal(poller.wait(new ReadyBatch(), timeoutMs), 0);
              const took = performance.now() - start;
              assert.ok(took >= timeoutMs, `${name}: waited ${took} of ${timeoutMs} ms`);
            }
          }
        }),
      },
      {
        name: "a signal neither ends nor restarts a wait",
        run: opening((opened) => {
          for (const timeoutMs of [20, 20.5]) {
            const faulty = interrupted(1000, 3);
            const poller = make(faulty.kernel);
            opened.own({ [Symbol.dispose]: () => poller.close() });
            poller.add(opened.counter(0).fileno(), POLLIN, 1);
            const start = performance.now();
            assert.equal(poller.wait(new ReadyBatch(), timeoutMs), 0);
            const took = performance.now() - start;
            assert.ok(took >= timeoutMs, `${name}: waited ${took} of ${timeoutMs} ms`);
            // If it restarted after each signal, it would have met all of them.
            assert.ok(faulty.left() > 900, `${name}: ${1000 - faulty.left()} interruptions`);
          }
        }),
      },
      {
        name: "a signal does not end a wait without a timeout",
        run: opening((opened) => {
          const faulty = interrupted(2);
          const poller = make(faulty.kernel);
          opened.own({ [Symbol.dispose]: () => poller.close() });
          poller.add(opened.counter(1).fileno(), POLLIN, 1);
          assert.equal(poller.wait(new ReadyBatch(), -1), 1);
          assert.equal(faulty.left(), 0);
        }),
      },
      {
        name: "its own descriptor, where it has one, is readable when something is ready",
        skip: engine === "epoll" ? undefined : `${name} has no descriptor`,
        run: using((inner, opened) => {
          const outer = make(kernel);
          opened.own({ [Symbol.dispose]: () => outer.close() });
          const { reader, writer } = opened.pipe();
          inner.add(reader.fileno(), POLLIN, 1);
          outer.add(inner.fileno(), POLLIN, 2);
          assert.equal(readyNow(outer).size, 0);
          writer.write();
          assert.equal(readyNow(outer).get(2), POLLIN);
        }),
      },
      {
        name: "after close, every call returns EBADF, and closing again does nothing",
        run: opening((opened) => {
          const poller = make(kernel);
          const [a, b] = opened.pair();
          poller.add(a.fileno(), POLLOUT, 1);
          poller.close();
          poller.close();
          assert.equal(poller.fileno(), -1);
          assert.equal(poller.add(b.fileno(), INTEREST_BITS, 1), -ERRNO.EBADF);
          assert.equal(poller.modify(a.fileno(), POLLIN, 1), -ERRNO.EBADF);
          assert.equal(poller.remove(a.fileno()), -ERRNO.EBADF);
          assert.equal(poller.wait(new ReadyBatch(), 0), -ERRNO.EBADF);
        }),
      },
    ],
  };
}

function probe(make: (kernel: Kernel) => Poller): Pick<Poller, "capabilities" | "name"> {
  const poller = make(kernel);
  poller.close();
  return poller;
}
