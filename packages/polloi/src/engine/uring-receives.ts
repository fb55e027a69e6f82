import { ERRNO } from "../base/errno.ts";
import type { Arena, Arenas } from "../sys/arena.ts";
import { IORING_CQE_F_BUFFER, IORING_CQE_F_MORE } from "../uring/constants.ts";
import type { ProvidedBuffers } from "../uring/provided-buffers.ts";
import type { Completions } from "./engine.ts";
import type { Late } from "./late.ts";
import type { UringOperations } from "./uring-operations.ts";
import {
  FLAG_ARMED,
  FLAG_ENDED,
  FLAG_HUNGRY,
  FLAG_STARVED,
  FLAG_WANTED,
  type UringSlots,
} from "./uring-slots.ts";

/** So many of those that found no buffer are armed again for each that there is. */
const STREAMS_PER_BUFFER = 4;

/** What the io_uring engine has received, and the memory that is on loan for it until `settle`. */
export class UringReceives {
  readonly #slots: UringSlots;
  readonly #buffers: ProvidedBuffers;
  readonly #operations: UringOperations;
  readonly #completions: Completions;
  readonly #late: Late;
  readonly #arenas: Arenas;
  /** The first `#loanCount` are buffers that hold what was told. */
  readonly #loans: number[] = [];
  #loanCount = 0;
  /** Memory of what came late. */
  #lateLoans: Arena[] = [];
  /** Streams that wait for a buffer: the one that has waited for longest is armed first. */
  #starved: number[] = [];
  /** Streams whose receive has come to its end, with bytes or without. */
  readonly #over: number[] = [];
  /** Those that were armed again and found none again: they go before the others, as they did. */
  #passedOver: number[] = [];

  constructor(
    slots: UringSlots,
    buffers: ProvidedBuffers,
    operations: UringOperations,
    completions: Completions,
    { late, arenas }: { readonly late: Late; readonly arenas: Arenas },
  ) {
    this.#slots = slots;
    this.#buffers = buffers;
    this.#operations = operations;
    this.#completions = completions;
    this.#late = late;
    this.#arenas = arenas;
  }

  /** How many pieces of memory are on loan until `settle`. */
  get loans(): number {
    return this.#loanCount + this.#lateLoans.length;
  }

  /** A receive of `slot` came to its end, or told of more. @returns How many things were told. */
  received(slot: number, tag: number, result: number, flags: number): number {
    const slots = this.#slots;
    const buffers = this.#buffers;
    const { memory } = buffers;
    const hasBuffer = (flags & IORING_CQE_F_BUFFER) !== 0;
    // Also for who is gone: it is what keeps account of the buffer.
    const offset = hasBuffer ? buffers.take(flags, Math.max(result, 0)) : 0;
    if (hasBuffer) this.#loans[this.#loanCount++] = buffers.numberAt(offset);
    if (!slots.isCurrent(slot, tag)) return 0;
    if ((flags & IORING_CQE_F_MORE) === 0) slots.lower(slot, FLAG_ARMED);
    if (result >= 0) {
      if (slots.has(slot, FLAG_HUNGRY)) slots.lower(slot, FLAG_HUNGRY);
      if (slots.has(slot, FLAG_WANTED) && !this.#late.has(slot)) {
        if (result === 0) this.ended(slot);
        else this.#completions.received(slot, memory, offset, result);
      } else {
        if (result === 0) this.#late.putEnd(slot);
        else this.#late.putBytes(slot, memory.u8.subarray(offset, offset + result));
      }
    } else if (result === -ERRNO.ENOBUFS) {
      slots.raise(slot, FLAG_STARVED);
      (slots.has(slot, FLAG_HUNGRY) ? this.#passedOver : this.#starved).push(slot);
      return 0;
    } else if (result !== -ERRNO.ECANCELED && result !== -ERRNO.EINTR) {
      this.#completions.failed(slot, -result, "recv");
    }
    if ((flags & IORING_CQE_F_MORE) === 0 && slots.isCurrent(slot, tag)) this.#over.push(slot);
    return result === -ERRNO.ECANCELED ? 0 : 1;
  }

  /** The end of the stream. */
  ended(slot: number): void {
    this.#slots.lower(slot, FLAG_WANTED);
    this.#slots.raise(slot, FLAG_ENDED);
    this.#completions.received(slot, this.#buffers.memory, 0, 0);
  }

  /** Tells of bytes that came late, and have an arena to themselves. */
  receivedLate(slot: number, arena: Arena, length: number): void {
    this.#lateLoans.push(arena);
    this.#completions.received(slot, arena, 0, length);
  }

  /** Takes back what was lent, and gives it to those who found nothing. */
  settle(): void {
    this.#completions.settle();
    for (let i = 0; i < this.#loanCount; i++) this.#buffers.drop(this.#loans[i] as number);
    this.#loanCount = 0;
    if (this.#lateLoans.length > 0) {
      for (const arena of this.#lateLoans) this.#arenas.release(arena);
      this.#lateLoans = [];
    }
    if (this.#passedOver.length > 0) {
      this.#starved = this.#passedOver.concat(this.#starved);
      this.#passedOver = [];
    }
    if (this.#starved.length > 0) this.#buffers.grow();
    this.#buffers.publish();
    if (this.#starved.length > 0) this.#armStarved(this.#starved);
    // Those that have had their share take of what the others leave.
    for (const slot of this.#over) this.#arm(slot);
    this.#over.length = 0;
  }

  #armStarved(starved: number[]): void {
    // Those that were missing may have come back before it was told that they were. Whoever is armed
    // beyond what they hold is back at once, with nothing.
    const armed = Math.min(starved.length, this.#buffers.ready * STREAMS_PER_BUFFER);
    for (const slot of starved.splice(0, armed)) {
      if (!this.#slots.has(slot, FLAG_STARVED)) continue;
      this.#slots.lower(slot, FLAG_STARVED);
      this.#slots.raise(slot, FLAG_HUNGRY);
      this.#arm(slot);
    }
  }

  /** Asks for more, unless the owner has yet to be told of what came late: then that is done first. */
  #arm(slot: number): void {
    if (!this.#late.has(slot)) this.#operations.arm(slot);
  }
}
