/** Moving bytes: through sockets, pipes, eventfds and files. */
import { tmpdir } from "node:os";
import { ERRNO } from "../../../../polloi/src/base/errno.ts";
import { POLLIN, POLLOUT } from "../../../../polloi/src/select/constants.ts";
import {
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  MSG_WAITFORONE,
  SCM_RIGHTS,
  SO_DOMAIN,
  SOL_SOCKET,
  SOL_UDP,
  UDP_SEGMENT,
} from "../../../../polloi/src/socket/constants.ts";
import {
  CLOCK_MONOTONIC,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  O_CLOEXEC,
  O_CREAT,
  O_NONBLOCK,
  SYS,
  TFD_CLOEXEC,
  TFD_NONBLOCK,
} from "../../../../polloi/src/sys/abi.ts";
import {
  CONNECTED,
  DATAGRAMS,
  handleOf,
  type Kind,
  type Numbers,
  type Operation,
  type Sketch,
  SOCKETS,
  STREAMS,
} from "../program.ts";
import {
  AT_LENGTH,
  AT_NAME,
  AT_OPTION,
  AT_RECEIVED,
  AT_STRUCT,
  NAME_BYTES,
  type Result,
  type Side,
} from "../side.ts";
import { writeAddress } from "./sockets.ts";

/** Lengths that a send buffer takes many of. */
const LENGTHS: Numbers = [1, 10, 100, 1000, 3, 5000, 0, 100, 20_000];
/** Lengths that fill a pipe. */
const PIPE_LENGTHS: Numbers = [1, 100, 4096, 5000, 20_000, 70_000, 0];
const READ_LENGTHS: Numbers = [10_000, 100, 1, 70_000, 0];

const SEND_FLAGS: Numbers = [0, 0, 0, MSG_DONTWAIT];
const RECEIVE_FLAGS: Numbers = [0, 0, 0, 0, MSG_PEEK, MSG_DONTWAIT, MSG_TRUNC, MSG_WAITALL];

/** A `msghdr` at the start of the memory, its parts behind it, and its control data. recvmsg(2) */
const AT_PARTS = AT_STRUCT + 128;
const AT_CONTROL = AT_STRUCT + 512;
const CMSG_HEADER = 16;
/** Several `mmsghdr`, and for each a part, a name and control data. recvmmsg(2) */
const MMSGHDR_BYTES = 64;
const MOST_MESSAGES = 8;
const AT_MANY = AT_STRUCT + 1024;
const AT_MANY_PARTS = AT_MANY + MOST_MESSAGES * MMSGHDR_BYTES;
const AT_MANY_NAMES = AT_MANY_PARTS + MOST_MESSAGES * 16;
const AT_MANY_CONTROLS = AT_MANY_NAMES + MOST_MESSAGES * NAME_BYTES;

/** The segments of messages in bytes, 0 for none; and lengths of such messages. */
const SEGMENTS: Numbers = [0, 0, 9, 100, 400, 65_535];
const SEGMENTED_LENGTHS: Numbers = [1000, 100, 1200, 0, 900];
/** The receiver gets an address before, and receives what was sent. 0: without an address, 1: to the address that it has. */
const BIND_AND_RECEIVE = 2;

const O_RDWR = 2;

function onKinds(
  kinds: readonly Kind[],
  numbersOf: (choices: Sketch["choices"]) => readonly number[],
) {
  return (sketch: Sketch) => {
    const handle = sketch.pick(kinds);
    return handle === undefined ? undefined : { on: [handle], numbers: numbersOf(sketch.choices) };
  };
}

