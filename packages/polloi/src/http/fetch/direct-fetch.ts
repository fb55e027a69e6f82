import { typeError } from "../../base/misuse.ts";
import type { Connection } from "../../reactor/connection.ts";
import { reasonOf } from "../status.ts";
import { checkRequest } from "./check-request.ts";
import type { FetchHandler } from "./fetch-handler.ts";
import type { FetchInfo } from "./fetch-info.ts";
import { isResponse } from "./send-response.ts";

/** The connection of a request that has none. */
const NO_CONNECTION: FetchInfo = {
  remoteAddress: null,
  localAddress: null,
  proxyHeader: null,
  tls: null,
  tcpInfo: null,
  fileno: () => -1,
  upgrade(): Connection<never> {
    throw typeError("ERR_CLOSED", "Cannot take over the connection: this request has none");
  },
};

/** The parts of a server that {@link fetchDirectly} uses. */
export interface DirectServer {
  /** The handler; undefined if the server has another kind of handler. */
  readonly fetch: FetchHandler | undefined;
  /** Called with the error of a handler. It may return a response. */
  readonly report: (error: unknown) => unknown;
  /** The URL of the server, to which a relative URL is resolved. */
  readonly url: URL | null;
}

/** Calls the handler of a server without a connection: see `HttpServer.fetch`. */
export async function fetchDirectly(
  { fetch, report, url }: DirectServer,
  input: Request | string | URL,
): Promise<Response> {
  if (fetch === undefined) {
    throw typeError(
      "ERR_UNSUPPORTED",
      "Cannot call fetch of a server with handler: give fetch to serve()",
    );
  }
  const isUrl = typeof input === "string" || input instanceof URL;
  if (!isUrl) checkRequest(input);
  const request = isUrl ? new Request(new URL(input, url ?? "http://localhost/")) : input;
  try {
    const response: unknown = await fetch(request, NO_CONNECTION);
    if (isResponse(response)) return response as Response;
    throw typeError("ERR_INVALID_DATA", "Cannot answer: the fetch handler returned no Response");
  } catch (error) {
    const answer: unknown = await report(error);
    if (isResponse(answer)) return answer as Response;
    return new Response(`${reasonOf(500)}\n`, { status: 500 });
  }
}
