/** More bytes are needed. All given bytes were parsed. */
export const NEED_MORE = 0;
/** A head is complete: see `RequestParser.head`. */
export const HEAD = 1;
/** Bytes of a body, from `bodyStart` to `bodyEnd`. */
export const BODY = 2;
/** The request is complete. The next one may begin at `position`. */
export const END = 3;
/** The request is refused, and so are all further bytes: see `failure`, `status` and `reason`. */
export const FAILED = 4;

/** The result of a read. */
export type ReadResult = typeof NEED_MORE | typeof HEAD | typeof BODY | typeof END | typeof FAILED;

/**
 * The reasons to refuse a request, by code: the status of the reply, and a short text.
 *
 * @remarks
 * After any of these the connection must be closed, because the beginning of the next request is unknown or cannot be
 * trusted. The texts contain no data from the client.
 */
export const FAILURES = {
  EMPTY_LINES: { status: 400, reason: "too many empty lines before the request line" },
  METHOD_INVALID: { status: 400, reason: "invalid method" },
  METHOD_LONG: { status: 501, reason: "method too long" },
  TARGET_INVALID: { status: 400, reason: "invalid request target" },
  TARGET_LONG: { status: 414, reason: "request target too long" },
  VERSION_MALFORMED: { status: 400, reason: "malformed HTTP version" },
  VERSION_UNSUPPORTED: { status: 505, reason: "HTTP version not supported" },
  BARE_CR: { status: 400, reason: "CR without LF" },
  BARE_LF: { status: 400, reason: "LF without CR" },
  FIELD_LEADING_SPACE: { status: 400, reason: "whitespace before the first header" },
  FIELD_FOLDED: { status: 400, reason: "folded header line" },
  NAME_EMPTY: { status: 400, reason: "empty header name" },
  NAME_INVALID: { status: 400, reason: "invalid header name" },
  NAME_SPACE: { status: 400, reason: "whitespace between header name and colon" },
  NAME_ALONE: { status: 400, reason: "header line without a colon" },
  VALUE_INVALID: { status: 400, reason: "invalid character in a header value" },
  HEAD_LARGE: { status: 431, reason: "request head too large" },
  HEADERS_MANY: { status: 431, reason: "too many headers" },
  HOST_MISSING: { status: 400, reason: "Host header missing" },
  HOST_REPEATED: { status: 400, reason: "Host header repeated" },
  HOST_INVALID: { status: 400, reason: "invalid Host header" },
  LENGTH_INVALID: { status: 400, reason: "invalid Content-Length" },
  LENGTH_REPEATED: { status: 400, reason: "Content-Length repeated" },
  LENGTH_AND_CODING: { status: 400, reason: "both Content-Length and Transfer-Encoding" },
  CODING_VERSION: { status: 400, reason: "Transfer-Encoding in HTTP/1.0" },
  CODING_INVALID: { status: 400, reason: "invalid Transfer-Encoding" },
  CODING_REPEATED: { status: 400, reason: "chunked applied twice" },
  CODING_NOT_CHUNKED: { status: 400, reason: "Transfer-Encoding does not end with chunked" },
  CODING_UNKNOWN: { status: 501, reason: "transfer coding not implemented" },
  EXPECT_UNKNOWN: { status: 417, reason: "unknown expectation" },
  BODY_LARGE: { status: 413, reason: "request body too large" },
  CHUNK_SIZE_INVALID: { status: 400, reason: "invalid chunk size" },
  CHUNK_EXTENSION_INVALID: { status: 400, reason: "invalid chunk extension" },
  CHUNK_EXTENSIONS_LARGE: { status: 413, reason: "chunk extensions too large" },
  CHUNK_UNENDED: { status: 400, reason: "no CRLF after a chunk" },
  TRAILERS_LARGE: { status: 431, reason: "trailers too large" },
  TRAILERS_MANY: { status: 431, reason: "too many trailers" },
  TRAILER_FORBIDDEN: { status: 400, reason: "field not allowed in trailers" },
} as const;

/** The code of a reason to refuse a request. Codes are stable. */
export type FailureCode = keyof typeof FAILURES;
