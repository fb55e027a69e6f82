/**
 * The engine over io_uring: the kernel performs the I/O and reports completions.
 *
 * - Each listener has one accept in flight and each stream one receive. Both are *multishot*: they complete
 *   repeatedly, until a completion lacks IORING_CQE_F_MORE. Then they are armed again.
 * - The kernel chooses the buffer of a receive. A buffer is held until the bytes in it have been handled or
 *   sent. Lent bytes are sent without waiting, and their owner copies those that the socket does not take. So
 *   a peer that does not read cannot take the buffers from the others.
 * - A cancelled operation may still have completions from before. Tags carry a generation, which identifies
 *   late completions of closed slots; late input of a paused stream is deferred until the stream resumes.
 * - Until the kernel has taken a submission, the submission names its descriptor by number. A descriptor is
 *   therefore closed only when the kernel has taken all submissions that name it. Otherwise they would be
 *   applied to the next owner of the number.
 */
import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from "../select/constants.ts";
import {
  MSG_DONTWAIT,
  MSG_MORE,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
} from "../socket/constants.ts";
import { readUnread, takeSocketError } from "../socket/raw.ts";
import { F_GETFD } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import {
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  IORING_OP,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_TASKRUN,
  IOSQE_IO_LINK,
} from "../uring/constants.ts";
import { ProvidedBuffers } from "../uring/provided-buffers.ts";
import { RawRing, type RingOptions } from "../uring/raw-ring.ts";
import { isOfConnection, MAX_FAILED_CONNECTIONS } from "./calls.ts";
import { DeferredInput } from "./deferred-input.ts";
import {
  type Balance,
  type Completions,
  type Engine,
  IN_FLIGHT,
  SEND_BEFORE_FILE,
  SEND_LENT,
  SEND_MORE,
} from "./engine.ts";
import { FileSends } from "./file-sends.ts";
import type { Polled } from "./ring-signal.ts";
import { RingWait } from "./ring-wait.ts";
import {
  FLAG_ARMED,
  FLAG_ENDED,
  FLAG_FULL,
  FLAG_INPUT,
  FLAG_LENT,
  FLAG_POLLED,
  FLAG_RETRIED,
  FLAG_ROOM,
  FLAG_ROOM_POLLED,
  FLAG_STARVED,
  KIND_CONNECTING,
  KIND_FREE,
  KIND_LISTENER,
  KIND_STREAM,
  KIND_WATCH,
} from "./slots.ts";
import {
  OP_ACCEPT,
  OP_LOOP,
  OP_MASK,
  OP_NONE,
  OP_POLL,
  OP_RECEIVE,
  OP_ROOM,
  OP_SEND,
  UringSlots,
} from "./uring-slots.ts";

/** The most that one receive takes. */
const BUFFER_BYTES = 65_536;
/** At first 1 MiB of buffers, which stays in the processor's caches. More are added when a turn found none left. */
const FIRST_BUFFERS = 16;
const MAX_BUFFERS = 512;
/** The only group of buffers. */
const GROUP = 0;
/** This many of the streams that found no buffer are armed again for each buffer that is free. */
const STREAMS_PER_BUFFER = 4;
/**
 * The number of bytes after which a multishot receive ends. The kernel counts before each receive, not within it,
 * so a stream may receive one byte less than this and a whole buffer after its owner has paused it.
 */
const RECEIVE_LIMIT = 65_536;

/** A longer send does not fit an empty socket buffer, and waits in the kernel for room. */
const IMMEDIATE_BYTES = 16_384;
/** The most sends of one slot that are linked, one after another. */
const MAX_SENDS = 16;
const SEND: number = IORING_OP.SEND;
const LINKED_SEND: number = IORING_OP.SEND | (IOSQE_IO_LINK << 8);
/** Results of a send that was not performed, and may be later. */
const RETRIABLE: readonly number[] = [0, -ERRNO.EAGAIN, -ERRNO.EINTR, -ERRNO.ECANCELED];

/** Far more attempts than a cancellation needs, even where thousands of other operations are ready to be retried. */
const MAX_CANCELS = 4096;
/** Reported by a poll whether asked for or not. So is POLLRDHUP, which owners do not expect. */
const ALWAYS_REPORTED: number = POLLERR | POLLHUP;

/** The sizes of an engine's ring, and of its memory for receives. */
export interface UringEngineOptions extends Pick<RingOptions, "entries" | "completionEntries"> {
  /** The most buffers of 64 KiB: a power of two. Default 512. */
  readonly maxBuffers?: number;
}

/** The I/O of one reactor over io_uring. */
export class UringEngine implements Engine {
  readonly name = "io_uring";
  readonly trigger = "completion";
  readonly maxSends: number = MAX_SENDS;
  isLoopReady = false;
  readonly #kernel: Kernel;
  readonly #completions: Completions;
  readonly #ring: RawRing;
  readonly #wait: RingWait;
  readonly #buffers: ProvidedBuffers;
  readonly #slots = new UringSlots();
  readonly #deferred: DeferredInput;
  readonly #files: FileSends;
  /** Whether the kernel can limit a multishot receive. */
  readonly #limitsReceives: boolean;

