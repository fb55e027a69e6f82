import { ERRNO } from "../../src/base/errno.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "../../src/select/constants.ts";
import { EPOLL_EVENT, SYS } from "../../src/sys/abi.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import { kernel } from "../../src/sys/open.ts";
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_OP,
  IORING_RECV_MULTISHOT,
  IOSQE_IO_LINK,
} from "../../src/uring/constants.ts";
import { type RingHooks, RingReader, type SubmissionEntry } from "../../src/uring/ring-reader.ts";

const { libc, scratch } = kernel;

/** Errors of io_uring_enter that pass. */
const ENTER_ERRORS = [ERRNO.EINTR, ERRNO.EAGAIN, ERRNO.EBUSY, ERRNO.ENOMEM];

/** Numbers from 0 up to 1, the same for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // Mulberry32: small, and good enough to choose faults with.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * A kernel whose sends and receives are short, would block, or are interrupted, as under load.
 *
 * @remarks
 * It keeps the guarantees of the real one. After a send or receive that was cut short here, an edge-triggered
 * descriptor is reported again, as it would be once it is ready again. Modifying it in its epoll set makes the
 * kernel check it again.
 */
export function faultyKernel(seed: number): Kernel {
  const random = randomFrom(seed);
  const registered = new Map<number, readonly [epoll: number, mask: number, tag: number]>();
  const recheck = (fd: number): void => {
    const entry = registered.get(fd);
    if (entry === undefined) return;
    const [epoll, mask, tag] = entry;
    scratch.u32[0] = mask;
    scratch.u32[EPOLL_EVENT.data] = tag;
    scratch.u32[EPOLL_EVENT.data + 1] = 0;
    libc.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, scratch.address);
  };
  const faulty =
    (call: (fd: number, address: number, length: number, flags: number) => number) =>
    (fd: number, address: number, length: number, flags: number): number => {
      const chance = random();
      if (chance < 0.1) return -ERRNO.EINTR;
      if (chance < 0.25) {
        recheck(fd);
        return -ERRNO.EAGAIN;
      }
      if (chance > 0.6) return call(fd, address, length, flags);
      const some = Math.ceil(length * random() ** 3);
      const result = call(fd, address, Math.max(1, some), flags);
      recheck(fd);
      return result;
    };
  const rings = new RingReader(kernel, randomRingFaults(random));
  return proxyKernel(rings.kernel, {
    calls: ({ syscall }) => ({
      syscall: (number, ...args) => {
        const chance = number === SYS.io_uring_enter ? random() : 1;
        if (chance < 0.05) return -(ENTER_ERRORS[Math.floor(chance * 80)] as number);
        return syscall(number, ...args);
      },
      send: faulty(libc.send),
      recv: faulty(libc.recv),
      sendfile: (socket, file, offset, length) =>
        faulty((_fd, _offset, some) => libc.sendfile(socket, file, offset, some))(
          socket,
          offset,
          length,
          0,
        ),
      accept4: (...args) => {
        const chance = random();
        if (chance < 0.1) return -ERRNO.EINTR;
        return chance < 0.2 ? -ERRNO.ECONNABORTED : libc.accept4(...args);
      },
      epoll_ctl: (epoll, operation, fd, event) => {
        if (operation === EPOLL_CTL_DEL) registered.delete(fd);
        const mask = scratch.u32[0] as number;
        const tag = scratch.u32[EPOLL_EVENT.data] as number;
        const result = libc.epoll_ctl(epoll, operation, fd, event);
        if (result >= 0 && (operation === EPOLL_CTL_ADD || operation === EPOLL_CTL_MOD)) {
          registered.set(fd, [epoll, mask, tag]);
        }
        return result;
      },
    }),
  });
}

/**
 * A kernel whose sends fail before any byte is sent, on every engine.
 *
 * @remarks
 * On a ring, the operations linked behind a failed send do not begin, as in the real kernel.
 *
 * @param next - Called for each send. Returns the errno with which it fails, or 0.
 */
export function failingSends(next: () => number): Kernel {
  let broken = false;
  const rings = new RingReader(kernel, {
    submitting: ({ operation, flags }) => {
      if (operation !== IORING_OP.SEND) return undefined;
      const errno = broken ? ERRNO.ECANCELED : next();
      broken = (flags & IOSQE_IO_LINK) !== 0 && errno > 0;
      return errno > 0 ? -errno : undefined;
    },
  });
  return proxyKernel(rings.kernel, {
    calls: ({ send }) => ({
      send: (...args) => {
        const errno = next();
        return errno > 0 ? -errno : send(...args);
      },
    }),
  });
}

/**
 * Faults of io_uring: operations that fail before they begin, multishot operations that end after one completion,
 * and short sends. The operations linked behind one that failed or was cut short fail too, as in the real kernel.
 */
function randomRingFaults(random: () => number): RingHooks {
  let broken = false;
  const send = (entry: SubmissionEntry, chance: number): number | undefined => {
    const { length } = entry;
    let failure: number | undefined;
    if (broken) failure = -ERRNO.ECANCELED;
    else if (chance < 0.1) failure = random() < 0.5 ? -ERRNO.EINTR : -ERRNO.EAGAIN;
    else if (chance < 0.4) entry.length = Math.ceil(length * random() ** 3);
    const linked = (entry.flags & IOSQE_IO_LINK) !== 0;
    broken = linked && (failure !== undefined || entry.length !== length);
    // A short send is complete to the kernel, which would continue with the next in the chain.
    if (broken) entry.flags &= ~IOSQE_IO_LINK;
    return failure;
  };
  return {
    submitting: (entry) => {
      const chance = random();
      switch (entry.operation) {
        case IORING_OP.SEND:
          return send(entry, chance);
        case IORING_OP.RECV:
          if (chance < 0.1) return random() < 0.5 ? -ERRNO.EINTR : -ERRNO.ENOBUFS;
          if (chance < 0.5) {
            entry.priority &= ~IORING_RECV_MULTISHOT;
            // A receive that is not multishot has no limit.
            entry.limit = 0;
          }
          if (chance < 0.3) entry.length = 1 + Math.floor(random() * 2000);
          return undefined;
        case IORING_OP.ACCEPT:
          if (chance < 0.2) return random() < 0.5 ? -ERRNO.EINTR : -ERRNO.ECONNABORTED;
          if (chance < 0.5) entry.priority &= ~IORING_ACCEPT_MULTISHOT;
          return undefined;
        default:
          return undefined;
      }
    },
  };
}
