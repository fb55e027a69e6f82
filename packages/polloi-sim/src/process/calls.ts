import { ERRNO, type Libc, type Native } from "polloi/internal/pure";
import type { World } from "../base/world.ts";

/** Some of the calls of a process. */
export interface CallGroup {
  readonly calls?: Partial<Libc>;
  /** Makes the table of the system calls that are made by number. Most processes make none of them. */
  readonly numbered?: () => Readonly<Record<number, Native>>;
}

/**
 * Makes the calls of a process of groups of them. What is due happens before each call.
 *
 * @remarks
 * A call that no group has throws, because it is a gap of the simulation and not an error that a program should handle.
 * The table is written out, because an object that is made name by name takes as long as a short program.
 */
export function libcOf(groups: readonly CallGroup[], world: World): Libc {
  const find = <Name extends keyof Libc>(name: Name): Libc[Name] => {
    for (const { calls } of groups) {
      const call = calls?.[name];
      if (call !== undefined) return call as Libc[Name];
    }
    return () => missing(name);
  };
  const one = (name: keyof Libc): Native => {
    const call: Native = find(name);
    return (a = 0) => {
      world.catchUp();
      return call(a);
    };
  };
  const two = (name: keyof Libc): Native => {
    const call: Native = find(name);
    return (a = 0, b = 0) => {
      world.catchUp();
      return call(a, b);
    };
  };
  const three = (name: keyof Libc): Native => {
    const call: Native = find(name);
    return (a = 0, b = 0, c = 0) => {
      world.catchUp();
      return call(a, b, c);
    };
  };
  const four = (name: keyof Libc): Native => {
    const call: Native = find(name);
    return (a = 0, b = 0, c = 0, d = 0) => {
      world.catchUp();
      return call(a, b, c, d);
    };
  };
  const many = (name: keyof Libc): Native => {
    const call: Native = find(name);
    return (a = 0, b = 0, c = 0, d = 0, e = 0, f = 0) => {
      world.catchUp();
      return call(a, b, c, d, e, f);
    };
  };
  return {
    read: three("read"),
    write: three("write"),
    close: one("close"),
    fcntl: three("fcntl"),
    ioctl: three("ioctl"),
    pipe2: two("pipe2"),
    dup3: three("dup3"),
    open: three("open"),
    unlink: one("unlink"),
    socket: three("socket"),
    socketpair: four("socketpair"),
    bind: three("bind"),
    listen: two("listen"),
    accept4: four("accept4"),
    connect: three("connect"),
    getsockname: three("getsockname"),
    getpeername: three("getpeername"),
    getsockopt: many("getsockopt"),
    setsockopt: many("setsockopt"),
    recv: four("recv"),
    send: four("send"),
    recvfrom: many("recvfrom"),
    sendto: many("sendto"),
    recvmsg: three("recvmsg"),
    sendmsg: three("sendmsg"),
    shutdown: two("shutdown"),
    sendfile: four("sendfile"),
    pselect: many("pselect"),
    ppoll: four("ppoll"),
    epoll_create1: one("epoll_create1"),
    epoll_ctl: four("epoll_ctl"),
    epoll_wait: four("epoll_wait"),
    eventfd: two("eventfd"),
    timerfd_create: two("timerfd_create"),
    timerfd_settime: four("timerfd_settime"),
    mmap: many("mmap"),
    madvise: three("madvise"),
    getrlimit: two("getrlimit"),
    setrlimit: two("setrlimit"),
    getpgrp: one("getpgrp"),
    sigaction: three("sigaction"),
    syscall: numberedCall(groups, world),
  };
}

/** Makes syscall(2). The groups are asked in their order, each for its table when a number is first looked up. */
function numberedCall(groups: readonly CallGroup[], world: World): Libc["syscall"] {
  const tables: Readonly<Record<number, Native>>[] = [];
  const found = new Map<number, Native | undefined>();
  const find = (number: number): Native | undefined => {
    for (const [i, { numbered }] of groups.entries()) {
      if (numbered === undefined) continue;
      tables[i] ??= numbered();
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

function missing(name: keyof Libc): never {
  throw new Error(`The simulated kernel has no call ${name}`);
}
