/** Faults of the server of the soak test: failing calls, no descriptors, restarts, a busy thread. */
import { readdirSync } from "node:fs";
import { ERRNO } from "../../src/base/errno.ts";
import { OP_MASK, OP_SEND } from "../../src/engine/uring-slots.ts";
import type { Reactor } from "../../src/index.ts";
import { SYS } from "../../src/sys/abi.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import { kernel } from "../../src/sys/open.ts";
import { IORING_OP } from "../../src/uring/constants.ts";
import { RingReader } from "../../src/uring/ring-reader.ts";
import { randomFrom } from "../support/faulty-kernel.ts";

const { libc, scratch } = kernel;

const RLIMIT_NOFILE = 7;
/** The interval at which episodes begin, and the longest that one lasts. */
const EVERY_MS = 60;
/** The probability that a handler is slow. */
const SLOW_MS = 3;
const SLOW_SHARE = 0.03;
/** How long the thread is busy with other work: longer than the server's idle timeout. */
const STALL_MS = 400;

/** Errors of the calls of one stream. */
const STREAM_ERRORS = [ERRNO.ECONNRESET, ERRNO.EPIPE, ERRNO.EIO, ERRNO.ENOBUFS, ERRNO.ENOMEM];
const ENTER_ERRORS = [ERRNO.EINTR, ERRNO.EAGAIN, ERRNO.EBUSY, ERRNO.ENOMEM];
const ACCEPT_ERRORS = [ERRNO.EACCES, ERRNO.EPERM, ERRNO.ECONNABORTED, ERRNO.EMFILE];

/** The actions of an episode on the server. */
export interface Victim {
  /** Closes the listener, and listens on its port again. */
  restart(): void;
}

/** The faults of one server. The seed determines which ones occur, and when. */
export class Faults {
  readonly kernel: Kernel;
  readonly counts: Record<string, number> = {};
  readonly #random: () => number;
  #sends = 0;
  #receives = 0;
  #enters = 0;
  #accept = 0;
  #stalls = false;
  #over = false;
  #restoreLimit: (() => void) | undefined;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    this.kernel = this.#faulty();
  }

  /** Starts one episode after another, until {@link Faults.end}. */
  begin(reactor: Reactor, victim: Victim): void {
    const timer = reactor.setTimer(EVERY_MS, () => {
      if (this.#over) return;
      this.#calm();
      this.#episode(victim);
      timer.refresh();
    });
  }

  /** Called by handlers: delays some of them. */
  handled(): void {
    if (this.#over) return;
    if (this.#stalls) {
      this.#stalls = false;
      busy(STALL_MS);
    } else if (this.#random() < SLOW_SHARE) busy(SLOW_MS);
  }

  /** Ends all faults. */
  end(): void {
    this.#over = true;
    this.#calm();
    this.#sends = 0;
    this.#receives = 0;
    this.#enters = 0;
    this.#stalls = false;
  }

  #calm(): void {
    this.#accept = 0;
    this.#restoreLimit?.();
    this.#restoreLimit = undefined;
  }

  #episode(victim: Victim): void {
    const episodes: Record<string, () => void> = {
      sends: () => {
        this.#sends = 1 + Math.floor(this.#random() * 8);
      },
      receives: () => {
        this.#receives = 1 + Math.floor(this.#random() * 3);
      },
      enters: () => {
        this.#enters = 1 + Math.floor(this.#random() * 3);
      },
      accept: () => {
        this.#accept = this.#pick(ACCEPT_ERRORS);
        victim.restart();
      },
      descriptors: () => {
        this.#restoreLimit = leaveDescriptors(3);
      },
      restart: () => victim.restart(),
      stall: () => {
        this.#stalls = true;
      },
      nothing: () => {},
    };
    const name = this.#pick(Object.keys(episodes));
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    episodes[name]?.();
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }

  #faulty(): Kernel {
    const rings = new RingReader(kernel, {
      submitting: ({ operation }) => {
        if (operation === IORING_OP.ACCEPT && this.#accept > 0) return -this.#accept;
        if (operation !== IORING_OP.RECV || this.#receives === 0) return undefined;
        this.#receives--;
        return -ERRNO.ECONNRESET;
      },
      completed: (completion) => {
        const isSend = (completion.tagHigh & OP_MASK) === OP_SEND;
        if (!isSend || completion.result <= 0 || this.#sends === 0) return;
        // Its bytes were sent, and those of the sends that are linked behind it may have been sent too.
        this.#sends--;
        completion.result = -this.#pick(STREAM_ERRORS);
      },
    });
    const interrupted = (): boolean => !this.#over && this.#random() < 0.01;
    return proxyKernel(rings.kernel, {
      calls: ({ syscall }) => ({
        syscall: (number, ...args) => {
          // The seccomp profiles of old containers forbid it.
          if (number === SYS.epoll_pwait2) return -ERRNO.EPERM;
          if (number === SYS.io_uring_enter && this.#enters > 0) {
            this.#enters--;
            return -this.#pick(ENTER_ERRORS);
          }
          return syscall(number, ...args);
        },
        send: (...args) => {
          if (this.#sends === 0) return libc.send(...args);
          this.#sends--;
          return -this.#pick(STREAM_ERRORS);
        },
        recv: (...args) => {
          if (this.#receives === 0) return libc.recv(...args);
          this.#receives--;
          return -ERRNO.ECONNRESET;
        },
        accept4: (...args) => (this.#accept > 0 ? -this.#accept : libc.accept4(...args)),
        epoll_wait: (...args) => (interrupted() ? -ERRNO.EINTR : libc.epoll_wait(...args)),
        ppoll: (...args) => (interrupted() ? -ERRNO.EINTR : libc.ppoll(...args)),
        pselect: (...args) => (interrupted() ? -ERRNO.EINTR : libc.pselect(...args)),
      }),
    });
  }
}

function busy(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/** Lowers the limit on descriptors to the open ones and `left` more. @returns A function that restores it. */
function leaveDescriptors(left: number): () => void {
  libc.getrlimit(RLIMIT_NOFILE, scratch.address);
  const [soft, hard] = [scratch.getWord(0), scratch.getWord(8)];
  const set = (limit: number): void => {
    scratch.setWord(0, limit);
    scratch.setWord(8, hard);
    libc.setrlimit(RLIMIT_NOFILE, scratch.address);
  };
  const highest = Math.max(...readdirSync("/proc/self/fd").map(Number));
  set(highest + 1 + left);
  return () => set(soft);
}
