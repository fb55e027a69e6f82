import assert from "node:assert/strict";
import { test } from "node:test";
import {
  EFD_NONBLOCK,
  ERRNO,
  type Kernel,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_WRONLY,
  OPEN_HOW_SIZE,
  PAGE_SIZE,
  RESOLVE_BENEATH,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  STATX,
  SYS,
  TFD_NONBLOCK,
} from "polloi/internal/pure";
import { Choices } from "../base/choices.ts";
import { VirtualClock } from "../base/clock.ts";
import { Faults } from "../base/faults.ts";
import { World } from "../base/world.ts";
import { Machine } from "../machine/machine.ts";
import { AT_FDCWD, EFD_SEMAPHORE, TFD_TIMER_ABSTIME } from "../process/abi.ts";

const PATH = 0;
const HOW = 8192;
const DATA = 16_384;

/** A machine with one process. */
function start(): { machine: Machine; world: World; kernel: Kernel } {
  const choices = Choices.plain();
  const world = new World(choices, new Faults(choices), new VirtualClock());
  const machine = new Machine(world);
  return { machine, world, kernel: machine.start().kernel };
}

/** Writes a path into scratch memory, and returns its address. */
function pathAt({ scratch }: Kernel, path: string): number {
  scratch.u8.set(new TextEncoder().encode(`${path}\0`), PATH);
  return scratch.address + PATH;
}

function pipeOf({ libc, scratch }: Kernel, flags: number = O_NONBLOCK): [number, number] {
  assert.equal(libc.pipe2(scratch.address, flags), 0);
  return [scratch.i32[0] as number, scratch.i32[1] as number];
}

function openat2(kernel: Kernel, fd: number, path: string, resolve: number): number {
  const { libc, scratch } = kernel;
  const address = pathAt(kernel, path);
  scratch.setWord(HOW, 0);
  scratch.setWord(HOW + 8, 0);
  scratch.setWord(HOW + 16, resolve);
  const how = scratch.address + HOW;
  return libc.syscall(SYS.openat2, fd, address, how, OPEN_HOW_SIZE, 0, 0);
}

test("a pipe has 16 pages, and a write occupies a page unless it fits into the last one", () => {
  const { kernel } = start();
  const { libc, scratch } = kernel;
  const data = scratch.address + DATA;
  const [reader, writer] = pipeOf(kernel);
  for (let i = 0; i < 15; i++) assert.equal(libc.write(writer, data, 3000), 3000);
  // The page has room for these, and the next one has not.
  assert.equal(libc.write(writer, data, 1000), 1000);
  assert.equal(libc.write(writer, data, 5000), PAGE_SIZE);
  assert.equal(libc.write(writer, data, 1), -ERRNO.EAGAIN);
  // A page is free when it is read completely.
  assert.equal(libc.read(reader, data, 2999), 2999);
  assert.equal(libc.write(writer, data, 1), -ERRNO.EAGAIN);
  assert.equal(libc.read(reader, data, 1), 1);
  assert.equal(libc.write(writer, data, 1), 1);
});

test("a write of up to a page is atomic, and a blocking write waits for the reader", () => {
  const { kernel, world } = start();
  const { libc, scratch } = kernel;
  const data = scratch.address;
  const [reader, writer] = pipeOf(kernel, 0);
  assert.equal(libc.write(writer, data, 15 * PAGE_SIZE + 10), 15 * PAGE_SIZE + 10);
  world.schedule(5, () => libc.read(reader, data, 2 * PAGE_SIZE));
  assert.equal(libc.write(writer, data, PAGE_SIZE), PAGE_SIZE);
  assert.equal(world.now(), 5);
});

test("the ends of a pipe report the other one's close, and writing fails with EPIPE", () => {
  const { kernel } = start();
  const { libc, scratch } = kernel;
  const first = pipeOf(kernel);
  libc.close(first[0]);
  assert.equal(libc.write(first[1], scratch.address, 1), -ERRNO.EPIPE);
  const second = pipeOf(kernel);
  libc.write(second[1], scratch.address, 1);
  libc.close(second[1]);
  assert.equal(libc.read(second[0], scratch.address, 8), 1);
  assert.equal(libc.read(second[0], scratch.address, 8), 0);
});

