import assert from "node:assert/strict";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { BODY, END, FAILED, FAILURES, HEAD, NEED_MORE } from "../../src/http/wire/failures.ts";
import { DEFAULT_LIMITS, LARGEST_HEAD, parserLimitsOf } from "../../src/http/wire/limits.ts";
import { RequestParser } from "../../src/http/wire/request-parser.ts";
import { type Accepted, BODIES, HEADERS, JUST_WITHIN, TARGETS } from "./accepted.ts";
import { bytesOf, parseStream } from "./parse-stream.ts";
import { CHUNKS, FRAMING, HEADER_LINES, LIMITS, REQUEST_LINES, type Refused } from "./refused.ts";

/** The ways in which the stream of every row is split. */
function cutsOf(length: number): number[][] {
  const each = Array.from({ length }, (_, k) => k);
  return [[], [1], [length >> 1], [length - 1], [length - 2, length - 1], each];
}

function refusal([name, stream, failure, limits]: Refused): Case {
  return {
    name: `${name}: ${FAILURES[failure].status} ${failure}`,
    run() {
      const bytes = bytesOf(stream);
      for (const cuts of cutsOf(bytes.length)) {
        const outcome = parseStream(bytes, cuts, parserLimitsOf(limits));
        const at = `cut at ${cuts.slice(0, 4)}`;
        assert.equal(outcome.failure, failure, at);
        const complete = outcome.messages.filter(({ end }) => end !== undefined);
        assert.deepEqual(complete, [], `${at}: a request before the refusal`);
      }
    },
  };
}

function acceptance([name, stream, seen, limits]: Accepted): Case {
  return {
    name: `${name} is accepted`,
    run() {
      const bytes = bytesOf(stream);
      for (const cuts of cutsOf(bytes.length)) {
        const { failure, messages } = parseStream(bytes, cuts, parserLimitsOf(limits));
        assert.equal(failure, undefined, `cut at ${cuts.slice(0, 4)}`);
        const last = messages.at(-1);
        assert.ok(last !== undefined, "no request");
        const picked = Object.fromEntries(
          Object.keys(seen).map((key) => [key, last[key as keyof typeof last]]),
        );
        assert.deepEqual(picked, seen, `cut at ${cuts.slice(0, 4)}`);
      }
    },
  };
}

const SPLIT = bytesOf("GET /a HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc");

