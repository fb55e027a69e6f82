/** Random requests of the soak test's clients, and the expected answers. */
import { content, contentText, FILE_SIZES, sumOf } from "./content.ts";
import type { Answer } from "./peer.ts";

export type Random = () => number;

/** One request, as it is sent. */
export interface TestRequest {
  readonly method: string;
  readonly target: string;
  readonly head: string;
  readonly body: Buffer;
  /** Waits for 100 Continue before the body is sent. */
  readonly waits: boolean;
  /** May receive 100 Continue. */
  readonly expects: boolean;
  /** Whether the connection ends with the answer; `undefined` if both are allowed. */
  readonly isLast: boolean | undefined;
  readonly want: Want;
}

export interface Want {
  readonly status: number;
  /** The expected body; if absent, `check` decides. */
  readonly body?: Buffer;
  /** @returns A description of the fault, if there is one. */
  readonly check?: (answer: Answer) => string | undefined;
}

export interface RequestOptions {
  /** Whether it is sent to the server with a handler, or to the one with fetch. */
  readonly toHandler: boolean;
  /** Whether the client waits for its answer. */
  readonly stays: boolean;
  /** Whether the request is one of several that are pipelined. */
  readonly isSmall?: boolean;
  readonly isLast?: boolean;
  /** Only requests with a long answer. */
  readonly isLong?: boolean;
}

export function pick<T>(random: Random, all: readonly T[]): T {
  return all[Math.floor(random() * all.length)] as T;
}

export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

/** A size just below or above the size of some buffer, most often a small one. */
export function sizeFrom(random: Random, isSmall = false): number {
  const edges = [1, 64, 1024, 4096, 16_384, 65_536, 131_072, 1_048_570];
  const edge = edges[Math.floor(random() ** 2 * (isSmall ? 3 : edges.length))] as number;
  return Math.max(0, edge + below(random, 5) - 2);
}

/** A random request. */
export function randomRequest(random: Random, options: RequestOptions): TestRequest {
  const length = options.isLong
    ? 300_000 + below(random, 700_000)
    : sizeFrom(random, options.isSmall);
  const seed = below(random, 100_000);
  const piece = pick(random, [100, 1000, 16_384, 65_536, 200_000]);
  const bytes = content(seed, length);
  const kinds = options.isLong ? LONG : options.isSmall ? SMALL : ALL;
  switch (pick(random, options.toHandler ? [...kinds, "file", "range"] : kinds)) {
    case "bytes":
      return get(random, options, `/bytes/${length}/${seed}`, { status: 200, body: bytes });
    case "text": {
      const body = Buffer.from(contentText(seed, length));
      return get(random, options, `/text/${length}/${seed}`, { status: 200, body });
    }
    case "later": {
      const target = `/later/${length}/${seed}/${below(random, 10)}`;
      return get(random, options, target, { status: 200, body: bytes });
    }
    case "stream": {
      const check = options.toHandler ? (answer: Answer) => sumIsWrong(answer, bytes) : undefined;
      const want = { status: 200, body: bytes, ...(check && { check }) };
      return get(random, options, `/stream/${length}/${seed}/${pieceOf(piece, length)}`, want);
    }
    case "counted": {
      const target = `/counted/${length}/${seed}/${pieceOf(piece, length)}`;
      return get(random, options, target, { status: 200, body: bytes });
    }
    case "throw":
      return get(random, options, "/throw", {
        status: 500,
        body: Buffer.from("Internal Server Error\n"),
      });
    case "echo":
      return post(random, options, "/echo", bytes, { status: 200, body: bytes });
    case "ignore": {
      // A body longer than the server discards would end the connection.
      const some = bytes.subarray(0, 1000);
      return post(random, options, "/ignore", some, { status: 202, body: Buffer.from("ignored") });
    }
    case "sum":
      return post(random, options, "/sum", bytes, { status: 200 });
    case "range":
      return rangeFrom(random, options);
    default: {
      const size = options.isLong
        ? 1_048_576
        : pick(random, FILE_SIZES.slice(0, options.isSmall ? 3 : 5));
      return get(random, options, `/${size}.bin`, { status: 200, body: content(size, size) });
    }
  }
}

const LONG = ["bytes", "text", "stream", "counted"];
const SMALL = [...LONG, "later", "echo", "ignore", "sum", "throw"];
const ALL = [...SMALL, ...LONG, "echo", "sum"];

/** A long body is sent in at most a few hundred pieces. */
function pieceOf(piece: number, length: number): number {
  return Math.max(piece, Math.ceil(length / 200));
}

function sumIsWrong({ trailers, headers }: Answer, bytes: Buffer): string | undefined {
  if (headers.get("transfer-encoding") === undefined) return undefined;
  return trailers.get("soak-sum") === sumOf(bytes) ? undefined : "the trailer is wrong";
}

function get(random: Random, options: RequestOptions, target: string, want: Want): TestRequest {
  const method = target !== "/throw" && random() < 0.1 ? "HEAD" : "GET";
  return made(random, options, method, target, [], Buffer.alloc(0), want);
}

