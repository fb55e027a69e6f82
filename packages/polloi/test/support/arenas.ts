import assert from "node:assert/strict";
import { descriptors } from "../../../../test/support/descriptors.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import { type Arena, ArenaPool } from "../../src/sys/arena.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { kernel } from "../../src/sys/open.ts";

const { libc, arenas } = kernel;

/** Another pool's arenas, by default this thread's, for those who want to know of them. */
export class BorrowedArenas extends ArenaPool {
  readonly #lender: ArenaPool;

  constructor(lender: ArenaPool = arenas) {
    super(libc, () => {
      throw new Error("maps nothing itself");
    });
    this.#lender = lender;
  }

  override map(byteLength: number): Arena {
    return this.#lender.map(byteLength);
  }

  override mapFile(fd: number, offset: number, byteLength: number): Arena {
    return this.#lender.mapFile(fd, offset, byteLength);
  }

  override release(arena: Arena): void {
    this.#lender.release(arena);
  }
}

/** So many arenas, and then there is no more memory. */
class ScarceArenas extends BorrowedArenas {
  readonly held: Set<Arena> = new Set();
  #left: number;

  constructor(count: number) {
    super();
    this.#left = count;
  }

  override map(byteLength: number): Arena {
    return this.#hold(() => super.map(byteLength));
  }

  override mapFile(fd: number, offset: number, byteLength: number): Arena {
    return this.#hold(() => super.mapFile(fd, offset, byteLength));
  }

  override release(arena: Arena): void {
    assert.ok(this.held.delete(arena), "an arena is released twice, or is not from here");
    super.release(arena);
  }

  #hold(map: () => Arena): Arena {
    if (this.#left-- === 0) throw new SysError("mmap", -ERRNO.ENOMEM);
    const arena = map();
    this.held.add(arena);
    return arena;
  }
}

/**
 * Makes something again and again, with memory for one arena more each time, until there is enough. What
 * fails, and what is closed, is to give back every arena and descriptor.
 *
 * @param make - Returns what closes it.
 * @returns How many arenas it needs.
 */
export function assertGivesBack(from: Kernel, make: (scarce: Kernel) => () => void): number {
  for (let count = 0; ; count++) {
    const scarce = new ScarceArenas(count);
    const before = descriptors();
    let made = false;
    try {
      const close = make({ ...from, arenas: scarce });
      made = true;
      close();
    } catch (error) {
      assert.ok(error instanceof SysError && error.errno === -ERRNO.ENOMEM, String(error));
    }
    assert.equal(scarce.held.size, 0, `with memory for ${count}, arenas are left`);
    assert.equal(descriptors(), before, `with memory for ${count}, descriptors are left`);
    if (made) return count;
  }
}
