import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { IN_FLIGHT, SEND_BEFORE_FILE, SEND_LENT, SEND_MORE } from "../engine/engine.ts";
import { BLOCK_BYTES, type Block, SMALL_BYTES } from "./blocks.ts";
import type { OutgoingFile } from "./connection.ts";
import { type Loop, Owner } from "./loop.ts";

/** The most bytes that UTF-8 has for one UTF-16 code unit. */
const MOST_PER_CHAR = 3;
/** The length of U+FFFD, which a lone surrogate is encoded as. */
const REPLACEMENT_BYTES = 3;
/** Text up to this length is encoded into the block that it is sent from, which saves an array and a copy. */
const IN_PLACE_CHARS = 2048;

/** Arrays up to this length are copied by a loop, which is faster than a call out of JavaScript. */
const SHORT_BYTES = 16;

/** Arrays of more bytes, and strings of more UTF-16 code units, are not copied when they are written. */
export const COPIED_BYTES = 262_144;

const encoder = new TextEncoder();

/**
 * The bytes that a stream has to send.
 *
 * @remarks
 * A base class of the stream instead of an object of its own, because a server holds thousands.
 *
 * ```text
 *   head                        tail
 *   [ sent | in flight | waiting ] -> [ waiting ]
 * ```
 *
 * Bytes that are written from the receive buffer are a lent block, which can only be the head: they are sent from
 * there, or copied if they cannot all be sent at once.
 *
 * Large arrays and strings are blocks without memory. When one is the next to be sent, a part of it is copied into a block
 * before it, so a peer that does not read occupies a few blocks, however much is queued for it.
 *
 * A file is a block without memory. It is sent when it is the head and nothing is in flight. Bytes that the engine has not sent
 * of it counts as in flight until the engine can continue.
 */
export abstract class SendQueue extends Owner {
  pendingBytes = 0;
  /** The number of bytes in files, and the number of files. */
  protected fileBytes = 0;
  protected files = 0;
  /** The number of arrays and strings that are not copied completely yet. */
  protected sources = 0;
  readonly loop: Loop;
  #head: Block | null = null;
  #tail: Block | null = null;
  #inFlight = 0;

  constructor(loop: Loop) {
    super();
    this.loop = loop;
  }

  /** The kernel has taken `length` bytes. `pendingBytes` says how many are left. */
  protected abstract onSent(length: number): void;

  /** The buffer of an array was detached or shrunk before the array was sent. */
  protected abstract onSourceDetached(): void;

  /** A file was sent, or cannot be because of `error`. Calls the program, which may do anything to the stream. */
  protected abstract fileDone(file: OutgoingFile, error?: Error): void;

  /** The files that are not sent, in order; the first may be sent in part. */
  protected unsentFiles(): OutgoingFile[] {
    const left: OutgoingFile[] = [];
    if (this.files === 0) return left;
    for (let block = this.#head; block !== null; block = block.next) {
      if (block.file !== null) left.push(block.file);
    }
    return left;
  }

  /** The hint for a call that failed because of the file that is being sent; otherwise undefined. */
  protected hintOf(errno: number, syscall: string): string | undefined {
    const file = this.#head === null ? null : this.#head.file;
    return file === null || syscall !== "sendfile" ? undefined : fileHint(errno, file);
  }

  /** Fails the stream with an error of a call. @throws any other error */
  protected failedWith(error: unknown): void {
    if (!(error instanceof SysError)) throw error;
    this.failed(-error.errno, error.syscall);
  }

  /** Appends bytes. They are sent without a copy if they are lent to a handler, and otherwise copied. */
  protected append(bytes: Uint8Array): void {
    const { lending, lent, blocks } = this.loop;
    this.pendingBytes += bytes.length;
    const isLent = lending !== null && (bytes === lent || bytes.buffer === lending.buffer);
    if (isLent && this.#head === null) {
      this.#head = blocks.lend(lending, bytes.byteOffset, bytes.length);
      this.#tail = this.#head;
    } else if (bytes.length > COPIED_BYTES) {
      this.#appendSource(bytes, bytes.length);
    } else {
      this.#copy(bytes);
    }
  }