  /** The descriptor of another event loop that waits include, or -1. */
  #loopFd = -1;
  /** The number of the last poll for it. */
  #loopPoll = 0;
  #isLoopPolled = false;

  /** Connections in a row that failed before they were accepted. */
  #failedAccepts = 0;

  /** The first `#loanCount` are the buffers of bytes that were reported since the last `settle`. */
  readonly #loans: number[] = [];
  #loanCount = 0;
  /** The arenas of deferred bytes that were reported since then. */
  #loanedArenas: Arena[] = [];
  /** Streams that wait for a buffer, the one that has waited for longest first. */
  #starved: number[] = [];
  /** Streams that were armed again and found no buffer again. They go before the others. */
  #passedOver: number[] = [];
  /** Streams whose receive has ended, with bytes or without. */
  readonly #unarmed: number[] = [];
  /** Slots that resumed and have deferred input. */
  #resumed: number[] = [];

  /** The buffers of lent sends whose slot was closed. By {@link orphanKey}. */
  readonly #orphans: Map<number, { readonly buffer: number; sends: number }> = new Map();

  /** Descriptors that are watched. */
  readonly #watched: Set<number> = new Set();
  /** Slots that were closed in this turn, which are released at its end. */
  #closed: number[] = [];
  #turning = false;
  #announced = false;
  /** Whether its memory was released. A turn within which it was disposed must not write to it any more. */
  #disposed = false;

