/**
 * An echo server on an io_uring: the program submits operations and receives their completions, instead of waiting for
 * readiness. One multishot accept serves all connections, and one multishot receive all input of a connection.
 *
 *     node dist/examples/15-uring-echo.js [port]        nc 127.0.0.1 7788
 *
 * Follows text 1, its second program, changed from readiness to completions. Points to get right:
 * - The kernel chooses the buffer of each receive. It is not available to other connections until it is released,
 *   so received bytes are copied and the buffer is released at once.
 * - The queue of a peer that does not read must not grow without limit: past a limit, its receive is cancelled.
 * - A receive ends with ENOBUFS when no buffer was free. It is submitted again; all buffers are released by then.
 * - A descriptor is closed only when no operation uses it: its number may be reused at once.
 */
import { createServer, formatAddress, MSG_WAITALL } from "polloi/socket";
import { type Completion, type Mapped, Ring } from "polloi/uring";
import { orExit, portArgument } from "./command-line.ts";

const ACCEPT = 0;
const RECEIVE = 1;
const SEND = 2;
const CANCEL = 3;
/** A tag is the number of the connection times this, plus the kind of operation. */
const KINDS = 4;
const SEND_BYTES = 65_536;
/** A connection does not receive while this many bytes are unsent. */
const LIMIT = 1_048_576;
const ECANCELED = -125;
const ENOBUFS = -105;

interface Connection {
  readonly fd: number;
  readonly number: number;
  /** The bytes of the current send; one send at a time. */
  readonly memory: Mapped;
  unsent: Uint8Array[];
  unsentBytes: number;
  receiving: boolean;
  sending: boolean;
  cancelling: boolean;
  /** Whether the peer has ended its half. */
  ended: boolean;
  broken: boolean;
}

const port = portArgument(7788);
using server = orExit(() => createServer({ host: "127.0.0.1", port }));
console.log(`listening on ${formatAddress(server.localAddress())}`);

using ring = orExit(() => new Ring({ entries: 1024 }));
const buffers = ring.addBuffers({ count: 256, bufferBytes: 16_384 });
const connections = new Map<number, Connection>();
/** Memory of closed connections. */
const spare: Mapped[] = [];
let last = 0;

ring.accept(server, { repeat: true, tag: ACCEPT });
while (true) for (const completion of ring.wait()) handle(completion);

function handle(completion: Completion): void {
  const number = Math.floor(completion.tag / KINDS);
  const connection = connections.get(number);
  const kind = completion.tag % KINDS;
  if (kind === ACCEPT) {
    if (completion.result >= 0) open(completion.result);
    if (!completion.more) ring.accept(server, { repeat: true, tag: ACCEPT });
  } else if (connection !== undefined) {
    if (kind === RECEIVE) received(connection, completion);
    else if (kind === SEND) sent(connection, completion.result);
    else connection.cancelling = false;
    submitNext(connection);
  }
}

function open(fd: number): void {
  const number = ++last;
  const memory = spare.pop() ?? ring.map(SEND_BYTES);
  const state = { receiving: false, sending: false, cancelling: false, ended: false };
  const connection = { fd, number, memory, unsent: [], unsentBytes: 0, ...state, broken: false };
  connections.set(number, connection);
  submitNext(connection);
}

function received(connection: Connection, completion: Completion): void {
  if (completion.hasBuffer) {
    using taken = buffers.take(completion);
    connection.unsent.push(taken.bytes.slice());
    connection.unsentBytes += taken.bytes.length;
  } else if (completion.result === 0) {
    connection.ended = true;
  } else if (completion.result !== ECANCELED && completion.result !== ENOBUFS) {
    connection.broken = true;
  }
  connection.receiving = completion.more;
}

function sent(connection: Connection, result: number): void {
  connection.sending = false;
  if (result < 0) connection.broken = true;
}

/** Submits the next operations of a connection. */
function submitNext(connection: Connection): void {
  const { fd, number, unsentBytes, receiving, ended, broken } = connection;
  const done = ended || broken;
  if (!receiving && !done && unsentBytes < LIMIT) {
    ring.recvBuffers(fd, buffers, { tag: number * KINDS + RECEIVE });
    connection.receiving = true;
  } else if (receiving && !connection.cancelling && (broken || unsentBytes >= LIMIT)) {
    ring.cancel(number * KINDS + RECEIVE, { tag: number * KINDS + CANCEL });
    connection.cancelling = true;
  }
  if (!connection.sending && unsentBytes > 0 && !broken) sendNext(connection);
  const idle = !connection.receiving && !connection.sending && !connection.cancelling;
  if (!idle || !done) return;
  connections.delete(number);
  spare.push(connection.memory);
  ring.closeFd(fd, { quiet: true });
}

function sendNext(connection: Connection): void {
  const { memory, unsent, fd, number } = connection;
  let length = 0;
  while (unsent.length > 0 && length < SEND_BYTES) {
    const [first = new Uint8Array()] = unsent;
    const part = first.subarray(0, SEND_BYTES - length);
    memory.bytes.set(part, length);
    length += part.length;
    if (part.length === first.length) unsent.shift();
    else unsent[0] = first.subarray(part.length);
  }
  connection.unsentBytes -= length;
  connection.sending = true;
  // MSG_WAITALL: the kernel sends all of it, and waits for a peer that reads slowly.
  ring.send(fd, memory.part(0, length), { flags: MSG_WAITALL, tag: number * KINDS + SEND });
}
