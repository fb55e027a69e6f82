/** Requests that are refused, each with its reason. */

import type { FailureCode } from "../../src/http/wire/failures.ts";
import type { ParserLimits } from "../../src/http/wire/limits.ts";

/** A stream that is refused, the code, and limits other than the default. */
export type Refused = readonly [
  name: string,
  stream: string,
  failure: FailureCode,
  limits?: Partial<ParserLimits>,
];

/** A valid request line and Host, with one more header line. */
const get = (lines: string) => `GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`;
const post = (lines: string, body = "") => `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n${body}`;
const chunked = (body: string) => post("Transfer-Encoding: chunked", body);
const line = (text: string) => `${text}\r\nHost: a\r\n\r\n`;
const host = (value: string) => `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`;

/** Request lines. */
export const REQUEST_LINES: readonly Refused[] = [
  ["a method with a control character", line("G\x01T / HTTP/1.1"), "METHOD_INVALID"],
  ["a method with a comma", line("G,T / HTTP/1.1"), "METHOD_INVALID"],
  ["a method with obs-text", line("G\xcfT / HTTP/1.1"), "METHOD_INVALID"],
  ["no method", line(" / HTTP/1.1"), "METHOD_INVALID"],
  ["a request line with a TAB", line("GET\t/ HTTP/1.1"), "METHOD_INVALID"],
  ["TLS instead of HTTP", "\x16\x03\x01\x02\0", "METHOD_INVALID"],
  ["a method of 33 characters", line(`${"A".repeat(33)} / HTTP/1.1`), "METHOD_LONG"],
  ["no target", line("GET  HTTP/1.1"), "TARGET_INVALID"],
  ["two spaces before the target", line("GET  / HTTP/1.1"), "TARGET_INVALID"],
  ["two spaces after the target", line("GET /  HTTP/1.1"), "VERSION_MALFORMED"],
  ["a space in the target", line("GET /a b HTTP/1.1"), "VERSION_MALFORMED"],
  ["a TAB in the target", line("GET /a\tb HTTP/1.1"), "TARGET_INVALID"],
  ["NUL in the target", line("GET /a\0 HTTP/1.1"), "TARGET_INVALID"],
  ["DEL in the target", line("GET /a\x7f HTTP/1.1"), "TARGET_INVALID"],
  ["obs-text in the target", line("GET /\xe4 HTTP/1.1"), "TARGET_INVALID"],
  ["a fragment in the target", line("GET /#a HTTP/1.1"), "TARGET_INVALID"],
  ["a target without its slash", line("GET a HTTP/1.1"), "TARGET_INVALID"],
  ["an asterisk with GET", line("GET * HTTP/1.1"), "TARGET_INVALID"],
  ["more than an asterisk", line("OPTIONS *a HTTP/1.1"), "TARGET_INVALID"],
  ["an authority with GET", line("GET a:80 HTTP/1.1"), "TARGET_INVALID"],
  ["CONNECT to a path", line("CONNECT / HTTP/1.1"), "TARGET_INVALID"],
  ["CONNECT without a port", line("CONNECT a HTTP/1.1"), "TARGET_INVALID"],
  ["CONNECT with a colon and no port", line("CONNECT a: HTTP/1.1"), "TARGET_INVALID"],
  ["CONNECT to a port past 65535", line("CONNECT a:65536 HTTP/1.1"), "TARGET_INVALID"],
  ["an absolute target without a host", line("GET http:///a HTTP/1.1"), "TARGET_INVALID"],
  ["an absolute target of nothing", line("GET http:// HTTP/1.1"), "TARGET_INVALID"],
  ["an absolute target with one slash", line("GET http:/a/b HTTP/1.1"), "TARGET_INVALID"],
  ["a target of another scheme", line("GET ftp://a/ HTTP/1.1"), "TARGET_INVALID"],
  ["user information in a target", line("GET http://u@a/ HTTP/1.1"), "TARGET_INVALID"],
  ["a request of HTTP/0.9", "GET /\r\n", "VERSION_MALFORMED"],
  ["a target with LF after it", "GET /\n", "VERSION_MALFORMED"],
  ["a version of another protocol", line("GET / ICY/1.1"), "VERSION_MALFORMED"],
  ["a version in lower case", line("GET / http/1.1"), "VERSION_MALFORMED"],
  ["a version with a comma", line("GET / HTTP/1,1"), "VERSION_MALFORMED"],
  ["a version without a minor part", line("GET / HTTP/1"), "VERSION_MALFORMED"],
  ["a version with two digits", line("GET / HTTP/1.10"), "VERSION_MALFORMED"],
  ["a version with a sign", line("GET / HTTP/-1.1"), "VERSION_MALFORMED"],
  ["a space after the version", line("GET / HTTP/1.1 "), "VERSION_MALFORMED"],
  ["a version that ends early", "GET / H\r\n", "VERSION_MALFORMED"],
  ["HTTP/2.0", line("GET / HTTP/2.0"), "VERSION_UNSUPPORTED"],
  ["HTTP/0.9 with its number", line("GET / HTTP/0.9"), "VERSION_UNSUPPORTED"],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "VERSION_UNSUPPORTED"],
  ["a request line that ends in LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", "BARE_LF"],
  ["a request line that ends in CR", "GET / HTTP/1.1\rHost: a\r\n\r\n", "BARE_CR"],
  ["five leading empty lines", `${"\r\n".repeat(5)}${get("A: b")}`, "EMPTY_LINES"],
  ["a leading LF", `\n${get("A: b")}`, "BARE_LF"],
  ["a leading CR", `\r${get("A: b")}`, "BARE_CR"],
];

