import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  SO_LINGER,
  SOL_SOCKET,
} from "../../../polloi/src/socket/constants.ts";
import type { Arena } from "../../../polloi/src/sys/arena.ts";
import type { Kernel } from "../../../polloi/src/sys/kernel.ts";
import type { Libc } from "../../../polloi/src/sys/libc.ts";
import type { FileTree } from "../../src/files/file-tree.ts";
import type { TestRing } from "./test-ring.ts";

/** The memory of a side, in bytes: structs, bytes that are sent, bytes that are received. */
export const AT_STRUCT = 0;
export const AT_NAME = 4096;
export const AT_LENGTH = 4352;
export const AT_OPTION = 4608;
export const AT_SENT = 0x2_0000;
export const AT_RECEIVED = 0x4_0000;
const MEMORY_BYTES = 0x6_0000;
/** The size of the memory for an address. */
export const NAME_BYTES = 128;

/** A descriptor that is not open. */
const CLOSED = 1_000_000;

/** What two sides must have in common: numbers and text. Descriptors, addresses and ports are not part of it. */
export type Result = readonly (number | string)[];

/**
 * One of the two kernels that run a program, and what the program has opened on it.
 *
 * @remarks
 * A program names what it opens by handles. Each side maps them to its own descriptors.
 */
export class Side {
  readonly kernel: Kernel;
  readonly libc: Libc;
  readonly memory: Arena;
  readonly rings: Map<number, TestRing> = new Map();
  /** The number of the program, which makes its names and addresses unique. */
  readonly program: number;
  /** The files of the simulated machine; undefined for the real one. */
  readonly files: FileTree | undefined;
  /** The path of the tree of files of the program, once it needs one. */
  tree = "";
  readonly #fds: Map<number, number> = new Map();
  #nameRoom: number = NAME_BYTES;
  /** The next handle of each submission that accepts, by its tag. */
  readonly #accepts: Map<number, number> = new Map();
  /** Ports and other names that the kernel chose, in the order in which the program saw them. */
  readonly #chosen: Map<number | string, number> = new Map();

  constructor(kernel: Kernel, memory: Arena, program: number, files?: FileTree) {
    this.kernel = kernel;
    this.libc = kernel.libc;
    this.memory = memory;
    this.program = program;
    this.files = files;
  }

  /** Maps the memory of a side. It may be used for one program after another. */
  static memoryOf(kernel: Kernel): Arena {
    return kernel.arenas.map(MEMORY_BYTES);
  }

  get struct(): number {
    return this.memory.address + AT_STRUCT;
  }

  /** Whether the program has opened a handle here, whether it is closed now or not. */
  knows(handle: number): boolean {
    return this.#fds.has(handle);
  }

  /** The descriptor of a handle. */
  fd(handle: number): number {
    return this.#fds.get(handle) ?? CLOSED;
  }

  /** Gives a descriptor a handle. @returns What the sides must have in common: whether the call failed, and how. */
  keep(handle: number, fd: number): number {
    if (fd < 0) return fd;
    this.#fds.set(handle, fd);
    return 0;
  }

  /** What the submission with this tag accepts gets handles from `first` on. */
  accepts(tag: number, first: number): void {
    this.#accepts.set(tag, first);
  }

  /** The handle for what the submission with this tag has accepted; undefined when it does not accept. */
  acceptedBy(tag: number): number | undefined {
    const handle = this.#accepts.get(tag);
    if (handle !== undefined) this.#accepts.set(tag, handle + 1);
    return handle;
  }

  /** The handle was closed. */
  closed(handle: number): void {
    this.#fds.set(handle, CLOSED);
  }

  /** Numbers what the kernel chose. */
  chosen(value: number | string): number {
    const known = this.#chosen.get(value);
    if (known !== undefined) return known;
    this.#chosen.set(value, this.#chosen.size + 1);
    return this.#chosen.size;
  }

  /** Writes `length` bytes that depend on `seed` into the memory for bytes that are sent. @returns Their address. */
  fill(seed: number, length: number): number {
    const { u8 } = this.memory;
    for (let i = 0; i < length; i++) u8[AT_SENT + i] = (seed * 31 + i * 7 + (i >> 8)) & 0xff;
    return this.memory.address + AT_SENT;
  }

  /** A number that depends on bytes of the memory. */
  hash(offset: number, length: number): number {
    const { u8 } = this.memory;
    let hash = 0x811c9dc5;
    for (let i = 0; i < length; i++)
      hash = Math.imul(hash ^ (u8[offset + i] as number), 0x01000193);
    return hash >>> 0;
  }

  /** The result of a call that received bytes, and the bytes. */
  received(result: number): Result {
    return result > 0 ? [result, this.hash(AT_RECEIVED, result)] : [result];
  }

  /** Makes the memory for received bytes the same on both sides. @returns Its address. */
  room(length: number): number {
    this.memory.u8.fill(0xa5, AT_RECEIVED, AT_RECEIVED + length);
    return this.memory.address + AT_RECEIVED;
  }

  /** Prepares the memory for an address that a call writes. */
  prepareName(length: number = NAME_BYTES): void {
    this.#nameRoom = length;
    this.memory.u8.fill(0, AT_NAME, AT_NAME + NAME_BYTES);
    this.memory.u32[AT_LENGTH >> 2] = length;
  }

  /** An address that a call has written. */
  name(): Result {
    const length = this.memory.u32[AT_LENGTH >> 2] as number;
    const { u8, view } = this.memory;
    if (length < 2) return [length];
    // Half a name cannot be recognized as one that the kernel chose.
    if (length > this.#nameRoom) return [length, this.#nameRoom];
    const family = view.getUint16(AT_NAME, true);
    if (family === AF_INET || family === AF_INET6) {
      const port = view.getUint16(AT_NAME + 2, false);
      const [from, size] = family === AF_INET ? [4, 4] : [8, 16];
      const address = u8.subarray(AT_NAME + from, AT_NAME + from + size).join(".");
      return [length, family, address, port === 0 || port === 1 ? port : -this.chosen(port)];
    }
    const text = String.fromCharCode(...u8.subarray(AT_NAME + 2, AT_NAME + Math.min(length, 110)));
    // An autobound name has five hexadecimal digits.
    const isChosen = family === AF_UNIX && /^\0[0-9a-f]{5}$/.test(text);
    return [length, family, isChosen ? -this.chosen(text) : text];
  }

  /** Closes everything that the program has left open, so that no connection lingers. */
  end(): void {
    for (const [handle, ring] of this.rings) {
      ring.close();
      this.closed(handle);
    }
    const linger = this.memory.address + AT_OPTION;
    for (const fd of [...this.#fds.values()].reverse()) {
      if (fd === CLOSED) continue;
      this.memory.u32[AT_OPTION >> 2] = 1;
      this.memory.u32[(AT_OPTION >> 2) + 1] = 0;
      this.libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, 8);
      this.libc.close(fd);
    }
    this.#fds.clear();
  }
}
