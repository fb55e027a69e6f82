/**
 * A name server in miniature: questions and answers in the format of DNS, over UDP, in the event loop.
 *
 *     node dist/examples/23-datagrams-dns.js [port]        dig -p 5300 @127.0.0.1 polloi.example
 *
 * Follows no text: their sockets are streams. Points to get right:
 * - A datagram is a whole message or nothing: there is no stream to split, and each one has its own sender.
 * - Whatever arrives may be malformed. What is no question is dropped, since an answer to a forged address would make
 *   this server attack others.
 * - A datagram may be lost. The client asks again; the server keeps no state.
 */
import { bindDatagrams } from "polloi";
import { formatAddress } from "polloi/socket";
import { orExit, portArgument } from "./command-line.ts";

/** Names and their IPv4 addresses. */
const HOSTS: Readonly<Record<string, readonly number[]>> = {
  "polloi.example": [192, 0, 2, 1],
  localhost: [127, 0, 0, 1],
};

// RFC 1035 section 4.1: a header of six 16-bit words, then the question.
const HEADER_BYTES = 12;
const IS_ANSWER = 0x8000;
const AUTHORITATIVE = 0x0400;
const RECURSION_DESIRED = 0x0100;
const NO_SUCH_NAME = 3;
const TYPE_A = 1;
const CLASS_IN = 1;
const TTL_SECONDS = 60;
/** A pointer to the name of the question, which follows the header. */
const NAME_OF_QUESTION = 0xc000 | HEADER_BYTES;

const server = orExit(() =>
  bindDatagrams({
    host: "127.0.0.1",
    port: portArgument(5300),
    message(socket, bytes, from) {
      const answer = answerTo(bytes);
      if (answer !== null) socket.send(answer, from);
    },
    error: (_, { message }) => console.error(message),
  }),
);
const { address } = server;
if (address !== null) console.log(`listening on ${formatAddress(address)}`);

/** The answer to a question; null if the bytes are none. */
function answerTo(bytes: Uint8Array): Uint8Array | null {
  if (bytes.length < HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const flags = view.getUint16(2);
  // One question, of the kind "query".
  if ((flags & 0xf800) !== 0 || view.getUint16(4) !== 1) return null;
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = bytes[at]; length !== 0; length = bytes[at]) {
    // No pointer, and no label that is cut off.
    if (length === undefined || length > 63 || at + 1 + length >= bytes.length) return null;
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + length)).toString("latin1"));
    at += 1 + length;
  }
  const end = at + 5;
  if (end > bytes.length) return null;
  const [type, dnsClass] = [view.getUint16(at + 1), view.getUint16(at + 3)];
  const name = labels.join(".").toLowerCase();
  const ip = Object.hasOwn(HOSTS, name) ? HOSTS[name] : undefined;
  const found = type === TYPE_A && dnsClass === CLASS_IN ? ip : undefined;
  const answer = new Uint8Array(end + (found === undefined ? 0 : 16));
  answer.set(bytes.subarray(0, end));
  const out = new DataView(answer.buffer);
  const code = ip === undefined ? NO_SUCH_NAME : 0;
  out.setUint16(2, IS_ANSWER | AUTHORITATIVE | (flags & RECURSION_DESIRED) | code);
  out.setUint16(6, found === undefined ? 0 : 1);
  out.setUint32(8, 0);
  if (found === undefined) return answer;
  out.setUint16(end, NAME_OF_QUESTION);
  out.setUint16(end + 2, TYPE_A);
  out.setUint16(end + 4, CLASS_IN);
  out.setUint32(end + 6, TTL_SECONDS);
  out.setUint16(end + 10, found.length);
  answer.set(found, end + 12);
  return answer;
}
