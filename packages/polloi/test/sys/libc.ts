import assert from "node:assert/strict";
import process from "node:process";
import { Worker } from "node:worker_threads";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import * as abi from "../../src/sys/abi.ts";
import { type Libc, SIGNATURES } from "../../src/sys/libc.ts";
import { kernel, openKernel } from "../../src/sys/open.ts";
import { countErrnoMistakes } from "./errno-mix.ts";
import { CALLS } from "./libc-calls.ts";
import { cString, memory, pipe, withFds } from "./memory.ts";

const { libc, arenas } = kernel;

/** Every call of {@link Libc}, its errors, and mapped memory. */
export function libcConformance(): Suite {
  const calls = Object.keys(SIGNATURES) as (keyof Libc)[];
  return {
    title: `libc on ${kernel.runtime} ${kernel.runtimeVersion}`,
    cases: [
      ...calls.map((name) => ({
        name: `${name}() returns its result, or -errno`,
        run: CALLS[name],
      })),
      ...PASSING,
      ...MEMORY,
    ],
  };
}

/** Arguments and errors. */
const PASSING: readonly Case[] = [
  {
    name: "a number is passed the same, as an integer or as a double of the JavaScript engine",
    run: () =>
      withFds((open) => {
        const [reader, writer] = pipe(open, abi.O_NONBLOCK | abi.O_CLOEXEC);
        // Whole numbers that an engine represents as doubles: elements of such an array, results of a division.
        const doubles = new Float64Array([reader, writer, memory.address + 8192, 3]);
        const [r, w, address, length] = [...doubles] as [number, number, number, number];
        for (let i = 0; i < 2000; i++) {
          assert.equal(libc.write(w, address, length), 3);
          assert.equal(libc.read(r, address / 2 + address / 2, (length * 10) / 5 / 2), 3);
        }
      }),
  },
  {
    name: "addresses above 4 GiB work, before and after the call is compiled",
    run: () =>
      withFds((open) => {
        const arena = arenas.map(4096);
        assert.ok(arena.address > 2 ** 32, `mapped at ${arena.address}`);
        const [reader, writer] = pipe(open, abi.O_NONBLOCK | abi.O_CLOEXEC);
        for (let i = 0; i < 20_000; i++) {
          arena.u32[0] = i;
          assert.equal(libc.write(writer, arena.address, 4), 4);
          assert.equal(libc.read(reader, arena.address + 8, 4), 4);
          assert.equal(arena.u32[2], i);
        }
        arenas.release(arena);
      }),
  },
  {
    name: "an address that is not mapped returns EFAULT and does not crash",
    run: () =>
      withFds((open) => {
        const [, writer] = pipe(open, abi.O_NONBLOCK | abi.O_CLOEXEC);
        assert.equal(libc.write(writer, 16, 4), -ERRNO.EFAULT);
        assert.equal(libc.write(writer, 2 ** 47 - 8192, 4), -ERRNO.EFAULT);
        assert.equal(libc.open(0, 0, 0), -ERRNO.EFAULT);
      }),
  },
  {
    name: "errno is that of the last call, in 200,000 calls with garbage collections between them",
    run: async () => {
      assert.deepEqual(await countErrnoMistakes(kernel, 200_000), {});
    },
  },
  {
    name: "a worker opens its own kernel, and neither thread sees the errno of the other",
    run: async () => {
      const url = new URL("./errno-mix-worker.js", import.meta.url);
      const worker = new Worker(url, { workerData: 100_000 });
      const report = new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      const here = await countErrnoMistakes(kernel, 100_000);
      assert.deepEqual({ here, there: await report }, { here: {}, there: {} });
      await worker.terminate();
    },
  },
  {
    name: "the kernel names its runtime",
    run: () => {
      const { versions } = process;
      const expected = versions.bun ? "bun" : versions.deno ? "deno" : "node";
      assert.equal(kernel.runtime, expected);
      assert.equal(kernel.runtimeVersion, versions[expected]);
    },
  },
];

