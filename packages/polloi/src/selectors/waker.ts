import type { NamesOf } from "../base/argument.ts";
import { filenoOf, type HasFileno } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { typeError } from "../base/misuse.ts";
import { check } from "../base/sys-error.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK, F_DUPFD_CLOEXEC } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf, type WithKernel } from "../sys/open.ts";

/** Options of a {@link Waker}. */
export interface WakerOptions {
  /** @internal The kernel to call. Default: the kernel of this thread. */
  readonly kernel?: Kernel;
  /** An eventfd to take over. Default: a new one. */
  readonly fd?: number;
}

const WAKER_OPTIONS: NamesOf<WakerOptions> = { kernel: true, fd: true };

/**
 * Ends a wait from another thread, or from a callback that runs between two waits.
 *
 * @remarks
 * It is an eventfd: a counter that is readable when it is not 0. Register it like any descriptor, and
 * `drain` it when it is reported. Several wakes before that are reported as one. Close it: a waker that is
 * garbage-collected first is closed then, with a warning of the process.
 *
 * @example
 * ```ts
 * const waker = new Waker();
 * selector.register(waker, EVENT_READ);
 * const worker = new Worker("./worker.js", { workerData: waker.fileno() });
 *
 * // worker.js
 * using waker = Waker.fromFd(workerData);
 * waker.wake();
 * ```
 * Source: eventfd(2).
 */
export class Waker implements HasFileno {
  static {
    printAs(Waker, (it) => ({ fd: it.#fd, state: it.#fd < 0 ? "closed" : "open" }));
  }

  readonly #kernel: Kernel;
  #fd: number;
  /** The token of {@link guard}; undefined for an eventfd that was taken over. */
  #guarded: object | undefined;

  /**
   * @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor for it; TypeError or
   * RangeError `ERR_INVALID_FD`, `ERR_INVALID_OPTION`.
   */
  constructor(options: WakerOptions = {}) {
    const kernel = kernelOf(options, "new Waker()", WAKER_OPTIONS);
    const { fd } = options;
    this.#kernel = kernel;
    this.#fd =
      fd === undefined
        ? check(kernel.libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")
        : filenoOf(fd);
    if (fd === undefined) this.#guard();
  }

  /**
   * Makes a waker for the same counter, to be used and closed by another thread.
   *
   * @remarks
   * It has a descriptor of its own, because the number of the first waker may be reused by a socket after
   * that waker is closed. The first waker must be open until this returns.
   *
   * @param fd - The `fileno()` of a waker that is open.
   * @throws TypeError or RangeError `ERR_INVALID_FD`; SysError `EBADF` when it is closed, `EMFILE`.
   */
  static fromFd(fd: number, options: WithKernel = {}): Waker {
    const kernel = kernelOf(options, "Waker.fromFd()");
    const own = check(kernel.libc.fcntl(filenoOf(fd), F_DUPFD_CLOEXEC, 0), "fcntl", { fd });
    const waker = new Waker({ kernel, fd: own });
    waker.#guard();
    return waker;
  }

  #guard(): void {
    const { libc } = this.#kernel;
    const fd = this.#fd;
    this.#guarded = guard(this, fd, () => void libc.close(fd));
  }

  /** The descriptor, -1 once it is closed. */
  fileno(): number {
    return this.#fd;
  }

  /**
   * Makes the waker readable, in whichever thread waits for it.
   *
   * @throws TypeError `ERR_CLOSED`.
   */
  wake(): void {
    this.#assertOpen("wake");
    const { libc, scratch } = this.#kernel;
    scratch.setWord(0, 1);
    const result = libc.write(this.#fd, scratch.address, 8);
    // The counter has its highest value, so it is readable already.
    if (result !== -ERRNO.EAGAIN) check(result, "write", { fd: this.#fd });
  }

  /**
   * Makes the waker unreadable again.
   *
   * @returns The number of wakes since the last drain.
   * @throws TypeError `ERR_CLOSED`.
   */
  drain(): number {
    this.#assertOpen("drain");
    const { libc, scratch } = this.#kernel;
    const result = libc.read(this.#fd, scratch.address, 8);
    if (result === -ERRNO.EAGAIN) return 0;
    check(result, "read", { fd: this.#fd });
    return scratch.getWord(0);
  }

  /** Closes the descriptor; unregister it before. Safe to call twice. */
  close(): void {
    if (this.#fd < 0) return;
    this.#kernel.libc.close(this.#fd);
    this.#fd = -1;
    if (this.#guarded !== undefined) unguard(this.#guarded);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #assertOpen(verb: string): void {
    if (this.#fd < 0) throw typeError("ERR_CLOSED", `Cannot ${verb}: this waker is closed`);
  }
}