export const TRANSFER_OPERATIONS: readonly Operation[] = [
  {
    name: "pipe",
    weight: 6,
    choose: () => ({ makes: ["pipe-read", "pipe-write"], isPair: true }),
    run(side, call) {
      const result = side.libc.pipe2(side.struct, O_NONBLOCK | O_CLOEXEC);
      if (result < 0) return [result];
      const [a, b] = [side.memory.i32[0] as number, side.memory.i32[1] as number];
      return [side.keep(handleOf(call, 0), a), side.keep(handleOf(call, 1), b)];
    },
  },
  {
    name: "eventfd",
    weight: 4,
    choose: ({ choices }) => ({
      numbers: [choices.pick([0, 1, 5]), choices.oneIn(4) ? 1 : 0],
      makes: ["eventfd"],
    }),
    run(side, call) {
      const [value = 0, isSemaphore = 0] = call.numbers;
      const fd = side.libc.eventfd(value, EFD_NONBLOCK | EFD_CLOEXEC | isSemaphore);
      return [side.keep(handleOf(call, 0), fd)];
    },
  },
  {
    name: "timerfd",
    weight: 1,
    choose: () => ({ makes: ["timerfd"] }),
    run(side, call) {
      const fd = side.libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      return [side.keep(handleOf(call, 0), fd)];
    },
  },
  {
    name: "timerfd_settime",
    weight: 1,
    // Far in the future, or never: no timer expires, because the two kernels have clocks of their own.
    choose: onKinds(["timerfd"], (choices) => [choices.pick([1_000_000, 0, -1])]),
    run(side, { on, numbers }) {
      const seconds = numbers[0] ?? 0;
      side.memory.u8.fill(0, 0, 64);
      if (seconds < 0) side.memory.setWord(24, 2_000_000_000);
      else side.memory.setWord(16, seconds);
      return [side.libc.timerfd_settime(side.fd(on[0] ?? 0), 0, side.struct, 0)];
    },
  },
  {
    name: "send",
    weight: 14,
    choose: onKinds(CONNECTED, (choices) => [choices.pick(LENGTHS), choices.pick(SEND_FLAGS)]),
    run(side, { id, on, numbers }) {
      const [length = 0, flags = 0] = numbers;
      const at = side.fill(id, length);
      return [side.libc.send(side.fd(on[0] ?? 0), at, length, flags | MSG_NOSIGNAL)];
    },
  },
  {
    // In one call, because data from the other end may send what is held back, depending on the kernel's prediction of
    // headers.
    name: "send in parts",
    weight: 3,
    choose(sketch) {
      const handle = sketch.pick(CONNECTED);
      const peer = handle === undefined ? undefined : sketch.peerOf(handle);
      if (handle === undefined || peer === undefined) return undefined;
      const { choices } = sketch;
      // Shorter than a segment, whose length the kernel chooses.
      const lengths = Array.from({ length: choices.between(1, 3) }, () =>
        choices.pick([3, 100, 5000]),
      );
      return { on: [handle, peer], numbers: lengths };
    },
    run(side, { id, on, numbers }) {
      const [fd, peer] = [side.fd(on[0] ?? 0), side.fd(on[1] ?? 0)];
      const results: number[] = [];
      for (const length of numbers) {
        const at = side.fill(id, length);
        results.push(side.libc.send(fd, at, length, MSG_MORE | MSG_NOSIGNAL));
        results.push(masks(side, peer, POLLIN));
      }
      results.push(side.libc.send(fd, side.fill(id, 1), 1, MSG_NOSIGNAL));
      results.push(masks(side, peer, POLLIN));
      return results;
    },
  },
  {
    name: "send urgent",
    weight: 1,
    // Unix sockets have urgent bytes too, where the kernel is built so.
    choose(sketch) {
      const handle = sketch.pickExact(["tcp"]);
      if (handle === undefined) return undefined;
      return { on: [handle], numbers: [sketch.choices.pick([1, 10])] };
    },
    run(side, { id, on, numbers }) {
      const [length = 0] = numbers;
      const at = side.fill(id, length);
      if (domainOf(side, on[0] ?? 0) === AF_UNIX) return ["no TCP"];
      return [side.libc.send(side.fd(on[0] ?? 0), at, length, MSG_OOB | MSG_NOSIGNAL)];
    },
  },
  {
    name: "recv",
    weight: 14,
    choose: onKinds(CONNECTED, (choices) => [
      choices.pick(READ_LENGTHS),
      choices.oneIn(30) ? MSG_OOB : choices.pick(RECEIVE_FLAGS),
    ]),
    run(side, { on, numbers }) {
      const [length = 0, flags = 0] = numbers;
      const at = side.room(length);
      const result = side.libc.recv(side.fd(on[0] ?? 0), at, length, flags | MSG_DONTWAIT);
      // With MSG_TRUNC, a datagram has the length that it was sent with, and TCP copies nothing.
      return [result, result > 0 ? side.hash(AT_RECEIVED, Math.min(result, length)) : 0];
    },
  },
  {
    name: "write",
    weight: 8,
    choose(sketch) {
      const handle = sketch.pick(["pipe-write", "eventfd", "unix-stream", "file", "tcp"]);
      if (handle === undefined) return undefined;
      const lengths = sketch.kindOf(handle) === "pipe-write" ? PIPE_LENGTHS : LENGTHS;
      return { on: [handle], numbers: [sketch.choices.pick(lengths)] };
    },
    run(side, { id, on, numbers }) {
      const length = numbers[0] ?? 0;
      return [side.libc.write(side.fd(on[0] ?? 0), side.fill(id, length), length)];
    },
  },
  {
    name: "write eventfd",
    weight: 4,
    choose: onKinds(["eventfd"], (choices) => [choices.pick([1, 0, 3, -1, -2])]),
    run(side, { on, numbers }) {
      side.memory.view.setBigInt64(AT_STRUCT, BigInt(numbers[0] ?? 0), true);
      return [side.libc.write(side.fd(on[0] ?? 0), side.struct, 8)];
    },
  },
  {
    name: "read",
    weight: 10,
    choose(sketch) {
      const handle = sketch.pick(["pipe-read", "eventfd", "unix-stream", "tcp", "file", "timerfd"]);
      if (handle === undefined) return undefined;
      return { on: [handle], numbers: [sketch.choices.pick(READ_LENGTHS)] };
    },
    run(side, { on, numbers }) {
      const length = numbers[0] ?? 0;
      return side.received(side.libc.read(side.fd(on[0] ?? 0), side.room(length), length));
    },
  },
  {
    name: "pread64",
    weight: 3,
    choose(sketch) {
      const handle = sketch.pick(["file", "file", "pipe-read", "unix-stream", "timerfd"]);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const offset = choices.pick([0, 1, 100, 5000, 70_000, -1]);
      return { on: [handle], numbers: [choices.pick(READ_LENGTHS), offset] };
    },
    run(side, { on, numbers }) {
      const [length = 0, offset = 0] = numbers;
      const fd = side.fd(on[0] ?? 0);
      const at = side.room(length);
      return side.received(side.libc.syscall(SYS.pread64, fd, at, length, offset, 0, 0));
    },
  },
  {
    name: "sendto",
    weight: 5,
    choose(sketch) {
      const handle = sketch.pick(DATAGRAMS);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const other = sketch.pick(DATAGRAMS) ?? handle;
      return {
        on: [handle, other],
        numbers: [choices.pick(LENGTHS), choices.pick([1, 1, 1, 2, 4, 8]), choices.below(4)],
      };
    },
    run(side, { id, on, numbers }) {
      const [length = 0, how = 0, detail = 0] = numbers;
      const nameLength = writeAddress(side, how, detail, on[1] ?? 0);
      const at = side.fill(id, length);
      const name = side.memory.address + AT_NAME;
      return [side.libc.sendto(side.fd(on[0] ?? 0), at, length, MSG_NOSIGNAL, name, nameLength)];
    },
  },
  {
    name: "recvfrom",
    weight: 5,
    choose: onKinds([...DATAGRAMS, "unix-stream"], (choices) => [
      choices.pick(READ_LENGTHS),
      choices.pick([0, 0, MSG_PEEK, MSG_TRUNC]),
    ]),
    run(side, { on, numbers }) {
      const [length = 0, flags = 0] = numbers;
      const { address } = side.memory;
      side.prepareName();
      const result = side.libc.recvfrom(
        side.fd(on[0] ?? 0),
        side.room(length),
        length,
        flags | MSG_DONTWAIT,
        address + AT_NAME,
        address + AT_LENGTH,
      );
      if (result < 0) return [result];
      return [result, side.hash(AT_RECEIVED, Math.min(result, length)), ...side.name()];
    },
  },
  {
    name: "sendmsg",
    weight: 4,
    choose(sketch) {
      const handle = sketch.pick(SOCKETS);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const lengths = Array.from({ length: choices.below(4) }, () => choices.pick(LENGTHS));
      const passed = choices.oneIn(3) ? sketch.some(2) : [];
      return { on: [handle, ...passed], numbers: lengths };
    },
    run(side, { id, on, numbers }) {
      const total = numbers.reduce((sum, length) => sum + length, 0);
      const at = side.fill(id, total);
      const [handle = 0, ...others] = on;
      // A unix socket that is passed by way of itself is released by a garbage collection, at some time.
      const passed = others.filter((each) => domainOf(side, each) !== AF_UNIX);
      writeMessage(
        side,
        at,
        numbers,
        passed.length === 0 ? 0 : CMSG_HEADER + 8 * Math.ceil(passed.length / 2),
      );
      if (passed.length > 0) {
        const { memory } = side;
        memory.setWord(AT_CONTROL, CMSG_HEADER + 4 * passed.length);
        memory.i32[(AT_CONTROL + 8) >> 2] = SOL_SOCKET;
        memory.i32[(AT_CONTROL + 12) >> 2] = SCM_RIGHTS;
        for (const [i, each] of passed.entries()) {
          memory.i32[((AT_CONTROL + CMSG_HEADER) >> 2) + i] = side.fd(each);
        }
      }
      return [side.libc.sendmsg(side.fd(handle), side.struct, MSG_NOSIGNAL)];
    },
  },
  {
    name: "recvmsg",
    weight: 4,
    choose(sketch) {
      const handle = sketch.pick(SOCKETS);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const lengths = Array.from({ length: choices.below(4) }, () => choices.pick(LENGTHS));
      return {
        on: [handle],
        numbers: [choices.pick([64, 64, 0, CMSG_HEADER, CMSG_HEADER + 4]), ...lengths],
        makes: ["unknown", "unknown"],
      };
    },
    run(side, call) {
      const { memory } = side;
      const [controlBytes = 0, ...lengths] = call.numbers;
      const total = lengths.reduce((sum, length) => sum + length, 0);
      writeMessage(side, side.room(total), lengths, controlBytes);
      memory.u8.fill(0, AT_CONTROL, AT_CONTROL + 64);
      const result = side.libc.recvmsg(side.fd(call.on[0] ?? 0), side.struct, MSG_DONTWAIT);
      if (result < 0) return [result];
      const used = memory.getWord(AT_STRUCT + 40);
      const results = [
        result,
        side.hash(AT_RECEIVED, result),
        memory.u32[(AT_STRUCT + 48) >> 2] as number,
        used,
      ];
      if (used < CMSG_HEADER) return results;
      const length = memory.getWord(AT_CONTROL);
      const type = memory.i32[(AT_CONTROL + 12) >> 2] as number;
      results.push(length, memory.i32[(AT_CONTROL + 8) >> 2] as number, type);
      if (type !== SCM_RIGHTS) return results;
      for (let i = 0; i < (length - CMSG_HEADER) / 4; i++) {
        const fd = memory.i32[((AT_CONTROL + CMSG_HEADER) >> 2) + i] as number;
        results.push(side.keep(handleOf(call, i), fd));
      }
      return results;
    },
  },
  {
    name: "sendmmsg",
    weight: 4,
    choose(sketch) {
      const handle = sketch.pick(sketch.choices.oneIn(5) ? SOCKETS : DATAGRAMS);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const other = sketch.pick(DATAGRAMS) ?? handle;
      const segment = choices.pick(SEGMENTS);
      // Few segments, because the memory of each is its own on each side.
      const lengths =
        segment === 0
          ? Array.from({ length: choices.below(5) }, () => choices.pick(LENGTHS))
          : Array.from({ length: choices.below(3) }, () => choices.pick(SEGMENTED_LENGTHS));
      return { on: [handle, other], numbers: [segment, choices.below(3), ...lengths] };
    },
    run(side, { id, on, numbers }) {
      const [segment = 0, how = 0, ...lengths] = numbers;
      const { libc, memory } = side;
      const [handle = 0, other = 0] = on;
      const results: (number | string)[] = [];
      if (how === BIND_AND_RECEIVE) {
        const length = writeAddress(side, 0, 0, other);
        results.push(libc.bind(side.fd(other), memory.address + AT_NAME, length));
      }
      const nameLength = how === 0 ? 0 : writeAddress(side, 1, 0, other);
      const total = lengths.reduce((sum, length) => sum + length, 0);
      writeMessages(side, side.fill(id, total), lengths);
      for (const i of lengths.keys()) {
        const header = AT_MANY + i * MMSGHDR_BYTES;
        if (nameLength > 0) {
          memory.setWord(header, memory.address + AT_NAME);
          memory.u32[(header + 8) >> 2] = nameLength;
        }
        if (segment === 0) continue;
        const control = AT_MANY_CONTROLS + i * 64;
        memory.setWord(control, CMSG_HEADER + 2);
        memory.i32[(control + 8) >> 2] = SOL_UDP;
        memory.i32[(control + 12) >> 2] = UDP_SEGMENT;
        memory.view.setUint16(control + CMSG_HEADER, segment, true);
        memory.setWord(header + 32, memory.address + control);
        memory.setWord(header + 40, CMSG_HEADER + 8);
      }
      const [fd, at, count] = [side.fd(handle), memory.address + AT_MANY, lengths.length];
      const result = libc.syscall(SYS.sendmmsg, fd, at, count, MSG_NOSIGNAL, 0, 0);
      results.push(result, ...messageLengths(side, result));
      if (how === BIND_AND_RECEIVE) {
        results.push(...receiveMessages(side, other, MSG_TRUNC, new Array(8).fill(400)));
      }
      return results;
    },
  },
  {
    name: "recvmmsg",
    weight: 4,
    choose(sketch) {
      const handle = sketch.pick(sketch.choices.oneIn(5) ? CONNECTED : DATAGRAMS);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const lengths = Array.from({ length: choices.below(6) }, () =>
        choices.pick([5000, 100, 20_000, 1, 0]),
      );
      const flags = choices.pick([0, 0, MSG_WAITFORONE, MSG_PEEK, MSG_TRUNC]);
      return { on: [handle], numbers: [flags, ...lengths] };
    },
    run(side, { on, numbers }) {
      const [flags = 0, ...lengths] = numbers;
      return receiveMessages(side, on[0] ?? 0, flags, lengths);
    },
  },
  {
    name: "fill and drain",
    weight: 2,
    choose(sketch) {
      const handle = sketch.pick([...STREAMS, "pipe-write", "unix-seqpacket"]);
      const peer = handle === undefined ? undefined : sketch.peerOf(handle);
      if (handle === undefined || peer === undefined) return undefined;
      return { on: [handle, peer], numbers: [sketch.choices.pick([60_000, 8000, 1000])] };
    },
    run: fillAndDrain,
  },
  {
    name: "open",
    weight: 1,
    choose: ({ choices }) => ({ numbers: [choices.pick([0, 10, 5000])], makes: ["file"] }),
    run(side, call) {
      const path = `${tmpdir()}/polloi-differential-${process.pid}-${side.program}-${call.id}\0`;
      side.memory.u8.set(new TextEncoder().encode(path), AT_STRUCT);
      const fd = side.libc.open(side.struct, O_RDWR | O_CREAT | O_CLOEXEC, 0o600);
      const results = [side.keep(handleOf(call, 0), fd), side.libc.unlink(side.struct)];
      const length = call.numbers[0] ?? 0;
      results.push(side.libc.write(fd, side.fill(call.id, length), length));
      return results;
    },
  },
  {
    name: "sendfile",
    weight: 1,
    choose(sketch) {
      const [socket, file] = [sketch.pick(STREAMS), sketch.pick(["file"])];
      if (socket === undefined || file === undefined) return undefined;
      // A file that grows as it is read is read further.
      if (sketch.kindOf(socket) === "file") return undefined;
      const { choices } = sketch;
      return {
        on: [socket, file],
        numbers: [choices.pick([0, 5, 6000]), choices.pick([10, 8000, 0])],
      };
    },
    run(side, { on, numbers }) {
      const [position = 0, length = 0] = numbers;
      side.memory.setWord(AT_STRUCT, position);
      const [socket, file] = [side.fd(on[0] ?? 0), side.fd(on[1] ?? 0)];
      const result = side.libc.sendfile(socket, file, side.struct, length);
      return [result, side.memory.getWord(AT_STRUCT)];
    },
  },
];

