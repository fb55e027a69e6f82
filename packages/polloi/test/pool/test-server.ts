/** A server of a model under test, and its clients. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import {
  type ChildExit,
  type ModelOptions,
  type ModelServer,
  serveModel,
} from "../../src/pool/models.ts";
import { Client } from "../support/client.ts";

/** A model with its options, and a name: prefork has two variants. */
export interface Variant {
  readonly name: string;
  readonly options: Pick<ModelOptions, "model" | "sharing" | "children" | "engine">;
}

export const VARIANTS: readonly Variant[] = [
  { name: "blocking", options: { model: "blocking" } },
  { name: "process", options: { model: "process" } },
  { name: "thread", options: { model: "thread" } },
  { name: "prefork, one listener", options: { model: "prefork", children: 2, engine: "epoll" } },
  {
    name: "prefork, SO_REUSEPORT",
    options: { model: "prefork", children: 2, sharing: "reuseport" },
  },
  { name: "event", options: { model: "event" } },
];

/** The models with a process or thread for each connection. */
export const PER_CONNECTION = ["process", "thread"] as const;

/** The variant called `name`. */
export function variant(name: string): Variant["options"] {
  return (VARIANTS.find((each) => each.name === name) as Variant).options;
}

/** The same, with one process for prefork. */
export function lean(name: string): Variant["options"] {
  const options = variant(name);
  return options.model === "prefork" ? { ...options, children: 1 } : options;
}

/** A server, what it has reported, and its clients. */
export class TestServer implements AsyncDisposable {
  readonly exits: ChildExit[] = [];
  readonly limits: number[] = [];
  readonly clients: Client[] = [];
  #server: ModelServer | undefined;

  static async start(options: Partial<ModelOptions> & Variant["options"]): Promise<TestServer> {
    const test = new TestServer();
    test.#server = await serveModel({
      module: new URL("./command-handlers.js", import.meta.url),
      listen: { host: "127.0.0.1", port: 0 },
      exited: (exit) => void test.exits.push(exit),
      limitReached: (max) => void test.limits.push(max),
      ...options,
    });
    return test;
  }

  get server(): ModelServer {
    return this.#server as ModelServer;
  }

  client(): Client {
    const client = new Client({ host: "127.0.0.1", port: this.server.port });
    this.clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.clients) client.destroy();
    await this.server.stop(0);
  }
}

/** Whether process `pid` exists, even as a zombie. */
export function exists(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

/** Whether process `pid` runs: a zombie does not. */
export function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

/** The child processes of a process, including zombies. */
export function childrenOf(pid: number = process.pid): number[] {
  // Each is listed by the thread that started it.
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    try {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1");
      return text.split(" ").filter(Boolean).map(Number);
    } catch {
      // The thread has ended meanwhile.
      return [];
    }
  });
}

/** Pseudo-random bytes that are different for each `seed`. */
export function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = (0x2545f491 ^ Math.imul(seed + 1, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Checks that `client` has received the bytes that it sent, and their count. */
export function assertEchoed(client: Client, sent: Buffer): void {
  const expected = Buffer.concat([sent, Buffer.from(` ${sent.length} in all`)]);
  assert.equal(client.length, expected.length);
  assert.ok(client.bytes.equals(expected), "other bytes came back than were sent");
  assert.equal(client.error, undefined);
}
