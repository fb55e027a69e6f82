import { typeError } from "../../base/misuse.ts";
import { checkField } from "../field-check.ts";
import type { ReplyWriter } from "../reply.ts";
import type { ParsedRequest } from "../request.ts";
import { isBodiless } from "../status.ts";
import { FileBody } from "./file-body.ts";
import {
  type BodySource,
  type ForeignResponse,
  foreignBody,
  foreignHeaders,
  isForeignResponse,
} from "./foreign-response.ts";
import { eachHeader, isLightHeaders, type LightHeaders } from "./light-headers.ts";
import { whyAborted } from "./light-request.ts";
import {
  type Contents,
  contentsOf,
  isLight,
  isTaken,
  type NativeBody,
  nativeBodyIn,
  nativeOf,
  UNKNOWN,
} from "./light-response.ts";
import { natives } from "./natives.ts";
import { rememberedBody, rememberedContents } from "./remembering-response.ts";
import { sendStream } from "./send-stream.ts";

/** Headers that only the server sets. RFC 9110 section 7.6.1. */
const OWN: ReadonlySet<string> = new Set(["connection", "keep-alive", "transfer-encoding"]);

/** A cache of Content-Type lines: there are few. */
const typeLines = new Map<string, string>();
let lastType = "";
let lastTypeLine = "";

/**
 * Sends a response.
 *
 * @returns A promise if the body must be read, otherwise undefined.
 * @throws TypeError `ERR_INVALID_DATA` if it is no response, was used, or has headers that HTTP does not allow.
 */
export function sendResponse(
  response: unknown,
  request: ParsedRequest,
  reply: ReplyWriter,
): void | Promise<void> {
  if (typeof response === "object" && response !== null) {
    if (isLight(response)) {
      if (isTaken(response)) throw used();
      const native = nativeOf(response);
      if (native !== null) {
        const { headers } = response;
        return sendRead(read(native, headers, nativeBodyIn(response)), request, reply);
      }
      sendContents(contentsOf(response), reply);
      return undefined;
    }
    if (response instanceof natives().Response) {
      const contents = rememberedContents(response);
      if (contents !== null) {
        sendContents(contents, reply);
        return undefined;
      }
      // Read before the body: on Bun, the body of a file takes the Content-Type with it.
      const { headers } = response;
      const file = fileContents(response, headers);
      if (file === null) {
        return sendRead(read(response, headers, rememberedBody(response)), request, reply);
      }
      sendContents(file, reply);
      return undefined;
    }
    if (isForeignResponse(response)) {
      const contents = fileContents(response, response.headers);
      if (contents === null) return sendRead(readForeign(response), request, reply);
      sendContents(contents, reply);
      return undefined;
    }
  }
  // The client has left, or the program has taken over the connection.
  if (reply.done) return undefined;
  throw typeError(
    "ERR_INVALID_DATA",
    `Cannot answer with ${nameOf(response)}: a fetch handler returns a Response, or a promise of one`,
  );
}

/** Whether a value is a response that can be sent. */
export function isResponse(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return isLight(value) || value instanceof natives().Response || isForeignResponse(value);
}

/** The parts of a response whose body is the stream of a file; null if it is none. */
function fileContents(response: Response | ForeignResponse, headers: object): Contents | null {
  const body = FileBody.of(response.body);
  if (body === undefined) return null;
  const { status } = response;
  checkStatus(status, "default");
  const known = headers instanceof natives().Headers ? headers : foreignHeaders(headers);
  return { status, body, headers: known, type: null };
}

/** Sends a response whose body is in memory or a file. */
function sendContents({ status, body, headers, type }: Contents, reply: ReplyWriter): void {
  if (status !== 200) reply.status(status);
  if (headers !== null) {
    // A Content-Length of the program is only kept if no body is sent.
    const keepsLength = body === null && (reply.isToHead || status === 304);
    addHeaders(reply, headers, keepsLength);
  } else if (type !== null) {
    reply.lines(typeLine(type), false, -1);
  } else {
    reply.lines("", false, -1);
  }
  if (body === null) sendNothing(reply);
  else if (body instanceof FileBody) body.send(reply);
  else reply.send(body);
}

/** Sends no body. For HEAD, the length of the body for GET is unknown. */
function sendNothing(reply: ReplyWriter): void {
  if (reply.isToHead) reply.leaveLengthOut();
  reply.send();
}

/** A response whose body must be read. */
interface Readable extends NativeBody {
  readonly status: number;
  readonly headers: Headers | LightHeaders;
  /** The reader of the body; null if there is none. */
  readonly body: BodySource | null;
  /** Whether it was fetched, and its body was decoded. */
  readonly isFetched: boolean;
}

function read(response: Response, headers: Headers, known: NativeBody): Readable {
  const { status, body, type, url } = response;
  if (response.bodyUsed || body?.locked === true) throw used();
  checkStatus(status, type);
  const reader = body === null ? null : readerOf(body, headers);
  return { status, headers, body: reader, isFetched: url !== "", ...known };
}

