import { readdirSync } from "node:fs";
import { RLIMIT_NOFILE } from "./abi.ts";
import type { Kernel } from "./kernel.ts";

/** Where the hard limit lies in a `struct rlimit`. */
const HARD = 8;

/**
 * Raises the soft limit of descriptors to `wanted`, or as far as the hard limit lets it.
 *
 * @returns The limit from now on.
 * @source getrlimit(2)
 */
export function raiseDescriptorLimit(kernel: Kernel, wanted: number): number {
  const { libc, scratch } = kernel;
  const { address } = scratch;
  if (libc.getrlimit(RLIMIT_NOFILE, address) < 0) return 1024;
  const soft = scratch.getWord(0);
  const raised = Math.min(wanted, scratch.getWord(HARD));
  if (soft >= raised) return soft;
  scratch.setWord(0, raised);
  return libc.setrlimit(RLIMIT_NOFILE, address) < 0 ? soft : raised;
}

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}