/** The syntax of header fields. */
export const HEADER_LINES: readonly Refused[] = [
  ["a space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "FIELD_LEADING_SPACE"],
  ["a TAB before the first header", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", "FIELD_LEADING_SPACE"],
  ["a folded line", get("A: b\r\n c"), "FIELD_FOLDED"],
  ["a line folded by a TAB", get("A: b\r\n\tc"), "FIELD_FOLDED"],
  ["a line of whitespace", get("A: b\r\n "), "FIELD_FOLDED"],
  ["no name", get(": b"), "NAME_EMPTY"],
  ["a space before the colon", get("A : b"), "NAME_SPACE"],
  ["a TAB before the colon", get("A\t: b"), "NAME_SPACE"],
  ["a space in a name", get("A b: c"), "NAME_SPACE"],
  ["no colon", get("A"), "NAME_ALONE"],
  ["a name that ends in LF", get("A\nB: c"), "NAME_ALONE"],
  ["NUL in a name", get("A\0: b"), "NAME_INVALID"],
  ["a parenthesis in a name", get("A(: b"), "NAME_INVALID"],
  ["obs-text in a name", get("\xc4: b"), "NAME_INVALID"],
  ["NUL in a value", get("A: b\0c"), "VALUE_INVALID"],
  ["NUL that begins a value", get("A: \0"), "VALUE_INVALID"],
  ["DEL in a value", get("A: b\x7f"), "VALUE_INVALID"],
  ["a vertical tab in a value", get("A: b\x0bc"), "VALUE_INVALID"],
  ["an escape in a value", get("A: \x1b[1m"), "VALUE_INVALID"],
  ["a bare CR in a value", get("A: b\rc"), "BARE_CR"],
  ["two CR at the end of a line", get("A: b\r"), "BARE_CR"],
  ["a bare LF at the end of a line", get("A: b\nC: d"), "BARE_LF"],
  ["a bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", "BARE_LF"],
  ["a bare CR at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\rX", "BARE_CR"],
];

/** Header fields that determine the host and the end of a request. */
export const FRAMING: readonly Refused[] = [
  ["no Host", "GET / HTTP/1.1\r\n\r\n", "HOST_MISSING"],
  ["no Host beside an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", "HOST_MISSING"],
  ["two Hosts", get("Host: b"), "HOST_REPEATED"],
  ["the same Host twice", get("hOST: a"), "HOST_REPEATED"],
  ["two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "HOST_REPEATED"],
  ...["a b", "a/b", "a?b", "u@a", "a,b", "a:b", "a:65536", "a:1:2", ":80", "[::1", "[]", "::1"].map(
    (value): Refused => [`the Host ${value}`, host(value), "HOST_INVALID"],
  ),
  ...["[zz]", "[:]", "[1.2.3.4]", "[v1.a:b]:1", "[::1%25a]", "[1::2::3]", "1.2.3.256", "a.1"].map(
    (value): Refused => [
      `the Host ${value}, which is invalid in a URL`,
      host(value),
      "HOST_INVALID",
    ],
  ),
  ...["%", "%4", "%zz", "a\\b", "a\x80", '"a"', "<a>", "[::1]a", "[a/b]"].map(
    (value): Refused => [`the Host ${JSON.stringify(value)}`, host(value), "HOST_INVALID"],
  ),
  ...["", "+1", "-1", "1 2", "0x1", "1a", "1.0", "1,1", "1, 1", "\u00b2", "9007199254740992"].map(
    (value): Refused => [
      `Content-Length: ${JSON.stringify(value)}`,
      post(`Content-Length: ${value}`),
      "LENGTH_INVALID",
    ],
  ),
  ["a Content-Length of 400 digits", post(`Content-Length: ${"9".repeat(400)}`), "LENGTH_INVALID"],
  ["two lengths", post("Content-Length: 1\r\nContent-Length: 2"), "LENGTH_REPEATED"],
  ["the same length twice", post("Content-Length: 1\r\ncontent-length: 1"), "LENGTH_REPEATED"],
  ["length, coding", post("Content-Length: 1\r\nTransfer-Encoding: chunked"), "LENGTH_AND_CODING"],
  ["coding, length", post("Transfer-Encoding: chunked\r\nContent-Length: 0"), "LENGTH_AND_CODING"],
  [
    "length, unknown coding",
    post("Content-Length: 1\r\nTransfer-Encoding: x"),
    "LENGTH_AND_CODING",
  ],
  [
    "a coding in HTTP/1.0",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CODING_VERSION",
  ],
  ...(
    [
      ["", "CODING_INVALID"],
      ["chunked,", "CODING_INVALID"],
      [",chunked", "CODING_INVALID"],
      ["chunked;a=b", "CODING_INVALID"],
      ['"chunked"', "CODING_INVALID"],
      ["chun ked", "CODING_INVALID"],
      ["chunked \x80", "CODING_INVALID"],
      ["chunked, chunked", "CODING_REPEATED"],
      ["chunked, gzip, chunked", "CODING_REPEATED"],
      ["chunked\r\nTransfer-Encoding: chunked", "CODING_REPEATED"],
      ["chunked, identity", "CODING_NOT_CHUNKED"],
      ["chunked\r\nTransfer-Encoding: gzip", "CODING_NOT_CHUNKED"],
      ["identity", "CODING_NOT_CHUNKED"],
      ["xchunked", "CODING_NOT_CHUNKED"],
      ["chunkedx", "CODING_NOT_CHUNKED"],
      ["gzip", "CODING_NOT_CHUNKED"],
      ["gzip, chunked", "CODING_UNKNOWN"],
      ["gzip;q=1, Chunked", "CODING_UNKNOWN"],
      ["identity\r\nTransfer-Encoding: chunked", "CODING_UNKNOWN"],
    ] as const
  ).map(
    ([value, failure]): Refused => [
      `Transfer-Encoding: ${JSON.stringify(value)}`,
      post(`Transfer-Encoding: ${value}`, "0\r\n\r\n"),
      failure,
    ],
  ),
  ["an unknown expectation", post("Expect: 200-ok"), "EXPECT_UNKNOWN"],
  ["an empty expectation", post("Expect:"), "EXPECT_UNKNOWN"],
];

/** Chunked bodies. */
export const CHUNKS: readonly Refused[] = [
  ...["", "x", "-1", "+5", "0x5", " 5", "5 ", "5\t", "5,5", "5g", "\x80", "20000000000000"].map(
    (size): Refused => [
      `the chunk size ${JSON.stringify(size)}`,
      chunked(`${size}\r\nhello\r\n0\r\n\r\n`),
      "CHUNK_SIZE_INVALID",
    ],
  ),
  ["a chunk size of 17 digits", chunked(`${"0".repeat(16)}5\r\nhello\r\n`), "CHUNK_SIZE_INVALID"],
  ["a chunk size past 64 bits", chunked("10000000000000005\r\nhello"), "CHUNK_SIZE_INVALID"],
  ["a chunk size that ends in LF", chunked("5\nhello\r\n0\r\n\r\n"), "BARE_LF"],
  ["a chunk size that ends in CR", chunked("5\rhello\r\n0\r\n\r\n"), "BARE_CR"],
  ...[";", "; ", ";=a", ";a=", ";a==b", ";a b", ";a=b c", ';a="b', ';a="b"c', ";a\0", ";a;"].map(
    (extension): Refused => [
      `the chunk extension ${JSON.stringify(extension)}`,
      chunked(`5${extension}\r\nhello\r\n0\r\n\r\n`),
      "CHUNK_EXTENSION_INVALID",
    ],
  ),
  ["whitespace after an extension", chunked("5;a=b \r\nhello\r\n"), "CHUNK_EXTENSION_INVALID"],
  ["whitespace after a quoted one", chunked('5;a="b" \r\nhello\r\n'), "CHUNK_EXTENSION_INVALID"],
  ["a bare LF in an extension", chunked("5;a\nhello\r\n0\r\n\r\n"), "BARE_LF"],
  ["a bare LF in a quoted extension", chunked('5;a="\n"\r\nhello\r\n0\r\n\r\n'), "BARE_LF"],
  ["a bare CR in an extension", chunked("5;a\rhello\r\n0\r\n\r\n"), "BARE_CR"],
  ["a quoted CR in an extension", chunked('5;a="\\\r"\r\nhello\r\n'), "CHUNK_EXTENSION_INVALID"],
  ["a chunk that is longer than its size", chunked("5\r\nhello!\r\n0\r\n\r\n"), "CHUNK_UNENDED"],
  ["a chunk with LF after it", chunked("5\r\nhello\n0\r\n\r\n"), "CHUNK_UNENDED"],
  ["a chunk with CR after it", chunked("5\r\nhello\r0\r\n\r\n"), "CHUNK_UNENDED"],
  ["a chunk that is shorter than its size", chunked("6\r\nhello\r\n0\r\n\r\n"), "CHUNK_UNENDED"],
  ["something after the last chunk", chunked("0\r\nhello\r\n\r\n"), "NAME_ALONE"],
  ["a request after the last chunk", chunked("0\r\nGET / HTTP/1.1\r\n\r\n"), "NAME_SPACE"],
  ["an LF after the last chunk", chunked("0\r\n\n"), "BARE_LF"],
  ["a space before the first trailer", chunked("0\r\n A: b\r\n\r\n"), "FIELD_LEADING_SPACE"],
  ["a folded trailer", chunked("0\r\nA: b\r\n c\r\n\r\n"), "FIELD_FOLDED"],
  ["a space before a trailer's colon", chunked("0\r\nA : b\r\n\r\n"), "NAME_SPACE"],
  ["NUL in a trailer", chunked("0\r\nA: \0\r\n\r\n"), "VALUE_INVALID"],
  ["a bare LF in a trailer", chunked("0\r\nA: b\n\r\n"), "BARE_LF"],
  ...["Content-Length", "TRANSFER-ENCODING", "host", "Connection", "Authorization"].map(
    (name): Refused => [
      `the trailer ${name}`,
      chunked(`0\r\nA: b\r\n${name}: 1\r\n\r\n`),
      "TRAILER_FORBIDDEN",
    ],
  ),
];

/** Requests beyond the limits. */
export const LIMITS: readonly Refused[] = [
  ["a target of 8193 bytes", line(`GET /${"a".repeat(8192)} HTTP/1.1`), "TARGET_LONG"],
  ["a target without an end", `GET /${"a".repeat(8192)}`, "TARGET_LONG"],
  ["a target that fills the head", "GET /aaaaaaaaaaaaaaa", "TARGET_LONG", { maxHeadBytes: 20 }],
  ["a target when none is allowed", "GET /", "TARGET_LONG", { maxTargetBytes: 0 }],
  ["a head of 16385 bytes", get(`A: ${"b".repeat(16_385 - 32)}`), "HEAD_LARGE"],
  ["a head without an end", `GET / HTTP/1.1\r\nA: ${"b".repeat(16_384)}`, "HEAD_LARGE"],
  ["a name without an end", `GET / HTTP/1.1\r\n${"b".repeat(16_384)}`, "HEAD_LARGE"],
  ["101 headers", get(Array(100).fill("A: b").join("\r\n")), "HEADERS_MANY"],
  ["a header when none is allowed", get("A: b"), "HEADERS_MANY", { maxHeaders: 0 }],
  ["a body announced past the limit", post("Content-Length: 1048577"), "BODY_LARGE"],
  ["a chunk announced past the limit", chunked("100001\r\n"), "BODY_LARGE"],
  ["chunks past the limit", chunked("4\r\nbody\r\n1\r\n"), "BODY_LARGE", { maxBodyBytes: 4 }],
  ["a body when none is allowed", post("Content-Length: 1"), "BODY_LARGE", { maxBodyBytes: 0 }],
  [
    "extensions past the limit, all chunks together",
    chunked("1;abc\r\na\r\n1;abc\r\nb\r\n0\r\n\r\n"),
    "CHUNK_EXTENSIONS_LARGE",
    { maxChunkExtensionBytes: 7 },
  ],
  ["an extension without an end", chunked(`1;${"a".repeat(16_384)}`), "CHUNK_EXTENSIONS_LARGE"],
  ["trailers past the limit", chunked(`0\r\nA: ${"b".repeat(8192)}`), "TRAILERS_LARGE"],
  ["101 trailers", chunked(`0\r\n${"A: b\r\n".repeat(101)}\r\n`), "TRAILERS_MANY"],
];
