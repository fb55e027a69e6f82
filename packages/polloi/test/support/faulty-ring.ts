import { ERRNO } from "../../src/base/errno.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_OP,
  IORING_RECV_MULTISHOT,
  IOSQE_IO_LINK,
} from "../../src/uring/constants.ts";
import { faultyRings, Refusals, type RingFaults } from "./ring-memory.ts";

const FLAGS_SHIFT = 8;
const PRIORITY_SHIFT = 16;
const LINK = IOSQE_IO_LINK << FLAGS_SHIFT;
const OPERATION = 0xff;
const LENGTH = 6;
const LIMIT = 11;

/**
 * Faults of io_uring: operations that do not begin, multishot ones that end after one, short sends.
 *
 * @remarks
 * What is linked behind an operation that does not begin, or behind a send that was cut short, does not begin
 * either, as in the real kernel.
 */
export function randomRingFaults(random: () => number): ReturnType<typeof faultyRings> {
  const refusals = new Refusals();
  let broken = false;
  const faults: RingFaults = {
    submitting: (words, at) => {
      const word = words[at] as number;
      const chance = random();
      switch (word & OPERATION) {
        case IORING_OP.SEND: {
          const length = words[at + LENGTH] as number;
          if (broken) refusals.refuse(words, at, ERRNO.ECANCELED);
          else if (chance < 0.1)
            refusals.refuse(words, at, random() < 0.5 ? ERRNO.EINTR : ERRNO.EAGAIN);
          else if (chance < 0.4) words[at + LENGTH] = Math.ceil(length * random() ** 3);
          const went = (words[at] as number) % 256 === IORING_OP.SEND;
          broken = (word & LINK) !== 0 && (!went || words[at + LENGTH] !== length);
          // What is cut short is whole to the kernel, and what is behind it is refused.
          if (broken) words[at] = (words[at] as number) & ~LINK;
          break;
        }
        case IORING_OP.RECV:
          if (chance < 0.1)
            refusals.refuse(words, at, random() < 0.5 ? ERRNO.EINTR : ERRNO.ENOBUFS);
          else if (chance < 0.5) {
            words[at] = word & ~(IORING_RECV_MULTISHOT << PRIORITY_SHIFT);
            // What is received once has no limit.
            words[at + LIMIT] = 0;
            if (chance < 0.3) words[at + LENGTH] = 1 + Math.floor(random() * 2000);
          }
          break;
        case IORING_OP.ACCEPT:
          if (chance < 0.2)
            refusals.refuse(words, at, random() < 0.5 ? ERRNO.EINTR : ERRNO.ECONNABORTED);
          else if (chance < 0.5) words[at] = word & ~(IORING_ACCEPT_MULTISHOT << PRIORITY_SHIFT);
          break;
        default:
      }
    },
    completed: (completion) => refusals.complete(completion),
  };
  return faultyRings(faults);
}

/**
 * A send that fails for good, on every engine, before a byte of it has gone.
 *
 * @remarks
 * On a ring, what is linked behind it does not begin, as in the real kernel.
 *
 * @param next - Called for each send: the errno with which it fails, or 0.
 */
export function failingSends(
  next: () => number,
): ReturnType<typeof faultyRings> & Pick<Libc, "send"> {
  const refusals = new Refusals();
  let broken = false;
  const rings = faultyRings({
    submitting: (words, at) => {
      const word = words[at] as number;
      if ((word & OPERATION) !== IORING_OP.SEND) return;
      const errno = broken ? ERRNO.ECANCELED : next();
      if (errno > 0) refusals.refuse(words, at, errno);
      broken = (word & LINK) !== 0 && errno > 0;
    },
    completed: (completion) => refusals.complete(completion),
  });
  const send: Libc["send"] = (...args) => {
    const errno = next();
    return errno > 0 ? -errno : kernel.libc.send(...args);
  };
  return { ...rings, send };
}
