/**
 * An echo server on epoll that Ctrl-C ends cleanly: a signal is one more descriptor in the wait.
 *
 *     node dist/examples/20-epoll-ctrl-c.js [port]        nc 127.0.0.1 7788, then Ctrl-C here
 *
 * Follows text 2, whose programs are `try: while True: ... finally: serversocket.close()`. Points to get right:
 * - In Python Ctrl-C raises KeyboardInterrupt in the middle of the wait. JavaScript cannot be interrupted: the
 *   handlers of `process.on("SIGINT")` wait for the event loop, which never runs while this loop blocks the
 *   thread. `SignalFd` makes the signal an event of the loop instead.
 * - The original's `finally` closes the listener and the epoll set, but not the connections. Here every
 *   descriptor is closed, and SIGTERM, by which a service manager stops a server, ends it too.
 */
import { EPOLLIN, EPOLLOUT, Epoll, SignalFd, SysError } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

interface Connection {
  readonly socket: Socket;
  /** Bytes that are queued for it. It is not read from until they are sent. */
  unsent: Uint8Array;
}

const port = portArgument(7788);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
using signals = new SignalFd(["SIGINT", "SIGTERM"]);
using epoll = new Epoll();
epoll.register(server, EPOLLIN);
epoll.register(signals, EPOLLIN);
const connections = new Map<number, Connection>();
console.log(`listening on ${formatAddress(server.localAddress())}`);

try {
  for (let running = true; running; ) {
    for (const [fd, events] of epoll.poll()) {
      const connection = connections.get(fd);
      if (connection !== undefined) serve(connection, events);
      else if (fd === server.fileno()) accept();
      else running = signals.read() === null;
    }
  }
} finally {
  for (const connection of [...connections.values()]) hangUp(connection);
  console.log("stopped");
}

function accept(): void {
  const accepted = server.accept();
  if (accepted === null) return;
  const { socket } = accepted;
  connections.set(socket.fileno(), { socket, unsent: new Uint8Array() });
  epoll.register(socket, EPOLLIN);
}

function serve(connection: Connection, events: number): void {
  try {
    if ((events & EPOLLOUT) !== 0) echo(connection, connection.unsent);
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

function hangUp({ socket }: Connection): void {
  connections.delete(socket.fileno());
  // Before the close: a duplicate of the descriptor would keep it in the set.
  epoll.unregister(socket);
  socket.close();
}
