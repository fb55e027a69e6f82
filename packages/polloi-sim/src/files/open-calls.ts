/** Calls that take a path: open, openat, openat2 and unlink. */
import {
  ERRNO,
  type Libc,
  type Native,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  OPEN_HOW_SIZE,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  SYS,
} from "polloi/internal/pure";
import {
  AT_FDCWD,
  MAX_OPEN_HOW,
  O_ACCMODE,
  O_DIRECT,
  O_EXCL,
  O_LARGEFILE,
  O_NOATIME,
  O_RDWR,
  O_TRUNC,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../process/abi.ts";
import type { OpenFile } from "../process/open-file.ts";
import type { Process } from "../process/process.ts";
import type { FileTree } from "./file-tree.ts";
import { DeviceNode, DirectoryNode, FifoNode, FileNode, LinkNode, type Node } from "./nodes.ts";
import { DeviceFile, DirectoryFile, NodeFile, PathFile, RegularFile } from "./opened.ts";
import { type Place, readPath, resolvePath } from "./paths.ts";
import { PipeEnd } from "./pipe.ts";

/** The flags that O_PATH leaves. Source: open(2), O_PATH. */
const PATH_FLAGS: number = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
/** The flags that fcntl(F_GETFL) does not return. Source: fs/open.c, do_dentry_open. */
const OPENING_FLAGS: number = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC;
const KNOWN_FLAGS: number =
  OPENING_FLAGS |
  O_PATH |
  O_APPEND |
  O_NONBLOCK |
  O_DIRECTORY |
  O_NOFOLLOW |
  O_DIRECT |
  O_NOATIME |
  O_LARGEFILE;
const KNOWN_RESOLVE: number =
  RESOLVE_NO_XDEV |
  RESOLVE_NO_MAGICLINKS |
  RESOLVE_NO_SYMLINKS |
  RESOLVE_BENEATH |
  RESOLVE_IN_ROOT |
  RESOLVE_CACHED;

/** Source: open(2), openat2(2), unlink(2); fs/open.c, fs/namei.c. */
export function openCalls(
  process: Process,
  tree: FileTree,
): {
  readonly calls: Pick<Libc, "open" | "unlink">;
  readonly numbered: () => Record<number, Native>;
} {
  const { memory } = process;

  const openPath = (fd: number, address: number, flags: number): number => {
    const kept = (flags & O_PATH) !== 0 ? flags & PATH_FLAGS : flags;
    return openAt(process, tree, { fd, address, flags: kept, resolve: 0 });
  };

  return {
    calls: {
      open: (path, flags) => openPath(AT_FDCWD, path, flags),

      unlink(address) {
        const place = findPlace(process, tree, { fd: AT_FDCWD, address, followLast: "never" });
        if (typeof place === "number") return place;
        const { directory, name, node } = place;
        if (node === undefined) return -ERRNO.ENOENT;
        if (node instanceof DirectoryNode) return -ERRNO.EISDIR;
        if (place.isDirectory) return -ERRNO.ENOTDIR;
        directory.entries.delete(name);
        return 0;
      },
    },

    numbered: () => ({
      // The working directory is the root.
      [SYS.getcwd](address = 0, length = 0) {
        if (length < ROOT.length) return length === 0 ? -ERRNO.EINVAL : -ERRNO.ERANGE;
        const target = memory.bytes(address, ROOT.length);
        if (target === undefined) return -ERRNO.EFAULT;
        target.set(ROOT);
        return ROOT.length;
      },

      [SYS.openat]: (fd = 0, path = 0, flags = 0) => openPath(fd, path, flags),

      [SYS.openat2](fd = 0, path = 0, how = 0, size = 0) {
        if (size < OPEN_HOW_SIZE) return -ERRNO.EINVAL;
        if (size > MAX_OPEN_HOW) return -ERRNO.E2BIG;
        const view = memory.view(how, size);
        if (view === undefined) return -ERRNO.EFAULT;
        for (let at = OPEN_HOW_SIZE; at < size; at++) {
          if (view.getUint8(at) !== 0) return -ERRNO.E2BIG;
        }
        const flags = view.getInt32(0, true);
        const mode = view.getUint32(8, true);
        const resolve = view.getUint32(16, true);
        const high = view.getUint32(4, true) | view.getUint32(12, true) | view.getUint32(20, true);
        if (high !== 0 || (flags & ~KNOWN_FLAGS) !== 0) return -ERRNO.EINVAL;
        if ((resolve & ~KNOWN_RESOLVE) !== 0) return -ERRNO.EINVAL;
        const scopes = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
        if ((resolve & scopes) === scopes) return -ERRNO.EINVAL;
        if (mode !== 0 && (flags & O_CREAT) === 0) return -ERRNO.EINVAL;
        if ((flags & O_PATH) !== 0 && (flags & ~PATH_FLAGS) !== 0) return -ERRNO.EINVAL;
        // Nothing is in the cache of names for certain.
        if ((resolve & RESOLVE_CACHED) !== 0) return -ERRNO.EAGAIN;
        return openAt(process, tree, { fd, address: path, flags, resolve });
      },
    }),
  };
}

/** The path of the root, with its NUL. */
const ROOT = new Uint8Array([0x2f, 0]);

interface Finding {
  /** The directory of a relative path, or AT_FDCWD. */
  readonly fd: number;
  readonly address: number;
  readonly followLast: "always" | "slash" | "never";
  readonly resolve?: number;
}

/** The place of a path in memory, or `-errno`. The current directory of every process is the root. */
export function findPlace(
  { memory, descriptors }: Process,
  { root }: FileTree,
  { fd, address, followLast, resolve = 0 }: Finding,
): Place | number {
  const path = readPath(memory, address);
  if (typeof path === "number") return path;
  let from: Node = root;
  const usesDirectory = !path.startsWith("/") || (resolve & RESOLVE_IN_ROOT) !== 0;
  if (fd !== AT_FDCWD && usesDirectory && path !== "") {
    const file = descriptors.getAny(fd);
    if (file === undefined) return -ERRNO.EBADF;
    if (!(file instanceof NodeFile) || !(file.node instanceof DirectoryNode)) {
      return -ERRNO.ENOTDIR;
    }
    from = file.node;
  }
  return resolvePath(path, { root, from: from as DirectoryNode, followLast, resolve });
}

interface OpenRequest {
  readonly fd: number;
  readonly address: number;
  /** O_* */
  readonly flags: number;
  /** RESOLVE_* */
  readonly resolve: number;
}

function openAt(process: Process, tree: FileTree, request: OpenRequest): number {
  const { flags } = request;
  const { faults } = process.world;
  const isCreated = (flags & O_CREAT) !== 0;
  const isExclusive = isCreated && (flags & O_EXCL) !== 0;
  const followLast = isExclusive ? "never" : (flags & O_NOFOLLOW) !== 0 ? "slash" : "always";
  const place = findPlace(process, tree, { ...request, followLast });
  if (typeof place === "number") return place;
  const node = nodeToOpen(place, flags, tree);
  if (typeof node === "number") return node;
  if (faults.happens("forbidden")) return -ERRNO.EACCES;
  if (faults.happens("noMemory")) return -ERRNO.ENOMEM;
  const file = openNode(process, node, flags);
  return typeof file === "number" ? file : process.open(file, (flags & O_CLOEXEC) !== 0);
}

/** The node of a place, which is made when it is wanted; or `-errno`. Source: fs/namei.c, open_last_lookups, do_open. */
function nodeToOpen(place: Place, flags: number, tree: FileTree): Node | number {
  const { directory, name, node, isDirectory } = place;
  const isCreated = (flags & O_CREAT) !== 0;
  if (isCreated && isDirectory && name !== "." && name !== "..") return -ERRNO.EISDIR;
  if (node === undefined) {
    if (!isCreated) return -ERRNO.ENOENT;
    const made = new FileNode(tree.origin());
    directory.entries.set(name, made);
    return made;
  }
  if (isCreated && (flags & O_EXCL) !== 0) return -ERRNO.EEXIST;
  if (node instanceof DirectoryNode) {
    return isCreated || ((flags & O_ACCMODE) !== O_RDONLY && (flags & O_PATH) === 0)
      ? -ERRNO.EISDIR
      : node;
  }
  if (isDirectory || (flags & O_DIRECTORY) !== 0) return -ERRNO.ENOTDIR;
  return node;
}

function openNode(process: Process, node: Node, flags: number): OpenFile | number {
  const accessMode = flags & O_ACCMODE;
  const statusFlags = (flags & ~OPENING_FLAGS) | O_LARGEFILE;
  if ((flags & O_PATH) !== 0) {
    return new PathFile(node, { accessMode: O_RDONLY, statusFlags: flags & ~O_CLOEXEC });
  }
  const opening = { accessMode, statusFlags };
  if (node instanceof LinkNode) return -ERRNO.ELOOP;
  if (node instanceof DirectoryNode) return new DirectoryFile(node, opening);
  if (node instanceof DeviceNode) return new DeviceFile(node, opening);
  if (node instanceof FifoNode) return openFifo(process, node, accessMode, statusFlags);
  // A socket.
  if (!(node instanceof FileNode)) return -ERRNO.ENXIO;
  if ((flags & O_TRUNC) !== 0) node.truncate(0);
  return new RegularFile(node, opening, process.world);
}

/** Opens an end of a FIFO, and waits for the other one. Source: fifo(7); fs/pipe.c, fifo_open. */
function openFifo(
  process: Process,
  { pipe }: FifoNode,
  accessMode: number,
  statusFlags: number,
): OpenFile | number {
  const isNonBlocking = (statusFlags & O_NONBLOCK) !== 0;
  if (accessMode === O_WRONLY && isNonBlocking && pipe.readers === 0) return -ERRNO.ENXIO;
  const end = new PipeEnd(pipe, accessMode, statusFlags);
  if (isNonBlocking || accessMode === O_RDWR) return end;
  const isReader = accessMode === O_RDONLY;
  const before = isReader ? pipe.opened.writers : pipe.opened.readers;
  const result = process.blocking(() => {
    const partners = isReader ? pipe.writers : pipe.readers;
    const opened = isReader ? pipe.opened.writers : pipe.opened.readers;
    return partners > 0 || opened !== before ? 0 : -ERRNO.EAGAIN;
  }, Number.POSITIVE_INFINITY);
  if (result === 0) return end;
  end.hold().drop();
  return result;
}
