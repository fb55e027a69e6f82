import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { Ring } from "./ring.ts";

/**
 * An eventfd by which another loop hears that a ring has something to do.
 *
 * @remarks
 * The ring's own descriptor does not do: who watches it is not woken by work that is deferred to the
 * ring's thread. It signals only while nobody looks at the ring: else neither side need touch it.
 */
export class RingSignal {
  /** The eventfd, -1 until it was asked for and once it is closed. */
  fd = -1;
  readonly #kernel: Kernel;
  readonly #ring: Ring;
  #signalling = false;

  constructor(kernel: Kernel, ring: Ring) {
    this.#kernel = kernel;
    this.#ring = ring;
  }

  /** Makes the eventfd. @throws SysError `EMFILE`, `ENFILE`, `ENOMEM`. */
  open(): number {
    const { libc } = this.#kernel;
    const fd = check(libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    const result = this.#ring.signal(fd);
    if (result < 0) libc.close(fd);
    check(result, "io_uring_register");
    this.#signalling = true;
    this.fd = fd;
    // What is there already was signalled to nobody.
    if (this.#hasMore) this.tell();
    return fd;
  }

  /** Somebody looks: what comes now is seen, and the eventfd is not readable any more. */
  stop(): void {
    if (!this.#signalling) return;
    this.#signalling = false;
    this.#ring.completions.setSignalling(false);
    const { libc, scratch } = this.#kernel;
    while (libc.read(this.fd, scratch.address, 8) === -ERRNO.EINTR);
  }

  /**
   * Nobody looks any more: the eventfd tells of what comes from now on.
   *
   * @returns Whether something came between the look and this, which nobody else tells of.
   */
  start(): boolean {
    if (this.#signalling) return false;
    this.#signalling = true;
    this.#ring.completions.setSignalling(true);
    return this.#hasMore;
  }

  /** There is something to do already, and the ring does not say so: makes the eventfd readable. */
  tell(): void {
    const { libc, scratch } = this.#kernel;
    scratch.setWord(0, 1);
    while (libc.write(this.fd, scratch.address, 8) === -ERRNO.EINTR);
  }

  close(): void {
    if (this.fd >= 0) this.#kernel.libc.close(this.fd);
    this.fd = -1;
    this.#signalling = false;
  }
  get #hasMore(): boolean {
    return this.#ring.completions.length > 0 || this.#ring.hasWork;
  }
}
