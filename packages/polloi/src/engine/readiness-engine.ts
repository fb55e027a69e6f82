/**
 * The engine over readiness: it performs the I/O when its poller reports descriptors ready.
 *
 * Level-triggered, a stream has one receive per turn, which is fair by itself. Edge-triggered, a stream must be
 * read until it is empty, so a budget limits its receives per turn. The rest waits in a list, which the next turn
 * serves without waiting.
 */
import { ERRNO } from "../base/errno.ts";
import { check } from "../base/sys-error.ts";
import {
  EPOLLET,
  EPOLLEXCLUSIVE,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
} from "../select/constants.ts";
import { type Poller, ReadyBatch } from "../selectors/poller.ts";
import { readUnread, takeSocketError } from "../socket/raw.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { acceptNow, isUnixSocket, sendNow } from "./calls.ts";
import { type Balance, type Completions, type Engine, SEND_LENT, type Trigger } from "./engine.ts";
import { FileSends } from "./file-sends.ts";
import { Interests } from "./interests.ts";
import {
  FLAG_AGAIN,
  FLAG_ENDED,
  FLAG_INPUT,
  FLAG_PARKED,
  FLAG_ROOM,
  FLAG_TO_EMPTY,
  FLAG_UNREAD,
  KIND_CONNECTING,
  KIND_FREE,
  KIND_LISTENER,
  KIND_STREAM,
  KIND_WATCH,
  Slots,
} from "./slots.ts";

/** The most that one receive takes. */
const RECEIVE_BYTES = 65_536;
/** The number of receives after which the replies to them are sent. See docs/decisions/0007. */
const SETTLE_AFTER = 16;
/** The most connections that are accepted from one listener in a turn, so that others have their share. */
const ACCEPT_BUDGET = 128;
/** The most receives of one edge-triggered stream in a turn. */
const RECEIVE_BUDGET = 4;

/** The tag of the descriptor of another event loop, which is no slot. */
const LOOP_TAG = 0xffff_ffff;

const ERROR = POLLERR | POLLNVAL;
const HANGUP = ERROR | POLLHUP;
// With POLLPRI, because a receive stops before an urgent byte, which may have more bytes behind it.
const EDGE_STREAM = POLLIN | POLLOUT | POLLPRI | POLLRDHUP | EPOLLET;

/** The I/O of one reactor over select, poll or epoll. */
export class ReadinessEngine implements Engine {
  readonly name: Poller["name"];
  readonly trigger: Trigger;
  readonly maxSends = 1;
  isLoopReady = false;
  readonly #kernel: Kernel;
  readonly #poller: Poller;
  readonly #completions: Completions;
  readonly #edge: boolean;
  readonly #slots = new Slots();
  readonly #interests: Interests;
  readonly #files: FileSends;
  readonly #ready = new ReadyBatch();
  readonly #received: Arena;
  /** Edge-triggered streams that may have more to read. */
  #again: number[] = [];
  /** Slots that were closed in this turn, which are released at its end, when no event of theirs is left. */
  #closed: number[] = [];
  #turning = false;
  /** The descriptor of another event loop that waits include, or -1. */
  #loopFd = -1;
  /** The number of receives since the last `settle`, and the offset in the arena of the next one. */
  #unsettled = 0;
  #offset = 0;