  /** Appends text as UTF-8. */
  protected appendText(text: string): void {
    const { length } = text;
    if (length > COPIED_BYTES) {
      const bytes = Buffer.byteLength(text);
      this.pendingBytes += bytes;
      this.#appendSource(text, bytes);
      return;
    }
    const block = length <= IN_PLACE_CHARS ? this.#blockFor(length * MOST_PER_CHAR) : null;
    if (block === null || block.bytes.length - block.end < length * MOST_PER_CHAR) {
      this.append(encoder.encode(text));
      return;
    }
    const { written } = encoder.encodeInto(text, block.bytes.subarray(block.end));
    block.end += written;
    this.pendingBytes += written;
  }

  /** Appends a file. */
  protected appendFile(file: OutgoingFile): void {
    const block = this.loop.blocks.ofFile(file);
    this.pendingBytes += file.length;
    this.fileBytes += file.length;
    this.files++;
    this.#appendBlock(block);
  }

  #appendSource(source: Uint8Array | string, bytes: number): void {
    this.sources++;
    this.#appendBlock(this.loop.blocks.ofSource(source, bytes));
  }

  #appendBlock(block: Block): void {
    if (this.#tail === null) this.#head = block;
    else this.#tail.next = block;
    this.#tail = block;
  }

  /**
   * Provides a block for the next `length` bytes, so that they leave in one send although they are more than the usual
   * block holds. At least one byte has to be appended at once.
   */
  protected appendRoom(length: number): void {
    const tail = this.#tail;
    if (length <= BLOCK_BYTES || (tail !== null && roomOf(tail) >= length)) return;
    const block = this.loop.blocks.takeLongFor(length);
    if (block === null) return;
    if (tail !== null && this.#isAlone(tail)) this.#move(tail, block);
    else this.#appendBlock(block);
  }

  /** Whether the queue is empty, without even a file of 0 bytes. */
  protected get isEmpty(): boolean {
    return this.pendingBytes === 0 && this.files === 0 && this.sources === 0;
  }

  // How bytes are sent. A stream that encrypts them overrides these.

  /** See {@link Engine.maxSends}. */
  protected get maxSends(): number {
    return this.loop.engine.maxSends;
  }

  /** See {@link Engine.send}. */
  protected transmit(slot: number, address: number, length: number, flags: number): number {
    return this.loop.engine.send(slot, address, length, flags);
  }

  /** See {@link Engine.sendFile}. */
  protected transmitFile(slot: number, file: number, offset: number, length: number): number {
    return this.loop.engine.sendFile(slot, file, offset, length);
  }

  /** Sends until the kernel takes no more, or the stream fails. */
  protected sendFrom(slot: number): void {
    if (this.#inFlight > 0) return;
    let sends = this.maxSends;
    let before: Block | null = null;
    let block = this.#head;
    while (block !== null && sends > 0) {
      if (block.file !== null) {
        if (this.#inFlight > 0 || !this.#sendFile(slot, block, block.file)) return;
        block = this.#head;
        continue;
      }
      if (block.source !== null) {
        block = this.#copyPiece(before, block, block.source);
        if (block === null) return;
      }
      const { next, lent }: Block = block;
      const length: number = block.end - block.start;
      if (length === 0 && this.#inFlight === 0) {
        this.#dropHead(block);
        block = next;
        continue;
      }
      const isLast = sends === 1 && this.#inFlight > 0;
      const flags = (isLast ? 0 : followed(next)) | (lent ? SEND_LENT : 0);
      const taken = this.transmit(slot, block.address + block.start, length, flags);
      if (taken === IN_FLIGHT) {
        this.#inFlight += length;
        sends--;
        before = block;
        block = next;
        continue;
      }
      if (taken < 0) {
        this.failed(-taken, "send");
        return;
      }
      block.start += taken;
      if (taken === length) this.#dropHead(block);
      else if (!lent) this.#inFlight = length - taken;
      else if (!this.copyLent()) return;
      this.#took(taken);
      if (this.#inFlight > 0) return;
      block = this.#head;
    }
  }

  /**
   * Copies the next part of an array or a string into a block before what is left of it.
   *
   * @returns The block with the part; null if the stream has failed.
   */
  #copyPiece(before: Block | null, block: Block, source: Uint8Array | string): Block | null {
    const { blocks } = this.loop;
    let piece: Block;
    try {
      piece = blocks.take();
    } catch (error) {
      this.failedWith(error);
      return null;
    }
    const at = block.sourceAt;
    const room = piece.bytes.length;
    if (typeof source === "string") {
      const { read, written } = encoder.encodeInto(source.slice(at, at + room), piece.bytes);
      // A surrogate pair that the slice has split is left for the next part.
      const cut =
        read === room && at + read < source.length && isHighSurrogate(source, at + read - 1);
      block.sourceAt += cut ? read - 1 : read;
      piece.end = cut ? written - REPLACEMENT_BYTES : written;
    } else if (at < source.length) {
      const bytes = source.subarray(at, at + room);
      piece.bytes.set(bytes);
      block.sourceAt += bytes.length;
      piece.end = bytes.length;
    }
    if (piece.end === 0) {
      blocks.give(piece);
      this.onSourceDetached();
      return null;
    }
    block.start += piece.end;
    const isLast =
      typeof source === "string" ? block.sourceAt === source.length : block.start === block.end;
    piece.next = block;
    if (before === null) this.#head = piece;
    else before.next = piece;
    if (isLast) {
      this.sources--;
      // The length that runtimes count for a lone surrogate differs from its encoding.
      this.pendingBytes -= block.end - block.start;
      piece.next = block.next;
      if (this.#tail === block) this.#tail = piece;
      blocks.give(block);
    }
    return piece;
  }

  /** Sends a file as far as the socket takes it. @returns Whether it is sent, and the stream is still open. */
  #sendFile(slot: number, block: Block, file: OutgoingFile): boolean {
    const length = block.end - block.start;
    // -0 becomes 0: Deno's foreign-function interface does not take it.
    const fd = file.fd + 0;
    const taken = length === 0 ? 0 : this.transmitFile(slot, fd, block.start, length);
    if (taken < 0) {
      this.failed(-taken, "sendfile");
      return false;
    }
    block.start += taken;
    this.fileBytes -= taken;
    if (taken < length) {
      this.#inFlight = length - taken;
      this.#took(taken);
      return false;
    }
    this.#dropHead(block);
    this.files--;
    this.pendingBytes -= taken;
    this.onSent(taken);
    this.fileDone(file);
    return this.#head !== null;
  }

  override sent(length: number): void {
    this.taken(length);
    if (this.#inFlight === 0) this.flush();
  }

  /** `length` of the bytes in flight have been sent. */
  protected taken(length: number): void {
    this.#inFlight -= length;
    for (let left = length; left > 0; ) {
      const block = this.#head as Block;
      const part = Math.min(left, block.end - block.start);
      block.start += part;
      left -= part;
      if (block.start === block.end && (left > 0 || block.next !== null)) this.#dropHead(block);
    }
    this.#took(length);
  }

  override returned(): void {
    this.#inFlight = 0;
    if (this.copyLent()) this.flush();
  }

  /**
   * Copies a lent block, because it cannot be sent before the engine settles.
   *
   * @returns false if there is no memory for it, and the stream has failed.
   */
  protected copyLent(): boolean {
    const lent = this.#head;
    if (lent === null || !lent.lent) return true;
    const rest = lent.next;
    const tail = this.#tail;
    let failure: unknown;
    this.#head = null;
    this.#tail = null;
    try {
      this.#copy(lent.bytes.subarray(lent.start, lent.end));
    } catch (error) {
      failure = error;
    }
    this.loop.blocks.give(lent);
    if (rest !== null) {
      // Bytes that were written after it follow the copy.
      const copied = this.#tail as Block | null;
      if (copied === null) this.#head = rest;
      else copied.next = rest;
      this.#tail = tail;
    }
    if (failure === undefined) return true;
    this.failedWith(failure);
    return false;
  }

  /** Drops everything. Must be called after the engine has stopped sending from the blocks. */
  protected drop(): void {
    while (this.#head !== null) this.#dropHead(this.#head);
    this.#inFlight = 0;
    this.pendingBytes = 0;
    this.fileBytes = 0;
    this.files = 0;
    this.sources = 0;
  }

  #dropHead(block: Block): void {
    this.#head = block.next;
    if (block.next === null) this.#tail = null;
    this.loop.blocks.give(block);
  }

  #took(length: number): void {
    if (length === 0) return;
    this.pendingBytes -= length;
    this.onSent(length);
  }

  #copy(bytes: Uint8Array): void {
    const { length } = bytes;
    for (let from = 0; from < length; ) {
      const left = length - from;
      const block = this.#blockFor(left);
      const room = Math.min(block.bytes.length - block.end, left);
      if (length <= SHORT_BYTES && room === length) {
        const { bytes: target, end } = block;
        for (let i = 0; i < length; i++) target[end + i] = bytes[i] as number;
        block.end += length;
        return;
      }
      block.bytes.set(room === length ? bytes : bytes.subarray(from, from + room), block.end);
      block.end += room;
      from += room;
    }
  }

  /** The block to append the next bytes to. It has room for at least some of them. */
  #blockFor(length: number): Block {
    const { blocks } = this.loop;
    const tail = this.#tail;
    if (tail === null) {
      this.#head = length <= SMALL_BYTES ? blocks.takeSmall() : blocks.take();
      this.#tail = this.#head;
      return this.#head;
    }
    const room = roomOf(tail);
    if (room >= length) return tail;
    // Several writes move to a large block, so that they leave in one send.
    if (this.#isAlone(tail)) return this.#move(tail, blocks.take());
    if (room > 0) return tail;
    tail.next = blocks.take();
    this.#tail = tail.next;
    return tail.next;
  }

  /** Whether the last block is a small one, which is used alone, and the engine does not send from it. */
  #isAlone(tail: Block): boolean {
    return tail.bytes.length === SMALL_BYTES && !tail.lent && this.#inFlight === 0;
  }

  /** Moves the bytes of the only block into a larger one. */
  #move(from: Block, to: Block): Block {
    to.bytes.set(from.bytes.subarray(from.start, from.end));
    to.end = from.end - from.start;
    this.#head = to;
    this.#tail = to;
    this.loop.blocks.give(from);
    return to;
  }
}

