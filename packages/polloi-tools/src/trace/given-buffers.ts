import type { Location, MemoryMap } from "polloi/internal";
import { IORING_REGISTER_PBUF_RING, IORING_UNREGISTER_PBUF_RING } from "polloi/uring";

/** In an entry of a ring of buffers: words of 32 bits, and halves of 16. io_uring_register(2) */
const WORDS = 4;
const HALVES = 8;
const AT_NUMBER = 6;
const AT_TAIL = 7;

/** Buffers that the kernel was given to receive into. */
interface Group {
  readonly place: Location;
  readonly halves: Uint16Array;
  readonly mask: number;
  /** How many of what was given were read. */
  seen: number;
  /** Where each buffer begins, by its number, and how far it is used up. */
  readonly starts: Map<number, number>;
  readonly used: Map<number, number>;
}

/**
 * Where the kernel puts what it receives: a completion says which buffer, and not where that is.
 *
 * @remarks
 * An entry is read before the kernel sees it. Afterwards the kernel writes into it, how much of the buffer
 * is left.
 */
export class GivenBuffers {
  readonly #memory: MemoryMap;
  readonly #groups: Map<string, Group> = new Map();

  constructor(memory: MemoryMap) {
    this.#memory = memory;
  }

  /** io_uring_register was called, and has succeeded. `struct io_uring_buf_reg` is at `address`. */
  registered(ring: number, operation: number, address: number): void {
    const place = this.#memory.find(address);
    if (place === undefined) return;
    const { arena, offset } = place;
    const entries = this.#memory.find(arena.getWord(offset));
    const count = arena.u32[(offset >> 2) + 2] as number;
    const key = `${ring}:${(arena.u32[(offset >> 2) + 3] as number) & 0xffff}`;
    if (operation === IORING_UNREGISTER_PBUF_RING) this.#groups.delete(key);
    if (operation !== IORING_REGISTER_PBUF_RING || entries === undefined) return;
    this.#groups.set(key, {
      place: entries,
      halves: new Uint16Array(entries.arena.u8.buffer),
      ...{ mask: count - 1, seen: 0, starts: new Map(), used: new Map() },
    });
  }

  /** Reads what was given since the last time. To be called before the kernel is entered. */
  look(ring: number): void {
    for (const [key, group] of this.#groups) {
      if (!key.startsWith(`${ring}:`)) continue;
      const { place, halves, mask, starts, used } = group;
      const tail = halves[(place.offset >> 1) + AT_TAIL] as number;
      for (; (group.seen & 0xffff) !== tail; group.seen++) {
        const index = group.seen & mask;
        const number = halves[(place.offset >> 1) + index * HALVES + AT_NUMBER] as number;
        starts.set(number, place.arena.getWord(place.offset + index * WORDS * 4));
        used.set(number, 0);
      }
    }
  }

  /** Where the next `length` bytes of a buffer are. To be asked for each completion, in their order. */
  take(ring: number, group: number, number: number, length: number): number | undefined {
    const given = this.#groups.get(`${ring}:${group}`);
    const start = given?.starts.get(number);
    if (given === undefined || start === undefined) return undefined;
    const used = given.used.get(number) ?? 0;
    given.used.set(number, used + length);
    return start + used;
  }

  closed(ring: number): void {
    for (const key of this.#groups.keys()) if (key.startsWith(`${ring}:`)) this.#groups.delete(key);
  }
}