/** Arenas and their pool. */
const MEMORY: readonly Case[] = [
  {
    name: "an arena consists of whole pages of zeros, which the kernel and all views share",
    run: () =>
      withFds((open) => {
        const arena = arenas.map(5000);
        assert.equal(arena.byteLength, 8192);
        assert.equal(arena.address % abi.PAGE_SIZE, 0);
        assert.ok(arena.u8.every((byte) => byte === 0));
        const zeros = open(libc.open(cString("/proc/self/stat", 0), abi.O_CLOEXEC, 0));
        const length = libc.read(zeros, arena.address + 4096, 64);
        assert.equal(length, 64);
        assert.equal(arena.u8[4096], arena.view.getUint8(4096));
        assert.equal(arena.i32[1024], arena.view.getInt32(4096, true));
        assert.notEqual(arena.u32[1024], 0);
        arenas.release(arena);
      }),
  },
  {
    name: "a thread that ends can unmap all of its arenas, once",
    run() {
      // Another kernel, as another thread would open it.
      const ending = openKernel();
      const { syscall } = ending.libc;
      const unmapped: number[][] = [];
      ending.libc.syscall = (number, address, length, ...rest) => {
        assert.equal(number, abi.SYS.munmap);
        unmapped.push([address, length, syscall(number, address, length, ...rest)]);
        return 0;
      };
      const released = ending.arenas.map(5000);
      ending.arenas.release(released);
      ending.arenas.unmap();
      ending.arenas.unmap();
      assert.deepEqual(unmapped, [
        [ending.scratch.address, 65_536, 0],
        [released.address, 8192, 0],
      ]);
    },
  },
  {
    name: "a released arena is reused for the same size, filled with zeros",
    run: () => {
      const first = arenas.map(3 * abi.PAGE_SIZE);
      first.u8.fill(0xaa);
      arenas.release(first);
      const again = arenas.map(2 * abi.PAGE_SIZE + 1);
      assert.equal(again, first);
      assert.ok(again.u8.every((byte) => byte === 0));
      assert.notEqual(arenas.map(3 * abi.PAGE_SIZE).address, again.address);
      arenas.release(again);
    },
  },
  {
    name: "two arenas never overlap",
    run: () => {
      const mapped = Array.from({ length: 20 }, () => arenas.map(abi.PAGE_SIZE * 2));
      mapped.forEach((arena, i) => {
        arena.u32.fill(i);
      });
      assert.ok(mapped.every((arena, i) => arena.u32.every((word) => word === i)));
      for (const arena of mapped) arenas.release(arena);
    },
  },
  {
    name: "mapping without enough memory throws SysError ENOMEM",
    run: () => {
      assert.throws(
        () => arenas.map(2 ** 50),
        (error) => error instanceof SysError && error.code === "ENOMEM" && error.syscall === "mmap",
      );
    },
  },
  {
    name: "a word is read as it was written, up to 2 ** 53 - 1",
    run: () => {
      for (const value of [0, 1, 0xffff_ffff, 2 ** 32, 2 ** 47 + 12_345, Number.MAX_SAFE_INTEGER]) {
        memory.setWord(16, value);
        assert.equal(memory.getWord(16), value);
        assert.equal(memory.view.getBigUint64(16, true), BigInt(value));
      }
    },
  },
  {
    name: "a timespec keeps fractions of milliseconds, and is never shorter",
    run: () => {
      const expected: readonly (readonly [number, number, number])[] = [
        [0, 0, 0],
        [0.000_001, 0, 1],
        [0.000_000_1, 0, 1],
        [1, 0, 1_000_000],
        [999.999_999, 0, 999_999_999],
        [999.999_999_9, 0, 999_999_999],
        [1000, 1, 0],
        [2500.25, 2, 500_250_000],
        [0x7fff_ffff, 2_147_483, 647_000_000],
      ];
      for (const [ms, seconds, nanoseconds] of expected) {
        memory.setTimespec(32, ms);
        assert.deepEqual(
          [memory.getWord(32), memory.getWord(40)],
          [seconds, nanoseconds],
          `${ms} ms`,
        );
      }
    },
  },
  {
    name: "the scratch is 64 KiB",
    run: () => {
      assert.equal(kernel.scratch.byteLength, 65_536);
    },
  },
];
