import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BAD, SHORT } from "./characters.ts";
import { END, FAILED, NEED_MORE } from "./failures.ts";
import { MAX_RESPONSE_HEAD_BYTES as MAX_HEAD_BYTES, ResponseParser } from "./response-parser.ts";

const encoder = new TextEncoder();

const RESPONSES: readonly string[] = [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
  "HTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n3;x="y"\r\n\r\n\n\r\n0\r\n\r\n',
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: 1\r\nOther: 2\r\n\r\n",
  "HTTP/1.1 500 Oh\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n\r\n\r",
];
const STATUSES: readonly number[] = [200, 204, 200, 404, 200, 200, 500];

/** @returns The position after the response; `SHORT` if it is incomplete, `BAD` if it is invalid. */
function pastResponse(
  parser: ResponseParser,
  bytes: Uint8Array,
  from: number,
  to: number = bytes.length,
): number {
  for (let at = from; ; at = parser.position) {
    const result = parser.read(bytes, at, to);
    if (result === END) return parser.position;
    if (result === NEED_MORE) return SHORT;
    if (result === FAILED) return BAD;
  }
}

/** The statuses of all responses in `pieces`. */
function read(pieces: readonly Uint8Array[]): number[] {
  const parser = new ResponseParser();
  const statuses: number[] = [];
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      at = pastResponse(parser, piece, at);
      assert.notEqual(at, BAD);
      if (at === SHORT) break;
      statuses.push(parser.head.status);
    }
  }
  assert.equal(parser.idle, true);
  return statuses;
}

/** `bytes` cut at each of these offsets. */
function cutAt(bytes: Uint8Array, offsets: readonly number[]): Uint8Array[] {
  const sorted = [...new Set(offsets.map((offset) => offset % bytes.length))].sort((a, b) => a - b);
  return [...sorted, bytes.length].map((end, i) => bytes.slice(sorted[i - 1] ?? 0, end));
}

test("consecutive responses are found in whatever pieces they arrive", () => {
  const bytes = encoder.encode(RESPONSES.join(""));
  assert.deepEqual(read([bytes]), STATUSES);
  for (let offset = 0; offset < bytes.length; offset++) {
    assert.deepEqual(read(cutAt(bytes, [offset])), STATUSES);
  }
  assert.deepEqual(read([...bytes].map((byte) => Uint8Array.of(byte))), STATUSES);
  const offsets = fc.array(fc.nat(bytes.length - 1), { maxLength: 12 });
  fc.assert(
    fc.property(offsets, (cuts) => void assert.deepEqual(read(cutAt(bytes, cuts)), STATUSES)),
  );
});

test("the returned position is after the bytes that were read, for any input", () => {
  const grammar = fc.constantFrom(
    ...["HTTP/1.1 ", "200 OK", "\r\n", "\r", "\n", "Content-Length: ", "3", "x", ": ", "0\r\n"],
    ...[
      "Transfer-Encoding: chunked",
      "Connection: close",
      "\0",
      "\x7f",
      " ",
      "é",
      "99999999999999999",
    ],
  );
  const texts = fc.array(grammar, { maxLength: 40 }).map((parts) => encoder.encode(parts.join("")));
  fc.assert(
    fc.property(texts, (bytes) => {
      const parser = new ResponseParser();
      for (let at = 0; at < bytes.length; ) {
        const next = pastResponse(parser, bytes, at);
        if (next === BAD || next === SHORT) return;
        assert.ok(next > at && next <= bytes.length);
        at = next;
      }
    }),
  );
});

/** Reads `text` in pieces. @returns The result of the last read. */
function readInPieces(parser: ResponseParser, text: string, pieceBytes: number): number {
  const bytes = encoder.encode(text);
  let at = 0;
  for (let from = 0; from < bytes.length; from += pieceBytes) {
    const to = Math.min(bytes.length, from + pieceBytes);
    at = pastResponse(parser, bytes, from, to);
    if (at !== SHORT) break;
  }
  return at;
}

/** A head of `bytes` bytes, in fields of `fieldBytes` bytes. */
function headOf(bytes: number, fieldBytes: number): string {
  const start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
  let left = bytes - start.length - 2;
  let fields = "";
  while (left > 0) {
    const length = left < 2 * fieldBytes ? left : fieldBytes;
    fields += `X: ${"y".repeat(length - 5)}\r\n`;
    left -= length;
  }
  return `${start}${fields}\r\n`;
}

test("the limit of a head does not depend on the pieces in which it arrives", () => {
  for (const fieldBytes of [100, 5000, MAX_HEAD_BYTES]) {
    for (const pieceBytes of [97, 4096, 65_536, 10 * MAX_HEAD_BYTES]) {
      for (const [bytes, fits] of [
        [70_000, true],
        [MAX_HEAD_BYTES, true],
        [MAX_HEAD_BYTES + 1, false],
      ] as const) {
        const parser = new ResponseParser();
        const head = headOf(bytes, fieldBytes);
        assert.equal(head.length, bytes);
        const what = `${bytes} bytes, fields of ${fieldBytes}, in pieces of ${pieceBytes}`;
        const at = readInPieces(parser, head, pieceBytes);
        assert.equal(at, fits ? bytes : BAD, what);
        assert.equal(parser.isTooLarge, !fits, what);
        if (!fits) continue;
        const [next = ""] = RESPONSES;
        assert.equal(readInPieces(parser, next, next.length), next.length, what);
      }
    }
  }
});

test("a head or trailers without end are rejected", () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  for (const text of [
    `HTTP/1.1 200 OK\r\nX: ${"y".repeat(MAX_HEAD_BYTES)}`,
    `HTTP/1.1 200 ${"y".repeat(MAX_HEAD_BYTES)}`,
    `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(MAX_HEAD_BYTES / 6)}`,
    `${chunked}${"a: b\r\n".repeat(MAX_HEAD_BYTES / 6)}trailer`,
  ]) {
    for (const pieceBytes of [4096, text.length]) {
      const parser = new ResponseParser();
      assert.equal(readInPieces(parser, text, pieceBytes), BAD);
      assert.equal(parser.isTooLarge, true);
    }
  }
});

test("a body without a length is complete at the end of the connection", () => {
  const parser = new ResponseParser();
  const bytes = encoder.encode("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
  assert.equal(pastResponse(parser, bytes, 0), SHORT);
  assert.equal(parser.head.closes, true);
  assert.equal(parser.end(), true);
  assert.equal(new ResponseParser().end(), false);
});
