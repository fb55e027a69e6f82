import { stderr, stdout } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

/** How long output may take to reach the main thread, once there is nothing else to do. */
const OUTPUT_MS = 500;

/** Waits until the main thread has taken what was printed, where it goes through there. */
export async function printed(): Promise<void> {
  const until = performance.now() + OUTPUT_MS;
  while (stdout.writableLength + stderr.writableLength > 0 && performance.now() < until) {
    await sleep(1);
  }
}
