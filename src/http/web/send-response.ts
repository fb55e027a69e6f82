import { typeError } from "../../base/misuse.ts";
import type { HttpReply } from "../reply.ts";
import type { HttpRequest } from "../request.ts";
import { isBodiless } from "../status.ts";
import { eachHeader, isLightHeaders, type LightHeaders } from "./light-headers.ts";
import { whyAborted } from "./light-request.ts";
import {
  type Contents,
  contentsOf,
  isLight,
  isTaken,
  lengthOf,
  nativeOf,
} from "./light-response.ts";
import { natives } from "./natives.ts";
import { rememberedContents } from "./remembering-response.ts";
import { sendStream } from "./send-stream.ts";

/** What the server says itself, of the connection that it has. RFC 9110 section 7.6.1. */
const OWN: ReadonlySet<string> = new Set(["connection", "keep-alive", "transfer-encoding"]);

/** The lines of Content-Type that have been sent: there are few. */
const typeLines = new Map<string, string>();

/**
 * Answers with a response.
 *
 * @returns a promise only if that takes time.
 * @throws TypeError `ERR_INVALID_DATA` when it is none, or has been used.
 */
export function sendResponse(
  response: unknown,
  request: HttpRequest,
  reply: HttpReply,
): void | Promise<void> {
  if (!isResponse(response)) {
    // Nobody waits for it, or the connection is the program's.
    if (reply.done) return undefined;
    throw typeError(
      "ERR_INVALID_DATA",
      `Cannot answer with ${nameOf(response)}: a fetch handler returns a Response, or a promise of one`,
    );
  }
  if (isLight(response)) {
    if (isTaken(response)) throw used();
    const native = nativeOf(response);
    if (native !== null)
      return sendNative(native, response.headers, lengthOf(response), request, reply);
    sendContents(contentsOf(response), reply);
    return undefined;
  }
  const contents = rememberedContents(response);
  if (contents === null) return sendNative(response, response.headers, -1, request, reply);
  sendContents(contents, reply);
  return undefined;
}

/** Body and all are at hand. */
function sendContents({ status, body, headers, type }: Contents, reply: HttpReply): void {
  if (status !== 200) reply.status(status);
  if (headers !== null) {
    // Only where nothing is sent that has a length may something else be said of it.
    const keepsLength = body === null && (reply.isToHead || status === 304);
    addHeaders(reply, headers, keepsLength);
  } else if (type !== null) {
    reply.lines(typeLine(type), false, -1);
  } else {
    reply.lines("", false, -1);
  }
  if (body === null) sendNothing(reply);
  else reply.send(body);
}

/** Nothing follows. When it answers HEAD, nobody knows whether GET would have a body, and how long it would be. */
function sendNothing(reply: HttpReply): void {
  if (reply.isToHead) reply.leaveLengthOut();
  reply.send();
}

/** The body is a stream of the runtime's, or there is none. */
function sendNative(
  response: Response,
  headers: Headers,
  length: number,
  request: HttpRequest,
  reply: HttpReply,
): void | Promise<void> {
  const { status, body } = response;
  if (response.bodyUsed || body?.locked === true) throw used();
  if (!(status >= 200 && status <= 599)) {
    throw typeError(
      "ERR_INVALID_DATA",
      `Cannot answer with a response of type ${response.type} and status ${status}`,
    );
  }
  if (reply.done) {
    body?.cancel(whyAborted()).catch(ignore);
    return;
  }
  reply.status(status);
  const isHidden = reply.isToHead || isBodiless(status);
  // What was fetched has been decoded by whoever fetched it: neither its coding nor its length are true any more.
  const isDecoded =
    response.url !== "" && body !== null && !isHidden && headers.has("content-encoding");
  const keepsLength = body === null ? reply.isToHead || status === 304 : !isDecoded;
  if (body !== null && !isHidden) {
    const without = isDecoded ? "content-encoding" : "";
    return sendStream(body, request, reply, (isWhole) => {
      addHeaders(reply, headers, keepsLength && !isWhole && length < 0, without);
      if (!isWhole) reply.lines("", false, length);
    });
  }
  addHeaders(reply, headers, keepsLength);
  if (body === null) {
    sendNothing(reply);
  } else {
    body.cancel().catch(ignore);
    reply.begin().end();
  }
  return undefined;
}

/** @param keepsLength - Whether a Content-Length among them is true. */
function addHeaders(
  reply: HttpReply,
  headers: Headers | LightHeaders,
  keepsLength: boolean,
  without: string = "",
): void {
  let lines = "";
  let hasDate = false;
  let length = -1;
  const add = (name: string, value: string): void => {
    if (OWN.has(name) || name === without) return;
    if (name === "content-length") {
      if (keepsLength && /^\d{1,15}$/.test(value)) length = Number(value);
      return;
    }
    if (name === "date") hasDate = true;
    lines += `${name}: ${value}\r\n`;
  };
  if (isLightHeaders(headers)) {
    eachHeader(headers, add);
  } else {
    const { Headers } = natives();
    // Those of another library are looked at by the runtime's: who knows whether it did.
    const sound = headers instanceof Headers ? headers : new Headers(headers);
    for (const [name, value] of sound) add(name, value);
  }
  reply.lines(lines, hasDate, length);
}

function typeLine(type: string): string {
  let line = typeLines.get(type);
  if (line === undefined) {
    line = `content-type: ${type}\r\n`;
    typeLines.set(type, line);
  }
  return line;
}

/** Those of other libraries say by their name what they are. */
function isResponse(value: unknown): value is Response {
  if (typeof value !== "object" || value === null) return false;
  return (
    isLight(value) ||
    value instanceof natives().Response ||
    Object.prototype.toString.call(value) === "[object Response]"
  );
}

function nameOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  return `an object of ${Object.getPrototypeOf(value)?.constructor?.name ?? "no class"}`;
}

function used(): TypeError {
  return typeError(
    "ERR_INVALID_DATA",
    "Cannot answer with this Response: its body has been used, and each body can be sent once",
  );
}

function ignore(): void {}
