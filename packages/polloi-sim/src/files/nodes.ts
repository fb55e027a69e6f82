import { PAGE_SIZE, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { S_IFCHR } from "../process/abi.ts";
import { Pipe } from "./pipe.ts";

/** The time at which a machine starts, in milliseconds since 1970. */
const START_MS = 1_700_000_000_000;

/** The time of day, in milliseconds since 1970. */
export function timeOfDay(world: World): number {
  return START_MS + world.now();
}

/** Where and when a file was made. */
export interface Origin {
  /** st_ino. */
  readonly number: number;
  /** In milliseconds since 1970. */
  readonly nowMs: number;
}

/** An inode: what a name in a directory refers to. Source: inode(7). */
export abstract class Node {
  /** st_ino. */
  readonly number: number;
  /** st_mode: its type and permissions. */
  readonly mode: number;
  /** The time of the last change, in milliseconds since 1970. */
  modifiedMs: number;

  protected constructor(mode: number, { number, nowMs }: Origin) {
    this.mode = mode;
    this.number = number;
    this.modifiedMs = nowMs;
  }

  /** st_size. */
  get size(): number {
    return 0;
  }
}

/** A directory. Names are strings with a character for each byte. */
export class DirectoryNode extends Node {
  readonly entries: Map<string, Node> = new Map();
  /** The directory above; itself for the root. */
  readonly parent: DirectoryNode;

  constructor(origin: Origin, parent?: DirectoryNode) {
    super(S_IFDIR | 0o755, origin);
    this.parent = parent ?? this;
  }

  override get size(): number {
    return PAGE_SIZE;
  }
}

/** A regular file in memory. What was never written consists of zeros and takes no memory. */
export class FileNode extends Node {
  /** The first bytes of the file; there may be room after its end. */
  #bytes: Uint8Array;
  #size: number;

  constructor(origin: Origin, bytes: Uint8Array = new Uint8Array(0)) {
    super(S_IFREG | 0o644, origin);
    this.#bytes = bytes;
    this.#size = bytes.length;
  }

  override get size(): number {
    return this.#size;
  }

  /** Copies bytes from `offset` on. @returns The number of bytes, 0 at the end. */
  read(target: Uint8Array, offset: number): number {
    const length = Math.max(Math.min(target.length, this.#size - offset), 0);
    const stored = this.#bytes.subarray(offset, offset + length);
    target.set(stored);
    target.fill(0, stored.length, length);
    return length;
  }

  write(source: Uint8Array, offset: number): void {
    const end = offset + source.length;
    if (end > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
    }
    this.#bytes.set(source, offset);
    this.#size = Math.max(this.#size, end);
  }

  /** ftruncate(2). */
  truncate(size: number): void {
    if (size < this.#bytes.length) this.#bytes = this.#bytes.slice(0, size);
    this.#size = size;
  }
}

/** A symbolic link. */
export class LinkNode extends Node {
  readonly target: string;

  constructor(origin: Origin, target: string) {
    super(S_IFLNK | 0o777, origin);
    this.target = target;
  }

  override get size(): number {
    return this.target.length;
  }
}

/** A FIFO. Its bytes are in a pipe as long as it is open. */
export class FifoNode extends Node {
  #pipe: Pipe | undefined;

  constructor(origin: Origin) {
    super(S_IFIFO | 0o644, origin);
  }

  get pipe(): Pipe {
    this.#pipe ??= new Pipe();
    return this.#pipe;
  }
}

/** The character devices of memory. Source: null(4), full(4). */
export type DeviceName = "null" | "zero" | "full";

export class DeviceNode extends Node {
  readonly device: DeviceName;

  constructor(origin: Origin, device: DeviceName) {
    super(S_IFCHR | 0o666, origin);
    this.device = device;
  }
}

/** The name of a unix socket. */
export class SocketNode extends Node {
  constructor(origin: Origin) {
    super(S_IFSOCK | 0o755, origin);
  }
}
