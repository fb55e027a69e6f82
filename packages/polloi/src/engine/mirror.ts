import { ERRNO } from "../base/errno.ts";
import { POLLIN } from "../select/constants.ts";
import { EpollPoller } from "../selectors/pollers/epoll-poller.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";

/**
 * What select or poll watches, once more in an epoll set, so that there is a descriptor for another loop
 * to watch. Nobody takes events from it: it only becomes readable.
 *
 * @remarks
 * It must be readable when the poller it stands for would report something, and never otherwise, or the
 * other loop spins. They differ in two points: epoll reports a hang-up even of a descriptor of which
 * nothing is asked, which select does not, and it refuses regular files, which to the others are always
 * ready. For those stands a counter that is.
 */
export class Mirror {
  readonly #kernel: Kernel;
  readonly #set: EpollPoller;
  readonly #hangup: boolean;
  readonly #files: Set<number> = new Set();
  #always = -1;

  /** @param hangup - Whether the poller reports a hang-up of what it is asked nothing of. */
  constructor(kernel: Kernel, hangup: boolean) {
    this.#kernel = kernel;
    this.#set = new EpollPoller(kernel);
    this.#hangup = hangup;
  }

  fileno(): number {
    return this.#set.fileno();
  }

  /** Watches `fd`, or changes for what. @returns 0 or more, or `-errno`; then what was watched before still is. */
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
