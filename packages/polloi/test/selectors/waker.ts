import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import type { Suite } from "../../../../test/support/suite.ts";
import { check } from "../../src/base/sys-error.ts";
import { DefaultSelector, EVENT_READ, Waker } from "../../src/selectors/index.ts";
import { F_GETFD, FD_CLOEXEC } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

/** The cases of {@link Waker}. `threads` is the reason why there are no other threads, if there are none. */
export function wakerConformance(threads?: string): Suite {
  return {
    title: `Waker on ${kernel.runtime}`,
    cases: [
      {
        name: "is readable from the first wake until it is drained, which counts the wakes",
        run: () => {
          using waker = new Waker();
          using selector = new DefaultSelector();
          const key = selector.register(waker, EVENT_READ);
          assert.deepEqual(selector.select(0), []);
          assert.equal(waker.drain(), 0);
          waker.wake();
          waker.wake();
          assert.deepEqual(selector.select(), [[key, EVENT_READ]]);
          assert.equal(waker.drain(), 2);
          assert.deepEqual(selector.select(0), []);
        },
      },

      {
        name: "wake of a waker with a full counter does nothing",
        run: () => {
          using waker = new Waker();
          // The highest value that an eventfd holds: 2 ** 64 - 2.
          const { libc, scratch } = kernel;
          scratch.u32[0] = 0xffff_fffe;
          scratch.u32[1] = 0xffff_ffff;
          check(libc.write(waker.fileno(), scratch.address, 8), "write");
          waker.wake();
          assert.ok(waker.drain() > 0);
          assert.equal(waker.drain(), 0);
        },
      },

      {
        name: "fromFd wakes the same waker, and is closed independently",
        run: () => {
          const waker = new Waker();
          const other = Waker.fromFd(waker.fileno());
          assert.notEqual(other.fileno(), waker.fileno());
          other.wake();
          assert.equal(waker.drain(), 1);
          waker.close();
          other.wake();
          assert.equal(other.drain(), 1);
          other.close();
          assert.throws(() => Waker.fromFd(-1), { code: "ERR_INVALID_FD" });
        },
      },

      {
        name: "is not inherited, and throws once closed",
        run: () => {
          const waker = new Waker();
          const fd = waker.fileno();
          assert.equal(kernel.libc.fcntl(fd, F_GETFD, 0) & FD_CLOEXEC, FD_CLOEXEC);
          waker.close();
          waker.close();
          assert.equal(waker.fileno(), -1);
          assert.ok(kernel.libc.fcntl(fd, F_GETFD, 0) < 0);
          assert.throws(() => waker.wake(), { name: "TypeError", code: "ERR_CLOSED" });
          assert.throws(() => waker.drain(), { name: "TypeError", code: "ERR_CLOSED" });
          assert.throws(() => Waker.fromFd(fd), { name: "SysError", code: "EBADF" });
        },
      },

      {
        name: "ends a wait without a timeout from another thread",
        skip: threads,
        run: async () => {
          using waker = new Waker();
          using selector = new DefaultSelector();
          selector.register(waker, EVENT_READ);
          const { href } = new URL("../../src/selectors/index.js", import.meta.url);
          // It reports that it runs before it wakes, because a thread that blocks cannot start another.
          const worker = new Worker(
            `const { parentPort, workerData } = require("node:worker_threads");
       import(workerData.href).then(({ Waker }) => {
         const waker = Waker.fromFd(workerData.fd);
         parentPort.once("message", () => {
           Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
           waker.wake();
           waker.close();
         });
         parentPort.postMessage("ready");
       });`,
            { eval: true, workerData: { href, fd: waker.fileno() } },
          );
          const ended = new Promise((resolve) => worker.once("exit", resolve));
          await new Promise((resolve, reject) => {
            worker.once("message", resolve);
            worker.once("error", reject);
          });
          worker.postMessage("go");
          // Blocks this thread.
          assert.equal(selector.select().length, 1);
          assert.equal(waker.drain(), 1);
          await ended;
        },
      },
    ],
  };
}
