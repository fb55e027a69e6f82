import { FIRST_SLOTS, grown, Slots } from "./slots.ts";

/** The operation that a completion belongs to: the low bits of the upper half of its tag. */
export const OP_NONE = 0;
export const OP_ACCEPT = 1;
export const OP_RECEIVE = 2;
export const OP_SEND = 3;
export const OP_POLL = 4;
export const OP_ROOM = 5;
/** The poll of another event loop's descriptor, which has a number instead of a slot. */
export const OP_LOOP = 6;
const OP_BITS = 3;
export const OP_MASK: number = (1 << OP_BITS) - 1;

/**
 * The slots of the io_uring engine, with the tags of their operations.
 *
 * ```text
 *   tag   | slot: 32 bits | generation: 29 bits | op: 3 bits |
 * ```
 *
 * @remarks
 * Each use of a slot has a generation of its own. A completion that is late for a closed slot is recognized
 * by its generation, so a slot need not wait for it before it is used again.
 */
export class UringSlots extends Slots {
  generations: Uint32Array = new Uint32Array(FIRST_SLOTS);
  /** The number of sends in flight. */
  sends: Uint8Array = new Uint8Array(FIRST_SLOTS);
  /** The length of the first of them, if it is of lent bytes. */
  lentLengths: Uint32Array = new Uint32Array(FIRST_SLOTS);
  /** The number of the last submission that named the slot's descriptor. */
  submissions: Uint32Array = new Uint32Array(FIRST_SLOTS);

  override take(slot: number, kind: number, fd: number, interest: number): void {
    super.take(slot, kind, fd, interest);
    this.sends[slot] = 0;
  }

  /** The upper half of the tag of an operation on `slot`. */
  tag(slot: number, op: number): number {
    return (((this.generations[slot] as number) << OP_BITS) | op) >>> 0;
  }

  /** Whether the upper half of a tag belongs to the present use of `slot`. */
  isCurrent(slot: number, tag: number): boolean {
    return tag >>> OP_BITS === this.generations[slot];
  }

  /** Makes all present tags of `slot` outdated. */
  renew(slot: number): void {
    this.generations[slot] = ((this.generations[slot] as number) + 1) & (0xffff_ffff >>> OP_BITS);
  }

  protected override resize(size: number): void {
    super.resize(size);
    this.generations = grown(this.generations, new Uint32Array(size));
    this.sends = grown(this.sends, new Uint8Array(size));
    this.lentLengths = grown(this.lentLengths, new Uint32Array(size));
    this.submissions = grown(this.submissions, new Uint32Array(size));
  }
}
