import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { sendNow } from "../engine/calls.ts";
import { IN_FLIGHT, SEND_BEFORE_FILE } from "../engine/engine.ts";
import { SYS } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import { passSecrets, type TlsContext } from "../tls/context.ts";
import { type ExpectedPeer, type TlsInfo, TlsSession } from "../tls/session.ts";
import { TlsError } from "../tls/tls-error.ts";
import type { Block } from "./blocks.ts";
import type { Loop } from "./loop.ts";
import {
  CLOSED,
  CLOSING,
  CONNECTING,
  HELD,
  LINGERING,
  PAUSED,
  PREFACE,
  Stream,
  type StreamProfile,
} from "./stream.ts";
import type { Timer } from "./timers.ts";

/** The blocks that are encrypted before their records are sent: 64 KiB. */
const BLOCKS_AT_ONCE = 4;
/** What one record adds to its bytes, at most: header, nonce, padding, type and tag. */
const RECORD_OVERHEAD = 64;
/** The output of a handshake: certificates are about 4 KiB. */
const HANDSHAKE_BYTES = 8192;
/** The bytes of a file that a stream reads in a turn, and at once. */
const FILE_SHARE = 262_144;
const FILE_PIECE = 65_536;
/** The most answers that wait for a peer that does not read, such as those to attempts to renegotiate. */
const MAX_ANSWER_BYTES = 16_384;
/** How long a handshake may take when the listener stops. */
const STOPPING_TIMEOUT_MS = 1000;

/** Answers a client that speaks plain HTTP. */
const PLAIN_HTTP = new TextEncoder().encode(
  "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 41\r\n\r\nThis port requires TLS: use https instead",
);

/** What the TLS streams of one listener, or of one connect, share. */
export interface TlsEndpoint {
  readonly context: TlsContext;
  readonly expected: ExpectedPeer;
  readonly handshakeTimeoutMs: number;
  /** The handshakes in progress, from the oldest, and the most that may be. Without them there is no limit. */
  readonly handshakes?: Set<Handshake>;
  readonly maxHandshakes?: number;
  /** A handshake failed of a connection whose handlers are not called. */
  failed?(error: Error): void;
}

/** A handshake in progress. */
export interface Handshake {
  /** Ends it, because there are too many. */
  giveWay(): void;
}

/**
 * A connection whose bytes are encrypted by TLS.
 *
 * @remarks
 * Received bytes are decrypted before the handlers are called with them. Written bytes stay in the queue of the stream, as
 * without TLS, until the socket has room: then up to four blocks are encrypted into a block of records, which is sent.
 * They count as in flight until the kernel has taken their records.
 *
 * ```text
 *   queue (plaintext)                           records
 *   head                     tail               head             tail
 *   [ encrypted | waiting ] -> [ waiting ]      [ sent | in flight ] -> [ waiting ]
 * ```
 */
export class TlsStream<Data> extends Stream<Data> implements Handshake {
  readonly #endpoint: TlsEndpoint;
  #session: TlsSession | null = null;
  /** Made when it is asked for. */
  #info: TlsInfo | null = null;
  #timer: Timer | null = null;
  #records: Block | null = null;
  #lastRecords: Block | null = null;
  /** Whether the engine is sending the first block of records. */
  #isSending = false;
  /** The flags of the send of the last block. */
  #flags = 0;
  /** The bytes of the queue that are encrypted, and whose records are not sent. */
  #encrypted = 0;
  /** The same for the file at the head of the queue, which is otherwise not in flight. */
  #encryptedOfFile = 0;
  /** Whether the file is continued when the records are sent, or in the next turn. */
  #hasFileWaiting = false;
  /** The bytes of records that answer the peer, and were written since all records were sent. */
  #answerBytes = 0;
  /** Whether close_notify was written. */
  #hasEnded = false;
  /** Whether the handshake has failed, and its last bytes are being sent. */
  #isRefused = false;

  constructor(
    loop: Loop,
    profile: StreamProfile<Data>,
    connecting: boolean,
    endpoint: TlsEndpoint,
  ) {
    super(loop, profile, connecting);
    this.#endpoint = endpoint;
    const { context, expected } = endpoint;
    // A server needs no memory for a client that sends nothing.
    if (!context.isServer) this.#session = new TlsSession(context, expected);
  }

