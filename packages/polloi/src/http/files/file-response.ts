import type { Kernel } from "../../sys/kernel.ts";
import { checkRequest } from "../fetch/check-request.ts";
import { FileBody } from "../fetch/file-body.ts";
import { asHeaders, fieldsOfHead, headersOfHead } from "../fetch/light-headers.ts";
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
  const { status, lines, body } = answer;
  if (body === null || typeof body === "string") return make(body, status, lines);
  const all = `${lines}Content-Length: ${body.length}\r\n`;
  if (isToHead) {
    kernel.libc.close(body.fd);
    return make(null, status, all);
  }
  return make(new FileBody(new UnsentFile(kernel, body, open)), status, all);
}

function make(body: string | FileBody | null, status: number, lines: string): Response {
  const head = `\r\n${lines}\r\n`;
  // Widened, because a server replaces the global class while it runs.
  if ((Response as unknown) === LightResponse) {
    const headers = asHeaders(headersOfHead(head));
    // The light class accepts a file as a body.
    return new Response(body as string | null, { status, headers });
  }
  const content = body instanceof FileBody ? body.stream : body;
  return new Response(content, { status, headers: fieldsOfHead(head) });
}
