import type { Kernel } from "../../../polloi/src/sys/kernel.ts";
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
} from "../../../polloi/src/uring/constants.ts";
import { ProvidedBuffers } from "../../../polloi/src/uring/provided-buffers.ts";
import { RawRing } from "../../../polloi/src/uring/raw-ring.ts";

export const GROUP = 7;
const BUFFER_BYTES = 64;
const BUFFERS = 4;

/** A completion as both sides must have it. */
export interface Completed {
  readonly tag: number;
  readonly result: number;
  readonly flags: number;
  /** The bytes in a provided buffer. */
  readonly bytes: Uint8Array | undefined;
}

/** A small ring with a few small buffers, so that both run out. */
export class TestRing {
  readonly raw: RawRing;
  readonly #kernel: Kernel;
  #buffers: ProvidedBuffers | undefined;
  readonly #held: number[] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.raw = new RawRing({ entries: 8, completionEntries: 16, kernel });
  }

  /** @returns 0 or `-errno`. */
  addBuffers(): number {
    const options = {
      group: GROUP,
      bufferBytes: BUFFER_BYTES,
      maxBuffers: BUFFERS,
      firstBuffers: BUFFERS,
    };
    const buffers = ProvidedBuffers.register(this.raw, this.#kernel, options);
    if (typeof buffers === "number") return buffers;
    this.#buffers = buffers;
    return 0;
  }

  /** Gives the buffers of all completions back to the kernel. */
  returnBuffers(): void {
    for (const number of this.#held.splice(0)) this.#buffers?.drop(number);
    this.#buffers?.publish();
  }

  /** Submits, runs what is due, and takes all completions. */
  enter(): { result: number; completed: readonly Completed[] } {
    const result = this.raw.enter(0, 0);
    return { result, completed: this.#take() };
  }

  /** Waits for operations that the kernel runs in other threads. */
  wait(count: number): { result: number; completed: readonly Completed[] } {
    const result = this.raw.enter(count, 1000);
    return { result, completed: this.#take() };
  }

  close(): void {
    this.raw.close();
    this.#buffers?.close();
  }

  #take(): readonly Completed[] {
    const { completions } = this.raw;
    const completed: Completed[] = [];
    for (; completions.length > 0; completions.skip()) {
      const at = completions.next();
      const [flags, result] = [completions.flags(at), completions.result(at)];
      completed.push({
        tag: completions.tagLow(at),
        result,
        flags,
        bytes: this.#bytes(flags, result),
      });
    }
    completions.publish();
    return completed;
  }

  #bytes(flags: number, result: number): Uint8Array | undefined {
    if ((flags & IORING_CQE_F_BUFFER) === 0 || this.#buffers === undefined) return undefined;
    const offset = this.#buffers.take(flags, Math.max(result, 0));
    this.#held.push(flags >>> IORING_CQE_BUFFER_SHIFT);
    return this.#buffers.memory.u8.slice(offset, offset + Math.max(result, 0));
  }
}
