/** Sending of requests and checks of answers by the clients of the soak test. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, type Peer, shown, Violation } from "./peer.ts";
import { below, type Random, type TestRequest } from "./requests.ts";

/** Sends bytes in random pieces with pauses, so that the server receives every part of a request separately. */
export async function sendInPieces(peer: Peer, random: Random, bytes: Buffer): Promise<void> {
  const pieces = random() < 0.5 ? 1 : 1 + below(random, 6);
  const cuts = Array.from({ length: pieces - 1 }, () => below(random, bytes.length + 1));
  const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
  for (let k = 0; k < pieces && !peer.isOver; k++) {
    await peer.write(bytes.subarray(places[k], places[k + 1]));
    if (k + 1 < pieces) await sleep(random() * 3);
  }
}

export function wireOf(asks: readonly TestRequest[]): Buffer {
  return Buffer.concat(asks.flatMap(({ head, body }) => [Buffer.from(head, "latin1"), body]));
}

/** Pipelines requests, and reads the answers meanwhile. */
export async function pipeline(
  peer: Peer,
  random: Random,
  asks: readonly TestRequest[],
): Promise<void> {
  const sending = sendInPieces(peer, random, wireOf(asks));
  await answers(peer, asks);
  await sending;
}

export async function answers(peer: Peer, asks: readonly TestRequest[]): Promise<void> {
  for (const ask of asks) {
    await during(ask, async () => {
      const answer = await peer.answer(ask.method);
      const isInterim = answer.status === 100 && ask.expects;
      judge(ask, isInterim ? await peer.answer(ask.method) : answer);
    });
  }
}

/** Adds the request to any violation that occurs meanwhile. */
async function during({ head, target }: TestRequest, run: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  try {
    await run();
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    const lines = head.split("\r\n").filter((line) => !/^(X-Padding|Host|$)/.test(line));
    const asked = `asked by ${JSON.stringify(lines.join("; "))}`;
    const waited = Math.round(performance.now() - begun);
    throw new Violation(`${target}: ${error.message} in ${waited} ms, ${asked}`);
  }
}

/** Sends one request. If it expects 100 Continue, the body is sent after that. */
export async function askOne(peer: Peer, random: Random, ask: TestRequest): Promise<void> {
  if (!ask.waits) return await pipeline(peer, random, [ask]);
  await during(ask, async () => {
    await peer.write(ask.head);
    const interim = await peer.answer(ask.method);
    if (interim.status !== 100) throw new Violation(`${interim.status} instead of 100`);
    const sending = sendInPieces(peer, random, ask.body);
    judge(ask, await peer.answer(ask.method));
    await sending;
  });
}

/** Checks that the answer is the expected one, byte by byte. */
export function judge({ method, want, isLast }: TestRequest, answer: Answer): void {
  const { status, headers, body, closes } = answer;
  if (status !== want.status) {
    throw new Violation(`${status} instead of ${want.status}: ${shown(body)}`);
  }
  if (isLast !== undefined && closes !== isLast) {
    throw new Violation(`${closes ? "ends" : "does not end"} the connection`);
  }
  if (want.body !== undefined) {
    if (method === "HEAD") {
      const length = headers.get("content-length");
      if (length !== undefined && Number(length) !== want.body.length) {
        throw new Violation(
          `Content-Length is ${length}, and the body has ${want.body.length} bytes`,
        );
      }
      return;
    }
    same(body, want.body);
  }
  const wrong = method === "HEAD" ? undefined : want.check?.(answer);
  if (wrong !== undefined) throw new Violation(`${wrong}`);
}

export function same(bytes: Buffer, wanted: Buffer): void {
  if (bytes.equals(wanted)) return;
  const length = Math.min(bytes.length, wanted.length);
  let at = 0;
  while (at < length && bytes[at] === wanted[at]) at++;
  throw new Violation(
    `${bytes.length} of ${wanted.length} bytes, which differ from ${at} on: ` +
      `${shown(bytes.subarray(at))}, and not ${shown(wanted.subarray(at))}`,
  );
}

/** Reads the answer to a rejected request, and the end of the stream. */
export async function refused(peer: Peer, method: string, status: number): Promise<void> {
  const answer = await peer.answer(method);
  if (answer.status !== status) {
    throw new Violation(`${answer.status} instead of ${status}: ${shown(answer.body)}`);
  }
  if (!answer.closes) throw new Violation(`${status} does not end the connection`);
  // The answer is read before this side ends: it must arrive, no matter how many bytes were sent.
  peer.socket.end();
  await peer.end();
}
