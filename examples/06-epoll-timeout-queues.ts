/**
 * An echo server on epoll with a timeout and queues: each connection is watched for its next step: reading, writing or
 * both.
 *
 *     node dist/examples/06-epoll-timeout-queues.js [port]        nc 127.0.0.1 8888
 *
 * Follows text 5, its server. Faults of the original:
 * - The end of a stream was not handled: empty data were not put into the queue, the descriptor
 *   stayed registered, and epoll reported it as readable in every call.
 * - `send` may send only part of a message; the rest was lost.
 * - It printed `data`, the last message of another client, instead of the message that it sent.
 * - It did not read while it wrote, and the queue of a closed connection was not deleted.
 * - EPOLLERR, and the exception of a reset, were not handled.
 */
import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, Epoll, SysError } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

const TIMEOUT_MS = 10_000;
/** A peer is not read from while this many messages are queued for it. */
const FULL = 64;

interface Connection {
  readonly socket: Socket;
  readonly queue: Uint8Array[];
  /** The peer has ended its half; queued messages are still sent. */
  ended: boolean;
  /** The events that epoll watches for. */
  interest: number;
}

const port = portArgument(8888);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<number, Connection>();
using epoll = new Epoll();
epoll.register(server, EPOLLIN);

while (true) {
  const ready = epoll.poll(TIMEOUT_MS);
  if (ready.length === 0) console.log(`nothing happened in ${TIMEOUT_MS / 1000} s`);
  for (const [fd, events] of ready) {
    const connection = connections.get(fd);
    if (connection === undefined) accept();
    else serve(connection, events);
  }
}

function accept(): void {
  const accepted = server.accept();
  if (accepted === null) return;
  const { socket, address } = accepted;
  console.log(`${formatAddress(address)} connected`);
  connections.set(socket.fileno(), { socket, queue: [], ended: false, interest: EPOLLIN });
  epoll.register(socket, EPOLLIN);
}

function serve(connection: Connection, events: number): void {
  try {
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) {
      // Both halves are closed: no answer can be sent.
      hangUp(connection);
      return;
    }
    if ((events & EPOLLIN) !== 0) receive(connection);
    if ((events & EPOLLOUT) !== 0) sendNext(connection);
    watch(connection);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(connection);
  }
}

function receive(connection: Connection): void {
  const message = connection.socket.recv(1024);
  if (message === null) return;
  if (message.length > 0) connection.queue.push(message);
  else connection.ended = true;
}

function sendNext({ socket, queue }: Connection): void {
  const [message] = queue;
  if (message === undefined) return;
  const sent = socket.send(message) ?? 0;
  if (sent < message.length) queue[0] = message.subarray(sent);
  else queue.shift();
}

/** Watches for the events of the connection's next step. */
function watch(connection: Connection): void {
  const { socket, queue, ended } = connection;
  const reads = !ended && queue.length < FULL ? EPOLLIN : 0;
  const writes = queue.length > 0 ? EPOLLOUT : 0;
  const interest = reads | writes;
  if (interest === 0) hangUp(connection);
  else if (interest !== connection.interest) epoll.modify(socket, interest);
  connection.interest = interest;
}

function hangUp({ socket }: Connection): void {
  connections.delete(socket.fileno());
  epoll.unregister(socket);
  socket.close();
}
