/** The differences between the two kernels that are allowed, each with its reason. */
import { ERRNO } from "../../../polloi/src/base/errno.ts";
import { MAXSEG, QUICKACK, RCVBUF, SNDBUF } from "./operations/sockets.ts";
import type { Call } from "./program.ts";
import type { Result } from "./side.ts";

interface Allowed {
  readonly operations: readonly string[];
  readonly why: string;
  /** Whether this is that difference. */
  readonly is: (call: Call, real: Result, simulated: Result) => boolean;
  /** Whether the sides are in different states from then on, so that the program ends. */
  readonly ends?: boolean;
}

const ALLOWED: readonly Allowed[] = [
  {
    operations: ["getsockopt"],
    why: "TCP_MAXSEG and TCP_QUICKACK are what the kernel has learned from the traffic so far",
    is: ({ numbers: [which = 0] }, [real], [simulated]) =>
      (which === MAXSEG || which === QUICKACK) && real === 0 && simulated === 0,
  },
  {
    operations: ["getsockopt"],
    why: "the kernel makes the buffers of a busy TCP connection larger",
    is: ({ numbers: [which = 0] }, [, real = 0], [, simulated = 0]) =>
      (which === RCVBUF || which === SNDBUF) && Number(real) > Number(simulated),
  },
  {
    operations: ["send in parts"],
    why: "TCP sends at once what MSG_MORE would hold back until an urgent byte is acknowledged",
    is: (_call, real, simulated) =>
      real.every((value, i) =>
        i % 2 === 0 ? value === simulated[i] : Number(value) >= Number(simulated[i]),
      ),
  },
  {
    operations: ["fill and drain"],
    why: "a reader that is gone, or cannot open the window, leaves as many bytes as the buffer of the sender takes",
    is: (_call, real, simulated) =>
      real.every((value, i) => i >= READ || value === simulated[i]) &&
      real[LAST_READ] !== -ERRNO.EAGAIN &&
      (isLess(real) || isLess(simulated)),
    ends: true,
  },
  {
    operations: ["fill and drain"],
    why: "with a small buffer for receiving, bytes move with the timers of TCP",
    is: (_call, real, simulated) => isLess(real) && !isLess(simulated),
    ends: true,
  },
];

/** The place of the number of bytes that were read beyond those that were written. */
const READ = 3;
/** The place of the result of the last read. */
const LAST_READ = 2;

function isLess(result: Result): boolean {
  return Number(result[READ]) < 0;
}

/** The rule that allows a difference; undefined when none does. */
export function allowedBy(
  call: Call,
  real: Result,
  simulated: Result,
): Pick<Allowed, "why" | "ends"> | undefined {
  return ALLOWED.find(
    ({ operations, is }) => operations.includes(call.operation) && is(call, real, simulated),
  );
}
