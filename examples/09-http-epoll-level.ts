/**
 * "Hello, world!" over HTTP/1.0 on epoll, level-triggered: each connection receives, then sends, then
 * finishes, and no connection waits for another.
 *
 *     node dist/examples/09-http-epoll-level.js [port]        curl http://127.0.0.1:8080/
 *
 * Follows text 2, its second program. Faults of the original:
 * - A client that closed before its request was complete stayed readable, and was never handled as
 *   hung up: EPOLLIN and EPOLLHUP are reported together, and the first `elif` handled both.
 * - `shutdown(SHUT_RDWR)` with bytes unread resets the connection; the reset can overtake the response.
 * - A silent client kept its descriptor for ever, and a request could grow without limit.
 * - A reset by one client ended the server.
 */
import { EPOLLIN, EPOLLOUT, Epoll, SysError } from "polloi/select";
import { createServer, formatAddress, SHUT_WR, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

const TIMEOUT_MS = 5_000;
const MAX_REQUEST_BYTES = 16_384;

const BODY = "Hello, world!";
const RESPONSE = new TextEncoder().encode(
  [
    "HTTP/1.0 200 OK",
    "Date: Mon, 1 Jan 1996 01:01:01 GMT",
    "Content-Type: text/plain",
    `Content-Length: ${BODY.length}`,
    "",
    BODY,
  ].join("\r\n"),
);

interface Connection {
  readonly socket: Socket;
  /** The next step of the connection, called when it is ready. */
  step: (connection: Connection) => void;
  request: string;
  response: Uint8Array;
  readonly deadline: number;
}

const port = portArgument(8080);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const connections = new Map<number, Connection>();
using epoll = new Epoll();
epoll.register(server, EPOLLIN);

while (true) {
  for (const [fd] of epoll.poll(1000)) {
    const connection = connections.get(fd);
    if (connection === undefined) accept();
    else serve(connection);
  }
  closeExpired();
}

function accept(): void {
  const socket = server.accept()?.socket;
  if (socket === undefined) return;
  const deadline = performance.now() + TIMEOUT_MS;
  const connection = { socket, step: receive, request: "", response: RESPONSE, deadline };
  connections.set(socket.fileno(), connection);
  epoll.register(socket, EPOLLIN);
}

function serve(connection: Connection): void {
  try {
    connection.step(connection);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(connection);
  }
}

function receive(connection: Connection): void {
  const { socket } = connection;
  const bytes = socket.recv(1024);
  if (bytes === null) return;
  connection.request += new TextDecoder("latin1").decode(bytes);
  if (/\n\r?\n/.test(connection.request)) {
    console.log(`${"-".repeat(40)}\n${connection.request.trimEnd()}`);
    connection.step = send;
    epoll.modify(socket, EPOLLOUT);
  } else if (bytes.length === 0 || connection.request.length > MAX_REQUEST_BYTES) {
    hangUp(connection);
  }
}

function send(connection: Connection): void {
  const { socket, response } = connection;
  connection.response = response.subarray(socket.send(response) ?? 0);
  if (connection.response.length > 0) return;
  socket.shutdown(SHUT_WR);
  connection.step = finish;
  epoll.modify(socket, EPOLLIN);
}

/** Reads and drops input up to the client's end, so that no reset cuts off the response. */
function finish(connection: Connection): void {
  if (connection.socket.recv(65_536)?.length === 0) hangUp(connection);
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
