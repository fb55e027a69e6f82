import { PAGE_SIZE } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUF_MORE,
  IORING_REGISTER_PBUF_RING,
  IORING_UNREGISTER_PBUF_RING,
  IOU_PBUF_RING_INC,
} from "./constants.ts";
import type { RawRing } from "./raw-ring.ts";

/** The sizes of a ring of buffers. */
export interface ProvidedBuffersOptions {
  /** The group number by which submissions select it: 0 to 65,535. */
  readonly group: number;
  /** The size of a buffer in bytes: a power of two. */
  readonly bufferBytes: number;
  /** The most buffers: a power of two, at most 32,768. */
  readonly maxBuffers: number;
  /** The initial number of buffers; {@link ProvidedBuffers.grow} doubles it. */
  readonly firstBuffers: number;
}

/** The number of 32-bit and of 16-bit words in an entry: address, length, number of the buffer. */
export const WORDS = 4;
export const HALVES = 8;
export const AT_NUMBER = 6;
/** The tail is in the padding of the first entry. */
export const AT_TAIL = 7;

/**
 * Memory for receives. The kernel takes a buffer when bytes have arrived and not before, so that ten thousand idle
 * connections need none.
 *
 * ```text
 *   ring    [ address | length | number | - ] [ ... ] ...   the kernel takes from the head,
 *   memory  [ buffer 0 ][ buffer 1 ][ buffer 2 ] ...         buffers return at the tail
 * ```
 *
 * @remarks
 * From Linux 6.12 on, a buffer is consumed *incrementally*: small messages share it, and a large one gets all of it.
 * Buffers are reference-counted ({@link hold}, {@link drop}). A buffer returns to the kernel when it is consumed and
 * its count is 0. One that the kernel still receives into may be filled from its beginning again ({@link rewind}), so that
 * a few messages at a time always arrive in the same memory, which is in the processor's caches.
 *
 * Source: io_uring_register(2), IORING_REGISTER_PBUF_RING; io_uring_setup_buf_ring(3).
 */
export class ProvidedBuffers {
  /** All buffers, one after another. */
  readonly memory: Arena;
  readonly bufferBytes: number;
  readonly group: number;
  /** Whether buffers are consumed incrementally. */
  readonly incremental: boolean;
  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  readonly #entries: Arena;
  readonly #halves: Uint16Array;
  readonly #mask: number;
  readonly #shift: number;
  /** The number of bytes of each buffer that are consumed. */
  readonly #used: Uint32Array;
  /** The reference count of each buffer, which includes the kernel while it may still receive into it. */
  readonly #holders: Uint16Array;
  /** The place of each buffer in the ring. */
  readonly #places: Uint16Array;
  /** The last buffer that the kernel alone had a reference to, or -1. */
  #unread = -1;
  #tail = 0;
  #count = 0;
  /** The number of buffers that the kernel may receive into, according to the completions so far. */
  #ready = 0;
  #returned = false;
  #closed = false;

  private constructor(
    ring: RawRing,
    kernel: Kernel,
    options: ProvidedBuffersOptions,
    entries: Arena,
  ) {
    const { group, bufferBytes, maxBuffers } = options;
    this.#ring = ring;
    this.#kernel = kernel;
    this.group = group;
    this.bufferBytes = bufferBytes;
    this.#entries = entries;
    this.#halves = new Uint16Array(entries.u8.buffer);
    this.#mask = maxBuffers - 1;
    this.#shift = Math.log2(bufferBytes);
    this.#used = new Uint32Array(maxBuffers);
    this.#holders = new Uint16Array(maxBuffers);
    this.#places = new Uint16Array(maxBuffers);
    this.memory = kernel.arenas.map(maxBuffers * bufferBytes);
    this.incremental = this.#register(IOU_PBUF_RING_INC) >= 0;
  }

  /**
   * Registers a ring of buffers.
   *
   * @returns The buffers, or `-errno`: EINVAL where the kernel has no such rings (before Linux 5.19), ENOMEM, EEXIST.
   * @throws SysError `ENOMEM` when there is no memory for the buffers.
   */
  static register(
    ring: RawRing,
    kernel: Kernel,
    options: ProvidedBuffersOptions,
  ): ProvidedBuffers | number {
    const { maxBuffers, firstBuffers } = options;
    const { arenas } = kernel;
    const entries = arenas.map(Math.max(maxBuffers * WORDS * 4, PAGE_SIZE));
    let buffers: ProvidedBuffers;
    try {
      buffers = new ProvidedBuffers(ring, kernel, options, entries);
    } catch (error) {
      arenas.release(entries);
      throw error;
    }
    if (!buffers.incremental) {
      const result = buffers.#register(0);
      if (result < 0) {
        arenas.release(entries);
        arenas.release(buffers.memory);
        return result;
      }
    }
    buffers.#add(firstBuffers);
    buffers.publish();
    return buffers;
  }

  /** The number of buffers, in the ring and held. */
  get count(): number {
    return this.#count;
  }