/** The family of a socket; `-errno` for any other file. */
function domainOf(side: Side, handle: number): number {
  const { memory, libc } = side;
  memory.u32[AT_LENGTH >> 2] = 4;
  const at = memory.address + AT_OPTION;
  const length = memory.address + AT_LENGTH;
  const result = libc.getsockopt(side.fd(handle), SOL_SOCKET, SO_DOMAIN, at, length);
  return result < 0 ? result : (memory.i32[AT_OPTION >> 2] as number);
}

/** Writes a `msghdr` whose parts are one after another. */
function writeMessage(
  side: Side,
  at: number,
  lengths: readonly number[],
  controlBytes: number,
): void {
  const { memory } = side;
  memory.u8.fill(0, AT_STRUCT, AT_STRUCT + 64);
  let address = at;
  for (const [i, length] of lengths.entries()) {
    memory.setWord(AT_PARTS + 16 * i, address);
    memory.setWord(AT_PARTS + 16 * i + 8, length);
    address += length;
  }
  memory.setWord(AT_STRUCT + 16, memory.address + AT_PARTS);
  memory.setWord(AT_STRUCT + 24, lengths.length);
  if (controlBytes > 0) {
    memory.setWord(AT_STRUCT + 32, memory.address + AT_CONTROL);
    memory.setWord(AT_STRUCT + 40, controlBytes);
  }
}

