/** A pool under test, and its clients. */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, connect } from "../../../src/index.ts";
import { kernel } from "../../../src/sys/open.ts";
import {
  startWorkers,
  type WorkerCrash,
  type WorkerPool,
  type WorkersOptions,
} from "../../../src/workers/index.ts";

/** What a case needs longer than this for hangs: a hundred processes that start beside it take the cores for ten seconds. */
const UNTIL_MS = 25_000;

/** The URL of a module of this folder. */
export function module(name: string): URL {
  return new URL(`./${name}.js`, import.meta.url);
}

/** Waits until `condition` holds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + UNTIL_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`on ${kernel.runtime}: never ${what}`);
    await sleep(1);
  }
}

/** What `promise` is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(error instanceof Error, `it is rejected, with an Error and not ${error}`);
  return error;
}

/**
 * How many descriptors are open: of sockets only under Deno, which itself leaves an epoll set and a
 * counter behind with each worker.
 */
export function held(): number {
  const fds = readdirSync("/proc/self/fd");
  return kernel.runtime === "deno" ? fds.filter(isSocket).length : fds.length;
}

function isSocket(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false;
  }
}

/** A pool of two workers that do what clients say, unless other options are given. */
export class TestPool implements AsyncDisposable {
  readonly crashes: WorkerCrash[] = [];
  readonly messages: [message: unknown, index: number][] = [];
  readonly clients: Client[] = [];
  #pool: WorkerPool | undefined;

  static async start(options: Partial<WorkersOptions> = {}): Promise<TestPool> {
    const test = new TestPool();
    test.#pool = await startWorkers({
      module: module("obedient"),
      workers: 2,
      listen: { host: "127.0.0.1", port: 0 },
      data: {},
      message: (message, index) => void test.messages.push([message, index]),
      ...options,
      crashed: (crash) => {
        test.crashes.push(crash);
        options.crashed?.(crash);
      },
    });
    return test;
  }

  get pool(): WorkerPool {
    return this.#pool as WorkerPool;
  }

  client(): Client {
    const client = new Client({ host: "127.0.0.1", port: this.pool.port });
    this.clients.push(client);
    return client;
  }

  /** A client of worker `index`: connects until it has one. */
  async clientOf(index: number): Promise<Client> {
    for (;;) {
      const client = this.client();
      if ((await client.ask("who")) === String(index)) return client;
      client.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) client.close();
    await this.pool.stop(0);
  }
}

/** A connection to a pool. */
export class Client {
  closed = false;
  error: Error | undefined;
  length = 0;
  readonly #connection: Connection;
  #chunks: Uint8Array[] = [];

  constructor(where: { host: string; port: number } | { path: string }) {
    this.#connection = connect({
      ...where,
      data: (_, bytes) => {
        this.#chunks.push(bytes);
        this.length += bytes.length;
      },
      close: (_, error) => {
        this.closed = true;
        this.error = error;
      },
    });
  }

  /** Everything that came since it last asked. */
  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#chunks));
  }

  send(what: string | Uint8Array): void {
    this.#connection.write(what);
  }

  /** Sends a command, and gives the answer; nothing when it is closed instead. */
  async ask(command: string): Promise<string> {
    this.#chunks = [];
    this.send(command);
    await until(`answered to ${command}`, () => this.#chunks.length > 0 || this.closed);
    return Buffer.concat(this.#chunks).toString();
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }

  close(): void {
    this.#connection.destroy();
  }
}
