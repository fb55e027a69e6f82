/**
 * What the main thread and one worker tell each other without a message, in memory that both see.
 *
 * A worker that sleeps in the kernel hears no message, and one that has crashed sends none. So what is
 * asked of a worker stands here, and a descriptor wakes it to look; and what it has done stands here
 * from the moment that it is done.
 */

const ASKED = 0;
const GRACE_MS = 1;
const OPEN = 2;
const ACCEPTED = 3;
const THREAD = 4;
const LINGERS = 5;
const PHASE = 6;
const ASKS = 7;
const ANSWERS = 8;
const ACCEPTS = 9;
const FIELDS = 10;
/** Behind the fields: an address and a length for each mapping of a file, such as the memory of a ring. */
const MAPPINGS_AT = 4 * FIELDS;
const MAX_MAPPINGS = 16;

/** How far the start of a worker has come, and how that is put in a message. */
export const PHASES = [
  "the runtime was starting its thread",
  "it was importing its module",
  "start() of its module had not returned",
] as const;
export const IMPORTING = 1;
export const STARTING = 2;

/** The fields of one worker. Each is written by one thread only. */
export class Board {
  /** What is given to the other thread, which makes a board of it again. */
  readonly memory: SharedArrayBuffer;
  readonly #fields: Int32Array;
  readonly #mappings: Float64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(MAPPINGS_AT + 16 * MAX_MAPPINGS)) {
    this.memory = memory;
    this.#fields = new Int32Array(memory, 0, FIELDS);
    this.#mappings = new Float64Array(memory, MAPPINGS_AT);
  }

  /** The worker has mapped a file at `address`. What there is no room for is not kept. */
  addMapping(address: number, length: number): void {
    const at = this.#findMapping(0);
    if (at < 0) return;
    this.#mappings[at + 1] = length;
    this.#mappings[at] = address;
  }

  /** Something else is mapped at `address` now. */
  removeMapping(address: number): void {
    const at = this.#findMapping(address);
    if (at >= 0) this.#mappings[at] = 0;
  }

  /** Takes the mappings that are left, when the worker has ended. */
  takeMappings(): (readonly [address: number, length: number])[] {
    const left: [number, number][] = [];
    for (let at = 0; at < this.#mappings.length; at += 2) {
      const address = this.#mappings[at] as number;
      if (address !== 0) left.push([address, this.#mappings[at + 1] as number]);
      this.#mappings[at] = 0;
    }
    return left;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#fields[OPEN] as number;
  }
  set open(count: number) {
    this.#fields[OPEN] = count;
  }

  /** Connections accepted since the pool began, by this worker and those that it replaces. */
  get accepted(): number {
    return (this.#fields[ACCEPTED] as number) >>> 0;
  }
  set accepted(count: number) {
    this.#fields[ACCEPTED] = count;
  }

  /** The number of its thread, as the kernel knows it; 0 until it runs. */
  get thread(): number {
    return Atomics.load(this.#fields, THREAD);
  }
  set thread(number: number) {
    Atomics.store(this.#fields, THREAD, number);
  }

  /** Whether its thread was ended from outside, and is there all the same: see `Lingering`. */
  get lingers(): boolean {
    return Atomics.load(this.#fields, LINGERS) === 1;
  }
  set lingers(does: boolean) {
    Atomics.store(this.#fields, LINGERS, does ? 1 : 0);
  }

  /** How far its start has come: a place in {@link PHASES}. */
  get phase(): number {
    return Atomics.load(this.#fields, PHASE);
  }
  set phase(phase: number) {
    Atomics.store(this.#fields, PHASE, phase);
  }

  /** Asks for a sign of life, which the worker gives when it next looks at the board. */
  ask(): void {
    Atomics.add(this.#fields, ASKS, 1);
  }

  /** The worker has looked at the board. */
  answer(): void {
    Atomics.store(this.#fields, ANSWERS, Atomics.load(this.#fields, ASKS));
  }

  /** Whether the last question was answered. */
  get hasAnswered(): boolean {
    return Atomics.load(this.#fields, ANSWERS) === Atomics.load(this.#fields, ASKS);
  }

  /** Asks the worker to accept what waits on the listener that it shares with others. */
  askToAccept(): void {
    Atomics.store(this.#fields, ACCEPTS, 1);
  }

  /** Whether it was asked to, since this was last called. */
  takeAccept(): boolean {
    return Atomics.exchange(this.#fields, ACCEPTS, 0) === 1;
  }

  #findMapping(address: number): number {
    for (let at = 0; at < this.#mappings.length; at += 2) {
      if (this.#mappings[at] === address) return at;
    }
    return -1;
  }

  /** How long the worker may take to stop; null as long as it is not to. */
  get stopWithinMs(): number | null {
    if (Atomics.load(this.#fields, ASKED) === 0) return null;
    return Atomics.load(this.#fields, GRACE_MS);
  }
  set stopWithinMs(graceMs: number | null) {
    Atomics.store(this.#fields, GRACE_MS, Math.ceil(graceMs ?? 0));
    Atomics.store(this.#fields, ASKED, graceMs === null ? 0 : 1);
  }
}
