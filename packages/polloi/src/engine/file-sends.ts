import type { Kernel } from "../sys/kernel.ts";
import { sendFileNow } from "./calls.ts";
import type { Completions } from "./engine.ts";
import { KIND_STREAM, type Slots } from "./slots.ts";

/** The bytes of files that one stream sends in a turn. Copying them takes about a tenth of a millisecond. */
const FILE_BYTES = 524_288;

/** What becomes of a stream whose file could not go whole. */
export interface FileWaits {
  /** Its socket is full: {@link Completions.returned} when it has room. */
  room(slot: number): void;
  /** It has had its share: a turn is wanted soon. */
  turn(): void;
}

/**
 * Sending from files, by sendfile(2) in every engine: see docs/decisions/0011.
 *
 * @remarks
 * Each stream gets a share of a turn, so that one that takes a large file as fast as it comes does not
 * keep the others waiting.
 */
export class FileSends {
  readonly #kernel: Kernel;
  readonly #slots: Slots;
  readonly #completions: Completions;
  readonly #waits: FileWaits;
  /** How much of its share each slot has had in this turn, and which have had any. */
  readonly #had: number[] = [];
  readonly #served: number[] = [];
  /** Who has had all of it and goes on in the next turn. */
  readonly #next: Set<number> = new Set();

  constructor(kernel: Kernel, slots: Slots, completions: Completions, waits: FileWaits) {
    this.#kernel = kernel;
    this.#slots = slots;
    this.#completions = completions;
    this.#waits = waits;
  }

  /** Whether somebody goes on in the next turn, which then is not to wait. */
  get waiting(): boolean {
    return this.#next.size > 0;
  }

  /** How many go on in the next turn. */
  get size(): number {
    return this.#next.size;
  }

  /** See {@link Engine.sendFile}. */
  send(slot: number, file: number, offset: number, length: number): number {
    // Without holes, which would make it slow.
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
      this.#waits.room(slot);
    } else {
      this.#next.add(slot);
      this.#waits.turn();
    }
    return sent;
  }

  /** A turn begins: those who have a new share go on. @returns How many there were. */
  begin(): number {
    for (const slot of this.#served) this.#had[slot] = 0;
    this.#served.length = 0;
    if (this.#next.size === 0) return 0;
    const due = [...this.#next];
    this.#next.clear();
    for (const slot of due) {
      // One of them may close another.
      if (this.#slots.kinds[slot] === KIND_STREAM) this.#completions.returned(slot);
    }
    return due.length;
  }

  /** The slot is closed. */
  forget(slot: number): void {
    // One that never was sent a file may lie behind the end, and would leave holes before it.
    if (slot < this.#had.length) this.#had[slot] = 0;
    this.#next.delete(slot);
  }
}
