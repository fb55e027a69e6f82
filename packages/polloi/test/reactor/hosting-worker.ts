/** A worker thread that hosts a server, sends it a message, posts the answer, and then follows its instruction. */
import { parentPort, workerData } from "node:worker_threads";
import { serve } from "../../src/http/index.ts";
import { type EngineChoice, Reactor, type Trigger } from "../../src/index.ts";
import { DefaultSelector, EVENT_READ, Waker } from "../../src/selectors/index.ts";

/** The instruction: repeat the exchange, do nothing, open and close reactors, or exit. */
export type HostingMode = "busy" | "idle" | "churns" | "closes";

const { engine, trigger, mode } = workerData as {
  readonly engine: EngineChoice;
  readonly trigger: Trigger | undefined;
  readonly mode: HostingMode;
};

/** A server and a client that echo to each other until `done`. */
function exchange(done: () => boolean): Promise<string> {
  const reactor = new Reactor({ engine, trigger });
  return new Promise((resolve) => {
    const listener = reactor.listen({
      host: "127.0.0.1",
      port: 0,
      data: (connection, bytes) => void connection.write(bytes),
    });
    reactor.connect({
      host: "127.0.0.1",
      port: listener.port,
      open: (connection) => void connection.write("echoed"),
      data: (connection, bytes) => {
        if (done()) reactor.close();
        else connection.write(bytes);
        resolve(new TextDecoder().decode(bytes));
      },
    });
  });
}

async function fetched(): Promise<string> {
  const web = serve({ host: "127.0.0.1", port: 0, fetch: () => new Response("fetched") });
  const url = `http://127.0.0.1:${web.port}/`;
  const response = await fetch(url, { headers: { connection: "close" } });
  const text = await response.text();
  await web.stop(0);
  return text;
}

function selected(): string {
  using waker = new Waker();
  using selector = new DefaultSelector<string>();
  selector.register(waker, EVENT_READ, "selected");
  waker.wake();
  return selector.select()[0]?.[0].data ?? "nothing";
}

// Before termination: mapping the queues of a ring makes views, which must not be interrupted.
if (mode === "idle") new Reactor({ engine, trigger }).listen({ host: "127.0.0.1", port: 0 });
const echoed = await exchange(() => mode !== "busy");
parentPort?.postMessage([echoed, await fetched(), selected()]);
while (mode === "churns") await exchange(() => true);