function post(
  random: Random,
  options: RequestOptions,
  target: string,
  bytes: Buffer,
  want: Want,
): TestRequest {
  const lines: string[] = [];
  const trailers: string[] = [];
  let body = bytes;
  // A server that ignores a body of unknown length cannot keep the connection.
  if (target !== "/ignore" && random() < 0.5) {
    lines.push("Transfer-Encoding: chunked");
    if (random() < 0.5) trailers.push(`Soak-One=${below(random, 1000)}`, "Soak-Two=");
    body = chunked(random, bytes, trailers);
  } else {
    lines.push(`Content-Length: ${bytes.length}`);
  }
  const isExpecting = target !== "/ignore" && bytes.length > 0 && random() < 0.15;
  if (isExpecting) lines.push("Expect: 100-continue");
  const known = options.toHandler ? trailers : [];
  const sum = { length: bytes.length, sum: sumOf(bytes), trailers: known };
  const wanted = target === "/sum" ? { status: 200, body: Buffer.from(JSON.stringify(sum)) } : want;
  return made(random, options, "POST", target, lines, body, wanted);
}

/** Chunks of all sizes, some with extensions, and trailers. */
export function chunked(random: Random, bytes: Buffer, trailers: readonly string[] = []): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = Math.min(bytes.length - at, 1 + below(random, pick(random, [10, 1000, 100_000])));
    const extension = random() < 0.1 ? ';name="a b";x' : "";
    parts.push(
      Buffer.from(`${size.toString(16)}${extension}\r\n`),
      bytes.subarray(at, at + size),
      Buffer.from("\r\n"),
    );
    at += size;
    // Ten thousand chunks of a few bytes test no more than a hundred do.
    if (parts.length > 300 && at < bytes.length) {
      const rest = bytes.subarray(at);
      parts.push(Buffer.from(`${rest.length.toString(16)}\r\n`), rest, Buffer.from("\r\n"));
      break;
    }
  }
  const fields = trailers.map((field) => `${field.replace("=", ": ")}\r\n`).join("");
  parts.push(Buffer.from(`0\r\n${fields}\r\n`));
  return Buffer.concat(parts);
}

/** Requests one range of a file, several, or an unsatisfiable one. */
function rangeFrom(random: Random, options: RequestOptions): TestRequest {
  const size = pick(random, FILE_SIZES.slice(2, options.isSmall ? 3 : 5));
  const target = `/${size}.bin`;
  const all = content(size, size);
  const span = (): [number, number] => {
    const from = below(random, size);
    return [from, Math.min(size - 1, from + below(random, 5000))];
  };
  const part = (range: string, want: Want): TestRequest =>
    made(random, options, "GET", target, [`Range: bytes=${range}`], Buffer.alloc(0), want);
  const kind = random();
  if (kind < 0.15) {
    return part(`${size + 5}-`, {
      status: 416,
      check: ({ headers }) =>
        headers.get("content-range") === `bytes */${size}` ? undefined : "Content-Range is wrong",
    });
  }
  if (kind < 0.4) {
    const last = 1 + below(random, Math.min(size, 100_000));
    return part(`-${last}`, { status: 206, body: all.subarray(size - last) });
  }
  if (kind < 0.75 || size <= 1000) {
    const [from, to] = span();
    return part(`${from}-${to}`, {
      status: 206,
      body: all.subarray(from, to + 1),
      check: ({ headers }) =>
        headers.get("content-range") === `bytes ${from}-${to}/${size}`
          ? undefined
          : "Content-Range is wrong",
    });
  }
  const step = Math.floor(size / 4);
  const spans = [0, 1, 2].map((k) => [k * step, k * step + below(random, 3000)] as const);
  return part(spans.map(([from, to]) => `${from}-${to}`).join(", "), {
    status: 206,
    check: (answer) => partsAreWrong(answer, all, spans),
  });
}

function partsAreWrong(
  { headers, body }: Answer,
  all: Buffer,
  spans: readonly (readonly [number, number])[],
): string | undefined {
  const boundary = headers
    .get("content-type")
    ?.match(/^multipart\/byteranges; boundary="?([^"]+)/)?.[1];
  if (boundary === undefined) return `the type is ${headers.get("content-type")}`;
  let rest = body.toString("latin1");
  for (const [from, to] of spans) {
    const at = rest.indexOf("\r\n\r\n");
    const head = rest.slice(0, at);
    if (!head.includes(`--${boundary}\r\n`)) return "a part has no boundary";
    if (!head.toLowerCase().includes(`content-range: bytes ${from}-${to}/${all.length}`)) {
      return `a part is not ${from}-${to}`;
    }
    const bytes = rest.slice(at + 4, at + 4 + to + 1 - from);
    if (bytes !== all.toString("latin1", from, to + 1)) return "a part has other bytes";
    rest = rest.slice(at + 4 + bytes.length);
  }
  return rest.trim() === `--${boundary}--` ? undefined : "the parts have no end";
}

/** Adds a version, and perhaps one of the ways to announce the last request. */
function made(
  random: Random,
  options: RequestOptions,
  method: string,
  target: string,
  lines: readonly string[],
  body: Buffer,
  want: Want,
): TestRequest {
  const { isLast = false, stays } = options;
  const isChunked = lines.some((line) => line.startsWith("Transfer-Encoding"));
  const expects = lines.some((line) => line.startsWith("Expect"));
  const isOld = isLast && !isChunked && !expects && random() < 0.4;
  const says = isLast && !isOld ? ["Connection: close"] : [];
  const mark = `Soak: ${stays ? "stays" : "leaves"}`;
  const padding = random() < 0.2 ? [`X-Padding: ${"p".repeat(below(random, 3000))}`] : [];
  const head = [
    `${method} ${target} HTTP/1.${isOld ? 0 : 1}`,
    ...["Host: soak", mark, ...lines, ...says, ...padding, "", ""],
  ].join("\r\n");
  return { method, target, head, body, expects, waits: expects && random() < 0.7, isLast, want };
}