  /** The number of buffers to receive into, according to the completions so far. */
  get ready(): number {
    return this.#ready;
  }

  /** The number of references by readers and senders: 0 when all buffers have been returned. */
  get held(): number {
    let holders = 0;
    for (let number = 0; number < this.#count; number++) holders += this.#holders[number] as number;
    return holders - this.#ready;
  }

  /**
   * Returns the offset in {@link memory} of the bytes that a completion received, and holds their buffer. To be
   * called for every completion, in order.
   *
   * @param flags - The flags of the completion, with IORING_CQE_F_BUFFER.
   * @param length - The number of bytes that were received.
   */
  take(flags: number, length: number): number {
    const number = flags >>> IORING_CQE_BUFFER_SHIFT;
    const used = this.#used[number] as number;
    const offset = (number << this.#shift) + used;
    this.#used[number] = used + length;
    // The kernel's reference becomes the reader's when the buffer is consumed.
    if ((flags & IORING_CQE_F_BUF_MORE) !== 0) {
      this.#holders[number] = (this.#holders[number] as number) + 1;
    } else {
      this.#ready--;
    }
    return offset;
  }

  /** The number of the buffer that contains `offset` of {@link memory}. */
  numberAt(offset: number): number {
    return offset >>> this.#shift;
  }

  /** Adds a reference to a buffer. */
  hold(number: number): void {
    this.#holders[number] = (this.#holders[number] as number) + 1;
  }

  /** Drops a reference. Without references, the buffer returns to the kernel at the next {@link publish}. */
  drop(number: number): void {
    const holders = (this.#holders[number] as number) - 1;
    this.#holders[number] = holders;
    if (holders === 0) this.#give(number);
    else if (holders === 1) this.#unread = number;
  }

  /**
   * Lets the kernel fill the buffer that it receives into from its beginning again, if nothing refers to it any more.
   *
   * @remarks
   * The kernel keeps the rest of the buffer in the entry of the ring, which it reads for each receive. Nothing is changed
   * where it does not, or where completions that were not taken yet have received more: then the entry differs from what
   * is expected here. Only between two calls of a ring that receives within its calls, and not in workers of the kernel.
   */
  rewind(): void {
    const number = this.#unread;
    if (number < 0) return;
    this.#unread = -1;
    const used = this.#used[number] as number;
    const isOwn = this.#holders[number] === 1 && used < this.bufferBytes;
    if (!isOwn || used === 0 || !this.incremental) return;
    const { u32 } = this.#entries;
    const at = (this.#places[number] as number) * WORDS;
    const address = this.memory.address + (number << this.#shift);
    const isExpected =
      u32[at] === (address + used) >>> 0 && u32[at + 2] === this.bufferBytes - used;
    if (!isExpected) return;
    this.#setEntry(at, address);
    this.#used[number] = 0;
  }

  /** Makes returned buffers visible to the kernel. */
  publish(): void {
    if (!this.#returned) return;
    Atomics.store(this.#halves, AT_TAIL, this.#tail & 0xffff);
    this.#returned = false;
  }

  /** Doubles the number of buffers, up to the most allowed. */
  grow(): void {
    this.#add(Math.min(this.#count, this.#mask + 1 - this.#count));
  }

  /** Unregisters the buffers. No receive may be in flight. References may be dropped later, without effect. */
  close(): void {
    const { arenas } = this.#kernel;
    this.#closed = true;
    if (this.#ring.fileno() >= 0) this.#call(IORING_UNREGISTER_PBUF_RING, 0, 0, 0);
    arenas.release(this.#entries);
    arenas.release(this.memory);
  }

  #add(count: number): void {
    for (let i = 0; i < count; i++) this.#give(this.#count++);
  }

  #give(number: number): void {
    if (this.#closed) return;
    const index = this.#tail & this.#mask;
    this.#setEntry(index * WORDS, this.memory.address + (number << this.#shift));
    this.#places[number] = index;
    this.#halves[index * HALVES + AT_NUMBER] = number;
    this.#used[number] = 0;
    this.#holders[number] = 1;
    this.#tail++;
    this.#ready++;
    this.#returned = true;
  }

  /** Writes the address and the length of a whole buffer. */
  #setEntry(at: number, address: number): void {
    const { u32 } = this.#entries;
    u32[at] = address;
    u32[at + 1] = address / 0x1_0000_0000;
    u32[at + 2] = this.bufferBytes;
  }

  #register(flags: number): number {
    return this.#call(IORING_REGISTER_PBUF_RING, this.#entries.address, this.#mask + 1, flags);
  }

  /** `struct io_uring_buf_reg`: address, entries, group in 16 bits, flags in 16, 24 bytes of zeros. */
  #call(operation: number, address: number, entries: number, flags: number): number {
    const { scratch } = this.#kernel;
    scratch.u32.fill(0, 0, 10);
    scratch.setWord(0, address);
    scratch.u32[2] = entries;
    scratch.u32[3] = this.group | (flags << 16);
    return this.#ring.register(operation, scratch.address, 1);
  }
}
