import { ERRNO } from "../base/errno.ts";
import type { Arena } from "../sys/arena.ts";

/** The engines by name. */
export type EngineName = "io_uring" | "epoll" | "poll" | "select";

/** When readiness is reported: as long as a descriptor is ready, or once per change. */
export type Trigger = "level" | "edge";

/** How an engine works: on readiness with a {@link Trigger}, or on completions of I/O that the kernel performs. */
export type Reporting = Trigger | "completion";

/** Another send of this slot follows at once, and may share a packet with these bytes. */
export const SEND_MORE = 1;
/** The bytes were lent by `received`. The owner keeps those that are not sent at once. */
export const SEND_LENT = 2;
/** A `sendFile` of this slot follows once these bytes have been sent, and may share a packet with them. */
export const SEND_BEFORE_FILE = 4;

/** Returned by `send` when all bytes are in flight and completions will report how many were sent. */
export const IN_FLIGHT: number = -ERRNO.EINPROGRESS;

/**
 * Resources in use, by name. Every number is 0 when nothing is open and nothing is in progress.
 *
 * @remarks
 * Not part of the public API. The tests compare it with zeros, so that a leak on an error path fails a test.
 */
export type Balance = Record<string, number>;

/**
 * The callbacks by which an engine reports completed operations to its owner.
 *
 * @remarks
 * All of them are called within {@link Engine.turn}, except `released`, which `close` may call, and
 * `pending`, which any method may call. Each of them may call the engine, for the same slot or another.
 */
export interface Completions {
  /** A listener accepted `fd`, which is non-blocking and close-on-exec. The owner opens or closes it. */
  accepted(slot: number, fd: number): void;
  /**
   * A listener cannot accept: there are no descriptors, accepting is forbidden, or the socket does not listen any
   * more. The engine keeps trying, and would spin, until the owner pauses the listener.
   */
  acceptFailed(slot: number, errno: number): void;
  /** A connect finished: `errno` is 0, or the reason of the failure. */
  connected(slot: number, errno: number): void;
  /**
   * A stream received `length` bytes, which are at `offset` in `arena`, memory of the engine, until `settle`.
   * A length of 0 is the end of the stream; nothing is received after it.
   */
  received(slot: number, arena: Arena, offset: number, length: number): void;
  /** `length` of the bytes in flight have been sent. */
  sent(slot: number, length: number): void;
  /**
   * The rest of the sends that were {@link IN_FLIGHT} was not sent, and is no longer in flight. Lent bytes of it
   * are valid until this returns. For a file: `sendFile` may continue.
   */
  returned(slot: number): void;
  /** A stream failed with `errno` in the call named, and performs nothing more. */
  failed(slot: number, errno: number, syscall: string): void;
  /** A watched descriptor is ready: POLL* bits. */
  ready(slot: number, mask: number): void;
  /**
   * The engine is about to reuse its memory, so bytes are sent from there now or not at all. Called after
   * every few calls of `received`, and at the end of the reports of a turn.
   */
  settle(): void;
  /** No further report concerns the closed slot, and its number may be used again. */
  released(slot: number): void;
  /** A wait of a turn has ended, and its reports follow. */
  woken(): void;
  /** There is more to do, although `fileno()` may not be readable. The owner should start a turn soon. */
  pending(): void;
}

/**
 * Performs the I/O of a reactor: it accepts, receives, sends and closes, and reports completions.
 *
 * @remarks
 * The owner requests operations and receives their completions. The readiness engine performs the I/O when
 * its poller reports a descriptor ready; the io_uring engine lets the kernel perform it. The owner does not
 * know which one it uses.
 *
 * A slot is a small number by which owner and engine identify a descriptor. The owner chooses it, low
 * numbers first. It is in use from `listen`, `connect`, `open` or `watch` until `released`, so a late event
 * of a closed slot is dropped and never reaches a new owner.
 *
 * Calls return `>= 0` or `-errno`.
 */
