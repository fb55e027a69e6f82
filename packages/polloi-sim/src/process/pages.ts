import { PAGE_SIZE } from "polloi/internal/pure";

/** As much memory as this is kept for other processes: most of a ring's 32 MiB is never touched, so it takes addresses only. */
const MOST_KEPT = 2 ** 29;

/** Memory that is free, and filled with zeros, by length. */
const free: Map<number, ArrayBuffer[]> = new Map();
let kept = 0;

/**
 * Memory for processes that follow one another.
 *
 * @remarks
 * To allocate memory takes much longer than to fill what was used of it with zeros, and thousands of short programs
 * allocate the same lengths. So what a process returns belongs to another one, and must not be read or written any more.
 */
export function takePages(byteLength: number): ArrayBuffer {
  const length = wholePages(byteLength);
  const pages = free.get(length)?.pop();
  if (pages === undefined) return new ArrayBuffer(length);
  kept -= length;
  return pages;
}

/** @param used - Bytes beyond this are zero already. */
export function returnPages(pages: ArrayBuffer, used: number = pages.byteLength): void {
  const { byteLength } = pages;
  if (kept + byteLength > MOST_KEPT) return;
  new Uint8Array(pages, 0, Math.min(used, byteLength)).fill(0);
  kept += byteLength;
  const others = free.get(byteLength);
  if (others === undefined) free.set(byteLength, [pages]);
  else others.push(pages);
}

/** Rounds a length up to whole pages. */
export function wholePages(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_SIZE) * PAGE_SIZE;
}
