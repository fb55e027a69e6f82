/** Bytes in order, in the pieces in which they were added. */
export class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds `chunk`, which nobody may change from here on. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** Removes and returns up to `limit` bytes, as one piece, which may be shorter than what there is. */
  shift(limit: number): Uint8Array {
    const first = this.#chunks[0];
    if (first === undefined || limit <= 0) return EMPTY;
    if (first.length <= limit) {
      this.#chunks.shift();
      this.#length -= first.length;
      return first;
    }
    this.#chunks[0] = first.subarray(limit);
    this.#length -= limit;
    return first.subarray(0, limit);
  }

  /** Copies bytes, from `skip` on, to `target`, and leaves them here. @returns Their number. */
  peek(target: Uint8Array, skip = 0): number {
    let before = skip;
    let done = 0;
    for (const chunk of this.#chunks) {
      if (done === target.length) break;
      if (before >= chunk.length) {
        before -= chunk.length;
        continue;
      }
      const end = Math.min(chunk.length, before + target.length - done);
      target.set(before === 0 && end === chunk.length ? chunk : chunk.subarray(before, end), done);
      done += end - before;
      before = 0;
    }
    return done;
  }

  /** Returns the byte at an index. */
  at(index: number): number {
    let left = index;
    for (const chunk of this.#chunks) {
      if (left < chunk.length) return chunk[left] as number;
      left -= chunk.length;
    }
    return 0;
  }

  /** Removes `count` bytes. */
  discard(count: number): void {
    let left = count;
    while (left > 0) {
      const removed = this.shift(left).length;
      if (removed === 0) return;
      left -= removed;
    }
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#length = 0;
  }
}

const EMPTY = new Uint8Array(0);
