import {
  ERRNO,
  FIONREAD,
  O_RDONLY,
  O_WRONLY,
  PAGE_SIZE,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "polloi/internal/pure";
import { OpenFile } from "../process/open-file.ts";

const READABLE: number = POLLIN | POLLRDNORM;
const WRITABLE: number = POLLOUT | POLLWRNORM;

/** The buffers of a new pipe. Source: pipe(7), "Pipe capacity"; PIPE_DEF_BUFFERS. */
export const PIPE_BUFFERS = 16;
/** The buffers of a pipe of a user who has too many of them. Source: fs/pipe.c, PIPE_MIN_DEF_BUFFERS. */
export const FEW_PIPE_BUFFERS = 2;

/** A page of a pipe. */
interface PipeBuffer {
  readonly page: Uint8Array;
  /** The bytes from here on are not read yet. */
  offset: number;
  length: number;
}

/** Pages are used again, because making one takes longer than a call. */
const spare: PipeBuffer[] = [];
const MAX_SPARE = 256;

function takeBuffer(): PipeBuffer {
  return spare.pop() ?? { page: new Uint8Array(PAGE_SIZE), offset: 0, length: 0 };
}

/**
 * The bytes of a pipe or a FIFO.
 *
 * @remarks
 * A pipe is a queue of pages, and each page that is not read completely is occupied. So its capacity depends on how it
 * was written. Source: pipe(7); fs/pipe.c, pipe_read and pipe_write.
 */
export class Pipe {
  readonly #buffers: PipeBuffer[] = [];
  readonly #ends: PipeEnd[] = [];
  readonly #capacity: number;
  #readers = 0;
  #writers = 0;
  /** How often it was opened for reading and for writing. */
  #opened = { readers: 0, writers: 0 };
  /** Whether it was ever polled. Then each write wakes the readers, as edge-triggered programs expect. */
  #isPolled = false;

  /** @param capacity - In pages. */
  constructor(capacity: number = PIPE_BUFFERS) {
    this.#capacity = capacity;
  }

  get readers(): number {
    return this.#readers;
  }

  get writers(): number {
    return this.#writers;
  }

  get opened(): { readonly readers: number; readonly writers: number } {
    return this.#opened;
  }

  get isEmpty(): boolean {
    return this.#buffers.length === 0;
  }

  get isFull(): boolean {
    return this.#buffers.length >= this.#capacity;
  }

  /** The number of bytes to read. */
  get length(): number {
    let length = 0;
    for (const buffer of this.#buffers) length += buffer.length;
    return length;
  }

  polled(): void {
    this.#isPolled = true;
  }

  /** Source: fs/pipe.c, fifo_open, wake_up_partner. */
  add(end: PipeEnd): void {
    this.#ends.push(end);
    const isFirst = (end.canRead && this.#readers === 0) || (end.canWrite && this.#writers === 0);
    if (end.canRead) {
      this.#readers++;
      this.#opened.readers++;
    }
    if (end.canWrite) {
      this.#writers++;
      this.#opened.writers++;
    }
    if (isFirst) this.#wakeAll();
  }

  /** Source: fs/pipe.c, pipe_release. */
  remove(end: PipeEnd): void {
    this.#ends.splice(this.#ends.indexOf(end), 1);
    if (end.canRead) this.#readers--;
    if (end.canWrite) this.#writers--;
    if ((this.#readers === 0) !== (this.#writers === 0)) this.#wakeAll();
    if (this.#ends.length === 0) while (this.#buffers.length > 0) this.#free();
  }

  read(target: Uint8Array): number {
    if (target.length === 0) return 0;
    if (this.isEmpty) return this.#writers === 0 ? 0 : -ERRNO.EAGAIN;
    let count = 0;
    let wakesWriters = false;
    while (count < target.length) {
      const buffer = this.#buffers[0];
      if (buffer === undefined) break;
      const { page, offset } = buffer;
      const length = Math.min(buffer.length, target.length - count);
      target.set(page.subarray(offset, offset + length), count);
      count += length;
      buffer.offset += length;
      buffer.length -= length;
      if (buffer.length > 0) break;
      wakesWriters ||= this.isFull;
      this.#free();
    }
    if (wakesWriters) this.#wakeWriters();
    return count;
  }

  write(source: Uint8Array): number {
    if (source.length === 0) return 0;
    // SIGPIPE is ignored, as every runtime does.
    if (this.#readers === 0) return -ERRNO.EPIPE;
    const wasEmpty = this.isEmpty;
    let count = this.#merge(source);
    while (count < source.length && !this.isFull) {
      const buffer = takeBuffer();
      const length = Math.min(PAGE_SIZE, source.length - count);
      buffer.page.set(source.subarray(count, count + length));
      buffer.offset = 0;
      buffer.length = length;
      this.#buffers.push(buffer);
      count += length;
    }
    // A write that found no room wakes the readers as well.
    if (wasEmpty || this.#isPolled) this.#wakeReaders();
    return count === 0 ? -ERRNO.EAGAIN : count;
  }

  /** Adds what does not fill a page to the last page, if all of it fits there. @returns The number of bytes. */
  #merge(source: Uint8Array): number {
    const length = source.length % PAGE_SIZE;
    const last = this.#buffers.at(-1);
    if (length === 0 || last === undefined) return 0;
    const end = last.offset + last.length;
    if (end + length > PAGE_SIZE) return 0;
    last.page.set(source.subarray(0, length), end);
    last.length += length;
    return length;
  }

  #free(): void {
    const buffer = this.#buffers.shift() as PipeBuffer;
    if (spare.length < MAX_SPARE) spare.push(buffer);
  }

  #wakeReaders(): void {
    for (const end of this.#ends) if (end.canRead) end.waiters.wake(READABLE);
  }

  #wakeWriters(): void {
    for (const end of this.#ends) if (end.canWrite) end.waiters.wake(WRITABLE);
  }

  #wakeAll(): void {
    for (const end of [...this.#ends]) end.waiters.wakeAll();
  }
}

/** An end of a pipe, or of a FIFO, which can be opened for both directions. */
export class PipeEnd extends OpenFile {
  override readonly kind = "pipe";
  override readonly accessMode: number;
  readonly pipe: Pipe;
  /** No hang-up is reported as long as the pipe was opened for writing only this often. */
  readonly #quietWriters: number;

  /** @param accessMode - O_RDONLY, O_WRONLY or O_RDWR. */
  constructor(pipe: Pipe, accessMode: number, statusFlags: number) {
    super();
    this.pipe = pipe;
    this.accessMode = accessMode;
    this.statusFlags = statusFlags;
    // A reader of a FIFO that has had no writer yet is not at its end. Source: fs/pipe.c, fifo_open.
    this.#quietWriters = accessMode === O_RDONLY && pipe.writers === 0 ? pipe.opened.writers : -1;
    pipe.add(this);
  }

  /** Both ends of a new pipe. */
  static pair(statusFlags: number, capacity?: number): readonly [PipeEnd, PipeEnd] {
    const pipe = new Pipe(capacity);
    const writer = new PipeEnd(pipe, O_WRONLY, statusFlags);
    return [new PipeEnd(pipe, O_RDONLY, statusFlags), writer];
  }

  /** Source: fs/pipe.c, pipe_poll. */
  poll(): number {
    const { pipe } = this;
    pipe.polled();
    let mask = 0;
    if (this.canRead) {
      if (!pipe.isEmpty) mask |= READABLE;
      if (pipe.writers === 0 && pipe.opened.writers !== this.#quietWriters) mask |= POLLHUP;
    }
    if (this.canWrite) {
      if (!pipe.isFull) mask |= WRITABLE;
      if (pipe.readers === 0) mask |= POLLERR;
    }
    return mask;
  }

  override read(target: Uint8Array): number {
    return this.pipe.read(target);
  }

  override write(source: Uint8Array): number {
    return this.pipe.write(source);
  }

  /** Source: fs/pipe.c, pipe_ioctl. */
  override ioctl(request: number, argument: DataView): number {
    if (request !== FIONREAD) return -ERRNO.ENOTTY;
    argument.setInt32(0, this.pipe.length, true);
    return 0;
  }

  protected released(): void {
    this.pipe.remove(this);
  }
}
