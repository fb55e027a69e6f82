import { ERRNO } from "polloi/internal/pure";
import type { World } from "../base/world.ts";
import {
  type DeviceName,
  DeviceNode,
  DirectoryNode,
  FifoNode,
  FileNode,
  LinkNode,
  type Node,
  type Origin,
  SocketNode,
  timeOfDay,
} from "./nodes.ts";
import { pathOf, resolvePath } from "./paths.ts";

const DEVICES: readonly DeviceName[] = ["null", "zero", "full"];

const encoder = new TextEncoder();

/**
 * The files of a machine, in memory.
 *
 * @remarks
 * The methods are for programs that prepare files. They take absolute paths, and make the directories that these need.
 * Processes use the files through their calls.
 */
export class FileTree {
  readonly #world: World;
  #root: DirectoryNode | undefined;
  #numbers = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** The tree is made when it is first used, because most programs use no files. */
  get root(): DirectoryNode {
    if (this.#root !== undefined) return this.#root;
    const root = new DirectoryNode(this.origin());
    this.#root = root;
    for (const name of DEVICES) this.#add(`/dev/${name}`, new DeviceNode(this.origin(), name));
    this.addDirectory("/tmp");
    return root;
  }

  /** For a new node. */
  origin(): Origin {
    return { number: ++this.#numbers, nowMs: timeOfDay(this.#world) };
  }

  /** Adds a regular file, or replaces what is there. */
  addFile(path: string, content: Uint8Array | string = ""): FileNode {
    const bytes = typeof content === "string" ? encoder.encode(content) : content;
    return this.#add(path, new FileNode(this.origin(), bytes));
  }

  /** Adds a directory, unless it is there. */
  addDirectory(path: string): DirectoryNode {
    return this.#directoryOf(pathOf(path).split("/"));
  }

  /** Adds a symbolic link. */
  addLink(path: string, target: string): LinkNode {
    return this.#add(path, new LinkNode(this.origin(), pathOf(target)));
  }

  addFifo(path: string): FifoNode {
    return this.#add(path, new FifoNode(this.origin()));
  }

  /** What a path refers to; undefined when there is nothing. */
  find(path: string): Node | undefined {
    const { root } = this;
    const place = resolvePath(pathOf(path), { root, from: root, followLast: "always" });
    return typeof place === "number" ? undefined : place.node;
  }

  /** Removes what is at a path, a directory with everything in it. Files that are open stay open. */
  remove(path: string): void {
    const { root } = this;
    const place = resolvePath(pathOf(path), { root, from: root, followLast: "never" });
    if (typeof place !== "number") place.directory.entries.delete(place.name);
  }

  /**
   * Makes the file of a unix socket. Source: net/unix/af_unix.c, unix_bind_bsd.
   *
   * @param path - With a character for each byte.
   * @returns The file, or `-errno`: EEXIST, ENOENT, ENOTDIR.
   */
  makeSocket(path: string): SocketNode | number {
    const { root } = this;
    const place = resolvePath(path, { root, from: root, followLast: "never" });
    if (typeof place === "number") return place;
    if (place.node !== undefined) return -ERRNO.EEXIST;
    if (place.isDirectory) return -ERRNO.ENOENT;
    const node = new SocketNode(this.origin());
    place.directory.entries.set(place.name, node);
    return node;
  }

  /**
   * The file at a path, of any type; or `-errno`. Source: net/unix/af_unix.c, unix_find_bsd.
   *
   * @param path - With a character for each byte.
   */
  findFile(path: string): Node | number {
    const { root } = this;
    const place = resolvePath(path, { root, from: root, followLast: "always" });
    if (typeof place === "number") return place;
    return place.node ?? -ERRNO.ENOENT;
  }

  #add<T extends Node>(path: string, node: T): T {
    const names = pathOf(path).split("/");
    const name = names.pop() as string;
    this.#directoryOf(names).entries.set(name, node);
    return node;
  }

  #directoryOf(names: readonly string[]): DirectoryNode {
    let at: DirectoryNode = this.root;
    for (const name of names) {
      if (name === "") continue;
      let next = at.entries.get(name);
      if (!(next instanceof DirectoryNode)) {
        next = new DirectoryNode(this.origin(), at);
        at.entries.set(name, next);
      }
      at = next as DirectoryNode;
    }
    return at;
  }
}