  /** @throws SysError of io_uring_setup or io_uring_register. */
  constructor(kernel: Kernel, completions: Completions, options: UringEngineOptions = {}) {
    const { maxBuffers = MAX_BUFFERS, ...sizes } = options;
    this.#kernel = kernel;
    this.#completions = completions;
    this.#deferred = new DeferredInput(kernel.arenas);
    this.#ring = new RawRing({ ...sizes, kernel });
    this.#wait = new RingWait(kernel, this.#ring);
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
    this.#limitsReceives = limitsReceives(this.#ring);
    this.#files = new FileSends(kernel, this.#slots, completions, {
      room: (slot) => this.#pollRoom(slot, false),
      turn: () => this.#announceSoon(),
    });
  }

  fileno(): number {
    return this.#wait.fileno(this.#polled());
  }

  // Another event loop

  include(loopFd: number): number {
    this.#loopFd = loopFd;
    this.#wait.isJoint = true;
    return 0;
  }

  exclude(): void {
    this.#loopFd = -1;
    this.isLoopReady = false;
    this.#wait.isJoint = false;
    // The turn that follows submits it.
    if (this.#isLoopPolled) {
      this.#ring.submissions.cancel(this.#loopPoll, OP_LOOP, 0, OP_NONE);
    }
    this.#isLoopPolled = false;
    this.#announced = false;
  }

  /** Polls once for the loop's events, unless a poll is in flight. */
  #pollLoop(): void {
    if (this.#loopFd < 0 || this.#isLoopPolled) return;
    this.#isLoopPolled = true;
    this.#loopPoll = (this.#loopPoll + 1) >>> 0;
    this.#ring.submissions.poll(this.#loopFd, POLLIN, this.#loopPoll, OP_LOOP);
  }

  // Listeners

  listen(slot: number, fd: number): number {
    // An accept of a ring waits exclusively in any case.
    return this.#take(slot, fd, KIND_LISTENER, 0, FLAG_INPUT);
  }

  setAccepting(slot: number, accepting: boolean): number {
    if (accepting) {
      this.#resume(slot);
      return 0;
    }
    const slots = this.#slots;
    slots.lower(slot, FLAG_INPUT);
    if (slots.has(slot, FLAG_ARMED)) this.#cancel(slot, OP_ACCEPT);
    return 0;
  }

  /** Handles the completion of an accept. @returns The number of events that were reported. */
  #accepted(slot: number, tag: number, result: number, flags: number): number {
    const slots = this.#slots;
    if (!slots.isCurrent(slot, tag)) {
      if (result >= 0) this.#kernel.libc.close(result);
      return 0;
    }
    if ((flags & IORING_CQE_F_MORE) === 0) slots.lower(slot, FLAG_ARMED);
    if (result >= 0) {
      this.#failedAccepts = 0;
      if (!slots.has(slot, FLAG_INPUT) || this.#deferred.has(slot)) {
        this.#deferred.putFd(slot, result);
        return 0;
      }
      this.#completions.accepted(slot, result);
    } else if (
      result !== -ERRNO.ECANCELED &&
      result !== -ERRNO.EAGAIN &&
      !this.#mayAcceptOn(-result)
    ) {
      this.#completions.acceptFailed(slot, -result);
    }
    if (slots.isCurrent(slot, tag)) this.#arm(slot);
    return result === -ERRNO.ECANCELED ? 0 : 1;
  }

  /** Whether accepting continues after this error, which concerned one connection only. */
  #mayAcceptOn(errno: number): boolean {
    if (!isOfConnection(errno)) return false;
    this.#failedAccepts = (this.#failedAccepts + 1) % MAX_FAILED_CONNECTIONS;
    return this.#failedAccepts !== 0;
  }

  /** A listener is closed: reports the connections that the kernel has accepted already. */
  #endAccepts(slot: number): void {
    const { completions } = this.#ring;
    const slots = this.#slots;
    // At once, because the port is in use until then.
    if (slots.has(slot, FLAG_ARMED)) this.#cancelNow(slot, OP_ACCEPT, 1);
    const fds = this.#deferred.of(slot)?.fds.splice(0) ?? [];
    const tag = slots.tag(slot, OP_ACCEPT);
    for (let i = 0; i < completions.length; i++) {
      const at = completions.peek(i);
      if (completions.tagLow(at) !== slot || completions.tagHigh(at) !== tag) continue;
      if (completions.result(at) >= 0) fds.push(completions.result(at));
      completions.retag(at, OP_NONE);
    }
    for (const fd of fds) this.#completions.accepted(slot, fd);
  }

  // Streams: receiving

  connect(slot: number, fd: number): number {
    return this.#take(slot, fd, KIND_CONNECTING, POLLOUT, 0);
  }

  open(slot: number, fd: number): number {
    if (fd < 0) return -ERRNO.EBADF;
    this.#slots.take(slot, KIND_STREAM, fd, 0);
    this.#slots.raise(slot, FLAG_INPUT);
    this.#arm(slot);
    return 0;
  }

  setReceiving(slot: number, receiving: boolean): number {
    const slots = this.#slots;
    if (slots.has(slot, FLAG_ENDED)) return 0;
    if (receiving) {
      this.#resume(slot);
    } else if (slots.has(slot, FLAG_INPUT)) {
      slots.lower(slot, FLAG_INPUT);
      if (slots.has(slot, FLAG_ARMED)) this.#cancel(slot, OP_RECEIVE);
      // Reports a reset during the pause. It stays in flight when the stream resumes.
      this.#poll(slot, false);
    }
    return 0;
  }

  unread(slot: number): number {
    const { completions } = this.#ring;
    const tag = this.#slots.tag(slot, OP_RECEIVE);
    let unread = readUnread(this.#kernel, this.#slots.fds[slot] as number);
    for (const { length } of this.#deferred.of(slot)?.pieces ?? []) unread += length;
    for (let i = 0; i < completions.length; i++) {
      const at = completions.peek(i);
      if (completions.tagLow(at) !== slot || completions.tagHigh(at) !== tag) continue;
      unread += Math.max(0, completions.result(at));
    }
    return unread;
  }

  /** Handles the completion of a receive. @returns The number of events that were reported. */
  #received(slot: number, tag: number, result: number, flags: number): number {
    const slots = this.#slots;
    const buffers = this.#buffers;
    const { memory } = buffers;
    const hasBuffer = (flags & IORING_CQE_F_BUFFER) !== 0;
    // For closed slots as well, because it keeps account of the buffers.
    const offset = hasBuffer ? buffers.take(flags, Math.max(result, 0)) : 0;
    if (hasBuffer) this.#loans[this.#loanCount++] = buffers.numberAt(offset);
    if (!slots.isCurrent(slot, tag)) return 0;
    if ((flags & IORING_CQE_F_MORE) === 0) slots.lower(slot, FLAG_ARMED);
    if (result >= 0) {
      if (slots.has(slot, FLAG_RETRIED)) slots.lower(slot, FLAG_RETRIED);
      if (slots.has(slot, FLAG_INPUT) && !this.#deferred.has(slot)) {
        if (result === 0) this.#ended(slot);
        else this.#completions.received(slot, memory, offset, result);
      } else {
        if (result === 0) this.#deferred.putEnd(slot);
        else this.#defer(slot, memory.u8.subarray(offset, offset + result));
      }
    } else if (result === -ERRNO.ENOBUFS) {
      slots.raise(slot, FLAG_STARVED);
      (slots.has(slot, FLAG_RETRIED) ? this.#passedOver : this.#starved).push(slot);
      return 0;
    } else if (result !== -ERRNO.ECANCELED && result !== -ERRNO.EINTR) {
      this.#completions.failed(slot, -result, "recv");
    }
    if ((flags & IORING_CQE_F_MORE) === 0 && slots.isCurrent(slot, tag)) this.#unarmed.push(slot);
    return result === -ERRNO.ECANCELED ? 0 : 1;
  }

  /** Keeps bytes of a paused stream. Without memory for them the stream fails, because they would be missing. */
  #defer(slot: number, bytes: Uint8Array): void {
    try {
      this.#deferred.putBytes(slot, bytes);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      this.#completions.failed(slot, -error.errno, error.syscall);
    }
  }

  /** Reports the end of a stream. */
  #ended(slot: number): void {
    this.#slots.lower(slot, FLAG_INPUT);
    this.#slots.raise(slot, FLAG_ENDED);
    this.#completions.received(slot, this.#buffers.memory, 0, 0);
  }

  /** The owner wants input again: first the input that was deferred. */
  #resume(slot: number): void {
    this.#slots.raise(slot, FLAG_INPUT);
    if (!this.#deferred.has(slot)) {
      this.#arm(slot);
      return;
    }
    this.#resumed.push(slot);
    this.#announceSoon();
  }

  /** Reports the deferred input of slots that resumed. @returns How many slots there were. */
  #reportDeferred(): number {
    const resumed = this.#resumed;
    if (resumed.length === 0) return 0;
    this.#resumed = [];
    const slots = this.#slots;
    const deferred = this.#deferred;
    for (const slot of resumed) {
      const input = deferred.of(slot);
      // The owner may pause or close the slot in any of these reports.
      while (input !== undefined && input === deferred.of(slot) && slots.has(slot, FLAG_INPUT)) {
        const piece = input.pieces.shift();
        const fd = piece === undefined ? input.fds.shift() : undefined;
        if (piece !== undefined) {
          this.#loanedArenas.push(piece.arena);
          this.#completions.received(slot, piece.arena, 0, piece.length);
        } else if (fd !== undefined) {
          this.#completions.accepted(slot, fd);
        } else {
          deferred.delete(slot);
          if (input.ended) this.#ended(slot);
          else this.#arm(slot);
        }
      }
    }
    this.#settle();
    return resumed.length;
  }

  /** Takes back the memory that was lent, and arms the receives that have ended. */
  #settle(): void {
    const buffers = this.#buffers;
    this.#completions.settle();
    if (this.#loanedArenas.length > 0) {
      for (const arena of this.#loanedArenas) this.#kernel.arenas.release(arena);
      this.#loanedArenas = [];
    }
    if (this.#disposed) return;
    for (let i = 0; i < this.#loanCount; i++) buffers.drop(this.#loans[i] as number);
    this.#loanCount = 0;
    if (this.#passedOver.length > 0) {
      this.#starved = this.#passedOver.concat(this.#starved);
      this.#passedOver = [];
    }
    if (this.#starved.length > 0) buffers.grow();
    buffers.publish();
    if (this.#limitsReceives) buffers.rewind();
    if (this.#starved.length > 0) this.#armStarved(this.#starved);
    // Streams that received bytes come after those that found no buffer.
    if (this.#unarmed.length === 0) return;
    for (const slot of this.#unarmed) if (!this.#deferred.has(slot)) this.#arm(slot);
    this.#unarmed.length = 0;
  }

  #armStarved(starved: number[]): void {
    const slots = this.#slots;
    // Buffers may have come back since the receives failed. A stream that is armed and finds none completes at
    // once, and is armed again in the next turn.
    const armed = Math.min(starved.length, this.#buffers.ready * STREAMS_PER_BUFFER);
    for (const slot of starved.splice(0, armed)) {
      if (!slots.has(slot, FLAG_STARVED)) continue;
      slots.lower(slot, FLAG_STARVED);
      slots.raise(slot, FLAG_RETRIED);
      if (!this.#deferred.has(slot)) this.#arm(slot);
    }
  }

  // Streams: sending

  /**
   * @remarks
   * Lent bytes do not wait in the kernel for room: a buffer that waited for a peer which does not read would be missing
   * to all others. Neither do a few bytes of the owner, the first time, because the completion of a send that does not
   * wait is certain: the next call submits it and waits for the event after it. All others stay in the kernel until they
   * have been sent.
   */
  send(slot: number, address: number, length: number, flags: number): number {
    const slots = this.#slots;
    const { submissions } = this.#ring;
    const linked = (flags & SEND_MORE) !== 0;
    // Without MSG_WAITALL, the send that is linked behind a short one would be performed.
    let messageFlags = MSG_NOSIGNAL | MSG_WAITALL;
    if (linked || (flags & SEND_BEFORE_FILE) !== 0) messageFlags |= MSG_MORE;
    if ((flags & SEND_LENT) !== 0) {
      const { memory } = this.#buffers;
      const offset = address - memory.address;
      // Deferred bytes are in an arena of their own, which is released when the engine settles.
      if (offset < 0 || offset >= memory.byteLength) return 0;
      this.#buffers.hold(this.#buffers.numberAt(offset));
      messageFlags |= MSG_DONTWAIT;
      slots.raise(slot, FLAG_LENT);
      slots.sendAddresses[slot] = address;
      slots.lentLengths[slot] = length;
    }
    slots.sendLengths[slot] = (slots.sendLengths[slot] as number) + length;
    const sends = slots.sends[slot] as number;
    const isSingle = !linked && sends === 0;
    if (isSingle && length <= IMMEDIATE_BYTES && !slots.has(slot, FLAG_FULL)) {
      messageFlags |= MSG_DONTWAIT;
    }
    // A link does not reach from the last submission of one call to the first of the next.
    if (linked && sends === 0 && submissions.room < MAX_SENDS) this.#ring.submit();
    const operation = linked ? LINKED_SEND : SEND;
    const fd = slots.fds[slot] as number;
    const tag = slots.tag(slot, OP_SEND);
    submissions.push(operation, fd, 0, address, length, messageFlags, slot, tag);
    slots.sends[slot] = sends + 1;
    this.#pushed(slot);
    if (isSingle && (messageFlags & MSG_DONTWAIT) !== 0) submissions.immediate++;
    return IN_FLIGHT;
  }

  hasten(): void {
    this.#ring.submissions.immediate = 0;
  }

  sendFile(slot: number, file: number, offset: number, length: number): number {
    return this.#files.send(slot, file, offset, length);
  }

  /** Handles the completion of a send. @returns The number of events that were reported. */
  #sent(slot: number, tag: number, result: number): number {
    const slots = this.#slots;
    if (!slots.isCurrent(slot, tag)) {
      this.#orphanSent(slot, tag);
      return 0;
    }
    const sends = (slots.sends[slot] as number) - 1;
    slots.sends[slot] = sends;
    const inFlight = slots.sendLengths[slot] as number;
    // The stream has failed. Sends that were linked are not reported as returned, or the owner might repeat them.
    if (inFlight === 0) return 0;
    if (result > 0) {
      const left = inFlight - result;
      slots.sendLengths[slot] = left;
      // The first of several is the lent one. Those behind it may wait for long, and need no buffer.
      if (result === slots.lentLengths[slot]) this.#dropLent(slot);
      if (left === 0 && slots.has(slot, FLAG_FULL)) slots.lower(slot, FLAG_FULL);
      this.#completions.sent(slot, result);
      if (left === 0 || sends > 0) return 1;
    } else if (!RETRIABLE.includes(result)) {
      // The sends that were linked are cancelled, and none of them is lent.
      slots.sendLengths[slot] = 0;
      this.#dropLent(slot);
      this.#completions.failed(slot, -result, "send");
      return 1;
    }
    // A short send cancels those that are linked to it. The last of them reports it.
    if (sends === 0 && slots.isCurrent(slot, tag)) {
      slots.sendLengths[slot] = 0;
      slots.raise(slot, FLAG_FULL);
      // The owner copies the rest of the lent bytes, so their buffer is held until it has.
      const lent = this.#takeLent(slot);
      this.#completions.returned(slot);
      if (lent >= 0) this.#buffers.drop(lent);
    }
    return 1;
  }

  /** A socket has room for more of a file, or an error that the next call will return. */
  #hasRoom(slot: number, tag: number, result: number, flags: number): number {
    const slots = this.#slots;
    if (!slots.isCurrent(slot, tag)) return 0;
    const more = (flags & IORING_CQE_F_MORE) !== 0;
    if (!more) slots.lower(slot, FLAG_ROOM_POLLED);
    if (!slots.has(slot, FLAG_ROOM)) return 0;
    if (result >= 0 && (result & (POLLOUT | ALWAYS_REPORTED)) === 0) {
      // The peer closed its half, which was not asked for. Another poll of the present state would report that at once.
      if (!more) this.#pollRoom(slot, true);
      return 0;
    }
    slots.lower(slot, FLAG_ROOM);
    this.#completions.returned(slot);
    return 1;
  }

  /** A slot is closed. Its memory belongs to the owner again when this returns, except for a lent buffer. */
  #endSends(slot: number): void {
    const slots = this.#slots;
    const sends = slots.sends[slot] as number;
    const lent = this.#takeLent(slot);
    if (sends === 0) {
      if (lent >= 0) this.#buffers.drop(lent);
      return;
    }
    const key = orphanKey(slot, slots.tag(slot, OP_SEND));
    if (lent >= 0) this.#orphans.set(key, { buffer: lent, sends });
    this.#cancelNow(slot, OP_SEND, sends);
  }

  #orphanSent(slot: number, tag: number): void {
    const key = orphanKey(slot, tag);
    const orphan = this.#orphans.get(key);
    if (orphan === undefined || --orphan.sends > 0) return;
    this.#buffers.drop(orphan.buffer);
    this.#orphans.delete(key);
  }

  /** Returns the buffer of the slot's lent send, if there is one. */
  #dropLent(slot: number): void {
    const lent = this.#takeLent(slot);
    if (lent >= 0) this.#buffers.drop(lent);
  }

  /** Ends the slot's hold on the buffer of its lent send. @returns The buffer, for the caller to drop, or -1. */
  #takeLent(slot: number): number {
    const slots = this.#slots;
    if (!slots.has(slot, FLAG_LENT)) return -1;
    slots.lower(slot, FLAG_LENT);
    const address = slots.sendAddresses[slot] as number;
    return this.#buffers.numberAt(address - this.#buffers.memory.address);
  }

  // Watches, and polls for connects and for paused streams

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
    this.#cancelPoll(slot);
    this.#poll(slot, false);
    return 0;
  }

  /** Handles the completion of a poll. @returns The number of events that were reported. */
  #pollCompleted(slot: number, tag: number, result: number, flags: number): number {
    const slots = this.#slots;
    if (!slots.isCurrent(slot, tag)) return 0;
    const more = (flags & IORING_CQE_F_MORE) !== 0;
    if (!more) slots.lower(slot, FLAG_POLLED);
    switch (slots.kinds[slot]) {
      case KIND_CONNECTING: {
        const fd = slots.fds[slot] as number;
        this.#completions.connected(slot, takeSocketError(this.#kernel, fd));
        return 1;
      }
      case KIND_WATCH: {
        const expected = (slots.interests[slot] as number) | ALWAYS_REPORTED;
        const mask = result < 0 ? POLLERR : result & expected;
        if (mask !== 0) this.#completions.ready(slot, mask);
        if (!slots.isCurrent(slot, tag)) return 1;
        if (mask === 0) {
          // The peer closed its half, which was not asked for. A new poll would report that again at once.
          this.#poll(slot, true);
          return 0;
        }
        // Armed again each time, which makes it level-triggered.
        if (more) this.#cancelPoll(slot);
        this.#poll(slot, false);
        return 1;
      }
      default: {
        // A stream that is paused. One that receives finds out anyway.
        if (slots.has(slot, FLAG_INPUT)) return 0;
        const errno = takeSocketError(this.#kernel, slots.fds[slot] as number);
        if (errno === 0) {
          // The peer closed its half, and may reset the connection later.
          this.#poll(slot, true);
          return 0;
        }
        this.#completions.failed(slot, errno, "recv");
        return 1;
      }
    }
  }

  /** Descriptors that are watched for others, whose wake-ups the ring does not always signal. */
  *#polled(): Iterable<Polled> {
    const { kinds, fds, interests } = this.#slots;
    for (let slot = 0; slot < kinds.length; slot++) {
      if (kinds[slot] === KIND_WATCH) yield [fds[slot] as number, interests[slot] as number];
    }
  }

  // Slots

  #take(slot: number, fd: number, kind: number, interest: number, flags: number): number {
    const known = this.#kernel.libc.fcntl(fd, F_GETFD, 0);
    if (known < 0) return known;
    this.#slots.take(slot, kind, fd, interest);
    this.#slots.raise(slot, flags);
    if (kind === KIND_LISTENER) this.#arm(slot);
    else this.#poll(slot, false);
    return 0;
  }

  forget(slot: number): void {
    const slots = this.#slots;
    const kind = slots.kinds[slot];
    if (kind === KIND_FREE || kind === undefined) return;
    slots.lower(slot, FLAG_INPUT);
    if (slots.has(slot, FLAG_ARMED) && kind === KIND_STREAM) this.#cancel(slot, OP_RECEIVE);
    if (slots.has(slot, FLAG_POLLED)) this.#cancel(slot, OP_POLL);
    if (slots.has(slot, FLAG_ROOM_POLLED)) this.#cancel(slot, OP_ROOM);
    if (kind === KIND_LISTENER) this.#endAccepts(slot);
    if (kind === KIND_WATCH) {
      const fd = slots.fds[slot] as number;
      this.#watched.delete(fd);
      this.#wait.forget(fd);
    }
    this.#endSends(slot);
    this.#detach(slot);
    this.#deferred.delete(slot);
    this.#files.forget(slot);
    slots.renew(slot);
    // The columns of now: the owners of accepted connections may have taken so many slots that there are new ones.
    slots.kinds[slot] = KIND_FREE;
    slots.flags[slot] = 0;
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

  balance(): Balance {
    return {
      slots: this.#slots.used,
      buffersHeld: this.#buffers.held,
      loans: this.#loanCount + this.#loanedArenas.length,
      deferred: this.#deferred.size,
      deferredBytes: this.#deferred.bytes,
      orphanedSends: this.#orphans.size,
      watched: this.#watched.size,
      files: this.#files.size,
      toBeReleased: this.#closed.length,
    };
  }

  dispose(): void {
    const { libc } = this.#kernel;
    const { completions } = this.#ring;
    this.#disposed = true;
    this.#ring.cancelAll();
    // Completions that the queue had no room for follow when there is.
    for (; completions.length > 0; this.#ring.enter(0, 0)) {
      for (; completions.length > 0; completions.skip()) {
        const at = completions.next();
        const isAccept = (completions.tagHigh(at) & OP_MASK) === OP_ACCEPT;
        if (isAccept && completions.result(at) >= 0) libc.close(completions.result(at));
      }
      completions.publish();
    }
    for (const fd of this.#deferred.clear()) libc.close(fd);
    this.#ring.close();
    this.#wait.close();
    this.#buffers.close();
  }

  // Turns

  turn(timeoutMs: number, now?: number): number {
    this.#turning = true;
    this.#announced = false;
    try {
      let events = this.#reportDeferred() + this.#files.begin();
      const wait = this.#wait;
      this.isLoopReady = false;
      this.#pollLoop();
      wait.begin(events > 0 ? 0 : timeoutMs, now);
      do {
        wait.enter();
        this.#completions.woken();
        events += this.#reap();
      } while (events === 0 && !this.isLoopReady && wait.timeLeft());
      // The kernel shows some completions at a time, and these may all belong to closed slots.
      while (events === 0 && this.#ring.hasWork) {
        wait.enterNow();
        events += this.#reap();
      }
      while (events > 0 && !this.#files.waiting && wait.stay()) events += this.#reap();
      return events;
    } finally {
      this.#turning = false;
      this.#release();
      const more = this.#resumed.length > 0 || this.#files.waiting;
      if (more || !this.#wait.rest()) this.#announce();
    }
  }

  submit(): void {
    if (this.#ring.submissions.pending === 0) return;
    this.#wait.enterNow();
    if (!this.#wait.rest()) this.#announce();
  }

  /** Handles every completion that is there. @returns The number of events that were reported. */
  #reap(): number {
    const { completions } = this.#ring;
    let events = 0;
    let bytes = 0;
    for (let left = completions.length; left > 0 && !this.#disposed; left--) {
      const at = completions.next();
      const slot = completions.tagLow(at);
      const tag = completions.tagHigh(at);
      const result = completions.result(at);
      const flags = completions.flags(at);
      completions.skip();
      switch (tag & OP_MASK) {
        case OP_RECEIVE:
          bytes += Math.max(result, 0);
          events += this.#received(slot, tag, result, flags);
          break;
        case OP_SEND:
          events += this.#sent(slot, tag, result);
          break;
        case OP_ACCEPT:
          events += this.#accepted(slot, tag, result, flags);
          break;
        case OP_POLL:
          events += this.#pollCompleted(slot, tag, result, flags);
          break;
        case OP_ROOM:
          events += this.#hasRoom(slot, tag, result, flags);
          break;
        case OP_LOOP:
          if (slot !== this.#loopPoll || !this.#isLoopPolled) break;
          this.#isLoopPolled = false;
          this.isLoopReady = true;
          break;
        default: // A cancellation that came too late, or a completion that was handled before.
      }
    }
    this.#wait.received(bytes);
    if (!this.#disposed) completions.publish();
    this.#settle();
    return events;
  }

  /** There is more to do, and the descriptor of the engine does not show it. */
  #announce(): void {
    if (this.#announced) return;
    this.#announced = true;
    this.#completions.pending();
  }

  /** As {@link UringEngine.announce}, unless a turn is under way, which announces at its end. */
  #announceSoon(): void {
    if (!this.#turning) this.#announce();
  }

  #release(): void {
    const closed = this.#closed;
    if (closed.length === 0) return;
    this.#closed = [];
    for (const slot of closed) this.#completions.released(slot);
  }

  // Submissions

  /** Accepts or receives, if the owner wants it, until a completion lacks IORING_CQE_F_MORE. */
  #arm(slot: number): void {
    const slots = this.#slots;
    const { submissions } = this.#ring;
    const flags = slots.flags[slot] as number;
    if ((flags & (FLAG_INPUT | FLAG_ARMED | FLAG_STARVED)) !== FLAG_INPUT) return;
    slots.raise(slot, FLAG_ARMED);
    const fd = slots.fds[slot] as number;
    if (slots.kinds[slot] === KIND_LISTENER) {
      const type = SOCK_NONBLOCK | SOCK_CLOEXEC;
      submissions.acceptMultishot(fd, type, slot, slots.tag(slot, OP_ACCEPT));
    } else if (this.#limitsReceives) {
      submissions.receiveMultishot(fd, GROUP, slot, slots.tag(slot, OP_RECEIVE), RECEIVE_LIMIT);
    } else {
      submissions.receive(fd, GROUP, slot, slots.tag(slot, OP_RECEIVE));
    }
    this.#pushed(slot);
  }

  /**
   * Polls for the interest of the slot, unless a poll is in flight.
   *
   * @param forChanges - Whether to report changes only, repeatedly, instead of the present state once.
   */
  #poll(slot: number, forChanges: boolean): void {
    const slots = this.#slots;
    if (slots.has(slot, FLAG_POLLED)) return;
    slots.raise(slot, FLAG_POLLED);
    const { submissions } = this.#ring;
    const fd = slots.fds[slot] as number;
    const interest = slots.interests[slot] as number;
    const tag = slots.tag(slot, OP_POLL);
    if (forChanges) submissions.pollMultishot(fd, interest, slot, tag);
    else submissions.poll(fd, interest, slot, tag);
    this.#pushed(slot);
  }

  /** Cancels the poll of a watch, whose completions are outdated from now on. */
  #cancelPoll(slot: number): void {
    const slots = this.#slots;
    if (!slots.has(slot, FLAG_POLLED)) return;
    this.#cancel(slot, OP_POLL);
    slots.renew(slot);
    slots.lower(slot, FLAG_POLLED);
  }

  /**
   * Polls for room in the socket, unless such a poll is in flight.
   *
   * @param forChanges - Whether to poll for changes, repeatedly, instead of the present state once. That poll stays in
   * flight: a socket that has become full reports its next room as a change.
   */
  #pollRoom(slot: number, forChanges: boolean): number {
    const slots = this.#slots;
    slots.raise(slot, FLAG_ROOM);
    if (slots.has(slot, FLAG_ROOM_POLLED)) return 0;
    slots.raise(slot, FLAG_ROOM_POLLED);
    const fd = slots.fds[slot] as number;
    const tag = slots.tag(slot, OP_ROOM);
    const { submissions } = this.#ring;
    if (forChanges) submissions.pollMultishot(fd, POLLOUT, slot, tag);
    else submissions.poll(fd, POLLOUT, slot, tag);
    this.#pushed(slot);
    return 0;
  }

  #cancel(slot: number, op: number): void {
    const { submissions } = this.#ring;
    submissions.cancel(slot, this.#slots.tag(slot, op), 0, OP_NONE);
    if (submissions.pending === 1) this.#announceSoon();
  }

  /**
   * Cancels operations, and returns when the kernel performs them no more and uses no memory for them.
   *
   * @remarks
   * A cancellation finds operations that wait for their descriptor. It misses one that is about to be retried, such as
   * the next in a chain of sends, which then waits again. Nor does it end one that a worker of the kernel performs: what
   * is linked to that one follows. So the cancellation is repeated until all operations have completed. Completions that
   * the queue has no room for cannot be counted: then it is repeated until no operation is about to be retried.
   *
   * @param count - How many operations have this tag.
   */
  #cancelNow(slot: number, op: number, count: number): void {
    const { submissions } = this.#ring;
    const tag = this.#slots.tag(slot, op);
    for (let tries = 0; tries < MAX_CANCELS; tries++) {
      const wasQuiet = submissions.pending === 0 && (submissions.flags & IORING_SQ_TASKRUN) === 0;
      this.#cancel(slot, op);
      // A ring that keeps failing performs nothing any more, and its next turn fails.
      if (this.#ring.enter(0, 0) < 0) return;
      if (this.#countEnded(slot, tag) >= count) return;
      const kept = submissions.flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
      if (wasQuiet && kept === IORING_SQ_CQ_OVERFLOW) return;
    }
  }

  /** The number of operations with this tag that have ended and whose last completion is still to be read. */
  #countEnded(slot: number, tag: number): number {
    const { completions } = this.#ring;
    let ended = 0;
    for (let i = completions.length - 1; i >= 0; i--) {
      const at = completions.peek(i);
      const isLast = (completions.flags(at) & IORING_CQE_F_MORE) === 0;
      if (isLast && completions.tagLow(at) === slot && completions.tagHigh(at) === tag) ended++;
    }
    return ended;
  }

  /** Has the kernel take all submissions that name the slot's descriptor, whose number may be reused afterwards. */
  #detach(slot: number): void {
    const number = this.#slots.submissions[slot] as number;
    if (!this.#ring.submissions.isTaken(number)) this.#ring.enter(0, 0);
  }

  /** A submission that names the slot's descriptor was pushed. */
  #pushed(slot: number): void {
    const { submissions } = this.#ring;
    this.#slots.submissions[slot] = submissions.pushed;
    if (submissions.pending === 1) this.#announceSoon();
  }
}

/**
 * Whether the kernel can limit how much a multishot receive takes, found by trying on a new ring.
 *
 * @remarks
 * Without a limit it would receive megabytes for a stream before its owner can pause it. Before Linux 6.17, which
 * has no limit, each receive is therefore armed by itself.
 */
function limitsReceives(ring: RawRing): boolean {
  const { submissions, completions } = ring;
  let limits = false;
  // A kernel without limits refuses the operation before it looks at the descriptor.
  submissions.receiveMultishot(-1, GROUP, 0, OP_NONE, RECEIVE_LIMIT);
  ring.enter(0, 0);
  for (; completions.length > 0; completions.skip()) {
    limits = completions.result(completions.next()) !== -ERRNO.EINVAL;
  }
  completions.publish();
  return limits;
}

/** A slot and the upper half of a tag as one number, which is exact up to 2^21 slots. */
function orphanKey(slot: number, tag: number): number {
  return slot * 0x1_0000_0000 + (tag >>> 0);
}
