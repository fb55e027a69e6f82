/** The answers of the HTTP servers, apart from "Hello, world!". */
import { Hono } from "hono";

/** The kinds of answers: `--answer post`. Each is also the name of a case of the benchmark. */
export type Answer = "hello" | "post" | "chunked" | "hono";

const CHUNKS = 64;
const CHUNK_BYTES = 16_384;

/** The length of the answer that is sent in chunks. */
export const CHUNKED_BYTES: number = CHUNKS * CHUNK_BYTES;

/** Bytes without a period, so that a part that is missing or sent twice is detected. */
export function patternOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24);
}

/** The chunks of an answer. */
export function makeChunks(): Uint8Array[] {
  const body = patternOf(CHUNKED_BYTES);
  return Array.from({ length: CHUNKS }, (_, i) =>
    body.slice(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES),
  );
}

/** The value of `--answer` in the arguments of a server. */
export function answerIn(args: readonly string[] = process.argv): Answer {
  const at = args.indexOf("--answer");
  return at < 0 ? "hello" : (args[at + 1] as Answer);
}

/** A fetch handler. */
export type Fetch = (request: Request) => Response | Promise<Response>;

/** The fetch handlers of polloi and of Bun.serve. */
export function fetchFor(answer: Answer): Fetch {
  switch (answer) {
    case "post":
      return async (request) => new Response(`${(await request.arrayBuffer()).byteLength}`);
    case "chunked":
      return chunked();
    case "hono":
      return oneRoute().fetch as Fetch;
    default:
      return () => new Response("Hello, world!");
  }
}

/** An application of Hono with one route. */
export function oneRoute(): Hono {
  return new Hono().get("/", (context) => context.text("Hello, world!"));
}

function chunked(): Fetch {
  const chunks = makeChunks();
  return () => new Response(streamOf(chunks));
}

/** A stream of these chunks, one for each `pull`. */
export function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(chunks[next++] as Uint8Array);
      if (next === chunks.length) controller.close();
    },
  });
}
