/**
 * "Hello, world!" over HTTP/1.0 on epoll, edge-triggered, with TCP_CORK: head and body are two sends
 * and one packet.
 *
 *     node dist/examples/10-http-epoll-edge-cork.js [port]        curl http://127.0.0.1:8080/
 *
 * Follows text 2, its last sections, which describe the edge trigger and TCP_CORK in words. Points to get
 * right that they do not mention:
 * - An edge is reported once: accept, receive and send until they would block.
 * - A step that would block is continued at the next edge, so every step is tried at every edge.
 * - The cork must be cleared: otherwise the last partial segment is held back for 200 ms. Closing clears it too.
 * - TCP_NODELAY is not its opposite that "cuts packets into small ones": it sends queued bytes at once.
 */
import { EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, Epoll, SysError } from "polloi/select";
import { createServer, formatAddress, SHUT_WR, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

const TIMEOUT_MS = 5_000;
const MAX_REQUEST_BYTES = 16_384;

const encoder = new TextEncoder();
const BODY = encoder.encode("Hello, world!");
const HEAD = encoder.encode(
  [
    "HTTP/1.0 200 OK",
    "Date: Mon, 1 Jan 1996 01:01:01 GMT",
    "Content-Type: text/plain",
    `Content-Length: ${BODY.length}`,
    "\r\n",
  ].join("\r\n"),
);

interface Connection {
  readonly socket: Socket;
  request: string;
  /** The unsent parts of the response; undefined until the request is complete. */
  parts: Uint8Array[] | undefined;
  /** The client has ended its half, or has sent too much. */
  ended: boolean;
  readonly deadline: number;
}

const port = portArgument(8080);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<number, Connection>();
using epoll = new Epoll();
epoll.register(server, EPOLLIN | EPOLLET);

while (true) {
  for (const [fd] of epoll.poll(1000)) {
    const connection = connections.get(fd);
    if (connection === undefined) acceptAll();
    else serve(connection);
  }
  closeExpired();
}

function acceptAll(): void {
  for (;;) {
    const socket = server.accept()?.socket;
    if (socket === undefined) return;
    const deadline = performance.now() + TIMEOUT_MS;
    const connection = { socket, request: "", parts: undefined, ended: false, deadline };
    connections.set(socket.fileno(), connection);
    epoll.register(socket, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  }
}

function serve(connection: Connection): void {
  try {
    receiveAll(connection);
    if (connection.parts !== undefined) sendAll(connection, connection.parts);
    const answering = connection.parts !== undefined && connection.parts.length > 0;
    if (connection.ended && !answering) hangUp(connection);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(connection);
  }
}

/** Receives until it would block. Once the request is complete, further input is dropped. */
function receiveAll(connection: Connection): void {
  while (!connection.ended) {
    const bytes = connection.socket.recv(1024);
    if (bytes === null) return;
    connection.ended = bytes.length === 0;
    if (connection.parts !== undefined) continue;
    connection.request += new TextDecoder("latin1").decode(bytes);
    if (/\n\r?\n/.test(connection.request)) {
      console.log(`${"-".repeat(40)}\n${connection.request.trimEnd()}`);
      connection.socket.options.cork = true;
      connection.parts = [HEAD, BODY];
    } else if (connection.request.length > MAX_REQUEST_BYTES) {
      connection.ended = true;
    }
  }
}

/** Sends until it would block. */
function sendAll({ socket }: Connection, parts: Uint8Array[]): void {
  for (let part = parts[0]; part !== undefined; part = parts[0]) {
    const sent = socket.send(part);
    if (sent === null) return;
    if (sent < part.length) parts[0] = part.subarray(sent);
    else parts.shift();
    if (parts.length > 0) continue;
    socket.options.cork = false;
    socket.shutdown(SHUT_WR);
  }
}

function closeExpired(): void {
  const now = performance.now();
  // Connections are in the order of their deadlines, because all have the same timeout.
  for (const connection of connections.values()) {
    if (connection.deadline > now) return;
    hangUp(connection);
  }
}

function hangUp({ socket }: Connection): void {
  connections.delete(socket.fileno());
  epoll.unregister(socket);
  socket.close();
}