export interface Engine {
  readonly name: EngineName;
  readonly trigger: Reporting;
  /** The most sends of one slot that may be in flight. All but the last are given {@link SEND_MORE}. */
  readonly maxSends: number;
  /**
   * A descriptor that is readable when a turn would report something, for another event loop to watch. Work
   * that a turn leaves is announced by `pending` instead.
   */
  fileno(): number;
  /**
   * Includes the descriptor of another event loop in the waits of turns: a turn ends when it is readable, and nothing
   * has to be announced. {@link Engine.fileno} need not be readable meanwhile.
   *
   * @returns 0 or more, or `-errno`: `ENOSYS` for an engine that does not support it.
   */
  include(loopFd: number): number;
  /** Whether that descriptor was readable in the last turn. */
  readonly isLoopReady: boolean;
  /** Undoes {@link Engine.include}. The owner takes a turn soon. */
  exclude(): void;

  /**
   * Accepts on a listening socket until closed.
   *
   * @param exclusive - Whether a connection is to wake one of several engines that wait for the same socket.
   * Where that is not supported, it wakes all of them.
   */
  listen(slot: number, fd: number, exclusive?: boolean): number;
  /** Pauses or resumes accepting. */
  setAccepting(slot: number, accepting: boolean): number;
  /** Waits for a connect that is in progress. After it, `open` makes a stream of the slot. */
  connect(slot: number, fd: number): number;
  /** Starts to receive from a connected, non-blocking socket. */
  open(slot: number, fd: number): number;
  /**
   * Pauses or resumes receiving. Resets and errors are reported in both states, except on select, where the
   * next receive or send reports them.
   */
  setReceiving(slot: number, receiving: boolean): number;
  /** The number of bytes that have arrived for a stream and were not reported yet. */
  unread(slot: number): number;
  /**
   * Sends bytes from mapped memory.
   *
   * @remarks
   * A slot may have up to `maxSends` sends at a time, which are sent in order. Bytes that are not taken at once
   * stay in flight: their memory must not change until `sent` has reported all of them or the slot is closed.
   * Lent bytes that are not taken at once are not in flight, unless {@link IN_FLIGHT} is returned. Then the
   * engine keeps them in place until `sent` or `returned` has reported them.
   *
   * @param flags - {@link SEND_MORE}, {@link SEND_LENT} and {@link SEND_BEFORE_FILE}.
   * @returns The number of bytes that were taken at once, from 0 to `length`; {@link IN_FLIGHT}; or `-errno`
   * when the stream failed.
   */
  send(slot: number, address: number, length: number, flags: number): number;
  /**
   * The owner waits for the sends in flight: the next wait ends when one of them completes. Otherwise they may be
   * reported together with the event after them.
   */
  hasten(): void;
  /**
   * Sends from a file, when nothing else of the slot is in flight.
   *
   * @remarks
   * It sends as much as the socket takes at once, and at most a stream's share of a turn. Nothing is in flight
   * afterwards. Unless everything was sent, the next send has to wait for `returned`.
   *
   * @param file - A descriptor of a regular file. The owner closes it.
   * @param offset - In bytes from the start of the file. The position of the descriptor is not used or changed.
   * @returns The number of bytes that were sent, from 0 to `length`; or `-errno`: `ENODATA` when the file is
   * shorter, and the errors of sendfile(2), which may concern the stream or the file.
   */
  sendFile(slot: number, file: number, offset: number, length: number): number;
  /** Reports readiness of any descriptor; `interest` is POLL* bits. */
  watch(slot: number, fd: number, interest: number): number;
  /** Changes the interest of a watch. */
  modify(slot: number, interest: number): number;
  /** Ends all operations of the slot and leaves its descriptor open. `released` follows. */
  forget(slot: number): void;
  /**
   * Ends all operations of the slot and closes its descriptor. `released` follows. A listener may call
   * `accepted` first, for connections that the kernel has accepted already.
   */
  close(slot: number): void;

  /**
   * One turn: waits, and reports everything that has completed.
   *
   * @param timeoutMs - The longest wait: 0 does not wait, -1 has no limit.
   * @param now - The time, if the caller has just read it.
   * @returns The number of events: 0 after a timeout.
   */
  turn(timeoutMs: number, now?: number): number;
  /**
   * Starts the operations that were requested since the last turn, for an owner whose next turn may be late.
   * Reports nothing.
   */
  submit(): void;
  /** The resources in use: slots, buffers, arenas, sends and others that have to be released. */
  balance(): Balance;
  /** Releases everything. Descriptors that are open stay open; the owner closes them. */
  dispose(): void;
}
