import { check } from "../base/sys-error.ts";
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  SYS,
} from "./abi.ts";
import type { Libc } from "./libc.ts";

/** {@link Arena.bytesAt} keeps this many arrays, a power of two: one for each piece of `VIEW_STEP` bytes, modulo all. */
const VIEWS = 256;
const VIEW_STEP = 16;
const NO_BYTES = new Uint8Array(0);

/** Returns an `ArrayBuffer` over the memory at an address. */
export type ViewMemory = (address: number, byteLength: number) => ArrayBuffer;

/**
 * Mapped memory that the kernel and TypeScript share, at a known address.
 *
 * @remarks
 * An arena is not unmapped while its thread runs, because JavaScript may still have a view of it.
 * {@link Arenas.release} returns its pages to the system and keeps its addresses.
 */
export class Arena {
  readonly address: number;
  readonly byteLength: number;
  /** The memory of all views. Reading it here is faster than from a view, where V8 calls out of compiled code. */
  readonly buffer: ArrayBuffer;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  readonly #views: Uint8Array[] = [];

  constructor(address: number, buffer: ArrayBuffer) {
    this.address = address;
    this.byteLength = buffer.byteLength;
    this.buffer = buffer;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.view = new DataView(buffer);
  }

  /**
   * A view of a part of the memory. The same array may be returned for the same part again.
   *
   * @remarks
   * Messages of one length arrive at the same few offsets. Making an array costs more than looking for it.
   */
  bytesAt(offset: number, length: number): Uint8Array {
    const views = this.#views;
    const at = (offset / VIEW_STEP) & (VIEWS - 1);
    const known = views[at];
    if (known !== undefined && known.byteOffset === offset && known.length === length) return known;
    // No holes, which would make reading slower.
    while (views.length <= at) views.push(NO_BYTES);
    const bytes = new Uint8Array(this.buffer, offset, length);
    views[at] = bytes;
    return bytes;
  }

  /** Writes a pointer or a `size_t` at `offset`, in bytes, a multiple of 4. */
  setWord(offset: number, value: number): void {
    this.u32[offset >> 2] = value >>> 0;
    this.u32[(offset >> 2) + 1] = Math.floor(value / 0x1_0000_0000);
  }

  /** Reads a `size_t` at `offset`, in bytes, a multiple of 4. It is exact up to 2 ** 53. */
  getWord(offset: number): number {
    const low = this.u32[offset >> 2] as number;
    return (this.u32[(offset >> 2) + 1] as number) * 0x1_0000_0000 + low;
  }

  /** Writes a `timespec` of `ms` milliseconds, fractions allowed, at `offset`. */
  setTimespec(offset: number, ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.setWord(offset, seconds);
    // Rounded up, so that a wait never ends early.
    this.setWord(offset + 8, Math.min(Math.ceil((ms - seconds * 1000) * 1e6), 999_999_999));
  }
}

/** Maps and releases the arenas of one kernel. */
export interface Arenas {
  /**
   * Maps an arena of at least `byteLength` bytes, rounded up to whole pages and filled with zeros.
   *
   * @throws SysError `ENOMEM` when the system has no memory to map.
   */
  map(byteLength: number): Arena;
  /**
   * Maps an arena that is neither released nor unmapped by {@link unmap}, because something outside of this
   * thread points to it.
   *
   * @throws SysError `ENOMEM` when the system has no memory to map.
   */
  mapPermanent(byteLength: number): Arena;
  /**
   * Maps `byteLength` bytes of the file `fd`, from `offset` on, as memory that is shared with the kernel. The
   * rings of an io_uring are mapped in this way.
   *
   * @throws SysError with the errors of mmap(2).
   */
  mapFile(fd: number, offset: number, byteLength: number): Arena;
  /** Takes an arena back. Its pages return to the system, and their contents are lost. */
  release(arena: Arena): void;
  /**
   * Unmaps all arenas of a thread that is about to end. They would otherwise stay mapped until the process ends.
   *
   * @remarks
   * It is the last use of a kernel: reading or writing an arena afterwards ends the process.
   */
  unmap(): void;
}

