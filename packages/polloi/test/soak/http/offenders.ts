/** Clients that a server must reject or cut off, and the answers that they receive. */
import { setTimeout as sleep } from "node:timers/promises";
import { corpus, mutated, randomOf } from "../../http/fuzz.ts";
import { type Message, parseStream } from "../../http/parse-stream.ts";
import { content, MOST_BYTES } from "./content.ts";
import { answers, refused, same, sendInPieces, wireOf } from "./exchange.ts";
import type { Kind, Work } from "./kinds.ts";
import { HASTY, STRICT } from "./limits.ts";
import { type Peer, Violation } from "./peer.ts";
import { below, chunked, pick, type Random, randomRequest } from "./requests.ts";

const SEEDS: readonly string[] = [...corpus().values()];
const GET = "GET /bytes/5/5 HTTP/1.1\r\nHost: soak\r\nSoak: stays\r\n";
const POST = "POST /sum HTTP/1.1\r\nHost: soak\r\n";

/** Beginnings of heads. Each continues with letters. */
const HEAD_BEGINS: readonly string[] = ["GET /", `${GET}X`, `${GET}X-Drip: `];

/** Sends a head or a body slowly, byte by byte. */
async function drip({ ports, random, peer: connected, count }: Work): Promise<void> {
  const peer = connected(ports.hasty);
  const isHead = random() < 0.5;
  const begin = isHead ? pick(random, HEAD_BEGINS) : bodyBegin(random);
  await peer.write(begin);
  const answer = refused(peer, "POST", 408);
  let isOver = false;
  const over = answer.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await peer.write("a");
    await Promise.race([over, sleep(20)]);
  }
  await answer;
  count(isHead ? "HEAD_TIMEOUT" : "BODY_TIMEOUT");
}

function bodyBegin(random: Random): string {
  return random() < 0.5
    ? `${POST}Content-Length: 9000\r\n\r\n`
    : `${POST}Transfer-Encoding: chunked\r\n\r\n2000\r\n`;
}

/** Is served, and then sends nothing more. */
async function idle({ ports, random, peer: connected, count }: Work): Promise<void> {
  const peer = connected(ports.hasty);
  if (random() < 0.7) {
    await peer.write(`${GET}\r\n`);
    same((await peer.answer("GET")).body, content(5, 5));
    count("answered");
  }
  await peer.end();
  count("IDLE_TIMEOUT");
}

/** The length of the longest answers, more than fits into the buffers of the two kernels. */
const MANY = 12;

/** Requests long answers, and does not read them. */
async function unread({ ports, peer: connected, count }: Work): Promise<void> {
  const peer = connected(ports.hasty);
  const head = `GET /${MOST_BYTES}.bin HTTP/1.1\r\nHost: soak\r\n\r\n`;
  await peer.write(head.repeat(MANY));
  await sleep(4 * HASTY.sendTimeoutMs);
  while (await peer.hasMore()) await peer.some();
  // On a busy machine the answer may be sent in time. In Node a reset after bytes may look like an end.
  if (peer.received < MANY * MOST_BYTES) count("SEND_TIMEOUT");
  else count("IDLE_TIMEOUT");
}

type Excess = readonly [status: number, code: string, wire: (random: Random) => Buffer];

const EXCESSES: readonly Excess[] = [
  [
    431,
    "HEAD_LARGE",
    () => Buffer.from(`${GET}X-Large: ${"a".repeat(STRICT.maxHeadBytes)}\r\n\r\n`),
  ],
  [431, "HEADERS_MANY", () => Buffer.from(`${GET}${"A: b\r\n".repeat(STRICT.maxHeaders)}\r\n`)],
  [414, "TARGET_LONG", () => Buffer.from(GET.replace("/5/5", "/5".repeat(STRICT.maxTargetBytes)))],
  [
    413,
    "BODY_LARGE",
    (random) => {
      const body = content(1, STRICT.maxBodyBytes + 1 + below(random, 400_000));
      const head = `${POST}Content-Length: ${body.length}\r\n\r\n`;
      return Buffer.concat([Buffer.from(head), body]);
    },
  ],
  [
    413,
    "BODY_LARGE",
    (random) => {
      const body = content(1, STRICT.maxBodyBytes + 1 + below(random, 400_000));
      const head = `${POST}Transfer-Encoding: chunked\r\n\r\n`;
      return Buffer.concat([Buffer.from(head), chunked(random, body)]);
    },
  ],
  [
    413,
    "CHUNK_EXTENSIONS_LARGE",
    () => {
      const extension = `;x=${"a".repeat(STRICT.maxChunkExtensionBytes)}`;
      return Buffer.from(`${POST}Transfer-Encoding: chunked\r\n\r\n1${extension}\r\na\r\n`);
    },
  ],
  [
    431,
    "TRAILERS_LARGE",
    () => {
      const trailer = `X: ${"a".repeat(STRICT.maxTrailerBytes)}`;
      return Buffer.from(`${POST}Transfer-Encoding: chunked\r\n\r\n0\r\n${trailer}\r\n\r\n`);
    },
  ],
];

