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

/** How an arena comes to be seen from JavaScript: the memory at an address as an `ArrayBuffer`. */
export type ViewMemory = (address: number, byteLength: number) => ArrayBuffer;

/**
 * Mapped memory that the kernel and TypeScript both see, at an address known as a number.
 *
 * @remarks
 * An arena is never unmapped, because a view of it may live on in JavaScript and would then point at
 * nothing. {@link ArenaPool.release} gives its pages back to the system and keeps the addresses.
 */
export class Arena {
  readonly address: number;
  readonly byteLength: number;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly view: DataView;

  constructor(address: number, buffer: ArrayBuffer) {
    this.address = address;
    this.byteLength = buffer.byteLength;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.view = new DataView(buffer);
  }

  /** Writes a pointer or a `size_t` at `offset`, which is in bytes and a multiple of 4. */
  setWord(offset: number, value: number): void {
    this.u32[offset >> 2] = value >>> 0;
    this.u32[(offset >> 2) + 1] = Math.floor(value / 0x1_0000_0000);
  }

  /** Reads a `size_t` at `offset`, which is in bytes and a multiple of 4; exact up to 2 ** 53. */
  getWord(offset: number): number {
    const low = this.u32[offset >> 2] as number;
    return (this.u32[(offset >> 2) + 1] as number) * 0x1_0000_0000 + low;
  }

  /** Writes a `timespec` of `ms` milliseconds, fractions included, at `offset`. */
  setTimespec(offset: number, ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.setWord(offset, seconds);
    // Rounded up, so that a wait never ends before its time.
    this.setWord(offset + 8, Math.min(Math.ceil((ms - seconds * 1000) * 1e6), 999_999_999));
  }
}

/**
 * Maps arenas and takes them back.
 *
 * @remarks
 * Arenas are handed out again by size, so that whatever opens and closes a thousand selectors maps
 * memory once.
 */
export class ArenaPool {
  readonly #libc: Libc;
  readonly #viewMemory: ViewMemory;
  readonly #free: Map<number, Arena[]> = new Map();
  readonly #all: Arena[] = [];
  /** Those whose pages are not private. */
  readonly #shared: Set<Arena> = new Set();

  constructor(libc: Libc, viewMemory: ViewMemory) {
    this.#libc = libc;
    this.#viewMemory = viewMemory;
  }

  /**
   * An arena of at least `byteLength` bytes, rounded up to whole pages, filled with zeros.
   *
   * @throws SysError `ENOMEM` when the system has no memory to map.
   */
  map(byteLength: number): Arena {
    const length = pages(byteLength);
    const free = this.#free.get(length)?.pop();
    if (free !== undefined) return free;
    const arena = this.mapForGood(length);
    this.#all.push(arena);
    return arena;
  }

  /**
   * An arena that is neither released nor unmapped with the others, because something outside of this thread
   * points there.
   *
   * @throws SysError `ENOMEM` when the system has no memory to map.
   */
  mapForGood(byteLength: number): Arena {
    const length = pages(byteLength);
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const address = this.#libc.mmap(0, length, PROT_READ | PROT_WRITE, flags, -1, 0);
    check(address, "mmap");
    return new Arena(address, this.#viewMemory(address, length));
  }

  /**
   * An arena over the first `byteLength` bytes of what `fd` offers from `offset` on: memory that is shared
   * with the kernel, as the rings of an io_uring are.
   *
   * @throws SysError what mmap(2) fails with.
   */
  mapFile(fd: number, offset: number, byteLength: number): Arena {
    const length = pages(byteLength);
    const flags = MAP_SHARED | MAP_POPULATE;
    const address = this.#libc.mmap(0, length, PROT_READ | PROT_WRITE, flags, fd, offset);
    check(address, "mmap", { fd });
    const arena = new Arena(address, this.#viewMemory(address, length));
    this.#all.push(arena);
    this.#shared.add(arena);
    return arena;
  }

  /** Takes an arena back: its pages return to the system, and what was in it is gone. */
  release(arena: Arena): void {
    const { address, byteLength } = arena;
    if (this.#shared.delete(arena)) {
      // Private pages take the place of the shared ones, which hold the file open as long as they are
      // mapped. The addresses stay good, whoever still has a view of them.
      const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
      this.#libc.mmap(address, byteLength, PROT_READ | PROT_WRITE, flags, -1, 0);
    } else {
      this.#libc.madvise(address, byteLength, MADV_DONTNEED);
    }
    const free = this.#free.get(arena.byteLength);
    if (free === undefined) this.#free.set(arena.byteLength, [arena]);
    else free.push(arena);
  }

  /**
   * Unmaps every arena there ever was, for a thread that is about to end: its memory would stay mapped for
   * as long as the process lives.
   *
   * @remarks
   * The last thing that a thread does with its kernel. Whatever looks at an arena afterwards ends the process.
   */
  unmap(): void {
    const { syscall } = this.#libc;
    for (const { address, byteLength } of this.#all.splice(0)) {
      syscall(SYS.munmap, address, byteLength, 0, 0, 0, 0);
    }
  }
}

/** A length rounded up to whole pages. */
function pages(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_SIZE) * PAGE_SIZE;
}
