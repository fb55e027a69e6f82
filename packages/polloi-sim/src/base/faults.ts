import type { Choices } from "./choices.ts";

/** What a simulated kernel may do to a program, beyond what a machine without load does. */
export const FAULT_KINDS = {
  order: "actions of the same time run in another order",
  delay: "bytes and events arrive later",
  shortRead: "a read returns less than has arrived",
  shortWrite: "a write takes less than there is room for",
  spurious: "a wait reports a descriptor that is not ready any more",
  readyOrder: "a wait reports descriptors in another order",
  interrupt: "a call is interrupted by a signal (EINTR)",
  again: "a call fails for a moment (EAGAIN, EBUSY)",
  noMemory: "a call finds no memory (ENOMEM)",
  noPages: "memory cannot be mapped (ENOMEM)",
  noBuffers: "a call finds no buffer (ENOBUFS)",
  noDescriptors: "a call finds no free descriptor (EMFILE, ENFILE)",
  forbidden: "a call is forbidden (EPERM, EACCES)",
  disk: "a file cannot be read or written (EIO, ENOSPC)",
  reset: "a connection is reset by the network (ECONNRESET)",
  abortedAccept: "a connection fails before it is accepted (ECONNABORTED)",
  multishotEnds: "a multishot request ends early",
  lateCompletion: "a completion appears in a later call",
  overflow: "the completion queue has no room",
} as const;

export type FaultKind = keyof typeof FAULT_KINDS;

/** For each kind, how rarely it happens: once in this many opportunities. 0, or nothing, is never. */
export type FaultRates = Partial<Record<FaultKind, number>>;

/** A rate for each kind: objects of one shape, because `happens` is called at every opportunity. */
type AllRates = Readonly<Record<FaultKind, number>>;

const NEVER: AllRates = Object.fromEntries(
  Object.keys(FAULT_KINDS).map((kind) => [kind, 0]),
) as AllRates;

/** Decides when faults happen. */
export class Faults {
  readonly #choices: Choices;
  #rates: AllRates = NEVER;
  #areOn = false;

  constructor(choices: Choices, rates: FaultRates = {}) {
    this.#choices = choices;
    this.set(rates);
  }

  /** Whether a fault happens at this opportunity. */
  happens(kind: FaultKind): boolean {
    return this.#areOn && this.#choices.oneIn(this.#rates[kind]);
  }

  /** From here on, faults happen at these rates. */
  set(rates: FaultRates): void {
    this.#rates = { ...NEVER, ...rates };
    this.#areOn = Object.keys(rates).length > 0;
  }

  /** No more faults happen from here on, so that what can happen does happen. */
  stop(): void {
    this.#rates = NEVER;
    this.#areOn = false;
  }
}
