/** io_uring: submissions of all kinds, and what completes. */

import { SysError } from "../../../../polloi/src/base/sys-error.ts";
import { POLLIN, POLLOUT, POLLRDHUP } from "../../../../polloi/src/select/constants.ts";
import {
  MSG_NOSIGNAL,
  MSG_WAITALL,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
} from "../../../../polloi/src/socket/constants.ts";
import {
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_FD,
  IORING_OP,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
} from "../../../../polloi/src/uring/constants.ts";
import {
  type Call,
  handleOf,
  type Kind,
  type Numbers,
  type Operation,
  type Sketch,
} from "../program.ts";
import type { Result, Side } from "../side.ts";
import { AT_RECEIVED } from "../side.ts";
import { type Completed, GROUP, TestRing } from "../test-ring.ts";

const ANY_STREAM: readonly Kind[] = ["tcp", "unix-stream", "unix-seqpacket"];
const TAG_HIGH = 1;
const FLAGS_SHIFT = 8;
const NONBLOCK: number = SOCK_NONBLOCK | SOCK_CLOEXEC;
/** The memory of the receives in flight: a slot for each call. */
const SLOT_BYTES = 256;
const SLOTS = 64;
/** More than a socket takes at once after some sends, and less than the memory for bytes that are sent. */
const LONG_BYTES = 100_000;
/** The memory of times, which the kernel reads when it takes a submission. */
const AT_TIMES = 0x1_0000;
const TIME_BYTES = 16;
/** Longer than any program runs. */
const FAR_MS = 1_000_000;

