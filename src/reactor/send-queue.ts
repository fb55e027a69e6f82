import { SEND_LENT, SEND_MORE } from "../engine/engine.ts";
import { BLOCK_BYTES, type Block } from "./blocks.ts";
import { type Loop, Owner } from "./loop.ts";

/**
 * Bytes that wait to be sent by one slot: the half of a stream that writes.
 *
 * @remarks
 * A base class rather than an object of its own, since there are thousands of these.
 *
 * ```text
 *   head                        tail
 *   [ sent | in flight | waiting ] -> [ waiting ]
 * ```
 */
export abstract class SendQueue extends Owner {
  pendingBytes = 0;
  protected readonly loop: Loop;
  #head: Block | null = null;
  #tail: Block | null = null;
  #inFlight = 0;

  constructor(loop: Loop) {
    super();
    this.loop = loop;
  }

  /** The kernel has taken so many bytes; `pendingBytes` says how many are left. */
  protected abstract went(length: number): void;

  /** Puts bytes at the end: borrowed where they were lent to a handler, copied from anywhere else. */
  protected append(bytes: Uint8Array): void {
    const { lent } = this.loop;
    this.pendingBytes += bytes.length;
    if (lent.buffer !== null) {
      if (this.#head === null && lent.owner === null && bytes.buffer === lent.buffer) {
        lent.owner = this;
        lent.bytes = bytes;
        return;
      }
      if (lent.owner === this) this.keepLent();
    }
    this.#copy(bytes);
  }

  /**
   * Sends until the kernel takes no more.
   *
   * @returns 0, or `-errno` when the stream failed.
   */
  protected sendFrom(slot: number): number {
    const { engine, blocks, lent } = this.loop;
    if (lent.owner === this) {
      const { bytes } = lent;
      const taken = engine.send(slot, lent.address(), bytes.length, SEND_LENT);
      if (taken < 0) return taken;
      lent.owner = null;
      if (taken < bytes.length) this.#copy(bytes.subarray(taken));
      this.#took(taken);
    }
    while (this.#head !== null && this.#inFlight === 0) {
      const block: Block = this.#head;
      const length = block.end - block.start;
      if (length > 0) {
        const flags = block.next === null ? 0 : SEND_MORE;
        const taken = engine.send(slot, block.address + block.start, length, flags);
        if (taken < 0) return taken;
        this.#inFlight = length - taken;
        block.start += taken;
        this.#took(taken);
      } else {
        this.#head = block.next;
        if (block.next === null) this.#tail = null;
        blocks.give(block);
      }
    }
    return 0;
  }

  override sent(length: number): void {
    (this.#head as Block).start += length;
    this.#inFlight -= length;
    this.#took(length);
    if (this.#inFlight === 0) this.flush();
  }

  /** Copies what was lent, if it was to this one: it cannot be sent from where it is. */
  protected keepLent(): void {
    const { lent } = this.loop;
    if (lent.owner !== this) return;
    lent.owner = null;
    this.#copy(lent.bytes);
  }

  /** Drops everything. To be called once the engine sends nothing of it any more. */
  protected drop(): void {
    const { blocks, lent } = this.loop;
    if (lent.owner === this) lent.owner = null;
    for (let block = this.#head; block !== null; ) {
      const { next } = block;
      blocks.give(block);
      block = next;
    }
    this.#head = null;
    this.#tail = null;
    this.#inFlight = 0;
    this.pendingBytes = 0;
  }

  #took(length: number): void {
    if (length === 0) return;
    this.pendingBytes -= length;
    this.went(length);
  }

  #copy(bytes: Uint8Array): void {
    const { blocks } = this.loop;
    const { length } = bytes;
    for (let from = 0; from < length; ) {
      let block = this.#tail;
      if (block === null || block.end === BLOCK_BYTES) {
        block = blocks.take();
        if (this.#tail === null) this.#head = block;
        else this.#tail.next = block;
        this.#tail = block;
      }
      const room = Math.min(BLOCK_BYTES - block.end, length - from);
      block.bytes.set(room === length ? bytes : bytes.subarray(from, from + room), block.end);
      block.end += room;
      from += room;
    }
  }
}
