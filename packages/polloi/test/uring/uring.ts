import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  closedFd,
  interrupted,
  kernelWith,
  type Opened,
  opening,
} from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { AF_INET, SHUT_WR, SOCK_STREAM, Socket } from "../../src/socket/index.ts";
import { SYS } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";
import { BufferRing, type Completion, IORING_CQE_F_BUFFER, Ring } from "../../src/uring/index.ts";
import { assertGivesBack } from "../support/arenas.ts";

const O_RDWR_CREAT = 0o102;
const POLLIN = 1;

const using = (body: (ring: Ring, opened: Opened) => void): (() => void) =>
  opening((opened) => body(opened.own(new Ring({ entries: 8 })), opened));

/** A temporary folder for one case. */
function inFolder(body: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "polloi-uring-"));
  try {
    body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits for as many completions as `tags`, and returns their results in the order of the tags. */
function results(ring: Ring, ...tags: number[]): number[] {
  const found: Completion[] = [];
  while (found.length < tags.length) {
    const more = ring.wait(tags.length - found.length, 5000);
    assert.ok(more.length > 0, `only ${found.length} of ${tags.length} completed`);
    found.push(...more);
  }
  return tags.map((tag) => (found.find((each) => each.tag === tag) as Completion).result);
}

function one(ring: Ring): Completion {
  const [first, ...others] = ring.wait(1, 5000);
  assert.equal(others.length, 0);
  assert.ok(first !== undefined, "nothing completed");
  return first;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytesOf = (said: string): Uint8Array => new TextEncoder().encode(said);

/** The cases of `polloi/uring`. */
export function uringConformance(): Suite {
  return {
    title: `polloi/uring on ${kernel.runtime}`,
    cases: [
      {
        name: "an io_uring_enter that fails for a moment is repeated; one that keeps failing throws",
        run: () => {
          let left = 0;
          let errno: number = ERRNO.EINTR;
          const refusing = kernelWith({
            syscall: (number, ...args) =>
              number === SYS.io_uring_enter && left-- > 0
                ? -errno
                : kernel.libc.syscall(number, ...args),
          });
          using ring = new Ring({ entries: 8, kernel: refusing });
          for (errno of [ERRNO.EINTR, ERRNO.EAGAIN, ERRNO.EBUSY, ERRNO.ENOMEM]) {
            left = 3;
            ring.nop({ tag: 1 });
            assert.equal(ring.submit(), 1);
            left = 3;
            ring.nop({ tag: 2 });
            assert.deepEqual(results(ring, 1, 2), [0, 0]);
            // Pushing to a full queue passes it to the kernel first.
            left = 3;
            for (let tag = 3; tag < 13; tag++) ring.nop({ tag });
            assert.equal(ring.wait(10, 5000).length, 10);
          }
          ring.nop({ tag: 13 });
          left = Number.POSITIVE_INFINITY;
          assert.throws(() => ring.wait(), { code: "ENOMEM", syscall: "io_uring_enter" });
          assert.throws(() => ring.submit(), { code: "ENOMEM", syscall: "io_uring_enter" });
          // Nothing is lost: the submission is performed as soon as the kernel takes it.
          left = 0;
          assert.deepEqual(results(ring, 13), [0]);
        },
      },
      {
        name: "a nop completes with its tag, up to 2^53 - 1",
        run: using((ring) => {
          for (const tag of [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
            ring.nop({ tag });
            const { tag: told, result, more } = one(ring);
            assert.deepEqual([told, result, more], [tag, 0, false]);
          }
        }),
      },
      {
        name: "more submissions than the queue holds are passed on, and all complete",
        run: using((ring) => {
          const tags = Array.from({ length: 50 }, (_, tag) => tag);
          for (const tag of tags) ring.nop({ tag });
          assert.deepEqual(
            results(ring, ...tags),
            tags.map(() => 0),
          );
        }),
      },
      {
        name: "submit does not wait; a quiet submission that succeeds has no completion",
        run: using((ring) => {
          ring.nop({ tag: 1, quiet: true });
          ring.nop({ tag: 2 });
          assert.equal(ring.pending, 2);
          assert.equal(ring.submit(), 2);
          assert.equal(ring.pending, 0);
          assert.deepEqual(
            ring.wait(0).map(({ tag }) => tag),
            [2],
          );
        }),
      },
      {
        name: "a file is made, written, synced, read, and closed",
        run: using((ring) => {
          inFolder((folder) => {
            const path = join(folder, "ünïcode.txt");
            ring.open(path, O_RDWR_CREAT, { tag: 1, mode: 0o600 });
            const fd = one(ring).check("open");
            const memory = ring.map(100);
            memory.bytes.set(bytesOf("hello, file"));
            ring.write(fd, memory.part(0, 11), { tag: 2, link: true });
            ring.fsync(fd, { tag: 3, link: true });
            ring.fsync(fd, { tag: 4, dataOnly: true });
            assert.deepEqual(results(ring, 2, 3, 4), [11, 0, 0]);
            const into = memory.part(50, 50);
            ring.read(fd, into, { position: 7, tag: 5 });
            assert.equal(one(ring).result, 4);
            assert.equal(text(into.bytes.subarray(0, 4)), "file");
            // At the position of the file, which is the end.
            ring.read(fd, into, { tag: 6 });
            assert.equal(one(ring).result, 0);
            ring.closeFd(fd, { tag: 7 });
            assert.equal(one(ring).result, 0);
            assert.equal(readFileSync(path, "utf8"), "hello, file");
          });
        }),
      },
      {
        name: "many paths in one call are kept apart",
        run: using((ring) => {
          inFolder((folder) => {
            const tags = [1, 2, 3, 4, 5];
            for (const tag of tags) {
              const path = join(folder, `${"x".repeat(tag * 40)}`);
              writeFileSync(path, `file ${tag}`);
              ring.open(path, 0, { tag });
            }
            const memory = ring.map(100);
            results(ring, ...tags).forEach((fd, i) => {
              ring.read(fd, memory, { position: 0, tag: 1, link: true });
              ring.closeFd(fd, { tag: 2, link: "hard" });
              ring.nop({ tag: 3 });
              // A short read cancels the operations linked to it.
              const [read, close] = results(ring, 1, 2, 3);
              assert.deepEqual([read, close], [6, -ERRNO.ECANCELED]);
              assert.equal(text(memory.bytes.subarray(0, 6)), `file ${i + 1}`);
              ring.closeFd(fd);
              assert.equal(one(ring).result, 0);
            });
          });
        }),
      },
      {
        name: "an operation that fails has the error as its result, and cancels operations linked to it",
        run: using((ring) => {
          const memory = ring.map(8);
          ring.open("/nowhere/at/all", 0, { tag: 1, link: true });
          ring.nop({ tag: 2 });
          assert.deepEqual(results(ring, 1, 2), [-ERRNO.ENOENT, -ERRNO.ECANCELED]);
          ring.read(closedFd(), memory, { tag: 3, link: "hard" });
          ring.nop({ tag: 4 });
          assert.deepEqual(results(ring, 3, 4), [-ERRNO.EBADF, 0]);
          ring.read(closedFd(), memory);
          assert.throws(() => one(ring).check("read"), {
            name: "SysError",
            code: "EBADF",
            syscall: "read",
          });
        }),
      },
      {
        name: "a timeout lasts for its whole time, can repeat, and can be removed",
        run: using((ring) => {
          const start = performance.now();
          ring.timeout(7.5, { tag: 1 });
          assert.equal(one(ring).result, -ERRNO.ETIME);
          assert.ok(performance.now() - start >= 7.5);
          ring.timeout(60_000, { tag: 2 });
          ring.removeTimeout(2, { tag: 3 });
          assert.deepEqual(results(ring, 2, 3), [-ERRNO.ECANCELED, 0]);
          ring.removeTimeout(2, { tag: 4 });
          assert.equal(one(ring).result, -ERRNO.ENOENT);
          ring.timeout(60_000, { tag: 5, count: 1 });
          ring.nop({ tag: 6 });
          assert.deepEqual(results(ring, 5, 6), [0, 0]);
        }),
      },
      {
        name: "a linked timeout cancels the operation that it limits",
        run: using((ring, opened) => {
          const { reader } = opened.pipe();
          ring.poll(reader, POLLIN, { tag: 1, link: true });
          ring.linkTimeout(2, { tag: 2 });
          assert.deepEqual(results(ring, 1, 2), [-ERRNO.ECANCELED, -ERRNO.ETIME]);
        }),
      },
      {
        name: "a wait ends at its timeout, and a signal does not end it",
        run: opening((opened) => {
          const faulty = interrupted(1000, 3);
          const ring = opened.own(new Ring({ entries: 8, kernel: faulty.kernel }));
          const start = performance.now();
          assert.deepEqual(ring.wait(1, 10.5), []);
          assert.ok(performance.now() - start >= 10.5);
          assert.ok(faulty.left() > 900);
        }),
      },
      {
        name: "a connection is made and accepted, transfers bytes in both directions, and ends",
        run: using((ring, opened) => {
          const listener = opened.own(new Socket(AF_INET, SOCK_STREAM));
          listener.bind({ address: "127.0.0.1", port: 0 });
          listener.listen();
          const client = opened.own(new Socket(AF_INET, SOCK_STREAM));
          ring.accept(listener, { tag: 1 });
          const at = listener.localAddress();
          assert.ok(at !== null);
          ring.connect(client, at, { tag: 2 });
          const [fd = -1, connected] = results(ring, 1, 2);
          assert.ok(fd >= 0);
          assert.equal(connected, 0);
          const memory = ring.map(4096);
          memory.bytes.set(bytesOf("hello"));
          ring.recv(fd, memory.part(1000, 100), { tag: 3 });
          ring.send(client, memory.part(0, 5), { tag: 4 });
          assert.deepEqual(results(ring, 3, 4), [5, 5]);
          assert.equal(text(memory.bytes.subarray(1000, 1005)), "hello");
          ring.recv(fd, memory.part(1000, 100), { tag: 5 });
          ring.shutdown(client, SHUT_WR, { tag: 6 });
          assert.deepEqual(results(ring, 5, 6), [0, 0]);
          ring.closeFd(fd, { tag: 7 });
          assert.equal(one(ring).result, 0);
        }),
      },
      {
        name: "a repeated accept completes for every connection, until it is cancelled",
        run: using((ring, opened) => {
          const listener = opened.own(new Socket(AF_INET, SOCK_STREAM));
          listener.bind({ address: "127.0.0.1", port: 0 });
          listener.listen();
          const at = listener.localAddress();
          assert.ok(at !== null);
          ring.accept(listener, { tag: 1, repeat: true });
          for (let i = 0; i < 3; i++) {
            const client = opened.own(new Socket(AF_INET, SOCK_STREAM));
            client.connect(at);
            const accepted = one(ring);
            assert.ok(accepted.more);
            kernel.libc.close(accepted.check("accept"));
          }
          ring.cancel(1, { tag: 2 });
          assert.deepEqual(results(ring, 1, 2), [-ERRNO.ECANCELED, 0]);
          ring.cancel(1, { tag: 3 });
          assert.equal(one(ring).result, -ERRNO.ENOENT);
        }),
      },
      {
        name: "a poll completes once, or repeatedly until it is removed",
        run: using((ring, opened) => {
          const [a, b] = opened.pair();
          ring.poll(a, POLLIN, { tag: 1 });
          assert.deepEqual(ring.wait(0), []);
          b.write();
          assert.equal(one(ring).result, POLLIN);
          a.drain();
          ring.poll(a, POLLIN, { tag: 2, repeat: true });
          for (let i = 0; i < 3; i++) {
            assert.deepEqual(ring.wait(0), []);
            b.write();
            const { tag, result, more } = one(ring);
            assert.deepEqual([tag, result, more], [2, POLLIN, true]);
            a.drain();
          }
          ring.removePoll(2, { tag: 3 });
          assert.deepEqual(results(ring, 2, 3), [-ERRNO.ECANCELED, 0]);
        }),
      },
      {
        name: "buffers are taken as bytes arrive, are exhausted, and return",
        run: using((ring, opened) => {
          const [a, b] = opened.pair();
          const buffers = ring.addBuffers({ group: 3, count: 2, bufferBytes: 64 });
          assert.ok(buffers instanceof BufferRing);
          assert.deepEqual([buffers.group, buffers.count, buffers.bufferBytes], [3, 2, 64]);
          assert.throws(() => ring.addBuffers({ group: 3 }), { code: "EEXIST" });
          ring.recvBuffers(a, buffers, { tag: 1 });
          assert.deepEqual(ring.wait(0), []);
          const { scratch } = kernel;
          let next = 0;
          const say = (length: number): void => {
            for (let i = 0; i < length; i++) scratch.u8[i] = next++ & 0xff;
            assert.equal(b.write(length), length);
          };
          let expected = 0;
          let exhausted = 0;
          for (const length of [10, 54, 1, 64, 128, 300, 5]) {
            say(length);
            let got = 0;
            const held: Disposable[] = [];
            while (got < length) {
              for (const completion of ring.wait(1, 5000)) {
                if (completion.hasBuffer) {
                  const received = buffers.take(completion);
                  held.push(received);
                  for (const byte of received.bytes) assert.equal(byte, expected++ & 0xff);
                  got += received.bytes.length;
                }
                if (completion.more) continue;
                if (!completion.hasBuffer) assert.equal(completion.result, -ERRNO.ENOBUFS);
                exhausted++;
                for (const each of held.splice(0)) {
                  each[Symbol.dispose]();
                  each[Symbol.dispose]();
                }
                ring.recvBuffers(a, buffers, { tag: 1 });
              }
            }
            for (const each of held) each[Symbol.dispose]();
          }
          assert.ok(exhausted > 0, "the buffers never ran out");
          b.close();
          const end = one(ring);
          assert.deepEqual([end.result, end.more, end.flags & IORING_CQE_F_BUFFER], [0, false, 0]);
          assert.throws(() => buffers.take(end), { code: "ERR_INVALID_DATA" });
        }),
      },
      {
        name: "closing a ring ends all operations: the port is free, the peer sees the end",
        run: opening((opened) => {
          const [a, b] = opened.pair();
          const ring = new Ring();
          const memory = ring.map(10);
          ring.recv(a, memory);
          ring.submit();
          ring.close();
          ring.close();
          ring[Symbol.dispose]();
          assert.equal(ring.fileno(), -1);
          a.close();
          assert.equal(b.read(1), 0);
          const closed = { name: "TypeError", code: "ERR_CLOSED" };
          assert.throws(() => ring.nop(), closed);
          assert.throws(() => ring.read(0, memory), closed);
          assert.throws(() => ring.open("x"), closed);
          assert.throws(() => ring.timeout(1), closed);
          assert.throws(() => ring.submit(), closed);
          assert.throws(() => ring.wait(), closed);
          assert.throws(() => ring.map(1), closed);
          assert.throws(() => ring.addBuffers(), closed);
        }),
      },
      {
        name: "a ring that finds no memory, at any step, releases all that it had",
        run() {
          const needed = assertGivesBack(kernel, (scarce) => {
            const ring = new Ring({ entries: 8, kernel: scarce });
            return () => ring.close();
          });
          assert.ok(needed > 0);
        },
      },
      {
        name: "misuse throws before anything is submitted",
        run: using((ring) => {
          const memory = ring.map(10);
          const length = { name: "RangeError", code: "ERR_INVALID_LENGTH" };
          const option = { name: "RangeError", code: "ERR_INVALID_OPTION" };
          for (const wrong of [0, -1, 1.5, Number.NaN, 2 ** 40]) {
            assert.throws(() => ring.map(wrong), length);
            assert.throws(() => new Ring({ entries: wrong }), length);
          }
          const text = { ...length, name: "TypeError" };
          assert.throws(() => ring.map("1" as never), text);
          assert.throws(() => new Ring({ entries: "1" as never }), text);
          for (const [offset, size] of [
            [0, 11],
            [-1, 1],
            [5, 6],
            [0, -1],
            [1.5, 1],
          ]) {
            assert.throws(() => memory.part(offset as number, size), length);
          }
          assert.throws(() => ring.nop({ tag: "1" as never }), { ...option, name: "TypeError" });
          for (const wrong of [-1, 1.5, 2 ** 53]) {
            assert.throws(() => ring.nop({ tag: wrong }), option);
            assert.throws(() => ring.cancel(wrong), option);
            assert.throws(() => ring.read(0, memory, { position: wrong }), option);
          }
          assert.throws(() => ring.nop({ link: "soft" as never }), { code: "ERR_INVALID_OPTION" });
          assert.throws(() => ring.shutdown(0, 3), option);
          assert.throws(() => ring.poll(0, -1), option);
          assert.throws(() => ring.read(-1, memory), { code: "ERR_INVALID_FD" });
          const data = { name: "TypeError", code: "ERR_INVALID_DATA" };
          assert.throws(() => ring.read(0, new Uint8Array(1) as never), data);
          for (const wrong of ["", "a\0b", 1 as never]) {
            assert.throws(() => ring.open(wrong), data);
          }
          for (const wrong of [-1, Number.NaN, "1" as never]) {
            assert.throws(() => ring.timeout(wrong), { code: "ERR_INVALID_TIMEOUT" });
          }
          for (const wrong of [-1, 65, 1.5]) assert.throws(() => ring.wait(wrong), length);
          for (const wrong of [0, 3, 65_536]) {
            assert.throws(() => ring.addBuffers({ count: wrong }), length);
          }
          assert.throws(() => ring.addBuffers({ bufferBytes: 100 }), length);
          assert.throws(() => ring.addBuffers({ group: -1 }), option);
          assert.equal(ring.pending, 0);
          assert.deepEqual(ring.wait(0), []);
        }),
      },
    ],
  };
}
