/** One case for each call of libc: its effect, and an error that it returns. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execPath, pid } from "node:process";
import { ERRNO } from "../../src/base/errno.ts";
import { check } from "../../src/base/sys-error.ts";
import * as abi from "../../src/sys/abi.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import {
  AF_INET,
  AF_UNIX,
  cString,
  loopback,
  memory,
  pair,
  pipe,
  portOf,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  withFds,
} from "./memory.ts";

const { libc } = kernel;
const { EAGAIN, EBADF, EEXIST, EINVAL, ENOENT, ENOTCONN, ENOTSOCK, ENOTTY, EPERM } = ERRNO;
const NONBLOCK = abi.O_NONBLOCK | abi.O_CLOEXEC;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_TYPE = 3;
const MSG_PEEK = 0x02;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** The offset of a buffer, after the structs at the start of the memory. */
const DATA = 8192;
const data: number = memory.address + DATA;

function put(text: string): number {
  memory.u8.set(new TextEncoder().encode(text), DATA);
  return text.length;
}

function got(length: number, offset: number = DATA): string {
  return new TextDecoder().decode(memory.u8.slice(offset, offset + length));
}

/** A listening socket on a free port of 127.0.0.1. */
function listener(open: (fd: number) => number): { fd: number; port: number } {
  const fd = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  check(libc.bind(fd, loopback(0, 64), 16), "bind");
  check(libc.listen(fd, 16), "listen");
  return { fd, port: portOf(fd) };
}