test("a FIFO without a writer is not at its end for those that opened it before", () => {
  const { kernel, machine } = start();
  const { libc, scratch } = kernel;
  machine.files.addFifo("/data/fifo");
  const path = pathAt(kernel, "/data/fifo");
  assert.equal(libc.open(path, O_WRONLY | O_NONBLOCK, 0), -ERRNO.ENXIO);
  const reader = libc.open(path, O_NONBLOCK, 0);
  const masks: number[] = [];
  const poll = () => {
    scratch.i32[1024] = reader;
    scratch.u32[1025] = 1;
    libc.ppoll(scratch.address + 4096, 1, zeroTime(kernel), 0);
    masks.push((scratch.u32[1025] as number) >>> 16);
  };
  poll();
  const writer = libc.open(path, O_WRONLY | O_NONBLOCK, 0);
  poll();
  libc.close(writer);
  poll();
  assert.deepEqual(masks, [0, 0, 0x10]);
  assert.equal(libc.read(reader, scratch.address, 1), 0);
});

function zeroTime({ scratch }: Kernel): number {
  scratch.setTimespec(HOW, 0);
  return scratch.address + HOW;
}

test("an eventfd counts up to 2 ** 64 - 2, and by one as a semaphore", () => {
  const { kernel } = start();
  const { libc, scratch } = kernel;
  const { address } = scratch;
  const fd = libc.eventfd(0, EFD_NONBLOCK);
  const write = (low: number, high: number) => {
    scratch.u32.set([low, high]);
    return libc.write(fd, address, 8);
  };
  assert.equal(write(0xffff_ffff, 0xffff_ffff), -ERRNO.EINVAL);
  assert.equal(write(0xffff_ffff, 0xffff_fffe), 8);
  assert.equal(write(0xffff_ffff, 0), 8);
  assert.equal(write(1, 0), -ERRNO.EAGAIN);
  assert.equal(libc.read(fd, address, 7), -ERRNO.EINVAL);
  assert.equal(libc.read(fd, address, 8), 8);
  assert.deepEqual([scratch.u32[0], scratch.u32[1]], [0xffff_fffe, 0xffff_ffff]);
  const semaphore = libc.eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
  for (let i = 0; i < 2; i++) {
    assert.equal(libc.read(semaphore, address, 8), 8);
    assert.equal(scratch.getWord(0), 1);
  }
  assert.equal(libc.read(semaphore, address, 8), -ERRNO.EAGAIN);
});

test("a timerfd counts its expirations in virtual time, and returns its last setting", () => {
  const { kernel, world } = start();
  const { libc, scratch } = kernel;
  const { address } = scratch;
  const fd = libc.timerfd_create(1, TFD_NONBLOCK);
  const set = (firstMs: number, intervalMs: number, flags = 0) => {
    scratch.setTimespec(0, intervalMs);
    scratch.setTimespec(16, firstMs);
    assert.equal(libc.timerfd_settime(fd, flags, address, address + 32), 0);
  };
  const read = () => (libc.read(fd, address, 8) === 8 ? scratch.getWord(0) : undefined);
  const pass = (ms: number) => void world.waitUntil(() => false, world.now() + ms);
  set(10, 3);
  pass(9.5);
  assert.equal(read(), undefined);
  pass(1);
  assert.equal(read(), 1);
  pass(8);
  assert.equal(read(), 2);
  set(2, 0);
  assert.deepEqual([scratch.getWord(32), scratch.getWord(40)], [0, 3e6]);
  assert.deepEqual([scratch.getWord(48), scratch.getWord(56)], [0, 0.5e6]);
  pass(100);
  assert.equal(read(), 1);
  // A time in the past expires at once.
  set(5, 0, TFD_TIMER_ABSTIME);
  pass(0);
  assert.equal(read(), 1);
  set(0, 5);
  pass(20);
  assert.equal(read(), undefined);
});

