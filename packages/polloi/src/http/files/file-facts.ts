import {
  AT_EMPTY_PATH,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  STATX,
  STATX_INO,
  STATX_MTIME,
  STATX_SIZE,
  STATX_TYPE,
  SYS,
} from "../../sys/abi.ts";
import type { Kernel } from "../../sys/kernel.ts";

/**
 * Where calls on files put their arguments in {@link Kernel.scratch}.
 *
 * ```text
 *   0        4352         4416      4672       8192
 *   | path   | open_how   | statx   |          | entries of a directory ...
 * ```
 */
export const AT_PATH = 0;
export const AT_HOW = 4352;
const AT_STATX = 4416;
export const AT_ENTRIES = 8192;

/** What a thing in a file system is, as far as a server cares: all that is special is one. */
export type FileKind = "file" | "directory" | "link" | "special";

/** What the kernel says of a file. */
export interface FileFacts {
  readonly kind: FileKind;
  readonly size: number;
  /** When its content changed last: whole seconds since 1970, and the rest. */
  readonly seconds: number;
  readonly nanoseconds: number;
  /** Which file it is, on which device. */
  readonly inode: number;
  readonly device: number;
}

/** A call that failed while a file was looked up. A value, because that a file is absent is an expected outcome. */
export interface FailedCall {
  /** The name of the call, as in `SysError.syscall`. */
  readonly syscall: string;
  /** -errno. */
  readonly errno: number;
}

export function isFailed(result: FileFacts | FailedCall): result is FailedCall {
  return "syscall" in result;
}

/** The first and the last second of years that have four digits, as a date of HTTP has them. */
const YEAR_0 = -62_167_219_200;
const YEAR_9999 = 253_402_300_799;

const KINDS: Readonly<Record<number, FileKind>> = {
  [S_IFREG]: "file",
  [S_IFDIR]: "directory",
  [S_IFLNK]: "link",
};

/** Writes a path of bytes, and the NUL that ends it, to where {@link AT_PATH} is. */
export function putPath({ scratch }: Kernel, path: string): void {
  const { u8 } = scratch;
  for (let i = 0; i < path.length; i++) u8[AT_PATH + i] = path.charCodeAt(i);
  u8[AT_PATH + path.length] = 0;
}

/**
 * What is open as `fd`, or what `path` below it is.
 *
 * @param path - Of bytes; empty for `fd` itself.
 * @source statx(2)
 */
export function factsOf(kernel: Kernel, fd: number, path = "", flags = 0): FileFacts | FailedCall {
  const { libc, scratch } = kernel;
  putPath(kernel, path);
  const result = libc.syscall(
    SYS.statx,
    fd,
    scratch.address + AT_PATH,
    path === "" ? AT_EMPTY_PATH : flags,
    STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_INO,
    scratch.address + AT_STATX,
    0,
  );
  if (result < 0) return { syscall: "statx", errno: result };
  const { view } = scratch;
  const u32 = (offset: number): number => view.getUint32(AT_STATX + offset, true);
  return {
    kind: KINDS[view.getUint16(AT_STATX + STATX.mode, true) & S_IFMT] ?? "special",
    size: scratch.getWord(AT_STATX + STATX.length),
    // Signed: there were files before 1970.
    seconds: inYears(
      view.getInt32(AT_STATX + STATX.mtime + 4, true) * 0x1_0000_0000 + u32(STATX.mtime),
    ),
    nanoseconds: u32(STATX.mtime + 8),
    inode: scratch.getWord(AT_STATX + STATX.ino),
    // The minor number has 20 bits.
    device: u32(STATX.device) * 0x10_0000 + u32(STATX.device + 4),
  };
}

/** Whoever may write a file may give it a time that no calendar has. */
function inYears(seconds: number): number {
  return Math.min(Math.max(seconds, YEAR_0), YEAR_9999);
}
