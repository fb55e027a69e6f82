/**
 * An echo server on poll(): no limit of 1024 descriptors, and a list that the kernel scans in every call.
 *
 *     node dist/examples/03-poll-echo.js [port]        nc 127.0.0.1 7788
 *
 * Follows text 1, which mentions poll beside select and epoll and has no program for it. Faults of
 * a literal translation of its select program:
 * - poll() returns numbers, not objects, so a map from each number to its connection is needed.
 * - POLLHUP and POLLERR are reported without being requested, in every call: a loop that checks only POLLIN spins.
 * - A descriptor that is closed before it is unregistered is reported with POLLNVAL in every call.
 */
import { POLLERR, POLLIN, POLLOUT, Poll, SysError } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

interface Connection {
  readonly socket: Socket;
  /** Bytes that are queued for it. It is not read from until they are sent. */
  unsent: Uint8Array;
}

const port = portArgument(7788);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<number, Connection>();
const poll = new Poll();
poll.register(server, POLLIN);

while (true) {
  for (const [fd, events] of poll.poll()) {
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
  connections.set(socket.fileno(), { socket, unsent: new Uint8Array() });
  poll.register(socket, POLLIN);
}

function serve(connection: Connection, events: number): void {
  try {
    if ((events & POLLERR) !== 0) hangUp(connection);
    else if ((events & POLLOUT) !== 0) echo(connection, connection.unsent);
    // POLLIN or POLLHUP: in both cases there are bytes or an end to receive.
    else receive(connection);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(connection);
  }
}

function receive(connection: Connection): void {
  const bytes = connection.socket.recv(1024);
  if (bytes === null) return;
  if (bytes.length > 0) echo(connection, bytes);
  else hangUp(connection);
}

function echo(connection: Connection, bytes: Uint8Array): void {
  const sent = connection.socket.send(bytes) ?? 0;
  connection.unsent = bytes.subarray(sent);
  poll.modify(connection.socket, sent < bytes.length ? POLLOUT : POLLIN);
}

function hangUp({ socket }: Connection): void {
  connections.delete(socket.fileno());
  poll.unregister(socket);
  socket.close();
}
