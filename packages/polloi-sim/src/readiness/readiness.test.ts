import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLL_EVENT,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLRDHUP,
  ERRNO,
  F_DUPFD_CLOEXEC,
  type Kernel,
  O_NONBLOCK,
  O_PATH,
} from "polloi/internal/pure";
import { Choices } from "../base/choices.ts";
import { VirtualClock } from "../base/clock.ts";
import { type FaultRates, Faults } from "../base/faults.ts";
import { World } from "../base/world.ts";
import { Machine } from "../machine/machine.ts";

const EVENTS = 4096;
const TIME = 512;
const SETS = 1024;

/** A process on a machine of its own. */
class Program {
  readonly machine: Machine;
  readonly world: World;
  readonly kernel: Kernel;

  constructor(choices: Choices = Choices.plain(), rates?: FaultRates) {
    this.world = new World(choices, new Faults(choices, rates), new VirtualClock());
    this.machine = new Machine(this.world);
    this.kernel = this.machine.start().kernel;
  }

  pipe(): [reader: number, writer: number] {
    const { libc, scratch } = this.kernel;
    assert.equal(libc.pipe2(scratch.address, O_NONBLOCK), 0);
    return [scratch.i32[0] as number, scratch.i32[1] as number];
  }

  epoll(): number {
    return this.kernel.libc.epoll_create1(0);
  }

  write(fd: number, length = 1): number {
    return this.kernel.libc.write(fd, this.kernel.scratch.address, length);
  }

  read(fd: number, length = 1): number {
    return this.kernel.libc.read(fd, this.kernel.scratch.address, length);
  }

  control(epoll: number, operation: number, fd: number, mask: number, tag = fd): number {
    const { libc, scratch } = this.kernel;
    scratch.u32[0] = mask;
    scratch.u32[EPOLL_EVENT.data] = tag;
    scratch.u32[EPOLL_EVENT.data + 1] = 0;
    return libc.epoll_ctl(epoll, operation, fd, scratch.address);
  }

  add(epoll: number, fd: number, mask: number = EPOLLIN, tag = fd): void {
    assert.equal(this.control(epoll, EPOLL_CTL_ADD, fd, mask, tag), 0);
  }

  /** The tags of the events. */
  wait(epoll: number, timeoutMs = 0, maxEvents = 16): number[] {
    const { libc, scratch } = this.kernel;
    const count = libc.epoll_wait(epoll, scratch.address + EVENTS, maxEvents, timeoutMs);
    assert.ok(count >= 0, `${count}`);
    const at = EVENTS / 4 + EPOLL_EVENT.data;
    return Array.from(
      { length: count },
      (_, i) => scratch.u32[at + i * EPOLL_EVENT.stride] as number,
    );
  }
}

test("level-triggered items take turns when a wait returns less than is ready", () => {
  const program = new Program();
  const epoll = program.epoll();
  for (let tag = 0; tag < 5; tag++) {
    const [reader, writer] = program.pipe();
    program.add(epoll, reader, EPOLLIN, tag);
    program.write(writer);
  }
  const seen = [1, 2, 3].map(() => program.wait(epoll, 0, 2));
  assert.deepEqual(seen, [
    [0, 1],
    [2, 3],
    [4, 0],
  ]);
  // What was not reported comes before what was.
  assert.deepEqual(program.wait(epoll), [1, 2, 3, 4, 0]);
});

test("edge-triggered, each wake-up is reported once, also one that changes nothing", () => {
  const program = new Program();
  const epoll = program.epoll();
  const [reader, writer] = program.pipe();
  program.write(writer);
  program.add(epoll, reader, EPOLLIN | EPOLLET, 1);
  const seen = [program.wait(epoll), program.wait(epoll)];
  program.write(writer);
  seen.push(program.wait(epoll));
  program.read(reader);
  seen.push(program.wait(epoll));
  // A write that fails because the pipe is full wakes its reader.
  while (program.write(writer, 4096) > 0);
  seen.push(program.wait(epoll), program.wait(epoll));
  assert.equal(program.write(writer), -ERRNO.EAGAIN);
  seen.push(program.wait(epoll));
  assert.deepEqual(seen, [[1], [], [1], [], [1], [], [1]]);
});

