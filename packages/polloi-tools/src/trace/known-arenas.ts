import { type Arena, ArenaPool, type Kernel } from "polloi/internal";

/** A place in mapped memory. */
export interface Place {
  readonly arena: Arena;
  /** In bytes. */
  readonly offset: number;
}

/**
 * The arenas of a kernel, and which of them has an address: a call is given addresses, and what it was
 * given and what it gave back is read there.
 *
 * @remarks
 * An arena is never unmapped, so one that was seen once is known for ever. There are as many as were ever
 * in use at one time.
 */
export class KnownArenas extends ArenaPool {
  readonly #arenas: ArenaPool;
  readonly #onMapFile: (fd: number, offset: number, arena: Arena) => void;
  /** By address. */
  readonly #known: Arena[];
  readonly #seen: Set<Arena>;

  /** @param onMapFile - Told of memory that is shared with the kernel. */
  constructor(kernel: Kernel, onMapFile: (fd: number, offset: number, arena: Arena) => void) {
    // All that maps goes to the pool that is there already: the two would not know of each other's.
    super(kernel.libc, () => new ArrayBuffer(0));
    this.#arenas = kernel.arenas;
    this.#onMapFile = onMapFile;
    this.#known = [kernel.scratch];
    this.#seen = new Set(this.#known);
  }

  override map(byteLength: number): Arena {
    return this.#remember(this.#arenas.map(byteLength));
  }

  override mapFile(fd: number, offset: number, byteLength: number): Arena {
    const arena = this.#remember(this.#arenas.mapFile(fd, offset, byteLength));
    this.#onMapFile(fd, offset, arena);
    return arena;
  }

  override release(arena: Arena): void {
    this.#arenas.release(arena);
  }

  /** Where `address` is; undefined for memory that was mapped by somebody else. */
  find(address: number): Place | undefined {
    const arena = this.#known[this.#countUpTo(address) - 1];
    if (arena === undefined || address >= arena.address + arena.byteLength) return undefined;
    return { arena, offset: address - arena.address };
  }

  #remember(arena: Arena): Arena {
    if (this.#seen.has(arena)) return arena;
    this.#seen.add(arena);
    this.#known.splice(this.#countUpTo(arena.address), 0, arena);
    return arena;
  }

  /** How many of the arenas begin at `address` or before it. */
  #countUpTo(address: number): number {
    let low = 0;
    let high = this.#known.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#known[middle] as Arena).address <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
