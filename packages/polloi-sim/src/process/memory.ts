import { Arena, type Arenas, ERRNO, PAGE_SIZE, SysError } from "polloi/internal/pure";
import type { OpenFile } from "./open-file.ts";

/** Addresses of arenas are multiples of this, so that a table finds the arena of an address. */
const REGION_BYTES = 0x1_0000;
/** The first address. It needs more than 32 bits, as the addresses of real processes do. */
const FIRST_ADDRESS = 0x2_0000_0000;
/** More than this cannot be mapped at once. */
const MAX_BYTES = 2 ** 31;

/** Returns memory of a file for {@link Memory.mapFile}, or throws what mmap(2) reports. */
export type FileMapper = (
  fd: number,
  offset: number,
  byteLength: number,
) => { readonly file: OpenFile; readonly memory: ArrayBuffer };

/**
 * The memory of a simulated process: arenas at addresses, which calls read and write.
 *
 * @remarks
 * Released arenas are filled with zeros and reused by length, as the real kernel's are.
 */
export class Memory implements Arenas {
  /** The arena of each region of {@link REGION_BYTES}. */
  readonly #regions: (Arena | undefined)[] = [];
  readonly #free: Map<number, Arena[]> = new Map();
  /** Arenas that are not memory of a file. */
  readonly #private: Arena[] = [];
  /** Arenas that are memory of a file, which is open as long as they are mapped. */
  readonly #shared: Map<Arena, OpenFile> = new Map();
  readonly #mapFile: FileMapper;
  #nextAddress = FIRST_ADDRESS;

  constructor(mapFile: FileMapper) {
    this.#mapFile = mapFile;
  }

  map(byteLength: number): Arena {
    const length = wholePages(byteLength);
    return this.#free.get(length)?.pop() ?? this.mapPermanent(length);
  }

  mapPermanent(byteLength: number): Arena {
    if (byteLength > MAX_BYTES) throw new SysError("mmap", ERRNO.ENOMEM);
    const arena = this.#add(takeBuffer(wholePages(byteLength)));
    this.#private.push(arena);
    return arena;
  }

  mapFile(fd: number, offset: number, byteLength: number): Arena {
    const { file, memory } = this.#mapFile(fd, offset, wholePages(byteLength));
    const arena = this.#add(memory);
    this.#shared.set(arena, file.hold());
    return arena;
  }

  release(arena: Arena): void {
    const file = this.#shared.get(arena);
    if (file !== undefined) {
      // The memory of a file keeps its contents, and its address is not used again.
      this.#shared.delete(arena);
      file.drop();
      return;
    }
    arena.u8.fill(0);
    const free = this.#free.get(arena.byteLength);
    if (free === undefined) this.#free.set(arena.byteLength, [arena]);
    else free.push(arena);
  }

  unmap(): void {
    this.#regions.length = 0;
    this.#free.clear();
    for (const { u8 } of this.#private.splice(0)) keepBuffer(u8.buffer as ArrayBuffer);
    for (const file of this.#shared.values()) file.drop();
    this.#shared.clear();
  }

  /** The arena that contains `address`; undefined when nothing is mapped there. */
  find(address: number): Arena | undefined {
    const arena = this.#regions[Math.floor((address - FIRST_ADDRESS) / REGION_BYTES)];
    return arena !== undefined && address < arena.address + arena.byteLength ? arena : undefined;
  }

  /** The bytes at an address; undefined when they are not all mapped, in one arena (EFAULT). */
  bytes(address: number, length: number): Uint8Array | undefined {
    if (length === 0) return new Uint8Array(0);
    const arena = this.find(address);
    if (arena === undefined) return undefined;
    const offset = address - arena.address;
    return offset + length <= arena.byteLength
      ? arena.u8.subarray(offset, offset + length)
      : undefined;
  }

  /** A view of a struct at an address; undefined when it is not mapped (EFAULT). */
  view(address: number, length: number): DataView | undefined {
    const arena = this.find(address);
    if (arena === undefined) return undefined;
    const offset = address - arena.address;
    if (offset + length > arena.byteLength) return undefined;
    return new DataView(arena.u8.buffer, arena.u8.byteOffset + offset, length);
  }

  /** The string at an address, up to its NUL; undefined when it is not mapped (EFAULT). */
  text(address: number): string | undefined {
    const arena = this.find(address);
    if (arena === undefined) return undefined;
    const offset = address - arena.address;
    const end = arena.u8.indexOf(0, offset);
    return end < 0 ? undefined : decoder.decode(arena.u8.subarray(offset, end));
  }

  #add(buffer: ArrayBuffer): Arena {
    const arena = new Arena(this.#nextAddress, buffer);
    const regions = Math.ceil(arena.byteLength / REGION_BYTES);
    const first = (arena.address - FIRST_ADDRESS) / REGION_BYTES;
    for (let i = 0; i < regions; i++) this.#regions[first + i] = arena;
    // One region stays free, so that an access beyond the end is an error.
    this.#nextAddress += (regions + 1) * REGION_BYTES;
    return arena;
  }
}

const decoder = new TextDecoder();

/** The memory of processes that have ended, by length. Making an `ArrayBuffer` takes longer than a call. */
const buffers = new Map<number, ArrayBuffer[]>();
/** The most bytes that are kept. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;
let keptBytes = 0;

function takeBuffer(byteLength: number): ArrayBuffer {
  const buffer = buffers.get(byteLength)?.pop();
  if (buffer === undefined) return new ArrayBuffer(byteLength);
  keptBytes -= byteLength;
  new Uint8Array(buffer).fill(0);
  return buffer;
}

function keepBuffer(buffer: ArrayBuffer): void {
  const { byteLength } = buffer;
  if (keptBytes + byteLength > MAX_KEPT_BYTES) return;
  keptBytes += byteLength;
  const kept = buffers.get(byteLength);
  if (kept === undefined) buffers.set(byteLength, [buffer]);
  else kept.push(buffer);
}

function wholePages(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_SIZE) * PAGE_SIZE;
}
