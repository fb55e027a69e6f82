/**
 * Ten thousand connections from one thread: each sends a message in three parts, and each part must
 * come back before the next one goes.
 *
 *     node dist/examples/12-many-socket-client.js [port] [count] [host]
 *
 * Any echo server will do that is not on select(), such as `05-epoll-edge.js 10000` or
 * `polloi serve --port 10000 --quiet`. Follows text 4, its client. What the original got wrong:
 * - The usual limit of 1024 descriptors stopped it half-way, without a word about the limit.
 * - It received from one socket after the other, blocking: the slowest held up all of them.
 * - What one `recv` gave was taken for the whole answer, and `send` for having sent all.
 * - A connect that failed ended it with a stack trace, after any number of connects.
 * - Sockets whose server had closed were printed as closing, to stdout with the stream's name beside
 *   it, and never closed; nor was any other.
 */
import { readFileSync } from "node:fs";
import { EPOLLIN, Epoll } from "polloi/select";
import { createConnection, type Socket } from "polloi/socket";
import { numberArgument, portArgument } from "./command-line.ts";

const MESSAGES = ["This is the message. ", "It will be sent ", "in parts."];
/** What a runtime has open for itself, generously. */
const OTHER_DESCRIPTORS = 100;

const port = portArgument(10_000, 1);
const count = numberArgument({ at: 2, usual: 10_000, least: 1 });
const host = process.argv[4] ?? "127.0.0.1";

if (descriptorLimit() < count + OTHER_DESCRIPTORS) {
  console.error(
    `Cannot open ${count} sockets: this process may open ${descriptorLimit()} descriptors; ` +
      `raise the limit (ulimit -n ${count + OTHER_DESCRIPTORS}) or ask for fewer`,
  );
  process.exit(1);
}

console.log(`connecting ${count} sockets to ${host}:${port}`);
using epoll = new Epoll();
const sockets = new Map<number, Socket>();
for (let i = 0; i < count; i++) {
  const socket = await connect(i + 1);
  socket.setBlocking(false);
  sockets.set(socket.fileno(), socket);
  epoll.register(socket, EPOLLIN);
}

let received = 0;
for (const message of MESSAGES) {
  console.log(`sending "${message}" on each`);
  for (const socket of sockets.values()) {
    // A few bytes into an empty buffer: if they do not fit, something is wrong.
    if (socket.send(message) !== message.length) throw new Error("a few bytes were not taken");
  }
  receiveFromAll(message);
}

for (const socket of sockets.values()) socket.close();
console.log(`received ${received} bytes, every one as it was sent`);

async function connect(number: number): Promise<Socket> {
  try {
    return await createConnection({ host, port });
  } catch (error) {
    console.error(`Cannot connect socket ${number} of ${count}: ${(error as Error).message}`);
    process.exit(1);
  }
}

/** Receives until each socket has had all of `message` back. */
function receiveFromAll(message: string): void {
  const expected = Buffer.from(message);
  const missing = new Map([...sockets.keys()].map((fd) => [fd, expected]));
  while (missing.size > 0) {
    for (const [fd] of epoll.poll()) {
      const rest = missing.get(fd);
      const bytes = sockets.get(fd)?.recv(1024);
      if (bytes === null || bytes === undefined) continue;
      if (bytes.length === 0) throw new Error("the server closed a connection");
      if (rest === undefined || !rest.subarray(0, bytes.length).equals(bytes)) {
        throw new Error(`the server answered ${JSON.stringify(Buffer.from(bytes).toString())}`);
      }
      received += bytes.length;
      if (bytes.length === rest.length) missing.delete(fd);
      else missing.set(fd, rest.subarray(bytes.length));
    }
  }
}

/** How many descriptors this process may have open. */
function descriptorLimit(): number {
  const [, soft] = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}
