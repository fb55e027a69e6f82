/** Clients that behave correctly, or disconnect at any time. */
import { setTimeout as sleep } from "node:timers/promises";
import { content } from "./content.ts";
import { answers, askOne, pipeline, same, sendInPieces, wireOf } from "./exchange.ts";
import { type Peer, Violation } from "./peer.ts";
import { below, pick, type Random, randomRequest, sizeFrom, type TestRequest } from "./requests.ts";

/** The tools of a client. */
export interface Work {
  readonly ports: Ports;
  readonly random: Random;
  /** Connects. The connection is closed when the client is done. */
  peer(port: number): Peer;
  /** Adds to a count that the server must have as well. */
  count(what: string, times?: number): void;
}

export interface Ports {
  readonly handler: number;
  readonly fetch: number;
  readonly strict: number;
  readonly hasty: number;
  readonly narrow: number;
}

export type Kind = (work: Work) => Promise<void>;

interface Side {
  readonly toHandler: boolean;
  readonly peer: Peer;
}

function either({ ports, random, peer }: Work): Side {
  const toHandler = random() < 0.6;
  return { toHandler, peer: peer(toHandler ? ports.handler : ports.fetch) };
}

function counted({ count }: Work, asks: readonly TestRequest[]): void {
  count("answered", asks.length);
  count("thrown", asks.filter(({ target }) => target === "/throw").length);
}

/** Sends one request after another. */
async function keepAlive(work: Work): Promise<void> {
  const { random } = work;
  const { toHandler, peer } = either(work);
  const asks: TestRequest[] = [];
  const total = 1 + below(random, 12);
  for (let left = total; left > 0; left--) {
    const isLast = left === 1 && random() < 0.5;
    const ask = randomRequest(random, { toHandler, stays: true, isLast, isSmall: random() < 0.6 });
    await askOne(peer, random, ask);
    asks.push(ask);
    if (!isLast && random() < 0.1) await sleep(random() * 20);
    if (!isLast && left === 1) peer.socket.end();
  }
  await peer.end();
  counted(work, asks);
}

/** Pipelines requests, and may end its half behind them. */
async function pipelined(work: Work): Promise<void> {
  const { random } = work;
  const { toHandler, peer } = either(work);
  const total = 2 + below(random, random() < 0.3 ? 199 : 20);
  const ends = random() < 0.5;
  const asks = Array.from({ length: total }, (_, k) =>
    randomRequest(random, {
      toHandler,
      stays: true,
      isSmall: total > 20 || random() < 0.8,
      isLast: !ends && k === total - 1,
    }),
  );
  if (random() < 0.2) peer.pace = () => sleep(random() * 3);
  await pipeline(peer, random, asks);
  if (ends) peer.socket.end();
  await peer.end();
  counted(work, asks);
}

/** Ends its half directly after its request, as nc -N and some proxies do. */
async function halfClose(work: Work): Promise<void> {
  const { random } = work;
  const { toHandler, peer } = either(work);
  // The server may or may not know at that time that it is the last request.
  const asks = Array.from({ length: 1 + below(random, 5) }, () => ({
    ...randomRequest(random, { toHandler, stays: true, isSmall: random() < 0.5 }),
    isLast: undefined,
  }));
  const sending = sendInPieces(peer, random, wireOf(asks)).then(() => peer.socket.end());
  await answers(peer, asks);
  await sending;
  await peer.end();
  counted(work, asks);
}

/** Reads long answers slowly. */
async function slow(work: Work): Promise<void> {
  const { random } = work;
  const { toHandler, peer } = either(work);
  const asks = Array.from({ length: 1 + below(random, 3) }, () =>
    randomRequest(random, { toHandler, stays: true, isLong: true }),
  );
  let naps = 20 + below(random, 40);
  peer.pace = () => (naps-- > 0 ? sleep(random() * 20) : Promise.resolve());
  await pipeline(peer, random, asks);
  peer.socket.end();
  await peer.end();
  counted(work, asks);
}

/** Disconnects at any point of its requests or of the answers. */
async function leave(work: Work): Promise<void> {
  const { random } = work;
  const { toHandler, peer } = either(work);
  const isLong = random() < 0.3;
  const asks = Array.from({ length: 1 + below(random, 5) }, () =>
    randomRequest(random, { toHandler, stays: false, isLong }),
  );
  const wire = wireOf(asks);
  const part = random() < 0.5 ? wire : wire.subarray(0, below(random, wire.length + 1));
  const sending = sendInPieces(peer, random, part);
  if (random() < 0.5) {
    await sending;
    if (random() < 0.5) await sleep(random() * 10);
  } else {
    const enough = below(random, pick(random, [500, 50_000, 1_000_000]));
    const until = performance.now() + 30;
    while (peer.received < enough && performance.now() < until && !peer.isOver) {
      if (peer.socket.readableLength > 0) await peer.some();
      else await sleep(1);
    }
  }
  if (random() < 0.5) peer.socket.resetAndDestroy();
  else peer.socket.destroy();
  await peer.closed;
}

/** Upgrades the connection to another protocol, and sends before the upgrade is accepted. */
async function upgrade(work: Work): Promise<void> {
  const { random } = work;
  const { toHandler, peer } = either(work);
  const before = Array.from({ length: below(random, 3) }, () =>
    randomRequest(random, { toHandler, stays: true, isSmall: true }),
  );
  const length = sizeFrom(random);
  const seed = below(random, 100_000);
  const bytes = content(seed, length);
  const eager = random() < 0.5 ? below(random, length + 1) : 0;
  const head =
    "GET /upgrade HTTP/1.1\r\nHost: soak\r\nSoak: upgrades\r\n" +
    "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n";
  const wire = Buffer.concat([wireOf(before), Buffer.from(head), bytes.subarray(0, eager)]);
  const sending = sendInPieces(peer, random, wire);
  await answers(peer, before);
  const { status, headers } = await peer.answer("GET");
  if (status !== 101 || headers.get("upgrade") !== "echo") throw new Violation(`${status}: no 101`);
  const ending = sending
    .then(() => sendInPieces(peer, random, bytes.subarray(eager)))
    .then(() => peer.socket.end());
  same(await peer.take(length), bytes);
  await ending;
  await peer.end();
  counted(work, before);
  work.count("upgraded");
}

/** Requests an answer that fails part-way: it must not look complete. */
async function partial(work: Work): Promise<void> {
  const { peer } = either(work);
  await peer.write("GET /partial HTTP/1.1\r\nHost: soak\r\nSoak: stays\r\n\r\n");
  let whole = true;
  try {
    await peer.answer("GET");
  } catch {
    whole = false;
  }
  if (whole) throw new Violation("a partial answer looks complete");
  if (!peer.isOver) throw new Violation("the connection continues after a partial answer");
  work.count("answered");
  work.count("thrown");
}

export const KINDS: Readonly<Record<string, Kind>> = {
  keepAlive,
  pipelined,
  halfClose,
  slow,
  leave,
  upgrade,
  partial,
};
