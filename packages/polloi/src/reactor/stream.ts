import { ERRNO } from "../base/errno.ts";
import { type Fields, printAs } from "../base/inspect.ts";
import { typeError } from "../base/misuse.ts";
import { SysError } from "../base/sys-error.ts";
import { delayOf } from "../base/timeout.ts";
import type { ProxyHeader } from "../proxy/header.ts";
import { formatAddress, type SocketAddress, unmapped } from "../socket/address.ts";
import { SHUT_WR } from "../socket/constants.ts";
import {
  type PeerState,
  readLocalAddress,
  readPeerAddress,
  readPeerState,
  readUntaken,
  resetOnClose,
} from "../socket/raw.ts";
import { readTcpInfo, type TcpInfo } from "../socket/tcp-info.ts";
import type { Arena } from "../sys/arena.ts";
import type { TlsInfo } from "../tls/session.ts";
import type {
  Connection,
  ConnectionOptions,
  ConnectionState,
  Handlers,
  OutgoingFile,
} from "./connection.ts";
import {
  FINISHED,
  ForwardingHandlers,
  handlersInContext,
  type StreamHandlers,
} from "./forwarding.ts";
import { GracefulClose } from "./graceful-close.ts";
import { IdleTimeout } from "./idle-timeout.ts";
import type { Loop } from "./loop.ts";
import {
  checkConnectionOptions,
  checkData,
  checkError,
  checkOutgoingFile,
  checkTimeout,
} from "./options.ts";
import type { Preface } from "./preface.ts";
import { fileCancelled, SendQueue } from "./send-queue.ts";
import { openedOf } from "./streams/opened.ts";
import { adapterOf } from "./streams/web-streams.ts";

/** The part of a listener that its connections use. */
export interface StreamListener {
  /** Whether `stop` was called. */
  readonly stopping: boolean;
  /** One of its connections has closed. */
  closed(connection: Connection): void;
}

/** The state that the connections of one listener, or of one connect, share, so that each takes less memory. */
export interface StreamProfile<Data> {
  readonly handlers: StreamHandlers<Data>;
  readonly zeroCopy: boolean;
  readonly idleTimeoutMs: number;
  readonly highWaterBytes: number;
  readonly maxPendingBytes: number;
  /** The listener that accepted them; undefined for connections that were made or adopted. */
  readonly listener: StreamListener | undefined;
  /** Makes the {@link Preface} of a connection that was accepted, if it has one. */
  readonly prefaceOf: ((stream: Stream<Data>) => Preface | undefined) | undefined;
}

const NO_BYTES = new Uint8Array(0);
/** How long a lingering close waits for the peer to end its half. */
const LINGERING_CLOSE_MS = 1000;
/** How long a closing connection waits for a peer that acknowledges nothing. */
const CLOSING_MS = 30_000;

// The state of a stream: bits of one number, because a server holds thousands of streams.
export const CONNECTING = 1;
/** `end` was called: the local half ends after the queued data. */
const ENDING = 2;
/** The local half is shut down. */
const ENDED = 4;
/** The peer's half is shut down. */
export const PEER_ENDED = 8;
/** `close` was called. */
export const CLOSING = 16;
/**
 * In a lingering close: everything is sent, and what the peer still sends is discarded until it ends its half. A reset
 * would make the peer lose data that it has not read.
 */
export const LINGERING = 32;
export const CLOSED = 64;
export const PAUSED = 128;
/** In the loop's list of streams to flush. */
const DIRTY = 256;
/** `write` returned false. */
const FULL = 512;
/** Was full, and is below half of the high-water mark: in the loop's list of streams to call `drain` of. */
const DRAINED = 1024;
/** Bytes were received. */
const HAS_RECEIVED = 2048;
/** Its listener stops, and the stream was notified. */
const STOPPING = 4096;
/** The peer's half ended before `handOver`, and the new handlers were not called with it yet. */
const END_PENDING = 8192;
/** Its {@link Preface} is not complete: no handler was called yet. */
export const PREFACE = 16_384;
/** It began with a PROXY header. */
const PROXIED = 32_768;
/** Bytes that arrived behind the preface, or before {@link Stream.hold}, wait for `resume`. */
const WITHHELD = 65_536;

