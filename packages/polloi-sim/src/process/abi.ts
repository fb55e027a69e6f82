/** Constants of the kernel's interface that polloi itself does not use. */
import { ARCH } from "polloi/internal/pure";

// open(2)
export const O_RDWR = 0o2;
export const O_ACCMODE = 0o3;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;
/** These two differ between x64 and arm64. */
export const O_DIRECT: number = ARCH === "x64" ? 0o40000 : 0o200000;
/** The kernel sets it for every file that a 64-bit process opens. */
export const O_LARGEFILE: number = ARCH === "x64" ? 0o100000 : 0o400000;
export const O_NOATIME = 0o1000000;
export const AT_FDCWD = -100;

// openat2(2)
export const RESOLVE_NO_XDEV = 0x01;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_IN_ROOT = 0x10;
export const RESOLVE_CACHED = 0x20;
/** The largest `struct open_how`: a page. */
export const MAX_OPEN_HOW = 4096;

// statx(2): AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH and AT_STATX_SYNC_TYPE
export const KNOWN_STATX_FLAGS = 0x7900;
export const STATX_RESERVED = 0x8000_0000;

// inode(7)
export const S_IFCHR = 0o020000;

// fcntl(2)
export const F_DUPFD = 0;

// ioctl(2)
export const FIONBIO = 0x5421;
export const FIONCLEX = 0x5450;
export const FIOCLEX = 0x5451;

// eventfd(2), timerfd_create(2)
export const EFD_SEMAPHORE = 1;
export const CLOCK_REALTIME = 0;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME_ALARM = 8;
export const CLOCK_BOOTTIME_ALARM = 9;
export const TFD_TIMER_ABSTIME = 1;
export const TFD_TIMER_CANCEL_ON_SET = 2;

/** The most bytes that one call reads or writes. Source: read(2). */
export const MAX_RW_COUNT = 0x7fff_f000;
