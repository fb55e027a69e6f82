import type { Arena, ArenaPool } from "../sys/arena.ts";

/** How much of a stream one piece holds, unless more comes at once. */
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
 * Bytes are copied, so that a paused stream keeps nobody else's buffers.
 */
export class Late {
  readonly #arenas: ArenaPool;
  readonly #slots: Map<number, LateArrivals> = new Map();

  constructor(arenas: ArenaPool) {
    this.#arenas = arenas;
  }

  /** How many slots something came late for. */
  get size(): number {
    return this.#slots.size;
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
    let piece = pieces.at(-1);
    if (piece === undefined || piece.arena.byteLength - piece.length < bytes.length) {
      const arena = this.#arenas.map(Math.max(PIECE_BYTES, bytes.length));
      piece = { arena, length: 0 };
      pieces.push(piece);
    }
    piece.arena.u8.set(bytes, piece.length);
    piece.length += bytes.length;
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
