/**
 * The engine over io_uring: the kernel does the I/O, and tells when it is done.
 *
 * - One accept for a listener and one receive for a stream stay with the kernel (*multishot*) and tell
 *   again and again, until a completion lacks IORING_CQE_F_MORE: then they are asked for anew.
 * - Bytes come in the kernel's choice of our buffers. Nobody holds a buffer for longer than it takes to
 *   send what is in it: lent bytes are sent without waiting, and what does not go at once is copied by
 *   its owner. So a peer that does not read can never take the buffers from the others.
 * - A cancelled operation may still tell of what it did before. Tags carry a generation, by which late
 *   completions of closed slots show themselves; what a paused stream receives late is stashed.
 * - A submission names a descriptor by its number until the kernel takes it. So before a descriptor is
 *   closed, the kernel has taken all that names it, or another's bytes would go to whoever is next.
 */
import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLERR, POLLHUP, POLLOUT } from "../select/constants.ts";
import { readUnread, takeSocketError } from "../socket/raw.ts";
import { F_GETFD } from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import { ProvidedBuffers } from "../uring/provided-buffers.ts";
import { RawRing, type RingOptions } from "../uring/raw-ring.ts";
import type { Balance, Completions, Engine } from "./engine.ts";
import { FileSends } from "./file-sends.ts";
import { Late } from "./late.ts";
import type { Polled } from "./ring-signal.ts";
import { RingWait } from "./ring-wait.ts";
import { KIND_CONNECTING, KIND_FREE, KIND_LISTENER, KIND_STREAM, KIND_WATCH } from "./slots.ts";
import { UringAccepts } from "./uring-accepts.ts";
import { GROUP, MAX_SENDS, UringOperations } from "./uring-operations.ts";
import { UringReceives } from "./uring-receives.ts";
import { UringSends } from "./uring-sends.ts";
import {
  FLAG_ARMED,
  FLAG_ENDED,
  FLAG_POLLED,
  FLAG_ROOM,
  FLAG_WANTED,
  OP_ACCEPT,
  OP_MASK,
  OP_POLL,
  OP_RECEIVE,
  OP_ROOM,
  OP_SEND,
  UringSlots,
} from "./uring-slots.ts";

/** How much one receive can take. */
const BUFFER_BYTES = 65_536;
/** At first 1 MiB of buffers, which stays in the processor's caches; more when a turn has found none. */
const FIRST_BUFFERS = 16;
const MAX_BUFFERS = 512;

/** How large an engine's ring is to be, and how much it may receive at once. */
export interface UringEngineOptions extends Pick<RingOptions, "entries" | "completionEntries"> {
  /** Buffers of 64 KiB at the most: a power of two. Default 512. */
  readonly maxBuffers?: number;
}

/** One reactor's I/O over io_uring. */
export class UringEngine implements Engine {
  readonly name = "io_uring";
  readonly trigger = "completion";
  readonly maxSends: number = MAX_SENDS;
  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  readonly #wait: RingWait;
  readonly #operations: UringOperations;
  readonly #accepts: UringAccepts;
  readonly #sends: UringSends;
  readonly #receives: UringReceives;
  readonly #buffers: ProvidedBuffers;
  readonly #completions: Completions;
  readonly #slots = new UringSlots();
  readonly #late: Late;
  readonly #files: FileSends;
  /** Slots that want what came late for them. */
  #again: number[] = [];
  readonly #watched: Set<number> = new Set();
  #closed: number[] = [];
  #turning = false;
  #announced = false;

