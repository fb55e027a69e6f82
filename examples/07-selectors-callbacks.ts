/**
 * An echo server on selectors: each registration has its callback, and the loop is three lines.
 *
 *     node dist/examples/07-selectors-callbacks.js [port]        nc 127.0.0.1 10000
 *
 * Follows text 4, its server on selectors. Faults of the original:
 * - `send` may send only part of the bytes, and the rest was lost; or none, which raised an exception.
 * - A reset by one peer ended the server.
 * - Between `listen` and `setblocking` an `accept` could have blocked.
 */
import { DefaultSelector, EVENT_READ, EVENT_WRITE, SysError } from "polloi/selectors";
import { createServer, formatAddress, type Socket } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

type Callback = (events: number) => void;

const port = portArgument(10_000);
using server = orExit(() => createServer({ host: "127.0.0.1", port, nonBlocking: true }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

using selector = new DefaultSelector<Callback>();
selector.register(server, EVENT_READ, accept);

while (true) {
  for (const [key, events] of selector.select()) key.data(events);
}

function accept(): void {
  const accepted = server.accept();
  if (accepted === null) return;
  const { socket, address } = accepted;
  console.log(`accepted ${formatAddress(address)}`);
  selector.register(socket, EVENT_READ, reading(socket));
}

function reading(socket: Socket): Callback {
  return guarded(socket, () => {
    const bytes = socket.recv(1024);
    if (bytes === null) return;
    if (bytes.length > 0) echo(socket, bytes);
    else hangUp(socket);
  });
}

/** Until all bytes are sent, the connection is watched for writing, not for reading. */
function echo(socket: Socket, bytes: Uint8Array): void {
  const rest = bytes.subarray(socket.send(bytes) ?? 0);
  if (rest.length === 0) selector.modify(socket, EVENT_READ, reading(socket));
  else
    selector.modify(
      socket,
      EVENT_WRITE,
      guarded(socket, () => echo(socket, rest)),
    );
}

/** Closes the connection when a step fails: a reset affects only that connection. */
function guarded(socket: Socket, step: () => void): Callback {
  return () => {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      hangUp(socket);
    }
  };
}

function hangUp(socket: Socket): void {
  selector.unregister(socket);
  socket.close();
}
