/** The module of a pool whose clients send commands. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "../../src/index.ts";
import type { PoolWorker, Stoppable } from "../../src/pool/workers.ts";

/** The `data` of the pool. */
export interface CommandOptions {
  /** Counts the starts of each worker, by its index. Its second start fails. */
  readonly starts?: SharedArrayBuffer;
  /** Its second start hangs instead. */
  readonly hangsAgain?: boolean;
  /** It never becomes ready: it waits, or it loops until `over` is set. */
  readonly hangs?: "waits" | "loops";
  /** The message of an error that it throws as it starts. */
  readonly failing?: string;
  /** It stops when a client sends "release". */
  readonly holds?: boolean;
  /** It stops 20 ms after the grace period, and then posts "ended". */
  readonly endsLate?: boolean;
  /** Ends a loop when the first byte is set, since Deno cannot terminate the thread. */
  readonly over?: SharedArrayBuffer;
}

/** More bytes than the buffers of a connection hold in the kernel. */
export const MUCH = 12_000_000;

let release: () => void = () => {};
const released = new Promise<void>((resolve) => {
  release = resolve;
});

const decoder = new TextDecoder();

export async function start(worker: PoolWorker<CommandOptions>): Promise<Stoppable | undefined> {
  const { starts, failing, holds, endsLate, hangs, hangsAgain } = worker.data;
  if (hangs === "waits") await new Promise(() => {});
  if (hangs === "loops") spin(worker.data.over);
  if (failing !== undefined) throw new RangeError(failing);
  if (starts !== undefined && Atomics.add(new Int32Array(starts), worker.index, 1) > 0) {
    if (hangsAgain === true) await new Promise(() => {});
    throw new Error("not again");
  }
  await sleep(1);
  worker.listen({
    data(connection, bytes) {
      obey(worker, connection, decoder.decode(bytes).trim());
    },
  });
  if (endsLate === true) {
    return { stop: (graceMs) => sleep(graceMs + 20).then(() => worker.post("ended")) };
  }
  return holds === true ? { stop: () => released } : undefined;
}

function obey(worker: PoolWorker<CommandOptions>, connection: Connection, command: string): void {
  switch (command) {
    case "who":
      connection.write(`${worker.index}`);
      return;
    case "throw":
      throw new Error("thrown in a handler");
    case "post and throw":
      worker.post("throwing");
      throw new Error("thrown in a handler");
    case "exit":
      process.exit(3);
      return;
    case "reject":
      void Promise.reject(new Error("rejected in a handler"));
      return;
    case "wait":
      void sleep(5).then(() => connection.write("waited"));
      return;
    case "digest":
      void crypto.subtle
        .digest("SHA-256", new Uint8Array(1))
        .then((digest) => connection.write(`${digest.byteLength}`));
      return;
    case "timer":
      worker.reactor.setTimer(5, () => connection.write("timed"));
      return;
    case "post":
      worker.post({ said: command, by: worker.index });
      connection.write("posted");
      return;
    case "spin":
      worker.post("spinning");
      spin(worker.data.over);
      return;
    case "much":
      connection.write(new Uint8Array(MUCH));
      worker.post("written");
      return;
    case "release":
      release();
      return;
    case "end":
      connection.end("ended");
      return;
    default:
      connection.write(command);
  }
}

function spin(over: SharedArrayBuffer = new SharedArrayBuffer(1)): void {
  const byte = new Uint8Array(over);
  while (Atomics.load(byte, 0) === 0);
}
