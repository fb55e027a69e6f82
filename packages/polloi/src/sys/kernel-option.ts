import { optionsOf } from "../base/argument.ts";
import { show, typeError } from "../base/misuse.ts";
import type { Kernel } from "./kernel.ts";
import { kernel } from "./open.ts";

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
