/**
 * A server on select() that answers in capitals, with a queue of messages for each connection.
 *
 *     node dist/examples/02-select-queues-upper.js [port]        nc 127.0.0.1 10000
 *
 * Follows text 3, both of its servers, and text 4, its two servers on select. Faults of the
 * originals:
 * - `send` may send only part of a message; the rest was lost.
 * - The short ones did not check for the end of a stream. Such a socket stays readable, so the loop spun.
 * - The complete ones dropped an ended connection without closing it. CPython closes a socket when its
 *   last reference is dropped; other implementations of Python close it later, or never.
 * - Its queue was deleted although the socket could still be among the writable ones of the same turn.
 * - A peer that had only finished sending lost the answers that were still in its queue.
 * - One of them sent every answer to the client that had connected last.
 * - A queue could grow without limit, and `get` on an empty queue blocked for ever. A reset by one peer ended
 *   all of them except the short one of text 4.
 */
import { SysError, select } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

/** A peer is not read from while this many messages are queued for it. */
const FULL = 64;

interface Connection {
  readonly queue: Uint8Array[];
  /** The peer has ended its half; queued messages are still sent. */
  ended: boolean;
}

const port = portArgument(10_000);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<Socket, Connection>();

while (true) {
  const readers = [server];
  const writers = [];
  for (const [socket, { queue, ended }] of connections) {
    if (!ended && queue.length < FULL) readers.push(socket);
    if (queue.length > 0) writers.push(socket);
  }
  const [readable, writable] = select(readers, writers, []);
  for (const socket of readable) {
    if (socket === server) accept();
    else serve(socket, receive);
  }
  for (const socket of writable) serve(socket, sendNext);
}

function accept(): void {
  const accepted = server.accept();
  if (accepted === null) return;
  console.log(`new connection from ${formatAddress(accepted.address)}`);
  connections.set(accepted.socket, { queue: [], ended: false });
}

function receive(socket: Socket, connection: Connection): void {
  const message = socket.recv(1024);
  if (message === null) return;
  if (message.length > 0) connection.queue.push(upper(message));
  else connection.ended = true;
  if (connection.ended && connection.queue.length === 0) hangUp(socket);
}

function sendNext(socket: Socket, { queue, ended }: Connection): void {
  const [message] = queue;
  if (message === undefined) return;
  const sent = socket.send(message) ?? 0;
  if (sent < message.length) queue[0] = message.subarray(sent);
  else queue.shift();
  if (ended && queue.length === 0) hangUp(socket);
}

/** Performs one step for a connection, unless an earlier one of this turn has closed it. */
function serve(socket: Socket, step: (socket: Socket, connection: Connection) => void): void {
  const connection = connections.get(socket);
  if (connection === undefined) return;
  try {
    step(socket, connection);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(socket);
  }
}

function hangUp(socket: Socket): void {
  connections.delete(socket);
  socket.close();
}

/** Bytes, not characters: a message may end in the middle of one. */
function upper(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte));
}
