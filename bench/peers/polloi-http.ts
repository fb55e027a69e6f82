/**
 * polloi's HTTP server: `serve` with a handler, or with `fetch`.
 *
 *   polloi-http [--engine auto|io_uring|epoll] [--run] [--fetch] [--files FOLDER [--hono]]
 *
 * With `--files` the answers are the files of a folder: from a handler, from `fetch`, or from an application of Hono.
 */
import { parseArgs } from "node:util";
import { Hono } from "hono";
import { type EngineChoice, Reactor } from "polloi";
import { files, type HttpOptions, serve } from "polloi/http";
import { announce, collectOnRequest } from "./collect.ts";

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "auto" },
    run: { type: "boolean", default: false },
    fetch: { type: "boolean", default: false },
    files: { type: "string" },
    hono: { type: "boolean", default: false },
  },
});
// The reactor rejects unknown names.
const engine = values.engine as EngineChoice;

type Answer = Pick<HttpOptions, "handler" | "fetch">;

const answer: Answer = values.files === undefined ? hello() : filesOf(values.files);

function hello(): Answer {
  return values.fetch
    ? { fetch: () => new Response("Hello, world!") }
    : { handler: (_, reply) => reply.send("Hello, world!") };
}

function filesOf(dir: string): Answer {
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
  ...answer,
};

collectOnRequest();
if (values.run) {
  const reactor = new Reactor({ engine });
  announce(serve({ ...options, reactor }).port);
  reactor.run();
} else {
  announce(serve({ ...options, engine }).port);
}
