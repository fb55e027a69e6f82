/**
 * An echo server on epoll, level-triggered: the kernel keeps the list, and every wait reports each descriptor that is
 * ready.
 *
 *     node dist/examples/04-epoll-level.js [port]        nc 127.0.0.1 7788
 *
 * Follows text 1, its second program, which answered no client. Faults of the original:
 * - `selecte.EPOLLIN`: a typing mistake in a line that runs only when a client connects.
 * - `events == EPOLLIN` is false when the peer has hung up as well, so that its last bytes and its end
 *   were never received. Events are bits: test them with `&`.
 * - For the same reason it missed every reset: the connection stayed open, and its descriptor leaked.
 * - Closed connections stayed in `connections` and `addresses`.
 */
import { EPOLLERR, EPOLLIN, EPOLLOUT, Epoll, SysError } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  /** Bytes that are queued for it. It is not read from until they are sent. */
  unsent: Uint8Array;
}

const port = portArgument(7788);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<number, Connection>();
using epoll = new Epoll();
epoll.register(server, EPOLLIN);

while (true) {
  for (const [fd, events] of epoll.poll()) {
    const connection = connections.get(fd);
    if (connection === undefined) accept();
    else serve(connection, events);
  }
}

function accept(): void {
  const accepted = server.accept();
  if (accepted === null) return;
  const { socket } = accepted;
  const address = formatAddress(accepted.address);
  console.log(`${address} connected`);
  connections.set(socket.fileno(), { socket, address, unsent: new Uint8Array() });
  epoll.register(socket, EPOLLIN);
}

function serve(connection: Connection, events: number): void {
  try {
    if ((events & EPOLLERR) !== 0) hangUp(connection);
    else if ((events & EPOLLOUT) !== 0) echo(connection, connection.unsent);
    // EPOLLIN or EPOLLHUP: in both cases there are bytes or an end to receive.
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
  epoll.modify(connection.socket, sent < bytes.length ? EPOLLOUT : EPOLLIN);
}

function hangUp({ socket, address }: Connection): void {
  console.log(`${address} disconnected`);
  connections.delete(socket.fileno());
  // Before the close: a duplicate of the descriptor would keep it in the set.
  epoll.unregister(socket);
  socket.close();
}
