/** The differences between the two kernels that are allowed, each with its reason. */
import type { Call } from "./program.ts";
import type { Result } from "./side.ts";

interface Allowed {
  readonly operations: readonly string[];
  readonly why: string;
  /** Whether this is that difference. */
  readonly is: (call: Call, real: Result, simulated: Result) => boolean;
}

const ALLOWED: readonly Allowed[] = [];

/** The reason why a difference is allowed; undefined when it is not. */
export function whyAllowed(call: Call, real: Result, simulated: Result): string | undefined {
  return ALLOWED.find(
    ({ operations, is }) => operations.includes(call.operation) && is(call, real, simulated),
  )?.why;
}
