/** Servers and load generators as child processes. */
import { kernel } from "polloi/internal";
import { Child } from "../packages/polloi-tools/src/measure/child.ts";

/**
 * Starts a program and waits for its first line.
 *
 * @param cores - The cores to pin it to. Default: those of this process.
 * @throws ChildFailed with the error that it wrote to standard error.
 */
export function start(command: readonly string[], cores?: readonly number[]): Promise<Child> {
  return Child.start({ kernel, command, cores });
}

/** The port that a server printed: by itself, or for each listener as the polloi command does. */
export function portOf({ first }: Pick<Child, "first">): number {
  const [listener] = (first.listeners ?? [first]) as readonly { readonly port: number }[];
  return Number(listener?.port);
}

/** Exits at a signal, so that no child process outlives the benchmark. */
export function exitOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => process.exit(130));
  }
}
