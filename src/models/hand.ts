const CONNECTION = 0;
const THREAD = 1;

/** What a thread that blocks has in hand, in memory that the main thread sees. */
export class Hand {
  /** What is given to the thread, which makes a hand of it again. */
  readonly memory: SharedArrayBuffer;
  readonly #fields: Int32Array;

  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(8);
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
}
