/** The program of a child thread: a worker, or a thread that serves by blocking calls. */
import process, { exit, stderr, stdout } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { Backoff } from "../base/backoff.ts";
import { ERRNO } from "../base/errno.ts";
import { acceptNow } from "../engine/calls.ts";
import { acceptError } from "../reactor/accept-error.ts";
import { kernel } from "../sys/open.ts";
import { BlockingServer, waitBlocking } from "./blocking.ts";
import { ThreadControl } from "./child-control.ts";
import { ControlBlock } from "./control-block.ts";
import { ServedCounter } from "./counts.ts";
import { currentThreadId, Ledger } from "./descriptors.ts";
import { serveAsWorker } from "./loop-child.ts";
import type { LoopCounter } from "./loop-server.ts";
import {
  type ChildMessage,
  IMPORTING,
  STARTING,
  sendingObserver,
  type ThreadCommand,
  toPlainError,
} from "./messages.ts";
import { loadHandlers } from "./module.ts";
import type { ThreadInput } from "./thread-child.ts";

/** How long output may take to reach the main thread before this thread exits. */
const OUTPUT_MS = 500;

const input = workerData as ThreadInput;
const block = new ControlBlock(input.block);
const ledger = new Ledger(input.ledger);
const control = new ThreadControl(kernel, block, input.doorbell, send);

function send(message: ChildMessage): void {
  parentPort?.postMessage(message);
}

function serveOnLoop(): Promise<void> {
  const { fd, owner } = input;
  const counter: LoopCounter = {
    opened(connection) {
      // A ring accepts without a call that the ledger would record.
      ledger.add(owner, connection.fileno());
      block.accepted++;
      block.open++;
      return "";
    },
    closed() {
      block.open--;
    },
  };
  return serveAsWorker(kernel.runtime, control, input, { fd, counter });
}

/** The counts that have not been sent yet. */
let unsent: ServedCounter | undefined;

function newCounter(): ServedCounter {
  unsent = new ServedCounter(input.observed === true ? sendingObserver(send) : undefined);
  return unsent;
}

function sendCounts(): void {
  if (unsent !== undefined) send({ type: "counts", counts: unsent.snapshot() });
}

async function serveBlocking(): Promise<void> {
  process.once("exit", () => {
    // Also when a handler has thrown, or has called exit.
    sendCounts();
    kernel.arenas.unmap();
  });
  control.setPhase(IMPORTING);
  const starting = (): void => control.setPhase(STARTING);
  const handlers = await loadHandlers(input.module, input.data, starting);
  const { idleTimeoutMs } = input;
  const server = new BlockingServer({ kernel, control, handlers, idleTimeoutMs });
  send({ type: "ready" });
  if (input.task === "accept-loop") acceptLoop(server);
  else await serveConnections(server);
}

/** Accepts a connection, serves it, and accepts the next, until the thread is asked to stop. */
function acceptLoop(server: BlockingServer): void {
  const { fd: listener } = input;
  const waiting = { kernel, control };
  const counter = newCounter();
  const backoff = new Backoff();
  // A thread that was terminated while it was in a loop must not accept connections of its replacement.
  while (!block.stuck) {
    const forever = { timeoutMs: Number.POSITIVE_INFINITY, untilStop: true };
    waitBlocking(waiting, listener, forever);
    if (control.remainingMs() === 0) return;
    const fd = acceptNow(kernel.libc, listener);
    if (fd >= 0) {
      backoff.reset();
      server.serve(fd, counter);
      sendCounts();
      continue;
    }
    // When it is asked to stop, it serves the connections that already wait.
    if (control.remainingMs() !== null) return;
    if (fd === -ERRNO.EAGAIN) continue;
    const { delayMs, isFirst } = backoff.next();
    if (isFirst) send({ type: "accept-failed", error: toPlainError(acceptError(fd, listener)) });
    // Waits for no descriptor: a pause that a request to stop ends.
    waitBlocking(waiting, -1, { timeoutMs: delayMs, untilStop: true });
  }
}

/** Serves a connection, then each that the main thread sends, until it sends a request to exit. */
function serveConnections(server: BlockingServer): Promise<void> {
  const serve = (fd: number): void => {
    server.serve(fd, newCounter());
    sendCounts();
    unsent = undefined;
    send({ type: "idle" });
  };
  return new Promise((resolve, reject) => {
    parentPort?.on("message", (command: ThreadCommand) => {
      try {
        if (command.type === "serve") serve(command.fd);
        else resolve();
      } catch (error) {
        reject(error);
      }
    });
    serve(input.fd);
  });
}

/**
 * Waits until the main thread has taken the output, and exits, whatever else the module has started. A thread that
 * Deno has terminated ends by itself, and would never return from `exit`.
 */
async function leave(code: number): Promise<void> {
  const until = performance.now() + OUTPUT_MS;
  while (stdout.writableLength + stderr.writableLength > 0 && performance.now() < until) {
    await sleep(1);
  }
  await kernel.settled?.();
  if (!block.stuck) exit(code);
}

/**
 * Sends what nothing catches, also when the module handles it and continues.
 *
 * @remarks
 * Deno reports to the main thread the message of such an error only. Node and Bun report the stack too.
 */
function reportUncaught(): void {
  const report = (error: unknown): void => send({ type: "uncaught", error: toPlainError(error) });
  const scope = globalThis as unknown as EventTarget;
  scope.addEventListener("error", (event) =>
    report((event as Event & { readonly error: unknown }).error),
  );
  scope.addEventListener("unhandledrejection", (event) => {
    report((event as Event & { readonly reason: unknown }).reason);
  });
}

if (kernel.runtime === "deno") reportUncaught();
block.threadId = currentThreadId(kernel);
// Before anything is opened, so that the ledger has all of it.
ledger.track(input.owner, kernel, block);

/** Serves until the thread is asked to stop, and exits. */
async function main(): Promise<void> {
  try {
    await (input.task === "worker" ? serveOnLoop() : serveBlocking());
    await leave(0);
  } catch (error) {
    send({ type: "failed", error: toPlainError(error) });
    await leave(1);
  }
}

// Not awaited: a thread of Deno that exits while a module is being evaluated leaves descriptors of the runtime open.
void main();
