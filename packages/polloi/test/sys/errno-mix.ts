import { ERRNO } from "../../src/base/errno.ts";
import { MAP_ANONYMOUS, MAP_PRIVATE, O_CLOEXEC, PROT_READ } from "../../src/sys/abi.ts";
import type { Kernel } from "../../src/sys/kernel.ts";

/**
 * Makes failing calls of many kinds and allocates garbage between them, and counts the wrong results.
 *
 * This finds a runtime that makes a failing call of its own before errno is read, as a garbage collector that unmaps
 * memory might.
 */
export async function countErrnoMistakes(
  { libc, arenas }: Kernel,
  calls: number,
): Promise<Record<string, number>> {
  const arena = arenas.map(4096);
  const { address } = arena;
  arena.u8.set(new TextEncoder().encode("/dev/null\0/no/such/file\0"));
  const device = libc.open(address, O_CLOEXEC, 0);
  const own = MAP_PRIVATE | MAP_ANONYMOUS;
  const failing: readonly (readonly [string, number, () => number])[] = [
    ["recv", ERRNO.EBADF, () => libc.recv(-1, address, 64, 0)],
    ["recv", ERRNO.ENOTSOCK, () => libc.recv(device, address, 64, 0)],
    ["epoll_create1", ERRNO.EINVAL, () => libc.epoll_create1(-1)],
    ["socket", ERRNO.EAFNOSUPPORT, () => libc.socket(9999, 1, 0)],
    ["open", ERRNO.ENOENT, () => libc.open(address + 10, O_CLOEXEC, 0)],
    ["open", ERRNO.EFAULT, () => libc.open(8, O_CLOEXEC, 0)],
    ["ioctl", ERRNO.ENOTTY, () => libc.ioctl(device, 0x541b, address)],
    ["mmap", ERRNO.EINVAL, () => libc.mmap(0, 0, PROT_READ, own, -1, 0)],
    ["mmap", ERRNO.ENOMEM, () => libc.mmap(0, 2 ** 50, PROT_READ, own, -1, 0)],
    ["mmap", ERRNO.EBADF, () => libc.mmap(0, 4096, PROT_READ, MAP_PRIVATE, -1, 0)],
    ["syscall", ERRNO.ENOSYS, () => libc.syscall(100_000, 0, 0, 0, 0, 0, 0)],
  ];
  const mistakes: Record<string, number> = {};
  let garbage: unknown[] = [];
  for (let i = 0; i < calls; i++) {
    const [name, errno, call] = failing[i % failing.length] as (typeof failing)[number];
    const result = call();
    if (result !== -errno) {
      const what = `${name} gave ${result} for -${errno}`;
      mistakes[what] = (mistakes[what] ?? 0) + 1;
    }
    garbage.push({ text: `garbage ${i}`, bytes: i % 50 === 0 ? new Uint8Array(4096) : undefined });
    if (garbage.length === 10_000) {
      garbage = [];
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  libc.close(device);
  arenas.release(arena);
  return mistakes;
}
