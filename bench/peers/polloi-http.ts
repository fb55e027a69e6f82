/**
 * polloi's HTTP server: `serve` with a handler, or with `fetch`.
 *
 *   polloi-http [--engine auto|io_uring|epoll] [--run] [--fetch]
 */
import { parseArgs } from "node:util";
import { type EngineChoice, Reactor } from "polloi";
import { type HttpOptions, serve } from "polloi/http";
import { announce, collectOnRequest } from "./collect.ts";

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "auto" },
    run: { type: "boolean", default: false },
    fetch: { type: "boolean", default: false },
  },
});
// The reactor rejects unknown names.
const engine = values.engine as EngineChoice;

const answer: Pick<HttpOptions, "handler" | "fetch"> = values.fetch
  ? { fetch: () => new Response("Hello, world!") }
  : { handler: (_, reply) => reply.send("Hello, world!") };

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
