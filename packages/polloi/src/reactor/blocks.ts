import { MADV_DONTNEED } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { OutgoingFile } from "./connection.ts";

/** The size of a block. */
export const BLOCK_BYTES = 16_384;
/** The size of a small block. */
export const SMALL_BYTES = 1024;
/** The size of a long block, for records of TLS and for parts of a body: encrypted, four blocks are a little longer. */
const LONG_BYTES = 73_728;
/** The number of blocks that are mapped at once. */
const BLOCKS_PER_SLAB = 64;
/** The number of free blocks that keep their pages (16 MiB). The pages of further ones are returned to the system. */
const WARM_BLOCKS = 1024;
/** The same for long blocks (9 MiB). */
const WARM_LONG = 128;

/**
 * Bytes to send, from `start` to `end`: in mapped memory, in a file, or in the array or the string that was written.
 */
export interface Block {
  address: number;
  bytes: Uint8Array;
  start: number;
  end: number;
  /** The block whose bytes follow these. */
  next: Block | null;
  /** Whether it is a part of the engine's receive buffer, which is valid until the engine settles. */
  readonly lent: boolean;
  /** The file with the bytes; null if they are not in a file. */
  readonly file: OutgoingFile | null;
  /** The written bytes, if they are not copied into memory yet. Then `start` and `end` only count the bytes left. */
  readonly source: Uint8Array | string | null;
  /** The position of the bytes left in `source`: a byte of an array, a UTF-16 code unit of a string. */
  sourceAt: number;
}

/**
 * The send buffers of one reactor.
 *
 * @remarks
 * Data is copied into a block once, when it is written, or when it is about to be sent if it is large; the kernel sends
 * it from there. The block that was freed last is used first, so a server whose peers keep up works in a few blocks that
 * are in the cache.
 *
 * Small blocks are for messages. io_uring has dozens in flight at a time, and blocks that begin at multiples of many KiB
 * would compete for the same cache lines.
 */
export class Blocks {
  readonly #kernel: Kernel;
  /** Blocks that were never used. */
  readonly #large = new Slabs(BLOCK_BYTES);
  readonly #smallest = new Slabs(SMALL_BYTES);
  readonly #largest = new Slabs(LONG_BYTES);
  readonly #warm: Block[] = [];
  readonly #cold: Block[] = [];
  readonly #small: Block[] = [];
  readonly #warmLong: Block[] = [];
  readonly #coldLong: Block[] = [];
  readonly #lent: Block[] = [];
  #used = 0;
  #longUsed = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** The number of blocks in use, of all kinds. */
  get used(): number {
    return this.#used;
  }

  /** @throws SysError `ENOMEM` when the system has no memory to map. */
  take(): Block {
    const block = this.#warm.pop() ?? this.#cold.pop() ?? this.#large.take(this.#kernel);
    this.#used++;
    return block;
  }

  /** A block of {@link SMALL_BYTES}. @throws SysError `ENOMEM` when the system has no memory to map. */
  takeSmall(): Block {
    const block = this.#small.pop() ?? this.#smallest.take(this.#kernel);
    this.#used++;
    return block;
  }

  /**
   * A block with room for `length` bytes, if any block is so large.
   *
   * @throws SysError `ENOMEM` when the system has no memory to map.
   */
  takeFor(length: number): Block {
    if (length <= SMALL_BYTES) return this.takeSmall();
    if (length <= BLOCK_BYTES) return this.take();
    return this.#takeLong();
  }

  /**
   * A block with room for `length` bytes, which are more than the usual block holds, so that they leave in one send.
   *
   * @returns null if no block is so large, or if so many long blocks are in use that more would not be kept.
   * @throws SysError `ENOMEM` when the system has no memory to map.
   */
  takeLongFor(length: number): Block | null {
    if (length > LONG_BYTES || this.#longUsed >= WARM_LONG) return null;
    return this.#takeLong();
  }

  #takeLong(): Block {
    const block = this.#warmLong.pop() ?? this.#coldLong.pop() ?? this.#largest.take(this.#kernel);
    this.#used++;
    this.#longUsed++;
    return block;
  }

  /** A block that is a part of `arena`: bytes that are sent from the receive buffer. */
  lend(arena: Arena, start: number, length: number): Block {
    const block = this.#lent.pop() ?? newBlock(0, NOTHING, true);
    block.address = arena.address;
    block.bytes = arena.u8;
    block.start = start;
    block.end = start + length;
    this.#used++;
    return block;
  }

  /** A block that is a range of a file. */
  ofFile(file: OutgoingFile): Block {
    const block = newBlock(0, NOTHING, false, file);
    block.start = file.offset;
    block.end = file.offset + file.length;
    this.#used++;
    return block;
  }

  /** A block of bytes that are copied in parts as they are sent. @param length - In bytes. */
  ofSource(source: Uint8Array | string, length: number): Block {
    const block = newBlock(0, NOTHING, false, null, source);
    block.end = length;
    this.#used++;
    return block;
  }

  give(block: Block): void {
    this.#used--;
    if (block.file !== null || block.source !== null) return;
    if (block.lent) {
      block.next = null;
      this.#lent.push(block);
      return;
    }
    block.start = 0;
    block.end = 0;
    block.next = null;
    if (block.bytes.length === SMALL_BYTES) {
      this.#small.push(block);
    } else if (block.bytes.length === LONG_BYTES) {
      this.#giveLong(block);
    } else if (this.#warm.length < WARM_BLOCKS) {
      this.#warm.push(block);
    } else {
      this.#kernel.libc.madvise(block.address, BLOCK_BYTES, MADV_DONTNEED);
      this.#cold.push(block);
    }
  }

  #giveLong(block: Block): void {
    this.#longUsed--;
    if (this.#warmLong.length < WARM_LONG) {
      this.#warmLong.push(block);
    } else {
      this.#kernel.libc.madvise(block.address, LONG_BYTES, MADV_DONTNEED);
      this.#coldLong.push(block);
    }
  }

  dispose(): void {
    this.#large.release(this.#kernel);
    this.#smallest.release(this.#kernel);
    this.#largest.release(this.#kernel);
    this.#warm.length = 0;
    this.#cold.length = 0;
    this.#small.length = 0;
    this.#warmLong.length = 0;
    this.#coldLong.length = 0;
  }
}

/** Memory for blocks of one size, which is mapped {@link BLOCKS_PER_SLAB} at once. A block is made when it is needed. */
class Slabs {
  readonly #bytes: number;
  readonly #slabs: Arena[] = [];
  /** The offset of the next block in the last slab. */
  #offset = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** @throws SysError `ENOMEM` when the system has no memory to map. */
  take({ arenas }: Kernel): Block {
    const bytes = this.#bytes;
    let slab = this.#slabs.at(-1);
    if (slab === undefined || this.#offset === slab.byteLength) {
      slab = arenas.map(BLOCKS_PER_SLAB * bytes);
      this.#slabs.push(slab);
      this.#offset = 0;
    }
    const offset = this.#offset;
    this.#offset += bytes;
    return newBlock(slab.address + offset, slab.u8.subarray(offset, offset + bytes), false);
  }

  release({ arenas }: Kernel): void {
    for (const slab of this.#slabs) arenas.release(slab);
    this.#slabs.length = 0;
  }
}

const NOTHING = new Uint8Array(0);

function newBlock(
  address: number,
  bytes: Uint8Array,
  lent: boolean,
  file: OutgoingFile | null = null,
  source: Uint8Array | string | null = null,
): Block {
  return { address, bytes, start: 0, end: 0, next: null, lent, file, source, sourceAt: 0 };
}
