import assert from "node:assert/strict";
import { assertNoneLeft, openFiles } from "../../../../test/support/descriptors.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import type { Arena } from "../../src/sys/arena.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";

/**
 * Makes something again and again, with memory for one more arena each time, until there is enough. Each attempt
 * must give back every arena and descriptor, whether it fails or is closed.
 *
 * @param make - Returns a function that closes what it made.
 * @returns The number of arenas that it needs.
 */
export function assertGivesBack(from: Kernel, make: (scarce: Kernel) => () => void): number {
  for (let count = 0; ; count++) {
    const held = new Set<Arena>();
    let left = count;
    const scarce = proxyKernel(from, {
      mapping: () => {
        if (left-- === 0) throw new SysError("mmap", -ERRNO.ENOMEM);
      },
      mapped: (arena) => held.add(arena),
      released: (arena) => {
        assert.ok(held.delete(arena), "an arena is released twice, or was not mapped here");
      },
    });
    const before = openFiles();
    let made = false;
    try {
      const close = make(scarce);
      made = true;
      close();
    } catch (error) {
      assert.ok(error instanceof SysError && error.errno === -ERRNO.ENOMEM, String(error));
    }
    assert.equal(held.size, 0, `with memory for ${count}, arenas are left`);
    assertNoneLeft(before, `with memory for ${count}`);
    if (made) return count;
  }
}
