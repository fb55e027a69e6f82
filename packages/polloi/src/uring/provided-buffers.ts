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

/** How a ring of buffers is made. */
export interface ProvidedBuffersOptions {
  /** The number by which submissions name it: 0 to 65,535. */
  readonly group: number;
  /** Bytes in a buffer: a power of two. */
  readonly bufferBytes: number;
  /** The most buffers that it may have: a power of two, at most 32,768. */
  readonly maxBuffers: number;
  /** How many it has at first; {@link ProvidedBuffers.grow} doubles them. */
  readonly firstBuffers: number;
}

/** Words of 32 bits, and of 16, in an entry: address, length, number of the buffer. */
export const WORDS = 4;
export const HALVES = 8;
export const AT_NUMBER = 6;
/** The tail lives in the padding of the first entry. */
export const AT_TAIL = 7;

/**
 * Memory that the kernel receives into, a buffer taken for each receive when its bytes are there and not
 * before, so that ten thousand idle connections need none.
 *
 * ```text
 *   ring    [ address | length | number | - ] [ ... ] ...   the kernel takes from the head,
 *   memory  [ buffer 0 ][ buffer 1 ][ buffer 2 ] ...         buffers come back at the tail
 * ```
 *
 * @remarks
 * Where the kernel can (Linux 6.12), a buffer is used up *incrementally*: small messages lie in it side
 * by side, and a large one gets all of it. Who reads it holds it ({@link hold}); it goes back to the
 * kernel when it is used up and held by nobody.
 *
 * Source: io_uring_register(2), IORING_REGISTER_PBUF_RING; io_uring_setup_buf_ring(3).
 */
export class ProvidedBuffers {
  /** All of its buffers, one behind another. */
  readonly memory: Arena;
  readonly bufferBytes: number;
  readonly group: number;
  /** Whether buffers are used up bit by bit. */
  readonly incremental: boolean;
  readonly #kernel: Kernel;
  readonly #ring: RawRing;
  readonly #entries: Arena;
  readonly #halves: Uint16Array;
  readonly #mask: number;
  readonly #shift: number;
  /** How far each buffer is used up. */
  readonly #used: Uint32Array;
  /** By how many it is held: one more while the kernel may still receive into it. */
  readonly #holders: Uint16Array;
  #tail = 0;
  #count = 0;
  /** How many the kernel may receive into, by what was taken so far. */
  #ready = 0;
  #returned = false;

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
    this.memory = kernel.arenas.map(maxBuffers * bufferBytes);
    this.incremental = this.#register(IOU_PBUF_RING_INC) >= 0;
  }

  /**
   * Registers a ring of buffers.
   *
   * @returns It, or `-errno`: EINVAL where the kernel has none (before Linux 5.19), ENOMEM, EEXIST.
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

  /** How many buffers there are, in the ring and held. */
  get count(): number {
    return this.#count;
  }

  /** How many there are to receive into, by what was taken so far. */
  get ready(): number {
    return this.#ready;
  }

  /** How often buffers are held, by whoever reads or sends from them: 0 when all of them have come back. */
  get held(): number {
    let holders = 0;
    for (let number = 0; number < this.#count; number++) holders += this.#holders[number] as number;
    return holders - this.#ready;
  }

  /**
   * The place in {@link memory} of what a completion received, and the first to hold its buffer.
   *
   * @param flags - The completion's, with IORING_CQE_F_BUFFER.
   * @param length - How much was received. To be asked for every completion, in their order.
   */
  take(flags: number, length: number): number {
    const number = flags >>> IORING_CQE_BUFFER_SHIFT;
    const used = this.#used[number] as number;
    const offset = (number << this.#shift) + used;
    this.#used[number] = used + length;
    // The kernel's hold becomes the reader's when the buffer is used up.
    if ((flags & IORING_CQE_F_BUF_MORE) !== 0) {
      this.#holders[number] = (this.#holders[number] as number) + 1;
    } else {
      this.#ready--;
    }
    return offset;
  }

  /** The buffer that has the byte at `offset` of {@link memory}. */
  numberAt(offset: number): number {
    return offset >>> this.#shift;
  }

  /** One more holds the buffer. */
  hold(number: number): void {
    this.#holders[number] = (this.#holders[number] as number) + 1;
  }

  /** One less does. The last one gives it back; the kernel sees it after {@link publish}. */
  drop(number: number): void {
    const holders = (this.#holders[number] as number) - 1;
    this.#holders[number] = holders;
    if (holders === 0) this.#give(number);
  }

  /** Shows the kernel the buffers that came back. */
  publish(): void {
    if (!this.#returned) return;
    Atomics.store(this.#halves, AT_TAIL, this.#tail & 0xffff);
    this.#returned = false;
  }

  /** Doubles the buffers, up to the most there may be. */
  grow(): void {
    this.#add(Math.min(this.#count, this.#mask + 1 - this.#count));
  }

  /** Takes the buffers from the kernel. To be called when nothing receives into them any more. */
  close(): void {
    const { arenas } = this.#kernel;
    if (this.#ring.fileno() >= 0) this.#call(IORING_UNREGISTER_PBUF_RING, 0, 0, 0);
    arenas.release(this.#entries);
    arenas.release(this.memory);
  }

  #add(count: number): void {
    for (let i = 0; i < count; i++) this.#give(this.#count++);
  }

  #give(number: number): void {
    const index = this.#tail & this.#mask;
    const { u32 } = this.#entries;
    const address = this.memory.address + (number << this.#shift);
    u32[index * WORDS] = address;
    u32[index * WORDS + 1] = address / 0x1_0000_0000;
    u32[index * WORDS + 2] = this.bufferBytes;
    this.#halves[index * HALVES + AT_NUMBER] = number;
    this.#used[number] = 0;
    this.#holders[number] = 1;
    this.#tail++;
    this.#ready++;
    this.#returned = true;
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
