import { Arena, type Arenas, ERRNO, SysError } from "polloi/internal/pure";
import type { OpenFile } from "./open-file.ts";
import { returnPages, takePages, wholePages } from "./pages.ts";

/** Addresses of arenas are multiples of this, so that a table finds the arena of an address. */
const REGION_BYTES = 0x10_0000;
/** The first address. It needs more than 32 bits, as the addresses of real processes do. */
const FIRST_ADDRESS = 0x2_0000_0000;
/** More than this cannot be mapped at once. */
const MAX_BYTES = 2 ** 31;

/**
 * Of an arena that is larger, only the part that calls have used is filled with zeros when it is released. The rest may
 * have bytes that a program has written and no call has read.
 */
const LARGE_BYTES = 2 ** 14;

/** An arena, and how it is used. */
interface Mapping {
  readonly arena: Arena;
  /** The file whose memory it is, which is open as long as its memory is mapped. */
  file: OpenFile | undefined;
  readonly isLarge: boolean;
  /** The end of what may not be zero: of a large arena, of what calls have used. */
  used: number;
  /** Whether the program has released the memory of a file. */
  isReleased: boolean;
}

/** Returns memory of a file for {@link Memory.mapFile}, or throws what mmap(2) reports. */
export type FileMapper = (fd: number, offset: number, byteLength: number) => MappedFile;

export interface MappedFile {
  readonly file: OpenFile;
  readonly memory: ArrayBuffer;
}

/**
 * The memory of a simulated process: arenas at addresses, which calls read and write.
 *
 * @remarks
 * Released arenas are filled with zeros and reused by length, as the real kernel's are. The memory of a process that has
 * ended is used by others, so nothing may read or write it.
 */
export class Memory implements Arenas {
  /** The mapping of each region of {@link REGION_BYTES}. */
  readonly #regions: (Mapping | undefined)[] = [];
  readonly #mappings: Map<Arena, Mapping> = new Map();
  readonly #free: Map<number, Mapping[]> = new Map();
  readonly #mapFile: FileMapper;
  readonly #isExhausted: () => boolean;
  #nextAddress = FIRST_ADDRESS;

  /** @param isExhausted - Whether the system finds no memory to map. It is called for each mapping. */
  constructor(mapFile: FileMapper, isExhausted: () => boolean) {
    this.#mapFile = mapFile;
    this.#isExhausted = isExhausted;
  }

  map(byteLength: number): Arena {
    const length = wholePages(byteLength);
    const free = this.#free.get(length)?.pop();
    if (free === undefined) return this.mapPermanent(length);
    if (!free.isLarge) free.used = length;
    return free.arena;
  }

