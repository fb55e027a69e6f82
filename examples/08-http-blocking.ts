/**
 * "Hello, world!" over HTTP/1.0 with blocking calls: one client at a time, while the others wait.
 *
 *     node dist/examples/08-http-blocking.js [port]        curl http://127.0.0.1:8080/
 *
 * Follows text 2, its first program. Faults of the original:
 * - A client that closed before its request was complete caused an endless loop of empty receives.
 * - A client that sent nothing, or never stopped, blocked the server for ever: no timeout, no limit.
 * - `send` may send only part of the response.
 * - It closed with bytes unread, which resets the connection, and the reset can overtake the response.
 * - A request that is not UTF-8 ended it when it was printed.
 */
import { createServer, formatAddress, SHUT_WR, type Socket, SysError } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

const TIMEOUT_MS = 5_000;
const MAX_REQUEST_BYTES = 16_384;

const BODY = "Hello, world!";
const RESPONSE = [
  "HTTP/1.0 200 OK",
  "Date: Mon, 1 Jan 1996 01:01:01 GMT",
  "Content-Type: text/plain",
  `Content-Length: ${BODY.length}`,
  "",
  BODY,
].join("\r\n");

const port = portArgument(8080);
using server = orExit(() => createServer({ host: "127.0.0.1", port }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

while (true) {
  const accepted = server.accept();
  if (accepted === null) continue;
  using socket = accepted.socket;
  socket.setTimeout(TIMEOUT_MS);
  try {
    const request = receiveRequest(socket);
    if (request === null) continue;
    console.log(`${"-".repeat(40)}\n${request.trimEnd()}`);
    socket.sendAll(RESPONSE);
    finish(socket);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    console.log(`${formatAddress(accepted.address)}: ${error.message}`);
  }
}

/** Receives up to the empty line. Returns null when the client ended before it, was too slow, or sent too much. */
function receiveRequest(socket: Socket): string | null {
  const decoder = new TextDecoder();
  const deadline = performance.now() + TIMEOUT_MS;
  let request = "";
  while (request.length < MAX_REQUEST_BYTES && performance.now() < deadline) {
    const bytes = socket.recv(1024);
    if (bytes === null || bytes.length === 0) return null;
    request += decoder.decode(bytes, { stream: true });
    if (/\n\r?\n/.test(request)) return request;
  }
  return null;
}

/** Ends the stream, then reads and drops input until the client has ended too, so that no reset cuts off the response. */
function finish(socket: Socket): void {
  socket.shutdown(SHUT_WR);
  const deadline = performance.now() + TIMEOUT_MS;
  while (socket.recv(65_536)?.length !== 0 && performance.now() < deadline);
}
