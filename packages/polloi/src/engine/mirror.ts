import { ERRNO } from "../base/errno.ts";
import { POLLIN } from "../select/constants.ts";
import { EpollPoller } from "../selectors/pollers/epoll-poller.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";

/**
 * An epoll set with everything that a select or poll poller watches, so that there is a descriptor for another
 * event loop to watch. No events are read from it; it only becomes readable.
 *
 * @remarks
 * It must be readable exactly when the poller would report something, or the other loop spins. The two differ
 * in two points. epoll reports a hang-up of a descriptor with an empty interest, which select does not. And epoll
 * refuses regular files, which are always ready to the others; an eventfd that is always ready represents them.
 */
export class Mirror {
  readonly #kernel: Kernel;
  readonly #set: EpollPoller;
  readonly #hangup: boolean;
  readonly #files: Set<number> = new Set();
  #always = -1;

  /** @param hangup - Whether the poller reports a hang-up of a descriptor with an empty interest. */
  constructor(kernel: Kernel, hangup: boolean) {
    this.#kernel = kernel;
    this.#set = new EpollPoller(kernel);
    this.#hangup = hangup;
  }

  fileno(): number {
    return this.#set.fileno();
  }

  /** Watches `fd`, or changes the interest in it. @returns 0 or more, or `-errno` with the interest unchanged. */
  set(fd: number, interest: number): number {
    if (interest === 0 && !this.#hangup) {
      this.remove(fd);
      return 0;
    }
    let result = this.#set.modify(fd, interest, 0);
    if (result === -ERRNO.ENOENT) result = this.#set.add(fd, interest, 0);
    if (result !== -ERRNO.EPERM) return result;
    if (interest === 0) {
      this.#files.delete(fd);
      return this.#showFiles();
    }
    const isNew = !this.#files.has(fd);
    this.#files.add(fd);
    const shown = this.#showFiles();
    if (shown < 0 && isNew) this.#files.delete(fd);
    return shown;
  }

  remove(fd: number): void {
    this.#set.remove(fd);
    if (this.#files.delete(fd)) this.#showFiles();
  }

  close(): void {
    this.#set.close();
    if (this.#always >= 0) this.#kernel.libc.close(this.#always);
    this.#always = -1;
  }

  #showFiles(): number {
    if (this.#files.size === 0) {
      if (this.#always >= 0) this.#set.remove(this.#always);
      return 0;
    }
    if (this.#always < 0) {
      const counter = this.#kernel.libc.eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
      if (counter < 0) return counter;
      this.#always = counter;
    }
    const result = this.#set.add(this.#always, POLLIN, 0);
    return result === -ERRNO.EEXIST ? 0 : result;
  }
}
