import { MADV_DONTNEED } from "../sys/abi.ts";
import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { OutgoingFile } from "./connection.ts";

/** How much one block holds. */
const BLOCK_BYTES = 16_384;
/** And a small one. */
export const SMALL_BYTES = 1024;
/** Blocks are mapped so many bytes at a time. */
const SLAB_BYTES = 1024 * 1024;
/** Free blocks that keep their pages: 4 MiB. The pages of any more go back to the system. */
const WARM_BLOCKS = 256;

/**
 * Bytes that wait to be sent, from `start` to `end`: in mapped memory, in a file, or still in the array or the
 * string that was written.
 */
export interface Block {
  address: number;
  bytes: Uint8Array;
  start: number;
  end: number;
  /** The block whose bytes follow these. */
  next: Block | null;
  /** Whether it is a piece of the engine's own memory, good until the engine settles. */
  readonly lent: boolean;
  /** The file that they are in, instead of memory. */
  readonly file: OutgoingFile | null;
  /** What was written and is not copied into memory yet; then `start` and `end` only count the bytes left. */
  readonly source: Uint8Array | string | null;
  /** Where in `source` the bytes left begin: a byte of an array, a UTF-16 code unit of a string. */
  sourceAt: number;
}

/**
 * The blocks of one reactor, lent to whoever has bytes to send.
 *
 * @remarks
 * Bytes are copied here once, when they are written or, if they are many, when it is their turn, and the kernel
 * takes them from here. The block
 * given back last is lent first, so a server whose peers keep up works in a few warm blocks.
 *
 * Small ones are for messages: a ring has dozens under way at a time, and what begins at a multiple of
 * many KiB competes for the same few lines of the processor's caches.
 */
export class Blocks {
  readonly #kernel: Kernel;
  readonly #slabs: Arena[] = [];
  readonly #warm: Block[] = [];
  readonly #cold: Block[] = [];
  readonly #small: Block[] = [];
  readonly #lent: Block[] = [];
  #used = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** How many are in use: mapped ones, lent ones, those of files and those not copied yet. */
  get used(): number {
    return this.#used;
  }

  /** @throws SysError `ENOMEM` when the system has no memory to map. */
  take(): Block {
    const block = this.#warm.pop() ?? this.#cold.pop() ?? this.#grow(this.#cold, BLOCK_BYTES);
    this.#used++;
    return block;
  }

  /** A block of {@link SMALL_BYTES}. @throws SysError `ENOMEM` when the system has no memory to map. */
  takeSmall(): Block {
    const block = this.#small.pop() ?? this.#grow(this.#small, SMALL_BYTES);
    this.#used++;
    return block;
  }

  /** A block that is a piece of `arena`: bytes that are sent from where they were received. */
  lend(arena: Arena, start: number, length: number): Block {
    const block = this.#lent.pop() ?? newBlock(0, NOTHING, true);
    block.address = arena.address;
    block.bytes = arena.u8;
    block.start = start;
    block.end = start + length;
    this.#used++;
    return block;
  }

  /** A block that is a stretch of a file. */
  ofFile(file: OutgoingFile): Block {
    const block = newBlock(0, NOTHING, false, file);
    block.start = file.offset;
    block.end = file.offset + file.length;
    this.#used++;
    return block;
  }

  /** A block of bytes that are copied piece by piece as they are sent. @param length - In bytes. */
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
    } else if (this.#warm.length < WARM_BLOCKS) {
      this.#warm.push(block);
    } else {
      this.#kernel.libc.madvise(block.address, BLOCK_BYTES, MADV_DONTNEED);
      this.#cold.push(block);
    }
  }

  dispose(): void {
    for (const slab of this.#slabs) this.#kernel.arenas.release(slab);
    this.#slabs.length = 0;
    this.#warm.length = 0;
    this.#cold.length = 0;
    this.#small.length = 0;
  }

  #grow(free: Block[], bytes: number): Block {
    const slab = this.#kernel.arenas.map(SLAB_BYTES);
    this.#slabs.push(slab);
    for (let offset = SLAB_BYTES - bytes; offset >= 0; offset -= bytes) {
      free.push(newBlock(slab.address + offset, slab.u8.subarray(offset, offset + bytes), false));
    }
    return free.pop() as Block;
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