test("an item that is ready for something else, or not any more, is not reported", () => {
  const program = new Program();
  const epoll = program.epoll();
  const [reader, writer] = program.pipe();
  program.add(epoll, reader, EPOLLOUT);
  program.write(writer);
  assert.deepEqual(program.wait(epoll), []);
  program.control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN);
  program.read(reader);
  assert.deepEqual(program.wait(epoll), []);
});

test("one-shot disables an item until it is modified", () => {
  const program = new Program();
  const epoll = program.epoll();
  const [reader, writer] = program.pipe();
  program.add(epoll, reader, EPOLLIN | EPOLLONESHOT, 1);
  program.write(writer);
  assert.deepEqual(program.wait(epoll), [1]);
  program.write(writer);
  program.kernel.libc.close(writer);
  assert.deepEqual(program.wait(epoll), []);
  program.control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN | EPOLLONESHOT, 2);
  assert.deepEqual(program.wait(epoll), [2]);
});

test("a closed descriptor stays in the set as long as a duplicate is open", () => {
  const program = new Program();
  const { libc } = program.kernel;
  const epoll = program.epoll();
  const [reader, writer] = program.pipe();
  program.add(epoll, reader, EPOLLIN, 1);
  const copy = libc.fcntl(reader, F_DUPFD_CLOEXEC, 0);
  program.add(epoll, copy, EPOLLIN, 2);
  libc.close(reader);
  program.write(writer);
  // The last waiter of a file is woken first.
  assert.deepEqual(program.wait(epoll), [2, 1]);
  assert.equal(program.control(epoll, EPOLL_CTL_DEL, reader, 0), -ERRNO.EBADF);
  // The number is used again, by a file that is not in the set.
  assert.equal(libc.eventfd(1, 0), reader);
  assert.equal(program.control(epoll, EPOLL_CTL_DEL, reader, 0), -ERRNO.ENOENT);
  program.add(epoll, reader, EPOLLIN, 3);
  assert.deepEqual(program.wait(epoll), [2, 1, 3]);
  libc.close(copy);
  assert.deepEqual(program.wait(epoll), [3]);
});

test("a set in a set is ready when it has events; loops and deep nesting are refused", () => {
  const program = new Program();
  const [inner, outer] = [program.epoll(), program.epoll()];
  const [reader, writer] = program.pipe();
  program.add(outer, inner, EPOLLIN, 1);
  program.add(inner, reader, EPOLLIN | EPOLLET, 2);
  assert.deepEqual(program.wait(outer), []);
  program.write(writer);
  assert.deepEqual(program.wait(outer), [1]);
  assert.deepEqual(program.wait(inner), [2]);
  assert.deepEqual(program.wait(outer), []);
  assert.equal(program.control(inner, EPOLL_CTL_ADD, outer, EPOLLIN), -ERRNO.ELOOP);
  for (const isUp of [true, false]) {
    const sets = Array.from({ length: 7 }, () => program.epoll());
    const results = sets.slice(1).map((set, i) => {
      const [a, b] = isUp ? [set, sets[i] as number] : [sets[i] as number, set];
      return program.control(a, EPOLL_CTL_ADD, b, EPOLLIN);
    });
    assert.deepEqual(results, [0, 0, 0, 0, -ERRNO.ELOOP, 0]);
  }
});

