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
const FIELDS = 6;

/** The fields of one worker. Each is written by one thread only. */
export class Board {
  /** What is given to the other thread, which makes a board of it again. */
  readonly memory: SharedArrayBuffer;
  readonly #fields: Int32Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(4 * FIELDS)) {
    this.memory = memory;
    this.#fields = new Int32Array(memory);
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
