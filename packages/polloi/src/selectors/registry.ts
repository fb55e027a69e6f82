import { askFileno, type FileObject, type HasFileno } from "../base/descriptor.ts";
import { printAs } from "../base/inspect.ts";
import type { SelectorKey } from "./key.ts";

/** A registration as a selector keeps it. */
export interface Entry<Data> {
  /** Replaced by `modify`. */
  key: SelectorKey<Data>;
  /** The mask that the poller was last asked for. */
  interest: number;
  /** The number by which the poller reports it. */
  readonly tag: number;
  /** False once it is unregistered. */
  live: boolean;
}

// A tag is a slot, and the number of times that the slot was used before. A late event of an earlier
// registration, such as epoll reports for a duplicated descriptor, has another generation and is dropped.
//
//   31            22 21                     0
//   |  generation   |          slot          |
const SLOT_BITS = 22;
const SLOT_MASK: number = 2 ** SLOT_BITS - 1;
const GENERATIONS: number = 2 ** (32 - SLOT_BITS);

/** Registrations by descriptor, by object and by tag. It makes no system calls. */
export class Registry<Data> {
  readonly #byFd: Map<number, Entry<Data>> = new Map();
  readonly #byObject: Map<HasFileno, Entry<Data>> = new Map();
  readonly #slots: (Entry<Data> | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#byFd.size;
  }

  entries(): IterableIterator<Entry<Data>> {
    return this.#byFd.values();
  }

  /**
   * The registration of `fileObject`, or undefined.
   *
   * @remarks
   * An object is looked up by identity first, because a closed object has no number any more; then by its
   * number, so that a descriptor is found whatever object it was registered with.
   */
  find(fileObject: FileObject): Entry<Data> | undefined {
    if (typeof fileObject === "number") return this.#byFd.get(fileObject);
    return this.#byObject.get(fileObject) ?? this.#byFd.get(askFileno(fileObject) as number);
  }

  /** The registration with `tag`, or undefined if it was unregistered. */
  at(tag: number): Entry<Data> | undefined {
    const entry = this.#slots[tag & SLOT_MASK];
    return entry?.tag === tag ? entry : undefined;
  }

  add(key: SelectorKey<Data>, interest: number): Entry<Data> {
    const slot = this.#free.pop() ?? this.#slots.length;
    const generation = this.#generations[slot] ?? 0;
    const entry: Entry<Data> = {
      key,
      interest,
      tag: ((generation << SLOT_BITS) | slot) >>> 0,
      live: true,
    };
    this.#slots[slot] = entry;
    this.#generations[slot] = (generation + 1) % GENERATIONS;
    this.#byFd.set(key.fd, entry);
    if (typeof key.fileObject !== "number") this.#byObject.set(key.fileObject, entry);
    return entry;
  }

  remove(entry: Entry<Data>): void {
    const { fd, fileObject } = entry.key;
    const slot = entry.tag & SLOT_MASK;
    entry.live = false;
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    this.#byFd.delete(fd);
    if (typeof fileObject !== "number") this.#byObject.delete(fileObject);
  }

  clear(): void {
    for (const entry of [...this.#byFd.values()]) this.remove(entry);
  }
}

/** A live, read-only view of the registrations, by the object or number that was registered. */
export class SelectorMap<Data = unknown> implements Iterable<[FileObject, SelectorKey<Data>]> {
  static {
    printAs<SelectorMap<unknown>>(SelectorMap, ({ size }) => ({ size }));
  }

  readonly #registry: Registry<Data>;

  constructor(registry: Registry<Data>) {
    this.#registry = registry;
  }

  /** The number of registrations. */
  get size(): number {
    return this.#registry.size;
  }

  /** The key of `fileObject`, or undefined when it is not registered. */
  get(fileObject: FileObject): SelectorKey<Data> | undefined {
    return this.#registry.find(fileObject)?.key;
  }

  /** Whether `fileObject` is registered. */
  has(fileObject: FileObject): boolean {
    return this.#registry.find(fileObject) !== undefined;
  }

  /** The registered objects, in the order of their registration. */
  *keys(): IterableIterator<FileObject> {
    for (const { key } of this.#registry.entries()) yield key.fileObject;
  }

  /** The keys, in the order of registration. */
  *values(): IterableIterator<SelectorKey<Data>> {
    for (const { key } of this.#registry.entries()) yield key;
  }

  /** The registered objects and their keys, in the order of registration. */
  *entries(): IterableIterator<[FileObject, SelectorKey<Data>]> {
    for (const { key } of this.#registry.entries()) yield [key.fileObject, key];
  }

  [Symbol.iterator](): IterableIterator<[FileObject, SelectorKey<Data>]> {
    return this.entries();
  }
}
