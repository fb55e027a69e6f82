/**
 * Load on an echo server: a closed loop as fast as possible, and then half of that rate. Every echoed byte is compared,
 * and the latency of both is printed.
 *
 *     node dist/examples/18-load.js [port] [connections] [duration in ms]
 *
 * The server can be any echo server: `polloi serve --port 10000 --quiet`. Follows text 4, the client at its end.
 * Faults of the original:
 * - It sent, and waited until all had answered, before it sent again. A server that stalls receives no messages
 *   meanwhile, and the stall hardly affects the figures (coordinated omission). At a rate, the latency of each message
 *   is measured from when it was due.
 * - It had no figures: it checked that everything was echoed, not how long that took.
 */
import { isClean, type LoadReport, load } from "polloi-tools/load";
import { numberArgument, orExit, portArgument } from "./command-line.ts";

const port = portArgument(10_000, 1);
const connections = numberArgument({ at: 2, default: 1000, least: 1 });
const durationMs = numberArgument({ at: 3, default: 3000, least: 1, most: 86_400_000 });
const target = `tcp://127.0.0.1:${port}`;

const closed = await orExit(() => load({ target, connections, durationMs })).finished;
print("closed loop", closed);
if (isClean(closed)) {
  const rate = Math.max(1, closed.messagesPerSecond / 2);
  print("half of that rate", await load({ target, connections, durationMs, rate }).finished);
}

function print(title: string, report: LoadReport): void {
  const { messagesPerSecond, latencyMs, mismatches, errors } = report;
  console.log(`${title}: ${Math.round(messagesPerSecond)} messages a second`);
  console.log(`  p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, max ${latencyMs.max} ms`);
  console.log(`  ${mismatches} mismatches, errors ${JSON.stringify(errors)}`);
  if (!isClean(report)) process.exitCode = 1;
}
