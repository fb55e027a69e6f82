/** Opening, naming, connecting and closing sockets, and their options. */
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IP_TOS,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_TCP,
  SO_ACCEPTCONN,
  SO_BROADCAST,
  SO_DOMAIN,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PRIORITY,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_RCVLOWAT,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_USER_TIMEOUT,
} from "../../../../polloi/src/socket/constants.ts";
import { F_DUPFD_CLOEXEC, FIONREAD, SIOCATMARK } from "../../../../polloi/src/sys/abi.ts";
import {
  type Call,
  handleOf,
  type Kind,
  type Operation,
  type Sketch,
  SOCKETS,
} from "../program.ts";
import { AT_LENGTH, AT_NAME, AT_OPTION, NAME_BYTES, type Result, type Side } from "../side.ts";

const NONBLOCK: number = SOCK_NONBLOCK | SOCK_CLOEXEC;

/** How an address is made. */
const ADDRESSES = {
  loopback: 0,
  ofHandle: 1,
  name: 2,
  autobind: 3,
  short: 4,
  unspecified: 5,
  loopback6: 6,
  any: 7,
  closedPort: 8,
  foreign: 9,
} as const;

/** Writes an address. @returns Its length. */
export function writeAddress(side: Side, how: number, detail: number, handle: number): number {
  const { memory, libc } = side;
  const { u8, view } = memory;
  side.prepareName();
  const inet = (a: number, b: number, c: number, d: number, port: number): number => {
    view.setUint16(AT_NAME, AF_INET, true);
    view.setUint16(AT_NAME + 2, port, false);
    u8.set([a, b, c, d], AT_NAME + 4);
    return 16;
  };
  // An address of its own for each program, so that the connections of others do not matter.
  const [b, c] = [1 + ((side.program >> 8) % 250), side.program & 0xff];
  switch (how) {
    case ADDRESSES.ofHandle: {
      const result = libc.getsockname(
        side.fd(handle),
        memory.address + AT_NAME,
        memory.address + AT_LENGTH,
      );
      return result < 0 ? 16 : (memory.u32[AT_LENGTH >> 2] as number);
    }
    case ADDRESSES.name: {
      const name = `\0polloi-differential-${process.pid}-${side.program}-${detail}`;
      view.setUint16(AT_NAME, AF_UNIX, true);
      for (let i = 0; i < name.length; i++) u8[AT_NAME + 2 + i] = name.charCodeAt(i);
      return 2 + name.length;
    }
    case ADDRESSES.autobind:
      view.setUint16(AT_NAME, AF_UNIX, true);
      return 2;
    case ADDRESSES.short:
      inet(127, b, c, 1, 0);
      return 4;
    case ADDRESSES.unspecified:
      return 16;
    case ADDRESSES.loopback6:
      view.setUint16(AT_NAME, AF_INET6, true);
      u8[AT_NAME + 8 + 15] = 1;
      return 28;
    case ADDRESSES.any:
      return inet(0, 0, 0, 0, 0);
    case ADDRESSES.closedPort:
      return inet(127, b, c, 1, 1);
    case ADDRESSES.foreign:
      return inet(203, 0, 113, 1, 0);
    default:
      return inet(127, b, c, 1, 0);
  }
}

