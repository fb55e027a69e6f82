/** Waiting: poll, select and epoll, always without a timeout, because nothing happens meanwhile. */
import {
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLONESHOT,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "../../../../polloi/src/select/constants.ts";
import {
  EPOLL_EVENT,
  FD_SET_BYTES,
  FD_SETSIZE,
  O_CLOEXEC,
} from "../../../../polloi/src/sys/abi.ts";
import { handleOf, type Numbers, type Operation } from "../program.ts";
import { AT_STRUCT, type Side } from "../side.ts";

const MASKS: Numbers = [
  POLLIN,
  POLLOUT,
  POLLIN | POLLOUT,
  POLLIN | POLLRDHUP,
  POLLIN | POLLOUT | POLLPRI | POLLRDHUP,
  0,
  POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND,
];

const FLAGS: Numbers = [
  0,
  0,
  EPOLLET,
  EPOLLET,
  EPOLLONESHOT,
  EPOLLET + EPOLLONESHOT,
  EPOLLEXCLUSIVE,
  EPOLLET + EPOLLEXCLUSIVE,
];

const POLLFD_BYTES = 8;
const AT_TIMEOUT = AT_STRUCT + 2048;
const AT_SETS = AT_STRUCT + 1024;

/** Polls handles. @returns The result and the masks. */
export function pollAll(side: Side, handles: readonly number[], events: number): number[] {
  const { memory } = side;
  for (const [i, handle] of handles.entries()) {
    memory.i32[2 * i] = side.fd(handle);
    memory.u32[2 * i + 1] = events;
  }
  memory.setTimespec(AT_TIMEOUT, 0);
  const result = side.libc.ppoll(side.struct, handles.length, memory.address + AT_TIMEOUT, 0);
  const words = handles.map((_, i) => (memory.u32[(POLLFD_BYTES * i) / 4 + 1] as number) >>> 16);
  return [result, ...words];
}

/** Writes an `epoll_event` at the start of the memory. */
function writeEvent({ memory }: Side, mask: number, tag: number): void {
  memory.u32[0] = mask;
  memory.u32[EPOLL_EVENT.data] = tag;
  memory.u32[EPOLL_EVENT.data + 1] = 0;
}

export const READINESS_OPERATIONS: readonly Operation[] = [
  {
    name: "poll",
    weight: 10,
    choose(sketch) {
      const handles = sketch.some(4);
      const { choices } = sketch;
      return { on: handles, numbers: [choices.pick(MASKS)] };
    },
    run: (side, { on, numbers }) => pollAll(side, on, numbers[0] ?? 0),
  },
  {
    name: "select",
    weight: 4,
    choose(sketch) {
      return { on: sketch.some(4), numbers: [sketch.choices.between(1, 7)] };
    },
    run(side, { on, numbers }) {
      const { memory, libc } = side;
      const fds = on.map((handle) => side.fd(handle)).filter((fd) => fd < FD_SETSIZE);
      const word = (set: number, fd: number) => ((AT_SETS + set * FD_SET_BYTES) >> 2) + (fd >> 5);
      memory.u8.fill(0, AT_SETS, AT_SETS + 3 * FD_SET_BYTES);
      const asked = numbers[0] ?? 0;
      for (const fd of fds) {
        for (let set = 0; set < 3; set++) {
          if ((asked & (1 << set)) === 0) continue;
          const at = word(set, fd);
          memory.u32[at] = (memory.u32[at] as number) | (1 << (fd & 31));
        }
      }
      memory.setTimespec(AT_TIMEOUT, 0);
      const at = (set: number) => memory.address + AT_SETS + set * FD_SET_BYTES;
      const nfds = Math.max(-1, ...fds) + 1;
      const result = libc.pselect(nfds, at(0), at(1), at(2), memory.address + AT_TIMEOUT, 0);
      const bits = fds.map((fd) =>
        [0, 1, 2].reduce((all, set) => {
          const isSet = ((memory.u32[word(set, fd)] as number) >>> (fd & 31)) & 1;
          return all | (isSet << set);
        }, 0),
      );
      return [result, ...bits];
    },
  },
  {
    name: "epoll_create1",
    weight: 5,
    choose: () => ({ makes: ["epoll"] }),
    run: (side, call) => [side.keep(handleOf(call, 0), side.libc.epoll_create1(O_CLOEXEC))],
  },
  {
    name: "epoll_ctl",
    weight: 12,
    choose(sketch) {
      const { choices } = sketch;
      const epoll = sketch.pick(["epoll"]);
      const handle = sketch.any();
      if (epoll === undefined || handle === undefined) return undefined;
      const operation = choices.pick([
        EPOLL_CTL_ADD,
        EPOLL_CTL_ADD,
        EPOLL_CTL_ADD,
        EPOLL_CTL_MOD,
        EPOLL_CTL_MOD,
        EPOLL_CTL_DEL,
        9,
      ]);
      // The tag is the number of the call, so that it is seen which registration is reported.
      return {
        on: [epoll, handle],
        numbers: [operation, choices.pick(MASKS) + choices.pick(FLAGS), sketch.id],
      };
    },
    run(side, { on, numbers }) {
      const [operation = 0, mask = 0, tag = 0] = numbers;
      writeEvent(side, mask, tag);
      const [epoll, fd] = [side.fd(on[0] ?? 0), side.fd(on[1] ?? 0)];
      return [side.libc.epoll_ctl(epoll, operation, fd, side.struct)];
    },
  },
  {
    name: "epoll_wait",
    weight: 14,
    choose(sketch) {
      const epoll = sketch.pick(["epoll"]);
      return epoll === undefined
        ? undefined
        : { on: [epoll], numbers: [sketch.choices.pick([16, 16, 1, 2, 0])] };
    },
    run: (side, { on, numbers }) => waitOnce(side, on[0] ?? 0, numbers[0] ?? 0),
  },
];

/** Waits on an epoll set. @returns The result, and the mask and the tag of each event, in order. */
export function waitOnce(side: Side, epoll: number, most: number): number[] {
  const { memory } = side;
  const result = side.libc.epoll_wait(side.fd(epoll), side.struct, most, 0);
  const results = [result];
  for (let i = 0; i < result; i++) {
    const at = i * EPOLL_EVENT.stride;
    results.push(memory.u32[at] as number, memory.u32[at + EPOLL_EVENT.data] as number);
  }
  return results;
}