  override get tls(): TlsInfo | null {
    if (this.has(CONNECTING | CLOSED)) return null;
    this.#info ??= this.#session?.info ?? null;
    return this.#info;
  }

  // The handshake.

  /** The connection is established, and TLS begins. */
  protected override begin(): void {
    const { context, handshakeTimeoutMs, handshakes, maxHandshakes } = this.#endpoint;
    context.hold();
    this.holdOpening({ abandon: () => this.#endHandshake() });
    this.#timer = this.loop.timers.limit(handshakeTimeoutMs, () => this.#handshakeTimedOut());
    if (handshakes !== undefined) {
      handshakes.add(this);
      if (handshakes.size > (maxHandshakes as number)) {
        for (const oldest of handshakes) {
          oldest.giveWay();
          break;
        }
      }
    }
    if (!context.isServer) this.#shakeHands();
  }

  giveWay(): void {
    this.#failHandshake(
      new TlsError(
        "ERR_TLS_TOO_MANY_HANDSHAKES",
        "TLS handshake ended: others began, and it was the oldest of tls.maxHandshakes",
      ),
    );
  }

  /** @returns Whether the session is open, and the stream is not closed. */
  #shakeHands(): boolean {
    const session = this.#session as TlsSession;
    const isDone = session.handshake();
    this.#takeRecords(HANDSHAKE_BYTES);
    passSecrets(session.library, (error) => this.loop.fail(error));
    if (this.has(CLOSED)) return false;
    if (!isDone) {
      this.#sendRecords();
      return false;
    }
    if (session.error !== null) {
      this.#refuse(session.error);
      return false;
    }
    // What the handshake has written last is sent with the first bytes of the program.
    this.flushSoon();
    this.#endHandshake();
    this.endOpening();
    super.begin();
    if (this.listener?.stopping === true && !this.has(CLOSED)) super.stop();
    return !this.has(CLOSED);
  }

  /** Releases what only a handshake needs. */
  #endHandshake(): void {
    if (this.#timer === null) return;
    this.#timer.cancel();
    this.#timer = null;
    this.#endpoint.handshakes?.delete(this);
    this.#endpoint.context.release();
  }

