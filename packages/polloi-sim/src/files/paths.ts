import { ERRNO, RESOLVE_BENEATH } from "polloi/internal/pure";
import { RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS } from "../process/abi.ts";
import type { Memory } from "../process/memory.ts";
import { DirectoryNode, LinkNode, type Node } from "./nodes.ts";

/** The longest path, its NUL included, and the longest name in it. Source: limits.h. */
const PATH_MAX = 4096;
const NAME_MAX = 255;
/** The most links that are followed. Source: path_resolution(7). */
const MAX_LINKS = 40;

/** A place in the tree of files. */
export interface Place {
  readonly directory: DirectoryNode;
  /** The name in the directory; `.` or `..` when the path ends with it, empty for `/`. */
  readonly name: string;
  /** Undefined when the directory has no such name. */
  readonly node: Node | undefined;
  /** Whether the path ends with a slash, so that it means a directory. */
  readonly isDirectory: boolean;
}

export interface Resolving {
  /** The directory that `/` refers to. */
  readonly root: DirectoryNode;
  /** The directory that a relative path begins in. */
  readonly from: DirectoryNode;
  /** Whether a link at the end of the path is followed; `slash`: only one with a slash after it. */
  readonly followLast: "always" | "slash" | "never";
  /** RESOLVE_* of openat2(2). */
  readonly resolve?: number;
}

/**
 * Finds the place that a path refers to.
 *
 * @returns The place, or `-errno`.
 * @source path_resolution(7), openat2(2); fs/namei.c, link_path_walk
 */
export function resolvePath(path: string, how: Resolving): Place | number {
  const { root, from, followLast, resolve = 0 } = how;
  const isBeneath = (resolve & RESOLVE_BENEATH) !== 0;
  const top = isBeneath || (resolve & RESOLVE_IN_ROOT) !== 0 ? from : root;
  if (path === "") return -ERRNO.ENOENT;
  let at: Node = from;
  let links = 0;
  let isDirectory = false;
  /** The names that follow, the next one last. */
  const names: string[] = [];
  const enter = (text: string): number => {
    if (text.startsWith("/")) {
      if (isBeneath) return -ERRNO.EXDEV;
      at = top;
    }
    if (names.length === 0) isDirectory ||= text.endsWith("/");
    for (const name of text.split("/").reverse()) if (name !== "") names.push(name);
    return 0;
  };
  const entered = enter(path);
  if (entered < 0) return entered;
  let last = "";
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    if (!(at instanceof DirectoryNode)) return -ERRNO.ENOTDIR;
    const directory: DirectoryNode = at;
    last = name;
    if (name === ".") continue;
    if (name === "..") {
      if (directory === top) {
        if (isBeneath) return -ERRNO.EXDEV;
      } else at = directory.parent;
      continue;
    }
    if (name.length > NAME_MAX) return -ERRNO.ENAMETOOLONG;
    const node = directory.entries.get(name);
    const isLast = names.length === 0;
    const follows = !isLast || followLast === "always" || (followLast === "slash" && isDirectory);
    if (node instanceof LinkNode && follows) {
      if ((resolve & RESOLVE_NO_SYMLINKS) !== 0 || ++links > MAX_LINKS) return -ERRNO.ELOOP;
      const followed = enter(node.target);
      if (followed < 0) return followed;
      continue;
    }
    if (isLast) return { directory, name, node, isDirectory };
    if (node === undefined) return -ERRNO.ENOENT;
    at = node;
  }
  // The path was `/`, or it ended with `.` or `..`.
  if (!(at instanceof DirectoryNode)) return -ERRNO.ENOTDIR;
  return { directory: at.parent, name: last, node: at, isDirectory: true };
}

/** The path at an address, with a character for each byte; or `-errno`. Source: fs/namei.c, getname_flags. */
export function readPath(memory: Memory, address: number): string | number {
  const arena = memory.find(address);
  if (arena === undefined) return -ERRNO.EFAULT;
  const { u8 } = arena;
  const start = address - arena.address;
  const end = u8.indexOf(0, start);
  if (end < 0) return -ERRNO.EFAULT;
  if (end - start >= PATH_MAX) return -ERRNO.ENAMETOOLONG;
  return byteString(u8.subarray(start, end));
}

/** A string with a character for each byte. */
export function byteString(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

const encoder = new TextEncoder();

/** The bytes of a path as the kernel has them, in the form of {@link byteString}. */
export function pathOf(path: string): string {
  return byteString(encoder.encode(path));
}
