/** The soak's clients: node:net in a process of its own, so that no bug of polloi's hides another. */
import { connect, type Socket } from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { randomFrom } from "../support/faulty-kernel.ts";
import {
  bytesAt,
  differsAt,
  header,
  MODE_DEAF,
  MODE_ECHO,
  MODE_RESET,
  MODE_SERVE,
} from "./protocol.ts";
import { wasReset } from "./reset.ts";
import type { ClientState } from "./state.ts";

const [port, seed, workers, milliseconds] = process.argv.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
];
/** Whether misfortunes befall the server, which may then cut off any connection: but no byte of it is wrong. */
const unlucky = process.argv[8] === "unlucky";
const end = performance.now() + milliseconds;
/** A connection that takes longer than this hangs. */
const HANGS_MS = unlucky ? 8000 : 15_000;

const done: Record<string, number> = {};
const violations: string[] = [];
let bytes = 0;
let streams = seed;

/** Sizes on both sides of every buffer there is, most of them small. */
function sizeFrom(random: () => number): number {
  const edges = [1, 64, 1024, 16_384, 65_536, 131_072, 1_048_576];
  const edge = edges[Math.floor(random() ** 2 * edges.length)] as number;
  return Math.max(1, edge + Math.floor(random() * 5) - 2);
}

class Client {
  readonly socket: Socket;
  readonly seed: number;
  readonly what: string;
  received = 0;
  ended = false;
  error: string | undefined;
  readonly closed: Promise<void>;
  /** The server sends no more, for whatever reason. */
  readonly finished: Promise<void>;

  constructor(what: string, seed: number) {
    this.what = what;
    this.seed = seed;
    this.socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    this.socket.on("data", (part) => {
      bytes += part.length;
      const at = differsAt(this.seed, this.received, part);
      if (at >= 0) this.violate(`byte ${at} is wrong`);
      this.received += part.length;
    });
    this.socket.on("end", () => {
      this.ended = true;
      if (wasReset(this.socket)) this.error = "ECONNRESET";
    });
    this.socket.on("error", (error: Error & { code?: string }) => {
      this.error = error.code;
    });
    this.finished = new Promise((resolve) => {
      this.socket.once("end", resolve);
      this.socket.once("close", () => resolve());
    });
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
  }

  violate(what: string): void {
    if (violations.length < 20) violations.push(`${this.what} ${this.seed}: ${what}`);
  }

  write(part: Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve();
      else this.socket.write(part, () => resolve());
    });
  }

  expect(length: number): void {
    // The server may cut it off when it is unlucky, but sends nothing that was not sent to it.
    if (unlucky && this.received <= length) return;
    if (this.received !== length) this.violate(`${this.received} of ${length} bytes came`);
    if (!this.ended) this.violate("the end did not come");
    if (this.error !== undefined) this.violate(`failed with ${this.error}`);
  }
}

/** Reads slowly for a while. */
async function dawdle(client: Client, random: () => number): Promise<void> {
  for (let i = 0; i < 4 && random() < 0.6; i++) {
    client.socket.pause();
    await sleep(random() * 20);
    client.socket.resume();
  }
}

const KINDS: Record<string, (client: Client, random: () => number) => Promise<void>> = {
  async echo(client, random) {
    await client.write(header(MODE_ECHO, 0));
    const total = sizeFrom(random) + (random() < 0.3 ? sizeFrom(random) : 0);
    const slow = dawdle(client, random);
    for (let at = 0; at < total; ) {
      const length = Math.min(total - at, sizeFrom(random));
      await client.write(bytesAt(client.seed, at, length));
      at += length;
    }
    client.socket.end();
    await slow;
    await client.closed;
    client.expect(total);
  },
  async serve(client, random) {
    const total = sizeFrom(random);
    // The stream of what the server sends is told by its length.
    (client as { seed: number }).seed = total;
    await client.write(header(MODE_SERVE, total));
    const slow = dawdle(client, random);
    // A write to a connection that was reset takes the error that a read would have failed with. See tcp(7).
    const isQuiet = random() < 0.5;
    while (!isQuiet && !client.ended && client.error === undefined && random() < 0.9) {
      if (random() < 0.7) client.socket.write(Buffer.alloc(Math.floor(random() * 50_000)));
      else await sleep(random() * 5);
    }
    await slow;
    if (!client.ended) await client.finished;
    client.socket.end();
    await client.closed;
    if (client.received !== total && !unlucky) {
      client.violate(`${client.received} of ${total} bytes came`);
    }
    // An answer that is cut off must not look whole.
    if (isQuiet && client.ended && client.error === undefined && client.received < total) {
      client.violate(`an orderly end came after ${client.received} of ${total} bytes`);
    }
  },
  async reset(client, random) {
    await client.write(header(MODE_RESET, sizeFrom(random)));
    while (!client.socket.destroyed && !client.ended) {
      client.socket.write(Buffer.alloc(20_000));
      await sleep(1);
    }
    client.socket.destroy();
    await client.closed;
    if (!unlucky && client.error !== "ECONNRESET" && client.error !== "EPIPE") {
      client.violate(`was to be reset, and heard ${client.error ?? "the end"}`);
    }
  },
  async vanish(client, random) {
    client.socket.write(header(MODE_ECHO, 0));
    client.socket.write(bytesAt(client.seed, 0, sizeFrom(random)));
    if (random() < 0.5) await sleep(random() * 10);
    if (random() < 0.5) client.socket.resetAndDestroy();
    else client.socket.destroy();
    await client.closed;
  },
};

/** What they do besides where the server is unlucky. */
const UNLUCKY_KINDS: typeof KINDS = {
  /** Sends much, and resets before it has come back. */
  async resetAtOnce(client, random) {
    const sent = client.write(
      Buffer.concat([header(MODE_ECHO, 0), bytesAt(client.seed, 0, 65_536)]),
    );
    if (random() < 0.7) await Promise.race([sent, client.closed]);
    client.socket.resetAndDestroy();
    await client.closed;
  },
  /** Says nothing more, and does not end either. */
  async silent(client) {
    client.socket.write(header(MODE_ECHO, 0));
    await client.finished;
    client.socket.destroy();
    await client.closed;
  },
  /** Sends far more than a server that does not read can take. */
  async flood(client, random) {
    client.socket.write(header(MODE_DEAF, 0));
    const bytes = Buffer.alloc(100_000);
    for (let i = 0; i < 40; i++) client.socket.write(bytes);
    await Promise.race([client.closed, sleep(50 + random() * 100)]);
    client.socket.resetAndDestroy();
    await client.closed;
  },
};

async function work(number: number): Promise<void> {
  const random = randomFrom(seed * 1000 + number);
  const all = unlucky ? { ...KINDS, ...UNLUCKY_KINDS } : KINDS;
  const kinds = Object.keys(all);
  while (performance.now() < end && violations.length === 0) {
    const kind = kinds[Math.floor(random() * kinds.length)] as string;
    const client = new Client(kind, ++streams);
    const timer = setTimeout(() => {
      client.violate(`hangs after ${client.received} bytes`);
      client.socket.destroy();
    }, HANGS_MS);
    await all[kind]?.(client, random);
    clearTimeout(timer);
    done[kind] = (done[kind] ?? 0) + 1;
  }
}

const say = () =>
  void process.send?.({ done, bytes, violations, counted: {} } satisfies ClientState);
process.on("message", say);
process.on("disconnect", () => process.exit());
await Promise.all(Array.from({ length: workers }, (_, number) => work(number)));
say();
process.disconnect?.();
