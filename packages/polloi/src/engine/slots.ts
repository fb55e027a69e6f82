/** What a slot of an engine is doing. */
export const KIND_FREE = 0;
export const KIND_LISTENER = 1;
export const KIND_CONNECTING = 2;
export const KIND_STREAM = 3;
export const KIND_WATCH = 4;

/** The stream's owner wants bytes. */
export const FLAG_RECEIVING = 1;
/** The end of the stream was seen: there is nothing left to receive. */
export const FLAG_ENDED = 2;
/** Edge-triggered and paused: something came that nobody has read. */
export const FLAG_UNREAD = 4;
/** Stands in the list of streams to be read again. */
export const FLAG_AGAIN = 8;
/** Hung up while paused and taken out of the poller, where it would be reported at every wait. */
export const FLAG_PARKED = 16;
/** Edge-triggered: a receive that was short does not show that nothing is left. */
export const FLAG_TO_EMPTY = 32;
/** A file is to go on when the socket has room. */
export const FLAG_ROOM = 64;

/**
 * What an engine knows of each slot, in columns: 25 bytes a slot and nothing for the garbage
 * collector to walk, whether there are ten connections or a million.
 */
export class Slots {
  kinds: Uint8Array = new Uint8Array(64);
  flags: Uint8Array = new Uint8Array(64);
  fds: Int32Array = new Int32Array(64);
  /** The mask that the poller was last asked for: POLL* bits, and EPOLLET or EPOLLEXCLUSIVE. */
  interests: Int32Array = new Int32Array(64);
  /** Where the bytes in flight start. */
  sendAddresses: Float64Array = new Float64Array(64);
  /** How many there are. */
  sendLengths: Uint32Array = new Uint32Array(64);

  /** Puts `slot` to use. */
  take(slot: number, kind: number, fd: number, interest: number): void {
    this.#reserve(slot);
    this.kinds[slot] = kind;
    this.flags[slot] = 0;
    this.fds[slot] = fd;
    this.interests[slot] = interest;
    this.sendLengths[slot] = 0;
  }

  /** How many are in use. */
  get used(): number {
    return this.kinds.reduce((used, kind) => (kind === KIND_FREE ? used : used + 1), 0);
  }

  has(slot: number, flag: number): boolean {
    return ((this.flags[slot] as number) & flag) !== 0;
  }

  raise(slot: number, flag: number): void {
    this.flags[slot] = (this.flags[slot] as number) | flag;
  }

  lower(slot: number, flag: number): void {
    this.flags[slot] = (this.flags[slot] as number) & ~flag;
  }

  #reserve(slot: number): void {
    if (slot < this.kinds.length) return;
    this.resize(Math.max(slot + 1, this.kinds.length * 2));
  }

  protected resize(size: number): void {
    this.kinds = grown(this.kinds, new Uint8Array(size));
    this.flags = grown(this.flags, new Uint8Array(size));
    this.fds = grown(this.fds, new Int32Array(size));
    this.interests = grown(this.interests, new Int32Array(size));
    this.sendAddresses = grown(this.sendAddresses, new Float64Array(size));
    this.sendLengths = grown(this.sendLengths, new Uint32Array(size));
  }
}

export function grown<Column extends { set(from: Column): void }>(
  from: Column,
  to: Column,
): Column {
  to.set(from);
  return to;
}
