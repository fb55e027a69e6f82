import { ERRNO } from "../base/errno.ts";
import type { Arena } from "../sys/arena.ts";

/** The engines by name. */
export type EngineName = "io_uring" | "epoll" | "poll" | "select";

/** When an engine reports: as long as something is ready, or once each time that something happens. */
export type Trigger = "level" | "edge";

/** How an engine reports: by a {@link Trigger}, or, when the kernel does the I/O, what it has done. */
export type Reporting = Trigger | "completion";

/** Another send of this slot follows at once: the kernel may wait for it to fill its packets. */
export const SEND_MORE = 1;
/** The bytes were lent by `received`, and what does not go at once is the owner's to keep. */
export const SEND_LENT = 2;
/** A `sendFile` of this slot follows, once these bytes have gone: so that they share its first packet. */
export const SEND_BEFORE_FILE = 4;

/** What `send` returns when the kernel has all of the bytes in hand and will tell how many went. */
export const IN_FLIGHT: number = -ERRNO.EINPROGRESS;

/**
 * What is in use, by name. Every number is 0 when nothing is open and nothing is under way.
 *
 * @remarks
 * Not part of the public API: the tests compare it with zeros, so that a leak on a path of errors fails one.
 */
export type Balance = Readonly<Record<string, number>>;

/**
 * What an engine tells its owner: each operation that came to its end.
 *
 * @remarks
 * All of them come from within {@link Engine.turn}, except `released`, which may come from `close`, and
 * `pending`, which may come from any call. Any of them may call back into the engine, for the same slot
 * or another.
 */
export interface Completions {
  /** A listener accepted `fd`: non-blocking, close-on-exec, the owner's to `open` or to close. */
  accepted(slot: number, fd: number): void;
  /**
   * A listener cannot accept: there are no descriptors, or accepting is forbidden, or it is no listener any more. It
   * goes on trying until it is paused, and would spin.
   */
  acceptFailed(slot: number, errno: number): void;
  /** A connect came to its end: `errno` is 0, or why it failed. */
  connected(slot: number, errno: number): void;
  /**
   * Bytes came for a stream: `length` of them at `offset` in `arena`, which is the engine's and holds
   * them until `settle`. A length of 0 is the end of the stream; nothing is received after it.
   */
  received(slot: number, arena: Arena, offset: number, length: number): void;
  /** So many of the bytes that `send` left in flight have gone. */
  sent(slot: number, length: number): void;
  /**
   * What is left of the sends that were {@link IN_FLIGHT} did not go, and is in flight no more. What of it
   * is lent is good until this returns. Of a file: what `sendFile` left over may go now.
   */
  returned(slot: number): void;
  /** A stream failed and will do nothing more: `errno` is why, in the call named. */
  failed(slot: number, errno: number, syscall: string): void;
  /** A watched descriptor is ready: POLL* bits. */
  ready(slot: number, mask: number): void;
  /**
   * The engine takes its memory back: whatever is to be sent from there is to be sent now. Comes after
   * every few `received`, and once more when all of a turn is told.
   */
  settle(): void;
  /** The engine is done with a closed slot, and its number may be used again. */
  released(slot: number): void;
  /** There is more to do although `fileno()` may not be readable: a turn is wanted soon. */
  pending(): void;
}

/**
 * What makes one reactor run on readiness and on completions alike.
 *
 * @remarks
 * Shaped by completions: the owner says what it wants done and hears what was done. An engine over
 * readiness does the I/O itself when a descriptor is ready; one over completions lets the kernel. The
 * owner cannot tell which it has.
 *
 * A slot is a small number by which owner and engine know a descriptor. The owner chooses it, low ones
 * first; it is in use from `listen`, `connect`, `open` or `watch` until `released`, so an event that is
 * late for a closed slot is dropped and can never meet a new owner.
 *
 * Calls return `>= 0` or `-errno`.
 */
