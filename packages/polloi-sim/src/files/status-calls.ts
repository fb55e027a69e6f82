/** The status of files and the entries of directories: statx and getdents64. */
import {
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  DIRENT64,
  ERRNO,
  type Native,
  PAGE_SIZE,
  S_IFIFO,
  S_IFMT,
  S_IFSOCK,
  STATX,
  SYS,
} from "polloi/internal/pure";
import { AT_FDCWD, KNOWN_STATX_FLAGS, STATX_RESERVED } from "../process/abi.ts";
import type { OpenFile } from "../process/open-file.ts";
import type { Process } from "../process/process.ts";
import type { FileTree } from "./file-tree.ts";
import { DirectoryNode } from "./nodes.ts";
import { findPlace } from "./open-calls.ts";
import { DirectoryFile, type Entry, NodeFile } from "./opened.ts";

const STATX_BYTES = 256;
/** The fields of a status that are given: all basic ones. */
const STATX_BASIC_STATS = 0x7ff;
const BLOCK_BYTES = 512;
const MS_PER_S = 1000;
/** The devices of files with a name and without one. Source: stat(2), st_dev. */
const TREE_DEVICE = 254;
const NAMELESS_DEVICE = 0;
/** Fields of `struct statx` besides those of the library. Source: statx(2). */
const AT_BLKSIZE = 4;
const AT_NLINK = 16;
const AT_BLOCKS = 48;
/** The offset of the number of an entry's type. Source: getdents(2), d_type. */
const AT_TYPE = 18;

/** The parts of a status that differ. */
interface Status {
  readonly mode: number;
  readonly number: number;
  readonly size: number;
  readonly modifiedMs: number;
  readonly device: number;
}

/** Source: statx(2), getdents(2); fs/stat.c, fs/readdir.c. */
export function statusCalls(process: Process, tree: FileTree): Record<number, Native> {
  const { descriptors, memory } = process;

  const statusOf = (fd: number, address: number, flags: number): Status | number => {
    if ((flags & AT_EMPTY_PATH) !== 0 && memory.bytes(address, 1)?.[0] === 0) {
      if (fd === AT_FDCWD) return nodeStatus(tree.root);
      const file = descriptors.getAny(fd);
      return file === undefined ? -ERRNO.EBADF : fileStatus(file);
    }
    const followLast = (flags & AT_SYMLINK_NOFOLLOW) !== 0 ? "slash" : "always";
    const place = findPlace(process, tree, { fd, address, followLast });
    if (typeof place === "number") return place;
    if (place.node === undefined) return -ERRNO.ENOENT;
    const isDirectory = place.node instanceof DirectoryNode;
    return place.isDirectory && !isDirectory ? -ERRNO.ENOTDIR : nodeStatus(place.node);
  };

  return {
    [SYS.statx](fd = 0, path = 0, flags = 0, mask = 0, address = 0) {
      if ((flags & ~KNOWN_STATX_FLAGS) !== 0) return -ERRNO.EINVAL;
      if ((mask & STATX_RESERVED) !== 0) return -ERRNO.EINVAL;
      const status = statusOf(fd, path, flags);
      if (typeof status === "number") return status;
      const view = memory.view(address, STATX_BYTES);
      if (view === undefined) return -ERRNO.EFAULT;
      writeStatus(view, status);
      return 0;
    },

    [SYS.getdents64](fd = 0, address = 0, length = 0) {
      const file = descriptors.get(fd);
      if (file === undefined) return -ERRNO.EBADF;
      if (!(file instanceof DirectoryFile)) return -ERRNO.ENOTDIR;
      if (process.world.faults.happens("disk")) return -ERRNO.EIO;
      const view = memory.view(address, length);
      if (view === undefined) return -ERRNO.EFAULT;
      let at = 0;
      for (
        let entry = file.entries[file.position];
        entry !== undefined;
        entry = file.entries[file.position]
      ) {
        const size = writeEntry(view, at, entry, file.position + 1);
        if (size === 0) break;
        at += size;
        file.position++;
      }
      return at === 0 && file.position < file.entries.length ? -ERRNO.EINVAL : at;
    },
  };
}

function nodeStatus(node: NodeFile["node"]): Status {
  const { mode, number, size, modifiedMs } = node;
  return { mode, number, size, modifiedMs, device: TREE_DEVICE };
}

function fileStatus(file: OpenFile): Status {
  if (file instanceof NodeFile) return nodeStatus(file.node);
  const mode =
    file.kind === "pipe" ? S_IFIFO | 0o600 : file.kind === "socket" ? S_IFSOCK | 0o777 : 0o600;
  return { mode, number: 1, size: 0, modifiedMs: 0, device: NAMELESS_DEVICE };
}

function writeStatus(view: DataView, status: Status): void {
  for (let at = 0; at < STATX_BYTES; at += 4) view.setUint32(at, 0, true);
  const setWord = (offset: number, value: number): void => {
    view.setUint32(offset, value % 0x1_0000_0000, true);
    view.setInt32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
  };
  view.setUint32(0, STATX_BASIC_STATS, true);
  view.setUint32(AT_BLKSIZE, PAGE_SIZE, true);
  view.setUint32(AT_NLINK, 1, true);
  view.setUint16(STATX.mode, status.mode, true);
  setWord(STATX.ino, status.number);
  setWord(STATX.length, status.size);
  setWord(AT_BLOCKS, Math.ceil(status.size / BLOCK_BYTES));
  const seconds = Math.floor(status.modifiedMs / MS_PER_S);
  setWord(STATX.mtime, seconds);
  const nanoseconds = Math.floor((status.modifiedMs - seconds * MS_PER_S) * 1e6);
  view.setUint32(STATX.mtime + 8, nanoseconds, true);
  view.setUint32(STATX.device, status.device, true);
}

/** @returns The size of the entry, or 0 when there is no room for it. */
function writeEntry(view: DataView, at: number, { name, node }: Entry, next: number): number {
  const size = Math.ceil((DIRENT64.name + name.length + 1) / 8) * 8;
  if (at + size > view.byteLength) return 0;
  view.setUint32(at, node.number, true);
  view.setUint32(at + 4, 0, true);
  view.setUint32(at + 8, next, true);
  view.setUint32(at + 12, 0, true);
  view.setUint16(at + DIRENT64.length, size, true);
  view.setUint8(at + AT_TYPE, (node.mode & S_IFMT) >> 12);
  for (let i = 0; i < size - DIRENT64.name; i++) {
    view.setUint8(at + DIRENT64.name + i, i < name.length ? name.charCodeAt(i) : 0);
  }
  return size;
}
