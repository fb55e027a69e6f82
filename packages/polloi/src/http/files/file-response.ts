import type { Kernel } from "../../sys/kernel.ts";
import { checkRequest } from "../fetch/check-request.ts";
import { FileBody } from "../fetch/file-body.ts";
import { asHeaders, headersOfHead, LightHeaders } from "../fetch/light-headers.ts";
import { LightResponse } from "../fetch/light-response.ts";
import type { Answer, FileRequest } from "./answer.ts";
import type { OpenByName } from "./responder.ts";
import { UnsentFile } from "./unsent-file.ts";

/** The parts of a `Request` that a response with a file depends on. */
export type WebRequest = Pick<Request, "method" | "url" | "headers">;

/** A `Request` as the files of a site see it. */
export class WebFileRequest implements FileRequest {
  readonly method: string;
  readonly target: string;
  readonly path: string;
  readonly query: string;
  readonly #headers: Pick<Headers, "get">;

  /** @throws TypeError `ERR_INVALID_OPTION` when it is not a request. */
  constructor(request: WebRequest) {
    checkRequest(request);
    const { method, url, headers } = request;
    this.method = method;
    this.#headers = headers;
    // The URL of a request is absolute and normalized. `new URL` would take longer than everything else here.
    const from = url.indexOf("/", url.indexOf("://") + "://".length);
    const fragment = url.indexOf("#", from);
    this.target = fragment < 0 ? url.slice(from) : url.slice(from, fragment);
    const mark = this.target.indexOf("?");
    this.path = mark < 0 ? this.target : this.target.slice(0, mark);
    this.query = mark < 0 ? "" : this.target.slice(mark + 1);
  }

  header(name: string): string | undefined {
    return this.#headers.get(name) ?? undefined;
  }
}

/** The settings under which an answer becomes a response. */
export interface ResponseSettings {
  readonly kernel: Kernel;
  /** Whether the response to HEAD is made. */
  readonly isToHead: boolean;
  readonly open: OpenByName;
}

/** Makes a `Response` of an answer: of the class that is global now. */
export function responseOf(answer: Answer, { kernel, isToHead, open }: ResponseSettings): Response {
  const { body } = answer;
  if (body === null || typeof body === "string") return make(answer, body);
  if (isToHead) {
    kernel.libc.close(body.fd);
    return make(answer, null, body.length);
  }
  return make(answer, new FileBody(new UnsentFile(kernel, body, open)), body.length);
}

/** @param length - The Content-Length; -1 if the body has no length of its own. */
function make(answer: Answer, body: string | FileBody | null, length = -1): Response {
  const { status } = answer;
  const headers = headersOf(answer);
  if (length >= 0) headers.append("content-length", String(length));
  // Widened, because a server replaces the global class while it runs.
  if ((Response as unknown) === LightResponse) {
    // The light class accepts a file as a body.
    return new Response(body as string | null, { status, headers: asHeaders(headers) });
  }
  const content = body instanceof FileBody ? body.stream : body;
  return new Response(content, { status, headers: [...headers] });
}

/** The most files whose headers are kept. */
const MAX_PARSED = 1000;
/** The headers of whole files by the lines that they were made of. */
const parsed = new Map<string, LightHeaders>();

/** The headers of an answer, which the caller may change. */
function headersOf({ status, lines, hasDate }: Answer): LightHeaders {
  const known = parsed.get(lines);
  if (known !== undefined) return new LightHeaders(asHeaders(known));
  const headers = headersOfHead(`\r\n${lines}\r\n`);
  // Other lines than those of a whole file depend on the request or on the time.
  if (status === 200 && !hasDate) {
    if (parsed.size >= MAX_PARSED) parsed.clear();
    parsed.set(lines, new LightHeaders(asHeaders(headers)));
  }
  return headers;
}
