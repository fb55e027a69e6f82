import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  S_IFMT,
  S_IFSOCK,
  STATX,
  STATX_INO,
  STATX_TYPE,
  SYS,
} from "../sys/abi.ts";
import type { Kernel } from "../sys/kernel.ts";
import type { SocketAddress } from "./address.ts";

/** The layout of the scratch memory: a path of at most PATH_MAX bytes, and the result of statx. */
const AT_PATH = 0;
const AT_STATX = 4352;
const PATH_MAX = 4096;

const SLASH = 0x2f;

/**
 * The file that bind(2) created for a unix socket, which is removed when the socket is closed.
 *
 * @remarks
 * The kernel does not remove it, and the next bind to its path would fail. It is removed only if it is still the same file,
 * because another server may have replaced it. A server that ends without closing leaves it behind.
 */
export class SocketFile {
  readonly #kernel: Kernel;
  readonly #path: Uint8Array;
  readonly #id: string;

  private constructor(kernel: Kernel, path: Uint8Array, id: string) {
    this.#kernel = kernel;
    this.#path = path;
    this.#id = id;
  }

  /**
   * The file of a socket that was just bound.
   *
   * @returns undefined for an abstract name, or for an address of another family.
   */
  static of(kernel: Kernel, address: SocketAddress | null): SocketFile | undefined {
    const { path } = address ?? {};
    if (path === undefined || path.length === 0) return undefined;
    if (path[0] === "\0" || path[0] === 0) return undefined;
    const absolute = absolutePath(kernel, bytesOf(path));
    const file = absolute && statOf(kernel, absolute);
    return file === undefined ? undefined : new SocketFile(kernel, absolute as Uint8Array, file.id);
  }

  /** Removes the file. Calling it twice is safe. */
  remove(): void {
    if (statOf(this.#kernel, this.#path)?.id !== this.#id) return;
    const { libc, scratch } = this.#kernel;
    writePath(this.#kernel, this.#path);
    // It fails if the directory is no longer writable. The next server gets an error with a hint.
    libc.unlink(scratch.address + AT_PATH);
  }
}

/** Whether the file at `path` is a socket; undefined if there is no file. */
export function isSocketFile(kernel: Kernel, path: string | Uint8Array): boolean | undefined {
  return statOf(kernel, bytesOf(path))?.isSocket;
}

const encoder = new TextEncoder();

function bytesOf(path: string | Uint8Array): Uint8Array {
  return typeof path === "string" ? encoder.encode(path) : path.slice();
}

/** The path from the root, because the program may change its working directory. @source getcwd(2) */
function absolutePath({ libc, scratch }: Kernel, path: Uint8Array): Uint8Array | undefined {
  if (path[0] === SLASH) return path;
  // The length includes the NUL.
  const length = libc.syscall(SYS.getcwd, scratch.address, PATH_MAX, 0, 0, 0, 0) - 1;
  if (length <= 0 || scratch.u8[0] !== SLASH) return undefined;
  const absolute = new Uint8Array(length + 1 + path.length);
  absolute.set(scratch.u8.subarray(0, length));
  absolute[length] = SLASH;
  absolute.set(path, length + 1);
  return absolute;
}

/** Writes the path and a NUL. A longer path does not exist. */
function writePath({ scratch }: Kernel, path: Uint8Array): void {
  scratch.u8.set(path.subarray(0, PATH_MAX), AT_PATH);
  scratch.u8[AT_PATH + Math.min(path.length, PATH_MAX)] = 0;
}

/** @source statx(2) */
function statOf(kernel: Kernel, path: Uint8Array): { id: string; isSocket: boolean } | undefined {
  const { libc, scratch } = kernel;
  writePath(kernel, path);
  const result = libc.syscall(
    SYS.statx,
    AT_FDCWD,
    scratch.address + AT_PATH,
    AT_SYMLINK_NOFOLLOW,
    STATX_TYPE | STATX_INO,
    scratch.address + AT_STATX,
    0,
  );
  if (result < 0) return undefined;
  const { view } = scratch;
  const [major, minor] = [0, 4].map((at) => view.getUint32(AT_STATX + STATX.device + at, true));
  const mode = view.getUint16(AT_STATX + STATX.mode, true);
  return {
    id: `${major}:${minor}:${scratch.getWord(AT_STATX + STATX.ino)}`,
    isSocket: (mode & S_IFMT) === S_IFSOCK,
  };
}
