import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { typeError } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { timeoutOf } from "../base/timeout.ts";
import { kernelOf, type WithKernel } from "../sys/open.ts";
import { POLLIN, POLLOUT, POLLPRI } from "./constants.ts";
import { eventMaskOf } from "./event-mask.ts";
import { PollSet } from "./poll-set.ts";

/** A `pollfd` has 16 bits for events. */
const ALL_EVENTS = 0xffff;

const DEFAULT_EVENTS: number = POLLIN | POLLPRI | POLLOUT;

/** Releases the mapped memory of a garbage-collected `Poll`, which has no `close()`, as in Python. */
const abandoned = new FinalizationRegistry<PollSet>((set) => set.close());

/**
 * A list of descriptors to watch with poll(2).
 *
 * @remarks
 * It has no descriptor of its own and needs no closing. A wait costs as much as there are descriptors in the
 * list. The list has numbers, not objects: `fileno()` is called only on registration, and a closed descriptor
 * that is still in the list is reported with POLLNVAL.
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
  constructor(options: WithKernel = {}) {
    this.#set = new PollSet(kernelOf(options, "new Poll()"));
    abandoned.register(this, this.#set);
  }

  /**
   * Watches a descriptor. If it is in the list already, its events are changed, as by {@link Poll.modify}.
   *
   * @param events - POLL* bits; POLLERR, POLLHUP and POLLNVAL are always reported.
   * @throws TypeError or RangeError `ERR_INVALID_FD`, `ERR_INVALID_EVENTS`; SysError `ENOMEM`.
   */
  register(fileObject: FileObject, events: number = DEFAULT_EVENTS): void {
    const fd = filenoOf(fileObject);
    check(this.#set.set(fd, eventMaskOf(events, ALL_EVENTS), fd), "poll", { fd });
  }

  /**
   * Changes the events that a descriptor is watched for.
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
   * means no timeout. A signal does not end the wait.
   * @returns The ready descriptors as `[fd, events]`, in no particular order; empty after a timeout.
   * @throws RangeError or TypeError `ERR_INVALID_TIMEOUT`; SysError `EINVAL` when the list is longer than the
   * limit on open descriptors.
   */
  poll(timeoutMs?: number | null): [fd: number, events: number][] {
    const set = this.#set;
    const left = check(set.wait(timeoutOf(timeoutMs)), "poll");
    const ready: [number, number][] = [];
    for (let index = 0; ready.length < left; index++) {
      const mask = set.returnedAt(index);
      if (mask !== 0) ready.push([set.fdAt(index), mask]);
    }
    return ready;
  }
}