/** Writes a `mmsghdr` of one part for each length. The parts are one after another. */
function writeMessages({ memory }: Side, at: number, lengths: readonly number[]): void {
  memory.u8.fill(0, AT_MANY, AT_MANY + lengths.length * MMSGHDR_BYTES);
  let address = at;
  for (const [i, length] of lengths.entries()) {
    const part = AT_MANY_PARTS + 16 * i;
    memory.setWord(part, address);
    memory.setWord(part + 8, length);
    const header = AT_MANY + i * MMSGHDR_BYTES;
    memory.setWord(header + 16, memory.address + part);
    memory.setWord(header + 24, 1);
    address += length;
  }
}

/** Receives a message for each length, without waiting. @returns What was received, and from which addresses. */
function receiveMessages(
  side: Side,
  handle: number,
  flags: number,
  lengths: readonly number[],
): Result {
  const { memory } = side;
  const total = lengths.reduce((sum, length) => sum + length, 0);
  writeMessages(side, side.room(total), lengths);
  memory.u8.fill(0, AT_MANY_NAMES, AT_MANY_NAMES + MOST_MESSAGES * NAME_BYTES);
  for (const i of lengths.keys()) {
    const header = AT_MANY + i * MMSGHDR_BYTES;
    memory.setWord(header, memory.address + AT_MANY_NAMES + i * NAME_BYTES);
    memory.u32[(header + 8) >> 2] = NAME_BYTES;
  }
  const [fd, at, count] = [side.fd(handle), memory.address + AT_MANY, lengths.length];
  const result = side.libc.syscall(SYS.recvmmsg, fd, at, count, flags | MSG_DONTWAIT, 0, 0);
  const results: (number | string)[] = [result, ...messageLengths(side, result)];
  let from = AT_RECEIVED;
  for (const [i, length] of lengths.slice(0, Math.max(result, 0)).entries()) {
    results.push(side.hash(from, length));
    from += length;
    const header = AT_MANY + i * MMSGHDR_BYTES;
    results.push(memory.u32[(header + 48) >> 2] as number);
    const name = AT_MANY_NAMES + i * NAME_BYTES;
    side.prepareName();
    memory.u8.set(memory.u8.subarray(name, name + NAME_BYTES), AT_NAME);
    memory.u32[AT_LENGTH >> 2] = memory.u32[(header + 8) >> 2] as number;
    results.push(...side.name());
  }
  return results;
}

