/**
 * An interactive client: the keyboard and the connection in one select(), so that everything that the server
 * sends is shown when it arrives.
 *
 *     node dist/examples/11-interactive-client.js [port] [host]        Ctrl-D ends it
 *
 * Follows the clients of text 3 and text 5. Faults of the originals:
 * - They waited for exactly one answer to each line, and treated the result of one `recv` as the whole answer: the
 *   rest of a long answer was shown with the next line, and unsolicited data was not shown at all.
 * - They did not detect that the server had closed: empty data were printed, line after line.
 * - A character whose bytes arrived in two parts could not be decoded. Here bytes are not decoded.
 * - The end of input ended them with an exception, or `close` followed an endless loop; the one
 *   of text 5 closed inside the loop, and failed at the second line.
 * - A refused or reset connection ended them with a stack trace.
 */
import { readSync, writeSync } from "node:fs";
import { type FileObject, select } from "polloi/select";
import { createConnection, SHUT_WR, type Socket } from "polloi/socket";
import { portArgument } from "./command-line.ts";

const KEYBOARD = 0;
const SCREEN = 1;

const port = portArgument(9000, 1);
const host = process.argv[3] ?? "localhost";
using socket = await connect();
socket.setBlocking(false);

const typed = Buffer.alloc(16_384);
/** Input that is not sent yet. The keyboard is not read until it is. */
let unsent: Uint8Array = new Uint8Array();
/** Output that is not shown yet. The server is not read from until it is. */
let unshown: Uint8Array = new Uint8Array();
let typing = true;
let answering = true;

while (answering || unshown.length > 0) {
  const readers: FileObject[] = [];
  const writers: FileObject[] = [];
  if (unsent.length > 0) writers.push(socket);
  else if (typing) readers.push(KEYBOARD);
  if (unshown.length > 0) writers.push(SCREEN);
  else readers.push(socket);

  const [readable, writable] = select(readers, writers, []);
  if (readable.includes(KEYBOARD)) readKeyboard();
  else if (writable.includes(socket)) send(unsent);
  if (readable.includes(socket)) receive();
  else if (writable.includes(SCREEN)) show(unshown);
}

async function connect(): Promise<Socket> {
  try {
    return await createConnection({ host, port });
  } catch (error) {
    fail(`Cannot connect to ${host} port ${port}`, error);
  }
}

function fail(what: string, error: unknown): never {
  console.error(`${what}: ${(error as Error).message}`);
  process.exit(1);
}

function readKeyboard(): void {
  const length = readSync(KEYBOARD, typed);
  typing = length > 0;
  if (typing) send(typed.subarray(0, length));
  // The end of input. Answers that the server still sends are shown.
  else socket.shutdown(SHUT_WR);
}

function send(bytes: Uint8Array): void {
  try {
    unsent = bytes.subarray(socket.send(bytes) ?? 0);
  } catch (error) {
    fail("Cannot send", error);
  }
}

function receive(): void {
  try {
    const bytes = socket.recv(16_384);
    if (bytes === null) return;
    answering = bytes.length > 0;
    unshown = bytes;
  } catch (error) {
    fail("Cannot receive", error);
  }
}

function show(bytes: Uint8Array): void {
  unshown = bytes.subarray(writeSync(SCREEN, bytes));
}
