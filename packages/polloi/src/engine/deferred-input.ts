import type { Arena, Arenas } from "../sys/arena.ts";

/** The bytes of a stream that one piece holds. */
const PIECE_BYTES = 65_536;

/** Bytes of a stream, from the start of an arena of their own. */
export interface Piece {
  readonly arena: Arena;
  length: number;
}

/** Input of one slot, oldest first. */
export interface Input {
  readonly pieces: Piece[];
  /** Whether the end of the stream follows the pieces. */
  ended: boolean;
  /** Connections, for a listener. */
  readonly fds: number[];
}

/**
 * Input that the kernel received or accepted for a slot before it processed a pause, kept until the owner
 * resumes.
 *
 * @remarks
 * Bytes are copied, so that a paused stream holds no buffer that others need. There are at most as many as a
 * receive takes before it ends: see `RECEIVE_LIMIT`.
 */
export class DeferredInput {
  readonly #arenas: Arenas;
  readonly #slots: Map<number, Input> = new Map();

  constructor(arenas: Arenas) {
    this.#arenas = arenas;
  }

  /** The number of slots that have input here. */
  get size(): number {
    return this.#slots.size;
  }

  /** The bytes of memory that are mapped for it. */
  get bytes(): number {
    let bytes = 0;
    for (const { pieces } of this.#slots.values()) bytes += pieces.length * PIECE_BYTES;
    return bytes;
  }

  has(slot: number): boolean {
    return this.#slots.size > 0 && this.#slots.has(slot);
  }

  /** The input of `slot`, to be taken from the front. */
  of(slot: number): Input | undefined {
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

  /** Drops the input of `slot` and releases its memory. The caller closes the descriptors. */
  delete(slot: number): void {
    const input = this.#slots.get(slot);
    if (input === undefined) return;
    for (const { arena } of input.pieces) this.#arenas.release(arena);
    this.#slots.delete(slot);
  }

  /** Drops everything. @returns The descriptors, for the caller to close. */
  clear(): number[] {
    const fds = [...this.#slots.values()].flatMap((input) => input.fds);
    for (const slot of [...this.#slots.keys()]) this.delete(slot);
    return fds;
  }

  #at(slot: number): Input {
    let input = this.#slots.get(slot);
    if (input === undefined) {
      input = { pieces: [], ended: false, fds: [] };
      this.#slots.set(slot, input);
    }
    return input;
  }
}
