/** The server of the soak test. The first bytes of each connection select what it does. */
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
import { Faults } from "./faults.ts";
import {
  bytesAt,
  HEADER_BYTES,
  MODE_ECHO,
  MODE_PAUSED,
  MODE_RESET,
  MODE_SERVE,
} from "./protocol.ts";
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
/** The injected faults, if there is a seed for them. */
const faults = seed === "" ? undefined : new Faults(Number(seed));
const reactor = new Reactor({
  engine,
  trigger: trigger === "none" ? undefined : trigger,
  ...(faults === undefined ? {} : { kernel: faults.kernel }),
});
/** With faults it is shorter than a stall: after a stall, a peer whose bytes have arrived must not be idle. */
const IDLE_MS = faults === undefined ? 20_000 : 300;
/** The idle timeouts that may fire just as bytes arrive. More at once are the consequence of a stall. */
const MAX_EARLY_TIMEOUTS = 3;
/** The most bytes that the reactor may keep for a paused connection. */
const MAX_DEFERRED_BYTES = 131_072;
/** Errors that the clients or the faults cause. */
const EXPECTED =
  faults === undefined
    ? ["ECONNRESET", "EPIPE"]
    : ["ECONNRESET", "EPIPE", "EIO", "ENOBUFS", "ENOMEM"];
const failures: string[] = [];
let earlyTimeouts = 0;
let earlyTimeoutAt = 0;
let accepted = 0;
let bytesMoved = 0;

function serve(connection: Connection<Session>, { length }: Session): void {
  connection.write(bytesAt(length, 0, length));
  connection.close();
}

/** Removes the header and sets the mode that it selects. @returns The bytes that follow it. */
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
    faults?.handled();
    const session = connection.data;
    bytesMoved += bytes.length;
    let rest = bytes;
    if (session.mode === 0) rest = begin(connection, bytes);
    session.received += rest.length;
    if (session.mode === MODE_ECHO && rest.length > 0 && !connection.write(rest)) {
      connection.pause();
    }
    if (session.mode === MODE_RESET && session.received >= session.length) connection.reset();
    if (session.mode === MODE_PAUSED) connection.pause();
  },
  drain: (connection: Connection<Session>) => connection.resume(),
  ...(faults === undefined ? {} : { timeout: idled, acceptError: () => {} }),
  close: (_connection: Connection<Session>, error?: Error) => {
    open--;
    // Clients reset and disconnect; any other error is a fault of the server.
    const code = (error as { code?: string } | undefined)?.code;
    if (error !== undefined && !EXPECTED.includes(code ?? "")) failed(error.message);
  },
};
let open = 0;
let listener: Listener = reactor.listen<Session>({ ...options, port: 0 });
const { port } = listener;
faults?.begin(reactor, {
  restart() {
    listener.close();
    listener = reactor.listen<Session>({ ...options, port });
  },
});

function failed(what: string): void {
  if (failures.length < 20) failures.push(what);
}

/** An idle timeout: no bytes may have arrived that were not read. */
function idled(connection: Connection<Session>): void {
  if (!connection.paused && connection.unreadBytes > 0) {
    const now = performance.now();
    earlyTimeouts = now - earlyTimeoutAt < IDLE_MS / 2 ? earlyTimeouts + 1 : 1;
    earlyTimeoutAt = now;
    if (earlyTimeouts > MAX_EARLY_TIMEOUTS)
      failed("a peer was called idle although its bytes had arrived");
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

// Deferred bytes change between two reports.
if (faults !== undefined) setInterval(balance, 20).unref();

process.on("message", (what) => {
  (globalThis as { gc?: () => void }).gc?.();
  if (what === "calm") faults?.end();
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
    // Without the descriptor that reads the folder.
    descriptors: readdirSync("/proc/self/fd").length - 1,
    residentBytes: process.memoryUsage.rss(),
    failures,
    balance: balance(),
    counted: faults?.counts ?? {},
  };
  process.send?.(state);
});
process.on("disconnect", () => process.exit());
