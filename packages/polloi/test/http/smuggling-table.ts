/** Streams that two servers might split into different requests, beyond those of `refused.ts`. */
import type { FailureCode } from "../../src/http/wire/failures.ts";

/** A request that must not be handled: it is in the body of another, or after one that is refused. */
export const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const WITH_LENGTH = `Content-Length: ${SMUGGLED.length}`;

const post = (lines: string, body = ""): string =>
  `POST / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n${body}`;
const chunked = (body: string): string => post("Transfer-Encoding: chunked", body);
const get = (lines: string): string => `GET / HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`;

/** A stream, and the reason why it is refused. `SMUGGLED` is sent after each. */
export type Trick = readonly [name: string, stream: string, failure: FailureCode];

const CODING_WITH_LENGTH: readonly Trick[] = [
  [
    "CL.TE: a length that covers the end of the chunks and more",
    post("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG"),
    "LENGTH_AND_CODING",
  ],
  [
    "TE.CL: chunks that hold a request, and a length that ends before it",
    post(
      "Content-Length: 4\r\nTransfer-Encoding: chunked",
      `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    ),
    "LENGTH_AND_CODING",
  ],
  ["TE.CL after a TAB", post(`Transfer-Encoding:\tchunked\r\n${WITH_LENGTH}`), "LENGTH_AND_CODING"],
  [
    "an empty coding beside a length",
    post(`Transfer-Encoding:\r\n${WITH_LENGTH}`),
    "LENGTH_AND_CODING",
  ],
  [
    "identity beside a length",
    post(`Transfer-Encoding: identity\r\n${WITH_LENGTH}`),
    "LENGTH_AND_CODING",
  ],
  [
    "a length in HTTP/1.0 beside chunks",
    `POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
    "LENGTH_AND_CODING",
  ],
  [
    "a length that Connection names, beside chunks",
    post(`Connection: Content-Length\r\n${WITH_LENGTH}\r\nTransfer-Encoding: chunked`),
    "LENGTH_AND_CODING",
  ],
  ["a length of 0 and another", post(`Content-Length: 0\r\n${WITH_LENGTH}`), "LENGTH_REPEATED"],
  [
    "the same length, three times",
    post(`${`${WITH_LENGTH}\r\n`.repeat(3)}A: b`),
    "LENGTH_REPEATED",
  ],
];

/** TE.TE: names and values that one server interprets as chunked, and another does not. */
const CODINGS: readonly Trick[] = [
  ...(
    [
      ["Transfer-Encoding : chunked", "NAME_SPACE"],
      ["Transfer-Encoding\t: chunked", "NAME_SPACE"],
      ["Transfer Encoding: chunked", "NAME_SPACE"],
      [" Transfer-Encoding: chunked", "FIELD_FOLDED"],
      ["\tTransfer-Encoding: chunked", "FIELD_FOLDED"],
      ["Transfer-Encoding:\r\n chunked", "FIELD_FOLDED"],
      ["Transfer-Encoding\r\n : chunked", "NAME_ALONE"],
      ["Transfer-Encoding\0: chunked", "NAME_INVALID"],
      ["\0Transfer-Encoding: chunked", "NAME_INVALID"],
      ["Transfer-Encoding\x80: chunked", "NAME_INVALID"],
      ["Tran\xc5\xbffer-Encoding: chunked", "NAME_INVALID"],
      ["\xef\xbb\xbfTransfer-Encoding: chunked", "NAME_INVALID"],
      ["A: b\nTransfer-Encoding: chunked", "BARE_LF"],
      ["A: b\rTransfer-Encoding: chunked", "BARE_CR"],
      ["A: b\n\rTransfer-Encoding: chunked", "BARE_LF"],
      ["A: b\r\r\nTransfer-Encoding: chunked", "BARE_CR"],
      ["A: b\0\r\nTransfer-Encoding: chunked", "VALUE_INVALID"],
      ["Transfer-Encoding: chunked\0", "VALUE_INVALID"],
      ["Transfer-Encoding:\x0bchunked", "VALUE_INVALID"],
      ["Transfer-Encoding: chunked\x0c", "VALUE_INVALID"],
      ["Transfer-Encoding: chunked\x7f", "VALUE_INVALID"],
      ["Transfer-Encoding: 'chunked'", "CODING_NOT_CHUNKED"],
      ["Transfer-Encoding: chunked-", "CODING_NOT_CHUNKED"],
      ["Transfer-Encoding: chun\xe2\x84\xaaed", "CODING_INVALID"],
      ["Transfer-Encoding: \xa0chunked", "CODING_INVALID"],
      ["Transfer-Encoding: chunked\x85", "CODING_INVALID"],
      ["Transfer-Encoding: chunked chunked", "CODING_INVALID"],
      ["Transfer-Encoding: chunked;", "CODING_INVALID"],
      ["Transfer-Encoding: chunked; q=1", "CODING_INVALID"],
      ["Transfer-Encoding: : chunked", "CODING_INVALID"],
      ["Transfer-Encoding: identity, chunked", "CODING_UNKNOWN"],
      ["Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "CODING_UNKNOWN"],
      ["Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "CODING_NOT_CHUNKED"],
      ["Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "CODING_NOT_CHUNKED"],
      ["Transfer-Encoding: chunked\r\nTransfer-encoding:", "CODING_INVALID"],
    ] as const
  ).map(
    ([lines, failure]): Trick => [
      `TE.TE: ${JSON.stringify(lines)}`,
      post(lines, `0\r\n\r\n`),
      failure,
    ],
  ),
];

const LENGTHS: readonly Trick[] = [
  ...[
    "+5",
    "-5",
    "-0",
    "0x5",
    "5 5",
    "5,5",
    "5, 5",
    "0,5",
    "5;",
    "5.",
    "5e0",
    "5_0",
    "'5'",
    '"5"',
    "5h",
    "\xef\xbc\x95",
    "\xb2",
    "18446744073709551621",
    "4294967296000000000005",
    `${"0".repeat(16)} 5`,
  ].map(
    (value): Trick => [
      `Content-Length: ${JSON.stringify(value)}`,
      post(`Content-Length: ${value}`, "12345"),
      "LENGTH_INVALID",
    ],
  ),
  [
    "a length above 2^32, which some servers truncate",
    post("Content-Length: 4294967301", "12345"),
    "BODY_LARGE",
  ],
  ["a length that ends in NUL", post("Content-Length: 5\0", "12345"), "VALUE_INVALID"],
  ["a length that ends in a vertical tab", post("Content-Length: 5\x0b", "12345"), "VALUE_INVALID"],
  [
    "0.CL: a length with a space before the colon",
    post("Content-Length : 5", "12345"),
    "NAME_SPACE",
  ],
  ["0.CL: a length on a folded line", post("Content-Length:\r\n 5", "12345"), "FIELD_FOLDED"],
  ["0.CL: a length after a bare LF", post("A: b\nContent-Length: 5", "12345"), "BARE_LF"],
  [
    "0.CL: an obfuscated expectation",
    post(`Expect: y 100-continue\r\n${WITH_LENGTH}`),
    "EXPECT_UNKNOWN",
  ],
  [
    "0.CL: one of two expectations",
    post(`Expect: 100-continue, x\r\n${WITH_LENGTH}`),
    "EXPECT_UNKNOWN",
  ],
];

const CHUNKS: readonly Trick[] = [
  ...[
    "-5",
    "+5",
    " 5",
    "5 ",
    "\t5",
    "0x5",
    "0X5",
    "5h",
    "5_0",
    "5,",
    "5.0",
    "\xef\xbc\x95",
    "5\0",
    "\0",
    `${"0".repeat(16)}5`,
    `${"0".repeat(10_000)}5`,
    "10000000000000005",
    "ffffffffffffffff",
    "8000000000000000",
  ].map(
    (size): Trick => [
      `the chunk size ${JSON.stringify(size.length > 40 ? `${size.slice(0, 20)}...` : size)}`,
      chunked(`${size}\r\nhello\r\n0\r\n\r\n`),
      "CHUNK_SIZE_INVALID",
    ],
  ),
  [
    "a chunk above 2^32, which some servers truncate",
    chunked("100000005\r\nhello\r\n0\r\n\r\n"),
    "BODY_LARGE",
  ],
  ["a last chunk of -0", chunked("-0\r\n\r\n"), "CHUNK_SIZE_INVALID"],
  ["a last chunk of 0x0", chunked("0x0\r\n\r\n"), "CHUNK_SIZE_INVALID"],
  ["TERM.EXT: LF ends an extension", chunked("5;\nxx\r\nhello\r\n0\r\n\r\n"), "BARE_LF"],
  ["EXT.TERM: CR ends an extension", chunked("5;a=b\rx\r\nhello\r\n0\r\n\r\n"), "BARE_CR"],
  ["EXT.TERM: two CR end an extension", chunked("5;a\r\r\nhello\r\n0\r\n\r\n"), "BARE_CR"],
  [
    "an extension with a quoted line end",
    chunked('5;a="\r\n"\r\nhello\r\n0\r\n\r\n'),
    "CHUNK_EXTENSION_INVALID",
  ],
  ["an extension with an unterminated quote", chunked('0;a="\r\n\r\n'), "CHUNK_EXTENSION_INVALID"],
  [
    "NUL in a quoted extension",
    chunked('5;a="\0"\r\nhello\r\n0\r\n\r\n'),
    "CHUNK_EXTENSION_INVALID",
  ],
  [
    "an extension without its semicolon",
    chunked("5 a=b\r\nhello\r\n0\r\n\r\n"),
    "CHUNK_SIZE_INVALID",
  ],
  ["SPILL: two bytes instead of CRLF", chunked("5\r\nhelloXX0\r\n\r\n"), "CHUNK_UNENDED"],
  ["SPILL: LF and CR instead of CRLF", chunked("5\r\nhello\n\r0\r\n\r\n"), "CHUNK_UNENDED"],
  ["LF instead of CRLF after a size", chunked("5\nhello\r\n0\r\n\r\n"), "BARE_LF"],
  ["LF after the last chunk", chunked("0\n\r\n"), "BARE_LF"],
  ["LF instead of the line after the last chunk", chunked("0\r\n\n"), "BARE_LF"],
  ["CR instead of the line after the last chunk", chunked("0\r\n\r"), "BARE_CR"],
  ["an empty line before a size", chunked("\r\n5\r\nhello\r\n0\r\n\r\n"), "CHUNK_SIZE_INVALID"],
  ["a trailer that does not end", chunked("0\r\nA: b"), "TRAILER_FORBIDDEN"],
  ["no line after the last chunk", chunked("0\r\n"), "NAME_SPACE"],
  [
    "a trailer with a framing field",
    chunked("0\r\nContent-Length: 5\r\n\r\n"),
    "TRAILER_FORBIDDEN",
  ],
  [
    "a trailer that names a coding",
    chunked("0\r\nTransfer-Encoding: x\r\n\r\n"),
    "TRAILER_FORBIDDEN",
  ],
  ["a trailer that ends in LF", chunked("0\r\nA: b\n\r\n"), "BARE_LF"],
  ["UTF-8 in the name of a trailer", chunked("0\r\n\xc3\xa4: b\r\n\r\n"), "NAME_INVALID"],
];

const HEADS: readonly Trick[] = [
  ["UTF-8 in a name", get("\xc3\xa4: b"), "NAME_INVALID"],
  ["NUL in the middle of a value", get("A: b\0Host: c"), "VALUE_INVALID"],
  ["a second Host with a space before the colon", get("Host : b"), "NAME_SPACE"],
  ["a second Host on a folded line", get("A: b\r\n Host: c"), "FIELD_FOLDED"],
  ["a Host with two values", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "HOST_INVALID"],
  ["a Host with a TAB in it", "GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", "HOST_INVALID"],
  ["a Host in UTF-8", "GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", "HOST_INVALID"],
  [
    "two Hosts beside an absolute target",
    `GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
    "HOST_REPEATED",
  ],
  [
    "a bad Host beside an absolute target",
    `GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n`,
    "HOST_INVALID",
  ],
  [
    "a request line with two versions",
    "GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "VERSION_MALFORMED",
  ],
  ["a vertical tab after the method", "GET\x0b/ HTTP/1.1\r\nHost: a\r\n\r\n", "METHOD_INVALID"],
  ["a no-break space before the version", "GET /\xa0HTTP/1.1\r\nHost: a\r\n\r\n", "TARGET_INVALID"],
  ["NUL after the version", "GET / HTTP/1.1\0\r\nHost: a\r\n\r\n", "VERSION_MALFORMED"],
  ["two CR after the version", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "BARE_CR"],
  ["LF instead of the line after the head", "GET / HTTP/1.1\r\nHost: a\r\n\n", "BARE_LF"],
  ["CR instead of the line after the head", "GET / HTTP/1.1\r\nHost: a\r\n\r", "BARE_CR"],
];

/** All refused streams. Each is refused before any byte after it is parsed. */
export const TRICKS: readonly Trick[] = [
  ...CODING_WITH_LENGTH,
  ...CODINGS,
  ...LENGTHS,
  ...CHUNKS,
  ...HEADS,
];

/** A valid but unusual stream, and its requests: method, target, host, body. */
export type Sound = readonly [name: string, stream: string, requests: readonly string[]];

export const SOUND: readonly Sound[] = [
  ["a body that is a request", post(WITH_LENGTH, SMUGGLED), [`POST / a ${SMUGGLED}`]],
  [
    "0.CL: a GET whose body is a request",
    `GET / HTTP/1.1\r\nHost: a\r\n${WITH_LENGTH}\r\n\r\n${SMUGGLED}`,
    [`GET / a ${SMUGGLED}`],
  ],
  [
    "a HEAD, a DELETE and an OPTIONS with a request in the body",
    ["HEAD", "DELETE", "OPTIONS"]
      .map((it) => post(WITH_LENGTH, SMUGGLED).replace("POST", it))
      .join(""),
    ["HEAD", "DELETE", "OPTIONS"].map((it) => `${it} / a ${SMUGGLED}`),
  ],
  [
    "a chunk that is a request",
    chunked(`${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`),
    [`POST / a ${SMUGGLED}`],
  ],
  [
    "an extension and a trailer that resemble a request",
    chunked('1;a="GET /smuggled HTTP/1.1"\r\nx\r\n0\r\nA: GET /smuggled HTTP/1.1\r\n\r\n'),
    ["POST / a x"],
  ],
  [
    "a chunk that resembles the last one",
    chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    ["POST / a 0\r\n\r\n"],
  ],
  [
    "a size with the maximum number of zeros",
    chunked("000000000000001\r\nx\r\n0\r\n\r\n"),
    ["POST / a x"],
  ],
  [
    "a length with leading zeros",
    post("Content-Length: 000000000000000000000001", "x"),
    ["POST / a x"],
  ],
  [
    "a name with an underscore, which is another name",
    post("Transfer_Encoding: chunked\r\nContent-Length: 1", "x"),
    ["POST / a x"],
  ],
  [
    "a name with a prefix, which is another name",
    post("X-Transfer-Encoding: chunked\r\nContent-Length: 1", "x"),
    ["POST / a x"],
  ],
  [
    "a coding between TABs",
    post("Transfer-Encoding:\t \tchunked\t ", "1\r\nx\r\n0\r\n\r\n"),
    ["POST / a x"],
  ],
  [
    "a framing field that Connection names is still used",
    post("Connection: Content-Length\r\nContent-Length: 1", "x"),
    ["POST / a x"],
  ],
  [
    "a target that names another host than Host",
    "GET http://b:81/c HTTP/1.1\r\nHost: a\r\n\r\n",
    ["GET http://b:81/c b:81 "],
  ],
  ["obs-text in a value", get("A: \x80\xff\xc3\xa4"), ["GET / a "]],
  ["an upgrade that the server ignores", get("Connection: Upgrade\r\nUpgrade: h2c"), ["GET / a "]],
  ["CRLF after a body", `${post("Content-Length: 1", "x")}\r\n`, ["POST / a x"]],
  [
    "HTTP/1.0 with keep-alive",
    "POST / HTTP/1.0\r\nConnection: keep-alive\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    ["POST / a x"],
  ],
];
