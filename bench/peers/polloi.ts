/**
 * polloi: `listen` with a `data` handler that writes back.
 *
 *   polloi [--engine auto|epoll|poll|select] [--trigger level|edge] [--zero-copy] [--run]
 *          [--tls FOLDER]
 */
import { parseArgs } from "node:util";
import { type EngineChoice, type ListenOptions, listen, Reactor, type Trigger } from "polloi";
import { tlsIn } from "./certificate.ts";
import { announce, collectOnRequest } from "./collect.ts";

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "auto" },
    trigger: { type: "string" },
    "zero-copy": { type: "boolean", default: false },
    run: { type: "boolean", default: false },
    tls: { type: "string" },
  },
});
// The reactor rejects unknown names.
const engine = values.engine as EngineChoice;
const trigger = values.trigger as Trigger | undefined;

const echo: ListenOptions = {
  host: "127.0.0.1",
  port: 0,
  backlog: 65535,
  zeroCopy: values["zero-copy"],
  ...tlsIn(),
  data(connection, bytes) {
    connection.write(bytes);
  },
  // The load closes with a reset.
  error() {},
};

collectOnRequest();
if (values.run) {
  const reactor = new Reactor({ engine, trigger });
  announce(reactor.listen(echo).port);
  reactor.run();
} else {
  announce(listen({ ...echo, engine, trigger }).port);
}
