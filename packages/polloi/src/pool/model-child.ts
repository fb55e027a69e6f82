/**
 * A process that serves one connection, or accepts from a listener on an event loop of its own: what
 * {@link Processes} start.
 *
 * It is told by its first message what to serve, with the descriptor beside it, and never outlives its
 * parent: the kernel kills it when that dies (PR_SET_PDEATHSIG), and the end of the channel tells as well.
 * Imports are few, since each connection pays for them: of sockets only the calls, an event loop where one is
 * needed, and never node:process, for which Node makes stdin, stdout and stderr.
 */
import { PR_SET_PDEATHSIG, SYS } from "../sys/abi.ts";
import { kernel } from "../sys/open.ts";
import { Conversations } from "./blocking-connection.ts";
import { Channel } from "./channel.ts";
import { markChild } from "./child-mark.ts";
import { type ProcessInput, tellingObserver, toldError } from "./messages.ts";
import { loadHandlers, type ModelHandlers } from "./model-module.ts";
import { Served } from "./served.ts";

const SIGKILL = 9;

function serveConnection(
  channel: Channel,
  input: ProcessInput,
  fd: number,
  handlers: ModelHandlers,
): void {
  const { observed, idleTimeoutMs } = input;
  const served = new Served(observed ? tellingObserver((said) => channel.tell(said)) : undefined);
  // Also when a handler throws, or calls exit.
  process.once("exit", () => channel.tell({ type: "tally", tally: served.tally() }));
  channel.tell({ type: "ready" });
  new Conversations({ kernel, handlers, orders: channel, idleTimeoutMs }).hold(fd, served);
}

async function serve(channel: Channel): Promise<void> {
  const { input, fd } = channel.begin();
  const starting = (): void => channel.tell({ type: "starting" });
  if (input.serves === "connection") {
    serveConnection(channel, input, fd, await loadHandlers(input.module, input.data, starting));
    return;
  }
  const { serveListener } = await import("./child-listener.ts");
  await serveListener(channel, input, fd);
}

kernel.libc.syscall(SYS.prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
// A Ctrl-C goes to every process of the terminal, and so does its end. It is for the parent to say when to stop.
process.on("SIGINT", () => {});
process.on("SIGHUP", () => {});
markChild();
try {
  const channel = new Channel(kernel, `\0${process.argv[2]}`);
  try {
    await serve(channel);
    process.exit(0);
  } catch (error) {
    channel.tell({ type: "failed", error: toldError(error) });
    process.exit(1);
  }
} catch {
  // The parent is not there any more.
  process.exit(1);
}
