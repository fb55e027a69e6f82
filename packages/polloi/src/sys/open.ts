import { optionsOf } from "../base/argument.ts";
import { show, typeError } from "../base/misuse.ts";
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

/**
 * The kernel that `options` name, or that of this thread.
 *
 * @throws TypeError `ERR_INVALID_OPTION` when `options` are no object, or name what is no kernel.
 */
export function kernelOf(options: { readonly kernel?: Kernel | undefined }): Kernel {
  const { kernel: given = kernel } = optionsOf(options);
  return checkKernel(given);
}

/** `given` when it can be a kernel. @throws TypeError `ERR_INVALID_OPTION` */
export function checkKernel(given: Kernel): Kernel {
  if (typeof given === "object" && given !== null && typeof given.libc === "object") return given;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(given)} as a kernel: give one that polloi has opened, or leave it out`,
  );
}
