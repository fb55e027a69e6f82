/**
 * The kernel's binary interface: the numbers and struct layouts that everything above needs.
 *
 * x64 and arm64 are both 64-bit and little-endian and agree on nearly everything; what differs is
 * chosen by {@link ARCH} and said where it stands. glibc and musl agree on all of it.
 */
import { arch } from "node:process";

/** The processor's name as every runtime gives it. */
export const ARCH: string = arch;

export const PAGE_SIZE = 4096;

// mmap(2), madvise(2)
export const PROT_READ = 1;
export const PROT_WRITE = 2;
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
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;

// ioctl(2)
export const FIONREAD = 0x541b;
/** Bytes that the peer has not acknowledged, or of a unix socket, not read. tcp(7), unix(7) */
export const SIOCOUTQ = 0x5411;
export const TIOCGPGRP = 0x540f;

// eventfd(2), timerfd_create(2), epoll_create1(2): all of them reuse O_CLOEXEC and O_NONBLOCK.
export const EFD_CLOEXEC: number = O_CLOEXEC;
export const EFD_NONBLOCK: number = O_NONBLOCK;
export const TFD_CLOEXEC: number = O_CLOEXEC;
export const TFD_NONBLOCK: number = O_NONBLOCK;
export const CLOCK_MONOTONIC = 1;

// getrlimit(2)
export const RLIMIT_NOFILE = 7;

/** Call numbers for {@link Libc.syscall}. Calls added since 2019 have one number everywhere. */
export const SYS = {
  io_uring_setup: 425,
  io_uring_enter: 426,
  io_uring_register: 427,
  pidfd_open: 434,
  epoll_pwait2: 441,
} as const;

/**
 * `struct epoll_event`: a 32-bit mask and 64 bits of the caller's own. On x64 alone it is packed.
 *
 * ```text
 *   x64    | events | data.lo | data.hi |             12 bytes
 *   arm64  | events | (pad)   | data.lo | data.hi |   16 bytes
 * ```
 *
 * In units of 4 bytes, as typed arrays index it. Source: epoll_ctl(2), EPOLL_PACKED in eventpoll.h.
 */
export const EPOLL_EVENT: { readonly stride: number; readonly data: number } =
  ARCH === "x64" ? { stride: 3, data: 1 } : { stride: 4, data: 2 };

/** `struct pollfd`: fd, then the asked events in 16 bits and the given ones in 16. poll(2). */
export const POLLFD_SIZE = 8;

/** `fd_set`: one bit for each descriptor below {@link FD_SETSIZE}, in words of 64. select(2). */
export const FD_SETSIZE = 1024;
export const FD_SET_BYTES: number = FD_SETSIZE / 8;
