import type { NamesOf } from "../base/argument.ts";
import { printAs } from "../base/inspect.ts";
import { rangeError, show, typeError } from "../base/misuse.ts";
import { Completion } from "./completion.ts";
import type { ProvidedBuffers } from "./provided-buffers.ts";

/** How a ring of buffers is made. */
export interface BufferRingOptions {
  /** The number by which submissions name it: 0 to 65,535. Default 0. */
  readonly group?: number | undefined;
  /** How many buffers: a power of two from 1 to 32,768. Default 64. */
  readonly count?: number | undefined;
  /** Bytes in each: a power of two from 64 to 1 MiB. Default 4096. */
  readonly bufferBytes?: number | undefined;
}

export const BUFFER_RING_OPTIONS: NamesOf<BufferRingOptions> = {
  group: true,
  count: true,
  bufferBytes: true,
};

/** Bytes that were received, in the kernel's choice of a buffer. */
export interface Received extends Disposable {
  /** Good until `release`. */
  readonly bytes: Uint8Array;
  /** Where they are, to send them from there. */
  readonly address: number;
  /** Gives the buffer back to the kernel. Safe to call twice. */
  release(): void;
}

/**
 * Buffers that the kernel takes from as bytes arrive, so that a receive that waits needs none.
 *
 * @remarks
 * Made by `Ring.addBuffers`. When all are taken, a receive ends with `-ENOBUFS`: release some and ask
 * for it again. Where the kernel can (Linux 6.12) small messages share a buffer.
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

  /** The number by which submissions name it. */
  get group(): number {
    return this.#buffers.group;
  }

  /** Bytes in a buffer. */
  get bufferBytes(): number {
    return this.#buffers.bufferBytes;
  }

  /** How many buffers there are. */
  get count(): number {
    return this.#buffers.count;
  }

  /**
   * What a completion received.
   *
   * @remarks
   * To be asked once for every completion of this group that {@link Completion.hasBuffer | has a buffer},
   * in the order in which they came: where a message lies follows from those before it.
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

/** @throws RangeError `ERR_INVALID_LENGTH`. */
export function powerOfTwo(what: string, value: number, least: number, most: number): number {
  const good = Number.isInteger(value) && value >= least && value <= most;
  if (good && Number.isInteger(Math.log2(value))) return value;
  throw rangeError(
    "ERR_INVALID_LENGTH",
    `Cannot use ${show(value)} as ${what}: give a power of two from ${least} to ${most}`,
  );
}
