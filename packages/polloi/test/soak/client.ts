/** The clients of the soak test: node:net in a separate process, so that no bug of polloi hides another. */
import { connect, type Socket } from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { randomFrom } from "../support/faulty-kernel.ts";
import {
  bytesAt,
  differsAt,
  header,
  MODE_ECHO,
  MODE_PAUSED,
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
/** Whether faults are injected into the server. It may then cut off any connection, but no byte may be wrong. */
const faults = process.argv[8] === "faults";
const end = performance.now() + milliseconds;
/** A connection that takes longer than this is a violation. */
const HANGS_MS = faults ? 8000 : 15_000;

const done: Record<string, number> = {};
const violations: string[] = [];
let bytes = 0;
let streams = seed;

/** A size just below or above the size of some buffer, most often a small one. */
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
  /** Resolves when the server sends no more, for any reason. */
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
    // With faults the server may cut it off, but must not send bytes that it did not receive.
    if (faults && this.received <= length) return;
    if (this.received !== length) this.violate(`${this.received} of ${length} bytes were received`);
    if (!this.ended) this.violate("the end was not received");
    if (this.error !== undefined) this.violate(`failed with ${this.error}`);
  }
}

/** Pauses reading a few times. */
async function readSlowly(client: Client, random: () => number): Promise<void> {
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
    const slow = readSlowly(client, random);
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
    // The length of the answer is the seed of its bytes.
    (client as { seed: number }).seed = total;
    await client.write(header(MODE_SERVE, total));
    const slow = readSlowly(client, random);
    // A write to a connection that was reset consumes the error that a read would report. See tcp(7).
    const isQuiet = random() < 0.5;
    while (!isQuiet && !client.ended && client.error === undefined && random() < 0.9) {
      if (random() < 0.7) client.socket.write(Buffer.alloc(Math.floor(random() * 50_000)));
      else await sleep(random() * 5);
    }
    await slow;
    if (!client.ended) await client.finished;
    client.socket.end();
    await client.closed;
    if (client.received !== total && !faults) {
      client.violate(`${client.received} of ${total} bytes were received`);
    }
    // An answer that is cut off must not look complete.
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
    if (!faults && client.error !== "ECONNRESET" && client.error !== "EPIPE") {
      client.violate(`expected a reset, received ${client.error ?? "the end"}`);
    }
  },
  async disconnect(client, random) {
    client.socket.write(header(MODE_ECHO, 0));
    client.socket.write(bytesAt(client.seed, 0, sizeFrom(random)));
    if (random() < 0.5) await sleep(random() * 10);
    if (random() < 0.5) client.socket.resetAndDestroy();
    else client.socket.destroy();
    await client.closed;
  },
};

/** The additional kinds of clients with faults. */
const FAULT_KINDS: typeof KINDS = {
  /** Sends 64 KiB, and resets before it is echoed. */
  async resetAtOnce(client, random) {
    const sent = client.write(
      Buffer.concat([header(MODE_ECHO, 0), bytesAt(client.seed, 0, 65_536)]),
    );
    if (random() < 0.7) await Promise.race([sent, client.closed]);
    client.socket.resetAndDestroy();
    await client.closed;
  },
  /** Sends nothing more, and does not end either. */
  async silent(client) {
    client.socket.write(header(MODE_ECHO, 0));
    await client.finished;
    client.socket.destroy();
    await client.closed;
  },
  /** Sends far more than fits into the buffers of a server that does not read. */
  async flood(client, random) {
    client.socket.write(header(MODE_PAUSED, 0));
    const bytes = Buffer.alloc(100_000);
    for (let i = 0; i < 40; i++) client.socket.write(bytes);
    await Promise.race([client.closed, sleep(50 + random() * 100)]);
    client.socket.resetAndDestroy();
    await client.closed;
  },
};

async function work(number: number): Promise<void> {
  const random = randomFrom(seed * 1000 + number);
  const all = faults ? { ...KINDS, ...FAULT_KINDS } : KINDS;
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

const report = () =>
  void process.send?.({ done, bytes, violations, counted: {} } satisfies ClientState);
process.on("message", report);
process.on("disconnect", () => process.exit());
await Promise.all(Array.from({ length: workers }, (_, number) => work(number)));
report();
process.disconnect?.();
