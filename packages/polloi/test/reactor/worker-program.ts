/** A worker thread that runs a reactor with run(), and ends when nothing is open any more. */
import { parentPort, workerData } from "node:worker_threads";
import { type EngineChoice, Reactor, type Trigger } from "../../src/index.ts";

const { engine, trigger } = workerData as { engine: EngineChoice; trigger?: Trigger };
const reactor = new Reactor({ engine, trigger });
const listener = reactor.listen({
  host: "127.0.0.1",
  port: 0,
  data: (connection, bytes) => void connection.write(bytes),
  close: () => listener.close(),
});
const got: string[] = [];
reactor.connect({
  host: "127.0.0.1",
  port: listener.port,
  open: (connection) => connection.end("from a worker"),
  data: (_connection, bytes) => void got.push(Buffer.from(bytes).toString()),
});
reactor.run();
parentPort?.postMessage(got.join(""));
