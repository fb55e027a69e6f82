/** What has to hold for any stream of bytes at all. */
import assert from "node:assert/strict";
import { DEFAULT_LIMITS, type ParserLimits } from "../../src/http/parser/limits.ts";
import { bytesOf, type Message, outcomeOf } from "./outcome.ts";
import { referenceOutcome } from "./reference.ts";

/**
 * Holds a stream to everything: it is read without a throw, the same in one piece, cut, and byte by byte; as
 * the reference reads it; and what was read is read again when it is written down anew.
 *
 * @param cuts - Where to cut it, one list for each way.
 */
export function assertSound(
  stream: string,
  cuts: readonly (readonly number[])[],
  limits: ParserLimits = DEFAULT_LIMITS,
): void {
  const bytes = bytesOf(stream);
  const whole = outcomeOf(bytes, [], limits);
  const each = Array.from({ length: bytes.length }, (_, k) => k);
  for (const places of [...cuts, each]) {
    assert.deepEqual(outcomeOf(bytes, places, limits), whole, `cut at ${places.join()}`);
  }
  assertAgrees(stream, limits);
  for (const message of whole.messages) {
    if (message.trailers !== undefined) assertReadAgain(message);
  }
}

/** The parser takes what the reference takes, and finds the same boundaries. */
export function assertAgrees(stream: string, limits: ParserLimits): void {
  const { messages, failure, idle } = outcomeOf(bytesOf(stream), [], limits);
  const reference = referenceOutcome(stream, limits);
  const complete = messages.flatMap(({ method, target, headers, body, trailers, end }) =>
    end === undefined ? [] : [{ method, target, headers, body, trailers, end }],
  );
  assert.deepEqual(complete, reference.messages, "the reference reads other requests");
  const parsed = failure === undefined ? (idle ? "end" : "unfinished") : "wrong";
  // What the reference cannot judge yet, the parser may already know to be wrong.
  if (reference.rest === "unfinished") assert.notEqual(parsed, "end");
  else assert.equal(parsed, reference.rest, `the reference differs; ${failure}`);
}

/** Written down anew, the message is the same. */
function assertReadAgain(message: Message): void {
  const again = outcomeOf(bytesOf(written(message)), [], {
    ...DEFAULT_LIMITS,
    maxHeadBytes: DEFAULT_LIMITS.maxHeadBytes * 2,
  });
  assert.equal(again.failure, undefined);
  assert.equal(again.messages.length, 1);
  const { end: _, ...what } = again.messages[0] as Message;
  const { end: __, ...expected } = message;
  assert.deepEqual(what, expected, "written down anew it is another");
}

/** A message as bytes, in the plainest form that there is for it. */
export function written(message: Message): string {
  const fields = (all: Message["headers"]) =>
    all.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const line = `${message.method} ${message.target} HTTP/1.${message.version}\r\n`;
  const head = `${line}${fields(message.headers)}\r\n`;
  if (message.contentLength >= 0) return head + message.body;
  const size = message.body.length;
  const chunk = size === 0 ? "" : `${size.toString(16)}\r\n${message.body}\r\n`;
  return `${head}${chunk}0\r\n${fields(message.trailers ?? [])}\r\n`;
}
