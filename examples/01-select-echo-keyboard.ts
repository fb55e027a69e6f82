/**
 * An echo server on select() that stops when a line is entered: the keyboard is one more descriptor.
 *
 *     node dist/examples/01-select-echo-keyboard.js [port]        nc 127.0.0.1 7788
 *
 * Follows text 1, its first program. Faults of the original:
 * - `send` may send only part of the bytes; the rest was lost.
 * - `accept` and `send` could block the whole server: a connection can be reset between select() and accept(), and a
 *   peer may not read.
 * - With stdin at its end, as in the background, the first select() already ended the server.
 * - A reset by one peer ended it as well.
 */
import { readSync } from "node:fs";
import { SysError, select } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

const KEYBOARD = 0;

const port = portArgument(7788);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

/** The descriptors that select() watches for input. */
const readers = new Set<Socket | number>([server, KEYBOARD]);
/** Bytes that are queued for a connection. It is not read from until they are sent. */
const unsent = new Map<Socket, Uint8Array>();

let running = true;
while (running) {
  const [readable, writable] = select(readers, unsent.keys(), []);
  for (const ready of readable) {
    if (ready === server) accept();
    else if (typeof ready === "number") readKeyboard();
    else serve(ready, receive);
  }
  for (const socket of writable)
    serve(socket, (it) => echo(it, unsent.get(it) ?? new Uint8Array()));
}

function accept(): void {
  const accepted = server.accept();
  if (accepted === null) return;
  console.log(`${formatAddress(accepted.address)} connected`);
  readers.add(accepted.socket);
}

function readKeyboard(): void {
  running = readSync(KEYBOARD, Buffer.alloc(1024)) === 0;
  readers.delete(KEYBOARD);
}

function receive(socket: Socket): void {
  const bytes = socket.recv(1024);
  if (bytes === null) return;
  if (bytes.length > 0) echo(socket, bytes);
  else hangUp(socket);
}

function echo(socket: Socket, bytes: Uint8Array): void {
  const sent = socket.send(bytes) ?? 0;
  if (sent < bytes.length) {
    readers.delete(socket);
    unsent.set(socket, bytes.subarray(sent));
  } else {
    unsent.delete(socket);
    readers.add(socket);
  }
}

/** Performs one step for a connection, and closes it when the step fails: a reset affects only that connection. */
function serve(socket: Socket, step: (socket: Socket) => void): void {
  try {
    step(socket);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(socket);
  }
}

function hangUp(socket: Socket): void {
  readers.delete(socket);
  unsent.delete(socket);
  socket.close();
}
