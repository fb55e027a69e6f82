import { IOU_PBUF_RING_INC } from "polloi/internal/pure";
import type { Memory } from "../process/memory.ts";

/** The number of 32-bit and of 16-bit words of an entry: address, length, number of the buffer. */
const WORDS = 4;
const HALVES = 8;
const AT_NUMBER = 6;
/** The tail is in the padding of the first entry. */
const AT_TAIL = 7;
const MAX_LENGTH = 0x7fff_ffff;

/**
 * A ring of buffers that the program provides, of which the kernel takes one when bytes have arrived.
 *
 * Source: io_uring_register(2), IORING_REGISTER_PBUF_RING; io_uring/kbuf.c, io_ring_buffer_select and io_kbuf_commit.
 */
export class BufferGroup {
  /** The address, length and number of the buffer that was selected. */
  address = 0;
  length = 0;
  number = 0;
  readonly #words: Uint32Array;
  readonly #halves: Uint16Array;
  readonly #mask: number;
  readonly #isIncremental: boolean;
  /** The number of buffers that were consumed, in 16 bits. */
  #head = 0;

  private constructor(bytes: Uint8Array, entries: number, flags: number) {
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, entries * WORDS);
    this.#halves = new Uint16Array(bytes.buffer, bytes.byteOffset, entries * HALVES);
    this.#mask = entries - 1;
    this.#isIncremental = (flags & IOU_PBUF_RING_INC) !== 0;
  }

  /** @returns undefined when the memory of the entries is not mapped. */
  static at(
    memory: Memory,
    address: number,
    { entries, flags }: { readonly entries: number; readonly flags: number },
  ): BufferGroup | undefined {
    const bytes = memory.bytes(address, entries * WORDS * 4);
    return bytes === undefined ? undefined : new BufferGroup(bytes, entries, flags);
  }

  /** Selects the next buffer, or at most `most` bytes of it; 0 for all. @returns Whether there is one. */
  select(most: number): boolean {
    if (this.#halves[AT_TAIL] === this.#head) return false;
    const index = this.#head & this.#mask;
    const words = this.#words;
    const at = index * WORDS;
    this.address = (words[at + 1] as number) * 0x1_0000_0000 + (words[at] as number);
    const length = Math.min(words[at + 2] as number, MAX_LENGTH);
    this.length = most === 0 ? length : Math.min(most, length);
    this.number = this.#halves[index * HALVES + AT_NUMBER] as number;
    return true;
  }

  /** Consumes bytes of the selected buffer. @returns Whether the whole buffer is consumed. */
  commit(length: number): boolean {
    if (!this.#isIncremental) {
      this.#advance();
      return true;
    }
    const words = this.#words;
    for (let left = length; left > 0; ) {
      const at = (this.#head & this.#mask) * WORDS;
      const has = words[at + 2] as number;
      const taken = Math.min(left, has);
      if (has > taken || taken === 0) {
        const low = (words[at] as number) + taken;
        words[at] = low;
        if (low > 0xffff_ffff) words[at + 1] = (words[at + 1] as number) + 1;
        words[at + 2] = has - taken;
        return false;
      }
      words[at + 2] = 0;
      this.#advance();
      left -= taken;
    }
    return true;
  }

  #advance(): void {
    this.#head = (this.#head + 1) & 0xffff;
  }
}
