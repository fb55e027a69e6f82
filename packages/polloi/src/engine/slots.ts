/** The use of a slot of an engine. */
export const KIND_FREE = 0;
export const KIND_LISTENER = 1;
export const KIND_CONNECTING = 2;
export const KIND_STREAM = 3;
export const KIND_WATCH = 4;

// Flags of every engine.

/** The owner wants input: the bytes of a stream, the connections of a listener. */
export const FLAG_INPUT = 0x001;
/** The end of the stream was received. */
export const FLAG_ENDED = 0x002;
/** A file is sent on when the socket has room. */
export const FLAG_ROOM = 0x004;

// Flags of the readiness engine.

/** Edge-triggered and paused: an event came that was not acted on. */
export const FLAG_UNREAD = 0x008;
/** In the list of streams to be read again. */
export const FLAG_AGAIN = 0x010;
/** Removed from the poller, which would report it at every wait: a stream that hung up while it was paused. */
export const FLAG_PARKED = 0x020;
/** Edge-triggered: a short receive does not show that nothing is left. */
export const FLAG_TO_EMPTY = 0x040;

// Flags of the io_uring engine.

/** A receive or an accept is in flight. */
export const FLAG_ARMED = 0x080;
/** A poll is in flight. */
export const FLAG_POLLED = 0x100;
/** A send of lent bytes is in flight; others may follow it. */
export const FLAG_LENT = 0x200;
/** The receive found no buffer. It is armed again when there is one. */
export const FLAG_STARVED = 0x400;
/** It was armed again after that, and has received nothing since. */
export const FLAG_RETRIED = 0x800;
/** The socket was full. The next send waits in the kernel. */
export const FLAG_FULL = 0x1000;
/** A poll for room in the socket is in flight. */
export const FLAG_ROOM_POLLED = 0x2000;

/** The number of slots at first. V8 stores columns of up to 64 bytes in the object itself. */
export const FIRST_SLOTS = 16;

/**
 * The state of an engine's slots, in columns: 26 bytes a slot, and nothing for the garbage collector to
 * walk, whether there are ten connections or a million.
 */
export class Slots {
  kinds: Uint8Array = new Uint8Array(FIRST_SLOTS);
  /** FLAG_* bits. */
  flags: Uint16Array = new Uint16Array(FIRST_SLOTS);
  fds: Int32Array = new Int32Array(FIRST_SLOTS);
  /** The mask that was last asked for: POLL* bits, and EPOLLET or EPOLLEXCLUSIVE. */
  interests: Int32Array = new Int32Array(FIRST_SLOTS);
  /** The address of the bytes in flight. */
  sendAddresses: Float64Array = new Float64Array(FIRST_SLOTS);
  /** The number of bytes in flight. */
  sendLengths: Uint32Array = new Uint32Array(FIRST_SLOTS);

  /** Starts to use `slot`. */
  take(slot: number, kind: number, fd: number, interest: number): void {
    this.#reserve(slot);
    this.kinds[slot] = kind;
    this.flags[slot] = 0;
    this.fds[slot] = fd;
    this.interests[slot] = interest;
    this.sendLengths[slot] = 0;
  }

  /** The number of slots in use. */
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
    this.flags = grown(this.flags, new Uint16Array(size));
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