  #handshakeTimedOut(): void {
    const { handshakeTimeoutMs } = this.#endpoint;
    const message = `TLS handshake was not complete after ${handshakeTimeoutMs} ms`;
    this.#failHandshake(new TlsError("ERR_TLS_HANDSHAKE_TIMEOUT", message));
  }

  /** The handshake has failed: sends what it has written last, an alert, and closes. */
  #refuse(error: Error): void {
    if (!this.#endpoint.context.isServer) {
      this.#sendRecords();
      this.#failHandshake(error);
      return;
    }
    this.#report(error);
    this.#isRefused = true;
    if (this.#sendRecords()) this.closeUnopened();
  }

  #failHandshake(error: Error): void {
    if (this.has(CLOSED)) return;
    if (this.#endpoint.context.isServer) {
      if (!this.#isRefused) this.#report(error);
      this.destroy();
      return;
    }
    const { reportsFailure } = this;
    this.destroy(error);
    // No handler reports the failure.
    if (!reportsFailure) this.loop.fail(error);
  }

  #report(error: Error): void {
    try {
      this.#endpoint.failed?.(error);
    } catch (thrown) {
      this.loop.fail(thrown);
    }
  }

  override stop(): void {
    // After the handshake, the stream stops.
    if (!this.has(CONNECTING) || this.has(PREFACE) || this.#timer === null) {
      super.stop();
      return;
    }
    this.#timer.cancel();
    this.#timer = this.loop.timers.limit(STOPPING_TIMEOUT_MS, () => this.#handshakeTimedOut());
  }

  // Receiving.

  override received(arena: Arena, offset: number, length: number): void {
    if (this.has(PREFACE | LINGERING)) {
      super.received(arena, offset, length);
      return;
    }
    this.touch();
    if (length === 0) {
      this.#transportEnded();
      return;
    }
    if (this.has(CONNECTING)) {
      if (this.#isRefused || !this.#receiveHandshake(arena, offset, length)) return;
    } else {
      const session = this.#session as TlsSession;
      // Nothing may follow close_notify.
      if (session.hasEnded || (this.has(CLOSING) && !session.isBusy)) return;
      session.receive(arena, offset, length);
    }
    this.#read(length);
  }

  /** @returns Whether the handshake is done, and the stream is not closed. */
  #receiveHandshake(arena: Arena, offset: number, length: number): boolean {
    if (this.#session === null) {
      const first = arena.u8[offset] as number;
      // A method of HTTP begins with a capital letter, and a record of a handshake with the number 22.
      if (first >= 0x41 && first <= 0x5a) {
        this.#refusePlainText();
        return false;
      }
      this.#session = new TlsSession(this.#endpoint.context);
    }
    this.#session.receive(arena, offset, length);
    return this.#shakeHands();
  }

  #refusePlainText(): void {
    const block = this.#roomFor(PLAIN_HTTP.length);
    block.bytes.set(PLAIN_HTTP, block.end);
    block.end += PLAIN_HTTP.length;
    const hint = "the client has to use TLS, as in https://";
    this.#refuse(new TlsError("ERR_SSL_HTTP_REQUEST", "the client sent text without TLS", hint));
  }

  /** Decrypts what was received, and passes it on. @param received - The number of encrypted bytes. */
  #read(received: number): void {
    const session = this.#session as TlsSession;
    const wasBusy = session.isBusy;
    const length = session.read();
    const { plaintext } = session.library;
    if (session.hasOutput) this.#answer();
    if (wasBusy !== session.isBusy && !this.has(CLOSED)) this.#busyChanged(session.isBusy);
    if (length > 0 && this.has(PAUSED | HELD)) {
      this.withhold(plaintext.u8.slice(0, length));
    } else if (length > 0 && !this.has(CLOSING | CLOSED)) {
      this.deliverFrom(plaintext, 0, length, null);
    }
    this.progressed(received);
    if (this.has(CLOSED)) return;
    if (session.error !== null) this.destroy(session.error);
    else if (session.hasEnded && !this.has(CLOSING)) this.endReceived();
  }

  /** A part of a message of the handshake has arrived, or its rest: nothing is sent in between. */
  #busyChanged(isBusy: boolean): void {
    if (!isBusy) this.flushSoon();
    if (this.has(PAUSED | HELD | CLOSING)) this.loop.engine.setReceiving(this.slot, isBusy);
  }

  /** Receives the rest of a message also if the program receives nothing, because it may be waiting for `drain`. */
  #receiveRest(): void {
    if (this.#session?.isBusy !== true || this.has(CONNECTING | CLOSED)) return;
    if (this.has(PAUSED | HELD | CLOSING)) this.loop.engine.setReceiving(this.slot, true);
  }

  /** Sends what was written while bytes were read. */
  #answer(): void {
    this.#answerBytes += this.#takeRecords(RECORD_OVERHEAD);
    if (this.#sendRecords() || this.has(CLOSED) || this.#answerBytes <= MAX_ANSWER_BYTES) return;
    this.destroy(
      new TlsError(
        "ERR_TLS_SESSION_ATTACK",
        "TLS session ended: the peer demands answers, as by renegotiation, and does not read them",
      ),
    );
  }

  #transportEnded(): void {
    const session = this.#session;
    if (this.has(CLOSING) && !this.has(CONNECTING)) {
      this.peerEnded();
      return;
    }
    if (this.#isRefused) {
      this.destroy();
      return;
    }
    if (session === null) {
      // A health check may connect and send nothing.
      this.destroy();
      return;
    }
    // The end of the stream was handled when close_notify arrived.
    if (session.hasEnded) return;
    session.transportEnded();
    const error = session.error as TlsError;
    if (this.has(CONNECTING)) this.#failHandshake(error);
    else this.destroy(error);
  }

  // Sending.

  protected override get maxSends(): number {
    return BLOCKS_AT_ONCE;
  }

  /** Up to four of the usual blocks are encrypted and sent together anyway. */
  override expect(): void {}

  protected override get isEmpty(): boolean {
    return super.isEmpty && this.#records === null;
  }

  /** Encrypts and sends until the kernel takes no more, or the stream fails. */
  protected override sendFrom(slot: number): void {
    while (!this.#isSending && this.#session?.isBusy !== true) {
      super.sendFrom(slot);
      if (!this.#sendRecords()) return;
      const taken = this.#encrypted;
      if (taken === 0) return;
      this.#encrypted = 0;
      this.taken(taken);
    }
  }

  /** Encrypts a block. Its records are sent by {@link TlsStream.sendFrom}. */
  protected override transmit(
    _slot: number,
    address: number,
    length: number,
    flags: number,
  ): number {
    const session = this.#session as TlsSession;
    const isWritten = session.write(address, length);
    this.#takeRecords(length + RECORD_OVERHEAD);
    if (!isWritten) {
      this.destroy(session.error as TlsError);
      return -ERRNO.EPROTO;
    }
    this.#encrypted += length;
    this.#flags = flags & SEND_BEFORE_FILE;
    return IN_FLIGHT;
  }

  /**
   * Reads from a file, encrypts, and sends.
   *
   * @returns The number of bytes whose records were sent: those that an earlier call has encrypted count, too.
   */
  protected override transmitFile(
    _slot: number,
    file: number,
    offset: number,
    length: number,
  ): number {
    const session = this.#session as TlsSession;
    const { libc } = this.loop.kernel;
    const { scratch } = session.library;
    let taken = this.#encryptedOfFile;
    this.#encryptedOfFile = 0;
    this.#hasFileWaiting = false;
    for (let share = FILE_SHARE; taken < length; ) {
      const most = Math.min(length - taken, FILE_PIECE);
      const read =
        share <= 0
          ? 0
          : libc.syscall(SYS.pread64, file, scratch.address, most, offset + taken, 0, 0);
      if (read <= 0) {
        if (taken === 0) return read === 0 ? -ERRNO.ENODATA : read;
        this.#continueFileSoon();
        return taken;
      }
      const isWritten = session.write(scratch.address, read);
      this.#takeRecords(read + BLOCKS_AT_ONCE * RECORD_OVERHEAD);
      if (!isWritten) {
        this.destroy(session.error as TlsError);
        return -ERRNO.EPROTO;
      }
      this.#flags = 0;
      share -= read;
      if (!this.#sendRecords()) {
        if (this.has(CLOSED)) return -ERRNO.ECANCELED;
        this.#encryptedOfFile = read;
        this.#hasFileWaiting = true;
        return taken;
      }
      taken += read;
    }
    return taken;
  }

  /** Other connections have their turn before the rest of a file. */
  #continueFileSoon(): void {
    this.#hasFileWaiting = true;
    this.loop.timers.add(
      0,
      () => {
        if (this.#hasFileWaiting && !this.has(CLOSED)) super.returned();
      },
      false,
    );
  }

  /** Moves the output of the session to the records. @param length - How long it is, about. @returns How long it was. */
  #takeRecords(length: number): number {
    const session = this.#session as TlsSession;
    let total = 0;
    for (;;) {
      const block = this.#roomFor(length);
      const room = block.bytes.length - block.end;
      const taken = session.takeOutput(block.address + block.end, room);
      block.end += taken;
      total += taken;
      if (taken < room) break;
    }
    this.#dropEmptyRecords();
    return total;
  }

  /** A block of records with room for `length` bytes, if any block is so large. */
  #roomFor(length: number): Block {
    const last = this.#lastRecords;
    const isFree = last !== null && !(this.#isSending && last === this.#records);
    if (isFree && last.bytes.length - last.end >= length) return last;
    const block = this.loop.blocks.takeFor(length);
    if (last === null) this.#records = block;
    else last.next = block;
    this.#lastRecords = block;
    return block;
  }

  /** Gives back the block that was taken for output of which there was none. */
  #dropEmptyRecords(): void {
    const last = this.#lastRecords;
    if (last === null || last.end > 0) return;
    if (last === this.#records) {
      this.#records = null;
      this.#lastRecords = null;
    } else {
      let before = this.#records as Block;
      while (before.next !== last) before = before.next as Block;
      before.next = null;
      this.#lastRecords = before;
    }
    this.loop.blocks.give(last);
  }

  /** Sends records until the kernel takes no more. @returns Whether all are sent; false also if the stream has failed. */
  #sendRecords(): boolean {
    for (let block = this.#records; block !== null && !this.#isSending; block = this.#records) {
      const length = block.end - block.start;
      const flags = block.next === null ? this.#flags : 0;
      const taken = this.#send(block.address + block.start, length, flags);
      if (taken === IN_FLIGHT) {
        this.#isSending = true;
      } else if (taken < 0) {
        this.failed(-taken, "send");
        return false;
      } else {
        super.countSent(taken);
        block.start += taken;
        this.#isSending = taken < length;
        if (!this.#isSending) this.#dropRecords(block);
      }
    }
    if (this.#records !== null) return false;
    this.#answerBytes = 0;
    return true;
  }

  /** See {@link Engine.send}. */
  #send(address: number, length: number, flags: number): number {
    const { engine, kernel } = this.loop;
    // A completion would come in the next turn. Until then handshakes and files, which is what is sent here without
    // bytes of the queue, could not continue.
    if (engine.trigger !== "completion" || this.#encrypted > 0) {
      return engine.send(this.slot, address, length, flags);
    }
    const sent = sendNow(kernel.libc, this.fileno(), address, length, flags);
    if (sent < 0 || sent === length) return sent;
    const rest = engine.send(this.slot, address + sent, length - sent, flags);
    if (rest < 0 && rest !== IN_FLIGHT) return rest;
    return sent;
  }

  #dropRecords(block: Block): void {
    this.#records = block.next;
    if (block.next === null) this.#lastRecords = null;
    this.loop.blocks.give(block);
  }

  override sent(length: number): void {
    const block = this.#records as Block;
    super.countSent(length);
    block.start += length;
    if (block.start < block.end) {
      // A part of the bytes that were encrypted, so that a peer which reads slowly makes progress.
      const part = Math.min(length, this.#encrypted - 1);
      if (part > 0) {
        this.#encrypted -= part;
        this.taken(part);
      }
      return;
    }
    this.#isSending = false;
    this.#dropRecords(block);
    this.#sentRecords();
  }

  override returned(): void {
    this.#isSending = false;
    this.#sentRecords();
  }

  /** The engine can send again. */
  #sentRecords(): void {
    if (!this.#sendRecords()) return;
    if (this.#isRefused) {
      this.closeUnopened();
      return;
    }
    const taken = this.#encrypted;
    this.#encrypted = 0;
    if (taken > 0) this.taken(taken);
    if (this.has(CLOSED | CONNECTING)) return;
    if (this.#hasFileWaiting) super.returned();
    else this.flush();
  }

  /** Sends close_notify behind everything else. */
  protected override finish(): boolean {
    if (!this.#hasEnded) {
      // It follows when the peer has sent the rest of its message.
      if (this.#session?.isBusy === true) return false;
      this.#hasEnded = true;
      this.#session?.end();
      this.#takeRecords(RECORD_OVERHEAD);
    }
    return this.#sendRecords();
  }

  /** Records count, and not the bytes in them: they are what the peer acknowledges. */
  protected override countSent(): void {}

  override reset(): void {
    // Nothing comes before the reset.
    this.#hasEnded = true;
    super.reset();
  }

  override failed(errno: number, syscall: string): void {
    this.#hasEnded = true;
    if (this.#timer === null || this.#session === null || this.#isRefused) {
      super.failed(errno, syscall);
    } else {
      this.#failHandshake(new SysError(syscall, errno, { fd: this.fileno() }));
    }
  }

  override close(): void {
    super.close();
    this.#receiveRest();
  }

  override pause(): void {
    super.pause();
    this.#receiveRest();
  }

  override hold(): void {
    super.hold();
    this.#receiveRest();
  }

  override destroy(error?: Error): void {
    this.#endAtOnce();
    super.destroy(error);
  }

  /** Sends close_notify if nothing else is to be sent, so that the peer sees the end, as without TLS. */
  #endAtOnce(): void {
    const session = this.#session;
    if (session === null || this.#hasEnded || !this.isEmpty) return;
    if (this.has(CONNECTING | CLOSED) || session.error !== null) return;
    this.#hasEnded = true;
    session.end();
    this.#takeRecords(RECORD_OVERHEAD);
    const block = this.#records;
    if (block === null) return;
    sendNow(this.loop.kernel.libc, this.fileno(), block.address, block.end, 0);
    this.#dropRecords(block);
  }

  override abandon(): void {
    super.abandon();
    while (this.#records !== null) this.#dropRecords(this.#records);
    this.#isSending = false;
    this.#encrypted = 0;
    this.#encryptedOfFile = 0;
    this.#hasFileWaiting = false;
    this.#session?.dispose();
  }
}

/** Whether the bytes of a connection are encrypted. */
export function isEncrypted(connection: object): boolean {
  return connection instanceof TlsStream;
}
