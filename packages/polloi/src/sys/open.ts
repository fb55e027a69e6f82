import { type NamesOf, optionsOf } from "../base/argument.ts";
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

/** Options of which a kernel is one. */
interface WithKernel {
  readonly kernel?: Kernel | undefined;
}

/** The names of the options of a function that takes a kernel, and nothing else. */
const KERNEL_OPTION: NamesOf<WithKernel> = { kernel: true };

/**
 * The kernel that `options` name, or that of this thread.
 *
 * @param of - The function that takes the options, for a message.
 * @param names - The names of all of its options.
 * @throws TypeError `ERR_INVALID_OPTION` when `options` are no object, have others, or name what is no kernel.
 */
export function kernelOf(
  options: WithKernel,
  of: string,
  names: Readonly<Record<string, true>> = KERNEL_OPTION,
): Kernel {
  const { kernel: given = kernel } = optionsOf(options, of, names);
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
