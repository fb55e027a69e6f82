import { openBun } from "./bun.ts";
import { openDeno } from "./deno.ts";
import { type Kernel, UnsupportedError } from "./kernel.ts";
import { openNode } from "./node.ts";

/**
 * Opens the kernel through the FFI of whichever runtime this is.
 *
 * @throws UnsupportedError with one line that says what is missing and what to do about it.
 */
export function openKernel(): Kernel {
  const { arch, platform } = process;
  if (platform !== "linux") {
    throw new UnsupportedError(
      `polloi needs Linux: select, poll, epoll and their kin are called directly, and this is ${platform}`,
    );
  }
  if (arch !== "x64" && arch !== "arm64") {
    throw new UnsupportedError(`polloi knows the ABI of x64 and arm64, and this is ${arch}`);
  }
  if ("Bun" in globalThis) return openBun();
  if ("Deno" in globalThis) return openDeno();
  return openNode();
}

/**
 * The kernel of this thread: what every public function uses unless it is given another.
 *
 * @remarks
 * Opened when the first module that needs it is imported, so that what cannot work says so at once.
 */
export const kernel: Kernel = openKernel();