/** The kinds of submissions: a name, what they are made on, and how. */
const SUBMISSIONS: readonly {
  readonly on: readonly Kind[];
  readonly push: (ring: TestRing, side: Side, call: Call, flags: number) => void;
}[] = [
  {
    on: [],
    push: ({ raw }, _side, { id }, flags) =>
      raw.submissions.push(IORING_OP.NOP | (flags << FLAGS_SHIFT), -1, 0, 0, 0, 0, id, TAG_HIGH),
  },
  {
    on: ["listener"],
    push: ({ raw }, side, { id, on }, flags) =>
      raw.submissions.push(
        IORING_OP.ACCEPT | (flags << FLAGS_SHIFT),
        side.fd(on[1] ?? 0),
        0,
        0,
        0,
        NONBLOCK,
        id,
        TAG_HIGH,
      ),
  },
  {
    on: ["listener"],
    push: ({ raw }, side, { id, on }) =>
      raw.submissions.acceptMultishot(side.fd(on[1] ?? 0), NONBLOCK, id, TAG_HIGH),
  },
  {
    on: ANY_STREAM,
    push: ({ raw }, side, { id, on }, flags) =>
      raw.submissions.push(
        IORING_OP.RECV | (flags << FLAGS_SHIFT),
        side.fd(on[1] ?? 0),
        0,
        side.memory.address + AT_RECEIVED + SLOT_BYTES * (id % SLOTS),
        100,
        0,
        id,
        TAG_HIGH,
      ),
  },
  {
    on: ANY_STREAM,
    push: ({ raw }, side, { id, on }) =>
      raw.submissions.receive(side.fd(on[1] ?? 0), GROUP, id, TAG_HIGH),
  },
  {
    on: ANY_STREAM,
    push: ({ raw }, side, { id, on, numbers }) =>
      raw.submissions.receiveMultishot(side.fd(on[1] ?? 0), GROUP, id, TAG_HIGH, numbers[1] ?? 0),
  },
  {
    on: ANY_STREAM,
    push: ({ raw }, side, { id, on }, flags) =>
      raw.submissions.push(
        IORING_OP.SEND | (flags << FLAGS_SHIFT),
        side.fd(on[1] ?? 0),
        0,
        side.fill(id, 80),
        80,
        MSG_NOSIGNAL,
        id,
        TAG_HIGH,
      ),
  },
  {
    on: ["pipe-read", "pipe-write", "eventfd", "tcp", "unix-stream", "listener", "udp"],
    push: ({ raw }, side, { id, on, numbers }) =>
      raw.submissions.poll(side.fd(on[1] ?? 0), numbers[1] ?? 0, id, TAG_HIGH),
  },
  {
    on: ["pipe-read", "pipe-write", "eventfd", "tcp", "unix-stream", "listener", "udp"],
    push: ({ raw }, side, { id, on, numbers }) =>
      raw.submissions.pollMultishot(side.fd(on[1] ?? 0), numbers[1] ?? 0, id, TAG_HIGH),
  },
  {
    on: [],
    push: ({ raw }, _side, { id, numbers }) =>
      raw.submissions.cancel(numbers[1] ?? 0, TAG_HIGH, id, TAG_HIGH),
  },
  {
    on: [],
    push: ({ raw }, _side, { id, numbers }, flags) =>
      raw.submissions.push(
        IORING_OP.POLL_REMOVE | (flags << FLAGS_SHIFT),
        -1,
        0,
        (numbers[1] ?? 0) + TAG_HIGH * 0x1_0000_0000,
        0,
        0,
        id,
        TAG_HIGH,
      ),
  },
  {
    on: ["eventfd", "pipe-read", "unix-stream"],
    push: ({ raw }, side, { id, on }, flags) =>
      raw.submissions.push(
        IORING_OP.READ | (flags << FLAGS_SHIFT),
        side.fd(on[1] ?? 0),
        0,
        side.memory.address + AT_RECEIVED + SLOT_BYTES * (id % SLOTS),
        8,
        0,
        id,
        TAG_HIGH,
      ),
  },
  {
    // Not valid: a multishot receive without a group of buffers.
    on: ANY_STREAM,
    push: ({ raw }, side, { id, on }, flags) =>
      raw.submissions.push(
        IORING_OP.RECV |
          ((flags & ~IOSQE_BUFFER_SELECT) << FLAGS_SHIFT) |
          (IORING_RECV_MULTISHOT << 16),
        side.fd(on[1] ?? 0),
        0,
        side.memory.address + AT_RECEIVED,
        100,
        0,
        id,
        TAG_HIGH,
      ),
  },
  {
    // A send that continues after a part. How much TCP takes at once depends on time.
    on: ["unix-stream"],
    push: ({ raw }, side, { id, on }, flags) =>
      raw.submissions.push(
        IORING_OP.SEND | (flags << FLAGS_SHIFT),
        side.fd(on[1] ?? 0),
        0,
        side.fill(id, LONG_BYTES),
        LONG_BYTES,
        MSG_NOSIGNAL | MSG_WAITALL,
        id,
        TAG_HIGH,
      ),
  },
  {
    // A receive that continues after a part.
    on: ANY_STREAM,
    push: ({ raw }, side, { id, on }, flags) =>
      raw.submissions.push(
        IORING_OP.RECV | (flags << FLAGS_SHIFT),
        side.fd(on[1] ?? 0),
        0,
        side.memory.address + AT_RECEIVED + SLOT_BYTES * (id % SLOTS),
        200,
        MSG_WAITALL,
        id,
        TAG_HIGH,
      ),
  },
  {
    // Cancels what is in flight on a descriptor.
    on: ["pipe-read", "eventfd", "tcp", "unix-stream", "listener"],
    push: ({ raw }, side, { id, on, numbers }, flags) =>
      raw.submissions.push(
        IORING_OP.ASYNC_CANCEL | (flags << FLAGS_SHIFT),
        side.fd(on[1] ?? 0),
        0,
        0,
        0,
        IORING_ASYNC_CANCEL_FD | (numbers[1] ?? 0),
        id,
        TAG_HIGH,
      ),
  },
  {
    // Completes when others have, and never because of its time.
    on: [],
    push: ({ raw }, side, { id, numbers }, flags) => {
      const at = AT_TIMES + TIME_BYTES * (id % SLOTS);
      side.memory.setTimespec(at, FAR_MS);
      raw.submissions.push(
        IORING_OP.TIMEOUT | (flags << FLAGS_SHIFT),
        -1,
        numbers[1] ?? 0,
        side.memory.address + at,
        1,
        0,
        id,
        TAG_HIGH,
      );
    },
  },
  {
    on: [],
    push: ({ raw }, _side, { id, numbers }, flags) =>
      raw.submissions.push(
        IORING_OP.TIMEOUT_REMOVE | (flags << FLAGS_SHIFT),
        -1,
        0,
        (numbers[1] ?? 0) + TAG_HIGH * 0x1_0000_0000,
        0,
        0,
        id,
        TAG_HIGH,
      ),
  },
];

/** Which of {@link SUBMISSIONS} have a third number that is a tag of an earlier call. */
const ACCEPTS: readonly number[] = [1, 2];
const CANCELS: readonly number[] = [9, 10, 17];
const CANCELS_FD = 15;
const COUNTS = 16;
const READ = 11;
const SENDS_ALL = 13;
/** A nop, receives, sends and a poll. */
const LINKED: Numbers = [0, 3, 6, 6, 7, 14];
const POLLS: readonly number[] = [7, 8];
const RECEIVES_ALL = 5;

