import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { typeError } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { timeoutOf } from "../base/timeout.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { POLLIN, POLLOUT, POLLPRI } from "./constants.ts";
import { eventMaskOf } from "./event-mask.ts";
import { PollSet } from "./poll-set.ts";

/** A `pollfd` has 16 bits for events. */
const ALL_EVENTS = 0xffff;

const DEFAULT_EVENTS: number = POLLIN | POLLPRI | POLLOUT;

/** Lists whose `Poll` is gone: it has no `close()`, as Python's has none, but its memory is mapped. */
const abandoned = new FinalizationRegistry<PollSet>((set) => set.close());

/**
 * A list of descriptors to watch with poll(2).
 *
 * @remarks
 * It holds no descriptor of its own and needs no closing. A wait costs as much as there are
 * descriptors in the list. Numbers are kept, not objects: `fileno()` is asked when registering only,
 * and a closed descriptor that is still in the list is reported with POLLNVAL.
 *
 * @example
 * ```ts
 * const poll = new Poll();
 * poll.register(socket, POLLIN);
 * for (const [fd, events] of poll.poll(1000)) console.log(fd, (events & POLLIN) !== 0);
 * ```
 * Source: poll(2).
 */
export class Poll {
  static {
    printAs(Poll, (it) => ({ registered: it.#set.size }));
  }

  readonly #set: PollSet;

  /** @throws SysError `ENOMEM` when there is no memory for the list; TypeError `ERR_INVALID_OPTION`. */
  constructor(options: { readonly kernel?: Kernel } = {}) {
    this.#set = new PollSet(kernelOf(options, "new Poll()"));
    abandoned.register(this, this.#set);
  }

  /**
   * Watches a descriptor. One that is in the list already is changed, as by {@link Poll.modify}.
   *
   * @param events - POLL* bits; POLLERR, POLLHUP and POLLNVAL are reported without asking.
   * @throws TypeError or RangeError `ERR_INVALID_FD`, `ERR_INVALID_EVENTS`; SysError `ENOMEM`.
   */
  register(fileObject: FileObject, events: number = DEFAULT_EVENTS): void {
    const fd = filenoOf(fileObject);
    check(this.#set.set(fd, eventMaskOf(events, ALL_EVENTS), fd), "poll", { fd });
  }

  /**
   * Changes what is asked of a descriptor.
   *
   * @param events - POLL* bits.
   * @throws SysError `ENOENT` when it is not registered; TypeError or RangeError `ERR_INVALID_FD`,
   * `ERR_INVALID_EVENTS`.
   */
  modify(fileObject: FileObject, events: number): void {
    const fd = filenoOf(fileObject);
    const mask = eventMaskOf(events, ALL_EVENTS);
    if (!this.#set.has(fd)) {
      throw new SysError("poll", ERRNO.ENOENT, { fd, hint: "register it before modifying it" });
    }
    this.#set.set(fd, mask, fd);
  }

  /**
   * Stops watching a descriptor, closed or not.
   *
   * @throws TypeError `ERR_NOT_REGISTERED` when it is not registered; TypeError or RangeError
   * `ERR_INVALID_FD`.
   */
  unregister(fileObject: FileObject): void {
    const fd = filenoOf(fileObject);
    if (!this.#set.delete(fd)) {
      throw typeError("ERR_NOT_REGISTERED", `Cannot unregister fd ${fd}: it is not registered`);
    }
  }

  /**
   * Waits until a descriptor is ready. It blocks the thread.
   *
   * @param timeoutMs - Milliseconds, fractions count; 0 does not wait, `undefined` or a negative number
   * waits for ever. A signal does not end the wait.
   * @returns Those that are ready as `[fd, events]`, in no particular order; empty when the time was up.
   * @throws RangeError or TypeError `ERR_INVALID_TIMEOUT`; SysError `EINVAL` when there are more in the
   * list than the process may open.
   */
  poll(timeoutMs?: number | null): [fd: number, events: number][] {
    const set = this.#set;
    const left = check(set.wait(timeoutOf(timeoutMs)), "poll");
    const ready: [number, number][] = [];
    for (let index = 0; ready.length < left; index++) {
      const given = set.givenAt(index);
      if (given !== 0) ready.push([set.fdAt(index), given]);
    }
    return ready;
  }
}
