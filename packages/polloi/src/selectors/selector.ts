import { booleanOf, optionsOf } from "../base/argument.ts";
import { type FileObject, filenoOf } from "../base/descriptor.ts";
import { ERRNO } from "../base/errno.ts";
import { printAs } from "../base/inspect.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import { timeoutOf } from "../base/timeout.ts";
import { EPOLLET, EPOLLEXCLUSIVE, EPOLLONESHOT } from "../select/constants.ts";
import { EPOLL_HINTS } from "../select/epoll.ts";
import { fdTooLarge } from "../select/select-sets.ts";
import { guard, unguard } from "../sys/abandoned.ts";
import { SelectorBatch } from "./batch.ts";
import { EVENT_ALL, EVENT_PEER_CLOSED, maskOf } from "./events.ts";
import {
  type DataArguments,
  RegisteredKey,
  type SelectorKey,
  WATCH_OPTIONS,
  type WatchOptions,
} from "./key.ts";
import type { Poller, PollerCapabilities, PollerName } from "./poller.ts";
import { type Entry, Registry, SelectorMap } from "./registry.ts";

/** How a descriptor is watched, beside for what. */
const MODES = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE;

/** The most that one `select` reports: what an engine gives in one call. */
const MAX_READY = 65_536;

/** The call that an engine's refusal comes from. */
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

/**
 * Watches any number of descriptors, and tells which of them are ready.
 *
 * @remarks
 * One registry of keys over one engine; the subclasses choose the engine. Level-triggered unless a
 * registration says otherwise.
 *
 * Errors and hang-ups are always reported: with EVENT_ERROR or EVENT_HANGUP, and as EVENT_READ and
 * EVENT_WRITE where those are asked for, so that whoever reads comes upon them. The select engine does
 * not tell them apart, see `capabilities`. One that is not taken care of is reported again at every
 * wait: unregister the descriptor and close it.
 *
 * Unregister first and close then. The other way round works too, but a descriptor that was dup'ed
 * stays in an epoll set after it is closed; its events are dropped here, yet each ends a wait.
 *
 * Close the selector: one with a descriptor that is garbage-collected first is closed then, with a warning of
 * the process.
 *
 * @typeParam Data - What is kept with each key.
 */
export class Selector<Data = unknown> {
  static {
    printAs<Selector<unknown>>(Selector, (it) => ({
      engine: it.name,
      registered: it.#registry.size,
      state: it.closed ? "closed" : "open",
    }));
  }

  readonly #poller: Poller;
  readonly #registry: Registry<Data> = new Registry();
  #batch: SelectorBatch<Data> = new SelectorBatch();
  #closed = false;
  /** Of {@link guard}. */
  readonly #guarded: object | undefined;

  /** @param poller - The engine; it is closed with the selector. */
  constructor(poller: Poller) {
    this.#poller = poller;
    // Only epoll holds a descriptor.
    if (poller.fileno() >= 0) this.#guarded = guard(this, poller.fileno(), () => poller.close());
  }

  /** The engine's name. */
  get name(): PollerName {
    return this.#poller.name;
  }

  /** What the engine can and cannot do. */
  get capabilities(): PollerCapabilities {
    return this.#poller.capabilities;
  }

  /** Whether it has been closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The engine's own descriptor, readable when something is ready: a selector can be watched by
   * another. -1 where the engine has none, and once it is closed.
   */
  fileno(): number {
    return this.#poller.fileno();
  }

  /**
   * Watches a descriptor.
   *
   * @param fileObject - A descriptor or anything with a `fileno()`, such as a `Socket` or a `Waker`.
   * @param events - EVENT_READ, EVENT_WRITE, EVENT_PRIORITY, EVENT_PEER_CLOSED, or 0 for hang-ups only.
   * @param rest - `data`, to be kept with the key; and how to watch, see {@link WatchOptions}.
   * @throws TypeError `ERR_ALREADY_REGISTERED`; TypeError `ERR_UNSUPPORTED` for what the engine lacks;
   * RangeError `ERR_FD_TOO_LARGE` on the select engine from 1024 up; TypeError or RangeError
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
   * when the number has been given to another since.
   *
   * @returns The key that it had.
   * @throws TypeError `ERR_NOT_REGISTERED`, `ERR_CLOSED`.
   */
  unregister(fileObject: FileObject): SelectorKey<Data> {
    this.#assertOpen("unregister");
    const entry = this.#entryOf(fileObject, "unregister");
    this.#registry.remove(entry);
    // Nothing to be done when that fails: the descriptor was closed, and is out of the set already.
    this.#poller.remove(entry.key.fd);
    return entry.key;
  }

  /**
   * Changes what is asked of a descriptor, and what is kept with it.
   *
   * @remarks
   * When only `data` differs, the kernel is not called; except to re-arm one that is one-shot.
   *
   * @param rest - `data`: what is kept from now on, undefined when left out; and how to watch: as it
   * was when left out.
   * @returns The new key.
   * @throws As {@link Selector.register}, and TypeError `ERR_NOT_REGISTERED`. Then the key is as it was,
   * and so is what is watched.
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
   * waits for ever. A signal does not end the wait.
   * @returns Those that are ready, each with its EVENT_* bits, in a new array; empty when the time was up.
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
   * Waits as {@link Selector.select} does, into memory of the caller's, and allocates nothing.
   *
   * @param batch - What it finds. When more are ready than it holds, the others come with the next wait.
   * @returns How many there are in `batch`; 0 when the time was up.
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
   * What is registered: a read-only view that follows every change.
   *
   * @throws TypeError `ERR_CLOSED`.
   */
  getMap(): SelectorMap<Data> {
    this.#assertOpen("get the map");
    return new SelectorMap(this.#registry);
  }

  /** Closes the engine and forgets the keys; what was watched stays open. Safe to call twice. */
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
      throw typeError("ERR_INVALID_EVENTS", `Cannot watch for ${show(events)}: give EVENT_* bits`);
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
    const message = `Cannot watch with ${what}: the ${this.name} engine does not have it; use epoll`;
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

/** {@link DataArguments} as they arrive: the type checker cannot see into it while `Data` is open. */
type DataAndOptions<Data> = [data: Data, options?: WatchOptions];
