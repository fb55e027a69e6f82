import { check } from "../base/sys-error.ts";
import { SYS } from "./abi.ts";
import type { Kernel } from "./kernel.ts";

/**
 * Returns random bytes.
 *
 * @param length - From 1 to 256: the kernel never returns fewer bytes than these.
 * @source getrandom(2)
 */
export function randomBytes({ libc, scratch }: Kernel, length: number): Uint8Array {
  check(libc.syscall(SYS.getrandom, scratch.address, length, 0, 0, 0, 0), "getrandom");
  return scratch.u8.slice(0, length);
}
