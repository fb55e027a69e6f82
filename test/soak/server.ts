/** The soak's server: polloi, told what to do by the first bytes of each connection. */
import { readdirSync } from "node:fs";
import process from "node:process";
import { type Connection, type EngineChoice, Reactor, type Trigger } from "../../src/index.ts";
import { bytesAt, HEADER_BYTES, MODE_ECHO, MODE_RESET, MODE_SERVE } from "./protocol.ts";
import type { ServerState } from "./state.ts";

interface Session {
  header: Buffer;
  mode: number;
  length: number;
  received: number;
}

const [engine, trigger, zeroCopy] = process.argv.slice(2) as [
  EngineChoice,
  Trigger | "none",
  string,
];
const reactor = new Reactor({ engine, trigger: trigger === "none" ? undefined : trigger });
const failures: string[] = [];
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

const listener = reactor.listen<Session>({
  host: "127.0.0.1",
  port: 0,
  zeroCopy: zeroCopy === "lent",
  idleTimeoutMs: 20_000,
  open: (connection) => {
    accepted++;
    connection.data = { header: Buffer.alloc(0), mode: 0, length: 0, received: 0 };
  },
  data: (connection, bytes) => {
    const session = connection.data;
    bytesMoved += bytes.length;
    let rest = bytes;
    if (session.mode === 0) rest = begin(connection, bytes);
    session.received += rest.length;
    if (session.mode === MODE_ECHO && rest.length > 0 && !connection.write(rest)) {
      connection.pause();
    }
    if (session.mode === MODE_RESET && session.received >= session.length) connection.reset();
  },
  drain: (connection) => connection.resume(),
  close: (_connection, error) => {
    // Clients reset and vanish; anything else is this side's fault.
    const code = (error as { code?: string } | undefined)?.code;
    if (error !== undefined && code !== "ECONNRESET" && code !== "EPIPE") {
      failures.push(String(error.message));
    }
  },
});

process.on("message", () => {
  (globalThis as { gc?: () => void }).gc?.();
  const state: ServerState = {
    ports: [listener.port],
    connections: listener.connections,
    accepted,
    bytes: bytesMoved,
    // Less the one that reads the folder.
    descriptors: readdirSync("/proc/self/fd").length - 1,
    residentBytes: process.memoryUsage.rss(),
    failures,
    counted: {},
  };
  process.send?.(state);
});
process.on("disconnect", () => process.exit());
