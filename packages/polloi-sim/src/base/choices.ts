/**
 * The decisions of a simulation, one number after another.
 *
 * @remarks
 * 0 is always the plainest decision: no fault, no delay, the oldest first. A list of decisions can be replayed, and what
 * follows its end is 0. So a run is shrunk by deleting numbers and by making them smaller.
 */
export class Choices {
  readonly #replayed: readonly number[] | undefined;
  readonly #taken: number[] = [];
  #random: Random | undefined;

  private constructor(random: Random | undefined, replayed: readonly number[] | undefined) {
    this.#random = random;
    this.#replayed = replayed;
  }

  /** Decisions by `seed`, an integer from 0 to 2 ** 32 - 1. */
  static seeded(seed: number): Choices {
    return new Choices(new Random(seed), undefined);
  }

  /** The decisions of an earlier run, as {@link Choices.taken} returned them. */
  static replay(taken: readonly number[]): Choices {
    return new Choices(undefined, taken);
  }

  /** The plainest decision every time. */
  static plain(): Choices {
    return new Choices(undefined, []);
  }

  /** The decisions so far. */
  get taken(): readonly number[] {
    return this.#taken;
  }

  /** Returns an integer from 0 to `limit - 1`. With one possibility, nothing is decided. */
  below(limit: number): number {
    if (limit <= 1) return 0;
    const value =
      this.#random?.below(limit) ?? Math.min(this.#replayed?.[this.#taken.length] ?? 0, limit - 1);
    this.#taken.push(value);
    return value;
  }

  /** Returns an integer from `low` to `high`, both included. `low` is the plainest. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** Returns true once in `count` times on average; never when `count` is 0. */
  oneIn(count: number): boolean {
    return count > 0 && (count === 1 || this.below(count) === count - 1);
  }

  /** Returns one of `values`, of which the first is the plainest. */
  pick<T>(values: readonly [T, ...T[]]): T;
  pick<T>(values: readonly T[]): T | undefined;
  pick<T>(values: readonly T[]): T | undefined {
    return values[this.below(values.length)];
  }
}

/** A generator of pseudorandom numbers: sfc32, with 128 bits of state. Source: Chris Doty-Humphrey, PractRand. */
class Random {
  #a: number;
  #b: number;
  #c = 0;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    // The first numbers of similar seeds are similar.
    for (let i = 0; i < 12; i++) this.#next();
  }

  below(limit: number): number {
    return Math.floor((this.#next() / 0x1_0000_0000) * limit);
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}