/** A datagram socket bound to a free port of 127.0.0.1. */
function datagram(open: (fd: number) => number): { fd: number; port: number } {
  const fd = open(libc.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  check(libc.bind(fd, loopback(0, 64), 16), "bind");
  return { fd, port: portOf(fd) };
}

/** Writes a `msghdr` at 256 with one part of `length` bytes, addressed to `port` if there is one. */
function message(length: number, port?: number): number {
  memory.u8.fill(0, 256, 512);
  memory.setWord(384, data);
  memory.setWord(392, length);
  if (port !== undefined) memory.setWord(256, loopback(port, 448));
  memory.u32[264 / 4] = port === undefined ? 0 : 16;
  memory.setWord(272, memory.address + 384);
  memory.setWord(280, 1);
  return memory.address + 256;
}

function epollEvent(mask: number, tag: number): number {
  memory.u32[256] = mask;
  memory.u32[256 + abi.EPOLL_EVENT.data] = tag;
  memory.u32[256 + abi.EPOLL_EVENT.data + 1] = 0;
  return memory.address + 1024;
}

/** The result of a wait that no signal interrupted. JavaScriptCore suspends the threads of Bun by SIGPWR. */
function uninterrupted(wait: () => number): number {
  for (;;) {
    const result = wait();
    if (result !== -ERRNO.EINTR) return result;
  }
}

/** Every call of the table. The compiler rejects it if one is missing. */
export const CALLS: Readonly<Record<keyof Libc, () => void>> = {
  read: () =>
    withFds((open) => {
      const [reader, writer] = pipe(open, NONBLOCK);
      assert.equal(libc.read(reader, data, 16), -EAGAIN);
      assert.equal(libc.write(writer, data, put("hello")), 5);
      assert.equal(libc.read(reader, data + 100, 0), 0);
      assert.equal(libc.read(reader, data + 100, 16), 5);
      assert.equal(got(5, DATA + 100), "hello");
      assert.equal(libc.read(-1, data, 16), -EBADF);
      assert.equal(libc.read(writer, data, 16), -EBADF);
    }),
  write: () =>
    withFds((open) => {
      const [reader, writer] = pipe(open, NONBLOCK);
      assert.equal(libc.write(writer, data, 0), 0);
      assert.equal(libc.write(writer, data, 40_000), 40_000);
      assert.equal(libc.write(writer, data, 40_000), 65_536 - 40_000 - ((65_536 - 40_000) % 4096));
      assert.equal(libc.write(writer, data, 40_000), -EAGAIN);
      assert.equal(libc.write(reader, data, 1), -EBADF);
      assert.equal(libc.write(-1, data, 1), -EBADF);
    }),
  close: () => {
    const fd = check(libc.eventfd(0, abi.EFD_CLOEXEC), "eventfd");
    assert.equal(libc.close(fd), 0);
    assert.equal(libc.close(-1), -EBADF);
    assert.equal(libc.close(0x7fffffff), -EBADF);
  },
  fcntl: () =>
    withFds((open) => {
      const [reader] = pipe(open, abi.O_CLOEXEC);
      assert.equal(libc.fcntl(reader, abi.F_GETFD, 0), abi.FD_CLOEXEC);
      assert.equal(libc.fcntl(reader, abi.F_GETFL, 0) & abi.O_NONBLOCK, 0);
      assert.equal(libc.fcntl(reader, abi.F_SETFL, abi.O_NONBLOCK), 0);
      assert.equal(libc.fcntl(reader, abi.F_GETFL, 0) & abi.O_NONBLOCK, abi.O_NONBLOCK);
      assert.ok(open(libc.fcntl(reader, abi.F_DUPFD_CLOEXEC, 100)) >= 100);
      assert.equal(libc.fcntl(reader, abi.F_DUPFD_CLOEXEC, -1), -EINVAL);
      assert.equal(libc.fcntl(-1, abi.F_GETFD, 0), -EBADF);
    }),
  ioctl: () =>
    withFds((open) => {
      const [reader, writer] = pipe(open, NONBLOCK);
      assert.equal(libc.write(writer, data, 7), 7);
      assert.equal(libc.ioctl(reader, abi.FIONREAD, memory.address), 0);
      assert.equal(memory.i32[0], 7);
      assert.equal(libc.ioctl(reader, abi.TIOCGPGRP, memory.address), -ENOTTY);
      assert.equal(libc.ioctl(-1, abi.FIONREAD, memory.address), -EBADF);
    }),
  pipe2: () =>
    withFds((open) => {
      const [reader, writer] = pipe(open, NONBLOCK);
      assert.notEqual(reader, writer);
      assert.equal(libc.fcntl(writer, abi.F_GETFD, 0), abi.FD_CLOEXEC);
      assert.equal(libc.pipe2(memory.address, 0x1000_0000), -EINVAL);
    }),
  dup3: () =>
    withFds((open) => {
      const [reader, writer] = pipe(open, NONBLOCK);
      const spare = open(libc.eventfd(0, abi.EFD_CLOEXEC));
      assert.equal(libc.dup3(writer, spare, abi.O_CLOEXEC), spare);
      assert.equal(libc.write(spare, data, put("x")), 1);
      assert.equal(libc.read(reader, data, 4), 1);
      assert.equal(libc.dup3(reader, reader, 0), -EINVAL);
      assert.equal(libc.dup3(-1, spare, 0), -EBADF);
      assert.equal(libc.dup3(reader, -1, 0), -EBADF);
    }),
  open: () =>
    withFds((open) => {
      const zeros = open(libc.open(cString("/dev/zero", 0), abi.O_RDONLY | abi.O_CLOEXEC, 0));
      memory.u8[DATA] = 1;
      assert.equal(libc.read(zeros, data, 1), 1);
      assert.equal(memory.u8[DATA], 0);
      assert.equal(libc.open(cString("/there/is/no/such/file", 0), 0, 0), -ENOENT);
      assert.equal(libc.open(cString("/dev/null/x", 0), 0, 0), -ERRNO.ENOTDIR);
    }),
  unlink: () => {
    const folder = mkdtempSync(join(tmpdir(), "polloi-"));
    writeFileSync(join(folder, "file"), "");
    const path = cString(join(folder, "file"), 0);
    assert.equal(libc.unlink(path), 0);
    assert.equal(libc.unlink(path), -ENOENT);
    rmdirSync(folder);
  },

  socket: () =>
    withFds((open) => {
      const fd = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      assert.equal(libc.fcntl(fd, abi.F_GETFD, 0), abi.FD_CLOEXEC);
      assert.equal(libc.socket(9999, SOCK_STREAM, 0), -ERRNO.EAFNOSUPPORT);
      assert.equal(libc.socket(-1, SOCK_STREAM, 0), -ERRNO.EAFNOSUPPORT);
      assert.equal(libc.socket(AF_INET, SOCK_STREAM, 250), -ERRNO.EPROTONOSUPPORT);
    }),
  socketpair: () =>
    withFds((open) => {
      const [left, right] = pair(open);
      assert.equal(libc.write(left, data, put("over")), 4);
      assert.equal(libc.read(right, data + 100, 10), 4);
      assert.equal(got(4, DATA + 100), "over");
      assert.equal(libc.socketpair(AF_INET, SOCK_STREAM, 0, memory.address), -ERRNO.EOPNOTSUPP);
      assert.equal(libc.socketpair(AF_UNIX, -1, 0, memory.address), -EINVAL);
    }),
  bind: () =>
    withFds((open) => {
      const { port } = listener(open);
      const second = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      assert.equal(libc.bind(second, loopback(port, 64), 16), -ERRNO.EADDRINUSE);
      assert.equal(libc.bind(second, loopback(0, 64), 4), -EINVAL);
      memory.u8[68] = 203;
      assert.equal(libc.bind(second, memory.address + 64, 16), -ERRNO.EADDRNOTAVAIL);
      assert.equal(libc.bind(-1, loopback(0, 64), 16), -EBADF);
    }),
  listen: () =>
    withFds((open) => {
      const fd = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      assert.equal(libc.bind(fd, loopback(0, 64), 16), 0);
      assert.equal(libc.listen(fd, -1), 0);
      assert.equal(libc.listen(datagram(open).fd, 1), -ERRNO.EOPNOTSUPP);
      assert.equal(libc.listen(open(libc.eventfd(0, abi.EFD_CLOEXEC)), 1), -ENOTSOCK);
    }),
  accept4: () =>
    withFds((open) => {
      const { fd, port } = listener(open);
      assert.equal(libc.accept4(fd, 0, 0, 0), -EAGAIN);
      const client = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      assert.equal(libc.connect(client, loopback(port, 64), 16), 0);
      memory.u32[32] = 16;
      const served = open(
        libc.accept4(fd, memory.address + 64, memory.address + 128, SOCK_NONBLOCK | SOCK_CLOEXEC),
      );
      assert.equal(memory.u32[32], 16);
      assert.equal(memory.view.getUint16(66, false), portOf(client));
      assert.equal(libc.fcntl(served, abi.F_GETFL, 0) & abi.O_NONBLOCK, abi.O_NONBLOCK);
      assert.equal(libc.accept4(client, 0, 0, 0), -EINVAL);
      assert.equal(libc.accept4(fd, 0, 0, -1), -EINVAL);
    }),
  connect: () =>
    withFds((open) => {
      const { port } = listener(open);
      const client = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      assert.equal(libc.connect(client, loopback(port, 64), 16), 0);
      assert.equal(libc.connect(client, loopback(port, 64), 16), -ERRNO.EISCONN);
      const refused = datagram(open).port;
      const other = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      assert.equal(libc.connect(other, loopback(refused, 64), 16), -ERRNO.ECONNREFUSED);
      assert.equal(libc.connect(-1, loopback(port, 64), 16), -EBADF);
    }),
  getsockname: () =>
    withFds((open) => {
      const { fd, port } = listener(open);
      assert.ok(port > 0 && port <= 0xffff);
      memory.u32[32] = 16;
      assert.equal(libc.getsockname(fd, memory.address + 64, memory.address + 128), 0);
      assert.deepEqual([...memory.u8.slice(68, 72)], [127, 0, 0, 1]);
      assert.equal(libc.getsockname(-1, memory.address + 64, memory.address + 128), -EBADF);
    }),
  getpeername: () =>
    withFds((open) => {
      const { fd, port } = listener(open);
      const client = open(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      assert.equal(libc.connect(client, loopback(port, 64), 16), 0);
      memory.u32[32] = 16;
      assert.equal(libc.getpeername(client, memory.address + 96, memory.address + 128), 0);
      assert.equal(memory.view.getUint16(98, false), port);
      assert.equal(libc.getpeername(fd, memory.address + 96, memory.address + 128), -ENOTCONN);
    }),
  getsockopt: () =>
    withFds((open) => {
      const { fd } = datagram(open);
      memory.u32[0] = 0;
      memory.u32[1] = 4;
      const { address } = memory;
      assert.equal(libc.getsockopt(fd, SOL_SOCKET, SO_TYPE, address, address + 4), 0);
      assert.equal(memory.u32[0], SOCK_DGRAM);
      assert.equal(libc.getsockopt(fd, SOL_SOCKET, -1, address, address + 4), -ERRNO.ENOPROTOOPT);
      assert.equal(libc.getsockopt(-1, SOL_SOCKET, SO_TYPE, address, address + 4), -EBADF);
    }),
  setsockopt: () =>
    withFds((open) => {
      const { fd } = datagram(open);
      const { address } = memory;
      memory.u32[0] = 1;
      assert.equal(libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, address, 4), 0);
      memory.u32[0] = 0;
      memory.u32[1] = 4;
      assert.equal(libc.getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, address, address + 4), 0);
      assert.equal(memory.u32[0], 1);
      assert.equal(libc.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, address, 1), -EINVAL);
      assert.equal(libc.setsockopt(fd, SOL_SOCKET, -1, address, 4), -ERRNO.ENOPROTOOPT);
    }),
  recv: () =>
    withFds((open) => {
      const [left, right] = pair(open);
      assert.equal(libc.recv(right, data, 8, MSG_DONTWAIT), -EAGAIN);
      assert.equal(libc.send(left, data, put("bytes"), MSG_NOSIGNAL), 5);
      assert.equal(libc.recv(right, data + 100, 2, MSG_PEEK), 2);
      assert.equal(libc.recv(right, data + 100, 8, 0), 5);
      assert.equal(got(5, DATA + 100), "bytes");
      assert.equal(libc.recv(pipe(open, NONBLOCK)[0], data, 8, 0), -ENOTSOCK);
      assert.equal(libc.recv(-1, data, 8, 0), -EBADF);
    }),
  send: () =>
    withFds((open) => {
      const [left, right] = pair(open, SOCK_NONBLOCK);
      assert.equal(libc.send(left, data, 0, MSG_NOSIGNAL), 0);
      let sent = 0;
      for (let n = 0; n >= 0; n = libc.send(left, data, 32_768, MSG_NOSIGNAL)) sent += n;
      assert.ok(sent > 0);
      assert.equal(libc.send(left, data, 32_768, MSG_NOSIGNAL), -EAGAIN);
      assert.equal(libc.close(libc.fcntl(right, abi.F_DUPFD_CLOEXEC, 0)), 0);
      assert.equal(libc.shutdown(left, 1), 0);
      assert.equal(libc.send(left, data, 1, MSG_NOSIGNAL), -ERRNO.EPIPE);
      assert.equal(libc.send(-1, data, 1, 0), -EBADF);
    }),
  sendfile: () =>
    withFds((open) => {
      const [left, right] = pair(open, SOCK_NONBLOCK);
      const folder = mkdtempSync(join(tmpdir(), "polloi-"));
      writeFileSync(join(folder, "file"), "0123456789");
      const file = open(libc.open(cString(join(folder, "file"), 0), abi.O_CLOEXEC, 0));
      rmSync(folder, { recursive: true });
      memory.setWord(64, 3);
      assert.equal(libc.sendfile(left, file, memory.address + 64, 4), 4);
      assert.equal(memory.getWord(64), 7);
      assert.equal(libc.read(right, data, 16), 4);
      assert.equal(got(4), "3456");
      // A short result at the end of the file, and 0 past it.
      assert.equal(libc.sendfile(left, file, memory.address + 64, 100), 3);
      assert.equal(libc.sendfile(left, file, memory.address + 64, 100), 0);
      memory.setWord(64, 2 ** 40);
      assert.equal(libc.sendfile(left, file, memory.address + 64, 1), 0);
      // Without an address, the file's own position is used.
      assert.equal(libc.sendfile(left, file, 0, 2), 2);
      assert.equal(libc.sendfile(left, -1, 0, 1), -EBADF);
      assert.equal(libc.sendfile(-1, file, 0, 1), -EBADF);
    }),
  recvfrom: () =>
    withFds((open) => {
      const from = datagram(open);
      const to = datagram(open);
      const { address } = memory;
      assert.equal(libc.recvfrom(to.fd, data, 8, 0, address + 64, address + 128), -EAGAIN);
      assert.equal(libc.sendto(from.fd, data, put("hi"), 0, loopback(to.port, 96), 16), 2);
      memory.u32[32] = 16;
      assert.equal(libc.recvfrom(to.fd, data + 100, 8, 0, address + 64, address + 128), 2);
      assert.equal(got(2, DATA + 100), "hi");
      assert.equal(memory.view.getUint16(66, false), from.port);
    }),
  sendto: () =>
    withFds((open) => {
      const { fd, port } = datagram(open);
      assert.equal(libc.sendto(fd, data, 0, 0, loopback(port, 96), 16), 0);
      assert.equal(libc.sendto(fd, data, 1, 0, 0, 0), -ERRNO.EDESTADDRREQ);
      assert.equal(libc.sendto(fd, data, 1, 0, loopback(port, 96), 4), -EINVAL);
      assert.equal(libc.sendto(-1, data, 1, 0, loopback(port, 96), 16), -EBADF);
    }),
  recvmsg: () =>
    withFds((open) => {
      const [left, right] = pair(open, SOCK_NONBLOCK);
      assert.equal(libc.recvmsg(right, message(64), 0), -EAGAIN);
      assert.equal(libc.send(left, data, put("parts"), MSG_NOSIGNAL), 5);
      memory.u8.fill(0, DATA, DATA + 8);
      assert.equal(libc.recvmsg(right, message(64), 0), 5);
      assert.equal(got(5), "parts");
      assert.equal(libc.recvmsg(-1, message(64), 0), -EBADF);
    }),
  sendmsg: () =>
    withFds((open) => {
      const from = datagram(open);
      const to = datagram(open);
      assert.equal(libc.sendmsg(from.fd, message(put("packet"), to.port), MSG_NOSIGNAL), 6);
      memory.u8.fill(0, DATA, DATA + 8);
      assert.equal(libc.recv(to.fd, data, 64, 0), 6);
      assert.equal(got(6), "packet");
      assert.equal(libc.sendmsg(from.fd, message(1), 0), -ERRNO.EDESTADDRREQ);
      assert.equal(libc.sendmsg(-1, message(1), 0), -EBADF);
    }),
  shutdown: () =>
    withFds((open) => {
      const [left, right] = pair(open);
      assert.equal(libc.shutdown(left, 1), 0);
      assert.equal(libc.recv(right, data, 8, 0), 0);
      assert.equal(libc.shutdown(left, 99), -EINVAL);
      assert.equal(libc.shutdown(listener(open).fd, -1), -EINVAL);
      assert.equal(libc.shutdown(datagram(open).fd, 1), -ENOTCONN);
    }),

  pselect: () =>
    withFds((open) => {
      const [reader, writer] = pipe(open, NONBLOCK);
      const sets = memory.address + 512;
      const [word, bit] = [(512 + (reader >> 5) * 4) >> 2, 1 << (reader & 31)];
      memory.u8.fill(0, 512, 512 + abi.FD_SET_BYTES);
      memory.u32[word] = bit;
      memory.setTimespec(0, 1.5);
      const pselect = () => libc.pselect(reader + 1, sets, 0, 0, memory.address, 0);
      assert.equal(uninterrupted(pselect), 0);
      assert.equal(memory.i32[word], 0);
      assert.equal(libc.write(writer, data, 1), 1);
      memory.i32[word] = bit;
      assert.equal(libc.pselect(reader + 1, sets, 0, 0, 0, 0), 1);
      assert.equal(memory.i32[word], bit);
      assert.equal(libc.pselect(-1, 0, 0, 0, memory.address, 0), -EINVAL);
    }),
  ppoll: () =>
    withFds((open) => {
      const [reader, writer] = pipe(open, NONBLOCK);
      const at = 512 >> 2;
      const fds = memory.address + 512;
      memory.i32[at] = reader;
      memory.u32[at + 1] = 1;
      memory.setTimespec(0, 0.25);
      assert.equal(
        uninterrupted(() => libc.ppoll(fds, 1, memory.address, 0)),
        0,
      );
      assert.equal(libc.write(writer, data, 1), 1);
      assert.equal(libc.ppoll(fds, 1, 0, 0), 1);
      assert.equal((memory.u32[at + 1] as number) >>> 16, 1);
      memory.setWord(8, 2_000_000_000);
      assert.equal(libc.ppoll(fds, 1, memory.address, 0), -EINVAL);
    }),
  epoll_create1: () =>
    withFds((open) => {
      const fd = open(libc.epoll_create1(abi.O_CLOEXEC));
      assert.equal(libc.fcntl(fd, abi.F_GETFD, 0), abi.FD_CLOEXEC);
      assert.equal(libc.epoll_create1(-1), -EINVAL);
    }),
  epoll_ctl: () =>
    withFds((open) => {
      const epoll = open(libc.epoll_create1(abi.O_CLOEXEC));
      const [reader] = pipe(open, NONBLOCK);
      const file = open(libc.open(cString(execPath, 2048), abi.O_CLOEXEC, 0));
      assert.equal(libc.epoll_ctl(epoll, 1, reader, epollEvent(1, 7)), 0);
      assert.equal(libc.epoll_ctl(epoll, 1, reader, epollEvent(1, 7)), -EEXIST);
      assert.equal(libc.epoll_ctl(epoll, 3, reader, epollEvent(0x8000_0001, 7)), 0);
      assert.equal(libc.epoll_ctl(epoll, 2, reader, 0), 0);
      assert.equal(libc.epoll_ctl(epoll, 2, reader, 0), -ENOENT);
      assert.equal(libc.epoll_ctl(epoll, 1, file, epollEvent(1, 7)), -EPERM);
      assert.equal(libc.epoll_ctl(epoll, 1, epoll, epollEvent(1, 7)), -EINVAL);
      assert.equal(libc.epoll_ctl(epoll, 1, -1, epollEvent(1, 7)), -EBADF);
    }),
  epoll_wait: () =>
    withFds((open) => {
      const epoll = open(libc.epoll_create1(abi.O_CLOEXEC));
      const [reader, writer] = pipe(open, NONBLOCK);
      const events = memory.address + 512;
      assert.equal(libc.epoll_wait(epoll, events, 4, 0), 0);
      // Edge-triggered, bit 31, and a tag of which every bit is set.
      assert.equal(libc.epoll_ctl(epoll, 1, reader, epollEvent(0x8000_0001, 0xffff_ffff)), 0);
      assert.equal(libc.write(writer, data, 1), 1);
      assert.equal(libc.epoll_wait(epoll, events, 4, -1), 1);
      assert.equal(memory.u32[128], 1);
      assert.equal(memory.u32[128 + abi.EPOLL_EVENT.data], 0xffff_ffff);
      assert.equal(
        uninterrupted(() => libc.epoll_wait(epoll, events, 4, 1)),
        0,
      );
      assert.equal(libc.epoll_wait(epoll, events, 0, 0), -EINVAL);
      assert.equal(libc.epoll_wait(epoll, events, -1, 0), -EINVAL);
      assert.equal(libc.epoll_wait(-1, events, 4, 0), -EBADF);
    }),

  eventfd: () =>
    withFds((open) => {
      const fd = open(libc.eventfd(0x8000_0001, abi.EFD_CLOEXEC | abi.EFD_NONBLOCK));
      assert.equal(libc.read(fd, memory.address, 8), 8);
      assert.equal(memory.getWord(0), 0x8000_0001);
      assert.equal(libc.read(fd, memory.address, 8), -EAGAIN);
      assert.equal(libc.eventfd(0, 0x4000_0000), -EINVAL);
    }),
  timerfd_create: () =>
    withFds((open) => {
      const flags = abi.TFD_CLOEXEC | abi.TFD_NONBLOCK;
      const fd = open(libc.timerfd_create(abi.CLOCK_MONOTONIC, flags));
      assert.equal(libc.read(fd, memory.address, 8), -EAGAIN);
      assert.equal(libc.timerfd_create(-1, flags), -EINVAL);
    }),
  timerfd_settime: () =>
    withFds((open) => {
      const fd = open(libc.timerfd_create(abi.CLOCK_MONOTONIC, abi.TFD_CLOEXEC));
      memory.setTimespec(0, 0);
      memory.setTimespec(16, 0.5);
      assert.equal(libc.timerfd_settime(fd, 0, memory.address, memory.address + 32), 0);
      assert.equal(libc.read(fd, memory.address, 8), 8);
      assert.equal(memory.getWord(0), 1);
      memory.setWord(24, 1_000_000_000);
      assert.equal(libc.timerfd_settime(fd, 0, memory.address, 0), -EINVAL);
      memory.setTimespec(16, 1);
      assert.equal(libc.timerfd_settime(-1, 0, memory.address, 0), -EBADF);
    }),

  mmap: () => {
    const both = abi.PROT_READ | abi.PROT_WRITE;
    const own = abi.MAP_PRIVATE | abi.MAP_ANONYMOUS;
    const address = libc.mmap(0, 4096, both, own, -1, 0);
    assert.ok(Number.isSafeInteger(address) && address > 0 && address % 4096 === 0, `${address}`);
    assert.equal(libc.mmap(0, 0, both, own, -1, 0), -EINVAL);
    assert.equal(libc.mmap(0, 4096, both, own, -1, 1), -EINVAL);
    assert.equal(libc.mmap(0, 2 ** 50, both, own, -1, 0), -ERRNO.ENOMEM);
    assert.equal(libc.mmap(0, 4096, both, abi.MAP_PRIVATE, -1, 0), -EBADF);
  },
  madvise: () => {
    const arena = kernel.arenas.map(4096);
    arena.u8[5] = 5;
    assert.equal(libc.madvise(arena.address, 4096, abi.MADV_DONTNEED), 0);
    assert.equal(arena.u8[5], 0);
    assert.equal(libc.madvise(arena.address + 1, 4096, abi.MADV_DONTNEED), -EINVAL);
    assert.equal(libc.madvise(arena.address, 4096, -1), -EINVAL);
    kernel.arenas.release(arena);
  },
  getrlimit: () => {
    assert.equal(libc.getrlimit(abi.RLIMIT_NOFILE, memory.address), 0);
    assert.ok(memory.getWord(0) > 0 && memory.getWord(0) <= memory.getWord(8));
    assert.equal(libc.getrlimit(9999, memory.address), -EINVAL);
    assert.equal(libc.getrlimit(-1, memory.address), -EINVAL);
  },
  setrlimit: () => {
    assert.equal(libc.getrlimit(abi.RLIMIT_NOFILE, memory.address), 0);
    const limit = memory.getWord(0);
    memory.setWord(0, 0);
    assert.equal(libc.setrlimit(abi.RLIMIT_NOFILE, memory.address), 0);
    const refused = [
      libc.eventfd(0, abi.EFD_CLOEXEC),
      libc.socket(AF_INET, SOCK_STREAM, 0),
      libc.epoll_create1(abi.O_CLOEXEC),
      libc.pipe2(memory.address + 64, abi.O_CLOEXEC),
    ];
    memory.setWord(0, limit);
    assert.equal(libc.setrlimit(abi.RLIMIT_NOFILE, memory.address), 0);
    assert.deepEqual(refused, Array(4).fill(-ERRNO.EMFILE));
    assert.equal(libc.setrlimit(-1, memory.address), -EINVAL);
  },
  getpgrp: () => {
    // The name of the command, in parentheses, can contain anything. State, parent and group follow it.
    const stat = readFileSync("/proc/self/stat", "utf8");
    const group = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2];
    assert.equal(libc.getpgrp(), Number(group));
  },
  sigaction: () => {
    const SIGUSR2 = 12;
    const SIGKILL = 9;
    assert.equal(libc.sigaction(SIGUSR2, 0, memory.address), 0);
    assert.equal(libc.sigaction(SIGKILL, memory.address, 0), -EINVAL);
  },

  syscall: () =>
    withFds((open) => {
      const self = open(libc.syscall(abi.SYS.pidfd_open, pid, 0, 0, 0, 0, 0));
      assert.equal(libc.fcntl(self, abi.F_GETFD, 0), abi.FD_CLOEXEC);
      assert.equal(libc.syscall(abi.SYS.pidfd_open, -1, 0, 0, 0, 0, 0), -EINVAL);
      assert.equal(libc.syscall(100_000, 0, 0, 0, 0, 0, 0), -ERRNO.ENOSYS);
    }),
};
