import { ARCH } from "./abi.ts";

/**
 * The calls of libc that polloi makes.
 *
 * @remarks
 * Arguments are integers: descriptors, flags, lengths, and addresses of mapped memory (see {@link Arena}). The result
 * is one number: `>= 0`, or `-errno` if the call failed. A call never throws and never allocates, so would-block costs
 * no more than success. Buffers are not copied and structs are not converted: the caller writes a struct into an arena
 * and passes its address.
 *
 * The calls are functions that need no `this`, so they can be read from the object and called alone.
 *
 * To add a call, add a line here, in {@link SIGNATURES} and in {@link libcFrom}. All runtimes bind from the table.
 *
 * Source of each call: section 2 of the man pages, under the same name.
 */
export interface Libc {
  // Descriptors of any kind.
  read(fd: number, buffer: number, length: number): number;
  write(fd: number, buffer: number, length: number): number;
  close(fd: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  pipe2(fds: number, flags: number): number;
  dup3(oldFd: number, newFd: number, flags: number): number;
  open(path: number, flags: number, mode: number): number;
  unlink(path: number): number;

  // Sockets.
  socket(family: number, type: number, protocol: number): number;
  socketpair(family: number, type: number, protocol: number, fds: number): number;
  bind(fd: number, address: number, addressLength: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: number, addressLength: number, flags: number): number;
  connect(fd: number, address: number, addressLength: number): number;
  getsockname(fd: number, address: number, addressLength: number): number;
  getpeername(fd: number, address: number, addressLength: number): number;
  getsockopt(fd: number, level: number, option: number, value: number, length: number): number;
  setsockopt(fd: number, level: number, option: number, value: number, length: number): number;
  recv(fd: number, buffer: number, length: number, flags: number): number;
  send(fd: number, buffer: number, length: number, flags: number): number;
  recvfrom(
    fd: number,
    buffer: number,
    length: number,
    flags: number,
    address: number,
    addressLength: number,
  ): number;
  sendto(
    fd: number,
    buffer: number,
    length: number,
    flags: number,
    address: number,
    addressLength: number,
  ): number;
  recvmsg(fd: number, message: number, flags: number): number;
  sendmsg(fd: number, message: number, flags: number): number;
  shutdown(fd: number, how: number): number;
  /** @param offset - The address of a 64-bit word with the position in the file, which the call advances. */
  sendfile(socket: number, file: number, offset: number, length: number): number;

  // Readiness. Timeouts are timespecs, which allow fractions of a millisecond.
  pselect(
    nfds: number,
    readers: number,
    writers: number,
    exceptional: number,
    timeout: number,
    signals: number,
  ): number;
  ppoll(fds: number, count: number, timeout: number, signals: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: number): number;
  epoll_wait(epoll: number, events: number, maxEvents: number, timeoutMs: number): number;

  // Descriptors for events and timers.
  eventfd(value: number, flags: number): number;
  timerfd_create(clock: number, flags: number): number;
  timerfd_settime(fd: number, flags: number, value: number, oldValue: number): number;

  // Memory, limits and signals.
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number;
  madvise(address: number, length: number, advice: number): number;
  getrlimit(resource: number, limit: number): number;
  setrlimit(resource: number, limit: number): number;
  getpgrp(): number;
  sigaction(signal: number, action: number, oldAction: number): number;

  /** A system call without a function in libc, by its number ({@link SYS}). */
  syscall(number: number, a: number, b: number, c: number, d: number, e: number, f: number): number;
}

/**
 * The type of an argument or a result: `i32` and `u32` are `int` and `unsigned int` of C, `size` is a length or an
 * offset, `ptr` is an address. A length that is returned is read as `i32`, because no call here moves 2 GiB.
 */
export type NativeType = "i32" | "u32" | "size" | "ptr";

/** The types of the arguments and of the result of a call. */
export interface Signature {
  readonly args: readonly NativeType[];
  readonly returns: "i32" | "ptr";
}

function signature(args: string, returns: "i32" | "ptr" = "i32"): Signature {
  return { args: args === "" ? [] : (args.split(" ") as NativeType[]), returns };
}

/** The signature of each call. Every runtime binds libc from this table. */
export const SIGNATURES: Readonly<Record<keyof Libc, Signature>> = {
  read: signature("i32 ptr size"),
  write: signature("i32 ptr size"),
  close: signature("i32"),
  fcntl: signature("i32 i32 size"),
  ioctl: signature("i32 size size"),
  pipe2: signature("ptr i32"),
  dup3: signature("i32 i32 i32"),
  open: signature("ptr i32 i32"),
  unlink: signature("ptr"),

  socket: signature("i32 i32 i32"),
  socketpair: signature("i32 i32 i32 ptr"),
  bind: signature("i32 ptr u32"),
  listen: signature("i32 i32"),
  accept4: signature("i32 ptr ptr i32"),
  connect: signature("i32 ptr u32"),
  getsockname: signature("i32 ptr ptr"),
  getpeername: signature("i32 ptr ptr"),
  getsockopt: signature("i32 i32 i32 ptr ptr"),
  setsockopt: signature("i32 i32 i32 ptr u32"),
  recv: signature("i32 ptr size i32"),
  send: signature("i32 ptr size i32"),
  recvfrom: signature("i32 ptr size i32 ptr ptr"),
  sendto: signature("i32 ptr size i32 ptr u32"),
  recvmsg: signature("i32 ptr i32"),
  sendmsg: signature("i32 ptr i32"),
  shutdown: signature("i32 i32"),
  sendfile: signature("i32 i32 ptr size"),

  pselect: signature("i32 ptr ptr ptr ptr ptr"),
  ppoll: signature("ptr size ptr ptr"),
  epoll_create1: signature("i32"),
  epoll_ctl: signature("i32 i32 i32 ptr"),
  epoll_wait: signature("i32 ptr i32 i32"),

  eventfd: signature("u32 i32"),
  timerfd_create: signature("i32 i32"),
  timerfd_settime: signature("i32 i32 ptr ptr"),

  mmap: signature("ptr size i32 i32 i32 size", "ptr"),
  madvise: signature("ptr size i32"),
  getrlimit: signature("i32 ptr"),
  setrlimit: signature("i32 ptr"),
  getpgrp: signature(""),
  sigaction: signature("i32 ptr ptr"),

  syscall: signature("size size size size size size size"),
};

/** The file names of libc, for runtimes that open it by name: glibc, then musl. */
export const LIBC_NAMES: readonly string[] = [
  "libc.so.6",
  `libc.musl-${ARCH === "arm64" ? "aarch64" : "x86_64"}.so.1`,
];

/** A function of a runtime's FFI. It returns -1 and sets errno when the call failed. */
export type Native = (...args: number[]) => number;

/** The functions of {@link SIGNATURES}, bound by a runtime. */
export type Bound = Readonly<Record<keyof Libc, Native>>;

/**
 * Makes a {@link Libc} of bound functions: -1 becomes `-errno`.
 *
 * @remarks
 * Every call is written out, because V8 and JavaScriptCore optimize each function literal by itself. With one closure
 * for each number of arguments, the call in it would have many targets and would not be inlined. Under Deno a call
 * would then take 250 ns instead of 50 ns beyond the system call.
 *
 * @param errno - The errno of this thread, mapped. Reading it is a load and not a call, so only a failing call of the
 * runtime itself could change it before it is read.
 * @param word - Converts 64-bit arguments (`size`, `ptr`) where a number is not the fastest type.
 */
export function libcFrom(
  bound: Bound,
  errno: Int32Array,
  word: (value: number) => number = (value) => value,
): Libc {
  const result = (returned: number): number => (returned === -1 ? -(errno[0] as number) : returned);
  return {
    read: (a, b, c) => result(bound.read(a, word(b), word(c))),
    write: (a, b, c) => result(bound.write(a, word(b), word(c))),
    close: (a) => result(bound.close(a)),
    fcntl: (a, b, c) => result(bound.fcntl(a, b, word(c))),
    ioctl: (a, b, c) => result(bound.ioctl(a, word(b), word(c))),
    pipe2: (a, b) => result(bound.pipe2(word(a), b)),
    dup3: (a, b, c) => result(bound.dup3(a, b, c)),
    open: (a, b, c) => result(bound.open(word(a), b, c)),
    unlink: (a) => result(bound.unlink(word(a))),
    socket: (a, b, c) => result(bound.socket(a, b, c)),
    socketpair: (a, b, c, d) => result(bound.socketpair(a, b, c, word(d))),
    bind: (a, b, c) => result(bound.bind(a, word(b), c)),
    listen: (a, b) => result(bound.listen(a, b)),
    accept4: (a, b, c, d) => result(bound.accept4(a, word(b), word(c), d)),
    connect: (a, b, c) => result(bound.connect(a, word(b), c)),
    getsockname: (a, b, c) => result(bound.getsockname(a, word(b), word(c))),
    getpeername: (a, b, c) => result(bound.getpeername(a, word(b), word(c))),
    getsockopt: (a, b, c, d, e) => result(bound.getsockopt(a, b, c, word(d), word(e))),
    setsockopt: (a, b, c, d, e) => result(bound.setsockopt(a, b, c, word(d), e)),
    recv: (a, b, c, d) => result(bound.recv(a, word(b), word(c), d)),
    send: (a, b, c, d) => result(bound.send(a, word(b), word(c), d)),
    recvfrom: (a, b, c, d, e, f) =>
      result(bound.recvfrom(a, word(b), word(c), d, word(e), word(f))),
    sendto: (a, b, c, d, e, f) => result(bound.sendto(a, word(b), word(c), d, word(e), f)),
    recvmsg: (a, b, c) => result(bound.recvmsg(a, word(b), c)),
    sendmsg: (a, b, c) => result(bound.sendmsg(a, word(b), c)),
    shutdown: (a, b) => result(bound.shutdown(a, b)),
    sendfile: (a, b, c, d) => result(bound.sendfile(a, b, word(c), word(d))),
    pselect: (a, b, c, d, e, f) =>
      result(bound.pselect(a, word(b), word(c), word(d), word(e), word(f))),
    ppoll: (a, b, c, d) => result(bound.ppoll(word(a), word(b), word(c), word(d))),
    epoll_create1: (a) => result(bound.epoll_create1(a)),
    epoll_ctl: (a, b, c, d) => result(bound.epoll_ctl(a, b, c, word(d))),
    epoll_wait: (a, b, c, d) => result(bound.epoll_wait(a, word(b), c, d)),
    eventfd: (a, b) => result(bound.eventfd(a, b)),
    timerfd_create: (a, b) => result(bound.timerfd_create(a, b)),
    timerfd_settime: (a, b, c, d) => result(bound.timerfd_settime(a, b, word(c), word(d))),
    mmap: (a, b, c, d, e, f) => result(bound.mmap(word(a), word(b), c, d, e, word(f))),
    madvise: (a, b, c) => result(bound.madvise(word(a), word(b), c)),
    getrlimit: (a, b) => result(bound.getrlimit(a, word(b))),
    setrlimit: (a, b) => result(bound.setrlimit(a, word(b))),
    getpgrp: () => result(bound.getpgrp()),
    sigaction: (a, b, c) => result(bound.sigaction(a, word(b), word(c))),
    syscall: (a, b, c, d, e, f, g) =>
      result(bound.syscall(word(a), word(b), word(c), word(d), word(e), word(f), word(g))),
  };
}
