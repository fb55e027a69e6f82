/**
 * A control: node:http or node:https, with Content-Length where the answer is short.
 *
 *   node-http [--answer hello|post|chunked] [--tls FOLDER]
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type Answer, answerIn, makeChunks } from "./answers.ts";
import { certificateIn } from "./certificate.ts";
import { announce, collectOnRequest } from "./collect.ts";

const FIELDS = { "Content-Type": "text/plain; charset=utf-8", "Content-Length": 13 };

function hello(_: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, FIELDS);
  response.end("Hello, world!");
}

/** Answers with the length of the body. */
function count(request: IncomingMessage, response: ServerResponse): void {
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
  });
  request.on("end", () => {
    const text = `${length}`;
    response.writeHead(200, { ...FIELDS, "Content-Length": text.length });
    response.end(text);
  });
}

/** Sends chunks, no faster than the client receives them. */
function send(chunks: readonly Uint8Array[], response: ServerResponse, from: number): void {
  for (let i = from; i < chunks.length; i++) {
    if (response.write(chunks[i])) continue;
    response.once("drain", () => send(chunks, response, i + 1));
    return;
  }
  response.end();
}

function listenerFor(answer: Answer): RequestListener {
  if (answer === "post") return count;
  if (answer !== "chunked") return hello;
  const chunks = makeChunks();
  return (_, response) => send(chunks, response, 0);
}

collectOnRequest();
// While other servers have their turns, a connection is idle for longer than the default of 5 s.
const options = { keepAliveTimeout: 600_000, ...certificateIn() };
const listener: RequestListener = listenerFor(answerIn());
const server =
  "cert" in options ? createSecureServer(options, listener) : createServer(options, listener);
server.listen({ host: "127.0.0.1", port: 0, backlog: 65535 }, () => {
  announce((server.address() as AddressInfo).port);
});
