import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import type { HasFileno } from "../../packages/polloi/src/base/descriptor.ts";
import { ERRNO } from "../../packages/polloi/src/base/errno.ts";
import { check } from "../../packages/polloi/src/base/sys-error.ts";
import {
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  F_DUPFD_CLOEXEC,
  O_CLOEXEC,
  O_NONBLOCK,
  SYS,
} from "../../packages/polloi/src/sys/abi.ts";
import type { Kernel } from "../../packages/polloi/src/sys/kernel.ts";
import { proxyKernel } from "../../packages/polloi/src/sys/kernel-proxy.ts";
import type { Libc } from "../../packages/polloi/src/sys/libc.ts";
import { kernel } from "../../packages/polloi/src/sys/open.ts";

const { libc, scratch } = kernel;

if (kernel.runtime === "deno") {
  // Deno opens a pair of sockets for signals when it first needs them. This opens them before the first case.
  const nothing = (): void => {};
  process.on("SIGUSR2", nothing);
  process.off("SIGUSR2", nothing);
}

const CLOSED = "closed meanwhile";
const ENTER: number = SYS.io_uring_enter;
const AF_UNIX = 1;
const SOCK_STREAM = 1;

/** A descriptor for tests, made through libc only, non-blocking and close-on-exec. */
export class Descriptor implements HasFileno {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  fileno(): number {
    return this.#fd;
  }

