/**
 * polloi as the others are measured: `listen` with a `data` handler that writes back.
 *
 *   polloi [--engine epoll|poll|select] [--trigger level|edge] [--zero-copy] [--run]
 */
import { parseArgs } from "node:util";
import { announce, collectOnRequest } from "./collect.ts";

/** As much of the public shape as this program uses. */
interface Connection {
  write(bytes: Uint8Array): boolean;
}
interface EchoOptions {
  readonly host: string;
  readonly port: number;
  readonly backlog: number;
  readonly zeroCopy: boolean;
  data(connection: Connection, bytes: Uint8Array): void;
  error(): void;
}
interface LoopOptions {
  readonly engine: string;
  readonly trigger: string;
}
interface Listener {
  readonly port: number;
}
interface Polloi {
  listen(options: EchoOptions & LoopOptions): Listener;
  Reactor: new (options: LoopOptions) => { listen(options: EchoOptions): Listener; run(): void };
}

const { values } = parseArgs({
  options: {
    engine: { type: "string", default: "auto" },
    trigger: { type: "string", default: "level" },
    "zero-copy": { type: "boolean", default: false },
    run: { type: "boolean", default: false },
  },
});
const { engine, trigger } = values;
const name: string = "polloi";
const { listen, Reactor } = (await import(name)) as Polloi;

const echo: EchoOptions = {
  host: "127.0.0.1",
  port: 0,
  backlog: 65535,
  zeroCopy: values["zero-copy"],
  data(connection, bytes) {
    connection.write(bytes);
  },
  // The load leaves with a reset.
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
