/** Bodies that both sides compute from a number and a length, so that lost, reordered and mixed bytes differ. */
import { createHash } from "node:crypto";
import { randomFrom } from "../../support/faulty-kernel.ts";

export const MOST_BYTES: number = 1_048_576;

/** The sizes of the files that are served. The content of each has its size as its number. */
export const FILE_SIZES: readonly number[] = [0, 1, 1000, 70_000, MOST_BYTES];

const POOL: Buffer = poolOf(2 * MOST_BYTES);

/** A view of a shared array, which must not be written to. */
export function content(seed: number, length: number): Buffer {
  const from = (seed * 7919) % MOST_BYTES;
  return POOL.subarray(from, from + length);
}

/** Content as text, with characters of one byte and of two. */
export function contentText(seed: number, length: number): string {
  return content(seed, length).toString("latin1");
}

export function sumOf(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex");
}

function poolOf(length: number): Buffer {
  const random = randomFrom(1);
  const words = Uint32Array.from({ length: length / 4 }, () => random() * 2 ** 32);
  return Buffer.from(words.buffer);
}
