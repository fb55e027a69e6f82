import { booleanOf, optionsOf } from "../base/argument.ts";
import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { numberError, rangeError, show, typeError } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { timeoutOf } from "../base/timeout.ts";
import { EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT } from "../select/constants.ts";
import { EPOLL_HINTS } from "../select/epoll.ts";
import { fdTooLarge } from "../select/select-sets.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import type { Kernel } from "../sys/kernel.ts";
import { kernelOf } from "../sys/open.ts";
import { SelectorBatch } from "./batch.ts";
import { EVENT_ALL, EVENT_PEER_CLOSED, maskOf } from "./events.ts";
import {
  type DataArguments,
  RegisteredKey,
  type SelectorKey,
  WATCH_OPTIONS,
  type WatchOptions,
} from "./key.ts";
import { openBestPoller, openPoller, type PassedOver } from "./open-poller.ts";
import type { Poller, PollerCapabilities, PollerName } from "./poller.ts";
import { type Entry, Registry, SelectorMap } from "./registry.ts";

/** The bits of a mask that say how to watch, not for what. */
const MODES = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE;

/** The most that one `select` reports: the most that a poller reports in one call. */
const MAX_READY = 65_536;

/** The system call that reports an error of a poller, by poller. */
const CONTROL_CALL: Readonly<Record<PollerName, string>> = {
  select: "select",
  poll: "poll",
  epoll: "epoll_ctl",
};
const WAIT_CALL: Readonly<Record<PollerName, string>> = { ...CONTROL_CALL, epoll: "epoll_wait" };

const HINTS: typeof EPOLL_HINTS = {
  ...EPOLL_HINTS,
  [ERRNO.EINVAL]:
    "a watch that is exclusive takes EVENT_READ, EVENT_WRITE and edge triggering only, and cannot be modified; and a selector cannot watch itself",
};

/** Options of a selector. */
export interface SelectorOptions {
  /** @internal The kernel to call. Default: the kernel of this thread. */
  readonly kernel?: Kernel;
}

/**
 * Waits for readiness of any number of descriptors.
 *
 * @remarks
 * A selector has a registry of keys and a poller; the subclasses choose the poller. It is level-triggered
 * unless a registration says otherwise.
 *
 * Errors and hang-ups are always reported: as EVENT_ERROR or EVENT_HANGUP, and as EVENT_READ and
 * EVENT_WRITE where those are asked for, so that a program which only reads and writes finds them. select(2)
 * does not distinguish them, see `capabilities`. They are reported at every wait until the descriptor is
 * unregistered, so unregister it and close it.
 *
 * Unregister a descriptor before closing it. The reverse order works too, but a descriptor that was
 * duplicated stays in an epoll set after it is closed. Its events are dropped, yet each ends a wait.
 *
 * Close the selector: one with a descriptor that is garbage-collected first is closed then, with a warning of
 * the process.
 *
 * @typeParam Data - The type of the value that is stored with each key.
 */
export class Selector<Data = unknown> {
  static {
    printAs<Selector<unknown>>(Selector, (it) => ({
      poller: it.name,
      registered: it.#registry.size,
      state: it.closed ? "closed" : "open",
    }));
  }

  readonly #poller: Poller;
  readonly #registry: Registry<Data> = new Registry();
  #batch: SelectorBatch<Data> = new SelectorBatch();
  #closed = false;
  /** The token of {@link guard}. */
  readonly #guarded: object | undefined;

  /** @param poller - Closed with the selector. */
  constructor(poller: Poller) {
    this.#poller = poller;
    // Only epoll holds a descriptor.
    if (poller.fileno() >= 0) this.#guarded = guard(this, poller.fileno(), () => poller.close());
  }

  /** The name of its poller. */
  get name(): PollerName {
    return this.#poller.name;
  }

