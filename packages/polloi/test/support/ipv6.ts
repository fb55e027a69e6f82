import { createServer } from "../../src/socket/index.ts";

let reason: string | undefined;
let isKnown = false;

/** The reason why this machine cannot use the address `::1`; `undefined` if it can. */
export function whyNoIPv6(): string | undefined {
  if (isKnown) return reason;
  isKnown = true;
  try {
    createServer({ host: "::1", port: 0 }).close();
  } catch (error) {
    reason = `this machine has no IPv6: ${(error as Error).message}`;
  }
  return reason;
}
