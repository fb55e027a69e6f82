import type { Kernel } from "../sys/kernel.ts";
import { sendFileNow } from "./calls.ts";
import type { Completions } from "./engine.ts";
import { KIND_STREAM, type Slots } from "./slots.ts";

/** The bytes of files that one stream sends in a turn. Copying them takes about a tenth of a millisecond. */
const FILE_BYTES = 524_288;

/** How a stream waits whose file was not sent completely. */
export interface FileWaits {
  /** Its socket is full: calls {@link Completions.returned} when there is room. @returns 0 or more, or `-errno`. */
  room(slot: number): number;
  /** It has used its share of the turn: another turn should start soon. */
  turn(): void;
}

/**
 * Sends from files, by sendfile(2) in every engine. See docs/decisions/0011.
 *
 * @remarks
 * Each stream has a share of a turn, so that a peer that takes a large file as fast as it is sent does not
 * delay the others.
 */
export class FileSends {
  readonly #kernel: Kernel;
  readonly #slots: Slots;
  readonly #completions: Completions;
  readonly #waits: FileWaits;
  /** The bytes that each slot has sent in this turn, and the slots that have sent any. */
  readonly #had: number[] = [];
  readonly #served: number[] = [];
  /** Slots that have used their share and continue in the next turn. */
  readonly #next: Set<number> = new Set();

  constructor(kernel: Kernel, slots: Slots, completions: Completions, waits: FileWaits) {
    this.#kernel = kernel;
    this.#slots = slots;
    this.#completions = completions;
    this.#waits = waits;
  }

  /** Whether a slot continues in the next turn, which then must not wait. */
  get waiting(): boolean {
    return this.#next.size > 0;
  }

  /** The number of slots that continue in the next turn. */
  get size(): number {
    return this.#next.size;
  }

  /** See {@link Engine.sendFile}. */
  send(slot: number, file: number, offset: number, length: number): number {
    // A sparse array would be slow.
    while (this.#had.length <= slot) this.#had.push(0);
    const had = this.#had[slot] as number;
    const most = Math.min(length, FILE_BYTES - had);
    const fd = this.#slots.fds[slot] as number;
    const sent = sendFileNow(this.#kernel, fd, file, offset, most);
    if (sent < 0) return sent;
    if (had === 0) this.#served.push(slot);
    this.#had[slot] = had + sent;
    if (sent === length) return sent;
    if (sent < most) {
      const result = this.#waits.room(slot);
      if (result < 0) return result;
    } else {
      this.#next.add(slot);
      this.#waits.turn();
    }
    return sent;
  }

  /** A turn begins: slots whose share was used continue. @returns How many there were. */
  begin(): number {
    if (this.#served.length > 0) {
      for (const slot of this.#served) this.#had[slot] = 0;
      this.#served.length = 0;
    }
    if (this.#next.size === 0) return 0;
    const due = [...this.#next];
    this.#next.clear();
    for (const slot of due) {
      // An owner may close other slots meanwhile.
      if (this.#slots.kinds[slot] === KIND_STREAM) this.#completions.returned(slot);
    }
    return due.length;
  }

  /** The slot is closed. */
  forget(slot: number): void {
    // A slot beyond the end never sent a file, and would make the array sparse.
    if (slot < this.#had.length) this.#had[slot] = 0;
    this.#next.delete(slot);
  }
}