test("a path is found, refused and created as path_resolution(7) says", () => {
  const { kernel, machine } = start();
  const { libc } = kernel;
  const { files } = machine;
  files.addFile("/site/file", "hello");
  files.addLink("/site/link", "file");
  files.addLink("/site/absolute", "/site/file");
  files.addLink("/site/loop", "loop");
  files.addDirectory("/site/folder");
  const open = (path: string, flags = 0): number => {
    const fd = libc.open(pathAt(kernel, path), flags, 0o666);
    return fd >= 0 ? libc.close(fd) : fd;
  };
  const cases: readonly (readonly [string, number, number])[] = [
    ["/site/file", 0, 0],
    ["site/../site/./link", 0, 0],
    ["/../site/absolute", 0, 0],
    ["/site/file/", 0, -ERRNO.ENOTDIR],
    ["/site/link/", O_NOFOLLOW, -ERRNO.ENOTDIR],
    ["/site/link", O_NOFOLLOW, -ERRNO.ELOOP],
    ["/site/link", O_NOFOLLOW | O_PATH, 0],
    ["/site/link", O_NOFOLLOW | O_DIRECTORY, -ERRNO.ENOTDIR],
    ["/site/loop", 0, -ERRNO.ELOOP],
    ["/site/none", 0, -ERRNO.ENOENT],
    ["", 0, -ERRNO.ENOENT],
    ["/site/file/x", 0, -ERRNO.ENOTDIR],
    ["/site/folder", 0, 0],
    ["/site/folder", O_WRONLY, -ERRNO.EISDIR],
    ["/site/folder", O_CREAT, -ERRNO.EISDIR],
    ["/site/new/", O_CREAT, -ERRNO.EISDIR],
    ["/site/none/x", O_CREAT, -ERRNO.ENOENT],
    [`/site/${"a".repeat(256)}`, 0, -ERRNO.ENAMETOOLONG],
    ["/site/new", O_CREAT | O_WRONLY, 0],
    ["/site/new", 0, 0],
  ];
  for (const [path, flags, expected] of cases) assert.equal(open(path, flags), expected, path);
});

test("RESOLVE_BENEATH keeps a path below its directory", () => {
  const { kernel, machine } = start();
  const { libc } = kernel;
  const { files } = machine;
  files.addFile("/site/file");
  files.addLink("/site/absolute", "/site/file");
  files.addLink("/site/folder/inside", "../file");
  files.addLink("/site/folder/outside", "../../tmp");
  const root = libc.open(pathAt(kernel, "/site"), O_PATH | O_DIRECTORY, 0);
  const results = ["file", ".", "..", "/site/file", "absolute", "folder/inside", "folder/outside"]
    .map((path) => openat2(kernel, root, path, RESOLVE_BENEATH))
    .map((fd) => Math.min(fd, 0));
  const outside = -ERRNO.EXDEV;
  assert.deepEqual(results, [0, 0, outside, outside, outside, 0, outside]);
});

test("a file keeps its bytes after unlink, and O_APPEND writes at its end", () => {
  const { kernel, machine } = start();
  const { libc, scratch } = kernel;
  const data = scratch.address + DATA;
  machine.files.addFile("/data/log", "one ");
  const path = pathAt(kernel, "/data/log");
  const writer = libc.open(path, O_WRONLY | O_APPEND, 0);
  const reader = libc.open(path, 0, 0);
  assert.equal(libc.unlink(path), 0);
  assert.equal(libc.unlink(path), -ERRNO.ENOENT);
  assert.equal(libc.read(writer, data, 1), -ERRNO.EBADF);
  scratch.u8.set(new TextEncoder().encode("two"), DATA);
  assert.equal(libc.write(writer, data, 3), 3);
  assert.equal(libc.read(reader, data, 100), 7);
  assert.equal(new TextDecoder().decode(scratch.u8.slice(DATA, DATA + 7)), "one two");
  assert.equal(libc.read(reader, data, 100), 0);
});

