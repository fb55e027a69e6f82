/** The soak's server: polloi, told what to do by the first bytes of each connection. */
import { readdirSync } from "node:fs";
import process from "node:process";
import {
  type Connection,
  type EngineChoice,
  type Listener,
  Reactor,
  type Trigger,
} from "../../src/index.ts";
import { loopOf } from "../../src/reactor/reactor.ts";
import { assertReactorBalance, leftIn } from "../support/balance.ts";
import { Misfortunes } from "./misfortunes.ts";
import { bytesAt, HEADER_BYTES, MODE_DEAF, MODE_ECHO, MODE_RESET, MODE_SERVE } from "./protocol.ts";
import type { ServerState } from "./state.ts";

interface Session {
  header: Buffer;
  mode: number;
  length: number;
  received: number;
}

const [engine, trigger, zeroCopy, seed] = process.argv.slice(2) as [
  EngineChoice,
  Trigger | "none",
  string,
  string,
];
/** Without a seed for them there are none. */
const misfortunes = seed === "" ? undefined : new Misfortunes(Number(seed));
const reactor = new Reactor({
  engine,
  trigger: trigger === "none" ? undefined : trigger,
  ...(misfortunes === undefined ? {} : { kernel: misfortunes.kernel }),
});
/** With misfortunes it is shorter than a stall, which is to make no peer idle whose bytes have arrived. */
const IDLE_MS = misfortunes === undefined ? 20_000 : 300;
/** How many peers may be called idle just when their bytes arrive: more at once are those of a stall. */
const MAX_UNLUCKY = 3;
/** How much the reactor may keep of what a paused connection was sent. */
const MAX_DEFERRED_BYTES = 131_072;
/** Errors that the clients or the misfortunes bring about. */
const EXPECTED =
  misfortunes === undefined
    ? ["ECONNRESET", "EPIPE"]
    : ["ECONNRESET", "EPIPE", "EIO", "ENOBUFS", "ENOMEM"];
const failures: string[] = [];
let unlucky = 0;
let unluckyAt = 0;
let accepted = 0;
let bytesMoved = 0;

function serve(connection: Connection<Session>, { length }: Session): void {
  connection.write(bytesAt(length, 0, length));
  connection.close();
}

/** Takes the header off, and does what it says. @returns What follows it. */
function begin(connection: Connection<Session>, bytes: Uint8Array): Uint8Array {
  const session = connection.data;
  const missing = HEADER_BYTES - session.header.length;
  session.header = Buffer.concat([session.header, bytes.subarray(0, missing)]);
  if (session.header.length < HEADER_BYTES) return bytes.subarray(bytes.length);
  session.mode = session.header[0] as number;
  session.length = session.header.readUInt32LE(1);
  if (session.mode === MODE_SERVE) serve(connection, session);
  return bytes.subarray(missing);
}

const options = {
  host: "127.0.0.1",
  zeroCopy: zeroCopy === "lent",
  idleTimeoutMs: IDLE_MS,
  open: (connection: Connection<Session>) => {
    accepted++;
    open++;
    connection.data = { header: Buffer.alloc(0), mode: 0, length: 0, received: 0 };
  },
  data: (connection: Connection<Session>, bytes: Uint8Array) => {
    misfortunes?.handled();
    const session = connection.data;
    bytesMoved += bytes.length;
    let rest = bytes;
    if (session.mode === 0) rest = begin(connection, bytes);
    session.received += rest.length;
    if (session.mode === MODE_ECHO && rest.length > 0 && !connection.write(rest)) {
      connection.pause();
    }
    if (session.mode === MODE_RESET && session.received >= session.length) connection.reset();
    if (session.mode === MODE_DEAF) connection.pause();
  },
  drain: (connection: Connection<Session>) => connection.resume(),
  ...(misfortunes === undefined ? {} : { timeout: idled, acceptError: () => {} }),
  close: (_connection: Connection<Session>, error?: Error) => {
    open--;
    // Clients reset and vanish; anything else is this side's fault.
    const code = (error as { code?: string } | undefined)?.code;
    if (error !== undefined && !EXPECTED.includes(code ?? "")) failed(error.message);
  },
};
let open = 0;
let listener: Listener = reactor.listen<Session>({ ...options, port: 0 });
const { port } = listener;
misfortunes?.begin(reactor, {
  restart() {
    listener.close();
    listener = reactor.listen<Session>({ ...options, port });
  },
});

function failed(what: string): void {
  if (failures.length < 20) failures.push(what);
}

/** Nothing came for long: neither may anything have arrived that nobody has read. */
function idled(connection: Connection<Session>): void {
  if (!connection.paused && connection.unreadBytes > 0) {
    const now = performance.now();
    unlucky = now - unluckyAt < IDLE_MS / 2 ? unlucky + 1 : 1;
    unluckyAt = now;
    if (unlucky > MAX_UNLUCKY) failed("a peer was called idle although its bytes had arrived");
  }
  connection.reset();
}

function balance(): Record<string, number> {
  const counts = loopOf(reactor).balance();
  const { deferred, deferredBytes } = counts;
  if (deferred !== undefined && deferredBytes !== undefined) {
    if (deferredBytes > deferred * MAX_DEFERRED_BYTES) {
      failed(`${deferredBytes} bytes are kept for ${deferred} paused connections`);
    }
  } else if (reactor.engine === "io_uring") {
    failed("the engine does not count the input of paused connections");
  }
  return Object.fromEntries(leftIn(counts));
}

// Deferred bytes come and go between two questions.
if (misfortunes !== undefined) setInterval(balance, 20).unref();

process.on("message", (what) => {
  (globalThis as { gc?: () => void }).gc?.();
  if (what === "calm") misfortunes?.end();
  if (what === "stop") {
    listener.close();
    try {
      assertReactorBalance(reactor);
    } catch (error) {
      failed((error as Error).message);
    }
  }
  const state: ServerState = {
    ports: [port],
    connections: open,
    accepted,
    bytes: bytesMoved,
    // Less the one that reads the folder.
    descriptors: readdirSync("/proc/self/fd").length - 1,
    residentBytes: process.memoryUsage.rss(),
    failures,
    balance: balance(),
    counted: misfortunes?.counts ?? {},
  };
  process.send?.(state);
});
process.on("disconnect", () => process.exit());
