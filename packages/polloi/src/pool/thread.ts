/** The thread of one worker: what every worker of a pool runs, whatever its module. */
import process, { exit } from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { show, typeError } from "../base/misuse.ts";
import { HANDLERS, type Handlers } from "../reactor/connection.ts";
import { Reactor } from "../reactor/reactor.ts";
import { EVENT_READ } from "../selectors/events.ts";
import { kernel } from "../sys/open.ts";
import { Board, IMPORTING, STARTING } from "./board.ts";
import { drive } from "./drive.ts";
import { Ledger } from "./ledger.ts";
import { threadNumber } from "./lingering.ts";
import { printed } from "./printed.ts";
import { ServingWorker } from "./serving.ts";
import type { WorkerInput, WorkerMessage, WorkerModule } from "./worker-module.ts";

/** Taken from the doorbell at once; each byte of it says the same. */
const DOORBELL_BYTES = 256;

const input = workerData as WorkerInput;
const board = new Board(input.board);

function say(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

/** Watches for what the pool asks. */
function heed(worker: ServingWorker): void {
  const { libc, scratch } = kernel;
  worker.reactor.watch(input.doorbell, EVENT_READ, () => {
    libc.read(input.doorbell, scratch.address, DOORBELL_BYTES);
    board.answer();
    if (board.takeAccept()) worker.acceptWaiting();
    const graceMs = board.stopWithinMs;
    if (graceMs !== null) worker.stop(graceMs);
  });
}

/**
 * Closes what is open when the thread ends, for whatever reason but that it is ended from outside.
 *
 * @remarks
 * The ledger would do, but for what only the reactor knows: connections that a ring has accepted and
 * nobody has been told of.
 */
function closeAtExit(reactor: Reactor): void {
  process.once("exit", () => {
    try {
      reactor.close();
    } catch {
      // A handler of `close` that throws. Why the thread ends is told already.
    }
  });
}

/** Ends the thread. One that Deno has ended does so by itself, and would be in `exit` for ever. */
function leave(code: number): void {
  if (!board.lingers) exit(code);
}

/** @throws TypeError `ERR_INVALID_OPTION` when a module has nothing that a worker could do. */
function handlersIn(module: WorkerModule<unknown>): WorkerModule<unknown> {
  const names = Object.keys(HANDLERS) as (keyof Handlers)[];
  if (names.some((name) => typeof module[name] === "function")) return module;
  throw typeError(
    "ERR_INVALID_OPTION",
    `Cannot run the module ${show(input.module)} in workers: it exports neither start nor a handler, such as data`,
  );
}

async function serve(): Promise<void> {
  board.thread = threadNumber(kernel);
  // Before anything is opened, so that all of it is in the ledger.
  const ledger = new Ledger(input.ledger);
  ledger.keep(input.index, kernel, board);
  const reactor = new Reactor({ engine: input.engine, trigger: input.trigger });
  closeAtExit(reactor);
  drive(reactor, kernel.runtime);
  const post = (message: unknown): void => say({ type: "post", message });
  const worker = new ServingWorker(input, { reactor, board, ledger, post });
  heed(worker);
  board.phase = IMPORTING;
  const module = (await import(input.module)) as WorkerModule<unknown>;
  if (module.start === undefined) worker.listen(handlersIn(module));
  board.phase = STARTING;
  worker.begun((await module.start?.(worker)) ?? undefined);
  say({ type: "ready", engine: reactor.engine, trigger: reactor.trigger });
  await worker.stopped;
  reactor.close();
  say({ type: "stopped" });
  await printed();
  // Whatever else the module has begun, such as a timer of the runtime, ends here.
  leave(0);
}

try {
  await serve();
} catch (error) {
  const { message = String(error), stack, code, hint } = error as Partial<Record<string, unknown>>;
  say({ type: "failed", error: { message, stack, code, hint } as never });
  await printed();
  leave(1);
}