test("epoll_ctl returns the errors of Linux, in its order", () => {
  const program = new Program();
  const { libc, scratch } = program.kernel;
  program.machine.files.addFile("/data/file");
  scratch.u8.set(new TextEncoder().encode("/data/file\0"), SETS);
  const file = libc.open(scratch.address + SETS, 0, 0);
  const epoll = program.epoll();
  const [reader, writer] = program.pipe();
  const { EBADF, EEXIST, EFAULT, EINVAL, ENOENT, EPERM } = ERRNO;
  assert.equal(libc.epoll_ctl(-1, EPOLL_CTL_ADD, reader, 0), -EFAULT);
  assert.equal(program.control(epoll, 9, -1, EPOLLIN), -EBADF);
  assert.equal(program.control(reader, EPOLL_CTL_ADD, file, EPOLLIN), -EPERM);
  assert.equal(program.control(reader, EPOLL_CTL_ADD, writer, EPOLLIN), -EINVAL);
  assert.equal(program.control(epoll, EPOLL_CTL_ADD, epoll, EPOLLIN), -EINVAL);
  assert.equal(program.control(epoll, 9, reader, EPOLLIN), -EINVAL);
  assert.equal(program.control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN), -ENOENT);
  const exclusive = EPOLLEXCLUSIVE | EPOLLIN;
  for (const bits of [EPOLLRDHUP, EPOLLONESHOT, 0x2]) {
    assert.equal(program.control(epoll, EPOLL_CTL_ADD, reader, exclusive | bits), -EINVAL);
  }
  assert.equal(program.control(epoll, EPOLL_CTL_ADD, program.epoll(), exclusive), -EINVAL);
  program.add(epoll, reader, exclusive | EPOLLET);
  assert.equal(program.control(epoll, EPOLL_CTL_ADD, reader, EPOLLIN), -EEXIST);
  assert.equal(program.control(epoll, EPOLL_CTL_MOD, reader, EPOLLIN), -EINVAL);
  assert.equal(program.control(epoll, EPOLL_CTL_MOD, reader, exclusive), -EINVAL);
  // Memory is needed only for an event.
  assert.equal(libc.epoll_wait(epoll, 16, 4, 0), 0);
  program.write(writer);
  assert.equal(libc.epoll_wait(epoll, 16, 4, 0), -EFAULT);
  assert.deepEqual(program.wait(epoll), [reader]);
});

test("an exclusive wake-up reaches one waiting set, and all when none waits", () => {
  const program = new Program();
  const sets = [program.epoll(), program.epoll(), program.epoll()] as const;
  const [reader, writer] = program.pipe();
  for (const set of sets) program.add(set, reader, EPOLLEXCLUSIVE | EPOLLIN | EPOLLET, 1);
  program.world.schedule(1, () => program.write(writer));
  // The first does not wait. The second takes the wake-up.
  assert.deepEqual(program.wait(sets[1], 10), [1]);
  assert.deepEqual(program.wait(sets[0]), [1]);
  assert.deepEqual(program.wait(sets[2]), []);
  program.write(writer);
  for (const set of sets) assert.deepEqual(program.wait(set), [1]);
});

test("a wait ends with the event or at its time, and a timespec must be valid", () => {
  const program = new Program();
  const { libc, scratch } = program.kernel;
  const epoll = program.epoll();
  const [reader, writer] = program.pipe();
  program.add(epoll, reader);
  assert.deepEqual(program.wait(epoll, 7), []);
  assert.equal(program.world.now(), 7);
  program.world.schedule(2.5, () => program.write(writer));
  assert.deepEqual(program.wait(epoll, -1), [reader]);
  assert.equal(program.world.now(), 9.5);
  scratch.setWord(TIME, 0);
  scratch.setWord(TIME + 8, 1e9);
  const time = scratch.address + TIME;
  assert.equal(libc.ppoll(0, 0, time, 0), -ERRNO.EINVAL);
  assert.equal(libc.pselect(0, 0, 0, 0, time, 0), -ERRNO.EINVAL);
  assert.equal(libc.syscall(441, epoll, scratch.address, 1, time, 0, 0), -ERRNO.EINVAL);
});

