import { integerOf, type Range } from "../base/argument.ts";
import { printAs } from "../base/inspect.ts";
import { EVENT_ERROR, EVENT_HANGUP, EVENT_READ, EVENT_WRITE, eventsOf } from "./events.ts";
import type { SelectorKey } from "./key.ts";
import { type Poller, ReadyBatch } from "./poller.ts";
import type { Entry, Registry } from "./registry.ts";

/** The most that a poller reports in one call. */
const MAX_CAPACITY = 65_536;

const BROKEN: number = EVENT_ERROR | EVENT_HANGUP;
const READ_WRITE: number = EVENT_READ | EVENT_WRITE;

/**
 * The result of a wait, in memory that the next wait reuses.
 *
 * @remarks
 * For `Selector.wait`, which allocates nothing. An event of something that was unregistered after the
 * wait, such as by the handler of an event before it, is no one's: `keyAt` says so.
 *
 * @example
 * ```ts
 * const batch = new SelectorBatch<Handler>();
 * for (;;) {
 *   selector.wait(batch);
 *   for (let i = 0; i < batch.count; i++) {
 *     const key = batch.keyAt(i);
 *     if (key !== undefined) key.data(batch.eventsAt(i));
 *   }
 * }
 * ```
 */
export class SelectorBatch<Data = unknown> implements Iterable<[SelectorKey<Data>, number]> {
  static {
    printAs<SelectorBatch<unknown>>(SelectorBatch, ({ count, capacity }) => ({ count, capacity }));
  }

  /** The most that one wait reports. */
  readonly capacity: number;
  readonly #indexes: Range;
  readonly #ready: ReadyBatch;
  readonly #events: Uint32Array;
  readonly #entries: (Entry<Data> | undefined)[];
  #count = 0;

  /**
   * @param capacity - From 1 to 65536.
   * @throws TypeError, RangeError `ERR_INVALID_LENGTH`.
   */
  constructor(capacity = 1024) {
    integerOf(capacity, "a number of events", [1, MAX_CAPACITY], "ERR_INVALID_LENGTH");
    this.#indexes = [0, capacity - 1];
    this.capacity = capacity;
    this.#ready = new ReadyBatch(capacity);
    this.#events = new Uint32Array(capacity);
    this.#entries = new Array<undefined>(capacity).fill(undefined);
  }

  /** The number of keys that the last wait found. */
  get count(): number {
    return this.#count;
  }

  /**
   * The present key of the `index`-th registration; undefined if it was unregistered since the wait.
   *
   * @throws TypeError, RangeError `ERR_INVALID_LENGTH` for an index beyond the capacity.
   */
  keyAt(index: number): SelectorKey<Data> | undefined {
    this.#checkIndex(index);
    const entry = this.#entries[index];
    return entry?.live === true ? entry.key : undefined;
  }

  /**
   * The EVENT_* bits of the `index`-th registration; 0 when the last wait found fewer.
   *
   * @throws TypeError, RangeError `ERR_INVALID_LENGTH` for an index beyond the capacity.
   */
  eventsAt(index: number): number {
    this.#checkIndex(index);
    return index < this.#count ? (this.#events[index] as number) : 0;
  }

  #checkIndex(index: number): void {
    integerOf(index, "an index", this.#indexes, "ERR_INVALID_LENGTH");
  }

  /** The keys that are still registered, with their events. Unlike `keyAt` and `eventsAt`, this allocates. */
  *[Symbol.iterator](): IterableIterator<[SelectorKey<Data>, number]> {
    for (let i = 0; i < this.#count; i++) {
      const key = this.keyAt(i);
      if (key !== undefined) yield [key, this.eventsAt(i)];
    }
  }

  /**
   * Waits with `poller` and stores the result; for `Selector`.
   *
   * @returns The number of ready registrations in `registry`, or `-errno`.
   * @internal
   */
  take(poller: Poller, registry: Registry<Data>, timeoutMs: number): number {
    const ready = this.#ready;
    const found = poller.wait(ready, timeoutMs);
    let count = 0;
    for (let i = 0; i < found; i++) {
      const entry = registry.at(ready.tags[i] as number);
      if (entry === undefined) continue;
      const events = eventsOf(ready.masks[i] as number);
      // A program that only reads and writes finds the error or the end by doing so.
      const asked = (events & BROKEN) === 0 ? 0 : entry.key.events & READ_WRITE;
      this.#events[count] = events | asked;
      this.#entries[count++] = entry;
    }
    for (let i = count; i < this.#count; i++) this.#entries[i] = undefined;
    this.#count = count;
    return found < 0 ? found : count;
  }
}
