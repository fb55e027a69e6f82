import type { NamesOf } from "../base/argument.ts";
import { printAs } from "../base/inspect.ts";
import { numberError, show, typeError } from "../base/misuse.ts";
import { Completion } from "./completion.ts";
import type { ProvidedBuffers } from "./provided-buffers.ts";

/** Options of a ring of buffers. */
export interface BufferRingOptions {
  /** The group number by which submissions select it: 0 to 65,535. Default 0. */
  readonly group?: number | undefined;
  /** The number of buffers: a power of two from 1 to 32,768. Default 64. */
  readonly count?: number | undefined;
  /** The size of each: a power of two from 64 bytes to 1 MiB. Default 4096. */
  readonly bufferBytes?: number | undefined;
}

export const BUFFER_RING_OPTIONS: NamesOf<BufferRingOptions> = {
  group: true,
  count: true,
  bufferBytes: true,
};

/** Received bytes, in a buffer that the kernel chose. */
export interface Received extends Disposable {
  /** Valid until `release`. */
  readonly bytes: Uint8Array;
  /** Their address, to send them from there. */
  readonly address: number;
  /** Returns the buffer to the kernel. Safe to call twice. */
  release(): void;
}

/**
 * Buffers from which the kernel chooses when bytes arrive, so that a waiting receive needs none.
 *
 * @remarks
 * `Ring.addBuffers` makes it. When all buffers are in use, a receive ends with `-ENOBUFS`: release some and receive
 * again. From Linux 6.12 on, small messages share a buffer.
 *
 * Source: io_uring_register(2), IORING_REGISTER_PBUF_RING.
 */
export class BufferRing {
  static {
    printAs(BufferRing, ({ group, count, bufferBytes }) => ({ group, count, bufferBytes }));
  }

  readonly #buffers: ProvidedBuffers;

  /** @internal */
  constructor(buffers: ProvidedBuffers) {
    this.#buffers = buffers;
  }

  /** The group number by which submissions select it. */
  get group(): number {
    return this.#buffers.group;
  }

  /** The size of a buffer in bytes. */
  get bufferBytes(): number {
    return this.#buffers.bufferBytes;
  }

  /** The number of buffers. */
  get count(): number {
    return this.#buffers.count;
  }

  /**
   * Returns the bytes that a completion received.
   *
   * @remarks
   * Call it once for every completion of this group that {@link Completion.hasBuffer | has a buffer}, in the order
   * of the completions: the offset of a message in its buffer depends on the messages before it.
   *
   * @throws TypeError `ERR_INVALID_DATA` when it has no buffer.
   */
  take(completion: Completion): Received {
    if (!(completion instanceof Completion)) {
      throw typeError(
        "ERR_INVALID_DATA",
        `Cannot take a buffer of ${show(completion)}: give a completion of the ring's wait()`,
      );
    }
    if (!completion.hasBuffer) {
      throw typeError(
        "ERR_INVALID_DATA",
        `Cannot take a buffer of completion ${completion.tag}: it has none (result ${completion.result})`,
      );
    }
    const buffers = this.#buffers;
    const length = Math.max(completion.result, 0);
    const offset = buffers.take(completion.flags, length);
    const number = buffers.numberAt(offset);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      buffers.drop(number);
      buffers.publish();
    };
    const { memory } = buffers;
    const bytes = memory.u8.subarray(offset, offset + length);
    return { bytes, address: memory.address + offset, release, [Symbol.dispose]: release };
  }
}

/** @throws TypeError or RangeError `ERR_INVALID_LENGTH`. */
export function powerOfTwo(what: string, value: number, least: number, most: number): number {
  const good = Number.isInteger(value) && value >= least && value <= most;
  if (good && Number.isInteger(Math.log2(value))) return value;
  throw numberError(
    "ERR_INVALID_LENGTH",
    value,
    `Cannot use ${show(value)} as ${what}: give a power of two from ${least} to ${most}`,
  );
}
