/** How the soak's clients ask, and how they judge what is answered. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Ask, below, type Random } from "./asks.ts";
import { type Answer, type Peer, shown, Violation } from "./peer.ts";

/** Cut anywhere, and with pauses in between, so that the server sees every part of a request come alone. */
export async function sendInPieces(peer: Peer, random: Random, bytes: Buffer): Promise<void> {
  const pieces = random() < 0.5 ? 1 : 1 + below(random, 6);
  const cuts = Array.from({ length: pieces - 1 }, () => below(random, bytes.length + 1));
  const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
  for (let k = 0; k < pieces && !peer.isOver; k++) {
    await peer.write(bytes.subarray(places[k], places[k + 1]));
    if (k + 1 < pieces) await sleep(random() * 3);
  }
}

export function wireOf(asks: readonly Ask[]): Buffer {
  return Buffer.concat(asks.flatMap(({ head, body }) => [Buffer.from(head, "latin1"), body]));
}

/** Sends requests behind one another, and reads the answers while it does. */
export async function pipeline(peer: Peer, random: Random, asks: readonly Ask[]): Promise<void> {
  const sending = sendInPieces(peer, random, wireOf(asks));
  await answers(peer, asks);
  await sending;
}

export async function answers(peer: Peer, asks: readonly Ask[]): Promise<void> {
  for (const ask of asks) {
    await during(ask, async () => {
      const answer = await peer.answer(ask.method);
      const isInterim = answer.status === 100 && ask.expects;
      judge(ask, isInterim ? await peer.answer(ask.method) : answer);
    });
  }
}

/** Whatever goes wrong meanwhile says with which request. */
async function during({ head, target }: Ask, run: () => Promise<void>): Promise<void> {
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

/** One request; the body only when it is asked for, where it waits for that. */
export async function askOne(peer: Peer, random: Random, ask: Ask): Promise<void> {
  if (!ask.waits) return await pipeline(peer, random, [ask]);
  await during(ask, async () => {
    await peer.write(ask.head);
    const interim = await peer.answer(ask.method);
    if (interim.status !== 100) throw new Violation(`${interim.status}, and not 100`);
    const sending = sendInPieces(peer, random, ask.body);
    judge(ask, await peer.answer(ask.method));
    await sending;
  });
}

/** Whether it is what was asked for, to the byte. */
export function judge({ method, want, isLast }: Ask, answer: Answer): void {
  const { status, headers, body, closes } = answer;
  if (status !== want.status) {
    throw new Violation(`${status}, and not ${want.status}: ${shown(body)}`);
  }
  if (isLast !== undefined && closes !== isLast) {
    throw new Violation(`${closes ? "ends" : "does not end"} the connection`);
  }
  if (want.body !== undefined) {
    if (method === "HEAD") {
      const length = headers.get("content-length");
      if (length !== undefined && Number(length) !== want.body.length) {
        throw new Violation(`is said to have ${length} of ${want.body.length} bytes`);
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

/** The answer to something that is refused, and the end behind it. */
export async function refused(peer: Peer, method: string, status: number): Promise<void> {
  const answer = await peer.answer(method);
  if (answer.status !== status) {
    throw new Violation(`${answer.status}, and not ${status}: ${shown(answer.body)}`);
  }
  if (!answer.closes) throw new Violation(`${status} does not end the connection`);
  // The answer is read to its end before this side ends: it must not be lost however much was sent.
  peer.socket.end();
  await peer.end();
}