/** The bytes of each message that a call has sent or received. */
function messageLengths({ memory }: Side, count: number): number[] {
  return Array.from(
    { length: Math.max(count, 0) },
    (_, i) => memory.u32[(AT_MANY + i * MMSGHDR_BYTES + 56) >> 2] as number,
  );
}

/** The POLL* bits of a descriptor now. */
function masks(side: Side, fd: number, events: number): number {
  const { memory } = side;
  memory.i32[0] = fd;
  memory.u32[1] = events;
  memory.setTimespec(16, 0);
  side.libc.ppoll(side.struct, 1, memory.address + 16, 0);
  return (memory.u32[1] as number) >>> 16;
}

/** The most writes that fill anything, and the most reads that empty it. */
const MOST = 20_000;

/** Fills a send buffer, whose size is its own on each side, and reads everything at the other end. */
function fillAndDrain(
  side: Side,
  { id, on, numbers }: { id: number; on: readonly number[]; numbers: readonly number[] },
): Result {
  const { libc } = side;
  const [fd, peer] = [side.fd(on[0] ?? 0), side.fd(on[1] ?? 0)];
  const length = numbers[0] ?? 0;
  const at = side.fill(id, length);
  let written = 0;
  let end = 0;
  for (const each of [length, 100, 1]) {
    for (let i = 0; i < MOST; i++) {
      end = libc.write(fd, at, each);
      if (end < 0) break;
      written += end;
    }
    if (end !== -ERRNO.EAGAIN) break;
  }
  const full = masks(side, fd, POLLIN | POLLOUT);
  let read = 0;
  let last = 0;
  for (let i = 0; i < MOST; i++) {
    last = libc.read(peer, side.memory.address + AT_RECEIVED, 65_536);
    if (last <= 0) break;
    read += last;
  }
  // What was read beyond what was written had arrived before.
  return [end, full, last, read - written, masks(side, fd, POLLIN | POLLOUT)];
}
