import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import { EFD_NONBLOCK, PAGE_SIZE } from "../../src/sys/abi.ts";
import { type Arena, MemoryMap } from "../../src/sys/arena.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { hookCalls, proxyKernel, replaceCalls } from "../../src/sys/kernel-proxy.ts";
import { type Libc, SIGNATURES } from "../../src/sys/libc.ts";
import { kernel, openKernel } from "../../src/sys/open.ts";
import { memory, withFds } from "./memory.ts";

const { libc, arenas } = kernel;

const CALLS: readonly Case[] = [
  {
    name: "calls without a hook, and all else of a proxy, are the kernel's own",
    run: () => {
      const proxy = proxyKernel(kernel, { calls: () => ({ getpgrp: () => 7 }) });
      assert.equal(proxy.libc.getpgrp(), 7);
      for (const name of Object.keys(SIGNATURES) as (keyof Libc)[]) {
        if (name !== "getpgrp") assert.equal(proxy.libc[name], libc[name], name);
      }
      const { libc: _, ...rest } = proxy;
      const { libc: __, ...own } = kernel;
      assert.deepEqual(rest, own);
      assert.notEqual(libc.getpgrp(), 7);
    },
  },
  {
    name: "a replacement can call the kernel with other arguments, and change the result",
    run: () =>
      withFds((open) => {
        const fd = open(libc.eventfd(1, EFD_NONBLOCK));
        const proxy = proxyKernel(kernel, {
          calls: ({ read }) => ({ read: (at, address) => 10 * read(at, address, 8) }),
        });
        assert.equal(proxy.libc.read(fd, memory.address, 0), 80);
      }),
  },
  {
    name: "one hook for every call sees arguments and results, and can answer without the kernel",
    run: () =>
      withFds((open) => {
        const seen: string[] = [];
        const { libc: hooked } = proxyKernel(kernel, {
          calls: (calls) =>
            hookCalls(calls, (name, args, call) => {
              const result = name === "listen" ? -ERRNO.EADDRINUSE : call(...args);
              seen.push(`${name}(${args.join(" ")}) ${result}`);
              return result;
            }),
        });
        assert.deepEqual(Object.keys(hooked), Object.keys(SIGNATURES));
        const fd = open(hooked.eventfd(3, EFD_NONBLOCK));
        assert.equal(hooked.read(fd, memory.address, 8), 8);
        assert.equal(hooked.read(fd, memory.address, 8), -ERRNO.EAGAIN);
        assert.equal(hooked.listen(fd, 1), -ERRNO.EADDRINUSE);
        assert.deepEqual(seen, [
          `eventfd(3 ${EFD_NONBLOCK}) ${fd}`,
          `read(${fd} ${memory.address} 8) 8`,
          `read(${fd} ${memory.address} 8) ${-ERRNO.EAGAIN}`,
          `listen(${fd} 1) ${-ERRNO.EADDRINUSE}`,
        ]);
      }),
  },
  {
    name: "a call through a proxy of a proxy runs both hooks, the outer one first",
    run: () => {
      const order: string[] = [];
      const around = (from: Kernel, name: string): Kernel =>
        proxyKernel(from, {
          calls: ({ getpgrp }) => ({
            getpgrp: () => {
              order.push(name);
              return getpgrp();
            },
          }),
        });
      assert.equal(around(around(kernel, "inner"), "outer").libc.getpgrp(), libc.getpgrp());
      assert.deepEqual(order, ["outer", "inner"]);
    },
  },
  {
    name: "a call replaced in place is replaced for all code that uses the kernel",
    run: () => {
      const own = openKernel();
      const before = own.libc;
      const mapped: number[] = [];
      replaceCalls(own.libc, ({ mmap }) => ({
        mmap: (...args) => {
          const address = mmap(...args);
          mapped.push(address);
          return address;
        },
      }));
      assert.equal(own.libc, before);
      const arena = own.arenas.map(PAGE_SIZE);
      assert.deepEqual(mapped, [arena.address]);
      own.arenas.unmap();
    },
  },
];

