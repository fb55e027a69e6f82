import type { Kernel } from "./kernel.ts";

let kernel: Kernel | undefined;

/**
 * Makes `provided` the kernel of this thread, in place of the one that the runtime's foreign-function interface
 * opens.
 *
 * @remarks
 * It must be called before any module that needs a kernel is imported. The simulated kernel uses it to run programs that
 * name no kernel.
 */
export function provideKernel(provided: Kernel): void {
  kernel = provided;
}

/** The kernel that was provided, if one was. */
export function providedKernel(): Kernel | undefined {
  return kernel;
}
