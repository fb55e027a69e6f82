import type { Choices } from "../../base/choices.ts";
import { contentOf } from "../content.ts";

/** What the handler of a request does. */
export const ROUTES = [
  /** Sends a number of bytes at once. */
  "bytes",
  /** Sends them in pieces, as fast as the client reads them. */
  "stream",
  /** Sends the body back as it arrives. */
  "echo",
  /** Sends them from a timer. */
  "late",
  /** Answers without reading the body. */
  "ignore",
  /** Throws. */
  "throw",
  /** Never answers. */
  "never",
] as const;
export type Route = (typeof ROUTES)[number];

/** How the end of a body is found. */
export type Framing = "none" | "length" | "chunked";

/** One request, and with it its response. */
export interface RequestPlan {
  readonly route: Route;
  /** The number of bytes of the response. */
  readonly length: number;
  /** The size of a write of the handler. */
  readonly piece: number;
  readonly delayMs: number;
  readonly framing: Framing;
  /** The number of bytes of the body of the request, and of each of its chunks. */
  readonly bodyLength: number;
  readonly chunk: number;
  readonly isHead: boolean;
  /** Whether it asks for the end of the connection. */
  readonly closes: boolean;
}

/** A request by `choices`. @param size - Returns a number of bytes, a small one on request. */
export function requestFrom(choices: Choices, size: (isSmall?: boolean) => number): RequestPlan {
  const route = choices.oneIn(24) ? "never" : (choices.pick(ROUTES.slice(0, 6)) ?? "bytes");
  const hasBody = route === "echo" || route === "ignore";
  return {
    route,
    length: size(),
    piece: choices.pick([70_000, 10_000, 1000]),
    delayMs: choices.pick([0, 1, 20]),
    framing: hasBody ? choices.pick(["length", "chunked"] as const) : "none",
    bodyLength: hasBody ? size(route === "ignore") : 0,
    chunk: choices.pick([100_000, 5000, 300]),
    isHead: (route === "bytes" || route === "late") && choices.oneIn(8),
    closes: choices.oneIn(10),
  };
}

/** The bytes of a request. @param stream - The stream of its body. */
export function wireOf(plan: RequestPlan, stream: number): Uint8Array {
  const { route, length, piece, delayMs, framing, bodyLength, chunk, isHead, closes } = plan;
  const method = framing !== "none" ? "POST" : isHead ? "HEAD" : "GET";
  const lines = [`${method} /${route}/${length}/${piece}/${delayMs} HTTP/1.1`, "Host: sim"];
  if (framing === "length") lines.push(`Content-Length: ${bodyLength}`);
  if (framing === "chunked") lines.push("Transfer-Encoding: chunked");
  if (closes) lines.push("Connection: close");
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  if (framing === "none") return head;
  if (framing === "length") return Buffer.concat([head, contentOf(stream, 0, bodyLength)]);
  const parts: Uint8Array[] = [head];
  for (let at = 0; at < bodyLength; at += chunk) {
    const part = contentOf(stream, at, Math.min(chunk, bodyLength - at));
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, CRLF);
  }
  parts.push(LAST_CHUNK);
  return Buffer.concat(parts);
}

const CRLF: Uint8Array = Buffer.from("\r\n");
const LAST_CHUNK: Uint8Array = Buffer.from("0\r\n\r\n");
