/** A thread that blocks: one that serves a connection that it is given, or one that accepts all of them in turn. */
import process, { exit } from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { ERRNO } from "../base/errno.ts";
import { acceptNow } from "../engine/calls.ts";
import { AcceptFailures, acceptError } from "../reactor/accept-failures.ts";
import { POLLIN } from "../select/constants.ts";
import { kernel } from "../sys/open.ts";
import { Conversations } from "./blocking-connection.ts";
import { waitBlocking } from "./blocking-wait.ts";
import { Board } from "./board.ts";
import { IMPORTING, STARTING } from "./child-unit.ts";
import { Hand } from "./hand.ts";
import { threadNumber } from "./lingering.ts";
import { type ChildInput, type ChildMessage, tellingObserver, toldError } from "./messages.ts";
import { loadHandlers } from "./model-module.ts";
import { ThreadOrders } from "./orders.ts";
import { printed } from "./printed.ts";
import { Served } from "./served.ts";

/** What a thread is given. */
export interface ThreadInput extends ChildInput {
  /** A connection, or a listener: it is the main thread's to close. */
  readonly fd: number;
  readonly serves: "connection" | "listener";
  /** Rung when all threads are to stop. */
  readonly bell: number;
  readonly board: SharedArrayBuffer;
  /** What the main thread is to know if the thread dies: see {@link Hand}. */
  readonly hand: SharedArrayBuffer;
}

/** What a thread that has nothing to do is told: to serve another connection, or to end. */
export type ThreadOrder =
  | { readonly type: "serve"; readonly fd: number }
  | { readonly type: "end" };

const input = workerData as ThreadInput;
const hand = new Hand(input.hand);
hand.thread = threadNumber(kernel);
const orders = new ThreadOrders(new Board(input.board), hand, input.bell);

function say(message: ChildMessage): void {
  parentPort?.postMessage(message);
}

/** The numbers that the main thread has not been told yet. */
let untold: Served | undefined;

function newServed(): Served {
  untold = new Served(input.observed ? tellingObserver(say) : undefined);
  return untold;
}

function tellNumbers(): void {
  if (untold !== undefined) say({ type: "tally", tally: untold.tally() });
}

/** Serves a connection, then the next that the main thread has for it, until it is told to end. */
function serveEach(conversations: Conversations): Promise<void> {
  const serve = (fd: number): void => {
    conversations.hold(fd, newServed());
    tellNumbers();
    untold = undefined;
    say({ type: "over" });
  };
  return new Promise((resolve, reject) => {
    parentPort?.on("message", (order: ThreadOrder) => {
      try {
        if (order.type === "serve") serve(order.fd);
        else resolve();
      } catch (error) {
        reject(error);
      }
    });
    serve(input.fd);
  });
}

/** Accepts, serves, and accepts again. */
function serveInTurn(conversations: Conversations): void {
  const { libc } = kernel;
  const served = newServed();
  const forEver = { timeoutMs: Number.POSITIVE_INFINITY, heed: true };
  const failures = new AcceptFailures();
  // Ended from outside while it was in a loop, it must not accept what is its successor's.
  while (!hand.lingers) {
    waitBlocking(kernel, input.fd, POLLIN, orders, forEver);
    if (orders.leftMs() === 0) return;
    const fd = acceptNow(libc, input.fd);
    // When it is to stop, it serves those that wait already.
    if (fd < 0 && orders.leftMs() !== null) return;
    if (fd >= 0) {
      failures.end();
      hand.connection = fd;
      conversations.hold(fd, served);
      hand.connection = -1;
      libc.close(fd);
      tellNumbers();
    } else if (fd !== -ERRNO.EAGAIN) {
      const { delayMs, isFirst } = failures.add();
      if (isFirst) say({ type: "cannot accept", error: toldError(acceptError(fd, input.fd)) });
      // On no descriptor: a pause that an order to stop ends.
      waitBlocking(kernel, -1, 0, orders, { timeoutMs: delayMs, heed: true });
    }
  }
}

/** Ends the thread. One that Deno has ended does so by itself, and would be in `exit` for ever. */
function leave(code: number): void {
  if (!hand.lingers) exit(code);
}

async function serve(): Promise<void> {
  hand.phase = IMPORTING;
  const handlers = await loadHandlers(input.module, input.data, () => {
    hand.phase = STARTING;
  });
  const { idleTimeoutMs } = input;
  const conversations = new Conversations({ kernel, handlers, orders, idleTimeoutMs });
  say({ type: "ready" });
  if (input.serves === "connection") await serveEach(conversations);
  else serveInTurn(conversations);
}

process.once("exit", () => {
  // Also when a handler has thrown, or has called exit.
  tellNumbers();
  kernel.arenas.unmap();
});
try {
  await serve();
  await printed();
  // Whatever the module has begun beside, such as a timer of the runtime, ends here.
  leave(0);
} catch (error) {
  say({ type: "failed", error: toldError(error) });
  await printed();
  leave(1);
}
