import { type NamesOf, optionsOf } from "../base/argument.ts";
import { show, typeError } from "../base/misuse.ts";
import { openBun } from "./bun.ts";
import { openDeno } from "./deno.ts";
import { type Kernel, UnsupportedError } from "./kernel.ts";
import { openNode } from "./node.ts";
import { providedKernel } from "./provided.ts";

/**
 * Opens the kernel through the foreign-function interface of this runtime.
 *
 * @throws UnsupportedError with one line that says what is missing and what to do.
 */
export function openKernel(): Kernel {
  const { arch, platform } = process;
  if (platform !== "linux") {
    throw new UnsupportedError(
      `polloi requires Linux, because it makes Linux system calls directly; this is ${platform}`,
    );
  }
  if (arch !== "x64" && arch !== "arm64") {
    throw new UnsupportedError(`polloi supports x64 and arm64; this is ${arch}`);
  }
  if ("Bun" in globalThis) return openBun();
  if ("Deno" in globalThis) return openDeno();
  return openNode();
}

/**
 * The kernel of this thread. Public functions use it unless another one is passed.
 *
 * @remarks
 * It is opened when the first module that needs it is imported, so that an unsupported platform is reported at once.
 */
export const kernel: Kernel = providedKernel() ?? openKernel();

/**
 * Options of which a kernel is one.
 *
 * @remarks
 * A kernel is no public option: only the tests and the tools pass one, such as a kernel whose calls are traced or fail.
 * Each `kernel` is marked as internal, and so left out of the types in the package.
 */
export interface WithKernel {
  /** @internal */
  readonly kernel?: Kernel | undefined;
}

/** The names of the options of a function that takes a kernel, and nothing else. */
const KERNEL_OPTION: NamesOf<WithKernel> = { kernel: true };

/**
 * Returns the kernel in `options`, or that of this thread.
 *
 * @param of - The function that takes the options, for the error message.
 * @param names - The names of all of its options.
 * @throws TypeError `ERR_INVALID_OPTION` when `options` is not an object or has unknown options, or when `kernel` is
 * not a kernel.
 */
export function kernelOf(
  options: WithKernel,
  of: string,
  names: Readonly<Record<string, true>> = KERNEL_OPTION,
): Kernel {
  const { kernel: given = kernel } = optionsOf(options, of, names);
  return checkKernel(given);
}

/** Returns `given` if it is a kernel. @throws TypeError `ERR_INVALID_OPTION` */
export function checkKernel(given: Kernel): Kernel {
  if (typeof given === "object" && given !== null && typeof given.libc === "object") return given;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot use ${show(given)} as a kernel: give one that polloi has opened, or leave it out`,
  );
}
