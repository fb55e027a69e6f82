/**
 * An echo server on epoll, edge-triggered: told once when something has become ready, so each time
 * everything is taken, until it would block. Nothing is ever modified.
 *
 *     node dist/examples/05-epoll-edge.js [port]        nc 127.0.0.1 7788
 *
 * Follows text 1, its second program, which asked for EPOLLET. What the original got wrong:
 * - It accepted one connection for each event: of two that come together, one waited for a third.
 * - It received once for each event: what was beyond 1024 bytes waited for more to come.
 * - It left its sockets blocking, so that taking everything would have hung.
 * - `selecte.EPOLLIN` failed at the first connection, and `events == EPOLLIN` missed a hang-up.
 */
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, Epoll, SysError } from "polloi/select";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

/** So many receives, and the others have their turn: a peer that never stops must not starve them. */
const BUDGET = 16;

interface Connection {
  readonly socket: Socket;
  /** Bytes that wait to be sent to it. Nothing more is read from it until they are sent. */
  unsent: Uint8Array;
}

const port = portArgument(7788);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<number, Connection>();
/** Who may have more to read, and will not be reported again. */
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
    // What is left unread is found when it can be sent to again: that is an edge too.
    if (!echo(connection, bytes)) return;
  }
  again.add(connection);
}

/** Returns whether all of it has gone. */
function echo(connection: Connection, bytes: Uint8Array): boolean {
  let rest = bytes;
  // Once more after a part was taken: only would-block promises that an edge will follow.
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