/** Opens a socket that sends without delay, so that what is received does not depend on timers of TCP. */
function openSocket(side: Side, domain: number, type: number, protocol: number): number {
  const fd = side.libc.socket(domain, type | NONBLOCK, protocol);
  if (fd >= 0 && type === SOCK_STREAM && domain !== AF_UNIX)
    setInt(side, fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

function setInt(side: Side, fd: number, level: number, option: number, value: number): number {
  side.memory.i32[AT_OPTION >> 2] = value;
  return side.libc.setsockopt(fd, level, option, side.memory.address + AT_OPTION, 4);
}

const TYPES: readonly (readonly [domain: number, type: number, kind: Kind])[] = [
  [AF_INET, SOCK_STREAM, "tcp"],
  [AF_UNIX, SOCK_STREAM, "unix-stream"],
  [AF_INET, SOCK_DGRAM, "udp"],
  [AF_UNIX, SOCK_DGRAM, "unix-dgram"],
  [AF_UNIX, SOCK_SEQPACKET, "unix-seqpacket"],
  [AF_INET6, SOCK_STREAM, "tcp"],
  [AF_INET6, SOCK_DGRAM, "udp"],
  // Not valid.
  [AF_INET, SOCK_SEQPACKET, "tcp"],
  [AF_UNIX, 77, "unix-stream"],
  [9999, SOCK_STREAM, "tcp"],
];

/** The options that are set and read: level, option, values. */
const OPTIONS: readonly (readonly [level: number, option: number, values: readonly number[]])[] = [
  [SOL_SOCKET, SO_REUSEADDR, [0, 1]],
  [SOL_SOCKET, SO_REUSEPORT, [0, 1]],
  [SOL_SOCKET, SO_KEEPALIVE, [0, 1, 5]],
  [SOL_SOCKET, SO_BROADCAST, [0, 1]],
  [SOL_SOCKET, SO_OOBINLINE, [0, 1]],
  [SOL_SOCKET, SO_PASSCRED, [0, 1]],
  [SOL_SOCKET, SO_PRIORITY, [0, 3, 6]],
  [SOL_SOCKET, SO_SNDBUF, [0, 1, 4096, 100_000, 8_000_000]],
  [SOL_SOCKET, SO_RCVBUF, [0, 1, 4096, 100_000, 8_000_000]],
  [SOL_SOCKET, SO_RCVLOWAT, [0, 1, 10]],
  [IPPROTO_IP, IP_TOS, [0, 16]],
  [IPPROTO_IP, IP_TTL, [1, 64, 0, 256]],
  [IPPROTO_TCP, TCP_CORK, [0]],
  [IPPROTO_TCP, TCP_KEEPIDLE, [1, 60, 0, 40_000]],
  [IPPROTO_TCP, TCP_KEEPINTVL, [1, 60, 0, 40_000]],
  [IPPROTO_TCP, TCP_KEEPCNT, [1, 9, 0, 200]],
  [IPPROTO_TCP, TCP_USER_TIMEOUT, [0, 1000, -1]],
  [IPPROTO_TCP, TCP_NOTSENT_LOWAT, [0, 16_384]],
  [IPPROTO_TCP, TCP_QUICKACK, [1]],
  [SOL_SOCKET, 9999, [1]],
  [9999, 1, [1]],
];

const LARGE_BUFFERS: readonly number[] = [200_000, 8_000_000];

/** Options that are only read. */
const READ_ONLY: readonly (readonly [level: number, option: number])[] = [
  [SOL_SOCKET, SO_TYPE],
  [SOL_SOCKET, SO_DOMAIN],
  [SOL_SOCKET, SO_PROTOCOL],
  [SOL_SOCKET, SO_ERROR],
  [SOL_SOCKET, SO_ACCEPTCONN],
  [IPPROTO_TCP, TCP_MAXSEG],
  [IPPROTO_TCP, TCP_DEFER_ACCEPT],
  [IPPROTO_TCP, TCP_NODELAY],
];

/** What `getsockopt` reads, by its first number. */
export const SNDBUF: number = OPTIONS.findIndex(
  ([level, option]) => level === SOL_SOCKET && option === SO_SNDBUF,
);
export const RCVBUF: number = OPTIONS.findIndex(
  ([level, option]) => level === SOL_SOCKET && option === SO_RCVBUF,
);
export const QUICKACK: number = OPTIONS.findIndex(
  ([level, option]) => level === IPPROTO_TCP && option === TCP_QUICKACK,
);
export const MAXSEG: number =
  OPTIONS.length +
  READ_ONLY.findIndex(([level, option]) => level === IPPROTO_TCP && option === TCP_MAXSEG);

export const SOCKET_OPERATIONS: readonly Operation[] = [
  {
    name: "socket",
    weight: 6,
    choose({ choices }) {
      const which = choices.oneIn(15) ? choices.below(TYPES.length) : choices.below(7);
      const [, , kind] = TYPES[which] as (typeof TYPES)[number];
      return { numbers: [which, choices.oneIn(30) ? 250 : 0], makes: [kind] };
    },
    run(side, call) {
      const [which = 0, protocol = 0] = call.numbers;
      const [domain, type] = TYPES[which] as (typeof TYPES)[number];
      return [side.keep(handleOf(call, 0), openSocket(side, domain, type, protocol))];
    },
  },
  {
    name: "socketpair",
    weight: 10,
    choose({ choices }) {
      const which = choices.pick([1, 1, 3, 4]);
      const [, , kind] = TYPES[which] as (typeof TYPES)[number];
      return { numbers: [which], makes: [kind, kind], isPair: true };
    },
    run(side, call) {
      const [domain, type] = TYPES[call.numbers[0] ?? 1] as (typeof TYPES)[number];
      const result = side.libc.socketpair(domain, type | NONBLOCK, 0, side.struct);
      if (result < 0) return [result];
      const { i32 } = side.memory;
      const [a, b] = [i32[0] as number, i32[1] as number];
      return [side.keep(handleOf(call, 0), a), side.keep(handleOf(call, 1), b)];
    },
  },
  {
    name: "tcp connection",
    weight: 12,
    choose: ({ choices }) => ({
      numbers: [choices.oneIn(8) ? ADDRESSES.loopback6 : ADDRESSES.loopback],
      makes: ["tcp", "tcp", "listener"],
      isPair: true,
    }),
    run(side, call) {
      const { libc, memory } = side;
      const how = call.numbers[0] ?? 0;
      const domain = how === ADDRESSES.loopback6 ? AF_INET6 : AF_INET;
      const listener = openSocket(side, domain, SOCK_STREAM, 0);
      const client = openSocket(side, domain, SOCK_STREAM, 0);
      const name = memory.address + AT_NAME;
      const results = [
        side.keep(handleOf(call, 2), listener),
        side.keep(handleOf(call, 0), client),
      ];
      results.push(libc.bind(listener, name, writeAddress(side, how, 0, 0)));
      results.push(libc.listen(listener, 8));
      const length = writeAddress(side, ADDRESSES.ofHandle, 0, handleOf(call, 2));
      results.push(libc.connect(client, name, length));
      const server = libc.accept4(listener, 0, 0, NONBLOCK);
      if (server >= 0) setInt(side, server, IPPROTO_TCP, TCP_NODELAY, 1);
      results.push(side.keep(handleOf(call, 1), server));
      return results;
    },
  },
  {
    name: "bind",
    weight: 6,
    choose(sketch) {
      const handle = sketch.pick(["tcp", "udp", "unix-stream", "unix-dgram", "unix-seqpacket"]);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const other = sketch.pick(SOCKETS) ?? handle;
      const how = choices.pick([0, 0, 2, 2, 2, 3, 1, 4, 6, 7, 9]);
      return { on: [handle, other], numbers: [how, choices.below(4)] };
    },
    run(side, { on, numbers }) {
      const length = writeAddress(side, numbers[0] ?? 0, numbers[1] ?? 0, on[1] ?? 0);
      return [side.libc.bind(side.fd(on[0] ?? 0), side.memory.address + AT_NAME, length)];
    },
  },
  {
    name: "listen",
    weight: 4,
    choose(sketch) {
      const handle = sketch.pick(["tcp", "unix-stream", "unix-seqpacket", "listener"]);
      if (handle === undefined) return undefined;
      return { on: [handle], numbers: [sketch.choices.pick([16, 1, 0, -1])] };
    },
    run: (side, { on, numbers }) => [side.libc.listen(side.fd(on[0] ?? 0), numbers[0] ?? 0)],
  },
  {
    name: "connect",
    weight: 8,
    choose(sketch) {
      const handle = sketch.pick(["tcp", "udp", "unix-stream", "unix-dgram", "unix-seqpacket"]);
      if (handle === undefined) return undefined;
      const { choices } = sketch;
      const other = sketch.pick(SOCKETS) ?? handle;
      return {
        on: [handle, other],
        numbers: [choices.pick([1, 1, 1, 1, 2, 2, 8, 5, 4]), choices.below(4)],
      };
    },
    run(side, { on, numbers }) {
      const length = writeAddress(side, numbers[0] ?? 0, numbers[1] ?? 0, on[1] ?? 0);
      return [side.libc.connect(side.fd(on[0] ?? 0), side.memory.address + AT_NAME, length)];
    },
  },
  {
    name: "accept4",
    weight: 8,
    choose(sketch) {
      const handle = sketch.pick(["listener", "listener", "tcp", "unix-stream", "unix-seqpacket"]);
      if (handle === undefined) return undefined;
      const kind = sketch.kindOf(handle);
      return {
        on: [handle],
        numbers: [sketch.choices.below(2)],
        makes: [kind === "listener" ? "tcp" : kind],
      };
    },
    run(side, call) {
      const { libc, memory } = side;
      side.prepareName();
      const withName = call.numbers[0] === 1;
      const fd = libc.accept4(
        side.fd(call.on[0] ?? 0),
        withName ? memory.address + AT_NAME : 0,
        withName ? memory.address + AT_LENGTH : 0,
        NONBLOCK,
      );
      if (fd >= 0) setInt(side, fd, IPPROTO_TCP, TCP_NODELAY, 1);
      const result = side.keep(handleOf(call, 0), fd);
      return withName && fd >= 0 ? [result, ...side.name()] : [result];
    },
  },
  {
    name: "getsockname",
    weight: 3,
    choose: onSocket((choices) => [choices.pick([128, 128, 128, 4, 0])]),
    run: (side, { on, numbers }) => nameOf(side, "getsockname", on[0], numbers[0]),
  },
  {
    name: "getpeername",
    weight: 3,
    choose: onSocket((choices) => [choices.pick([128, 128, 128, 4, 0])]),
    run: (side, { on, numbers }) => nameOf(side, "getpeername", on[0], numbers[0]),
  },
  {
    name: "setsockopt",
    weight: 5,
    choose(sketch) {
      const { choices } = sketch;
      const handle = sketch.pick(SOCKETS);
      if (handle === undefined) return undefined;
      const which = choices.below(OPTIONS.length);
      const [level, option, all] = OPTIONS[which] as (typeof OPTIONS)[number];
      // With a small buffer, bytes of TCP move with its timers.
      const isBuffer = level === SOL_SOCKET && (option === SO_SNDBUF || option === SO_RCVBUF);
      const isUdpOrUnix = sketch.kindOf(handle) !== "tcp" && sketch.kindOf(handle) !== "listener";
      const values = isBuffer && !isUdpOrUnix ? LARGE_BUFFERS : all;
      const length = choices.oneIn(20) ? choices.below(4) : 4;
      return { on: [handle], numbers: [which, choices.pick(values) ?? 0, length] };
    },
    run(side, { on, numbers }) {
      const [which = 0, value = 0, length = 4] = numbers;
      const [level, option] = OPTIONS[which] as (typeof OPTIONS)[number];
      side.memory.i32[AT_OPTION >> 2] = value;
      const at = side.memory.address + AT_OPTION;
      return [side.libc.setsockopt(side.fd(on[0] ?? 0), level, option, at, length)];
    },
  },
  {
    name: "setsockopt linger",
    weight: 2,
    choose: onSocket((choices) => [choices.below(2)]),
    run(side, { on, numbers }) {
      side.memory.i32[AT_OPTION >> 2] = numbers[0] ?? 0;
      side.memory.i32[(AT_OPTION >> 2) + 1] = 0;
      const at = side.memory.address + AT_OPTION;
      return [side.libc.setsockopt(side.fd(on[0] ?? 0), SOL_SOCKET, SO_LINGER, at, 8)];
    },
  },
  {
    name: "getsockopt",
    weight: 5,
    choose: onSocket((choices) => [
      choices.below(OPTIONS.length + READ_ONLY.length),
      choices.oneIn(20) ? choices.below(4) : 4,
    ]),
    run(side, { on, numbers }) {
      const [which = 0, length = 4] = numbers;
      const [level, option] = (OPTIONS[which] ?? READ_ONLY[which - OPTIONS.length]) as readonly [
        number,
        number,
      ];
      const { memory } = side;
      const at = AT_OPTION >> 2;
      memory.i32[at] = 0;
      memory.u32[at + 8] = length;
      const result = side.libc.getsockopt(
        side.fd(on[0] ?? 0),
        level,
        option,
        memory.address + AT_OPTION,
        memory.address + AT_OPTION + 32,
      );
      return result < 0
        ? [result]
        : [result, memory.i32[at] as number, memory.u32[at + 8] as number];
    },
  },
  {
    name: "shutdown",
    weight: 5,
    choose: onSocket((choices) => [choices.pick([1, 1, 1, 0, 2, 99])]),
    run: (side, { on, numbers }) => [side.libc.shutdown(side.fd(on[0] ?? 0), numbers[0] ?? 0)],
  },
  {
    name: "close",
    weight: 8,
    choose(sketch) {
      const handle = sketch.any();
      if (handle === undefined) return undefined;
      sketch.close(handle);
      return { on: [handle] };
    },
    run(side, { on }) {
      const [handle = 0] = on;
      // Otherwise a submission may be made on what gets its descriptor next.
      for (const { raw } of side.rings.values()) if (raw.submissions.pending > 0) raw.submit();
      const ring = side.rings.get(handle);
      if (ring !== undefined) {
        ring.close();
        side.rings.delete(handle);
        side.closed(handle);
        return [0];
      }
      const result = side.libc.close(side.fd(handle));
      side.closed(handle);
      return [result];
    },
  },
  {
    name: "dup",
    weight: 3,
    choose(sketch) {
      const original = sketch.anyButRing();
      if (original === undefined) return undefined;
      return { on: [original.handle], makes: [original.kind] };
    },
    run(side, call) {
      const fd = side.libc.fcntl(side.fd(call.on[0] ?? 0), F_DUPFD_CLOEXEC, 0);
      return [side.keep(handleOf(call, 0), fd)];
    },
  },
  {
    name: "FIONREAD",
    weight: 4,
    choose(sketch) {
      const handle = sketch.any();
      return handle === undefined ? undefined : { on: [handle], numbers: [FIONREAD] };
    },
    run: ioctl,
  },
  {
    name: "SIOCATMARK",
    weight: 1,
    choose: onSocket(() => [SIOCATMARK]),
    run: ioctl,
  },
];

function ioctl(side: Side, { on, numbers }: Call): Result {
  side.memory.i32[0] = -1;
  const result = side.libc.ioctl(side.fd(on[0] ?? 0), numbers[0] ?? 0, side.struct);
  return result < 0 ? [result] : [result, side.memory.i32[0] as number];
}

function nameOf(
  side: Side,
  call: "getsockname" | "getpeername",
  handle = 0,
  length: number = NAME_BYTES,
): Result {
  side.prepareName(length);
  const { address } = side.memory;
  const result = side.libc[call](side.fd(handle), address + AT_NAME, address + AT_LENGTH);
  return result < 0 ? [result] : [result, ...side.name()];
}

function onSocket(numbersOf: (choices: Sketch["choices"]) => readonly number[]) {
  return (sketch: Sketch) => {
    const handle = sketch.pick(SOCKETS);
    return handle === undefined ? undefined : { on: [handle], numbers: numbersOf(sketch.choices) };
  };
}