test("statx and getdents64 describe files of every type", () => {
  const { kernel, machine } = start();
  const { libc, scratch } = kernel;
  machine.files.addFile("/site/file", "12345");
  machine.files.addDirectory("/site/folder");
  const status = (fd: number, path: string, flags: number) => {
    const at = pathAt(kernel, path);
    const result = libc.syscall(SYS.statx, fd, at, flags, 0x7ff, scratch.address + DATA, 0);
    const mode = scratch.view.getUint16(DATA + STATX.mode, true) & S_IFMT;
    return result < 0 ? result : [mode, scratch.getWord(DATA + STATX.length)];
  };
  assert.deepEqual(status(AT_FDCWD, "/site/file", 0), [0o100000, 5]);
  assert.deepEqual(status(AT_FDCWD, "/site/none", 0), -ERRNO.ENOENT);
  const empty = 0x1000;
  assert.deepEqual(status(-1, "", empty), -ERRNO.EBADF);
  assert.deepEqual(status(libc.eventfd(0, 0), "", empty), [0, 0]);
  assert.deepEqual(status(pipeOf(kernel)[0], "", empty), [S_IFIFO, 0]);
  const folder = libc.open(pathAt(kernel, "/site"), O_DIRECTORY, 0);
  assert.equal((status(folder, "", empty) as number[])[0], S_IFDIR);
  const names: string[] = [];
  for (;;) {
    // Room for two entries at a time.
    const length = libc.syscall(SYS.getdents64, folder, scratch.address + DATA, 56, 0, 0, 0);
    assert.ok(length >= 0);
    if (length === 0) break;
    for (let at = DATA; at < DATA + length; at += scratch.view.getUint16(at + 16, true)) {
      const end = scratch.u8.indexOf(0, at + 19);
      names.push(new TextDecoder().decode(scratch.u8.slice(at + 19, end)));
    }
  }
  assert.deepEqual(names, [".", "..", "file", "folder"]);
});

test("sendfile sends a range, and stops where the receiver is full or the file ends", () => {
  const { kernel, machine } = start();
  const { libc, scratch } = kernel;
  const offset = scratch.address + DATA;
  machine.files.addFile("/data/big").truncate(10_000_000);
  const file = libc.open(pathAt(kernel, "/data/big"), 0, 0);
  const [reader, writer] = pipeOf(kernel);
  scratch.setWord(DATA, 100);
  assert.equal(libc.sendfile(writer, file, offset, 1_000_000), 65_536);
  assert.equal(scratch.getWord(DATA), 65_636);
  assert.equal(libc.sendfile(writer, file, offset, 1), -ERRNO.EAGAIN);
  assert.equal(libc.read(reader, offset, 10_000), 10_000);
  scratch.setWord(DATA, 9_999_990);
  assert.equal(libc.sendfile(writer, file, offset, 1000), 10);
  assert.equal(libc.sendfile(writer, file, offset, 1000), 0);
  assert.equal(libc.sendfile(reader, file, 0, 1), -ERRNO.EBADF);
  assert.equal(libc.sendfile(writer, reader, 0, 1), -ERRNO.EINVAL);
});

test("a descriptor that was opened with O_PATH is only for inspecting", () => {
  const { kernel, machine } = start();
  const { libc, scratch } = kernel;
  machine.files.addFile("/data/file", "x");
  const fd = libc.open(pathAt(kernel, "/data/file"), O_PATH, 0);
  assert.equal(libc.read(fd, scratch.address, 1), -ERRNO.EBADF);
  assert.equal(libc.ioctl(fd, 0x541b, scratch.address), -ERRNO.EBADF);
  assert.equal(libc.fcntl(fd, 3, 0), O_PATH);
  assert.equal(libc.fcntl(fd, 4, 0), -ERRNO.EBADF);
  assert.ok(libc.fcntl(fd, 1030, 0) > fd);
});
