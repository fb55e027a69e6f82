/** What has to hold for any stream of bytes at all. */
import assert from "node:assert/strict";
import { DEFAULT_LIMITS, type ParserLimits } from "../../src/http/parser/limits.ts";
import { bytesOf, type Message, type ParseResult, parseStream } from "./parse-stream.ts";
import { parseByReference, type ReferenceResult } from "./reference.ts";

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
  const whole = parseStream(bytes, [], limits);
  const text = JSON.stringify(whole);
  const each = Array.from({ length: bytes.length }, (_, k) => k);
  for (const places of [...cuts, each]) {
    const cut = parseStream(bytes, places, limits);
    // Comparing text takes a fraction of the time; the other comparison is for what it says.
    if (JSON.stringify(cut) === text) continue;
    assert.deepEqual(cut, whole, `cut at ${places.join()}`);
  }
  assertAgrees(whole, parseByReference(stream, limits));
  for (const message of whole.messages) {
    if (message.trailers !== undefined) assertReadAgain(message);
  }
}

/** The parser takes what the reference takes, and finds the same boundaries. */
function assertAgrees({ messages, failure, idle }: ParseResult, reference: ReferenceResult): void {
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
  const again = parseStream(bytesOf(written(message)), [], {
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
