/** Properties of all streams of requests, valid and invalid ones, split at any places. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assertSound } from "./invariants.ts";
import { bytesOf, parseStream } from "./parse-stream.ts";

/** A request, and its bytes. */
interface Written {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [string, string])[];
  readonly text: string;
}

const TCHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, k) => String.fromCharCode(from + k));
const text = (characters: readonly string[], constraints: fc.StringConstraints) =>
  fc.string({ unit: fc.constantFrom(...characters), ...constraints });

const token = text([...TCHARS], { minLength: 1, maxLength: 12 });
const octets = text(range(0, 255), { maxLength: 40 });
const visible = [...range(0x21, 0x7e), ...range(0x80, 0xff)];
const blanks = text([" ", "\t"], { maxLength: 3 });
const value = fc
  .array(text(visible, { minLength: 1, maxLength: 8 }), { maxLength: 3 })
  .chain((words) => blanks.map((gap) => words.join(gap === "" ? " " : gap)));
const target = fc.oneof(
  text(
    range(0x21, 0x7e).filter((character) => character !== "#"),
    { maxLength: 40 },
  ).map((rest) => `/${rest}`),
  fc.constantFrom("http://example.org/a?b", "https://[::1]:8443"),
);

/** Names without a meaning to the parser. */
const name = token.map((it) => `x${it}`);
const fields = fc.array(fc.tuple(name, value), { maxLength: 5 });

/** A field line, with optional whitespace. */
const lines = (all: readonly (readonly [string, string])[], pads: readonly string[]) =>
  all.map(([it, what], k) => `${it}:${pads[k % pads.length]}${what}${pads[0]}\r\n`).join("");

const extension = fc.oneof(
  fc.constant(""),
  token.map((it) => `;${it}`),
  fc.tuple(token, token).map(([it, what]) => ` ; ${it}=${what}`),
  fc
    .tuple(token, value)
    .map(([it, what]) => `;${it}="${what.replace(/["\\]/g, (escaped) => `\\${escaped}`)}"`),
);

/** A chunked body: pieces with extensions, and with or without leading zeros in their sizes. */
const chunks = fc.array(
  fc.tuple(
    text(range(0, 255), { minLength: 1, maxLength: 20 }),
    extension,
    fc.constantFrom("", "0", "00"),
  ),
  { maxLength: 4 },
);

const request: fc.Arbitrary<Written> = fc
  .record({
    method: fc.oneof(fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD"), token),
    target,
    others: fields,
    pads: fc.array(blanks, { minLength: 1, maxLength: 3 }),
    body: fc.oneof(fc.constant(undefined), octets, chunks),
    trailers: fields,
    emptyLines: fc.nat(4),
  })
  .filter(({ method }) => method !== "CONNECT")
  .map(({ method, target, others, pads, body, trailers, emptyLines }) => {
    const chunked = Array.isArray(body);
    const framing: [string, string][] = chunked
      ? [["Transfer-Encoding", "chunked"]]
      : body === undefined
        ? []
        : [["Content-Length", String(body.length)]];
    const headers: [string, string][] = [["Host", "example.org"], ...others, ...framing];
    const head = `${method} ${target} HTTP/1.1\r\n${lines(headers, pads)}\r\n`;
    const coded = !chunked
      ? (body ?? "")
      : `${body
          .map(
            ([piece, ext, zeros]) => `${zeros}${piece.length.toString(16)}${ext}\r\n${piece}\r\n`,
          )
          .join("")}0\r\n${lines(trailers, pads)}\r\n`;
    return {
      method,
      target,
      headers,
      body: chunked ? body.map(([piece]) => piece).join("") : (body ?? ""),
      trailers: chunked ? trailers : [],
      text: "\r\n".repeat(emptyLines) + head + coded,
    };
  });

const stream = fc.array(request, { minLength: 1, maxLength: 4 });
const cuts = fc.array(fc.nat(600), { maxLength: 8 });

test("pipelined requests are parsed correctly, wherever the stream is split", () => {
  fc.assert(
    fc.property(stream, cuts, (requests, places) => {
      const bytes = bytesOf(requests.map((it) => it.text).join(""));
      const { messages, failure, idle } = parseStream(bytes, places);
      assert.equal(failure, undefined);
      assert.ok(idle);
      const seen = messages.map(({ method, target, headers, body, trailers }) => {
        return { method, target, headers, body, trailers };
      });
      assert.deepEqual(
        seen,
        requests.map(({ text: _, ...meant }) => meant),
      );
    }),
    { numRuns: 200 },
  );
});

test("valid streams satisfy every invariant", () => {
  fc.assert(
    fc.property(stream, cuts, (requests, places) => {
      assertSound(requests.map((it) => it.text).join(""), [places]);
    }),
    { numRuns: 60 },
  );
});

test("invalid streams give the same requests and the same failure, wherever they are split", () => {
  const change = fc.tuple(fc.nat(400), fc.nat(3), octets);
  fc.assert(
    fc.property(
      stream,
      fc.array(change, { minLength: 1, maxLength: 3 }),
      cuts,
      (all, edits, places) => {
        let broken = all.map((it) => it.text).join("");
        for (const [at, length, put] of edits) {
          const place = at % broken.length;
          broken = broken.slice(0, place) + put.slice(0, 3) + broken.slice(place + length);
        }
        assertSound(broken, [places]);
      },
    ),
    { numRuns: 150 },
  );
});

test("any bytes are parsed without an exception, and alike wherever they are split", () => {
  const pieces = fc.constantFrom("GET / HTTP/1.1\r\n", "Host: a\r\n", "\r\n", "\n", ":", "0", " ");
  const noise = fc.array(fc.oneof(pieces, octets), { maxLength: 12 }).map((all) => all.join(""));
  fc.assert(
    fc.property(noise, cuts, (bytes, places) => assertSound(bytes, [places])),
    { numRuns: 300 },
  );
});