export interface Engine {
  readonly name: EngineName;
  readonly trigger: Reporting;
  /** How many sends of one slot may be in flight. All but the last are given with {@link SEND_MORE}. */
  readonly maxSends: number;
  /**
   * A descriptor that is readable when a turn would find something, for another loop to watch. What is
   * left over from a turn is told by `pending` instead.
   */
  fileno(): number;

  /**
   * Accepts on a listening socket until closed.
   *
   * @param exclusive - Others wait for the same socket: a connection is to wake one of them, not all.
   * Where the engine cannot ask for that, all are woken.
   */
  listen(slot: number, fd: number, exclusive?: boolean): number;
  /** Stops or goes on accepting. */
  setAccepting(slot: number, accepting: boolean): number;
  /** Waits for a connect that is in progress. Afterwards `open` makes a stream of it. */
  connect(slot: number, fd: number): number;
  /** Makes a stream of a connected, non-blocking socket and receives from it. */
  open(slot: number, fd: number): number;
  /**
   * Stops or goes on receiving. Resets and errors are reported either way, but by an engine over
   * select, which hears of them with the next receive or send.
   */
  setReceiving(slot: number, receiving: boolean): number;
  /** How many bytes have arrived for a stream that `received` has not reported yet. */
  unread(slot: number): number;
  /**
   * Sends bytes from mapped memory.
   *
   * @remarks
   * Up to `maxSends` a slot at a time, which go one after another. What is not taken at once stays in flight: the memory must stay as it is
   * until `sent` has told of all of it, or the slot is closed. Lent bytes are different: what of them is
   * not taken at once is not in flight, unless all of them are, which the engine then keeps in place until
   * `sent` or `returned` has told of them.
   *
   * @param flags - {@link SEND_MORE}, {@link SEND_LENT} and {@link SEND_BEFORE_FILE}.
   * @returns How many bytes were taken at once, from 0 to `length`; {@link IN_FLIGHT}; or `-errno` when
   * the stream failed.
   */
  send(slot: number, address: number, length: number, flags: number): number;
  /**
   * Sends from a file, when nothing else of the slot is in flight.
   *
   * @remarks
   * As much as the socket takes at once, and no more than a stream's share of a turn. Nothing is in
   * flight after it; but unless all of it went, nothing is to be sent before `returned` tells that it may
   * go on.
   *
   * @param file - A descriptor of a regular file, which stays the owner's.
   * @param offset - Where in the file to begin; its own position is neither used nor moved.
   * @returns How many bytes went, from 0 to `length`; or `-errno`: `ENODATA` when the file ends before
   * `length`, and what sendfile(2) fails with, be it the stream's fault or the file's.
   */
  sendFile(slot: number, file: number, offset: number, length: number): number;
  /** Reports readiness of any descriptor; `interest` is POLL* bits. */
  watch(slot: number, fd: number, interest: number): number;
  /** Changes what a watch asks for. */
  modify(slot: number, interest: number): number;
  /** Ends whatever the slot does and forgets its descriptor, which stays open. `released` follows. */
  forget(slot: number): void;
  /**
   * Ends whatever the slot does and closes its descriptor. `released` follows. A listener may tell
   * `accepted` meanwhile, of connections that the kernel had accepted for it before.
   */
  close(slot: number): void;

  /**
   * One turn: waits, and tells of everything that came to its end.
   *
   * @param timeoutMs - The longest to wait: 0 not at all, -1 for ever.
   * @returns How many events there were: 0 when the time ran out.
   */
  turn(timeoutMs: number): number;
  /**
   * Starts what was asked for since the last turn, for an owner that may not turn again soon. Tells
   * nothing.
   */
  submit(): void;
  /** What the engine has in use: slots, buffers, arenas, sends and whatever else it has to give back. */
  balance(): Balance;
  /** Gives everything back. Descriptors still open stay so: they are the owner's. */
  dispose(): void;
}
