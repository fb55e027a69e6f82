import assert from "node:assert/strict";
import {
  closedFd,
  interrupted,
  kernelWith,
  type Opened,
  opening,
  raiseDescriptorLimit,
  withoutPwait2,
} from "../../../../test/support/descriptors.ts";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import type { HasFileno } from "../../src/base/descriptor.ts";
import {
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLRDHUP,
  Epoll,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  Poll,
  select,
} from "../../src/select/index.ts";
import { F_GETFD, FD_CLOEXEC, FD_SETSIZE } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

const title = (what: string): string => `${what} on ${kernel.runtime}`;

/** Cases of timeouts, signals and readiness that all three calls have in common. */
function waiting(
  name: string,
  wait: (reader: HasFileno, timeoutMs?: number | null, on?: typeof kernel) => number,
): Case[] {
  return [
    {
      name: "a timeout is never cut short, and fractions count",
      run: opening((opened) => {
        const { reader } = opened.pipe();
        for (const timeoutMs of [0.2, 1, 5.5, 20]) {
          const start = performance.now();
          assert.equal(wait(reader, timeoutMs), 0);
          const took = performance.now() - start;
          assert.ok(took >= timeoutMs, `${name} waited ${took} of ${timeoutMs} ms`);
        }
      }),
    },
    {
      name: "without epoll_pwait2, or where it is forbidden, waits are whole milliseconds and never shorter",
      run: opening((opened) => {
        for (const old of withoutPwait2()) {
          const { reader } = opened.pipe();
          for (const timeoutMs of [0.2, 5.5]) {
            const start = performance.now();
            assert.equal(wait(reader, timeoutMs, old), 0);
            const took = performance.now() - start;
            assert.ok(took >= timeoutMs, `${name} waited ${took} of ${timeoutMs} ms`);
          }
        }
      }),
    },
    {
      name: "undefined and null wait until something is ready",
      run: opening((opened) => {
        assert.equal(wait(opened.counter(1)), 1);
        assert.equal(wait(opened.counter(1), null), 1);
      }),
    },
    {
      name: "timeouts that are no number, NaN or beyond range are refused",
      run: opening((opened) => {
        const { reader } = opened.pipe();
        const code = "ERR_INVALID_TIMEOUT";
        for (const timeoutMs of [Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
          assert.throws(() => wait(reader, timeoutMs), { name: "RangeError", code });
        }
        const text = "1" as unknown as number;
        assert.throws(() => wait(reader, text), { name: "TypeError", code });
      }),
    },
    {
      name: "a signal neither ends nor restarts a wait",
      run: opening((opened) => {
        const { reader } = opened.pipe();
        const faulty = interrupted(1000, 3);
        const start = performance.now();
        assert.equal(wait(reader, 20, faulty.kernel), 0);
        assert.ok(performance.now() - start >= 20);
        assert.ok(faulty.left() > 900, `${name}: ${1000 - faulty.left()} interruptions`);
        assert.equal(wait(opened.counter(1), undefined, interrupted(2).kernel), 1);
      }),
    },
    {
      name: "an error of the kernel is thrown with its name",
      run: opening((opened) => {
        const { reader } = opened.pipe();
        const ENOMEM = -12;
        const fail = (): number => ENOMEM;
        const failing = kernelWith({ pselect: fail, ppoll: fail, epoll_wait: fail });
        assert.throws(() => wait(reader, 0, failing), { name: "SysError", code: "ENOMEM" });
      }),
    },
  ];
}

/** `select()`: the properties that CPython's test_select names, and those of its limits. */
export function selectConformance(): Suite {
  return {
    title: title("select()"),
    cases: [
      ...waiting("select", (it, timeoutMs, on) => select([it], [], [], timeoutMs, on)[0].length),
      {
        name: "returns the objects and numbers that were passed in, in new arrays",
        run: opening((opened) => {
          const [a, b] = opened.pair();
          b.write();
          const lists = [[a, b.fileno(), a], [b, a.fileno()], [a]] as const;
          const result = select(...lists, 0);
          assert.equal(result.length, 3);
          assert.deepEqual([result[0].length, result[1].length, result[2].length], [2, 2, 0]);
          assert.ok(result[0].every((it) => it === a));
          assert.ok(result[1][0] === b && result[1][1] === a.fileno());
          assert.ok(result.every((list, i) => list !== (lists as readonly unknown[])[i]));
        }),
      },
      {
        name: "with nothing ready or nothing to watch, it returns three distinct arrays",
        run: () => {
          const [r, w, x] = select([], [], [], 0);
          assert.deepEqual([r, w, x], [[], [], []]);
          assert.ok(r !== (w as unknown) && w !== (x as unknown) && r !== (x as unknown));
        },
      },
      {
        name: "a list that fileno() shortens while it is read is watched as far as it was read",
        run: opening((opened) => {
          const fd = opened.counter(1).fileno();
          const list: HasFileno[] = [];
          const shortening = (): HasFileno => ({
            fileno: () => {
              list.pop();
              return fd;
            },
          });
          list.push(...Array.from({ length: 10 }, shortening));
          const before = [...list];
          const [, writers] = select([], list, [], 0);
          assert.equal(writers.length, 5);
          assert.ok(writers.every((it, i) => it === before[i]));
        }),
      },
      {
        name: "a fileno() that selects itself does no harm",
        run: opening((opened) => {
          const quiet = opened.counter(0);
          const loud = opened.counter(1);
          const nested: HasFileno = {
            fileno: () => {
              assert.equal(select([loud], [], [], 0)[0].length, 1);
              return quiet.fileno();
            },
          };
          assert.deepEqual(select([nested], [], [], 0), [[], [], []]);
        }),
      },
      {
        name: "an error of fileno() is thrown",
        run: () => {
          const failing: HasFileno = {
            fileno: () => {
              throw new Error("mine");
            },
          };
          assert.throws(() => select([failing], [], [], 0), /mine/);
        },
      },
      {
        name: "values that are no descriptors or no lists are refused",
        run: () => {
          const of = (it: unknown) => [it as number];
          const code = "ERR_INVALID_FD";
          for (const wrong of [{}, "3", null, undefined, { fileno: () => "3" }]) {
            assert.throws(() => select(of(wrong), [], [], 0), { name: "TypeError", code });
          }
          for (const wrong of [-1, 1.5, 2 ** 31]) {
            assert.throws(() => select([], of(wrong), [], 0), { name: "RangeError", code });
          }
          assert.throws(() => select(1 as never, [], [], 0), { name: "TypeError", code });
          assert.throws(() => select([], "12" as never, [], 0), { name: "TypeError", code });
          assert.throws(() => select([], [], undefined as never, 0), { name: "TypeError", code });
        },
      },
      {
        name: "a negative timeout is refused",
        run: () => {
          const error = { name: "RangeError", code: "ERR_INVALID_TIMEOUT" };
          assert.throws(() => select([], [], [], -1), error);
        },
      },
      {
        name: "descriptors from 1024 up are refused with the limit and the alternatives",
        run: () => {
          assert.throws(() => select([], [FD_SETSIZE], [], 0), {
            name: "RangeError",
            code: "ERR_FD_TOO_LARGE",
            message: "Cannot select on fd 1024: select() holds fds below 1024; use poll or epoll",
          });
        },
      },
      {
        name: "the last descriptor below 1024 is watched",
        skip: raiseDescriptorLimit(FD_SETSIZE + 64),
        run: opening((opened) => {
          const last = opened.dupAt(opened.counter(1), FD_SETSIZE - 1);
          assert.equal(last.fileno(), FD_SETSIZE - 1);
          assert.deepEqual(select([last], [last], [last], 0), [[last], [last], []]);
        }),
      },
      {
        name: "a closed descriptor throws EBADF, which names it",
        run: opening((opened) => {
          const open = opened.counter(1);
          const fd = closedFd();
          const error = { name: "SysError", code: "EBADF", syscall: "select", fd };
          assert.throws(() => select([open], [fd], [], 0), error);
        }),
      },
      {
        name: "a closed descriptor that the kernel ignores throws EBADF, and is not ready",
        run: () => {
          // The kernel ignores descriptors above the highest that the process has had, and leaves their bits set.
          const overlooking = kernelWith({ pselect: () => 0 });
          const fd = closedFd();
          const error = { name: "SysError", code: "EBADF", fd };
          assert.throws(() => select([fd], [], [], 0, overlooking), error);
        },
      },
      {
        name: "a regular file is always ready",
        run: opening((opened) => {
          const file = opened.file();
          assert.deepEqual(select([file], [file], [], 0), [[file], [file], []]);
        }),
      },
    ],
  };
}

/** `Poll`: the properties that CPython's test_poll names. */
export function pollConformance(): Suite {
  return {
    title: title("Poll"),
    cases: [
      ...waiting("Poll", (it, timeoutMs, on = kernel) => {
        const poll = new Poll({ kernel: on });
        poll.register(it, POLLIN);
        return poll.poll(timeoutMs).length;
      }),
      {
        name: "reports the numbers of ready descriptors, with their events",
        run: opening((opened) => {
          const [a, b] = opened.pair();
          const poll = new Poll();
          poll.register(a);
          poll.register(b.fileno(), POLLIN);
          a.write();
          const found = new Map(poll.poll(0));
          assert.deepEqual(
            found,
            new Map([
              [a.fileno(), POLLOUT],
              [b.fileno(), POLLIN],
            ]),
          );
        }),
      },
      {
        name: "a negative timeout means no timeout",
        run: opening((opened) => {
          const poll = new Poll();
          poll.register(opened.counter(1), POLLIN);
          for (const timeoutMs of [-1, -0.5, -1000]) assert.equal(poll.poll(timeoutMs).length, 1);
        }),
      },
      {
        name: "registering again changes the events",
        run: opening((opened) => {
          const [a] = opened.pair();
          const poll = new Poll();
          poll.register(a, POLLOUT);
          poll.register(a, POLLIN);
          assert.deepEqual(poll.poll(0), []);
          poll.modify(a, POLLIN | POLLOUT);
          assert.deepEqual(poll.poll(0), [[a.fileno(), POLLOUT]]);
        }),
      },
      {
        name: "modifying or unregistering a descriptor that is not registered is an error",
        run: opening((opened) => {
          const [a] = opened.pair();
          const poll = new Poll();
          assert.throws(() => poll.modify(a, POLLIN), { name: "SysError", code: "ENOENT" });
          const error = { name: "TypeError", code: "ERR_NOT_REGISTERED" };
          assert.throws(() => poll.unregister(a), error);
          poll.register(a);
          poll.unregister(a);
          assert.throws(() => poll.unregister(a), error);
          assert.deepEqual(poll.poll(0), []);
        }),
      },
      {
        name: "a closed descriptor is POLLNVAL until it is unregistered",
        run: opening((opened) => {
          const [a] = opened.pair();
          const fd = a.fileno();
          const poll = new Poll();
          poll.register(a);
          a.close();
          assert.deepEqual(poll.poll(), [[fd, POLLNVAL]]);
          assert.deepEqual(poll.poll(0), [[fd, POLLNVAL]]);
          poll.unregister(fd);
          assert.deepEqual(poll.poll(0), []);
        }),
      },
      {
        name: "the close of the other end is always reported",
        run: opening((opened) => {
          const { reader, writer } = opened.pipe();
          const second = opened.pipe();
          const poll = new Poll();
          poll.register(reader, 0);
          poll.register(second.writer, 0);
          writer.close();
          second.reader.close();
          const found = new Map(poll.poll(0));
          assert.equal(found.get(reader.fileno()), POLLHUP);
          assert.equal(found.get(second.writer.fileno()), POLLERR);
        }),
      },
      {
        name: "masks beyond 16 bits and invalid descriptors are refused",
        run: () => {
          const poll = new Poll();
          const code = "ERR_INVALID_EVENTS";
          assert.throws(() => poll.register(0, 0x10000), { name: "RangeError", code });
          assert.throws(() => poll.register(0, -1), { name: "RangeError", code });
          assert.throws(() => poll.register(0, 1.5), { name: "RangeError", code });
          assert.throws(() => poll.register(-1), { code: "ERR_INVALID_FD" });
          assert.throws(() => poll.unregister("0" as never), { code: "ERR_INVALID_FD" });
        },
      },
      {
        name: "a regular file is always ready",
        run: opening((opened) => {
          const file = opened.file();
          const poll = new Poll();
          poll.register(file, POLLIN | POLLOUT | POLLPRI);
          assert.deepEqual(poll.poll(0), [[file.fileno(), POLLIN | POLLOUT]]);
        }),
      },
      {
        name: "5,000 descriptors are watched at once",
        skip: raiseDescriptorLimit(6000),
        run: opening((opened) => {
          const poll = new Poll();
          const all = Array.from({ length: 5000 }, () => opened.counter(1));
          for (const it of all) poll.register(it, POLLIN);
          assert.equal(new Map(poll.poll(0)).size, 5000);
          for (const it of all.slice(1)) poll.unregister(it);
          assert.deepEqual(poll.poll(0), [[(all[0] as HasFileno).fileno(), POLLIN]]);
        }),
      },
    ],
  };
}

/** `Epoll`: the properties that CPython's test_epoll names. */
export function epollConformance(): Suite {
  const using = (body: (epoll: Epoll, opened: Opened) => void): (() => void) =>
    opening((opened) => body(opened.own(new Epoll()), opened));
  return {
    title: title("Epoll"),
    cases: [
      ...waiting("Epoll", (it, timeoutMs, on = kernel) => {
        using epoll = new Epoll({ kernel: on });
        epoll.register(it, EPOLLIN);
        return epoll.poll(timeoutMs).length;
      }),
      {
        name: "poll reports descriptors as they were registered, modified and unregistered",
        run: using((epoll, opened) => {
          const [a, b] = opened.pair();
          epoll.register(a, EPOLLIN | EPOLLOUT);
          epoll.register(b, EPOLLIN | EPOLLOUT);
          assert.deepEqual(
            new Map(epoll.poll(0)),
            new Map([
              [a.fileno(), EPOLLOUT],
              [b.fileno(), EPOLLOUT],
            ]),
          );
          a.write();
          epoll.modify(b, EPOLLIN);
          epoll.unregister(a);
          assert.deepEqual(epoll.poll(0), [[b.fileno(), EPOLLIN]]);
        }),
      },
      {
        name: "EEXIST, ENOENT, EBADF and EPERM of the kernel are thrown with the descriptor",
        run: using((epoll, opened) => {
          const [a, b] = opened.pair();
          const refused = (code: string, fd: number) => ({
            name: "SysError",
            syscall: "epoll_ctl",
            code,
            fd,
          });
          epoll.register(a);
          assert.throws(() => epoll.register(a), refused("EEXIST", a.fileno()));
          assert.throws(() => epoll.modify(b, EPOLLIN), refused("ENOENT", b.fileno()));
          assert.throws(() => epoll.unregister(b), refused("ENOENT", b.fileno()));
          const fd = closedFd();
          assert.throws(() => epoll.register(fd), refused("EBADF", fd));
          assert.throws(() => epoll.unregister(fd), refused("EBADF", fd));
          const file = opened.file();
          assert.throws(
            () => epoll.register(file),
            (error: Error & { hint?: string }) => {
              assert.match(error.message, /^epoll_ctl EPERM fd \d+$/);
              assert.match(error.hint ?? "", /poll and select can/);
              return true;
            },
          );
        }),
      },
      {
        name: "invalid descriptors and masks are refused",
        run: using((epoll) => {
          assert.throws(() => epoll.register(-1), { code: "ERR_INVALID_FD" });
          assert.throws(() => epoll.register({} as never), { code: "ERR_INVALID_FD" });
          const code = "ERR_INVALID_EVENTS";
          assert.throws(() => epoll.register(0, 2 ** 32), { name: "RangeError", code });
          assert.throws(() => epoll.register(0, "1" as never), { name: "TypeError", code });
        }),
      },
      {
        name: "a mask with EPOLLET is accepted, though it is negative in JavaScript",
        run: using((epoll, opened) => {
          const { reader, writer } = opened.pipe();
          const mask = EPOLLIN | EPOLLET;
          assert.ok(mask < 0);
          epoll.register(reader, mask);
          writer.write();
          assert.deepEqual(epoll.poll(0), [[reader.fileno(), EPOLLIN]]);
          assert.deepEqual(epoll.poll(0), []);
          epoll.modify(reader, EPOLLIN);
          assert.equal(epoll.poll(0).length, 1);
          assert.equal(epoll.poll(0).length, 1);
        }),
      },
      {
        name: "one-shot reports once, until modified",
        run: using((epoll, opened) => {
          const it = opened.counter(1);
          epoll.register(it, EPOLLIN | EPOLLONESHOT);
          assert.equal(epoll.poll(0).length, 1);
          assert.equal(epoll.poll(0).length, 0);
          epoll.modify(it, EPOLLIN | EPOLLONESHOT);
          assert.equal(epoll.poll(0).length, 1);
        }),
      },
      {
        name: "the half-close and the close of the peer are reported",
        run: using((epoll, opened) => {
          const [a, b] = opened.pair();
          epoll.register(a, EPOLLRDHUP);
          const SHUT_WR = 1;
          kernel.libc.shutdown(b.fileno(), SHUT_WR);
          assert.deepEqual(epoll.poll(0), [[a.fileno(), EPOLLRDHUP]]);
          b.close();
          assert.deepEqual(epoll.poll(0), [[a.fileno(), EPOLLRDHUP | EPOLLHUP]]);
        }),
      },
      {
        name: "maxEvents limits the events of one poll, and the next reports the rest",
        run: using((epoll, opened) => {
          for (let i = 0; i < 20; i++) epoll.register(opened.counter(1), EPOLLIN);
          const seen = new Set<number>();
          for (let i = 0; i < 3; i++) {
            const found = epoll.poll(0, 7);
            assert.equal(found.length, 7);
            for (const [fd] of found) seen.add(fd);
          }
          assert.equal(seen.size, 20);
          for (const wrong of [0, -1, 1.5, Number.NaN]) {
            assert.throws(() => epoll.poll(0, wrong), { code: "ERR_INVALID_LENGTH" });
          }
        }),
      },
      {
        name: "5,000 ready descriptors are reported by one poll with this limit",
        skip: raiseDescriptorLimit(6000),
        run: using((epoll, opened) => {
          for (let i = 0; i < 5000; i++) epoll.register(opened.counter(1), EPOLLIN);
          assert.equal(new Map(epoll.poll(0, 5000)).size, 5000);
          assert.equal(epoll.poll(0).length, 1024);
        }),
      },
      {
        name: "fromFd takes an epoll set over, with its members",
        run: using((epoll, opened) => {
          const it = opened.counter(1);
          epoll.register(it, EPOLLIN);
          const copy = opened.dupAt(epoll, 3);
          const second = opened.own(Epoll.fromFd(copy.fileno()));
          assert.equal(second.fileno(), copy.fileno());
          assert.deepEqual(second.poll(0), [[it.fileno(), EPOLLIN]]);
          second.close();
          assert.ok(kernel.libc.fcntl(copy.fileno(), F_GETFD, 0) < 0);
          assert.equal(epoll.poll(0).length, 1);
          assert.throws(() => Epoll.fromFd(-1), { code: "ERR_INVALID_FD" });
          const other = Epoll.fromFd(opened.counter(0).dup().fileno());
          assert.throws(() => other.poll(0), { name: "SysError", code: "EINVAL" });
          other.close();
        }),
      },
      {
        name: "its descriptor is not inherited, and can be watched",
        run: using((epoll, opened) => {
          const flags = kernel.libc.fcntl(epoll.fileno(), F_GETFD, 0);
          assert.equal(flags & FD_CLOEXEC, FD_CLOEXEC);
          epoll.register(opened.counter(1), EPOLLIN);
          assert.deepEqual(select([epoll], [], [], 0)[0], [epoll]);
          assert.throws(() => epoll.register(epoll), { name: "SysError", code: "EINVAL" });
        }),
      },
      {
        name: "a closed set throws, and closing again does nothing",
        run: () => {
          const epoll = new Epoll();
          const fd = epoll.fileno();
          assert.equal(epoll.closed, false);
          epoll.close();
          assert.equal(epoll.closed, true);
          assert.equal(epoll.fileno(), -1);
          assert.ok(kernel.libc.fcntl(fd, F_GETFD, 0) < 0);
          epoll.close();
          epoll[Symbol.dispose]();
          const error = { name: "TypeError", code: "ERR_CLOSED" };
          assert.throws(() => epoll.poll(0), error);
          assert.throws(() => epoll.register(0), error);
          assert.throws(() => epoll.modify(0, EPOLLIN), error);
          assert.throws(() => epoll.unregister(0), error);
        },
      },
    ],
  };
}
