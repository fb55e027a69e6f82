/** Descriptors that are closed again and structs in memory, for the suites of `sys`. */
import { check } from "../../src/base/sys-error.ts";
import type { Arena } from "../../src/sys/arena.ts";
import { kernel } from "../../src/sys/open.ts";

const { libc } = kernel;

/** Memory for arguments. The calls under test must not use the scratch memory of the kernel. */
export const memory: Arena = kernel.arenas.map(64 * 1024);

export const AF_UNIX = 1;
export const AF_INET = 2;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

/** Writes a C string at `offset` and returns its address. */
export function cString(text: string, offset: number): number {
  memory.u8.set(new TextEncoder().encode(`${text}\0`), offset);
  return memory.address + offset;
}

/** Writes a `sockaddr_in` of 127.0.0.1, 16 bytes, at `offset` and returns its address. */
export function loopback(port: number, offset: number): number {
  memory.u8.fill(0, offset, offset + 16);
  memory.view.setUint16(offset, AF_INET, true);
  memory.view.setUint16(offset + 2, port, false);
  memory.u8.set([127, 0, 0, 1], offset + 4);
  return memory.address + offset;
}

/** Runs `use` and closes the descriptors that it passed to `open`, even if it throws. */
export function withFds<T>(use: (open: (fd: number) => number) => T): T {
  const fds: number[] = [];
  const open = (fd: number): number => {
    fds.push(check(fd, "open"));
    return fd;
  };
  const closeAll = () => {
    for (const fd of fds) libc.close(fd);
  };
  let result: T;
  try {
    result = use(open);
  } catch (error) {
    closeAll();
    throw error;
  }
  if (result instanceof Promise) return result.finally(closeAll) as T;
  closeAll();
  return result;
}

/** The two ends of a pipe: read, write. */
export function pipe(open: (fd: number) => number, flags: number): readonly [number, number] {
  check(libc.pipe2(memory.address, flags), "pipe2");
  return [open(memory.i32[0] as number), open(memory.i32[1] as number)];
}

/** Two connected stream sockets. */
export function pair(open: (fd: number) => number, flags = 0): readonly [number, number] {
  check(libc.socketpair(AF_UNIX, SOCK_STREAM | flags, 0, memory.address), "socketpair");
  return [open(memory.i32[0] as number), open(memory.i32[1] as number)];
}

/** Returns the port of a bound socket, read with getsockname. */
export function portOf(fd: number): number {
  memory.u32[1020] = 16;
  check(libc.getsockname(fd, memory.address + 4000, memory.address + 4080), "getsockname");
  return memory.view.getUint16(4002, false);
}
