/**
 * An echo server on epoll, edge-triggered: each change to ready is reported once, so each step continues until it would
 * block. No registration is ever modified.
 *
 *     node dist/examples/05-epoll-edge.js [port]        nc 127.0.0.1 7788
 *
 * Follows text 1, its second program, which used EPOLLET. Faults of the original:
 * - It accepted one connection for each event: of two that arrived together, one waited for a third.
 * - It received once for each event: bytes beyond the first 1024 waited until more arrived.
 * - It left its sockets blocking, so that reading everything would have blocked the server.
 * - `selecte.EPOLLIN` failed at the first connection, and `events == EPOLLIN` missed a hang-up.
 */
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, Epoll, SysError } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

/** The number of receives in one turn: a peer that never stops sending must not starve the others. */
const BUDGET = 16;

interface Connection {
  readonly socket: Socket;
  /** Bytes that are queued for it. It is not read from until they are sent. */
  unsent: Uint8Array;
}

const port = portArgument(7788);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<number, Connection>();
/** Connections that may have more to read, and will not be reported again. */
let again = new Set<Connection>();
using epoll = new Epoll();
epoll.register(server, EPOLLIN | EPOLLET);

while (true) {
  const ready = again;
  again = new Set();
  for (const [fd] of epoll.poll(ready.size > 0 ? 0 : undefined)) {
    const connection = connections.get(fd);
    if (connection === undefined) acceptAll();
    else ready.add(connection);
  }
  for (const connection of ready) serve(connection);
}

function acceptAll(): void {
  for (;;) {
    const accepted = server.accept();
    if (accepted === null) return;
    const { socket } = accepted;
    connections.set(socket.fileno(), { socket, unsent: new Uint8Array() });
    epoll.register(socket, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  }
}

function serve(connection: Connection): void {
  try {
    if (echo(connection, connection.unsent)) receiveAll(connection);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(connection);
  }
}

function receiveAll(connection: Connection): void {
  for (let i = 0; i < BUDGET; i++) {
    const bytes = connection.socket.recv(16_384);
    if (bytes === null) return;
    if (bytes.length === 0) {
      hangUp(connection);
      return;
    }
    // The rest is read when the socket becomes writable again, which is an edge too.
    if (!echo(connection, bytes)) return;
  }
  again.add(connection);
}

/** Returns whether all bytes were sent. */
function echo(connection: Connection, bytes: Uint8Array): boolean {
  let rest = bytes;
  // Again after a partial send: only would-block guarantees that an edge will follow.
  while (rest.length > 0) {
    const sent = connection.socket.send(rest);
    if (sent === null) break;
    rest = rest.subarray(sent);
  }
  connection.unsent = rest;
  return rest.length === 0;
}

function hangUp({ socket }: Connection): void {
  connections.delete(socket.fileno());
  epoll.unregister(socket);
  socket.close();
}
