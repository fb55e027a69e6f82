/** Requests that are accepted, each with the expected properties of its parsed form. */
import type { ParserLimits } from "../../src/http/wire/limits.ts";
import type { Message } from "./parse-stream.ts";

/** A stream that is accepted, and properties of its last request. */
export type Accepted = readonly [
  name: string,
  stream: string,
  seen: Partial<Message>,
  limits?: Partial<ParserLimits>,
];

const get = (lines: string) => `GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`;
const post = (lines: string, body = "") => `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n${body}`;
const chunked = (body: string) => post("Transfer-Encoding: chunked", body);
const line = (text: string) => `${text}\r\nHost: a\r\n\r\n`;
const old = (lines: string) => `GET / HTTP/1.0\r\n${lines}\r\n`;
/** A body that is not consumed would be parsed as a second request. */
const next = "GET /next HTTP/1.1\r\nHost: b\r\n\r\n";

/** Request lines. */
export const TARGETS: readonly Accepted[] = [
  ...["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "GETS", "M-SEARCH", "X"].map(
    (method): Accepted => [`the method ${method}`, line(`${method} / HTTP/1.1`), { method }],
  ),
  ["a method of 32 characters", line(`${"A".repeat(32)} / HTTP/1.1`), { method: "A".repeat(32) }],
  ["every token character", line("!#$%&'*+-.^_`|~9 / HTTP/1.1"), { method: "!#$%&'*+-.^_`|~9" }],
  [
    "the origin form",
    line("GET /a/../b%2F?c=d?e HTTP/1.1"),
    { form: "origin", target: "/a/../b%2F?c=d?e", path: "/a/../b%2F", query: "c=d?e", host: "a" },
  ],
  [
    "a target of two slashes",
    line("GET //b/c HTTP/1.1"),
    { form: "origin", path: "//b/c", host: "a" },
  ],
  ["an empty query", line("GET /? HTTP/1.1"), { path: "/", query: "" }],
  [
    "characters that browsers do not encode",
    line('GET /"<>\\^`{|} HTTP/1.1'),
    { path: '/"<>\\^`{|}' },
  ],
  ["a long path", line(`GET /${"a".repeat(99)} HTTP/1.1`), { path: `/${"a".repeat(99)}` }],
  [
    "an absolute target, over Host",
    line("GET http://b.org:81/c?d HTTP/1.1"),
    { form: "absolute", path: "/c", query: "d", host: "b.org:81" },
  ],
  [
    "an absolute target without a path",
    line("GET HTTPS://b HTTP/1.1"),
    { form: "absolute", path: "/", query: "", host: "b" },
  ],
  [
    "an absolute target of a query",
    line("GET http://b?c HTTP/1.1"),
    { path: "/", query: "c", host: "b" },
  ],
  ["the asterisk form", line("OPTIONS * HTTP/1.1"), { form: "asterisk", path: "*", host: "a" }],
  ["OPTIONS of a whole host", line("OPTIONS http://b HTTP/1.1"), { path: "*", host: "b" }],
  ["OPTIONS of its root", line("OPTIONS http://b/ HTTP/1.1"), { path: "/", host: "b" }],
  [
    "the authority form",
    line("CONNECT [::1]:443 HTTP/1.1"),
    { form: "authority", path: "", query: "", host: "[::1]:443" },
  ],
  ["a later minor version", line("GET / HTTP/1.9"), { version: 1, keepAlive: true }],
  ["four leading empty lines", "\r\n".repeat(4) + get("A: b"), { path: "/" }],
  [
    "empty lines before each request",
    `${"\r\n".repeat(4)}${get("A: b")}\r\n\r\n${next}`,
    { path: "/next" },
  ],
];

/** Header fields. */
export const HEADERS: readonly Accepted[] = [
  ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", { host: "" }],
  ["no Host in HTTP/1.0", old(""), { host: undefined, version: 0 }],
  ...[
    "a",
    "a:80",
    "a:",
    "127.0.0.1:8080",
    "[::1]",
    "[::ffff:1.2.3.4]:1",
    "a.b-c_d~",
    "%41",
    "(a)",
  ].map(
    (host): Accepted => [`the Host ${host}`, `GET / HTTP/1.1\r\nhOsT:\t${host} \r\n\r\n`, { host }],
  ),
  [
    "whitespace around values, which is not part of them",
    get("A:b\r\nC:  d e\t \r\nD:\r\nE: \t"),
    {
      headers: [
        ["Host", "a"],
        ["A", "b"],
        ["C", "d e"],
        ["D", ""],
        ["E", ""],
      ],
    },
  ],
  [
    "obs-text in a value",
    get("A: \x80\xff"),
    {
      headers: [
        ["Host", "a"],
        ["A", "\x80\xff"],
      ],
    },
  ],
  [
    "a colon in a value",
    get("A:: b:c"),
    {
      headers: [
        ["Host", "a"],
        ["A", ": b:c"],
      ],
    },
  ],
  ["HTTP/1.1 is kept", get("A: b"), { keepAlive: true }],
  ["HTTP/1.1 with close", get("Connection: Close"), { keepAlive: false }],
  ["close in a list", get("Connection: foo ,, close,bar"), { keepAlive: false }],
  ["close in a second field", get("Connection: foo\r\nconnection: close"), { keepAlive: false }],
  ["close over keep-alive", get("Connection: keep-alive, close"), { keepAlive: false }],
  ["options that resemble close", get("Connection: closed, x-close, close x"), { keepAlive: true }],
  ["HTTP/1.0 is closed", old("Connection: foo\r\n"), { keepAlive: false }],
  ["HTTP/1.0 with keep-alive", old("Connection: Keep-Alive\r\n"), { keepAlive: true }],
  ["HTTP/1.0 with both", old("Connection: close, keep-alive\r\n"), { keepAlive: false }],
  ["100-continue", post("Expect: 100-Continue"), { expectsContinue: true }],
  ["no 100-continue", post("A: b"), { expectsContinue: false }],
  ["100-continue in HTTP/1.0", old("Expect: 100-continue\r\n"), { expectsContinue: false }],
  ["an upgrade", get("Upgrade: a/1, b\r\nConnection: x, upgrade"), { upgrade: "a/1, b" }],
  [
    "upgrades in two fields",
    get("Upgrade: a\r\nConnection: upgrade\r\nUpgrade: b"),
    { upgrade: "a, b" },
  ],
  ["an upgrade that Connection does not name", get("Upgrade: a"), { upgrade: undefined }],
  ["an upgrade to nothing", get("Connection: upgrade"), { upgrade: undefined }],
  ["an upgrade in HTTP/1.0", old("Upgrade: a\r\nConnection: upgrade\r\n"), { upgrade: undefined }],
];

