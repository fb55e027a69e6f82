/**
 * The echo server by each of the five models: one client at a time, a process for each, a thread for
 * each, processes with an event loop each, one event loop.
 *
 *     node dist/examples/19-models.js [port] [blocking | process | thread | prefork | event]
 *     nc 127.0.0.1 7788
 *
 * Follows text 4, which names and describes three of them, and shows one. Faults of the original:
 * - The models cannot be compared, because only the event loop has a program. Here one handler serves all five.
 * - A process or a thread for each client, without a limit: enough connections exhaust the machine.
 * - It claims that threads need locks. These share only the connection that is passed to them.
 */
import { fileURLToPath } from "node:url";
import { type ModelConnection, type ModelName, serveModel } from "polloi/models";
import { orExit, portArgument, wordArgument } from "./command-line.ts";

// The handler that every process and thread runs: this file is also their module.
export function data(connection: ModelConnection, bytes: Uint8Array): void {
  connection.write(bytes);
}

async function main(port: number, model: ModelName): Promise<void> {
  const server = await orExit(() =>
    serveModel({
      model,
      module: import.meta.url,
      listen: { host: "127.0.0.1", port },
      exited: ({ kind, id, error }) => console.error(`${kind} ${id} exited: ${error.message}`),
      limitReached: (most) => console.error(`all ${most} are busy: further connections wait`),
    }),
  );
  console.log(`listening on 127.0.0.1:${server.port}`);
  for (const { kind, id } of server.children) console.log(`${kind} ${id}`);
  process.once("SIGINT", () => server.stop());
  process.once("SIGTERM", () => server.stop());
  await server.finished;
  console.log(server.counts);
}

// In the processes that it starts, and in threads, the program is another file.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = portArgument(7788);
  const model = wordArgument(2, ["prefork", "blocking", "process", "thread", "event"]);
  // Not awaited: if the handlers run in this process, they are imported from this module.
  void main(port, model);
}
