import { ERRNO, type Libc, type Native } from "polloi/internal/pure";
import type { World } from "../base/world.ts";

/** The calls of a process, in the groups in which they are made. */
export interface Calls {
  readonly memory: Pick<Libc, "mmap" | "madvise">;
  readonly limits: Pick<Libc, "getrlimit" | "setrlimit">;
  readonly signals: Pick<Libc, "getpgrp" | "sigaction">;
  readonly descriptors: Pick<
    Libc,
    | "close"
    | "fcntl"
    | "ioctl"
    | "pipe2"
    | "dup3"
    | "eventfd"
    | "timerfd_create"
    | "timerfd_settime"
  >;
  readonly transfers: Pick<Libc, "read" | "write" | "sendfile">;
  readonly opening: Pick<Libc, "open" | "unlink">;
  readonly select: Pick<Libc, "pselect">;
  readonly poll: Pick<Libc, "ppoll">;
  readonly epoll: Pick<Libc, "epoll_create1" | "epoll_ctl" | "epoll_wait">;
  readonly sockets: Pick<Libc, SocketCall>;
}

/** The calls of sockets. */
export type SocketCall =
  | "socket"
  | "socketpair"
  | "bind"
  | "listen"
  | "accept4"
  | "connect"
  | "getsockname"
  | "getpeername"
  | "getsockopt"
  | "setsockopt"
  | "recv"
  | "send"
  | "recvfrom"
  | "sendto"
  | "recvmsg"
  | "sendmsg"
  | "shutdown";

/** Makes a table of system calls that are made by number. Most processes make none of them. */
export type NumberedCalls = () => Readonly<Record<number, Native>>;

/**
 * Makes the calls of a process. What is due happens before each call.
 *
 * @remarks
 * The table is written out, because an object that is made name by name takes as long as a short program.
 *
 * @param numbered - The tables are asked in this order.
 */
export function libcOf(calls: Calls, numbered: readonly NumberedCalls[], world: World): Libc {
  const one =
    (call: Native): Native =>
    (a = 0) => {
      world.catchUp();
      return call(a);
    };
  const two =
    (call: Native): Native =>
    (a = 0, b = 0) => {
      world.catchUp();
      return call(a, b);
    };
  const three =
    (call: Native): Native =>
    (a = 0, b = 0, c = 0) => {
      world.catchUp();
      return call(a, b, c);
    };
  const four =
    (call: Native): Native =>
    (a = 0, b = 0, c = 0, d = 0) => {
      world.catchUp();
      return call(a, b, c, d);
    };
  const many =
    (call: Native): Native =>
    (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) => {
      world.catchUp();
      return call(a, b, c, d, e, f);
    };
  const { memory, limits, signals, descriptors, transfers, opening, sockets } = calls;
  const { select, poll, epoll } = calls;
  return {
    read: three(transfers.read),
    write: three(transfers.write),
    close: one(descriptors.close),
    fcntl: three(descriptors.fcntl),
    ioctl: three(descriptors.ioctl),
    pipe2: two(descriptors.pipe2),
    dup3: three(descriptors.dup3),
    open: three(opening.open),
    unlink: one(opening.unlink),
    socket: three(sockets.socket),
    socketpair: four(sockets.socketpair),
    bind: three(sockets.bind),
    listen: two(sockets.listen),
    accept4: four(sockets.accept4),
    connect: three(sockets.connect),
    getsockname: three(sockets.getsockname),
    getpeername: three(sockets.getpeername),
    getsockopt: many(sockets.getsockopt),
    setsockopt: many(sockets.setsockopt),
    recv: four(sockets.recv),
    send: four(sockets.send),
    recvfrom: many(sockets.recvfrom),
    sendto: many(sockets.sendto),
    recvmsg: three(sockets.recvmsg),
    sendmsg: three(sockets.sendmsg),
    shutdown: two(sockets.shutdown),
    sendfile: four(transfers.sendfile),
    pselect: many(select.pselect),
    ppoll: four(poll.ppoll),
    epoll_create1: one(epoll.epoll_create1),
    epoll_ctl: four(epoll.epoll_ctl),
    epoll_wait: four(epoll.epoll_wait),
    eventfd: two(descriptors.eventfd),
    timerfd_create: two(descriptors.timerfd_create),
    timerfd_settime: four(descriptors.timerfd_settime),
    mmap: many(memory.mmap),
    madvise: three(memory.madvise),
    getrlimit: two(limits.getrlimit),
    setrlimit: two(limits.setrlimit),
    getpgrp: one(signals.getpgrp),
    sigaction: three(signals.sigaction),
    syscall: numberedCall(numbered, world),
  };
}

/** Makes syscall(2). Each table is made when a number is first looked up in it. */
function numberedCall(numbered: readonly NumberedCalls[], world: World): Libc["syscall"] {
  const tables: Readonly<Record<number, Native>>[] = [];
  const found = new Map<number, Native | undefined>();
  const find = (number: number): Native | undefined => {
    for (const [i, make] of numbered.entries()) {
      tables[i] ??= make();
      const call = tables[i][number];
      if (call !== undefined) return call;
    }
    return undefined;
  };
  return (number, a, b, c, d, e, f) => {
    world.catchUp();
    let call = found.get(number);
    if (call === undefined) {
      call = find(number);
      found.set(number, call);
    }
    return call === undefined ? -ERRNO.ENOSYS : call(a, b, c, d, e, f);
  };
}