/** Exceeds a limit, perhaps after valid requests. */
async function excess({ ports, random, peer: connected, count }: Work): Promise<void> {
  const peer = connected(ports.strict);
  const before = soundRequests(random, below(random, 4));
  const [status, code, wire] = pick(random, EXCESSES);
  const bytes = Buffer.concat([wireOf(before), wire(random)]);
  const sending = sendInPieces(peer, random, bytes);
  await answers(peer, before);
  await refused(peer, "POST", status);
  await sending;
  count("answered", before.length);
  count(code);
}

/** Sends more requests than one connection may. */
async function tooMany({ ports, random, peer: connected, count }: Work): Promise<void> {
  const peer = connected(ports.strict);
  const asks = soundRequests(random, STRICT.maxRequests + below(random, 4)).map((ask, k) => ({
    ...ask,
    isLast: k === STRICT.maxRequests - 1,
  }));
  const sending = sendInPieces(peer, random, wireOf(asks));
  await answers(peer, asks.slice(0, STRICT.maxRequests));
  peer.socket.end();
  await peer.end();
  await sending;
  count("answered", STRICT.maxRequests);
  count("REQUESTS");
}

function soundRequests(random: Random, length: number): ReturnType<typeof randomRequest>[] {
  const next = (): ReturnType<typeof randomRequest> => {
    const ask = randomRequest(random, { toHandler: true, stays: true, isSmall: true });
    // Intended failures are counted elsewhere.
    return ask.target === "/throw" ? next() : ask;
  };
  return Array.from({ length }, next);
}

/** Opens more connections than are allowed: each is served or rejected with 503. */
async function overload({ ports, peer: connected, count }: Work): Promise<void> {
  const one = async (peer: Peer): Promise<void> => {
    await peer.write(`${GET}\r\n`);
    const { status, closes, body } = await peer.answer("GET");
    if (status === 503 && closes) {
      peer.socket.end();
      await peer.end();
      count("CONNECTIONS");
    } else if (status === 200 && body.equals(content(5, 5))) {
      count("answered");
    } else {
      throw new Violation(`${status} to one of too many connections`);
    }
  };
  const peers = Array.from({ length: 6 }, () => connected(ports.narrow));
  await Promise.all(peers.map(one));
  for (const peer of peers) peer.socket.end();
  await Promise.all(peers.filter(({ isOver }) => !isOver).map((peer) => peer.end()));
}

/** Sends malformed requests. Each answer must be valid, and there must be none without a request. */
async function garbage({ ports, random, peer: connected }: Work): Promise<void> {
  const peer = connected(ports.fetch);
  const choose = randomOf(below(random, 2 ** 31));
  let stream = pick(random, SEEDS);
  for (let left = below(random, 4); left > 0; left--) stream = mutated(stream, choose, SEEDS);
  const bytes = Buffer.from(stream, "latin1");
  const { messages } = parseStream(bytes);
  const { least, most } = answersTo(messages);
  const sending = sendInPieces(peer, random, bytes).then(() => peer.socket.end());
  let count = 0;
  while (await peer.hasMore()) {
    const { status } = await peer.answer(messages[count]?.method ?? "GET");
    if (status >= 200) count++;
  }
  await sending;
  if (count < least || count > most) {
    const wanted = `${least} to ${most} are due to ${JSON.stringify(stream)}`;
    throw new Violation(`${count} answers, expected ${wanted}`);
  }
  if (peer.error !== undefined && peer.error !== "ECONNRESET" && peer.error !== "EPIPE") {
    throw new Violation(`failed with ${peer.error}`);
  }
}

/**
 * The number of answers that are due: one for each request, until one ends the connection, and one for a malformed one.
 *
 * @remarks
 * No route of these requests reads a body. A chunked one ends the connection if none of it has arrived when its
 * request is answered: that depends on when the pieces of the stream arrive.
 */
function answersTo(messages: readonly Message[]): { least: number; most: number } {
  let most = 0;
  let least: number | undefined;
  for (const { method, keepAlive, expectsContinue, contentLength, trailers } of messages) {
    // The stream ended before the request.
    if (trailers === undefined) break;
    most++;
    const isChunked = contentLength < 0;
    const isHeldBack = expectsContinue && contentLength !== 0;
    if (!keepAlive || method === "CONNECT" || isHeldBack) return { least: least ?? most, most };
    if (isChunked) least ??= most;
  }
  return { least: least ?? most, most: most + 1 };
}

export const OFFENDERS: Readonly<Record<string, Kind>> = {
  drip,
  idle,
  unread,
  excess,
  tooMany,
  overload,
  garbage,
};