/** Bodies. */
export const BODIES: readonly Accepted[] = [
  ["no body", get("A: b"), { contentLength: 0, body: "", trailers: [] }],
  ["a length of 0", post("Content-Length: 0") + next, { path: "/next" }],
  ["a length", post("Content-Length:5", "hello"), { contentLength: 5, body: "hello" }],
  ["a length with leading zeros", post("Content-Length: 0005", "hello"), { contentLength: 5 }],
  [
    "a body that looks like a request",
    post(`Content-Length: ${next.length}`, next),
    { body: next },
  ],
  ["a request after a body", post("Content-Length: 5", `hello${next}`), { path: "/next" }],
  ["a body of GET", `${get("Content-Length: 2")}ab`, { method: "GET", body: "ab" }],
  [
    "a chunk",
    chunked("5\r\nhello\r\n0\r\n\r\n"),
    { contentLength: -1, body: "hello", trailers: [] },
  ],
  [
    "the coding in any case",
    post("transfer-encoding: CHUNKED ", "0\r\n\r\n"),
    { contentLength: -1 },
  ],
  ["chunks", chunked("3\r\nhel\r\n2\r\nlo\r\n000\r\n\r\n"), { body: "hello" }],
  [
    "a size in either case",
    chunked(`A\r\n${"a".repeat(10)}\r\na\r\n${"b".repeat(10)}\r\n0\r\n\r\n`),
    { contentLength: -1 },
  ],
  [
    "a size of 16 digits",
    chunked(`${"0".repeat(15)}1\r\na\r\n${"0".repeat(16)}\r\n\r\n`),
    { body: "a" },
  ],
  ["a chunk of CR and LF", chunked("4\r\n\r\n\r\n\r\n0\r\n\r\n"), { body: "\r\n\r\n" }],
  ["chunk extensions", chunked('1;a;b=c;d="e;\\"\\\\"\r\nx\r\n0;z\r\n\r\n'), { body: "x" }],
  ["spaced chunk extensions", chunked("1 ; a = b\t;\tc\r\nx\r\n0\r\n\r\n"), { body: "x" }],
  [
    "a request after chunks",
    chunked(`1\r\nx\r\n0\r\n\r\n${next}`),
    { path: "/next", trailers: [] },
  ],
  [
    "trailers",
    chunked(`0\r\nA: b\r\nC:\r\n\r\n`),
    {
      trailers: [
        ["A", "b"],
        ["C", ""],
      ],
      headers: [
        ["Host", "a"],
        ["Transfer-Encoding", "chunked"],
      ],
    },
  ],
  [
    "a request after trailers",
    chunked(`0\r\nA: b\r\n\r\n${next}`),
    { path: "/next", trailers: [] },
  ],
];

/** Requests at the limits. */
export const JUST_WITHIN: readonly Accepted[] = [
  ["a target of 8192 bytes", line(`GET /${"a".repeat(8191)} HTTP/1.1`), {}],
  ["a head of 16384 bytes", get(`A: ${"b".repeat(16_384 - 32)}`), {}],
  ["100 headers", get(Array(99).fill("A: b").join("\r\n")), {}],
  ["a body at the limit", post("Content-Length: 4", "body"), { body: "body" }, { maxBodyBytes: 4 }],
  [
    "chunks at the limit",
    chunked("3\r\nbod\r\n1\r\ny\r\n0\r\n\r\n"),
    { body: "body" },
    { maxBodyBytes: 4 },
  ],
  ["no body when none is allowed", chunked("0\r\n\r\n"), { body: "" }, { maxBodyBytes: 0 }],
  [
    "a large length without a limit, without the body",
    post("Content-Length: 9007199254740991"),
    { contentLength: 9_007_199_254_740_991 },
    { maxBodyBytes: Number.POSITIVE_INFINITY },
  ],
  [
    "extensions at the limit",
    chunked("1;abc\r\na\r\n0;abc\r\n\r\n"),
    { body: "a" },
    { maxChunkExtensionBytes: 8 },
  ],
  [
    "trailers at the limit",
    chunked("0\r\nA: b\r\n\r\n"),
    { trailers: [["A", "b"]] },
    { maxTrailerBytes: 8 },
  ],
];
