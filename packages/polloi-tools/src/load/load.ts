import { type Kernel, kernelOf, optionsOf } from "polloi/internal";
import { ManyThreadsRun } from "./many-threads.ts";
import { type LoadOptions, planOf } from "./options.ts";
import { OwnThreadRun } from "./own-thread.ts";
import { makeRoom } from "./room.ts";
import type { LoadRun } from "./run.ts";

/**
 * Asks a server for as much as it can give, or for as much as a rate says, over many connections at once.
 *
 * @remarks
 * To an echo server (`tcp://`, `unix:`) messages are sent that say which they are, and every byte that comes
 * back is compared. To an HTTP server requests are sent, on connections that are kept. Without a rate each
 * connection has `pipeline` messages out and sends the next when an answer comes; with a rate messages are
 * sent when they are due, and latency counts from then.
 *
 * Without workers it runs on this thread, beside the runtime's own loop: the two take turns of some
 * milliseconds.
 *
 * @returns The run. `await run.finished` has the report.
 * @throws TypeError, RangeError `ERR_INVALID_OPTION`, `ERR_INVALID_ADDRESS`, `ERR_INVALID_TIMEOUT`,
 * `ERR_INVALID_DATA`; SysError `EMFILE` when the limit of descriptors has no room for the connections, with a
 * hint that names it, and what the engine fails with.
 * @example
 * ```ts
 * const run = load({ target: "tcp://127.0.0.1:7788", connections: 1000, durationMs: 2000 });
 * const { messagesPerSecond, latencyMs, mismatches } = await run.finished;
 * console.log(`${messagesPerSecond} a second, p99 ${latencyMs.p99} ms, ${mismatches} wrong`);
 * ```
 */
export function load(options: LoadOptions, how: { readonly kernel?: Kernel } = {}): LoadRun {
  const kernel = kernelOf(how);
  const plan = planOf(optionsOf(options));
  makeRoom(kernel, plan.connections, plan.workers ?? 0);
  if (plan.workers === null) return new OwnThreadRun(plan, kernel);
  return new ManyThreadsRun(plan, plan.workers);
}
