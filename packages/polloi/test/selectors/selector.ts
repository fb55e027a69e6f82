import assert from "node:assert/strict";
import {
  assertFreeDescriptors,
  closedFd,
  interrupted,
  kernelWith,
  type Opened,
  opening,
  raiseDescriptorLimit,
} from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import type { HasFileno } from "../../src/base/descriptor.ts";
import {
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PEER_CLOSED,
  EVENT_READ,
  EVENT_WRITE,
  type Selector,
  SelectorBatch,
  type SelectorKey,
  type SelectorOptions,
} from "../../src/selectors/index.ts";
import { F_GETFD, FD_CLOEXEC, FD_SETSIZE } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

const READ_WRITE = EVENT_READ | EVENT_WRITE;

/** The conformance suite of {@link Selector}: the properties that CPython's test_selectors names, and others. */
export function selectorConformance(
  name: string,
  make: (options?: SelectorOptions) => Selector<unknown>,
): Suite {
  const probe = make();
  const { capabilities, name: poller } = probe;
  probe.close();
  const using = (body: (selector: Selector<unknown>, opened: Opened) => void): (() => void) =>
    opening((opened) => body(opened.own(make()), opened));
  const without = (capable: boolean, what: string): string | undefined =>
    capable ? undefined : `${poller} has no ${what}`;

  return {
    title: `Selector conformance: ${name} on ${kernel.runtime}`,
    cases: [
      {
        name: "register returns a frozen key with its arguments",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const key = selector.register(a, EVENT_READ, "data");
          assert.deepEqual({ ...key }, { fileObject: a, fd: a.fileno(), events: 1, data: "data" });
          assert.equal(key.fileObject, a);
          assert.ok(Object.isFrozen(key));
          const second = selector.register(b.fileno(), EVENT_WRITE);
          assert.equal(second.fileObject, b.fileno());
          assert.equal(second.data, undefined);
        }),
      },
      {
        name: "register refuses invalid events, invalid descriptors and duplicates",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const events = { code: "ERR_INVALID_EVENTS" };
          for (const wrong of [999_999, -1, 1.5, "1" as never, EVENT_HANGUP, 2 ** 32 + 1]) {
            assert.throws(() => selector.register(a, wrong), events);
          }
          for (const wrong of [-1, 2 ** 31, 1.5, "0" as never, {} as never, null as never]) {
            assert.throws(() => selector.register(wrong, EVENT_READ), { code: "ERR_INVALID_FD" });
          }
          selector.register(a, EVENT_READ);
          const again = { name: "TypeError", code: "ERR_ALREADY_REGISTERED" };
          assert.throws(() => selector.register(a, EVENT_READ), again);
          assert.throws(() => selector.register(a.fileno(), EVENT_READ), again);
          const fd = closedFd();
          assert.throws(() => selector.register(fd, EVENT_READ), { code: "EBADF", fd });
          // Refused registrations were not stored.
          assert.equal(selector.getMap().size, 1);
          selector.register(b, EVENT_READ);
        }),
      },
      {
        name: "unregister returns the key, once",
        run: using((selector, opened) => {
          const [a] = opened.pair();
          const key = selector.register(a, EVENT_WRITE);
          assert.equal(selector.unregister(a.fileno()), key);
          assert.deepEqual(selector.select(0), []);
          const gone = { name: "TypeError", code: "ERR_NOT_REGISTERED" };
          assert.throws(() => selector.unregister(a), gone);
          assert.throws(() => selector.unregister("a" as never), gone);
          selector.register(a, EVENT_WRITE);
          assert.equal(selector.select(0).length, 1);
        }),
      },
      {
        name: "unregister works after the descriptor was closed",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const fd = b.fileno();
          const first = selector.register(a, EVENT_READ);
          selector.register(fd, EVENT_READ);
          a.close();
          b.close();
          // Its fileno() is -1 now, and it is found by identity.
          assert.equal(selector.unregister(a), first);
          selector.unregister(fd);
          assert.equal(selector.getMap().size, 0);
          assert.deepEqual(selector.select(0), []);
        }),
      },
      {
        name: "unregister works after the number was reused, whose new owner can then register",
        run: using((selector, opened) => {
          const ready = opened.counter(1);
          const [a] = opened.pair();
          const fd = a.fileno();
          selector.register(a, EVENT_READ);
          a.close();
          const next = opened.dupAt(ready, fd);
          assert.equal(next.fileno(), fd);
          selector.unregister(a);
          selector.register(next, EVENT_READ);
          assert.deepEqual(
            selector.select(0).map(([key]) => key.fileObject),
            [next],
          );
        }),
      },
      {
        name: "modify changes events and data, and makes a new key",
        run: using((selector, opened) => {
          const [a] = opened.pair();
          const before = selector.register(a, EVENT_READ, 1);
          const after = selector.modify(a, EVENT_WRITE, 2);
          assert.deepEqual([after.events, after.data], [EVENT_WRITE, 2]);
          assert.deepEqual([before.events, before.data], [EVENT_READ, 1]);
          assert.equal(selector.getKey(a), after);
          assert.deepEqual(selector.select(0), [[after, EVENT_WRITE]]);
          const gone = { name: "TypeError", code: "ERR_NOT_REGISTERED" };
          assert.throws(() => selector.modify(closedFd(), EVENT_READ), gone);
        }),
      },
      {
        name: "modify of data alone makes no system call",
        run: opening((opened) => {
          let calls = 0;
          const counting = kernelWith({
            epoll_ctl: (...args) => {
              calls++;
              return kernel.libc.epoll_ctl(...args);
            },
            fcntl: (...args) => {
              calls++;
              return kernel.libc.fcntl(...args);
            },
            syscall: (...args) => {
              calls++;
              return kernel.libc.syscall(...args);
            },
          });
          const selector = opened.own(make({ kernel: counting }));
          const it = opened.counter(1);
          selector.register(it, EVENT_READ, "before");
          calls = 0;
          const key = selector.modify(it, EVENT_READ, "after");
          assert.equal(calls, 0);
          assert.equal(selector.select(0)[0]?.[0], key);
          assert.equal(key.data, "after");
        }),
      },
      {
        name: "a modify that fails leaves the key, the interest and the data",
        run: opening((opened) => {
          const selector = opened.own(
            make({
              kernel: kernelWith({
                epoll_ctl: (epoll, operation, fd, event) =>
                  operation === 3 ? -12 : kernel.libc.epoll_ctl(epoll, operation, fd, event),
              }),
            }),
          );
          const [a] = opened.pair();
          const key = selector.register(a, EVENT_WRITE, "kept");
          assert.throws(() => selector.modify(a, 999_999, "lost"), { code: "ERR_INVALID_EVENTS" });
          if (poller === "epoll") {
            const error = { name: "SysError", code: "ENOMEM", syscall: "epoll_ctl" };
            assert.throws(() => selector.modify(a, EVENT_READ, "lost"), error);
          } else {
            const edge = { trigger: "edge" } as const;
            assert.throws(() => selector.modify(a, EVENT_READ, "lost", edge), {
              code: "ERR_UNSUPPORTED",
            });
          }
          assert.equal(selector.getKey(a), key);
          assert.deepEqual(selector.select(0), [[key, EVENT_WRITE]]);
        }),
      },
      {
        name: "getKey finds by object and by number, and throws when there is none",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const key = selector.register(a, EVENT_READ);
          assert.equal(selector.getKey(a), key);
          assert.equal(selector.getKey(a.fileno()), key);
          const gone = { name: "TypeError", code: "ERR_NOT_REGISTERED" };
          for (const wrong of [b, -1, 999_999, "a" as never, undefined as never]) {
            assert.throws(() => selector.getKey(wrong), gone);
          }
        }),
      },
      {
        name: "getMap is a live view, by the registered objects and numbers",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const map = selector.getMap();
          assert.equal(map.size, 0);
          const key = selector.register(a, EVENT_READ, 1);
          assert.equal(map.size, 1);
          assert.equal(map.get(a), key);
          assert.equal(map.get(a.fileno()), key);
          assert.ok(map.has(a) && !map.has(b));
          assert.equal(map.get(b), undefined);
          const second = selector.register(b, EVENT_WRITE);
          assert.deepEqual([...map.keys()], [a, b]);
          assert.deepEqual([...map.values()], [key, second]);
          assert.deepEqual(
            [...map],
            [
              [a, key],
              [b, second],
            ],
          );
          selector.unregister(a);
          assert.deepEqual([...map.keys()], [b]);
          assert.ok(!("set" in map) && !("delete" in map));
        }),
      },
      {
        name: "select reports each ready key once, with its events",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const first = selector.register(a, READ_WRITE, "a");
          const second = selector.register(b, EVENT_READ, "b");
          a.write();
          const found = new Map(selector.select());
          assert.deepEqual(
            found,
            new Map([
              [first, EVENT_WRITE],
              [second, EVENT_READ],
            ]),
          );
          b.write();
          b.drain();
          assert.deepEqual(selector.select(0), [[first, READ_WRITE]]);
        }),
      },
      {
        name: "select with nothing registered returns an empty array after its timeout",
        run: using((selector) => {
          assert.deepEqual(selector.select(0), []);
          assert.deepEqual(selector.select(2), []);
        }),
      },
      {
        name: "select returns a new array each time",
        run: using((selector, opened) => {
          selector.register(opened.counter(1), EVENT_READ);
          const first = selector.select(0);
          const second = selector.select(0);
          assert.notEqual(first, second);
          assert.equal(first.length, 1);
        }),
      },
      {
        name: "0 and negative timeouts do not wait, others are never cut short",
        run: using((selector, opened) => {
          selector.register(opened.counter(0), EVENT_READ);
          assert.deepEqual(selector.select(0), []);
          assert.deepEqual(selector.select(-1), []);
          assert.deepEqual(selector.select(-0.1), []);
          for (const timeoutMs of [0.4, 1, 12.5]) {
            const start = performance.now();
            assert.deepEqual(selector.select(timeoutMs), []);
            const took = performance.now() - start;
            assert.ok(took >= timeoutMs, `${poller} waited ${took} of ${timeoutMs} ms`);
          }
          const code = "ERR_INVALID_TIMEOUT";
          for (const wrong of [Number.NaN, 2 ** 31, "1" as never]) {
            assert.throws(() => selector.select(wrong), { code });
          }
        }),
      },
      {
        name: "a select that a signal interrupts continues with the remaining time",
        run: opening((opened) => {
          const faulty = interrupted(1000, 3);
          const selector = opened.own(make({ kernel: faulty.kernel }));
          selector.register(opened.counter(0), EVENT_READ);
          const start = performance.now();
          assert.deepEqual(selector.select(20), []);
          assert.ok(performance.now() - start >= 20);
          assert.ok(faulty.left() > 900, `${poller}: ${1000 - faulty.left()} interruptions`);
        }),
      },
      {
        name: "a wait that fails throws, and keeps the keys",
        run: opening((opened) => {
          let failing = false;
          const wait = failingWhen(() => failing);
          const selector = opened.own(make({ kernel: wait }));
          selector.register(opened.counter(1), EVENT_READ);
          failing = true;
          assert.throws(() => selector.select(0), { name: "SysError", code: "ENOMEM" });
          failing = false;
          assert.equal(selector.select(0).length, 1);
        }),
      },
      {
        name: "the close of the other end is readable, and a hang-up where the poller distinguishes it",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          selector.register(a, READ_WRITE);
          b.close();
          const expected = capabilities.hangup ? READ_WRITE | EVENT_HANGUP : READ_WRITE;
          assert.equal(selector.select(0)[0]?.[1], expected);
        }),
      },
      {
        name: "a key without events still gets the end",
        skip: without(capabilities.hangup, "report of hang-ups"),
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const { reader, writer } = opened.pipe();
          selector.register(a, 0);
          selector.register(writer, 0);
          assert.deepEqual(selector.select(0), []);
          b.close();
          reader.close();
          const found = new Map(
            selector.select(0).map(([key, events]) => [key.fileObject, events]),
          );
          assert.equal(found.get(a), EVENT_HANGUP);
          assert.equal(found.get(writer), EVENT_ERROR);
        }),
      },
      {
        name: "an error is reported as writable to a program that only writes",
        run: using((selector, opened) => {
          const { reader, writer } = opened.pipe();
          writer.fill();
          selector.register(writer, EVENT_WRITE);
          assert.deepEqual(selector.select(0), []);
          reader.close();
          const expected = capabilities.hangup ? EVENT_WRITE | EVENT_ERROR : EVENT_WRITE;
          assert.equal(selector.select(0)[0]?.[1], expected);
        }),
      },
      {
        name: "a peer that closed its half is distinguished from data, or watching for it is refused",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          if (!capabilities.peerClosed) {
            assert.throws(() => selector.register(a, EVENT_READ | EVENT_PEER_CLOSED), {
              name: "TypeError",
              code: "ERR_UNSUPPORTED",
              message: /EVENT_PEER_CLOSED.*select/,
            });
            return;
          }
          selector.register(a, EVENT_PEER_CLOSED);
          b.write();
          assert.deepEqual(selector.select(0), []);
          const SHUT_WR = 1;
          kernel.libc.shutdown(b.fileno(), SHUT_WR);
          assert.equal(selector.select(0)[0]?.[1], EVENT_PEER_CLOSED);
        }),
      },
      {
        name: "modes that the poller does not support are refused by name",
        skip: capabilities.edge ? `${poller} has them all` : undefined,
        run: using((selector, opened) => {
          const it = opened.counter(1);
          const watch = [{ trigger: "edge" }, { oneShot: true }, { exclusive: true }] as const;
          for (const options of watch) {
            assert.throws(() => selector.register(it, EVENT_READ, null, options), {
              name: "TypeError",
              code: "ERR_UNSUPPORTED",
              message: new RegExp(`${Object.keys(options)[0]}.*${poller} does not support`),
            });
          }
          const wrong = { trigger: "Edge" } as never;
          const error = { code: "ERR_INVALID_OPTION" };
          assert.throws(() => selector.register(it, EVENT_READ, null, wrong), error);
          assert.equal(selector.getMap().size, 0);
        }),
      },
      {
        name: "edge-triggered reports once, and stays edge-triggered when modified without options",
        skip: without(capabilities.edge, "edge"),
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          selector.register(a, EVENT_READ, null, { trigger: "edge" });
          b.write();
          assert.equal(selector.select(0).length, 1);
          assert.equal(selector.select(0).length, 0);
          selector.modify(a, READ_WRITE);
          assert.equal(selector.select(0).length, 1);
          assert.equal(selector.select(0).length, 0);
          selector.modify(a, READ_WRITE, null, { trigger: "level" });
          for (let i = 0; i < 2; i++) assert.equal(selector.select(0).length, 1);
        }),
      },
      {
        name: "one-shot reports once, and a modify with the same events enables it again",
        skip: without(capabilities.oneShot, "one-shot"),
        run: using((selector, opened) => {
          const it = opened.counter(1);
          selector.register(it, EVENT_READ, null, { oneShot: true });
          assert.equal(selector.select(0).length, 1);
          assert.equal(selector.select(0).length, 0);
          selector.modify(it, EVENT_READ);
          assert.equal(selector.select(0).length, 1);
          assert.equal(selector.select(0).length, 0);
        }),
      },
      {
        name: "an exclusive watch reports, and refuses a modify with the reason",
        skip: without(capabilities.exclusive, "exclusive"),
        run: using((selector, opened) => {
          const it = opened.counter(1);
          const key = selector.register(it, EVENT_READ, null, { exclusive: true });
          assert.equal(selector.select(0).length, 1);
          assert.throws(() => selector.modify(it, READ_WRITE), {
            code: "EINVAL",
            hint: /exclusive/,
          });
          assert.equal(selector.getKey(it), key);
        }),
      },
      {
        name: "descriptors from 1024 up are watched, or refused with the limit",
        skip: raiseDescriptorLimit(FD_SETSIZE + 64),
        run: using((selector, opened) => {
          const high = opened.dupAt(opened.counter(1), FD_SETSIZE);
          assert.ok(high.fileno() >= FD_SETSIZE);
          if (capabilities.maxFd >= FD_SETSIZE) {
            selector.register(high, EVENT_READ);
            assert.equal(selector.select(0)[0]?.[0].fileObject, high);
          } else {
            assert.throws(() => selector.register(high, EVENT_READ), {
              name: "RangeError",
              code: "ERR_FD_TOO_LARGE",
              message:
                /^Cannot select on fd \d+: select\(\) holds fds below 1024; use poll or epoll$/,
            });
            assert.equal(selector.getMap().size, 0);
          }
        }),
      },
      {
        name: "5,000 descriptors are reported by one select",
        skip:
          without(capabilities.maxFd >= 6000, "descriptors above 1023") ??
          raiseDescriptorLimit(6000),
        run: using((selector, opened) => {
          for (let i = 0; i < 5000; i++) selector.register(opened.counter(1), EVENT_READ, i);
          const found = selector.select(0);
          assert.equal(found.length, 5000);
          assert.equal(new Set(found.map(([key]) => key.data)).size, 5000);
        }),
      },
      {
        name: "a regular file is always ready, or refused with EPERM and a hint",
        run: using((selector, opened) => {
          const file = opened.file();
          if (capabilities.regularFiles) {
            selector.register(file, READ_WRITE);
            assert.equal(selector.select(0)[0]?.[1], READ_WRITE);
          } else {
            const error = { code: "EPERM", syscall: "epoll_ctl", hint: /poll and select can/ };
            assert.throws(() => selector.register(file, READ_WRITE), error);
            assert.equal(selector.getMap().size, 0);
          }
        }),
      },
      {
        name: "a descriptor that was closed while registered does not prevent the reports of others",
        run: using((selector, opened) => {
          const ready = opened.counter(1);
          const [gone] = opened.pair();
          selector.register(gone, EVENT_READ);
          selector.register(ready, EVENT_READ);
          gone.close();
          const found = new Map(
            selector.select(0).map(([key, events]) => [key.fileObject, events]),
          );
          assert.equal(found.get(ready), EVENT_READ);
          if (poller !== "epoll") assert.equal(found.get(gone), EVENT_READ | EVENT_ERROR);
          selector.unregister(gone);
          assert.equal(selector.select(0).length, 1);
        }),
      },
      {
        name: "an event of a duplicated descriptor that was closed and unregistered is dropped",
        run: using((selector, opened) => {
          const quiet = opened.counter(0);
          const [a, b] = opened.pair();
          const copy = opened.own(a.dup());
          const fd = a.fileno();
          selector.register(a, EVENT_READ, "old");
          a.close();
          selector.unregister(a);
          const next = opened.dupAt(quiet, fd);
          assert.equal(next.fileno(), fd);
          selector.register(next, EVENT_READ, "new");
          b.write();
          // On epoll the open file continues in the duplicate, and is still watched.
          assert.deepEqual(selector.select(1), []);
          assert.ok(copy.fileno() !== fd);
        }),
      },
      {
        name: "wait fills a batch, which can be reused",
        run: using((selector, opened) => {
          const [a, b] = opened.pair();
          const batch = new SelectorBatch<unknown>(8);
          const key = selector.register(a, EVENT_READ, "a");
          assert.equal(selector.wait(batch, 0), 0);
          assert.equal(batch.count, 0);
          b.write();
          assert.equal(selector.wait(batch), 1);
          assert.equal(batch.keyAt(0), key);
          assert.equal(batch.eventsAt(0), EVENT_READ);
          assert.deepEqual([...batch], [[key, EVENT_READ]]);
          a.drain();
          assert.equal(selector.wait(batch, 0), 0);
          assert.equal(batch.keyAt(0), undefined);
          assert.equal(batch.eventsAt(0), 0);
          for (const wrong of [0, -1, 1.5, 65_537]) {
            assert.throws(() => new SelectorBatch(wrong), { code: "ERR_INVALID_LENGTH" });
          }
        }),
      },
      {
        name: "an event whose key was unregistered since the wait is never delivered",
        run: using((selector, opened) => {
          const quiet = opened.counter(0);
          const all = [opened.counter(1), opened.counter(1)];
          for (const it of all) selector.register(it, EVENT_READ);
          const batch = new SelectorBatch<unknown>();
          assert.equal(selector.wait(batch, 0), 2);
          const second = batch.keyAt(1) as SelectorKey<unknown>;
          const fd = (second.fileObject as HasFileno).fileno();
          selector.unregister(second.fileObject);
          (second.fileObject as (typeof all)[0]).close();
          const next = opened.dupAt(quiet, fd);
          assert.equal(next.fileno(), fd);
          selector.register(next, EVENT_READ);
          assert.equal(batch.keyAt(1), undefined);
          assert.equal([...batch].length, 1);
          // A modify shows, because it is the same registration.
          const first = batch.keyAt(0) as SelectorKey<unknown>;
          const modified = selector.modify(first.fileObject, EVENT_READ, "modified");
          assert.equal(batch.keyAt(0), modified);
        }),
      },
      {
        name: "with a batch smaller than the number of ready keys, all are reported in turn",
        run: using((selector, opened) => {
          assertFreeDescriptors(50, capabilities.maxFd);
          for (let i = 0; i < 50; i++) selector.register(opened.counter(1), EVENT_READ, i);
          const batch = new SelectorBatch<unknown>(8);
          const seen = new Set<unknown>();
          for (let turn = 0; turn < 7; turn++) {
            assert.equal(selector.wait(batch, 0), 8);
            for (const [key] of batch) seen.add(key.data);
          }
          assert.equal(seen.size, 50);
        }),
      },
      {
        name: "its descriptor, where it has one, is not inherited and can be watched",
        skip: poller === "epoll" ? undefined : `${poller} has no descriptor`,
        run: using((selector, opened) => {
          const flags = kernel.libc.fcntl(selector.fileno(), F_GETFD, 0);
          assert.equal(flags & FD_CLOEXEC, FD_CLOEXEC);
          const outer = opened.own(make());
          outer.register(selector, EVENT_READ);
          selector.register(opened.counter(1), EVENT_READ);
          assert.equal(outer.select(0)[0]?.[0].fileObject, selector);
        }),
      },
      {
        name: "a closed selector throws, holds nothing, and closing again does nothing",
        run: opening((opened) => {
          const it = opened.counter(1);
          const selector = make();
          selector.register(it, EVENT_READ);
          const map = selector.getMap();
          const fd = selector.fileno();
          selector.close();
          assert.ok(selector.closed);
          selector.close();
          selector[Symbol.dispose]();
          assert.equal(selector.fileno(), -1);
          assert.equal(map.size, 0);
          if (fd >= 0) assert.ok(kernel.libc.fcntl(fd, F_GETFD, 0) < 0);
          const error = { name: "TypeError", code: "ERR_CLOSED" };
          assert.throws(() => selector.register(it, EVENT_READ), error);
          assert.throws(() => selector.unregister(it), error);
          assert.throws(() => selector.modify(it, EVENT_READ), error);
          assert.throws(() => selector.select(0), error);
          assert.throws(() => selector.wait(new SelectorBatch(), 0), error);
          assert.throws(() => selector.getKey(it), error);
          assert.throws(() => selector.getMap(), error);
          // Registered descriptors stay open.
          assert.equal(it.write(8), 8);
        }),
      },
    ],
  };
}

/** A kernel whose waits fail with ENOMEM while `failing` is true. */
function failingWhen(failing: () => boolean): typeof kernel {
  const { libc } = kernel;
  const ENOMEM = -12;
  return kernelWith({
    pselect: (...args) => (failing() ? ENOMEM : libc.pselect(...args)),
    ppoll: (...args) => (failing() ? ENOMEM : libc.ppoll(...args)),
    epoll_wait: (...args) => (failing() ? ENOMEM : libc.epoll_wait(...args)),
    syscall: (...args) => (failing() ? ENOMEM : libc.syscall(...args)),
  });
}
