const CONNECTION = 0;
const THREAD = 1;
const LINGERS = 2;
const PHASE = 3;
const TURNS = 4;
const WAITS = 5;
const FIELDS = 6;

/** What a thread that blocks has in hand, in memory that the main thread sees. */
export class Hand {
  /** What is given to the thread, which makes a hand of it again. */
  readonly memory: SharedArrayBuffer;
  readonly #fields: Int32Array;

  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(4 * FIELDS);
    this.#fields = new Int32Array(this.memory);
    if (memory === undefined) this.connection = -1;
  }

  /** The connection that it has accepted, and closes when that is over; -1 when it has none. */
  get connection(): number {
    return Atomics.load(this.#fields, CONNECTION);
  }
  set connection(fd: number) {
    Atomics.store(this.#fields, CONNECTION, fd);
  }

  /** The number of the thread, as the kernel knows it; 0 until it runs. */
  get thread(): number {
    return Atomics.load(this.#fields, THREAD);
  }
  set thread(number: number) {
    Atomics.store(this.#fields, THREAD, number);
  }

  /** How far its start has come: a place in `CHILD_PHASES`. */
  get phase(): number {
    return Atomics.load(this.#fields, PHASE);
  }
  set phase(phase: number) {
    Atomics.store(this.#fields, PHASE, phase);
  }

  /** Changes whenever the thread begins or ends a wait in the kernel. */
  get turns(): number {
    return Atomics.load(this.#fields, TURNS);
  }
  set turns(turns: number) {
    Atomics.store(this.#fields, TURNS, turns);
  }

  /** Whether the thread waits in the kernel. */
  get waits(): boolean {
    return Atomics.load(this.#fields, WAITS) === 1;
  }
  set waits(does: boolean) {
    Atomics.store(this.#fields, WAITS, does ? 1 : 0);
  }

  /** Whether the thread was ended from outside, and is there all the same: see `Lingering`. */
  get lingers(): boolean {
    return Atomics.load(this.#fields, LINGERS) === 1;
  }
  set lingers(does: boolean) {
    Atomics.store(this.#fields, LINGERS, does ? 1 : 0);
  }
}
