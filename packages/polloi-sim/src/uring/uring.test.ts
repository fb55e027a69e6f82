import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AF_UNIX,
  type Arena,
  CQ,
  EFD_NONBLOCK,
  ERRNO,
  IORING_ACCEPT_MULTISHOT,
  IORING_CQE_F_BUF_MORE,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_CQE_F_SOCK_NONEMPTY,
  IORING_ENTER_GETEVENTS,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_OP,
  IORING_POLL_ADD_MULTI,
  IORING_RECV_MULTISHOT,
  IORING_REGISTER_EVENTFD,
  IORING_REGISTER_PBUF_RING,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_TASKRUN,
  IOSQE_BUFFER_SELECT,
  IOSQE_IO_LINK,
  IOU_PBUF_RING_INC,
  MSG_DONTWAIT,
  MSG_WAITALL,
  PARAMS,
  PARAMS_BYTES,
  POLLIN,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SQ,
  SYS,
} from "polloi/internal/pure";
import { Choices } from "../base/choices.ts";
import { VirtualClock } from "../base/clock.ts";
import { type FaultRates, Faults } from "../base/faults.ts";
import { World } from "../base/world.ts";
import { Machine, type Running } from "../machine/machine.ts";

const BUFFER_BYTES = 64;
const BUFFERS = 4;

interface Submission {
  readonly operation: number;
  readonly fd?: number;
  readonly flags?: number;
  readonly priority?: number;
  readonly address?: number;
  readonly length?: number;
  readonly operationFlags?: number;
  readonly limit?: number;
  readonly offset?: number;
}

/** A process with a ring, which it uses as a program does. */
class Rig {
  readonly running: Running;
  readonly memory: Arena;
  readonly ring: number;
  readonly #params: Uint32Array;
  readonly #rings: Arena;
  readonly #entries: Arena;
  #tag = 0;

  constructor(rates: FaultRates = {}, completions = 64) {
    const choices = Choices.seeded(1);
    const world = new World(choices, new Faults(choices, rates), new VirtualClock());
    this.running = new Machine(world).start();
    const { libc, scratch, arenas } = this.running.kernel;
    this.memory = arenas.map(1 << 20);
    scratch.u32.fill(0, 0, PARAMS_BYTES >> 2);
    scratch.u32[PARAMS.cqEntries] = completions;
    scratch.u32[PARAMS.flags] =
      IORING_SETUP_CQSIZE |
      IORING_SETUP_SUBMIT_ALL |
      IORING_SETUP_SINGLE_ISSUER |
      IORING_SETUP_DEFER_TASKRUN |
      IORING_SETUP_TASKRUN_FLAG;
    const entries = Math.min(completions, 64);
    this.ring = libc.syscall(SYS.io_uring_setup, entries, scratch.address, 0, 0, 0, 0);
    assert.ok(this.ring >= 0, `io_uring_setup returned ${this.ring}`);
    this.#params = scratch.u32.slice(0, PARAMS_BYTES >> 2);
    this.#rings = arenas.mapFile(this.ring, IORING_OFF_SQ_RING, 4096);
    this.#entries = arenas.mapFile(this.ring, IORING_OFF_SQES, 64 * entries);
    for (let i = 0; i < entries; i++) this.#rings.u32[this.#at(PARAMS.sq + SQ.array) + i] = i;
  }

