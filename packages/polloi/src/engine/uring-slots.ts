import { grown, Slots } from "./slots.ts";

/** The owner of the stream wants bytes, that of the listener connections. */
export const FLAG_WANTED = 1;
/** The end of the stream was seen. */
export const FLAG_ENDED = 2;
/** A receive or an accept is with the kernel. */
export const FLAG_ARMED = 4;
/** A poll is. */
export const FLAG_POLLED = 8;
/** A send is, of lent bytes; others may follow it. */
export const FLAG_LENT = 16;
/** No buffer was left for it: it is armed again when there is one. */
export const FLAG_STARVED = 32;
/** It was armed again after that, and has received nothing since. */
export const FLAG_HUNGRY = 64;
/** A file is to go on when the socket has room, and a poll for that is with the kernel. */
export const FLAG_ROOM = 128;

/** What a completion is of: the low bits of a tag's upper half. */
export const OP_NONE = 0;
export const OP_ACCEPT = 1;
export const OP_RECEIVE = 2;
export const OP_SEND = 3;
export const OP_POLL = 4;
export const OP_ROOM = 5;
const OP_BITS = 3;
export const OP_MASK: number = (1 << OP_BITS) - 1;

/**
 * The slots of the io_uring engine.
 *
 * ```text
 *   tag   | slot: 32 bits | generation: 29 bits | op: 3 bits |
 * ```
 *
 * @remarks
 * A slot has a new generation each time that it is used, so a completion that is late for a closed slot
 * shows itself, and the slot need not wait for it.
 */
export class UringSlots extends Slots {
  generations: Uint32Array = new Uint32Array(64);
  /** How many sends are with the kernel. */
  sends: Uint8Array = new Uint8Array(64);
  /** How long the first of them is, if it is of lent bytes. */
  lentLengths: Uint32Array = new Uint32Array(64);
  /** The number of the last submission that named the slot's descriptor. */
  submissions: Uint32Array = new Uint32Array(64);

  override take(slot: number, kind: number, fd: number, interest: number): void {
    super.take(slot, kind, fd, interest);
    this.sends[slot] = 0;
  }

  /** The upper half of the tag of an operation on `slot`. */
  tag(slot: number, op: number): number {
    return ((this.generations[slot] as number) << OP_BITS) | op;
  }

  /** Whether the upper half of a tag is of the slot as it is now. */
  isCurrent(slot: number, tag: number): boolean {
    return tag >>> OP_BITS === this.generations[slot];
  }

  /** Makes every tag of `slot` out of date. */
  renew(slot: number): void {
    this.generations[slot] = ((this.generations[slot] as number) + 1) & (0xffff_ffff >>> OP_BITS);
  }

  protected override resize(size: number): void {
    super.resize(size);
    this.sends = grown(this.sends, new Uint8Array(size));
    this.generations = grown(this.generations, new Uint32Array(size));
    this.lentLengths = grown(this.lentLengths, new Uint32Array(size));
    this.submissions = grown(this.submissions, new Uint32Array(size));
  }
}