  /** The capabilities of its poller. */
  get capabilities(): PollerCapabilities {
    return this.#poller.capabilities;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The descriptor of the epoll set, which is readable when a registered descriptor is ready, so that
   * another selector can watch this one. -1 for poll and select, and once it is closed.
   */
  fileno(): number {
    return this.#poller.fileno();
  }

  /**
   * Watches a descriptor.
   *
   * @param fileObject - A descriptor or anything with a `fileno()`, such as a `Socket` or a `Waker`.
   * @param events - EVENT_READ, EVENT_WRITE, EVENT_PRIORITY, EVENT_PEER_CLOSED, or 0 for hang-ups only.
   * @param rest - `data`, which is stored with the key; and how to watch, see {@link WatchOptions}.
   * @throws TypeError `ERR_ALREADY_REGISTERED`; TypeError `ERR_UNSUPPORTED` for what the poller does not
   * support; RangeError `ERR_FD_TOO_LARGE` for select from 1024 up; TypeError or RangeError
   * `ERR_INVALID_FD`, `ERR_INVALID_EVENTS`, `ERR_INVALID_OPTION`; TypeError `ERR_CLOSED`; SysError
   * `EBADF` when it is closed, `EPERM` for a regular file on epoll, `EINVAL`, `ENOSPC`, `ENOMEM`.
   */
  register(
    fileObject: FileObject,
    events: number,
    ...rest: DataArguments<Data>
  ): SelectorKey<Data> {
    this.#assertOpen("register");
    const [data, options] = rest as DataAndOptions<Data>;
    const interest =
      maskOf(this.#checked(events)) | this.#modesOf(options === undefined ? {} : options);
    const fd = filenoOf(fileObject);
    if (this.#registry.find(fileObject) !== undefined || this.#registry.find(fd) !== undefined) {
      throw typeError("ERR_ALREADY_REGISTERED", `Cannot register fd ${fd}: it is registered`);
    }
    if (fd > this.capabilities.maxFd) throw fdTooLarge(fd);
    const key = new RegisteredKey<Data>(fileObject, fd, events, data);
    const entry = this.#registry.add(key, interest);
    const result = this.#poller.add(fd, interest, entry.tag);
    if (result < 0) {
      this.#registry.remove(entry);
      throw this.#refusal(result, fd);
    }
    return key;
  }

  /**
   * Stops watching a descriptor.
   *
   * @remarks
   * It works when the descriptor was closed before, when its object no longer knows its number, and
   * when the number has been reused since.
   *
   * @returns The key that it had.
   * @throws TypeError `ERR_NOT_REGISTERED`, `ERR_CLOSED`.
   */
  unregister(fileObject: FileObject): SelectorKey<Data> {
    this.#assertOpen("unregister");
    const entry = this.#entryOf(fileObject, "unregister");
    this.#registry.remove(entry);
    // A failure means that the descriptor was closed, and has left the set already.
    this.#poller.remove(entry.key.fd);
    return entry.key;
  }

  /**
   * Changes the events that a descriptor is watched for, and the value stored with it.
   *
   * @remarks
   * When only `data` differs, the kernel is not called, except to enable a one-shot watch again.
   *
   * @param rest - `data`, undefined by default; and how to watch, unchanged by default.
   * @returns The new key.
   * @throws As {@link Selector.register}, and TypeError `ERR_NOT_REGISTERED`. The registration is then
   * unchanged.
   */
  modify(fileObject: FileObject, events: number, ...rest: DataArguments<Data>): SelectorKey<Data> {
    this.#assertOpen("modify");
    const entry = this.#entryOf(fileObject, "modify");
    const [data, options] = rest as DataAndOptions<Data>;
    const modes = options === undefined ? entry.interest & MODES : this.#modesOf(options);
    const interest = maskOf(this.#checked(events)) | modes;
    const { fd } = entry.key;
    if (interest !== entry.interest || (interest & EPOLLONESHOT) !== 0) {
      const result = this.#poller.modify(fd, interest, entry.tag);
      if (result < 0) throw this.#refusal(result, fd);
    }
    entry.interest = interest;
    entry.key = new RegisteredKey<Data>(entry.key.fileObject, fd, events, data);
    return entry.key;
  }

  /**
   * Waits until a descriptor is ready. It blocks the thread.
   *
   * @param timeoutMs - Milliseconds, fractions count; 0 or a negative number does not wait, `undefined`
   * means no timeout. A signal does not end the wait.
   * @returns The ready keys, each with its EVENT_* bits, in a new array; empty after a timeout.
   * @throws TypeError or RangeError `ERR_INVALID_TIMEOUT`, TypeError `ERR_CLOSED`.
   */
  select(timeoutMs?: number | null): [key: SelectorKey<Data>, events: number][] {
    const { size } = this.#registry;
    if (size > this.#batch.capacity && this.#batch.capacity < MAX_READY) {
      this.#batch = new SelectorBatch(Math.min(2 ** Math.ceil(Math.log2(size)), MAX_READY));
    }
    this.wait(this.#batch, timeoutMs);
    return [...this.#batch];
  }

  /**
   * Waits as {@link Selector.select} does, with memory that the caller provides, and allocates nothing.
   *
   * @param batch - Filled with the ready keys. When it cannot hold all of them, the next wait reports the others.
   * @returns The number of keys in `batch`; 0 after a timeout.
   * @throws As {@link Selector.select}.
   */
  wait(batch: SelectorBatch<Data>, timeoutMs?: number | null): number {
    this.#assertOpen("wait");
    if (!(batch instanceof SelectorBatch)) {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot use ${show(batch)} as a batch: give a SelectorBatch`,
      );
    }
    const timeout = timeoutOf(timeoutMs);
    const noWait = typeof timeoutMs === "number" && timeoutMs < 0;
    const count = batch.take(this.#poller, this.#registry, noWait ? 0 : timeout);
    return check(count, WAIT_CALL[this.name]);
  }

  /**
   * The key of a registered descriptor.
   *
   * @throws TypeError `ERR_NOT_REGISTERED`, `ERR_CLOSED`.
   */
  getKey(fileObject: FileObject): SelectorKey<Data> {
    this.#assertOpen("get a key");
    return this.#entryOf(fileObject, "get the key of").key;
  }

  /**
   * A read-only view of the registrations, which follows every change.
   *
   * @throws TypeError `ERR_CLOSED`.
   */
  getMap(): SelectorMap<Data> {
    this.#assertOpen("get the map");
    return new SelectorMap(this.#registry);
  }

  /** Closes the poller and drops the keys. Registered descriptors stay open. Safe to call twice. */
  close(): void {
    this.#closed = true;
    if (this.#guarded !== undefined) unguard(this.#guarded);
    this.#poller.close();
    this.#registry.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #entryOf(fileObject: FileObject, verb: string): Entry<Data> {
    const entry = this.#registry.find(fileObject);
    if (entry !== undefined) return entry;
    const what = typeof fileObject === "number" ? `fd ${fileObject}` : "this object";
    throw typeError("ERR_NOT_REGISTERED", `Cannot ${verb} ${what}: it is not registered`);
  }

  #checked(events: number): number {
    if (!Number.isInteger(events)) {
      throw numberError(
        "ERR_INVALID_EVENTS",
        events,
        `Cannot watch for ${show(events)}: give EVENT_* bits`,
      );
    }
    if (events < 0 || (events & ~EVENT_ALL) !== 0 || events > EVENT_ALL) {
      throw rangeError(
        "ERR_INVALID_EVENTS",
        `Cannot watch for ${events}: give EVENT_READ, EVENT_WRITE, EVENT_PRIORITY and EVENT_PEER_CLOSED`,
      );
    }
    if ((events & EVENT_PEER_CLOSED) !== 0 && !this.capabilities.peerClosed) {
      throw this.#unsupported("EVENT_PEER_CLOSED");
    }
    return events;
  }

  #modesOf(options: WatchOptions): number {
    const { trigger = "level" } = optionsOf(options, "a registration", WATCH_OPTIONS);
    const oneShot = booleanOf(options.oneShot, "oneShot", false);
    const exclusive = booleanOf(options.exclusive, "exclusive", false);
    if (trigger !== "level" && trigger !== "edge") {
      throw typeError(
        "ERR_INVALID_OPTION",
        `Cannot trigger by ${show(trigger)}: give "level" or "edge"`,
      );
    }
    const { capabilities } = this;
    if (trigger === "edge" && !capabilities.edge) throw this.#unsupported('trigger "edge"');
    if (oneShot && !capabilities.oneShot) throw this.#unsupported("oneShot");
    if (exclusive && !capabilities.exclusive) throw this.#unsupported("exclusive");
    return (
      (trigger === "edge" ? EPOLLET : 0) |
      (oneShot ? EPOLLONESHOT : 0) |
      (exclusive ? EPOLLEXCLUSIVE : 0)
    );
  }

  #unsupported(what: string): TypeError {
    const message = `Cannot watch with ${what}: ${this.name} does not support it; use epoll`;
    return typeError("ERR_UNSUPPORTED", message);
  }

  #refusal(result: number, fd: number): SysError {
    const hint = this.name === "epoll" ? HINTS[-result] : undefined;
    return new SysError(CONTROL_CALL[this.name], result, { fd, hint });
  }

  #assertOpen(verb: string): void {
    if (this.#closed) throw typeError("ERR_CLOSED", `Cannot ${verb}: this selector is closed`);
  }
}

/** A {@link Selector} over select(2): descriptors below 1024, level-triggered. A wait costs as much as the highest. */
export class SelectSelector<Data = unknown> extends Selector<Data> {
  constructor(options: SelectorOptions = {}) {
    super(openPoller("select", kernelOf(options, "new SelectSelector()")));
  }
}

/** A {@link Selector} over poll(2): any descriptor, level-triggered. A wait costs as much as there are registrations. */
export class PollSelector<Data = unknown> extends Selector<Data> {
  /** @throws SysError `ENOMEM`. */
  constructor(options: SelectorOptions = {}) {
    super(openPoller("poll", kernelOf(options, "new PollSelector()")));
  }
}

/** A {@link Selector} over epoll(7): all capabilities. A wait costs as much as there are ready descriptors. */
export class EpollSelector<Data = unknown> extends Selector<Data> {
  /** @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for it. */
  constructor(options: SelectorOptions = {}) {
    super(openPoller("epoll", kernelOf(options, "new EpollSelector()")));
  }
}

/**
 * A {@link Selector} over the best poller that works on this system: epoll, else poll, else select.
 *
 * @example
 * ```ts
 * using selector = new DefaultSelector<() => void>();
 * selector.register(socket, EVENT_READ, () => console.log("readable"));
 * for (const [key] of selector.select(1000)) key.data();
 * ```
 */
export class DefaultSelector<Data = unknown> extends Selector<Data> {
  /** The pollers that were tried before and do not work on this system, with the reasons. */
  readonly passedOver: readonly PassedOver[];

  /** @throws SysError `EMFILE`, `ENFILE` or `ENOMEM` when there is no descriptor or memory for it. */
  constructor(options: SelectorOptions = {}) {
    const { poller, passedOver } = openBestPoller(kernelOf(options, "new DefaultSelector()"));
    super(poller);
    this.passedOver = passedOver;
  }
}

/** {@link DataArguments} in a method, where the type checker cannot resolve the condition on `Data`. */
type DataAndOptions<Data> = [data: Data, options?: WatchOptions];