  /** Pushes a submission. @returns Its tag. */
  push(entry: Submission): number {
    const tail = this.#at(PARAMS.sq + SQ.tail);
    const mask = this.#rings.u32[this.#at(PARAMS.sq + SQ.mask)] as number;
    const at = ((this.#rings.u32[tail] as number) & mask) * 16;
    const words = this.#entries.u32;
    const { address = 0, offset = 0 } = entry;
    words.fill(0, at, at + 16);
    words[at] = entry.operation | ((entry.flags ?? 0) << 8) | ((entry.priority ?? 0) << 16);
    words[at + 1] = entry.fd ?? 0;
    words[at + 2] = offset;
    words[at + 4] = address;
    words[at + 5] = address / 0x1_0000_0000;
    words[at + 6] = entry.length ?? 0;
    words[at + 7] = entry.operationFlags ?? 0;
    words[at + 8] = ++this.#tag;
    words[at + 11] = entry.limit ?? 0;
    this.#rings.u32[tail] = (this.#rings.u32[tail] as number) + 1;
    return this.#tag;
  }

  enter(wanted = 0, flags: number = IORING_ENTER_GETEVENTS): number {
    const head = this.#rings.u32[this.#at(PARAMS.sq + SQ.head)] as number;
    const tail = this.#rings.u32[this.#at(PARAMS.sq + SQ.tail)] as number;
    const { syscall } = this.running.kernel.libc;
    return syscall(SYS.io_uring_enter, this.ring, tail - head, wanted, flags, 0, 0);
  }

  /** Takes the completions that are there: tags, results and flags. */
  take(): [tag: number, result: number, flags: number][] {
    const { u32, i32 } = this.#rings;
    const head = this.#at(PARAMS.cq + CQ.head);
    const mask = u32[this.#at(PARAMS.cq + CQ.mask)] as number;
    const tail = u32[this.#at(PARAMS.cq + CQ.tail)] as number;
    const taken: [number, number, number][] = [];
    for (let next = u32[head] as number; next !== tail; next = (next + 1) >>> 0) {
      const at = this.#at(PARAMS.cq + CQ.entries) + (next & mask) * 4;
      taken.push([u32[at] as number, i32[at + 2] as number, u32[at + 3] as number]);
    }
    u32[head] = tail;
    return taken;
  }

  /** Enters without waiting, and takes the completions. */
  turn(): [tag: number, result: number, flags: number][] {
    this.enter();
    return this.take();
  }

  /** IORING_SQ_* bits. */
  get flags(): number {
    return this.#rings.u32[this.#at(PARAMS.sq + SQ.flags)] as number;
  }

  register(operation: number, address: number): number {
    const { syscall } = this.running.kernel.libc;
    return syscall(SYS.io_uring_register, this.ring, operation, address, 1, 0, 0);
  }

  pair(): [mine: number, theirs: number] {
    const { libc, scratch } = this.running.kernel;
    assert.equal(libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, scratch.address), 0);
    return [scratch.i32[0] as number, scratch.i32[1] as number];
  }

  send(fd: number, length: number): number {
    return this.running.kernel.libc.send(fd, this.memory.address, length, MSG_DONTWAIT);
  }

  receive(fd: number, length: number): number {
    return this.running.kernel.libc.recv(fd, this.memory.address, length, MSG_DONTWAIT);
  }

  /** Provides four small buffers, as group 0. */
  addBuffers(flags = 0): void {
    const { arenas, scratch } = this.running.kernel;
    const entries = arenas.map(4096);
    const buffers = arenas.map(BUFFERS * BUFFER_BYTES);
    for (let i = 0; i < BUFFERS; i++) {
      entries.setWord(i * 16, buffers.address + i * BUFFER_BYTES);
      entries.u32[i * 4 + 2] = BUFFER_BYTES;
      entries.view.setUint16(i * 16 + 12, i, true);
    }
    entries.view.setUint16(14, BUFFERS, true);
    scratch.u32.fill(0, 0, 10);
    scratch.setWord(0, entries.address);
    scratch.u32[2] = BUFFERS;
    scratch.u32[3] = flags << 16;
    assert.equal(this.register(IORING_REGISTER_PBUF_RING, scratch.address), 0);
  }

  #at(param: number): number {
    return (this.#params[param] as number) >> 2;
  }
}

const poll = (fd: number): Submission => ({
  operation: IORING_OP.POLL_ADD,
  fd,
  operationFlags: POLLIN,
});
const receiveRepeatedly = (fd: number, limit = 0): Submission => ({
  operation: IORING_OP.RECV,
  fd,
  flags: IOSQE_BUFFER_SELECT,
  priority: IORING_RECV_MULTISHOT,
  limit,
});

test("completions that need the ring's thread appear in enter, twenty in each pass", () => {
  const rig = new Rig();
  const pairs = Array.from({ length: 60 }, () => rig.pair());
  for (const [mine] of pairs) rig.push(poll(mine));
  assert.equal(rig.enter(), 60);
  assert.equal(rig.flags, 0);
  for (const [, theirs] of pairs) rig.send(theirs, 1);
  assert.deepEqual(rig.take(), []);
  assert.equal(rig.flags, IORING_SQ_TASKRUN);
  assert.equal(rig.turn().length, 20);
  assert.equal(rig.flags, IORING_SQ_TASKRUN);
  assert.equal(rig.enter(40), 0);
  assert.deepEqual([rig.take().length, rig.flags], [40, 0]);
});

test("completions beyond the queue wait outside of it, in order, until a call finds room", () => {
  const rig = new Rig({}, 4);
  const tags = Array.from({ length: 4 }, () => rig.push({ operation: IORING_OP.NOP }));
  rig.enter(0, 0);
  tags.push(...Array.from({ length: 3 }, () => rig.push({ operation: IORING_OP.NOP })));
  rig.enter(0, 0);
  assert.equal(rig.flags, IORING_SQ_CQ_OVERFLOW);
  const first = rig.take().map(([tag]) => tag);
  // A completion that finds room in the queue waits behind those outside of it.
  tags.push(rig.push({ operation: IORING_OP.NOP }));
  rig.enter(0, 0);
  assert.deepEqual(rig.take(), []);
  const then = rig.turn().map(([tag]) => tag);
  assert.deepEqual([...first, ...then], tags);
  assert.equal(rig.flags, 0);
});

test("a multishot receive ends at its limit, without buffers, and at the end of the stream", () => {
  const rig = new Rig();
  rig.addBuffers();
  const [mine, theirs] = rig.pair();
  const limited = rig.push(receiveRepeatedly(mine, 100));
  rig.send(theirs, 150);
  const more = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE | IORING_CQE_F_SOCK_NONEMPTY;
  // The limit is compared with what was received before, so a whole buffer is received beyond it.
  assert.deepEqual(rig.turn(), [
    [limited, 64, more],
    [limited, 64, (1 << 16) | IORING_CQE_F_BUFFER | IORING_CQE_F_SOCK_NONEMPTY],
  ]);
  const starved = rig.push(receiveRepeatedly(mine));
  rig.send(theirs, 128);
  assert.deepEqual(rig.turn(), [
    [starved, 64, (2 << 16) | more],
    [starved, 64, (3 << 16) | more],
    [starved, -ERRNO.ENOBUFS, 0],
  ]);
  assert.equal(rig.receive(mine, 1000), 22);
  const ending = rig.push(receiveRepeatedly(mine));
  rig.running.kernel.libc.close(theirs);
  assert.deepEqual(rig.turn(), [[ending, -ERRNO.ENOBUFS, 0]]);
});

test("a buffer that is consumed incrementally is reported as such until its last byte", () => {
  const rig = new Rig();
  rig.addBuffers(IOU_PBUF_RING_INC);
  const [mine, theirs] = rig.pair();
  const tag = rig.push(receiveRepeatedly(mine));
  rig.enter();
  rig.send(theirs, 60);
  const flags = IORING_CQE_F_BUFFER | IORING_CQE_F_MORE;
  assert.deepEqual(rig.turn(), [[tag, 60, flags | IORING_CQE_F_BUF_MORE]]);
  rig.send(theirs, 10);
  assert.deepEqual(rig.turn(), [
    [tag, 4, flags | IORING_CQE_F_SOCK_NONEMPTY],
    [tag, 6, (1 << 16) | flags | IORING_CQE_F_BUF_MORE],
  ]);
});

test("a short send breaks its chain with MSG_WAITALL only", () => {
  for (const [flags, isBroken] of [
    [MSG_WAITALL | MSG_DONTWAIT, true],
    [MSG_DONTWAIT, false],
  ] as const) {
    const rig = new Rig();
    const [mine] = rig.pair();
    const length = rig.memory.byteLength;
    const { address } = rig.memory;
    const send = { operation: IORING_OP.SEND, fd: mine, address, length, operationFlags: flags };
    const first = rig.push({ ...send, flags: IOSQE_IO_LINK });
    const second = rig.push({ operation: IORING_OP.NOP });
    rig.enter(2);
    const [sent, next] = rig.take();
    assert.equal(sent?.[0], first);
    assert.ok((sent?.[1] ?? 0) > 0 && (sent?.[1] ?? 0) < length);
    assert.deepEqual(next, [second, isBroken ? -ERRNO.ECANCELED : 0, 0]);
  }
});

test("an eventfd is signalled when work or completions come, and not within a wake-up of an eventfd", () => {
  const rig = new Rig();
  const { kernel, process } = rig.running;
  const { libc, scratch } = kernel;
  const signals = libc.eventfd(0, EFD_NONBLOCK);
  scratch.i32[0] = signals;
  assert.equal(rig.register(IORING_REGISTER_EVENTFD, scratch.address), 0);
  const count = (): number =>
    libc.read(signals, scratch.address, 8) < 0 ? 0 : (scratch.u32[0] as number);
  const [mine, theirs] = rig.pair();
  rig.push(poll(mine));
  rig.enter();
  assert.equal(count(), 0);
  rig.send(theirs, 1);
  rig.send(theirs, 1);
  assert.equal(count(), 1);
  rig.enter();
  assert.equal(count(), 1);
  // The first wake-up by another eventfd is signalled later, and the second one never.
  const counter = libc.eventfd(0, EFD_NONBLOCK);
  rig.push({ ...poll(counter), length: IORING_POLL_ADD_MULTI });
  rig.enter();
  const wait = (): void => void process.world.waitUntil(() => false, process.world.now() + 10);
  const written = [1, 2].map(() => {
    scratch.setWord(0, 1);
    libc.write(counter, scratch.address, 8);
    const atOnce = count();
    wait();
    const later = count();
    rig.turn();
    return [atOnce, later, count()];
  });
  assert.deepEqual(written, [
    [0, 1, 1],
    [0, 0, 1],
  ]);
});

test("a ring that is closed releases the files of what is in flight", () => {
  const rig = new Rig();
  const { kernel, process } = rig.running;
  const { libc, scratch } = kernel;
  const [mine, theirs] = rig.pair();
  rig.push({ operation: IORING_OP.RECV, fd: mine, address: rig.memory.address, length: 10 });
  rig.enter();
  libc.close(mine);
  // The request keeps the socket open.
  assert.equal(rig.send(theirs, 1), 1);
  rig.turn();
  rig.push({ operation: IORING_OP.ACCEPT, fd: theirs, priority: IORING_ACCEPT_MULTISHOT });
  assert.deepEqual(
    rig.turn().map(([, result]) => result),
    [-ERRNO.EINVAL],
  );
  assert.equal(libc.recv(theirs, scratch.address, 1, MSG_DONTWAIT), 0);
  process.end();
  assert.equal(process.descriptors.size, 0);
});

test("with faults, multishot requests end early, and everything still completes once", () => {
  const rates: FaultRates = { multishotEnds: 2, overflow: 2, again: 3, lateCompletion: 2 };
  const rig = new Rig(rates);
  const pairs = Array.from({ length: 8 }, () => rig.pair());
  const waiting = new Map<number, number>();
  const arm = (fd: number): void => {
    waiting.set(rig.push({ ...poll(fd), length: IORING_POLL_ADD_MULTI }), fd);
  };
  for (const [mine] of pairs) arm(mine);
  const { world } = rig.running.process;
  let ended = 0;
  for (let round = 0; round < 50; round++) {
    for (const [mine, theirs] of pairs) {
      rig.receive(mine, 10);
      rig.send(theirs, 1);
    }
    world.waitUntil(() => false, world.now() + 5);
    for (const [tag, result, flags] of rig.turn()) {
      assert.equal(result, POLLIN);
      const fd = waiting.get(tag);
      assert.ok(fd !== undefined, `request ${tag} completes after its end`);
      if ((flags & IORING_CQE_F_MORE) !== 0) continue;
      ended++;
      waiting.delete(tag);
      arm(fd);
    }
  }
  assert.ok(ended > 20, `${ended} requests ended`);
});