export const URING_OPERATIONS: readonly Operation[] = [
  {
    name: "io_uring",
    weight: 3,
    choose: () => ({ makes: ["ring"] }),
    run(side, call) {
      const handle = handleOf(call, 0);
      try {
        const ring = new TestRing(side.kernel);
        side.rings.set(handle, ring);
        return [side.keep(handle, ring.raw.fileno())];
      } catch (error) {
        if (error instanceof SysError || (error as Error).name === "SysError") {
          return [(error as SysError).errno];
        }
        throw error;
      }
    },
  },
  {
    name: "add buffers",
    weight: 3,
    choose(sketch) {
      const ring = sketch.pick(["ring"]);
      return ring === undefined ? undefined : { on: [ring] };
    },
    run: (side, { on }) => [side.rings.get(on[0] ?? 0)?.addBuffers() ?? -1],
  },
  {
    name: "return buffers",
    weight: 2,
    choose(sketch) {
      const ring = sketch.pick(["ring"]);
      return ring === undefined ? undefined : { on: [ring] };
    },
    run(side, { on }) {
      side.rings.get(on[0] ?? 0)?.returnBuffers();
      return [];
    },
  },
  {
    name: "submission",
    weight: 16,
    choose(sketch) {
      const { choices } = sketch;
      const ring = sketch.pick(["ring"]);
      if (ring === undefined) return undefined;
      const which = choices.below(SUBMISSIONS.length);
      const kinds = (SUBMISSIONS[which] as (typeof SUBMISSIONS)[number]).on;
      // Other files may be read by other threads of the kernel, at some later time, and the first poll of a ring wakes
      // once at some later time.
      const isExact = which === READ || which === SENDS_ALL || POLLS.includes(which);
      const handle = isExact ? sketch.pickExact(kinds) : sketch.pick(kinds);
      if (kinds.length > 0 && handle === undefined) return undefined;
      return {
        on: handle === undefined ? [ring] : [ring, handle],
        numbers: [which, detailOf(which, sketch)],
        // What an accept opens.
        ...(ACCEPTS.includes(which) ? { makes: ["tcp", "tcp"] } : {}),
      };
    },
    run(side, call) {
      const ring = side.rings.get(call.on[0] ?? 0);
      if (ring === undefined) return ["no ring"];
      const [which = 0] = call.numbers;
      if (ACCEPTS.includes(which)) side.accepts(call.id, handleOf(call, 0));
      SUBMISSIONS[which]?.push(ring, side, call, 0);
      return [ring.raw.submissions.pending];
    },
  },
  {
    // All links of a chain are submitted together: one that continues in a later call begins in another thread.
    name: "chain",
    weight: 6,
    choose(sketch) {
      const { choices } = sketch;
      const ring = sketch.pick(["ring"]);
      const handle = sketch.pickExact(ANY_STREAM);
      if (ring === undefined || handle === undefined) return undefined;
      const link = () => choices.pick([IOSQE_IO_LINK, IOSQE_IO_LINK, IOSQE_IO_HARDLINK]);
      const links = Array.from({ length: choices.between(1, 3) }, () => [
        choices.pick(LINKED),
        link(),
      ]);
      return { on: [ring, handle], numbers: [...links.flat(), choices.pick(LINKED)] };
    },
    run(side, call) {
      const ring = side.rings.get(call.on[0] ?? 0);
      if (ring === undefined) return ["no ring"];
      const { submissions } = ring.raw;
      if (submissions.room < call.numbers.length) return ["full"];
      for (let i = 0; i < call.numbers.length; i += 2) {
        const [which = 0, flags = 0] = call.numbers.slice(i);
        SUBMISSIONS[which]?.push(ring, side, call, flags);
      }
      return [submissions.pending];
    },
  },
  {
    name: "enter",
    weight: 12,
    choose(sketch) {
      const ring = sketch.pick(["ring"]);
      return ring === undefined ? undefined : { on: [ring] };
    },
    run: (side, { on }) => enter(side, on[0] ?? 0),
  },
];

/** Submits and takes the completions of a ring. */
export function enter(side: Side, handle: number): Result {
  const ring = side.rings.get(handle);
  if (ring === undefined) return ["no ring"];
  const { result, completed } = ring.enter();
  return [result, ...completed.flatMap((each) => describe(side, each))];
}

/** A completion, with a handle in place of a descriptor. */
function describe(side: Side, { tag, result, flags, bytes }: Completed): Result {
  const accepted = side.acceptedBy(tag);
  if (accepted !== undefined && result >= 0) {
    return [tag, side.keep(accepted, result), flags];
  }
  if (bytes !== undefined) return [tag, result, flags, ...bytes.subarray(0, 4)];
  return [tag, result, flags];
}

function detailOf(which: number, { choices, id }: Sketch): number {
  if (CANCELS.includes(which)) return choices.below(Math.max(id, 1));
  if (POLLS.includes(which))
    return choices.pick([POLLIN, POLLOUT, POLLIN | POLLOUT, POLLIN | POLLRDHUP]);
  if (which === CANCELS_FD) return choices.pick([0, IORING_ASYNC_CANCEL_ALL]);
  if (which === COUNTS) return choices.pick([0, 1, 2, 5]);
  return which === RECEIVES_ALL ? choices.pick([0, 0, 50, 300]) : 0;
}
