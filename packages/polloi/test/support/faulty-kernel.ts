import { kernelWith } from "../../../../test/support/descriptors.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from "../../src/select/constants.ts";
import { EPOLL_EVENT, SYS } from "../../src/sys/abi.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { kernel } from "../../src/sys/open.ts";
import { randomRingFaults } from "./faulty-ring.ts";

const { libc, scratch } = kernel;

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
 * A kernel whose sends and receives are short, would block, or are interrupted, as a loaded one's are.
 *
 * @remarks
 * It keeps what the real one promises: after a send or receive that was cut short here, an
 * edge-triggered descriptor is reported again, as it would be once it is ready again. For that it is
 * modified in its epoll set, which has the kernel look anew.
 */
export function faultyKernel(seed: number): Kernel {
  const random = randomFrom(seed);
  const registered = new Map<number, readonly [epoll: number, mask: number, tag: number]>();
  const lookAnew = (fd: number): void => {
    const at = registered.get(fd);
    if (at === undefined) return;
    const [epoll, mask, tag] = at;
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
        lookAnew(fd);
        return -ERRNO.EAGAIN;
      }
      if (chance > 0.6) return call(fd, address, length, flags);
      const some = Math.ceil(length * random() ** 3);
      const result = call(fd, address, Math.max(1, some), flags);
      lookAnew(fd);
      return result;
    };
  const { arenas, syscall } = randomRingFaults(random);
  const refused = [ERRNO.EINTR, ERRNO.EAGAIN, ERRNO.EBUSY, ERRNO.ENOMEM];
  const faultyCalls = kernelWith({
    syscall: (number, ...args) => {
      const chance = number === SYS.io_uring_enter ? random() : 1;
      if (chance < 0.05) return -(refused[Math.floor(chance * 80)] as number);
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
  });
  return { ...faultyCalls, arenas };
}