/** Nothing is received until {@link Stream.deliver}: bytes that were received before are to be delivered first. */
export const HELD = 131_072;
/** `unref` was called. */
const BACKGROUND = 262_144;
/** Written bytes are not sent before {@link Stream.uncork}. */
const CORKED = 524_288;

// What few streams have, so that the others need no field for it.
const proxyHeaders = new WeakMap<object, ProxyHeader>();
const withheld = new WeakMap<object, Uint8Array>();

/**
 * A connection: it handles the events of its slot, and calls the handlers.
 *
 * @remarks
 * A server holds thousands of streams, so a stream has few fields: bits instead of booleans, queued data in a chain of
 * blocks that is empty for most, and everything shared in the profile.
 */
export class Stream<Data> extends SendQueue implements Connection<Data> {
  static {
    printAs<Stream<unknown>>(Stream, (it) => it.#fields(), "Connection");
  }

  // Undefined until the program sets it, as documented, although the type does not say so.
  data: Data = undefined as Data;
  #profile: StreamProfile<Data>;
  #slot = -1;
  #fd = -1;
  #bits = 0;
  #idle: IdleTimeout | null = null;
  /**
   * Its connector while it connects, its {@link Preface} before it is opened, or its {@link GracefulClose} while its
   * listener stops. Abandoned when it closes.
   */
  #attached: { abandon(): void } | null = null;

  constructor(loop: Loop, profile: StreamProfile<Data>, connecting: boolean) {
    super(loop);
    this.#profile = profile;
    this.#bits = connecting ? CONNECTING : 0;
  }

  get state(): ConnectionState {
    return stateOf(this.#bits);
  }

  get paused(): boolean {
    return this.#is(PAUSED);
  }

  get unacknowledgedBytes(): number {
    return this.#fd < 0
      ? this.pendingBytes
      : this.pendingBytes + readUntaken(this.loop.kernel, this.#fd);
  }

  get unreadBytes(): number {
    if (this.#fd < 0) return 0;
    const before = this.#is(WITHHELD) ? (withheld.get(this) as Uint8Array).length : 0;
    return before + this.loop.engine.unread(this.#slot);
  }

  get peerState(): PeerState {
    return this.#fd < 0 ? "gone" : readPeerState(this.loop.kernel, this.#fd);
  }

  get remoteAddress(): SocketAddress | null {
    if (this.#fd < 0) return null;
    return this.proxyHeader?.source ?? unmapped(readPeerAddress(this.loop.kernel, this.#fd));
  }

  get localAddress(): SocketAddress | null {
    if (this.#fd < 0) return null;
    return this.proxyHeader?.destination ?? unmapped(readLocalAddress(this.loop.kernel, this.#fd));
  }

  get proxyHeader(): ProxyHeader | null {
    return this.#is(PROXIED) ? (proxyHeaders.get(this) ?? null) : null;
  }

  get tls(): TlsInfo | null {
    return null;
  }

  get tcpInfo(): TcpInfo | null {
    return this.#fd < 0 ? null : readTcpInfo(this.loop.kernel, this.#fd);
  }

  fileno(): number {
    return this.#fd;
  }

  write(bytes: Uint8Array | string): boolean {
    checkData(bytes);
    // No error: the peer may have ended the connection, and the caller may be writing to many.
    if (this.#is(ENDING | CLOSING | CLOSED) || this.#isStuck()) return false;
    try {
      if (typeof bytes === "string") this.appendText(bytes);
      else this.append(bytes);
    } catch (error) {
      // A part may be queued, and nothing may follow it.
      this.failedWith(error);
      return false;
    }
    this.#markDirty();
    const isWhole = this.files === 0 && this.sources === 0;
    if (isWhole && this.pendingBytes <= this.#profile.highWaterBytes) return true;
    this.#bits |= FULL;
    return false;
  }

  sendFile(file: OutgoingFile): boolean {
    checkOutgoingFile(file);
    if (this.#is(ENDING | CLOSING | CLOSED) || this.#isStuck()) {
      // Not at once, so that `done` is never called from within sendFile.
      this.loop.soon(() => this.fileDone(file, fileCancelled(file)));
    } else {
      this.appendFile(file);
      this.#markDirty();
      this.#bits |= FULL;
    }
    return false;
  }

  end(bytes?: Uint8Array | string): void {
    if (bytes !== undefined) this.write(bytes);
    if (this.#is(ENDING | CLOSING | CLOSED)) return;
    this.#bits |= ENDING;
    if (this.isEmpty) this.#allSent();
    else this.loop.engine.hasten();
    if (!this.#is(CLOSED)) this.#limitEnding();
  }

  close(): void {
    if (this.#is(CLOSING | CLOSED)) return;
    this.#bits |= CLOSING;
    if (!this.isEmpty) {
      this.loop.engine.hasten();
      // A stream that connects continues to do so, since its data must be sent.
      if (!this.#is(CONNECTING)) this.loop.engine.setReceiving(this.#slot, false);
      this.#idle ??= this.#idleTimeout(CLOSING_MS, () => this.#timedOut());
    } else if (this.#is(CONNECTING)) {
      this.destroy();
    } else {
      this.#allSent();
    }
  }

  destroy(error?: Error): void {
    if (error !== undefined) checkError(error);
    if (this.#is(CLOSED)) return;
    const files = this.unsentFiles();
    // A reset, so that the peer does not take its data for complete. A unix socket has no reset, and ends.
    if (this.#fd >= 0 && !this.isEmpty) resetOnClose(this.loop.kernel, this.#fd);
    this.abandon();
    const { listener } = this.#profile;
    // A stream that was accepted and never opened has none.
    const isUnopened = this.#is(PREFACE) || (this.#is(CONNECTING) && listener !== undefined);
    const handlers: Handlers<Data> = isUnopened ? {} : this.#profile.handlers;
    listener?.closed(this);
    for (const file of files) this.fileDone(file, error ?? fileCancelled(file));
    if (error !== undefined) this.#tellError(handlers, error);
    try {
      handlers.close?.(this, error);
    } catch (thrown) {
      this.#threw(thrown);
    }
  }

  reset(): void {
    if (this.#fd >= 0) resetOnClose(this.loop.kernel, this.#fd);
    this.destroy();
  }

  pause(): void {
    if (this.#is(PAUSED | CLOSED | CLOSING)) return;
    this.#bits |= PAUSED;
    if (!this.#is(CONNECTING)) this.loop.engine.setReceiving(this.#slot, false);
  }

  resume(): void {
    if (!this.#is(PAUSED) || this.#is(CLOSED | CLOSING)) return;
    this.#bits &= ~PAUSED;
    this.#receiveAgain();
  }

  ref(): void {
    if (!this.#is(BACKGROUND)) return;
    this.#bits &= ~BACKGROUND;
    if (this.#slot >= 0) this.loop.background(-1);
  }

  unref(): void {
    if (this.#is(BACKGROUND | CLOSED)) return;
    this.#bits |= BACKGROUND;
    // A stream that connects has no slot, and keeps the process alive until it has.
    if (this.#slot >= 0) this.loop.background(1);
  }

  handOver<Next>(options: Handlers<Next> & ConnectionOptions): Connection<Next> {
    checkConnectionOptions(options, "handOver()");
    const next = this as unknown as Stream<Next>;
    const { listener } = next.#profile;
    const { handlers } = next.#profile;
    next.#profile = profileOf(options, listener);
    if (handlers instanceof ForwardingHandlers) {
      next.setHandlers(ForwardingHandlers.over(handlers, next.handlers));
    }
    next.data = undefined as Next;
    this.setIdleTimeout(next.#profile.idleTimeoutMs);
    if (this.#is(STOPPING)) {
      // The new protocol has not been notified yet.
      this.#attached?.abandon();
      this.#attached = null;
      this.#bits &= ~STOPPING;
      this.loop.timers.add(0, () => this.stop(), false);
    }
    if (this.#is(PEER_ENDED)) {
      this.#bits |= END_PENDING;
      this.loop.timers.add(0, () => this.#deliverEnd(), false);
    }
    return next;
  }

  setIdleTimeout(timeoutMs: number): void {
    delayOf(timeoutMs);
    checkTimeout("the idle timeout", timeoutMs);
    // A closing stream has its own timeout.
    if (this.#is(CLOSING | CLOSED)) return;
    this.#idle?.cancel();
    this.#idle = null;
    if (timeoutMs > 0) this.#idle = this.#idleTimeout(timeoutMs, () => this.#idled());
    if (this.#is(ENDING)) this.#limitEnding();
  }

  get opened(): Promise<Connection<Data>> {
    return openedOf(this, this.#is(CONNECTING));
  }

  get readable(): ReadableStream<Uint8Array> {
    return adapterOf(this).readable;
  }

  get writable(): WritableStream<Uint8Array | string> {
    return adapterOf(this).writable;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return adapterOf(this).read().iterator();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // Called by the rest of the reactor.

  /** The listener that accepted it, if one did. */
  get listener(): StreamListener | undefined {
    return this.#profile.listener;
  }

  /** Sets the connector to abandon if the stream is closed while it connects. */
  connecting(connector: { abandon(): void }): void {
    this.#attached = connector;
  }

  get handlers(): StreamHandlers<Data> {
    return this.#profile.handlers;
  }

  /** Replaces the handlers, and nothing else. */
  setHandlers(handlers: StreamHandlers<Data>): void {
    this.#profile = { ...this.#profile, handlers };
  }

  /** Collects what is written until {@link Stream.uncork}, which must follow. Bytes that wait already may be sent. */
  cork(): void {
    this.#bits |= CORKED;
  }

  /** Sends what was written, in one send if it fits into one block. */
  uncork(): void {
    this.#bits &= ~CORKED;
    if (!this.isEmpty && !this.#is(CLOSED)) this.#markDirty();
  }

  /** Makes the next `length` bytes, which are written at once, leave in as few sends as possible. */
  expect(length: number): void {
    if (this.#is(ENDING | CLOSING | CLOSED)) return;
    try {
      this.appendRoom(length);
    } catch (error) {
      this.failedWith(error);
    }
  }

  /** From now on received bytes are passed as copies. */
  receiveCopies(): void {
    if (this.#profile.zeroCopy) this.#profile = { ...this.#profile, zeroCopy: false };
  }

  /** Whether a handler is called if the connection fails. */
  get reportsFailure(): boolean {
    const { error, close } = this.#profile.handlers;
    return error !== undefined || close !== undefined;
  }

  /** Receives nothing until {@link Stream.deliver} is called. */
  hold(): void {
    if (this.#is(HELD | CLOSED | CLOSING)) return;
    this.#bits |= HELD;
    if (!this.#is(CONNECTING)) this.loop.engine.setReceiving(this.#slot, false);
  }

  /** Passes bytes to `data` that were received before {@link Stream.hold}, and receives again. */
  deliver(bytes: Uint8Array | null): void {
    if (!this.#is(HELD)) return;
    this.#bits &= ~HELD;
    if (bytes !== null && this.#is(PAUSED) && !this.#is(CLOSED)) {
      this.withhold(bytes);
    } else if (bytes !== null) {
      this.#deliver(bytes);
    }
    if (!this.#is(PAUSED | CLOSED | CLOSING)) this.#receiveAgain();
  }

  /** Its listener stops. */
  stop(): void {
    if (this.#is(CLOSING | CLOSED | STOPPING)) return;
    if (this.#is(PREFACE)) {
      (this.#attached as Preface).hurry();
      return;
    }
    this.#bits |= STOPPING;
    if (this.#profile.handlers.stopping !== undefined) {
      this.#call("stopping");
      return;
    }
    const closing = new GracefulClose(this.loop.timers, this, this.#is(HAS_RECEIVED));
    // It may have closed the connection already.
    if (this.#is(CLOSED)) closing.abandon();
    else this.#attached = closing;
  }

  /**
   * Its descriptor is connected.
   *
   * @param slot - The slot that the descriptor already has, or -1.
   * @returns 0, or `-errno` if the engine refuses the descriptor, which stays the caller's then.
   */
  attach(fd: number, slot = -1): number {
    const loop = this.loop;
    this.#slot = slot < 0 ? loop.take(this) : loop.give(slot, this);
    const result = loop.engine.open(this.#slot, fd);
    if (result < 0) {
      if (slot < 0) loop.giveBack(this.#slot);
      else loop.engine.forget(slot);
      this.#slot = -1;
      return result;
    }
    this.#fd = fd;
    const wasConnecting = this.#is(CONNECTING);
    this.#bits &= ~CONNECTING;
    if (this.#is(BACKGROUND)) loop.background(1);
    const preface = this.#profile.prefaceOf?.(this);
    if (preface === undefined) {
      this.begin();
    } else {
      this.#bits |= PREFACE;
      this.#attached = preface;
    }
    // Sends what was written while it was connecting.
    if (wasConnecting) this.flush();
    return 0;
  }

  /** Stores the PROXY header that the connection began with. */
  setProxyHeader(header: ProxyHeader): void {
    this.#bits |= PROXIED;
    proxyHeaders.set(this, header);
  }

  /** From now on the connection belongs to the handlers. */
  protected begin(): void {
    this.#attached = null;
    if (this.#is(PAUSED | HELD | CLOSING)) this.loop.engine.setReceiving(this.#slot, false);
    const { idleTimeoutMs } = this.#profile;
    if (idleTimeoutMs > 0) this.setIdleTimeout(idleTimeoutMs);
    else if (this.#is(ENDING)) this.#limitEnding();
    this.#call("open");
  }

  override received(arena: Arena, offset: number, length: number): void {
    if (this.#idle !== null && !this.#is(LINGERING)) this.#idle.touch();
    if (length === 0) {
      if (this.#is(PREFACE)) (this.#attached as Preface).read(NO_BYTES);
      else this.peerEnded();
      return;
    }
    if (this.#is(CLOSING | PREFACE)) {
      if (this.#is(PREFACE)) this.#readPreface(arena, offset, length);
      return;
    }
    this.deliverFrom(arena, offset, length, arena);
    this.progressed(length);
  }

  /**
   * Passes bytes to `data`.
   *
   * @param lending - The arena, if bytes that are written from there may be sent from there.
   */
  protected deliverFrom(arena: Arena, offset: number, length: number, lending: Arena | null): void {
    this.#bits |= HAS_RECEIVED;
    const { handlers, zeroCopy } = this.#profile;
    if (handlers.data !== undefined) {
      let bytes: Uint8Array;
      if (zeroCopy) {
        bytes = arena.bytesAt(offset, length);
        this.loop.lending = lending;
        this.loop.lent = bytes;
      } else {
        bytes = this.loop.buffers.copy(arena, offset, length);
      }
      try {
        handlers.data(this, bytes);
      } catch (thrown) {
        this.#threw(thrown);
      }
      this.loop.lending = null;
    }
  }

  /** `length` of the unread bytes were received. */
  protected progressed(length: number): void {
    if (this.#is(STOPPING)) (this.#attached as GracefulClose | null)?.received(length);
  }

  /** Passes bytes to `data` when the program has called `resume`. */
  protected withhold(bytes: Uint8Array): void {
    this.#bits |= WITHHELD;
    const before = withheld.get(this);
    withheld.set(this, before === undefined ? bytes : Buffer.concat([before, bytes]));
  }

  /** Passes bytes to the preface, and those behind it to the handlers. */
  #readPreface(arena: Arena, offset: number, length: number): void {
    const preface = this.#attached as Preface;
    const taken = preface.read(new Uint8Array(arena.buffer, offset, length));
    if (taken < 0) return;
    preface.abandon();
    this.#bits &= ~PREFACE;
    this.begin();
    if (this.listener?.stopping === true) this.stop();
    if (taken === length || this.#is(CLOSED)) return;
    if (!this.#is(PAUSED)) {
      this.received(arena, offset + taken, length - taken);
    } else {
      this.withhold(arena.u8.slice(offset + taken, offset + length));
    }
  }

  /** Passes the bytes that arrived behind the preface to the handlers, which had paused the connection. */
  #deliverWithheld(): void {
    if (this.#is(PAUSED | CLOSED) || !this.#is(WITHHELD)) return;
    const bytes = withheld.get(this) as Uint8Array;
    withheld.delete(this);
    this.#bits &= ~WITHHELD;
    this.#deliver(bytes);
    if (this.#is(PAUSED | CLOSED)) return;
    // Also in a lingering close, which receives until the peer ends its half.
    if ((!this.#is(CLOSING) || this.#is(LINGERING)) && !this.#receive()) return;
    if (this.#is(END_PENDING)) this.#deliverEnd();
  }

  #deliver(bytes: Uint8Array): void {
    if (this.#is(CLOSING | CLOSED)) return;
    this.#bits |= HAS_RECEIVED;
    try {
      this.#profile.handlers.data?.(this, bytes);
    } catch (thrown) {
      this.#threw(thrown);
    }
    if (this.#is(STOPPING)) (this.#attached as GracefulClose | null)?.received(bytes.length);
  }

  override failed(errno: number, syscall: string): void {
    const hint = this.hintOf(errno, syscall);
    const error = new SysError(syscall, errno, { fd: this.#fd, hint });
    // In a lingering close everything was sent: this is no failure.
    if (this.#is(LINGERING)) {
      this.destroy();
      return;
    }
    // A reset, so that the peer does not take what it has received for complete.
    if (this.#fd >= 0) resetOnClose(this.loop.kernel, this.#fd);
    this.destroy(error);
  }

  override flush(): void {
    this.#bits &= ~DIRTY;
    if ((this.#bits & (CONNECTING | CLOSED)) !== 0) {
      this.copyLent();
      return;
    }
    this.sendFrom(this.#slot);
    if (!this.isEmpty) {
      if (this.#is(ENDING | CLOSING | FULL)) this.loop.engine.hasten();
    } else if (!this.#is(CLOSED)) {
      this.#allSent();
    }
  }

  // What a stream with a protocol of its own below that of the handlers uses and overrides.

  protected has(bits: number): boolean {
    return this.#is(bits);
  }

  /** The connection waits for its protocol, and its handlers are not called. */
  protected holdOpening(attached: { abandon(): void }): void {
    this.#bits |= CONNECTING;
    this.#attached = attached;
  }

  /** {@link Stream.begin} follows. */
  protected endOpening(): void {
    this.#bits &= ~CONNECTING;
  }

  protected get slot(): number {
    return this.#slot;
  }

  /** The kernel has taken bytes. */
  protected countSent(length: number): void {
    if (this.#idle !== null) this.#idle.sent(length);
  }

  /** Bytes were received that the handlers do not see. */
  protected touch(): void {
    this.#idle?.touch();
  }

  /** Sends soon what is to be sent. */
  protected flushSoon(): void {
    this.#markDirty();
  }

  /** Everything of the program was sent: sends what belongs behind it. @returns Whether that was sent, too. */
  protected finish(): boolean {
    return true;
  }

  /** The peer has ended its half behind bytes that the handlers have. */
  protected endReceived(): void {
    if (this.#is(PAUSED | HELD)) this.#bits |= END_PENDING;
    else this.peerEnded();
  }

  /** Closes after what was sent, without an event. */
  protected closeUnopened(): void {
    this.#bits |= CLOSING;
    this.#linger();
  }

  // The end of a stream.

  protected override onSourceDetached(): void {
    this.destroy(
      typeError(
        "ERR_INVALID_DATA",
        "Cannot send an array that was written: its ArrayBuffer was detached or shrunk before it was sent",
      ),
    );
  }

  protected override fileDone(file: OutgoingFile, error?: Error): void {
    try {
      file.done?.(error);
    } catch (thrown) {
      this.#threw(thrown);
    }
  }

  protected override onSent(length: number): void {
    this.countSent(length);
    if (!this.#is(FULL) || this.#is(DRAINED) || !this.#isLow()) return;
    this.#bits |= DRAINED;
    this.loop.markDrained(this);
  }

  override drain(): void {
    this.#bits &= ~DRAINED;
    // If it is full again, `drain` follows later. After the end of the local half there is nothing to write.
    if (!this.#isLow() || this.#is(ENDING | CLOSING | CLOSED)) return;
    this.#bits &= ~FULL;
    this.#call("drain");
  }

  override shut(error?: Error): void {
    this.destroy(error);
  }

  override abandon(): void {
    this.#bits |= CLOSED;
    this.#attached?.abandon();
    this.#attached = null;
    this.#idle?.cancel();
    this.#idle = null;
    // The loop counts the slot until the engine has released it.
    this.ref();
    const slot = this.#slot;
    this.#slot = -1;
    this.#fd = -1;
    // Before the blocks are freed: until the slot is closed, the engine may be sending from them.
    if (slot >= 0) this.loop.engine.close(slot);
    this.drop();
  }

  /** The fields that `console.log` prints. */
  #fields(): Fields {
    const shown = (address: SocketAddress | null) =>
      address === null ? null : formatAddress(address);
    return {
      fd: this.#fd,
      localAddress: shown(this.localAddress),
      remoteAddress: shown(this.remoteAddress),
      state: this.state,
      pendingBytes: this.pendingBytes,
    };
  }

  #is(bits: number): boolean {
    return (this.#bits & bits) !== 0;
  }

  #isLow(): boolean {
    const isWhole = this.files === 0 && this.sources === 0;
    return isWhole && this.pendingBytes <= this.#profile.highWaterBytes / 2;
  }

  /** Fails the connection if more than `maxPendingBytes` are queued in memory. @returns Whether it did. */
  #isStuck(): boolean {
    const { maxPendingBytes } = this.#profile;
    const waiting = this.pendingBytes - this.fileBytes;
    if (waiting <= maxPendingBytes) return false;
    const hint = `the peer does not read: ${waiting} bytes wait, and maxPendingBytes is ${maxPendingBytes}`;
    this.destroy(new SysError("send", ERRNO.ENOBUFS, { fd: this.#fd, hint }));
    return true;
  }

  #markDirty(): void {
    if (this.#is(DIRTY | CORKED)) return;
    this.#bits |= DIRTY;
    this.loop.markDirty(this);
  }

  /** The queue is empty. */
  #allSent(): void {
    if (this.#is(CLOSING)) {
      if (this.#is(LINGERING)) return;
      if (!this.finish()) {
        this.#idle ??= this.#idleTimeout(CLOSING_MS, () => this.#timedOut());
        return;
      }
      if (this.#is(PEER_ENDED)) this.destroy();
      else this.#linger();
    } else if (this.#is(ENDING) && !this.#is(ENDED | CONNECTING) && this.finish()) {
      this.#bits |= ENDED;
      const { handlers } = this.#profile;
      if (this.#is(PEER_ENDED)) this.destroy();
      else this.loop.kernel.libc.shutdown(this.#fd, SHUT_WR);
      handlers[FINISHED]?.();
    }
  }

  /** Receives again, unless it connects or is held. */
  #receiveAgain(): void {
    if (this.#is(HELD)) return;
    if (this.#is(WITHHELD)) {
      this.loop.soon(() => this.#deliverWithheld());
      return;
    }
    if (!this.#is(CONNECTING) && !this.#receive()) return;
    if (this.#is(END_PENDING)) this.loop.soon(() => this.#deliverEnd());
  }

  /** Receives again. @returns false if the engine cannot, for lack of memory, and the stream has failed. */
  #receive(): boolean {
    const result = this.loop.engine.setReceiving(this.#slot, true);
    if (result < 0) this.failed(-result, "epoll_ctl");
    return result >= 0;
  }

  #linger(): void {
    this.#bits |= LINGERING;
    if (!this.#receive()) return;
    this.#idle?.cancel();
    this.#idle = linger(this.loop, this.#fd, () => this.#giveUp());
  }

  /** The peer has ended its half. */
  protected peerEnded(): void {
    this.#bits |= PEER_ENDED;
    if (this.#is(LINGERING)) {
      this.destroy();
      return;
    }
    if (this.#is(CLOSING)) return;
    if (this.#profile.handlers.end === undefined) this.end();
    else this.#call("end");
    if (this.#is(ENDED)) this.destroy();
  }

  /** Calls `end` of the handlers that were set by `handOver`, if the peer's half ended before that. */
  #deliverEnd(): void {
    if (!this.#is(END_PENDING) || this.#is(PAUSED | HELD | CLOSING | CLOSED)) return;
    this.#bits &= ~END_PENDING;
    this.peerEnded();
  }

  #idleTimeout(timeoutMs: number, onIdle: () => void): IdleTimeout {
    return new IdleTimeout(this.loop.timers, timeoutMs, onIdle, this);
  }

  /** Limits how long the peer may take to acknowledge the data before the end. */
  #limitEnding(): void {
    if (this.#is(CONNECTING | CLOSING)) return;
    this.#idle ??= this.#idleTimeout(CLOSING_MS, () => {
      if (this.unacknowledgedBytes > 0) {
        this.#timedOut();
      } else {
        // The peer has received everything, and may end its half at any time.
        this.#idle?.cancel();
        this.#idle = null;
      }
    });
    this.#idle.outgoingOnly();
  }

  #idled(): void {
    const { timeout } = this.#profile.handlers;
    const givesUp =
      timeout === undefined ||
      this.#is(CLOSING) ||
      (this.#is(ENDING) && this.unacknowledgedBytes > 0);
    if (givesUp) this.#timedOut();
    else this.#call("timeout");
  }

  #timedOut(): void {
    this.#giveUp(new SysError("idle", ERRNO.ETIMEDOUT, { fd: this.#fd }));
  }

  /** Closes after a timeout. A reset, so that the kernel does not keep unacknowledged data for minutes. */
  #giveUp(error?: Error): void {
    if (this.#fd >= 0 && readUntaken(this.loop.kernel, this.#fd) > 0) {
      resetOnClose(this.loop.kernel, this.#fd);
    }
    this.destroy(error);
  }

  #call(what: "open" | "drain" | "end" | "timeout" | "stopping"): void {
    try {
      this.#profile.handlers[what]?.(this);
    } catch (thrown) {
      this.#threw(thrown);
    }
  }

  /** Calls `error`. An exception of the handler fails the process. */
  #tellError(handlers: Handlers<Data>, error: Error): void {
    try {
      handlers.error?.(this, error);
    } catch (thrown) {
      this.loop.fail(thrown);
    }
  }

  /** A handler threw: `error` is called, or without one the process fails. */
  #threw(thrown: unknown): void {
    const { handlers } = this.#profile;
    if (handlers.error === undefined) {
      this.loop.fail(thrown);
      return;
    }
    const isError = thrown instanceof Error;
    const error = isError
      ? thrown
      : new Error(`handler threw ${String(thrown)}`, { cause: thrown });
    this.#tellError(handlers, error);
  }
}

/** The profile of handlers and options, with all defaults. */
export function profileOf<Data>(
  options: Handlers<Data> & ConnectionOptions,
  listener?: StreamListener,
  prefaceOf?: StreamProfile<Data>["prefaceOf"],
): StreamProfile<Data> {
  return {
    handlers: handlersInContext(options),
    zeroCopy: options.zeroCopy ?? false,
    idleTimeoutMs: options.idleTimeoutMs ?? 0,
    highWaterBytes: options.highWaterBytes ?? 64 * 1024,
    maxPendingBytes: options.maxPendingBytes ?? 16 * 1024 * 1024,
    listener,
    prefaceOf,
  };
}

/** The state that a program sees. */
function stateOf(bits: number): ConnectionState {
  if ((bits & CLOSED) !== 0) return "closed";
  if ((bits & CLOSING) !== 0) return "closing";
  if ((bits & ENDING) !== 0) return "ending";
  return (bits & CONNECTING) !== 0 ? "connecting" : "open";
}

/**
 * Begins a lingering close: ends the local half, and gives the peer time to end its own.
 *
 * @remarks
 * A peer that is slow to acknowledge data in the kernel has as much time as one that is slow to take queued data.
 *
 * @param giveUp - Called when the time is up.
 */
function linger({ kernel, timers }: Loop, fd: number, giveUp: () => void): IdleTimeout {
  kernel.libc.shutdown(fd, SHUT_WR);
  let before = 0;
  let leftMs = CLOSING_MS;
  return new IdleTimeout(timers, LINGERING_CLOSE_MS, () => {
    const left = readUntaken(kernel, fd);
    leftMs = left < before ? CLOSING_MS : leftMs - LINGERING_CLOSE_MS;
    if ((left === 0 && before === 0) || leftMs <= 0) giveUp();
    before = left;
  });
}
