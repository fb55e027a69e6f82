/**
 * The kernel's binary interface: constants and struct layouts.
 *
 * x64 and arm64 are 64-bit and little-endian, and agree on nearly everything. Values that differ depend on
 * {@link ARCH}. glibc and musl agree on all of them.
 */

/**
 * The processor architecture.
 *
 * It is read from the global `process`, because an import of node:process makes Node read every property of it. This
 * opens stdin, stdout and stderr, which takes a considerable part of the start of a process. A browser has no `process`;
 * a simulated kernel has x64 there.
 */
export const ARCH: string = (globalThis.process as NodeJS.Process | undefined)?.arch ?? "x64";

const X64: boolean = ARCH === "x64";

export const PAGE_SIZE = 4096;

// mmap(2), madvise(2)
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_POPULATE = 0x8000;
export const MADV_DONTNEED = 4;

// fcntl(2), open(2)
export const F_GETFD = 1;
export const F_SETFD = 2;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;
export const FD_CLOEXEC = 1;
export const O_RDONLY = 0;
export const O_WRONLY = 0o1;
export const O_CREAT = 0o100;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const O_NOCTTY = 0o400;
export const O_PATH = 0o10000000;
/** These two differ between x64 and arm64. */
export const O_DIRECTORY: number = X64 ? 0o200000 : 0o40000;
export const O_NOFOLLOW: number = X64 ? 0o400000 : 0o100000;

/** `struct open_how`: flags, mode and resolve, 64 bits each. openat2(2). */
export const OPEN_HOW_SIZE = 24;
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_BENEATH = 0x08;

/** `struct statx`: the offsets, in bytes, of the fields that polloi reads. statx(2). */
export const STATX = { mode: 28, ino: 32, length: 40, mtime: 112, device: 136 } as const;
export const STATX_TYPE = 0x001;
export const STATX_MTIME = 0x040;
export const STATX_INO = 0x100;
export const STATX_SIZE = 0x200;
/** In place of a directory: the working directory. openat(2) */
export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;
export const AT_SYMLINK_NOFOLLOW = 0x100;

// inode(7)
export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;

/** `struct linux_dirent64`: the offsets, in bytes, of the record length and of the NUL-terminated name. getdents(2). */
export const DIRENT64 = { length: 16, name: 19 } as const;

// ioctl(2)
export const FIONREAD = 0x541b;
/** Bytes that the peer has not acknowledged or, on a unix socket, not read. tcp(7), unix(7) */
export const SIOCOUTQ = 0x5411;
export const TIOCGPGRP = 0x540f;
/** Whether the next byte of a stream is the urgent byte. sockatmark(3) */
export const SIOCATMARK = 0x8905;

// eventfd(2), timerfd_create(2): the values of O_CLOEXEC and O_NONBLOCK.
export const EFD_CLOEXEC: number = O_CLOEXEC;
export const EFD_NONBLOCK: number = O_NONBLOCK;
export const TFD_CLOEXEC: number = O_CLOEXEC;
export const TFD_NONBLOCK: number = O_NONBLOCK;
export const CLOCK_MONOTONIC = 1;

// prctl(2): the signal that the kernel sends when the parent dies.
export const PR_SET_PDEATHSIG = 1;

// getrlimit(2)
export const RLIMIT_NOFILE = 7;

/** System call numbers for {@link Libc.syscall}. Only calls added since 2019 have the same number everywhere. */
export const SYS = {
  getdents64: (X64 ? 217 : 61) as number,
  mprotect: (X64 ? 10 : 226) as number,
  munmap: (X64 ? 11 : 215) as number,
  pread64: (X64 ? 17 : 67) as number,
  gettid: (X64 ? 186 : 178) as number,
  prctl: (X64 ? 157 : 167) as number,
  getcwd: (X64 ? 79 : 17) as number,
  getrandom: (X64 ? 318 : 278) as number,
  openat: (X64 ? 257 : 56) as number,
  statx: (X64 ? 332 : 291) as number,
  recvmmsg: (X64 ? 299 : 243) as number,
  sendmmsg: (X64 ? 307 : 269) as number,
  sched_setaffinity: (X64 ? 203 : 122) as number,
  sched_getaffinity: (X64 ? 204 : 123) as number,
  io_uring_setup: 425,
  io_uring_enter: 426,
  io_uring_register: 427,
  pidfd_open: 434,
  openat2: 437,
  epoll_pwait2: 441,
} as const;

/**
 * `struct epoll_event`: a mask of 32 bits and 64 bits for the caller. It is packed on x64 only.
 *
 * ```text
 *   x64    | events | data.lo | data.hi |             12 bytes
 *   arm64  | events | (pad)   | data.lo | data.hi |   16 bytes
 * ```
 *
 * In units of 4 bytes, the index of typed arrays. Source: epoll_ctl(2), EPOLL_PACKED in eventpoll.h.
 */
export const EPOLL_EVENT: { readonly stride: number; readonly data: number } = X64
  ? { stride: 3, data: 1 }
  : { stride: 4, data: 2 };

/** `struct sigaction` of libc, in bytes: the handler, a mask of 128 bytes, the flags. sigaction(2). */
export const SIGACTION = { handler: 0, flags: 136, size: 152 } as const;

/** `struct pollfd`: fd, then 16 bits of requested events and 16 bits of returned events. poll(2). */
export const POLLFD_SIZE = 8;

/** `fd_set`: one bit for each descriptor below {@link FD_SETSIZE}, in words of 64 bits. select(2). */
export const FD_SETSIZE = 1024;
export const FD_SET_BYTES: number = FD_SETSIZE / 8;
