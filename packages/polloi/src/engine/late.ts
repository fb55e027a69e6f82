import type { Arena, Arenas } from "../sys/arena.ts";

/** How much of a stream one piece holds. */
const PIECE_BYTES = 65_536;

/** Bytes that came late, from the start of an arena of their own. */
export interface Piece {
  readonly arena: Arena;
  length: number;
}

/** What came late for one slot, oldest first. */
export interface LateArrivals {
  readonly pieces: Piece[];
  /** The end of the stream came too. */
  ended: boolean;
  /** Connections, for a listener. */
  readonly fds: number[];
}

/**
 * What the kernel had received or accepted for a slot before it was told to stop: kept until the owner
 * wants it.
 *
 * @remarks
 * Bytes are copied, so that a paused stream keeps nobody else's buffers. There are no more of them than a receive
 * takes before it ends: see `RECEIVE_LIMIT`.
 */
export class Late {
  readonly #arenas: Arenas;
  readonly #slots: Map<number, LateArrivals> = new Map();

  constructor(arenas: Arenas) {
    this.#arenas = arenas;
  }

  /** How many slots something came late for. */
  get size(): number {
    return this.#slots.size;
  }

  /** How much memory is mapped for them. */
  get bytes(): number {
    let bytes = 0;
    for (const { pieces } of this.#slots.values()) bytes += pieces.length * PIECE_BYTES;
    return bytes;
  }

  has(slot: number): boolean {
    return this.#slots.size > 0 && this.#slots.has(slot);
  }

  /** What came late for `slot`, to be taken from the front. */
  of(slot: number): LateArrivals | undefined {
    return this.#slots.get(slot);
  }

  putBytes(slot: number, bytes: Uint8Array): void {
    const { pieces } = this.#at(slot);
    for (let from = 0; from < bytes.length; ) {
      let piece = pieces.at(-1);
      if (piece === undefined || piece.length === PIECE_BYTES) {
        piece = { arena: this.#arenas.map(PIECE_BYTES), length: 0 };
        pieces.push(piece);
      }
      const part = bytes.subarray(from, from + PIECE_BYTES - piece.length);
      piece.arena.u8.set(part, piece.length);
      piece.length += part.length;
      from += part.length;
    }
  }

  putEnd(slot: number): void {
    this.#at(slot).ended = true;
  }

  putFd(slot: number, fd: number): void {
    this.#at(slot).fds.push(fd);
  }

  /** Forgets the slot and gives its memory back. Descriptors are the caller's. */
  delete(slot: number): void {
    const arrivals = this.#slots.get(slot);
    if (arrivals === undefined) return;
    for (const { arena } of arrivals.pieces) this.#arenas.release(arena);
    this.#slots.delete(slot);
  }

  /** Forgets everything. @returns The descriptors, to be closed. */
  clear(): number[] {
    const fds = [...this.#slots.values()].flatMap((arrivals) => arrivals.fds);
    for (const slot of [...this.#slots.keys()]) this.delete(slot);
    return fds;
  }

  #at(slot: number): LateArrivals {
    let arrivals = this.#slots.get(slot);
    if (arrivals === undefined) {
      arrivals = { pieces: [], ended: false, fds: [] };
      this.#slots.set(slot, arrivals);
    }
    return arrivals;
  }
}
