import type { LoopTimer } from "./kernel.ts";

/** {@link Kernel.after} where the runtime has Node's timers. */
export function loopTimer(delayMs: number, callback: () => void): LoopTimer {
  const timer = setTimeout(callback, delayMs);
  return {
    ref: () => void timer.ref(),
    unref: () => void timer.unref(),
    cancel: () => clearTimeout(timer),
  };
}