/** The number of bytes that a block has room for. */
function roomOf(block: Block): number {
  const isMemory = !block.lent && block.file === null && block.source === null;
  return isMemory ? block.bytes.length - block.end : 0;
}

function isHighSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 0xd800 && unit < 0xdc00;
}

/** SEND_* bits that describe the next block to the engine. */
function followed(next: Block | null): number {
  if (next === null) return 0;
  if (next.file === null) return SEND_MORE;
  return next.end > next.start ? SEND_BEFORE_FILE : 0;
}

/** The error of a file that is not sent because its connection closed without an error. */
export function fileCancelled({ fd }: OutgoingFile): SysError {
  const hint = "the connection was closed before all of the file was sent";
  return new SysError("sendfile", ERRNO.ECANCELED, { fd, hint });
}

/** The hint if sendfile(2) fails because of the file; undefined if it fails because of the peer. */
function fileHint(errno: number, { fd }: OutgoingFile): string | undefined {
  switch (errno) {
    case ERRNO.ENODATA:
      return `the file of fd ${fd} ended before the length that was to be sent: it was truncated`;
    case ERRNO.EINVAL:
    case ERRNO.EISDIR:
    case ERRNO.ESPIPE:
      return `fd ${fd} is not a regular file, or its file system cannot send: read it and write the bytes`;
    case ERRNO.EBADF:
      return `fd ${fd} is not open for reading: it has to stay open until done is called`;
    case ERRNO.EIO:
      return `the file of fd ${fd} could not be read`;
    default:
      return undefined;
  }
}