test("select ignores descriptors beyond the table, refuses closed ones, and reports O_PATH", () => {
  const program = new Program();
  const { libc, scratch } = program.kernel;
  const [reader, writer] = program.pipe();
  const select = (fds: readonly number[], nfds = 1024): number => {
    scratch.u8.fill(0, SETS, SETS + 384);
    for (const fd of fds) {
      for (const set of [0, 1, 2]) {
        const word = SETS / 4 + set * 32 + (fd >> 5);
        scratch.u32[word] = (scratch.u32[word] as number) | (1 << (fd & 31));
      }
    }
    scratch.setTimespec(TIME, 0);
    const sets = scratch.address + SETS;
    return libc.pselect(nfds, sets, sets + 128, sets + 256, scratch.address + TIME, 0);
  };
  assert.equal(select([reader, writer]), 1);
  assert.equal(select([reader, 40]), -ERRNO.EBADF);
  assert.equal(select([reader, 40], 40), 0);
  assert.equal(select([900]), 0);
  assert.equal(scratch.u32[SETS / 4 + (900 >> 5)], 1 << (900 & 31));
  libc.close(libc.fcntl(reader, F_DUPFD_CLOEXEC, 950));
  assert.equal(select([900]), -ERRNO.EBADF);
  scratch.u8.set(new TextEncoder().encode("/tmp\0"), SETS);
  const path = libc.open(scratch.address + SETS, O_PATH, 0);
  assert.equal(select([path]), 3);
});

test("poll reports closed descriptors, and is woken only by what it asks for", () => {
  const program = new Program();
  const { libc, scratch } = program.kernel;
  const [reader, writer] = program.pipe();
  const at = SETS / 4;
  const poll = (fd: number, events: number, timeoutMs: number): number => {
    scratch.i32[at] = fd;
    scratch.u32[at + 1] = events;
    scratch.setTimespec(TIME, timeoutMs);
    const count = libc.ppoll(scratch.address + SETS, 1, scratch.address + TIME, 0);
    return count <= 0 ? count : (scratch.u32[at + 1] as number) >>> 16;
  };
  assert.equal(poll(77, 1, 0), 0x20);
  assert.equal(poll(-1, 1, 3), 0);
  program.world.schedule(1, () => program.write(writer));
  assert.equal(poll(reader, 4, 5), 0);
  assert.equal(program.world.now(), 8);
  assert.equal(poll(reader, 1, 5), 1);
  program.world.schedule(1, () => libc.close(writer));
  assert.equal(poll(reader, 0, 5), 0x10);
  assert.equal(program.world.now(), 9);
});

test("with faults, no event is lost", () => {
  const rates = { interrupt: 3, delay: 3, readyOrder: 2, spurious: 3, order: 3 };
  for (let seed = 0; seed < 50; seed++) {
    const program = new Program(Choices.seeded(seed), rates);
    const { libc, scratch } = program.kernel;
    const epoll = program.epoll();
    const pipes = Array.from({ length: 6 }, () => program.pipe());
    for (const [i, [reader]] of pipes.entries()) {
      program.add(epoll, reader, i % 2 === 0 ? EPOLLIN : EPOLLIN | EPOLLET, i);
    }
    for (const [i, [, writer]] of pipes.entries()) {
      for (let n = 0; n < 4; n++) program.world.schedule(i + 3 * n, () => program.write(writer));
    }
    let bytes = 0;
    while (bytes < 24) {
      const count = libc.epoll_wait(epoll, scratch.address + EVENTS, 2, -1);
      if (count === -ERRNO.EINTR) continue;
      assert.ok(count > 0);
      for (let i = 0; i < count; i++) {
        const word = EVENTS / 4 + EPOLL_EVENT.data + i * EPOLL_EVENT.stride;
        const tag = scratch.u32[word] as number;
        const [reader] = pipes[tag] as [number, number];
        for (let n = program.read(reader); n > 0; n = program.read(reader)) bytes += n;
      }
    }
  }
});
