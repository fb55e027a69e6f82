/**
 * The echo server in each of the five ways there are: one client at a time, a process for each, a thread for
 * each, processes with an event loop each, one event loop.
 *
 *     node dist/examples/19-models.js [port] [blocking | process | thread | prefork | event]
 *     nc 127.0.0.1 7788
 *
 * Follows text 4, which names three of them, says what each is like, and shows one. What it got wrong:
 * - The ways cannot be compared, because only the event loop is there to be run. Here it is one handler.
 * - A process or a thread for each client, without a limit: whoever connects often enough ends the machine.
 * - Threads are said to need locks. These share nothing but the connection that they are handed.
 */
import { fileURLToPath } from "node:url";
import { type ModelConnection, type ModelName, serveModel } from "polloi/models";
import { orExit, portArgument, wordArgument } from "./command-line.ts";

// What every process and thread runs: this same file is their module.
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
      limitReached: (most) => console.error(`all ${most} are busy: the next ones wait`),
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
  // Not awaited here: where the handlers run in this process, they are imported from this module.
  void main(port, model);
}
