import { kernel } from "../../sys/open.ts";
import type { ReplyWriter } from "../reply.ts";
import type { ParsedRequest } from "../request.ts";
import { RequestError } from "../request-error.ts";
import { reasonOf } from "../status.ts";
import { type FetchInfo, RequestInfo } from "./fetch-info.ts";
import { replaceGlobals } from "./globals.ts";
import { closeBody, hasAborted, LightRequest, nativeOf } from "./light-request.ts";
import { isResponse, sendResponse } from "./send-response.ts";
import { listeningHost, originOf, unusualUrl } from "./url.ts";

/**
 * A function that answers a `Request` with a `Response` or a promise of one, as in the Fetch standard.
 *
 * @param request - The request. Its signal aborts when the client leaves before the response is complete.
 * @param info - The connection of the request.
 */
export type FetchHandler = (request: Request, info: FetchInfo) => Response | Promise<Response>;

/** A fetch handler as a handler of the server, and the function that restores the globals. */
export interface ServedFetch {
  readonly handler: (request: ParsedRequest, reply: ReplyWriter) => void | Promise<void>;
  readonly release: () => void;
}

/** Methods that the Fetch standard forbids. */
const FORBIDDEN: ReadonlySet<string> = new Set(["CONNECT", "TRACE", "TRACK"]);

/**
 * Makes a handler of the server from a fetch handler.
 *
 * @param overrideGlobals - Whether faster classes may replace the global ones of the runtime.
 */
export function serveFetch(fetch: FetchHandler, overrideGlobals: boolean = true): ServedFetch {
  // The own `Request` of Bun and Deno is fast enough.
  const isLight = overrideGlobals && kernel.runtime === "node";
  const release = overrideGlobals ? replaceGlobals(isLight) : () => {};
  return { handler: handlerOf(fetch, isLight), release };
}

function handlerOf(fetch: FetchHandler, isLight: boolean): ServedFetch["handler"] {
  return (request, reply) => {
    const incoming = readIncoming(request, reply);
    if (incoming === undefined) return undefined;
    const given = isLight ? (incoming as unknown as Request) : nativeOf(incoming);
    const response: unknown = fetch(given, new RequestInfo(request));
    if (isThenable(response)) return answerLater(response, incoming, request, reply);
    const sending = sendResponse(response, request, reply);
    if (sending !== undefined) return finish(sending, incoming);
    closeBody(incoming);
    return undefined;
  };
}

async function answerLater(
  response: PromiseLike<unknown>,
  incoming: LightRequest,
  request: ParsedRequest,
  reply: ReplyWriter,
): Promise<void> {
  try {
    await sendResponse(await response, request, reply);
  } catch (error) {
    throw failureOf(error, incoming);
  } finally {
    closeBody(incoming);
  }
}

async function finish(sending: Promise<void>, incoming: LightRequest): Promise<void> {
  try {
    await sending;
  } catch (error) {
    throw failureOf(error, incoming);
  } finally {
    closeBody(incoming);
  }
}

/**
 * Replies for a handler that failed before its reply began: with the value of `error` of the options if it is a `Response`
 * or a promise of one, and with 500 otherwise.
 *
 * @param broken - Called if that response cannot be sent either.
 */
export function answerFailure(
  given: unknown,
  request: ParsedRequest,
  reply: ReplyWriter,
  broken: (error: unknown) => void,
): void {
  if (isThenable(given)) {
    Promise.resolve(given).then((later) => answerFailure(later, request, reply, broken), broken);
    return;
  }
  // The handler may have replied in the meantime.
  if (reply.begun || reply.done) return;
  if (!isResponse(given)) {
    reply.fail();
    return;
  }
  reply.forget();
  try {
    sendResponse(given, request, reply)?.catch(broken);
  } catch (error) {
    broken(error);
  }
}

/** The error to report. A handler that gave up because of the signal has not failed. */
function failureOf(error: unknown, incoming: LightRequest): unknown {
  const gaveUp = hasAborted(incoming) && error instanceof Error && error.name === "AbortError";
  return gaveUp
    ? new RequestError("CLIENT_LEFT", 0, "the client left before its reply was complete")
    : error;
}

/** @returns `undefined` if the standard has no such request; it has been answered then. */
function readIncoming(request: ParsedRequest, reply: ReplyWriter): LightRequest | undefined {
  const { head } = request;
  if (head.method !== "GET" && FORBIDDEN.has(head.method)) {
    refuse(reply, 501, "this method is not served");
    return undefined;
  }
  const { host } = request;
  const origin = originOf(
    request.scheme,
    host === undefined || host === "" ? listeningHost(request.localAddress) : host,
  );
  if (origin === undefined) {
    refuse(reply, 400, "no URL has such a host");
    return undefined;
  }
  if (head.form === "origin") return new LightRequest(request, origin);
  const url = unusualUrl(request, origin);
  if (url !== undefined) return new LightRequest(request, origin, url);
  refuse(reply, 400, "the target is no URL");
  return undefined;
}

/** Answers a request that is refused before its handler is called. */
export function refuse(reply: ReplyWriter, status: number, reason: string): void {
  reply.status(status).send(`${status} ${reasonOf(status)}: ${reason}\n`);
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === "object" &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}
