/** Open files of a tree of files. */
import {
  ERRNO,
  FIONREAD,
  O_APPEND,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import { OpenFile } from "../process/open-file.ts";
import {
  type DeviceName,
  type DeviceNode,
  type DirectoryNode,
  type FileNode,
  type Node,
  timeOfDay,
} from "./nodes.ts";

/** What a file that cannot be polled reports. Source: include/linux/poll.h, DEFAULT_POLLMASK. */
const ALWAYS_READY: number = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;

/** How a file was opened. */
export interface Opening {
  /** O_RDONLY, O_WRONLY or O_RDWR. */
  readonly accessMode: number;
  readonly statusFlags: number;
}

/** An open file that has a name in the tree. */
export abstract class NodeFile extends OpenFile {
  abstract readonly node: Node;
  override readonly accessMode: number;

  constructor({ accessMode, statusFlags }: Opening) {
    super();
    this.accessMode = accessMode;
    this.statusFlags = statusFlags;
  }

  override get isPollable(): boolean {
    return false;
  }

  poll(): number {
    return ALWAYS_READY;
  }

  protected released(): void {}
}

/** A regular file. */
export class RegularFile extends NodeFile {
  override readonly kind = "file";
  readonly node: FileNode;
  /** Source: lseek(2). */
  position = 0;
  readonly #world: World;

  constructor(node: FileNode, opening: Opening, world: World) {
    super(opening);
    this.node = node;
    this.#world = world;
  }

  override read(target: Uint8Array): number {
    const count = this.readAt(target, this.position);
    if (count > 0) this.position += count;
    return count;
  }

  override write(source: Uint8Array): number {
    const isAppended = (this.statusFlags & O_APPEND) !== 0;
    if (isAppended) this.position = this.node.size;
    const count = this.writeAt(source, this.position);
    if (count > 0) this.position += count;
    return count;
  }

  /** A range of the disk may be unreadable, and a read ends before it. */
  override readAt(target: Uint8Array, offset: number): number {
    const { faults, choices } = this.#world;
    if (faults.happens("disk")) return -ERRNO.EIO;
    const count = this.node.read(target, offset);
    return count > 1 && faults.happens("shortRead") ? count - choices.below(count) : count;
  }

  override writeAt(source: Uint8Array, offset: number): number {
    const { faults, choices } = this.#world;
    if (source.length === 0) return 0;
    if (faults.happens("disk")) return choices.oneIn(2) ? -ERRNO.EIO : -ERRNO.ENOSPC;
    // The rest of the disk may have room for a part.
    const isShort = source.length > 1 && faults.happens("shortWrite");
    const count = isShort ? source.length - choices.below(source.length) : source.length;
    this.node.write(source.subarray(0, count), offset);
    this.node.modifiedMs = timeOfDay(this.#world);
    return count;
  }

  /** Source: fs/ioctl.c, file_ioctl. */
  override ioctl(request: number, argument: DataView): number {
    if (request !== FIONREAD) return -ERRNO.ENOTTY;
    argument.setInt32(0, this.node.size - this.position, true);
    return 0;
  }
}

/** An entry of a directory, as getdents64 returns it. */
export interface Entry {
  readonly name: string;
  readonly node: Node;
}

/** A directory that is open for reading its entries. */
export class DirectoryFile extends NodeFile {
  override readonly kind = "directory";
  readonly node: DirectoryNode;
  /** The entries at the time of the first read. */
  #entries: readonly Entry[] | undefined;
  position = 0;

  constructor(node: DirectoryNode, opening: Opening) {
    super(opening);
    this.node = node;
  }

  get entries(): readonly Entry[] {
    this.#entries ??= [
      { name: ".", node: this.node },
      { name: "..", node: this.node.parent },
      ...Array.from(this.node.entries, ([name, node]) => ({ name, node })),
    ];
    return this.#entries;
  }

  /** Source: fs/libfs.c, generic_read_dir. */
  override read(): number {
    return -ERRNO.EISDIR;
  }

  override readAt(): number {
    return -ERRNO.EISDIR;
  }
}

/** A character device: /dev/null, /dev/zero or /dev/full. Source: null(4), full(4); drivers/char/mem.c. */
export class DeviceFile extends NodeFile {
  override readonly kind: string;
  readonly node: DeviceNode;
  /** Its bytes are the same everywhere. */
  position = 0;
  readonly #device: DeviceName;

  constructor(node: DeviceNode, opening: Opening) {
    super(opening);
    this.node = node;
    this.#device = node.device;
    this.kind = `/dev/${node.device}`;
  }

  override read(target: Uint8Array): number {
    if (this.#device === "null") return 0;
    target.fill(0);
    return target.length;
  }

  override write(source: Uint8Array): number {
    return this.#device === "full" ? -ERRNO.ENOSPC : source.length;
  }

  override readAt(target: Uint8Array): number {
    return this.read(target);
  }

  override writeAt(source: Uint8Array): number {
    return this.write(source);
  }
}

/** A file of any kind that was opened with O_PATH, for inspecting it. Source: open(2). */
export class PathFile extends NodeFile {
  override readonly kind = "path";
  override get isPathOnly(): boolean {
    return true;
  }
  readonly node: Node;

  constructor(node: Node, opening: Opening) {
    super(opening);
    this.node = node;
  }
}
