/**
 * polloi's HTTP server: `serve` with a handler, or with `fetch`.
 *
 *   polloi-http [--engine auto|io_uring|epoll] [--run] [--fetch] [--answer hello|post|chunked|hono]
 *   polloi-http ... --files FOLDER [--hono]
 *   polloi-http ... --tls FOLDER
 *
 * With `--files` the answers are the files of a folder: from a handler, from `fetch`, or from an application of Hono.
 */
import { parseArgs } from "node:util";
import { Hono } from "hono";
import { type EngineChoice, Reactor } from "polloi";
import { files, type HttpOptions, type HttpReply, type HttpRequest, serve } from "polloi/http";
import { answerIn, fetchFor } from "./answers.ts";
import { tlsIn } from "./certificate.ts";
import { announce, collectOnRequest } from "./collect.ts";

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "auto" },
    run: { type: "boolean", default: false },
    fetch: { type: "boolean", default: false },
    answer: { type: "string" },
    files: { type: "string" },
    hono: { type: "boolean", default: false },
    tls: { type: "string" },
  },
});
// The reactor rejects unknown names.
const engine = values.engine as EngineChoice;

type Handlers = Pick<HttpOptions, "handler" | "fetch">;

const handlers: Handlers = values.files === undefined ? plain() : filesOf(values.files);

function plain(): Handlers {
  const answer = answerIn();
  if (values.fetch) return { fetch: fetchFor(answer) };
  return answer === "post"
    ? { handler: count }
    : { handler: (_, reply) => reply.send("Hello, world!") };
}

/** Answers with the length of the body. */
function count(request: HttpRequest, reply: HttpReply): void {
  let length = 0;
  request.read({
    data(bytes) {
      length += bytes.length;
    },
    end() {
      reply.send(`${length}`);
    },
  });
}

function filesOf(dir: string): Handlers {
  const site = files({ dir });
  if (values.hono) return { fetch: new Hono().use("/*", site).fetch };
  return values.fetch ? { fetch: site } : { handler: site };
}

const options: HttpOptions = {
  host: "127.0.0.1",
  port: 0,
  backlog: 65535,
  // While other servers have their turns, a connection is idle for longer than the default.
  idleTimeoutMs: 600_000,
  ...tlsIn(),
  ...handlers,
};

collectOnRequest();
if (values.run) {
  const reactor = new Reactor({ engine });
  announce(serve({ ...options, reactor }).port);
  reactor.run();
} else {
  announce(serve({ ...options, engine }).port);
}