const state: readonly Case[] = [
  {
    name: "every status matches its reason, and every code has a test",
    run() {
      const refused = [REQUEST_LINES, HEADER_LINES, FRAMING, CHUNKS, LIMITS].flat();
      const tested = new Set(refused.map(([, , failure]) => failure));
      assert.deepEqual([...tested].sort(), Object.keys(FAILURES).sort());
      const statuses = new Set(Object.values(FAILURES).map(({ status }) => status));
      assert.deepEqual([...statuses].sort(), [400, 413, 414, 417, 431, 501, 505]);
    },
  },
  {
    name: "status and reason are those of the failure, and unset before one",
    run() {
      const parser = new RequestParser();
      assert.deepEqual([parser.failure, parser.status, parser.reason], [undefined, 0, ""]);
      assert.equal(parser.read(bytesOf("PRI * HTTP/2.0\r\n\r\n")), FAILED);
      assert.deepEqual(
        [parser.failure, parser.status, parser.reason],
        ["VERSION_UNSUPPORTED", 505, "HTTP version not supported"],
      );
    },
  },
  {
    name: "a request is a head, its body and an end, and the position is after each",
    run() {
      const parser = new RequestParser();
      const seen = [0, 1, 2, 3].map(() => [parser.read(SPLIT, parser.position), parser.position]);
      const head = SPLIT.length - 3;
      assert.deepEqual(seen, [
        [HEAD, head],
        [BODY, head + 3],
        [END, head + 3],
        [NEED_MORE, head + 3],
      ]);
      assert.deepEqual([parser.bodyStart, parser.bodyEnd], [head, head + 3]);
    },
  },
  {
    name: "a parser is idle before and after a request, and never within one",
    run() {
      const parser = new RequestParser();
      assert.ok(parser.idle);
      for (let k = 0; k < SPLIT.length; k++) {
        let at = k;
        while (parser.read(SPLIT, at, k + 1) !== NEED_MORE) {
          at = parser.position;
          if (k === SPLIT.length - 1 && parser.idle) break;
        }
        assert.equal(parser.idle, k === SPLIT.length - 1, `after ${k + 1} bytes`);
      }
      assert.equal(parser.read(bytesOf("\r\n")), NEED_MORE);
      assert.ok(!parser.idle, "an empty line was parsed, and is counted");
    },
  },
  {
    name: "a reset parser behaves like a new one, whatever its state was",
    run() {
      for (const before of [
        "GET",
        "\r",
        SPLIT,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
        "\n",
      ]) {
        const parser = new RequestParser();
        parser.read(typeof before === "string" ? bytesOf(before) : before);
        parser.reset();
        assert.ok(parser.idle);
        assert.deepEqual([parser.failure, parser.position], [undefined, 0]);
        assert.equal(parser.read(SPLIT), HEAD);
        assert.equal(parser.head.path, "/a");
        assert.equal(parser.read(SPLIT, parser.position), BODY);
        assert.equal(parser.read(SPLIT, parser.position), END);
      }
    },
  },
  {
    name: "headers are found in any case, joined if repeated, and undefined if absent",
    run() {
      const parser = new RequestParser();
      const lines = "X-One: 1\r\nx-one:\r\nX-ONE: 3\r\nCookie: a=1\r\ncookie: b=2\r\nEmpty:\r\n";
      parser.read(bytesOf(`GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n`));
      const { head } = parser;
      assert.equal(head.header("x-ONE"), "1, , 3");
      assert.equal(head.header("Cookie"), "a=1; b=2");
      assert.equal(head.header("empty"), "");
      assert.equal(head.header("x-on"), undefined);
      assert.equal(head.header("x_one"), undefined);
      assert.equal(head.header("x-on\u0145"), undefined);
      assert.equal(head.header(""), undefined);
      assert.equal(head.fields.count, 7);
      assert.equal(new Headers(head.headers()).get("x-one"), "1, , 3");
    },
  },
  {
    name: "a copied and a kept head stay valid after the chunk, and the copy also after the next request",
    run() {
      const parser = new RequestParser();
      const chunk = SPLIT.slice();
      parser.read(chunk);
      const copy = parser.head.copy();
      parser.keepHead();
      chunk.fill(0);
      assert.deepEqual([parser.head.target, parser.head.host], ["/a", "b"]);
      parser.read(bytesOf("abc"));
      parser.read(bytesOf(""));
      assert.deepEqual(parser.head.headers(), copy.headers());
      parser.read(bytesOf("PUT /other HTTP/1.0\r\n\r\n"));
      assert.equal(parser.head.path, "/other");
      assert.deepEqual([copy.method, copy.path, copy.contentLength], ["GET", "/a", 3]);
    },
  },
  {
    name: "a repeated path is always that of its own request",
    run() {
      const parser = new RequestParser();
      for (const path of ["/a", "/a", "/b", "/", "/bb", "/b", `/${"c".repeat(80)}`, "/b"]) {
        const stream = bytesOf(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
        assert.equal(parser.read(stream), HEAD);
        assert.deepEqual([parser.head.path, parser.head.target], [path, path]);
        assert.equal(parser.read(stream, parser.position), END);
      }
    },
  },
  {
    name: "limits are the given ones, and the defaults otherwise",
    run() {
      assert.deepEqual(parserLimitsOf(), DEFAULT_LIMITS);
      assert.deepEqual(parserLimitsOf({ maxHeaders: undefined }), DEFAULT_LIMITS);
      const infinite = { maxBodyBytes: Number.POSITIVE_INFINITY, maxHeaders: 0 };
      assert.deepEqual(parserLimitsOf(infinite), { ...DEFAULT_LIMITS, ...infinite });
      for (const value of [-1, 1.5, Number.NaN, "1" as unknown as number, LARGEST_HEAD + 1]) {
        assert.throws(() => parserLimitsOf({ maxHeadBytes: value }), {
          name: typeof value === "number" ? "RangeError" : "TypeError",
          code: "ERR_INVALID_OPTION",
        });
      }
    },
  },
  {
    name: "a range outside the chunk is misuse",
    run() {
      const parser = new RequestParser();
      for (const [from, to] of [
        [-1, 2],
        [2, 1],
        [0, 4],
        [Number.NaN, 2],
      ] as const) {
        assert.throws(() => parser.read(new Uint8Array(3), from, to), {
          name: "RangeError",
          code: "ERR_INVALID_LENGTH",
        });
      }
      assert.equal(parser.read(SPLIT), HEAD);
    },
  },
];

/** The request parser: tables of accepted and refused requests, and its use. */
export function parserSuite(): Suite {
  return {
    title: "HTTP/1.x request parser",
    cases: [
      ...[TARGETS, HEADERS, BODIES, JUST_WITHIN].flat().map(acceptance),
      ...[REQUEST_LINES, HEADER_LINES, FRAMING, CHUNKS, LIMITS].flat().map(refusal),
      ...state,
    ],
  };
}
