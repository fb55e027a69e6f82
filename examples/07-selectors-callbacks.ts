/**
 * An echo server on selectors: what is to be called is kept with each registration, and the loop is
 * three lines.
 *
 *     node dist/examples/07-selectors-callbacks.js [port]        nc 127.0.0.1 10000
 *
 * Follows text 4, its server on selectors. What the original got wrong:
 * - `send` may take a part of the bytes only, the rest was lost; or none, which raised an exception.
 * - One peer's reset ended the server.
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

/** Until all of it has gone, the connection is waited for to take bytes, not to send any. */
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

/** Ends the connection when a step of it fails: a reset is the peer's own affair. */
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
