import assert from "node:assert/strict";
import { opening } from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import { kernel } from "../../src/sys/open.ts";
import { IORING_CQE_BUFFER_SHIFT, IORING_OP, IOSQE_IO_LINK } from "../../src/uring/constants.ts";
import { ProvidedBuffers } from "../../src/uring/provided-buffers.ts";
import { RawRing } from "../../src/uring/raw-ring.ts";
import { RingReader } from "../../src/uring/ring-reader.ts";

/** The results of all completions that have come, each with the low half of its tag. */
function resultsOf({ completions }: RawRing): [tag: number, result: number][] {
  const found: [number, number][] = [];
  for (; completions.length > 0; completions.skip()) {
    const at = completions.next();
    found.push([completions.tagLow(at), completions.result(at)]);
  }
  completions.publish();
  return found;
}

/** Pushes a read of `fd` into memory of the kernel. */
function pushRead(ring: RawRing, fd: number, tag: number, flags = 0): void {
  const operation = IORING_OP.READ | (flags << 8);
  ring.submissions.push(operation, fd, 0, kernel.scratch.address, 8, 0, tag, 5);
}

/** Reading and changing what goes through the rings of a kernel. */
export function ringReaderSuite(): Suite {
  return {
    title: "RingReader",
    cases: [
      {
        name: "each submission and each completion is read once, as often as the queues wrap",
        run: () => {
          const submitted: [tag: string, operation: number, fd: number, length: number][] = [];
          const completed: [tag: string, result: number][] = [];
          const { kernel: read } = new RingReader(kernel, {
            submitting: ({ tag, operation, fd, length }) => {
              submitted.push([tag, operation, fd, length]);
              return undefined;
            },
            completed: ({ tag, result }) => completed.push([tag, result]),
          });
          using ring = new RawRing({ entries: 4, completionEntries: 8, kernel: read });
          for (let tag = 1; tag <= 19; tag++) {
            if (tag % 2 === 0) ring.submissions.push(IORING_OP.NOP, 0, 0, 0, 0, 0, tag, 5);
            else pushRead(ring, 999, tag);
            if (tag % 3 === 0) {
              ring.enter(3, 1000);
              resultsOf(ring);
            }
          }
          ring.enter(1, 1000);
          const tags = Array.from({ length: 19 }, (_, i) => i + 1);
          assert.deepEqual(
            submitted,
            tags.map((tag) =>
              tag % 2 === 0
                ? [`5:${tag}`, IORING_OP.NOP, 0, 0]
                : [`5:${tag}`, IORING_OP.READ, 999, 8],
            ),
          );
          assert.deepEqual(
            completed,
            tags.map((tag) => [`5:${tag}`, tag % 2 === 0 ? 0 : -ERRNO.EBADF]),
          );
        },
      },
      {
        name: "an operation that a hook refuses does not begin, and completes with its errno",
        run: () => {
          let refusing = true;
          const seen: number[] = [];
          const { kernel: faulty } = new RingReader(kernel, {
            submitting: ({ operation }) =>
              refusing && operation === IORING_OP.READ ? -ERRNO.ENOBUFS : undefined,
            completed: ({ result }) => seen.push(result),
          });
          const fd = kernel.libc.eventfd(1, 0);
          try {
            using ring = new RawRing({ entries: 8, kernel: faulty });
            pushRead(ring, fd, 1);
            pushRead(ring, fd, 1);
            ring.enter(2, 1000);
            assert.deepEqual(resultsOf(ring), [
              [1, -ERRNO.ENOBUFS],
              [1, -ERRNO.ENOBUFS],
            ]);
            refusing = false;
            pushRead(ring, fd, 1);
            ring.enter(1, 1000);
            assert.deepEqual(resultsOf(ring), [[1, 8]]);
            assert.deepEqual(seen, [-ERRNO.ENOBUFS, -ERRNO.ENOBUFS, 8]);
          } finally {
            kernel.libc.close(fd);
          }
        },
      },
      {
        name: "the kernel reads the values that a hook writes, and the program reads a replaced result",
        run: () => {
          const { kernel: changing } = new RingReader(kernel, {
            submitting: (entry) => {
              entry.flags &= ~IOSQE_IO_LINK;
              if (entry.length === 8) entry.length = 7;
              return undefined;
            },
            completed: (entry) => {
              if (entry.result === -ERRNO.EINVAL) entry.result = 77;
            },
          });
          const fd = kernel.libc.eventfd(1, 0);
          try {
            using ring = new RawRing({ entries: 8, kernel: changing });
            // An eventfd refuses a read of fewer than 8 bytes. The next does not begin if it is linked behind it.
            pushRead(ring, fd, 1, IOSQE_IO_LINK);
            ring.submissions.push(IORING_OP.NOP, 0, 0, 0, 0, 0, 2, 0);
            ring.enter(2, 1000);
            assert.deepEqual(resultsOf(ring).sort(), [
              [1, 77],
              [2, 0],
            ]);
          } finally {
            kernel.libc.close(fd);
          }
        },
      },
      {
        name: "without hooks, the caller reads both queues, of each ring by itself",
        run: () => {
          const reader = new RingReader(kernel);
          using first = new RawRing({ entries: 8, kernel: reader.kernel });
          using second = new RawRing({ entries: 8, kernel: reader.kernel });
          for (const [tag, ring] of [first, second, first].entries()) {
            ring.submissions.push(IORING_OP.NOP, 0, 0, 0, 0, 0, tag, 0);
            ring.submissions.publish();
          }
          const submitted = (ring: RawRing) =>
            reader.submissions(ring.fileno()).map(({ tag }) => tag);
          assert.deepEqual([submitted(first), submitted(second)], [["0:0", "0:2"], ["0:1"]]);
          assert.deepEqual(submitted(first), []);
          first.enter(2, 1000);
          const completed = (ring: RawRing) =>
            reader.completions(ring.fileno()).map(({ tag }) => tag);
          assert.deepEqual([completed(first), completed(second)], [["0:0", "0:2"], []]);
          assert.deepEqual(completed(first), []);
        },
      },
      {
        name: "received bytes are found in provided buffers, also when receives share a buffer",
        run: opening((opened) => {
          const reader = new RingReader(kernel);
          using ring = new RawRing({ entries: 8, kernel: reader.kernel });
          const options = { group: 3, bufferBytes: 4096, maxBuffers: 2, firstBuffers: 2 };
          const buffers = ProvidedBuffers.register(ring, reader.kernel, options);
          assert.ok(typeof buffers !== "number", `${buffers}`);
          const [mine, theirs] = opened.pair();
          for (let i = 0; i < 30; i++) {
            theirs.write(512);
            ring.submissions.receive(mine.fileno(), 3, i, 0);
            ring.enter(1, 1000);
            const [completion, ...others] = reader.completions(ring.fileno());
            assert.ok(completion !== undefined && others.length === 0);
            const { flags, result } = completion;
            const number = flags >>> IORING_CQE_BUFFER_SHIFT;
            const address = reader.receivedAt(ring.fileno(), { group: 3, number }, result);
            const offset = buffers.take(flags, result);
            assert.deepEqual([result, address], [512, buffers.memory.address + offset]);
            resultsOf(ring);
            buffers.drop(buffers.numberAt(offset));
            buffers.publish();
            if (i >= 15) buffers.rewind();
          }
          assert.equal(reader.receivedAt(ring.fileno(), { group: 4, number: 0 }, 1), undefined);
          buffers.close();
          assert.equal(reader.receivedAt(ring.fileno(), { group: 3, number: 0 }, 1), undefined);
        }),
      },
      {
        name: "a ring that takes the descriptor of a closed one is read from its beginning",
        run: () => {
          let completed = 0;
          const { kernel: read } = new RingReader(kernel, { completed: () => completed++ });
          const fds = new Set<number>();
          for (let i = 1; i <= 3; i++) {
            using ring = new RawRing({ entries: 8, kernel: read });
            fds.add(ring.fileno());
            for (let tag = 0; tag < i; tag++)
              ring.submissions.push(IORING_OP.NOP, 0, 0, 0, 0, 0, tag, 0);
            ring.enter(i, 1000);
            assert.equal(resultsOf(ring).length, i);
          }
          assert.equal(completed, 6);
          assert.equal(fds.size, 1);
        },
      },
      {
        name: "a ring that cannot be made leaves nothing behind in its reader",
        run: () => {
          let scarce = true;
          const refusing = proxyKernel(kernel, {
            mapping: () => {
              if (scarce) throw new SysError("mmap", -ERRNO.ENOMEM);
            },
          });
          const reader = new RingReader(refusing);
          assert.throws(() => new RawRing({ entries: 8, kernel: reader.kernel }), {
            code: "ENOMEM",
          });
          scarce = false;
          using ring = new RawRing({ entries: 8, kernel: reader.kernel });
          ring.submissions.push(IORING_OP.NOP, 0, 0, 0, 0, 0, 1, 0);
          ring.enter(1, 1000);
          assert.equal(reader.completions(ring.fileno()).length, 1);
        },
      },
    ],
  };
}