  mapPermanent(byteLength: number): Arena {
    if (byteLength > MAX_BYTES || this.#isExhausted()) throw new SysError("mmap", ERRNO.ENOMEM);
    return this.#add(takePages(byteLength), undefined);
  }

  mapFile(fd: number, offset: number, byteLength: number): Arena {
    if (this.#isExhausted()) throw new SysError("mmap", ERRNO.ENOMEM, { fd });
    const { file, memory } = this.#mapFile(fd, offset, wholePages(byteLength));
    return this.#add(memory, file.hold());
  }

  release(arena: Arena): void {
    const mapping = this.#mappings.get(arena);
    if (mapping === undefined) return;
    const { file } = mapping;
    if (file === undefined) {
      this.#clear(mapping);
      return;
    }
    mapping.isReleased = true;
    file.drop();
    // Until then, the file uses it.
    if (!file.isReleased) return;
    for (const each of this.#mappings.values()) {
      if (each.file !== file || !each.isReleased) continue;
      if (this.#isMappedTwice(each)) continue;
      each.file = undefined;
      file.wipe(each.arena.u8.buffer as ArrayBuffer);
      each.used = 0;
      this.#clear(each);
    }
  }

  /** Ends the mappings of files, as the end of a process does. Nothing else has their memory until {@link Memory.unmap}. */
  releaseFiles(): void {
    for (const mapping of this.#mappings.values()) {
      if (mapping.isReleased) continue;
      mapping.isReleased = true;
      mapping.file?.drop();
    }
  }

  unmap(): void {
    this.#regions.length = 0;
    this.#free.clear();
    const mappings = [...this.#mappings.values()];
    for (const { file, isReleased } of mappings) if (!isReleased) file?.drop();
    for (const mapping of mappings) {
      const { arena, file, used } = mapping;
      // Another process may have mapped it too.
      if (file !== undefined && (!file.isReleased || this.#isMappedTwice(mapping))) continue;
      const pages = arena.u8.buffer as ArrayBuffer;
      file?.wipe(pages);
      returnPages(pages, file === undefined ? used : 0);
    }
    this.#mappings.clear();
  }

  /** Whether a range of a file is mapped at two addresses. That memory is left to the garbage collector. */
  #isMappedTwice({ arena, file }: Mapping): boolean {
    for (const other of this.#mappings.values()) {
      if (
        other.file === file &&
        other.arena !== arena &&
        other.arena.u8.buffer === arena.u8.buffer
      ) {
        return true;
      }
    }
    return false;
  }

  /** Makes released memory usable for another arena. */
  #clear(mapping: Mapping): void {
    const { arena } = mapping;
    arena.u8.fill(0, 0, mapping.used);
    mapping.used = 0;
    const free = this.#free.get(arena.byteLength);
    if (free === undefined) this.#free.set(arena.byteLength, [mapping]);
    else free.push(mapping);
  }

  /** The arena that contains `address`; undefined when nothing is mapped there. */
  find(address: number): Arena | undefined {
    const arena = this.#regions[Math.floor((address - FIRST_ADDRESS) / REGION_BYTES)]?.arena;
    return arena !== undefined && address < arena.address + arena.byteLength ? arena : undefined;
  }

  /** The bytes at an address; undefined when they are not all mapped, in one arena (EFAULT). */
  bytes(address: number, length: number): Uint8Array | undefined {
    if (length === 0) return new Uint8Array(0);
    const arena = this.#use(address, length);
    if (arena === undefined) return undefined;
    const offset = address - arena.address;
    return arena.u8.subarray(offset, offset + length);
  }

  /**
   * The same for the target of a call that may fill less of it, of which {@link Memory.filled} is told how much.
   */
  room(address: number, length: number): Uint8Array | undefined {
    if (length === 0) return new Uint8Array(0);
    const arena = this.find(address);
    if (arena === undefined) return undefined;
    const offset = address - arena.address;
    return offset + length > arena.byteLength
      ? undefined
      : arena.u8.subarray(offset, offset + length);
  }

  /** A call has filled memory at an address. */
  filled(address: number, length: number): void {
    if (length > 0) this.#use(address, length);
  }

  /** A view of a struct at an address; undefined when it is not mapped (EFAULT). */
  view(address: number, length: number): DataView | undefined {
    const arena = this.#use(address, length);
    if (arena === undefined) return undefined;
    return new DataView(arena.u8.buffer, arena.u8.byteOffset + address - arena.address, length);
  }

  /** The string at an address, up to its NUL; undefined when it is not mapped (EFAULT). */
  text(address: number): string | undefined {
    const arena = this.find(address);
    if (arena === undefined) return undefined;
    const offset = address - arena.address;
    const end = arena.u8.indexOf(0, offset);
    return end < 0 ? undefined : decoder.decode(arena.u8.subarray(offset, end));
  }

  /** The arena that contains a range of addresses, which a call reads or writes. */
  #use(address: number, length: number): Arena | undefined {
    const mapping = this.#regions[Math.floor((address - FIRST_ADDRESS) / REGION_BYTES)];
    if (mapping === undefined) return undefined;
    const { arena } = mapping;
    const end = address - arena.address + length;
    if (end > arena.byteLength) return undefined;
    if (mapping.isLarge && end > mapping.used) mapping.used = end;
    return arena;
  }

  #add(buffer: ArrayBuffer, file: OpenFile | undefined): Arena {
    const arena = new Arena(this.#nextAddress, buffer);
    // The kernel writes to the memory of a file without a call.
    const isLarge = file === undefined && arena.byteLength > LARGE_BYTES;
    const used = isLarge ? 0 : arena.byteLength;
    const mapping: Mapping = { arena, file, isLarge, used, isReleased: false };
    this.#mappings.set(arena, mapping);
    const regions = Math.ceil(arena.byteLength / REGION_BYTES);
    const first = (arena.address - FIRST_ADDRESS) / REGION_BYTES;
    for (let i = 0; i < regions; i++) this.#regions[first + i] = mapping;
    // One region stays free, so that an access beyond the end is an error.
    this.#nextAddress += (regions + 1) * REGION_BYTES;
    return arena;
  }
}

const decoder = new TextDecoder();
