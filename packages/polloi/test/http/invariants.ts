/** The invariants of the parser, for any stream of bytes. */
import assert from "node:assert/strict";
import { DEFAULT_LIMITS, type ParserLimits } from "../../src/http/wire/limits.ts";
import { bytesOf, type Message, type ParseResult, parseStream } from "./parse-stream.ts";
import { parseByReference, type ReferenceResult } from "./reference.ts";

/**
 * Checks every invariant on a stream: it is parsed without an exception, alike in one piece, split, and byte by byte,
 * and as the reference parses it; and requests that are serialized again are parsed alike.
 *
 * @param cuts - Where to split it: lists of positions.
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
    // Comparing text takes a fraction of the time. The other comparison is for its message.
    if (JSON.stringify(cut) === text) continue;
    assert.deepEqual(cut, whole, `cut at ${places.join()}`);
  }
  assertAgrees(whole, parseByReference(stream, limits));
  for (const message of whole.messages) {
    if (message.trailers !== undefined) assertReadAgain(message);
  }
}

/** Requires that the parser accepts the same requests as the reference, with the same boundaries. */
function assertAgrees({ messages, failure, idle }: ParseResult, reference: ReferenceResult): void {
  const complete = messages.flatMap(({ method, target, headers, body, trailers, end }) =>
    end === undefined ? [] : [{ method, target, headers, body, trailers, end }],
  );
  assert.deepEqual(complete, reference.messages, "the reference parses other requests");
  const parsed = failure === undefined ? (idle ? "end" : "unfinished") : "wrong";
  // The parser may already refuse a request that is incomplete to the reference.
  if (reference.rest === "unfinished") assert.notEqual(parsed, "end");
  else assert.equal(parsed, reference.rest, `the reference differs; ${failure}`);
}

/** Requires that a serialized message is parsed alike. */
function assertReadAgain(message: Message): void {
  const again = parseStream(bytesOf(written(message)), [], {
    ...DEFAULT_LIMITS,
    maxHeadBytes: DEFAULT_LIMITS.maxHeadBytes * 2,
  });
  assert.equal(again.failure, undefined);
  assert.equal(again.messages.length, 1);
  const { end: _, ...what } = again.messages[0] as Message;
  const { end: __, ...expected } = message;
  assert.deepEqual(what, expected, "the serialized message differs");
}

/** Serializes a message in its simplest form. */
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
