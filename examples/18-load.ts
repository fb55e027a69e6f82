/**
 * Load on an echo server: once as fast as it goes, and once at half of that rate. Every byte that comes
 * back is compared, and the latency of both is told side by side.
 *
 *     node dist/examples/18-load.js [port] [connections] [duration in ms]
 *
 * Any echo server will do: `polloi serve --port 10000 --quiet`. Follows text 4, the client at its end, and
 * asks what that one could not be asked. What the original got wrong:
 * - It sent, and waited until all had answered, before it sent again: a server that stalls is not asked
 *   meanwhile, and the stall is hardly in the figures (coordinated omission). At a rate, each message
 *   counts from when it was due.
 * - It had no figures: that everything came back says nothing about how long it took.
 */
import { isClean, type LoadReport, load } from "polloi-tools/load";
import { numberArgument, orExit, portArgument } from "./command-line.ts";

const port = portArgument(10_000, 1);
const connections = numberArgument({ at: 2, usual: 1000, least: 1 });
const durationMs = numberArgument({ at: 3, usual: 3000, least: 1, most: 86_400_000 });
const target = `tcp://127.0.0.1:${port}`;

const closed = await orExit(() => load({ target, connections, durationMs })).finished;
tell("as fast as it goes", closed);
if (isClean(closed)) {
  const rate = Math.max(1, closed.messagesPerSecond / 2);
  tell("at half of that", await load({ target, connections, durationMs, rate }).finished);
}

function tell(how: string, report: LoadReport): void {
  const { messagesPerSecond, latencyMs, mismatches, errors } = report;
  console.log(`${how}: ${Math.round(messagesPerSecond)} messages a second`);
  console.log(`  p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, max ${latencyMs.max} ms`);
  console.log(`  ${mismatches} wrong, errors ${JSON.stringify(errors)}`);
  if (!isClean(report)) process.exitCode = 1;
}
