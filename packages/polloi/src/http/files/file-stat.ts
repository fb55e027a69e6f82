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
 * The layout of {@link Kernel.scratch} in calls on files.
 *
 * ```text
 *   0        4352         4416      4672       8192
 *   | path   | open_how   | statx   |          | directory entries ...
 * ```
 */
export const PATH_OFFSET = 0;
export const HOW_OFFSET = 4352;
const STATX_OFFSET = 4416;
export const ENTRIES_OFFSET = 8192;

/** The kind of a file. Devices, sockets and FIFOs are `special`. */
export type FileKind = "file" | "directory" | "link" | "special";

/** The status of a file. */
export interface FileStat {
  readonly kind: FileKind;
  readonly size: number;
  /** The modification time: seconds since 1970, and nanoseconds. */
  readonly seconds: number;
  readonly nanoseconds: number;
  /** The inode number, which identifies the file on its device. */
  readonly inode: number;
  readonly device: number;
}

/** A call that failed while a file was looked up. It is a value, because an absent file is an expected outcome. */
export interface FailedCall {
  /** The name of the call, as in `SysError.syscall`. */
  readonly syscall: string;
  /** -errno. */
  readonly errno: number;
}

export function isFailed(result: FileStat | FailedCall): result is FailedCall {
  return "syscall" in result;
}

/** Whether two states are those of the same file, and it has not changed in between. */
export function isSameFile(a: FileStat, b: FileStat | FailedCall): boolean {
  return (
    !isFailed(b) &&
    a.inode === b.inode &&
    a.device === b.device &&
    a.size === b.size &&
    a.seconds === b.seconds &&
    a.nanoseconds === b.nanoseconds
  );
}

/** The first and the last second of the years 0 to 9999: a date in HTTP has a year of four digits. */
const YEAR_0 = -62_167_219_200;
const YEAR_9999 = 253_402_300_799;

const KINDS: Readonly<Record<number, FileKind>> = {
  [S_IFREG]: "file",
  [S_IFDIR]: "directory",
  [S_IFLNK]: "link",
};

/** Writes a path of bytes and a NUL at {@link PATH_OFFSET}. */
export function writePath({ scratch }: Kernel, path: string): void {
  const { u8 } = scratch;
  for (let i = 0; i < path.length; i++) u8[PATH_OFFSET + i] = path.charCodeAt(i);
  u8[PATH_OFFSET + path.length] = 0;
}

/**
 * Returns the status of `fd`, or of `path` relative to it.
 *
 * @param path - A path of bytes; empty for `fd` itself.
 * @source statx(2)
 */
export function statFile(kernel: Kernel, fd: number, path = "", flags = 0): FileStat | FailedCall {
  const { libc, scratch } = kernel;
  writePath(kernel, path);
  const result = libc.syscall(
    SYS.statx,
    fd,
    scratch.address + PATH_OFFSET,
    path === "" ? AT_EMPTY_PATH : flags,
    STATX_TYPE | STATX_SIZE | STATX_MTIME | STATX_INO,
    scratch.address + STATX_OFFSET,
    0,
  );
  if (result < 0) return { syscall: "statx", errno: result };
  const { view } = scratch;
  const u32 = (offset: number): number => view.getUint32(STATX_OFFSET + offset, true);
  return {
    kind: KINDS[view.getUint16(STATX_OFFSET + STATX.mode, true) & S_IFMT] ?? "special",
    size: scratch.getWord(STATX_OFFSET + STATX.length),
    // Signed: the time may be before 1970.
    seconds: clampYear(
      view.getInt32(STATX_OFFSET + STATX.mtime + 4, true) * 0x1_0000_0000 + u32(STATX.mtime),
    ),
    nanoseconds: u32(STATX.mtime + 8),
    inode: scratch.getWord(STATX_OFFSET + STATX.ino),
    // The minor number has 20 bits.
    device: u32(STATX.device) * 0x10_0000 + u32(STATX.device + 4),
  };
}

/** Limits a modification time, which utimensat(2) can set to any value, to years that HTTP can express. */
function clampYear(seconds: number): number {
  return Math.min(Math.max(seconds, YEAR_0), YEAR_9999);
}