  /** Writes `length` bytes. @returns The number of bytes written, or `-errno`. */
  write(length = 1): number {
    return libc.write(this.#fd, scratch.address, length);
  }

  /** Reads at most `length` bytes. @returns The number of bytes read, or `-errno`. */
  read(length = 4096): number {
    return libc.read(this.#fd, scratch.address, length);
  }

  /** Writes until the descriptor would block. */
  fill(): void {
    while (this.write(65_536) > 0);
    while (this.write(1) > 0);
  }

  /** Reads until the descriptor would block or is at its end. */
  drain(): void {
    while (this.read(65_536) > 0);
  }

  /** A duplicate: another number for the same open file. */
  dup(): Descriptor {
    return new Descriptor(check(libc.fcntl(this.#fd, F_DUPFD_CLOEXEC, 0), "fcntl"));
  }

  close(): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Closes everything that a case opened, also when the case fails. */
export class Opened {
  readonly #all: Disposable[] = [];

  pipe(): { reader: Descriptor; writer: Descriptor } {
    check(libc.pipe2(scratch.address, O_CLOEXEC | O_NONBLOCK), "pipe2");
    const [reader, writer] = [scratch.i32[0] as number, scratch.i32[1] as number];
    return { reader: this.own(new Descriptor(reader)), writer: this.own(new Descriptor(writer)) };
  }

  /** Two connected sockets. */
  pair(): [Descriptor, Descriptor] {
    const type = SOCK_STREAM | O_CLOEXEC | O_NONBLOCK;
    check(libc.socketpair(AF_UNIX, type, 0, scratch.address), "socketpair");
    const [a, b] = [scratch.i32[0] as number, scratch.i32[1] as number];
    return [this.own(new Descriptor(a)), this.own(new Descriptor(b))];
  }

  /** Readable when `value` is not 0, and always writable. */
  counter(value: number): Descriptor {
    return this.own(
      new Descriptor(check(libc.eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
    );
  }

  /** A regular file, opened for reading. */
  file(): Descriptor {
    // The runtime's own binary is a file everywhere.
    const path = new TextEncoder().encode(`${process.execPath}\0`);
    scratch.u8.set(path);
    return this.own(new Descriptor(check(libc.open(scratch.address, O_CLOEXEC, 0), "open")));
  }

  /** A duplicate of `descriptor` with the number `fd`, or the next free one above it. */
  dupAt(descriptor: HasFileno, fd: number): Descriptor {
    const copy = check(libc.fcntl(descriptor.fileno(), F_DUPFD_CLOEXEC, fd), "fcntl");
    return this.own(new Descriptor(copy));
  }

  own<T extends Disposable>(it: T): T {
    this.#all.push(it);
    return it;
  }

  [Symbol.dispose](): void {
    for (const it of this.#all.reverse()) it[Symbol.dispose]();
    this.#all.length = 0;
  }
}

/** Returns a function that runs `body` and closes everything that it opened. */
export function opening(body: (opened: Opened) => void): () => void {
  return () => {
    const opened = new Opened();
    try {
      body(opened);
    } finally {
      opened[Symbol.dispose]();
    }
  };
}

/** The number of open descriptors. */
export function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

/** The open descriptors, each with its open file, for {@link leftOpen} later. */
export function openFiles(): ReadonlySet<string> {
  const open = readdirSync("/proc/self/fd").map((fd) => `${fd} ${target(fd)}`);
  // The directory itself is listed as well.
  return new Set(open.filter((entry) => !entry.endsWith(CLOSED)));
}

/** The descriptors that are open now and were not open `before`. */
export function leftOpen(before: ReadonlySet<string>): string[] {
  return [...openFiles()].filter((entry) => !before.has(entry));
}

/**
 * Fails if a descriptor is open that was not open `before`, and names it and what was done. Fewer than before are
 * possible, because a runtime closes its own at any time: a comparison of two counts would fail, or hide one that is left.
 */
export function assertNoneLeft(before: ReadonlySet<string>, done = ""): void {
  assert.deepEqual(
    leftOpen(before),
    [],
    `${done === "" ? "" : `${done}: `}a descriptor is left open`,
  );
}

/**
 * Fails unless `count` descriptors up to `maxFd` are free, which a case with many descriptors needs on select. The
 * message names what is open, because an earlier case has left it.
 */
export function assertFreeDescriptors(count: number, maxFd: number): void {
  if (maxFd > 0xffff) return;
  const taken = readdirSync("/proc/self/fd").filter((fd) => Number(fd) <= maxFd);
  const free = maxFd + 1 - taken.length;
  if (free >= count) return;
  const kinds = new Map<string, number>();
  for (const kind of taken.map((fd) => target(fd).replace(/:?\[\d+\]$/, ""))) {
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const open = [...kinds].map(([kind, times]) => `${times} ${kind}`).join(", ");
  assert.fail(
    `The case needs ${count} descriptors up to ${maxFd}, and ${free} are free; open are ${open}`,
  );
}

/**
 * The number of open descriptors; under Deno, the number of sockets. Deno keeps an epoll set and an eventfd of some
 * thread that has ended, and a duplicate of one of its sockets with a worker that it cannot end.
 */
export function openDescriptors(): number {
  const fds = readdirSync("/proc/self/fd");
  if (kernel.runtime !== "deno") return fds.length;
  return new Set(fds.map(target).filter((path) => path.startsWith("socket:"))).size;
}

/** The open file of a descriptor: `socket:[` and its number, or a path. */
function target(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return CLOSED;
  }
}

/** Opens descriptors that other code must not read, write or close, and checks that it has not. */
export class Untouched implements Disposable {
  /** The number of these descriptors, as counted by {@link openDescriptors}. */
  readonly count: number;
  readonly #opened = new Opened();
  readonly #counters: readonly Descriptor[];

  constructor() {
    const before = openDescriptors();
    this.#counters = Array.from({ length: 16 }, () => this.#opened.counter(1));
    this.count = openDescriptors() - before;
  }

  /** Whether no other code has used them. */
  get untouched(): boolean {
    return this.#counters.every((counter) => counter.read(8) === 8);
  }

  [Symbol.dispose](): void {
    this.#opened[Symbol.dispose]();
  }
}

/** The number of a closed descriptor. It is high, so that no descriptor that is opened meanwhile gets it. */
export function closedFd(): number {
  const low = check(libc.eventfd(0, EFD_CLOEXEC), "eventfd");
  const high = check(libc.fcntl(low, F_DUPFD_CLOEXEC, 900), "fcntl");
  libc.close(low);
  libc.close(high);
  return high;
}

/** The kernel of this thread with some of its calls replaced. */
export function kernelWith(calls: Partial<Libc> | ((libc: Libc) => Partial<Libc>)): Kernel {
  return proxyKernel(kernel, { calls: typeof calls === "function" ? calls : () => calls });
}

/** Kernels without epoll_pwait2: an old one, and one whose seccomp profile forbids it. */
export function withoutPwait2(): Kernel[] {
  return [ERRNO.ENOSYS, ERRNO.EPERM].map((errno) =>
    kernelWith({
      syscall: (number, ...rest) =>
        number === SYS.epoll_pwait2 ? -errno : libc.syscall(number, ...rest),
    }),
  );
}

/**
 * A kernel whose first `times` waits are interrupted by a signal after `afterMs`. A call that does not wait is not
 * interrupted, as in the real kernel.
 */
export function interrupted(times: number, afterMs = 0): { kernel: Kernel; left(): number } {
  let left = times;
  const wrap =
    <A extends number[]>(call: (...args: A) => number, waits: (...args: A) => boolean) =>
    (...args: A): number => {
      if (left === 0 || !waits(...args)) return call(...args);
      left--;
      const until = performance.now() + afterMs;
      while (performance.now() < until);
      return -ERRNO.EINTR;
    };
  const isTime = (timespec: number): boolean => {
    const at = timespec - scratch.address;
    return timespec === 0 || scratch.getWord(at) + scratch.getWord(at + 8) > 0;
  };
  return {
    kernel: kernelWith({
      pselect: wrap(libc.pselect, (_n, _r, _w, _x, timespec) => isTime(timespec)),
      ppoll: wrap(libc.ppoll, (_fds, _count, timespec) => isTime(timespec)),
      epoll_wait: wrap(libc.epoll_wait, (_epoll, _events, _max, timeoutMs) => timeoutMs !== 0),
      syscall: wrap(libc.syscall, (number, _fd, _submitted, wanted, timespec) =>
        number === SYS.epoll_pwait2 ? isTime(timespec) : number === ENTER && wanted > 0,
      ),
    }),
    left: () => left,
  };
}

/**
 * Raises the limit on descriptors to `wanted` if the system allows it.
 *
 * @returns The reason if it does not, otherwise undefined.
 */
export function raiseDescriptorLimit(wanted: number): string | undefined {
  const RLIMIT_NOFILE = 7;
  libc.getrlimit(RLIMIT_NOFILE, scratch.address);
  const [soft, hard] = [scratch.getWord(0), scratch.getWord(8)];
  if (soft >= wanted) return undefined;
  if (hard < wanted) return `the limit on descriptors is ${hard}, and this needs ${wanted}`;
  scratch.setWord(0, wanted);
  scratch.setWord(8, hard);
  return libc.setrlimit(RLIMIT_NOFILE, scratch.address) < 0
    ? `the limit on descriptors cannot be raised to ${wanted}`
    : undefined;
}
