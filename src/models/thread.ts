/** A thread that blocks: one that serves one connection, or one that serves all of them in turn. */
import process, { exit } from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { ERRNO } from "../base/errno.ts";
import { SysError } from "../base/sys-error.ts";
import { POLLIN } from "../select/constants.ts";
import { SOCK_CLOEXEC } from "../socket/constants.ts";
import { kernel } from "../sys/open.ts";
import { Board } from "../workers/board.ts";
import { Conversations } from "./blocking-connection.ts";
import { waitBlocking } from "./blocking-wait.ts";
import { type ChildInput, type ChildMessage, tellingObserver, toldError } from "./messages.ts";
import { loadHandlers } from "./module.ts";
import { ThreadOrders } from "./orders.ts";
import { Served } from "./served.ts";

/** What a thread is given. */
export interface ThreadInput extends ChildInput {
  /** A connection, or a listener: it is the main thread's to close. */
  readonly fd: number;
  readonly serves: "connection" | "listener";
  /** Rung when all threads are to stop. */
  readonly bell: number;
  readonly board: SharedArrayBuffer;
  /** The connection that a thread with a listener has open, or -1, for the main thread to close if the thread dies. */
  readonly inHand: SharedArrayBuffer;
}

/** How long to wait until a descriptor may be free again. */
const STARVED_MS = 50;

const input = workerData as ThreadInput;

function say(message: ChildMessage): void {
  parentPort?.postMessage(message);
}

/** Serves one connection after another. */
function serveInTurn(conversations: Conversations, served: Served, orders: ThreadOrders): void {
  const { libc } = kernel;
  const inHand = new Int32Array(input.inHand);
  const forEver = { timeoutMs: Number.POSITIVE_INFINITY, heed: true };
  let starved = false;
  while (waitBlocking(kernel, input.fd, POLLIN, orders, forEver) !== "stop") {
    const fd = libc.accept4(input.fd, 0, 0, SOCK_CLOEXEC);
    if (fd >= 0) {
      starved = false;
      Atomics.store(inHand, 0, fd);
      conversations.hold(fd);
      Atomics.store(inHand, 0, -1);
      libc.close(fd);
      say({ type: "tally", tally: served.tally() });
    } else if (fd === -ERRNO.EMFILE || fd === -ERRNO.ENFILE || fd === -ERRNO.ENOMEM) {
      if (!starved) say({ type: "cannot accept", error: toldError(new SysError("accept4", fd)) });
      starved = true;
      // On no descriptor: this is a pause that can be ended.
      waitBlocking(kernel, -1, 0, orders, { timeoutMs: STARVED_MS, heed: true });
    }
  }
}

async function serve(): Promise<void> {
  const handlers = await loadHandlers(input.module, input.data);
  const orders = new ThreadOrders(new Board(input.board), input.bell);
  const served = new Served(input.observed ? tellingObserver(say) : undefined);
  const { idleTimeoutMs } = input;
  const conversations = new Conversations({ kernel, handlers, served, orders, idleTimeoutMs });
  say({ type: "ready" });
  if (input.serves === "connection") conversations.hold(input.fd);
  else serveInTurn(conversations, served, orders);
  say({ type: "tally", tally: served.tally() });
}

process.once("exit", () => kernel.arenas.unmap());
try {
  await serve();
  // Whatever the module has begun beside, such as a timer of the runtime, ends here.
  exit(0);
} catch (error) {
  say({ type: "failed", error: toldError(error) });
  exit(1);
}
