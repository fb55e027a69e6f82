import { ERRNO } from "../base/errno.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { numberError, show } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { EVENT_ALL, eventsOf, maskOf } from "../selectors/events.ts";
import { DescriptorOwner } from "./descriptor-owner.ts";
import type { Loop } from "./loop.ts";

/**
 * A descriptor of any kind that a reactor watches: a pipe, a terminal, a timerfd, an eventfd. It is level-triggered: the
 * callback is called in every turn in which the descriptor is ready.
 */
export interface Watch extends Disposable {
  /** The watched descriptor, or -1 once the watch is closed. */
  fileno(): number;
  /**
   * Changes the watched events.
   *
   * @param events - EVENT_* bits. 0 reports errors and hang-ups only.
   * @throws TypeError or RangeError `ERR_INVALID_EVENTS`; SysError
   */
  modify(events: number): void;
  /** Stops watching. The descriptor stays open, since it is the caller's. Calling it twice is safe. */
  close(): void;
  /** Keeps the process alive again after {@link Watch.unref}. Calling it twice has no effect. */
  ref(): void;
  /**
   * Allows the process to end, and `run()` to return, although the watch is open. By default an open watch keeps it alive.
   * Calling it twice has no effect.
   */
  unref(): void;
}

/** Called with EVENT_* bits when a watched descriptor is ready. */
export type WatchCallback = (events: number) => void;

/** A watch: the owner of its slot in the engine. */
export class DescriptorWatch extends DescriptorOwner implements Watch {
  static {
    const fieldsOf = (it: DescriptorWatch): Fields => {
      return { fd: it.#fd, state: it.#fd < 0 ? "closed" : "watching" };
    };
    printAs(DescriptorWatch, fieldsOf, "Watch");
  }

  readonly #slot: number;
  readonly #callback: WatchCallback;
  #fd: number;

  constructor(loop: Loop, fd: number, events: number, callback: WatchCallback) {
    super(loop);
    this.#fd = fd;
    this.#callback = callback;
    this.#slot = loop.take(this);
    const result = loop.engine.watch(this.#slot, fd, maskOf(events));
    if (result < 0) {
      loop.giveBack(this.#slot);
      throw watchError(loop, result, fd);
    }
  }

  fileno(): number {
    return this.#fd;
  }

  modify(events: number): void {
    checkEvents(events, 0);
    if (this.#fd < 0) return;
    check(this.loop.engine.modify(this.#slot, maskOf(events)), "modify", { fd: this.#fd });
  }

  close(): void {
    this.abandon();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  override ready(mask: number): void {
    try {
      this.#callback(eventsOf(mask));
    } catch (thrown) {
      this.loop.fail(thrown);
    }
  }

  override abandon(): void {
    if (this.#fd < 0) return;
    // The loop counts the slot until the engine has released it.
    this.ref();
    this.#fd = -1;
    this.loop.engine.forget(this.#slot);
  }
}

/** @throws TypeError or RangeError `ERR_INVALID_EVENTS` unless these are EVENT_* bits and at least `least`. */
export function checkEvents(events: number, least: 0 | 1): void {
  if (Number.isInteger(events) && events >= least && events <= EVENT_ALL) return;
  throw numberError(
    "ERR_INVALID_EVENTS",
    events,
    `Cannot watch for ${show(events)}: give EVENT_* bits`,
  );
}

function watchError(loop: Loop, result: number, fd: number): SysError {
  const hints: Partial<Record<number, string | undefined>> = {
    [ERRNO.EPERM]:
      "epoll cannot watch a regular file or directory: it is always ready; just read it",
    [ERRNO.EEXIST]: "this reactor watches that descriptor already; use modify()",
    [ERRNO.EINVAL]:
      loop.engine.name === "select"
        ? loop.descriptorHint(result)
        : "that descriptor cannot be watched",
  };
  return new SysError("watch", result, { fd, hint: hints[-result] });
}