/** An address in mapped memory. */
export interface Location {
  readonly arena: Arena;
  /** In bytes from the start of the arena. */
  readonly offset: number;
}

/**
 * Finds the arena at an address, for code that reads what a call was given or has returned.
 *
 * @remarks
 * An arena is never unmapped while its thread runs, so arenas are only added.
 */
export class MemoryMap {
  /** By address. */
  readonly #arenas: Arena[] = [];
  readonly #known: Set<Arena> = new Set();

  /** Adds an arena. Adding one twice has no effect. */
  add(arena: Arena): void {
    if (this.#known.has(arena)) return;
    this.#known.add(arena);
    this.#arenas.splice(this.#countUpTo(arena.address), 0, arena);
  }

  /** Finds the arena that contains `address`; undefined when none of those added does. */
  find(address: number): Location | undefined {
    const arena = this.#arenas[this.#countUpTo(address) - 1];
    if (arena === undefined || address >= arena.address + arena.byteLength) return undefined;
    return { arena, offset: address - arena.address };
  }

  /** The number of arenas that begin at `address` or below it. */
  #countUpTo(address: number): number {
    let low = 0;
    let high = this.#arenas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#arenas[middle] as Arena).address <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * The arenas of the real kernel.
 *
 * @remarks
 * Released arenas are reused by size, so a program that opens and closes a thousand selectors maps memory once.
 */
export class ArenaPool implements Arenas {
  readonly #libc: Libc;
  readonly #viewMemory: ViewMemory;
  readonly #free: Map<number, Arena[]> = new Map();
  readonly #all: Arena[] = [];
  /** Arenas whose pages are not private. */
  readonly #shared: Set<Arena> = new Set();

  constructor(libc: Libc, viewMemory: ViewMemory) {
    this.#libc = libc;
    this.#viewMemory = viewMemory;
  }

  map(byteLength: number): Arena {
    const length = wholePages(byteLength);
    const free = this.#free.get(length)?.pop();
    if (free !== undefined) return free;
    const arena = this.mapPermanent(length);
    this.#all.push(arena);
    return arena;
  }

  mapPermanent(byteLength: number): Arena {
    const length = wholePages(byteLength);
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const address = this.#libc.mmap(0, length, PROT_READ | PROT_WRITE, flags, -1, 0);
    check(address, "mmap");
    return new Arena(address, this.#viewMemory(address, length));
  }

  mapFile(fd: number, offset: number, byteLength: number): Arena {
    const length = wholePages(byteLength);
    const flags = MAP_SHARED | MAP_POPULATE;
    const address = this.#libc.mmap(0, length, PROT_READ | PROT_WRITE, flags, fd, offset);
    check(address, "mmap", { fd });
    const arena = new Arena(address, this.#viewMemory(address, length));
    this.#all.push(arena);
    this.#shared.add(arena);
    return arena;
  }

  release(arena: Arena): void {
    const { address, byteLength } = arena;
    if (this.#shared.delete(arena)) {
      // A shared mapping keeps its file open. Private pages replace it, so that existing views stay valid.
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
      this.#libc.mmap(address, byteLength, PROT_READ | PROT_WRITE, flags, -1, 0);
    } else {
      this.#libc.madvise(address, byteLength, MADV_DONTNEED);
    }
    const free = this.#free.get(arena.byteLength);
    if (free === undefined) this.#free.set(arena.byteLength, [arena]);
    else free.push(arena);
  }

  unmap(): void {
    const { syscall } = this.#libc;
    for (const { address, byteLength } of this.#all.splice(0)) {
      syscall(SYS.munmap, address, byteLength, 0, 0, 0, 0);
    }
  }
}

/** Rounds a length up to whole pages. */
function wholePages(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_SIZE) * PAGE_SIZE;
}