const MEMORY: readonly Case[] = [
  {
    name: "a hook sees each mapping and each release, also of an arena that is reused",
    run: () => {
      const seen: [what: string, arena: Arena, file?: unknown][] = [];
      const proxy = proxyKernel(kernel, {
        mapped: (arena, file) => seen.push(["mapped", arena, file]),
        released: (arena) => seen.push(["released", arena]),
      });
      const first = proxy.arenas.map(5 * PAGE_SIZE);
      proxy.arenas.release(first);
      const again = proxy.arenas.map(5 * PAGE_SIZE);
      assert.equal(again, first);
      proxy.arenas.release(again);
      assert.equal(arenas.map(5 * PAGE_SIZE), first);
      arenas.release(first);
      assert.deepEqual(
        seen.map(([what, arena]) => [what, arena === first]),
        [
          ["mapped", true],
          ["released", true],
          ["mapped", true],
          ["released", true],
        ],
      );
    },
  },
  {
    name: "a file mapping that fails is not reported as mapped",
    run: () =>
      withFds((open) => {
        const path = new TextEncoder().encode(`${process.execPath}\0`);
        memory.u8.set(path);
        const fd = open(libc.open(memory.address, 0, 0));
        const files: unknown[] = [];
        const proxy = proxyKernel(kernel, {
          // A shared mapping of a file that is open for reading only cannot be written.
          mapping: () => files.push("mapping"),
          mapped: (_, file) => files.push(file),
        });
        assert.throws(() => proxy.arenas.mapFile(fd, PAGE_SIZE, PAGE_SIZE), { code: "EACCES" });
        assert.deepEqual(files, ["mapping"]);
      }),
  },
  {
    name: "a hook can refuse a mapping before any call",
    run: () => {
      const refused = new SysError("mmap", -ERRNO.ENOMEM);
      const mapped: Arena[] = [];
      const proxy = proxyKernel(kernel, {
        mapping: (byteLength) => {
          if (byteLength > PAGE_SIZE) throw refused;
        },
        mapped: (arena) => mapped.push(arena),
      });
      assert.throws(
        () => proxy.arenas.map(PAGE_SIZE + 1),
        (error) => error === refused,
      );
      assert.deepEqual(mapped, []);
      const arena = proxy.arenas.map(PAGE_SIZE);
      assert.deepEqual(mapped, [arena]);
      proxy.arenas.release(arena);
    },
  },
  {
    name: "a memory map finds an address in its arena only",
    run: () => {
      const map = new MemoryMap();
      const added = [7, 1, 3, 2].map((count) => arenas.map(count * PAGE_SIZE));
      const missing = arenas.map(4 * PAGE_SIZE);
      for (const arena of [...added, ...added]) map.add(arena);
      for (const arena of added) {
        for (const offset of [0, 1, arena.byteLength - 1]) {
          assert.deepEqual(map.find(arena.address + offset), { arena, offset });
        }
      }
      for (const offset of [0, missing.byteLength - 1]) {
        assert.equal(map.find(missing.address + offset), undefined);
      }
      assert.equal(map.find(0), undefined);
      for (const arena of [...added, missing]) arenas.release(arena);
    },
  },
];

const WATCH: readonly Case[] = [
  {
    name: "a hook can wrap the callback of a watch",
    run: async () => {
      const fd = libc.eventfd(1, EFD_NONBLOCK);
      try {
        const seen: string[] = [];
        const proxy = proxyKernel(kernel, {
          watch: (watch) => (at, onReadable) =>
            watch(at, () => {
              seen.push("before");
              const found = onReadable();
              seen.push("after");
              return found;
            }),
        });
        await new Promise<void>((resolve) => {
          const watch = proxy.watch(fd, () => {
            seen.push("readable");
            watch.stop();
            resolve();
            return true;
          });
        });
        assert.deepEqual(seen, ["before", "readable", "after"]);
      } finally {
        libc.close(fd);
      }
    },
  },
];

/** {@link proxyKernel} on the real kernel. */
export function kernelProxyConformance(): Suite {
  return { title: "proxyKernel", cases: [...CALLS, ...MEMORY, ...WATCH] };
}