  /** @throws SysError of io_uring_setup or io_uring_register. */
  constructor(kernel: Kernel, completions: Completions, options: UringEngineOptions = {}) {
    const { maxBuffers = MAX_BUFFERS, ...sizes } = options;
    this.#kernel = kernel;
    this.#completions = completions;
    this.#late = new Late(kernel.arenas);
    this.#ring = new RawRing({ ...sizes, kernel });
    this.#wait = new RingWait(kernel, this.#ring);
    this.#operations = new UringOperations(this.#ring, this.#slots, () => {
      if (!this.#turning) this.#announce();
    });
    try {
      const buffers = ProvidedBuffers.register(this.#ring, kernel, {
        group: GROUP,
        bufferBytes: BUFFER_BYTES,
        firstBuffers: Math.min(FIRST_BUFFERS, maxBuffers),
        maxBuffers,
      });
      if (typeof buffers === "number") throw new SysError("io_uring_register", buffers);
      this.#buffers = buffers;
    } catch (error) {
      this.#ring.close();
      throw error;
    }
    this.#operations.tryLimits();
    const buffers = this.#buffers;
    this.#accepts = new UringAccepts(kernel.libc, this.#ring, this.#slots, this.#operations, {
      completions,
      late: this.#late,
    });
    this.#sends = new UringSends(this.#slots, buffers, this.#operations, completions);
    this.#files = new FileSends(kernel, this.#slots, completions, {
      room: (slot) => this.#operations.pollRoom(slot),
      turn: () => {
        if (!this.#turning) this.#announce();
      },
    });
    this.#receives = new UringReceives(this.#slots, buffers, this.#operations, completions, {
      late: this.#late,
      arenas: kernel.arenas,
    });
  }

  fileno(): number {
    return this.#wait.fileno(this.#watches());
  }

  listen(slot: number, fd: number): number {
    // An accept of a ring waits exclusively in any case.
    return this.#take(slot, fd, KIND_LISTENER, 0, FLAG_WANTED);
  }

  setAccepting(slot: number, accepting: boolean): number {
    const slots = this.#slots;
    if (!accepting) {
      slots.lower(slot, FLAG_WANTED);
      if (slots.has(slot, FLAG_ARMED)) this.#operations.cancel(slot, OP_ACCEPT);
      return 0;
    }
    slots.raise(slot, FLAG_WANTED);
    if (this.#late.has(slot)) this.#tellAgain(slot);
    else this.#operations.arm(slot);
    return 0;
  }

  connect(slot: number, fd: number): number {
    return this.#take(slot, fd, KIND_CONNECTING, POLLOUT, 0);
  }

  open(slot: number, fd: number): number {
    if (fd < 0) return -ERRNO.EBADF;
    this.#slots.take(slot, KIND_STREAM, fd, 0);
    this.#slots.raise(slot, FLAG_WANTED);
    this.#operations.arm(slot);
    return 0;
  }

  setReceiving(slot: number, receiving: boolean): number {
    const slots = this.#slots;
    if (slots.has(slot, FLAG_ENDED)) return 0;
    if (receiving) {
      slots.raise(slot, FLAG_WANTED);
      if (this.#late.has(slot)) this.#tellAgain(slot);
      else this.#operations.arm(slot);
    } else if (slots.has(slot, FLAG_WANTED)) {
      slots.lower(slot, FLAG_WANTED);
      if (slots.has(slot, FLAG_ARMED)) this.#operations.cancel(slot, OP_RECEIVE);
      // So that a reset is heard of all the same. It stays when bytes are wanted again.
      this.#operations.poll(slot);
    }
    return 0;
  }

  unread(slot: number): number {
    const { completions } = this.#ring;
    const tag = this.#slots.tag(slot, OP_RECEIVE);
    let unread = readUnread(this.#kernel, this.#slots.fds[slot] as number);
    for (const { length } of this.#late.of(slot)?.pieces ?? []) unread += length;
    for (let i = 0; i < completions.length; i++) {
      const at = completions.peek(i);
      if (completions.tagLow(at) !== slot || completions.tagHigh(at) !== tag) continue;
      unread += Math.max(0, completions.result(at));
    }
    return unread;
  }

  send(slot: number, address: number, length: number, flags: number): number {
    return this.#sends.send(slot, address, length, flags);
  }

  sendFile(slot: number, file: number, offset: number, length: number): number {
    return this.#files.send(slot, file, offset, length);
  }

  watch(slot: number, fd: number, interest: number): number {
    if (this.#watched.has(fd)) return -ERRNO.EEXIST;
    const polled = this.#wait.poll(fd, interest);
    if (polled < 0) return polled;
    const result = this.#take(slot, fd, KIND_WATCH, interest, 0);
    if (result >= 0) this.#watched.add(fd);
    return result;
  }

  modify(slot: number, interest: number): number {
    const slots = this.#slots;
    if (slots.interests[slot] === interest) return 0;
    const polled = this.#wait.poll(slots.fds[slot] as number, interest);
    if (polled < 0) return polled;
    slots.interests[slot] = interest;
    if (slots.has(slot, FLAG_POLLED)) {
      this.#operations.cancel(slot, OP_POLL);
      slots.renew(slot);
      slots.lower(slot, FLAG_POLLED);
    }
    this.#operations.poll(slot);
    return 0;
  }

  forget(slot: number): void {
    const slots = this.#slots;
    const { kinds, flags, fds } = slots;
    const kind = kinds[slot];
    if (kind === KIND_FREE || kind === undefined) return;
    slots.lower(slot, FLAG_WANTED);
    if (slots.has(slot, FLAG_ARMED) && kind === KIND_STREAM) {
      this.#operations.cancel(slot, OP_RECEIVE);
    }
    if (slots.has(slot, FLAG_POLLED)) this.#operations.cancel(slot, OP_POLL);
    if (slots.has(slot, FLAG_ROOM)) this.#operations.cancel(slot, OP_ROOM);
    if (kind === KIND_LISTENER) this.#accepts.end(slot);
    if (kind === KIND_WATCH) {
      this.#watched.delete(fds[slot] as number);
      this.#wait.forget(fds[slot] as number);
    }
    this.#sends.end(slot);
    this.#operations.detach(slot);
    this.#late.delete(slot);
    this.#files.forget(slot);
    slots.renew(slot);
    kinds[slot] = KIND_FREE;
    flags[slot] = 0;
    if (this.#turning) this.#closed.push(slot);
    else this.#completions.released(slot);
  }

  close(slot: number): void {
    const { kinds, fds } = this.#slots;
    if (kinds[slot] === KIND_FREE || kinds[slot] === undefined) return;
    const fd = fds[slot] as number;
    this.forget(slot);
    this.#kernel.libc.close(fd);
  }

  turn(timeoutMs: number): number {
    this.#turning = true;
    this.#announced = false;
    try {
      let happened = this.#tellLate() + this.#files.begin();
      const wait = this.#wait;
      wait.begin(happened > 0 ? 0 : timeoutMs);
      do {
        wait.enter();
        happened += this.#reap();
      } while (happened === 0 && wait.timeLeft());
      // The kernel completes some at a time, and these may be of slots that are closed: what is behind them counts.
      while (happened === 0 && this.#ring.hasWork) {
        wait.enterNow();
        happened += this.#reap();
      }
      while (happened > 0 && !this.#files.waiting && wait.stay()) happened += this.#reap();
      return happened;
    } finally {
      this.#turning = false;
      this.#release();
      const more = this.#again.length > 0 || this.#files.waiting;
      if (more || !this.#wait.rest()) this.#announce();
    }
  }

  submit(): void {
    if (this.#ring.submissions.pending === 0) return;
    this.#wait.enterNow();
    if (!this.#wait.rest()) this.#announce();
  }

  balance(): Balance {
    return {
      slots: this.#slots.used,
      buffersHeld: this.#buffers.held,
      loans: this.#receives.loans,
      late: this.#late.size,
      lateBytes: this.#late.bytes,
      orphanedSends: this.#sends.orphans,
      watched: this.#watched.size,
      files: this.#files.size,
      toBeReleased: this.#closed.length,
    };
  }

  dispose(): void {
    const { libc } = this.#kernel;
    const { completions } = this.#ring;
    this.#ring.cancelAll();
    // What the queue has no room for comes into it when there is.
    for (; completions.length > 0; this.#ring.enter(0, 0)) {
      for (; completions.length > 0; completions.skip()) {
        const at = completions.next();
        const isAccept = (completions.tagHigh(at) & OP_MASK) === OP_ACCEPT;
        if (isAccept && completions.result(at) >= 0) libc.close(completions.result(at));
      }
      completions.publish();
    }
    for (const fd of this.#late.clear()) libc.close(fd);
    this.#ring.close();
    this.#wait.close();
    this.#buffers.close();
  }

  /** Tells of every completion that is there. */
  #reap(): number {
    const { completions } = this.#ring;
    let happened = 0;
    for (let left = completions.length; left > 0; left--) {
      const at = completions.next();
      const slot = completions.tagLow(at);
      const tag = completions.tagHigh(at);
      const result = completions.result(at);
      const flags = completions.flags(at);
      completions.skip();
      switch (tag & OP_MASK) {
        case OP_RECEIVE:
          happened += this.#receives.received(slot, tag, result, flags);
          break;
        case OP_SEND:
          happened += this.#sends.sent(slot, tag, result);
          break;
        case OP_ACCEPT:
          happened += this.#accepts.accepted(slot, tag, result, flags);
          break;
        case OP_POLL:
          happened += this.#polled(slot, tag, result);
          break;
        case OP_ROOM:
          happened += this.#sends.room(slot, tag);
          break;
        default: // A cancellation that came too late, or one that was read ahead of its turn.
      }
    }
    completions.publish();
    this.#receives.settle();
    return happened;
  }

  #polled(slot: number, tag: number, result: number): number {
    const slots = this.#slots;
    if (!slots.isCurrent(slot, tag)) return 0;
    slots.lower(slot, FLAG_POLLED);
    switch (slots.kinds[slot]) {
      case KIND_CONNECTING: {
        const fd = slots.fds[slot] as number;
        this.#completions.connected(slot, takeSocketError(this.#kernel, fd));
        return 1;
      }
      case KIND_WATCH: {
        const told = (slots.interests[slot] as number) | POLLERR | POLLHUP;
        const events = result < 0 ? POLLERR : result & told;
        if (events !== 0) this.#completions.ready(slot, events);
        // Asked for anew each time, which is what makes it level-triggered.
        if (slots.isCurrent(slot, tag)) this.#operations.poll(slot);
        return 1;
      }
      default: {
        // A stream that is paused: one that receives hears of it anyway.
        if (slots.has(slot, FLAG_WANTED)) return 0;
        const errno = takeSocketError(this.#kernel, slots.fds[slot] as number);
        if (errno !== 0) this.#completions.failed(slot, errno, "recv");
        return 1;
      }
    }
  }

  /** Tells those who want it again of what came when they did not. */
  #tellLate(): number {
    const again = this.#again;
    if (again.length === 0) return 0;
    this.#again = [];
    const slots = this.#slots;
    for (const slot of again) {
      const arrivals = this.#late.of(slot);
      while (arrivals !== undefined && slots.has(slot, FLAG_WANTED)) {
        const piece = arrivals.pieces.shift();
        const fd = piece === undefined ? arrivals.fds.shift() : undefined;
        if (piece !== undefined) {
          this.#receives.receivedLate(slot, piece.arena, piece.length);
        } else if (fd !== undefined) {
          this.#completions.accepted(slot, fd);
        } else {
          this.#late.delete(slot);
          if (arrivals.ended) this.#receives.ended(slot);
          else this.#operations.arm(slot);
          break;
        }
        if (this.#late.of(slot) !== arrivals) break;
      }
    }
    this.#receives.settle();
    return again.length;
  }

  #tellAgain(slot: number): void {
    this.#again.push(slot);
    if (!this.#turning) this.#announce();
  }

  /** What is watched for others, which may wake the ring in a way that it does not tell of. */
  *#watches(): Iterable<Polled> {
    const { kinds, fds, interests } = this.#slots;
    for (let slot = 0; slot < kinds.length; slot++) {
      if (kinds[slot] === KIND_WATCH) yield [fds[slot] as number, interests[slot] as number];
    }
  }

  #take(slot: number, fd: number, kind: number, interest: number, flags: number): number {
    const known = this.#kernel.libc.fcntl(fd, F_GETFD, 0);
    if (known < 0) return known;
    this.#slots.take(slot, kind, fd, interest);
    this.#slots.raise(slot, flags);
    if (kind === KIND_LISTENER) this.#operations.arm(slot);
    else this.#operations.poll(slot);
    return 0;
  }

  /** There is more to do, and no descriptor shows it. */
  #announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    this.#completions.pending();
  }

  #release(): void {
    const closed = this.#closed;
    if (closed.length === 0) return;
    this.#closed = [];
    for (const slot of closed) this.#completions.released(slot);
  }
}
