import type { Arena } from "../sys/arena.ts";
import type { Kernel } from "../sys/kernel.ts";
import { AT_ADDRESS, AT_BYTES, AT_LENGTH, AT_MESSAGE, AT_VECTOR } from "./scratch.ts";

/*
 * `struct msghdr`, in the scratch at AT_MESSAGE. sendmsg(2)
 *
 *   0      8         12    16        24      32        40              48      52
 *   | name | namelen | pad | iovec * | count | control | controllength | flags | pad |
 */
const NAME: number = AT_MESSAGE;
const NAME_LENGTH: number = AT_MESSAGE + 8;
const VECTOR: number = AT_MESSAGE + 16;
const VECTOR_COUNT: number = AT_MESSAGE + 24;
const CONTROL: number = AT_MESSAGE + 32;
const CONTROL_LENGTH: number = AT_MESSAGE + 40;
const FLAGS: number = AT_MESSAGE + 48;

/** The parts of a message, as offsets and lengths in bytes. */
export interface MessageLayout {
  /** The number of bytes, or the size of the buffer, at AT_BYTES of the area. */
  readonly length: number;
  /** The length of the address at AT_ADDRESS of the scratch; 0 for none. */
  readonly nameLength: number;
  /** The offset of the ancillary data in the area. */
  readonly controlAt: number;
  readonly controlLength: number;
}

/** The offset of the ancillary data of `length` bytes: after them, aligned. */
export function controlOffset(length: number): number {
  return Math.ceil((AT_BYTES + length) / 8) * 8;
}

/** Fills the `msghdr` in the scratch. Its only buffer is the bytes of the area. */
export function prepareMessage({ scratch }: Kernel, area: Arena, layout: MessageLayout): void {
  const { length, nameLength, controlAt, controlLength } = layout;
  scratch.setWord(AT_VECTOR, area.address + AT_BYTES);
  scratch.setWord(AT_VECTOR + 8, length);
  scratch.setWord(NAME, nameLength === 0 ? 0 : scratch.address + AT_ADDRESS);
  scratch.setWord(NAME_LENGTH, nameLength);
  scratch.setWord(VECTOR, scratch.address + AT_VECTOR);
  scratch.setWord(VECTOR_COUNT, 1);
  scratch.setWord(CONTROL, controlLength === 0 ? 0 : area.address + controlAt);
  scratch.setWord(CONTROL_LENGTH, controlLength);
  scratch.i32[FLAGS >> 2] = 0;
}

/**
 * Reads what recvmsg wrote into the `msghdr`, and stores the length of the address where accept and recvfrom store it.
 */
export function readMessage({ scratch }: Kernel): { controlLength: number; flags: number } {
  scratch.u32[AT_LENGTH >> 2] = scratch.u32[NAME_LENGTH >> 2] as number;
  return {
    controlLength: scratch.getWord(CONTROL_LENGTH),
    flags: scratch.i32[FLAGS >> 2] as number,
  };
}

/** Copies `length` bytes of `parts`, one after the other, to the bytes of the area. */
export function gather(area: Arena, parts: readonly Uint8Array[], length: number): void {
  let at = 0;
  for (const part of parts) {
    area.u8.set(part.subarray(0, length - at), AT_BYTES + at);
    at = Math.min(at + part.length, length);
  }
}