/**
 * The reader of a body. The stream of a form with files is never cancelled: on Node 26 that fails where it cannot be
 * caught, and ends the process. It holds nothing but memory.
 */
function readerOf(body: ReadableStream, headers: Headers): BodySource {
  const reader = body.getReader();
  const isForm = headers.get("content-type")?.includes("boundary=----formdata-undici-") === true;
  return isForm ? { read: () => reader.read(), cancel: async () => undefined } : reader;
}

function readForeign(response: ForeignResponse): Readable {
  const { status, bodyUsed, body, url } = response;
  const isLocked = (body as ReadableStream | null | undefined)?.locked === true;
  if (bodyUsed === true || isLocked) throw used();
  checkStatus(status, "default");
  return {
    status,
    headers: foreignHeaders(response.headers),
    body: foreignBody(response),
    isFetched: typeof url === "string" && url !== "",
    ...UNKNOWN,
  };
}

function checkStatus(status: number, type: string): void {
  if (Number.isInteger(status) && status >= 200 && status <= 599) return;
  throw typeError(
    "ERR_INVALID_DATA",
    `Cannot answer with a response of type ${type} and status ${status}`,
  );
}

function sendRead(
  { status, headers, body, isFetched, length, isStream }: Readable,
  request: ParsedRequest,
  reply: ReplyWriter,
): void | Promise<void> {
  if (reply.done) {
    body?.cancel(whyAborted()).catch(ignore);
    return undefined;
  }
  try {
    reply.status(status);
    if (body === null) {
      addHeaders(reply, headers, reply.isToHead || status === 304, { isFetched });
      sendNothing(reply);
      return undefined;
    }
    // After decoding, neither Content-Encoding nor Content-Length apply any more.
    const isDecoded = isFetched && headers.has("content-encoding");
    const origin = { isFetched, isDecoded };
    const isKnown = length >= 0 || (!isDecoded && headers.has("content-length"));
    if (isBodiless(status) || (reply.isToHead && isKnown)) {
      body.cancel(undefined).catch(ignore);
      addHeaders(reply, headers, length < 0 && !isDecoded, origin);
      if (length >= 0 && !isBodiless(status)) reply.lines("", false, length);
      reply.begin().end();
      return undefined;
    }
    return sendStream(body, request, reply, length < 0, (isWhole) => {
      // A Content-Length of the program is kept for a stream, and ignored for a body of known length.
      addHeaders(reply, headers, length < 0 && !isDecoded && (isStream || !isWhole), origin);
      if (length >= 0) reply.lines("", false, length);
    });
  } catch (error) {
    body?.cancel(error).catch(ignore);
    throw error;
  }
}

/** The origin of the headers of a response. */
interface Origin {
  /** They were fetched: their fields about the connection are about another one. */
  readonly isFetched?: boolean;
  /** The body was decoded when it was fetched. */
  readonly isDecoded?: boolean;
}

/**
 * @param keepsLength - Whether to send a Content-Length among them.
 * @throws TypeError `ERR_INVALID_DATA` for a name or a value that HTTP does not allow. `Headers` accepts more.
 */
function addHeaders(
  reply: ReplyWriter,
  headers: Headers | LightHeaders,
  keepsLength: boolean,
  { isFetched = false, isDecoded = false }: Origin = {},
): void {
  let lines = "";
  let hasDate = false;
  let length = -1;
  // The names of light headers were checked before.
  const areSound = isLightHeaders(headers);
  const add = (name: string, value: string): void => {
    if (isDecoded && name === "content-encoding") return;
    if (OWN.has(name)) {
      if (name === "connection" && !isFetched && CLOSE.test(value)) reply.header(name, "close");
      return;
    }
    if (name === "upgrade") {
      // Upgrade must be named in Connection, and applies to one connection as well.
      if (!isFetched) reply.header(name, value);
      return;
    }
    if (!areSound || !SOUND.test(value)) checkField(name, value, false);
    if (name === "content-length") {
      if (keepsLength && /^\d{1,15}$/.test(value)) length = Number(value);
      return;
    }
    if (name === "date") hasDate = true;
    lines += `${name}: ${value}\r\n`;
  };
  if (areSound) {
    eachHeader(headers, add);
  } else {
    // A subclass may return other values than its base class has checked.
    for (const [name, value] of headers) add(name.toLowerCase(), value);
  }
  reply.lines(lines, hasDate, length);
}

/** The characters of a value. RFC 9110 section 5.5. */
const SOUND = /^[\t -~\x80-\xff]*$/;

/** Whether the options of Connection include close. RFC 9110 section 7.6.1. */
const CLOSE = /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i;

function typeLine(type: string): string {
  if (type === lastType) return lastTypeLine;
  let line = typeLines.get(type);
  if (line === undefined) {
    line = `content-type: ${type}\r\n`;
    typeLines.set(type, line);
  }
  lastType = type;
  lastTypeLine = line;
  return line;
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
