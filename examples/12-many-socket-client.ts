/**
 * Ten thousand connections from one thread: each sends a message in three parts, and each part must
 * be echoed before the next one is sent.
 *
 *     node dist/examples/12-many-socket-client.js [port] [count] [host]
 *
 * The server can be any echo server that does not use select(), such as `05-epoll-edge.js 10000` or
 * `polloi serve --port 10000 --quiet`. Follows text 4, its client. Faults of the original:
 * - The default limit of 1024 descriptors stopped it part-way, without naming the limit.
 * - It received from one socket after the other with blocking calls: the slowest delayed all of them.
 * - It treated the result of one `recv` as the whole answer, and assumed that `send` had sent everything.
 * - A failed connect ended it with a stack trace, after any number of connects.
 * - Sockets whose server had closed were reported as closing, on stdout instead of stderr, and never closed;
 *   nor was any other.
 */
import { readFileSync } from "node:fs";
import { EPOLLIN, Epoll } from "polloi/select";
import { createConnection, type Socket } from "polloi/socket";
import { numberArgument, portArgument } from "./command-line.ts";

const MESSAGES = ["This is the message. ", "It will be sent ", "in parts."];
/** An upper estimate of the descriptors that the runtime itself has open. */
const OTHER_DESCRIPTORS = 100;

const port = portArgument(10_000, 1);
const count = numberArgument({ at: 2, default: 10_000, least: 1 });
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
    // A few bytes always fit into an empty send buffer.
    if (socket.send(message) !== message.length)
      throw new Error("a short message was not sent whole");
  }
  receiveFromAll(message);
}

for (const socket of sockets.values()) socket.close();
console.log(`received ${received} bytes, all as they were sent`);

async function connect(number: number): Promise<Socket> {
  try {
    return await createConnection({ host, port });
  } catch (error) {
    console.error(`Cannot connect socket ${number} of ${count}: ${(error as Error).message}`);
    process.exit(1);
  }
}

/** Receives until `message` was echoed on each socket. */
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
