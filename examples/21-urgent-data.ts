/**
 * A server that receives urgent data: through the third set of select(), by EPOLLPRI, or in the stream.
 *
 *     node dist/examples/21-urgent-data.js [port] [select | epoll | inline]
 *
 * It counts what each client sends, and answers an urgent byte at once. To send one from Python:
 * `s.send(b"!", socket.MSG_OOB)`.
 *
 * Follows text 3, which gives select() a third set. Faults of the original:
 * - It took that set for connections with errors, and closed them. A socket with an error is readable: the
 *   receive reports the error. The third set is for urgent data, so one urgent byte closed the connection.
 * - It waited for urgent data and never received any.
 *
 * Points to get right:
 * - Only one byte is urgent: the last one of a send with MSG_OOB. A second one that arrives before the first
 *   was received replaces it.
 * - The notification may arrive before the byte: then the receive would block, and is retried.
 */
import { EPOLLIN, EPOLLPRI, Epoll, SysError, select } from "polloi/select";
import { createServer, formatAddress, MSG_OOB, type Socket } from "polloi/socket";
import { orExit, portArgument, wordArgument } from "./command-line.ts";

interface Client {
  readonly socket: Socket;
  received: number;
}

const port = portArgument(7788);
const mode = wordArgument(2, ["select", "epoll", "inline"]);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

const clients = new Map<number, Client>();
if (mode === "select") serveWithSelect();
else serveWithEpoll();

function serveWithSelect(): void {
  while (true) {
    const sockets = [...clients.values()].map(({ socket }) => socket);
    const [readable, , urgent] = select([server, ...sockets], [], sockets);
    for (const socket of urgent) step(socket.fileno(), receiveUrgent);
    for (const socket of readable) {
      if (socket === server) accept();
      else step(socket.fileno(), receive);
    }
  }
}

function serveWithEpoll(): void {
  using epoll = new Epoll();
  epoll.register(server, EPOLLIN);
  while (true) {
    for (const [fd, events] of epoll.poll()) {
      if (fd === server.fileno()) {
        const socket = accept();
        // With SO_OOBINLINE an urgent byte is received with the other data, so EPOLLPRI is not needed.
        if (socket !== null)
          epoll.register(socket, mode === "inline" ? EPOLLIN : EPOLLIN | EPOLLPRI);
        continue;
      }
      if ((events & EPOLLPRI) !== 0 && mode !== "inline") step(fd, receiveUrgent);
      // EPOLLERR and EPOLLHUP as well: the receive reports the error.
      if ((events & ~EPOLLPRI) !== 0) step(fd, receive);
    }
  }
}

function accept(): Socket | null {
  const accepted = server.accept();
  if (accepted === null) return null;
  const { socket } = accepted;
  if (mode === "inline") socket.options.oobInline = true;
  clients.set(socket.fileno(), { socket, received: 0 });
  return socket;
}

/** Performs one step for a client, unless an earlier one of this turn has closed its connection. */
function step(fd: number, action: (client: Client) => void): void {
  const client = clients.get(fd);
  if (client === undefined) return;
  try {
    action(client);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    hangUp(client);
  }
}

function receiveUrgent({ socket }: Client): void {
  const byte = socket.recv(1, MSG_OOB);
  if (byte === null) return;
  answer(socket, `urgent ${quoted(byte)}`);
}

function receive(client: Client): void {
  const { socket } = client;
  // A receive stops before the urgent byte; with SO_OOBINLINE the next receive returns it.
  const isUrgent = mode === "inline" && socket.atMark();
  const bytes = socket.recv(isUrgent ? 1 : 1024);
  if (bytes === null) return;
  if (bytes.length === 0) {
    answer(socket, `${client.received} bytes`);
    hangUp(client);
    return;
  }
  if (isUrgent) answer(socket, `urgent ${quoted(bytes)} after ${client.received} bytes`);
  client.received += bytes.length;
  console.log(`received ${client.received} bytes`);
}

/** Sends a short line. It fits into an empty buffer; if the peer does not read, the line may be dropped. */
function answer(socket: Socket, line: string): void {
  console.log(line);
  socket.send(`${line}\n`);
}

function quoted(bytes: Uint8Array): string {
  return JSON.stringify(new TextDecoder().decode(bytes));
}

function hangUp({ socket }: Client): void {
  clients.delete(socket.fileno());
  socket.close();
}