  constructor(kernel: Kernel, poller: Poller, trigger: Trigger, completions: Completions) {
    this.name = poller.name;
    this.trigger = trigger;
    this.#kernel = kernel;
    this.#poller = poller;
    this.#interests = new Interests(kernel, poller, this.#slots);
    this.#files = new FileSends(kernel, this.#slots, completions, {
      room: (slot) => {
        this.#slots.raise(slot, FLAG_ROOM);
        return this.#streamInterest(slot);
      },
      turn: () => {
        if (!this.#turning) completions.pending();
      },
    });
    this.#edge = trigger === "edge";
    this.#completions = completions;
    this.#received = kernel.arenas.map(2 * RECEIVE_BYTES);
  }

  fileno(): number {
    return this.#interests.fileno();
  }

  include(loopFd: number): number {
    // The others are hosted through an epoll set that mirrors them.
    if (this.#poller.fileno() < 0) return -ERRNO.ENOSYS;
    const result = this.#poller.add(loopFd, POLLIN, LOOP_TAG);
    if (result >= 0) this.#loopFd = loopFd;
    return result;
  }

  exclude(): void {
    this.#poller.remove(this.#loopFd);
    this.#loopFd = -1;
    this.isLoopReady = false;
  }

  listen(slot: number, fd: number, exclusive = false): number {
    const mode = exclusive && this.#poller.capabilities.exclusive ? EPOLLEXCLUSIVE : 0;
    return this.#interests.add(slot, fd, KIND_LISTENER, POLLIN | mode);
  }

  setAccepting(slot: number, accepting: boolean): number {
    const { interests } = this.#slots;
    // An exclusive watch cannot be modified, so it is removed and added again. epoll_ctl(2)
    if (((interests[slot] as number) & EPOLLEXCLUSIVE) === 0) {
      return this.#interests.modify(slot, accepting ? POLLIN : 0);
    }
    if (accepting !== this.#slots.has(slot, FLAG_PARKED)) return 0;
    if (accepting) return this.#interests.unpark(slot);
    this.#interests.park(slot);
    return 0;
  }

  connect(slot: number, fd: number): number {
    return this.#interests.add(slot, fd, KIND_CONNECTING, POLLOUT);
  }

  open(slot: number, fd: number): number {
    const interest = this.#edge ? EDGE_STREAM : POLLIN;
    const slots = this.#slots;
    const receiving =
      this.#edge && isUnixSocket(this.#kernel, fd) ? FLAG_INPUT | FLAG_TO_EMPTY : FLAG_INPUT;
    if (slots.kinds[slot] !== KIND_CONNECTING) {
      const result = this.#interests.add(slot, fd, KIND_STREAM, interest);
      if (result >= 0) slots.flags[slot] = receiving;
      return result;
    }
    slots.kinds[slot] = KIND_STREAM;
    slots.flags[slot] = receiving;
    return this.#interests.modify(slot, interest);
  }

  setReceiving(slot: number, receiving: boolean): number {
    const { flags } = this.#slots;
    const was = flags[slot] as number;
    if ((was & FLAG_ENDED) !== 0) return 0;
    flags[slot] = receiving ? was | FLAG_INPUT : was & ~FLAG_INPUT;
    if (this.#edge) {
      if (receiving && (was & FLAG_UNREAD) !== 0) this.#readAgain(slot);
      return 0;
    }
    if (receiving && (was & FLAG_PARKED) !== 0) return this.#interests.unpark(slot);
    return this.#streamInterest(slot);
  }

  unread(slot: number): number {
    return readUnread(this.#kernel, this.#slots.fds[slot] as number);
  }

  send(slot: number, address: number, length: number, flags: number): number {
    const { libc } = this.#kernel;
    const sent = sendNow(libc, this.#slots.fds[slot] as number, address, length, flags);
    if (sent < 0 || sent === length || (flags & SEND_LENT) !== 0) return sent;
    const { sendAddresses, sendLengths } = this.#slots;
    sendAddresses[slot] = address + sent;
    sendLengths[slot] = length - sent;
    const result = this.#streamInterest(slot);
    return result < 0 ? result : sent;
  }

  /** Nothing to do: a send that is taken is reported at once, and one that is not when there is room. */
  hasten(): void {}

  sendFile(slot: number, file: number, offset: number, length: number): number {
    return this.#files.send(slot, file, offset, length);
  }

  watch(slot: number, fd: number, interest: number): number {
    return this.#interests.add(slot, fd, KIND_WATCH, interest);
  }

  modify(slot: number, interest: number): number {
    return this.#interests.modify(slot, interest);
  }

  forget(slot: number): void {
    const slots = this.#slots;
    const { kinds, flags, sendLengths } = slots;
    if (kinds[slot] === KIND_FREE) return;
    this.#interests.remove(slot);
    this.#files.forget(slot);
    kinds[slot] = KIND_FREE;
    flags[slot] = 0;
    sendLengths[slot] = 0;
    if (this.#turning) this.#closed.push(slot);
    else this.#completions.released(slot);
  }

  close(slot: number): void {
    if (this.#slots.kinds[slot] === KIND_FREE) return;
    const fd = this.#slots.fds[slot] as number;
    this.forget(slot);
    this.#kernel.libc.close(fd);
  }

  turn(timeoutMs: number, now?: number): number {
    const ready = this.#ready;
    this.#turning = true;
    try {
      const again = this.#again;
      const filed = this.#files.begin();
      const count = this.#poller.wait(ready, filed + again.length > 0 ? 0 : timeoutMs, now);
      if (count < 0) check(count, `${this.name} wait`);
      this.#completions.woken();
      const { tags, masks } = ready;
      this.isLoopReady = false;
      for (let i = 0; i < count; i++) {
        const tag = tags[i] as number;
        if (tag === LOOP_TAG) this.isLoopReady = true;
        else this.#dispatch(tag, masks[i] as number);
      }
      if (again.length > 0) this.#serveAgain(again);
      this.#settle();
      return count + filed + again.length - (this.isLoopReady ? 1 : 0);
    } finally {
      this.#turning = false;
      this.#release();
      if (this.#again.length > 0 || this.#files.waiting) this.#completions.pending();
    }
  }

  submit(): void {}

  balance(): Balance {
    return {
      slots: this.#slots.used,
      files: this.#files.size,
      toBeRead: this.#again.length,
      toBeReleased: this.#closed.length,
    };
  }

  dispose(): void {
    this.#interests.close();
    this.#kernel.arenas.release(this.#received);
  }

  #dispatch(slot: number, mask: number): void {
    switch (this.#slots.kinds[slot]) {
      case KIND_STREAM:
        this.#streamReady(slot, mask);
        return;
      case KIND_LISTENER:
        this.#accept(slot);
        return;
      case KIND_CONNECTING:
        this.#completions.connected(
          slot,
          takeSocketError(this.#kernel, this.#slots.fds[slot] as number),
        );
        return;
      case KIND_WATCH:
        this.#completions.ready(slot, mask);
        return;
      default: // A stale event of a slot that was closed earlier in this turn.
    }
  }

  #accept(slot: number): void {
    const slots = this.#slots;
    for (let budget = ACCEPT_BUDGET; budget > 0; budget--) {
      const fd = acceptNow(this.#kernel.libc, slots.fds[slot] as number);
      if (fd < 0) {
        if (fd !== -ERRNO.EAGAIN) this.#completions.acceptFailed(slot, -fd);
        return;
      }
      this.#completions.accepted(slot, fd);
      if (slots.kinds[slot] !== KIND_LISTENER || slots.interests[slot] === 0) return;
      if (slots.has(slot, FLAG_PARKED)) return;
    }
  }

  #streamReady(slot: number, mask: number): void {
    const slots = this.#slots;
    if ((mask & POLLOUT) !== 0) {
      if (slots.sendLengths[slot] !== 0) this.#sendRest(slot);
      else if (slots.has(slot, FLAG_ROOM)) this.#hasRoom(slot);
      if (slots.kinds[slot] !== KIND_STREAM) return;
    }
    if ((mask & ~POLLOUT) === 0) return;
    if (slots.has(slot, FLAG_INPUT)) this.#receive(slot, mask);
    else this.#notReceiving(slot, mask);
  }

  #receive(slot: number, mask: number): void {
    const { libc } = this.#kernel;
    const slots = this.#slots;
    const fd = slots.fds[slot] as number;
    // A short receive has emptied the socket, unless an end was there before it, it stopped at an urgent byte, or
    // it brought descriptors. None of these causes another edge.
    const toEmpty = (mask & ~(POLLIN | POLLOUT)) !== 0 || this.#slots.has(slot, FLAG_TO_EMPTY);
    for (let budget = this.#edge ? RECEIVE_BUDGET : 1; budget > 0; budget--) {
      const offset = this.#offset;
      const length = libc.recv(fd, this.#received.address + offset, RECEIVE_BYTES, 0);
      if (length > 0) {
        this.#completions.received(slot, this.#received, offset, length);
        // The next receive starts on a cache line of its own.
        this.#offset = (offset + length + 63) & ~63;
        if (++this.#unsettled === SETTLE_AFTER || this.#offset > RECEIVE_BYTES) this.#settle();
        if (slots.kinds[slot] !== KIND_STREAM) return;
        if (!slots.has(slot, FLAG_INPUT)) {
          this.#slots.raise(slot, FLAG_UNREAD);
          return;
        }
        if (length < RECEIVE_BYTES && !toEmpty) return;
      } else if (length === 0) {
        this.#slots.lower(slot, FLAG_INPUT);
        this.#slots.raise(slot, FLAG_ENDED);
        this.#streamInterest(slot);
        this.#completions.received(slot, this.#received, 0, 0);
        return;
      } else if (length === -ERRNO.EAGAIN) {
        return;
      } else if (length !== -ERRNO.EINTR) {
        this.#completions.failed(slot, -length, "recv");
        return;
      }
    }
    if (this.#edge) this.#readAgain(slot);
  }

  /** An event of a stream that is paused. */
  #notReceiving(slot: number, mask: number): void {
    this.#slots.raise(slot, FLAG_UNREAD);
    if ((mask & ERROR) !== 0) {
      const errno = takeSocketError(this.#kernel, this.#slots.fds[slot] as number);
      if (errno !== 0) {
        this.#completions.failed(slot, errno, "recv");
        return;
      }
    }
    if ((mask & HANGUP) === 0) return;
    // Both halves are closed. Bytes that arrived before can still be read, and nothing can be sent.
    if (this.#sending(slot)) this.#completions.failed(slot, ERRNO.EPIPE, "send");
    else if (!this.#edge) this.#interests.park(slot);
  }

  #sendRest(slot: number): void {
    const slots = this.#slots;
    const address = slots.sendAddresses[slot] as number;
    const length = slots.sendLengths[slot] as number;
    const sent = sendNow(this.#kernel.libc, slots.fds[slot] as number, address, length, 0);
    if (sent < 0) {
      this.#completions.failed(slot, -sent, "send");
      return;
    }
    if (sent === 0) return;
    slots.sendAddresses[slot] = address + sent;
    slots.sendLengths[slot] = length - sent;
    // Reported before the interest is dropped, because the owner often has more to send and the interest stays.
    this.#completions.sent(slot, sent);
    if (slots.kinds[slot] === KIND_STREAM) this.#streamInterest(slot);
  }

  /** There is room for more of a file. */
  #hasRoom(slot: number): void {
    this.#slots.lower(slot, FLAG_ROOM);
    // As above: the socket is often full again, and the interest stays.
    this.#completions.returned(slot);
    if (this.#slots.kinds[slot] === KIND_STREAM) this.#streamInterest(slot);
  }

  #sending(slot: number): boolean {
    return this.#slots.sendLengths[slot] !== 0 || this.#slots.has(slot, FLAG_ROOM);
  }

  #settle(): void {
    this.#completions.settle();
    this.#unsettled = 0;
    this.#offset = 0;
  }

  #readAgain(slot: number): void {
    this.#slots.lower(slot, FLAG_UNREAD);
    if (this.#slots.has(slot, FLAG_AGAIN)) return;
    this.#slots.raise(slot, FLAG_AGAIN);
    this.#again.push(slot);
    if (!this.#turning) this.#completions.pending();
  }

  #serveAgain(again: number[]): void {
    this.#again = [];
    const slots = this.#slots;
    for (const slot of again) {
      if (slots.kinds[slot] !== KIND_STREAM) continue;
      if (!slots.has(slot, FLAG_AGAIN)) continue;
      this.#slots.lower(slot, FLAG_AGAIN);
      // Its mask is not stored, so it is read until it would block.
      this.#streamReady(slot, POLLIN | POLLRDHUP);
    }
  }

  /** Sets the interest of a level-triggered stream according to its state. */
  #streamInterest(slot: number): number {
    if (this.#edge) return 0;
    const slots = this.#slots;
    if (slots.has(slot, FLAG_PARKED)) return 0;
    const read = slots.has(slot, FLAG_INPUT) ? POLLIN : 0;
    return this.#interests.modify(slot, this.#sending(slot) ? read | POLLOUT : read);
  }

  #release(): void {
    const closed = this.#closed;
    if (closed.length === 0) return;
    this.#closed = [];
    for (const slot of closed) this.#completions.released(slot);
  }
}
