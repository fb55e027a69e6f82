/** A pool under test, and its clients. */
import {
  startWorkers,
  type WorkerExit,
  type WorkerPool,
  type WorkersOptions,
} from "../../src/pool/workers.ts";
import { Client } from "../support/client.ts";

/** The URL of a module of this folder. */
export function module(name: string): URL {
  return new URL(`./${name}.js`, import.meta.url);
}

/** A pool, by default of two workers that execute the commands of their clients. */
export class TestPool implements AsyncDisposable {
  readonly exits: WorkerExit[] = [];
  readonly messages: [message: unknown, index: number][] = [];
  readonly clients: Client[] = [];
  #pool: WorkerPool | undefined;

  static async start(options: Partial<WorkersOptions> = {}): Promise<TestPool> {
    const test = new TestPool();
    test.#pool = await startWorkers({
      module: module("command-worker"),
      workers: 2,
      listen: { host: "127.0.0.1", port: 0 },
      data: {},
      message: (message, index) => void test.messages.push([message, index]),
      ...options,
      exited: (exit) => {
        test.exits.push(exit);
        options.exited?.(exit);
      },
    });
    return test;
  }

  get pool(): WorkerPool {
    return this.#pool as WorkerPool;
  }

  client(): Client {
    const { path } = this.pool.address ?? {};
    const port = { host: "127.0.0.1", port: this.pool.port };
    const where = typeof path === "string" ? { path } : port;
    const client = new Client(where);
    this.clients.push(client);
    return client;
  }

  /** A client of worker `index`: connects until one is accepted there. */
  async clientOf(index: number): Promise<Client> {
    for (;;) {
      const client = this.client();
      if ((await client.ask("who")) === String(index)) return client;
      client.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) client.destroy();
    await this.pool.stop(0);
  }
}
