/** An object that holds a kernel resource is printed as one line, and as short JSON. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import { serve } from "../../src/http/index.ts";
import { Reactor } from "../../src/index.ts";
import { serveModel } from "../../src/pool/models.ts";
import { startWorkers } from "../../src/pool/workers.ts";
import { Epoll, Poll, SignalFd } from "../../src/select/index.ts";
import {
  DefaultSelector,
  EVENT_READ,
  EVENT_WRITE,
  PollSelector,
  SelectorBatch,
  SelectSelector,
  Waker,
} from "../../src/selectors/index.ts";
import {
  AF_INET,
  createServer,
  SOCK_STREAM,
  Socket,
  type SocketAddress,
  socketpair,
} from "../../src/socket/index.ts";
import { Ring } from "../../src/uring/index.ts";

interface Inspecting {
  readonly Bun?: { inspect(value: unknown): string };
  readonly Deno?: { inspect(value: unknown): string };
}
const { Bun, Deno } = globalThis as Inspecting;
/** Formats a value as `console.log` of this runtime does. */
const print = (value: unknown): string => (Bun ?? Deno)?.inspect(value) ?? inspect(value);

/** Returns the line that prints `it`, after checking that its JSON has the same fields. */
function printed(it: object): string {
  const line = print(it);
  assert.ok(!line.includes("\n") && line.length < 250, line);
  assert.equal(inspect(it), line);
  assert.ok(print([it]).includes(line), "it is printed differently within another object");
  const json = JSON.parse(JSON.stringify(it)) as Record<string, unknown>;
  const fields = Object.entries(json).filter(([key]) => key !== "type");
  const text = fields.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(", ");
  assert.equal(line, `${json.type} { ${text} }`);
  return line;
}

const portOf = (address: SocketAddress): number => address.port ?? -1;

export function printingSuite(withRing: boolean): Suite {
  const onARing: Case[] = [
    {
      name: "a ring and its memory",
      run() {
        using ring = new Ring();
        const fd = ring.fileno();
        assert.equal(printed(ring), `Ring { fd: ${fd}, pending: 0, state: "open" }`);
        assert.match(printed(ring.map(100_000)), /^Mapped { address: \d+, length: 100000 }$/);
        const buffers = printed(ring.addBuffers());
        assert.equal(buffers, "BufferRing { group: 0, count: 64, bufferBytes: 4096 }");
        ring.close();
        assert.equal(printed(ring), 'Ring { fd: -1, pending: 0, state: "closed" }');
      },
    },
  ];
  return {
    title: "console.log and JSON.stringify",
    cases: [
      {
        name: "a socket: family, addresses and state",
        run() {
          using server = createServer({ host: "127.0.0.1", port: 0 });
          const at = `127.0.0.1:${portOf(server.localAddress())}`;
          using client = new Socket(AF_INET, SOCK_STREAM);
          const fd = client.fileno();
          const fresh = `fd: ${fd}, family: "AF_INET", localAddress: "0.0.0.0:0", remoteAddress: null`;
          assert.equal(printed(client), `Socket { ${fresh}, state: "unconnected" }`);
          client.connect(server.localAddress());
          assert.match(
            printed(client),
            new RegExp(`remoteAddress: "${at}", state: "connected" }$`),
          );
          const listening = `fd: ${server.fileno()}, family: "AF_INET", localAddress: "${at}"`;
          assert.equal(
            printed(server),
            `Socket { ${listening}, remoteAddress: null, state: "listening" }`,
          );
          client.setTimeout(50);
          assert.match(printed(client), /timeoutMs: 50 }$/);
          client.close();
          assert.equal(printed(client), 'Socket { fd: -1, family: "AF_INET", state: "closed" }');
          const [left, right] = socketpair();
          assert.match(printed(left), /family: "AF_UNIX".*state: "connected" }$/);
          left.close();
          right.close();
        },
      },
      {
        name: "epoll, poll, a waker, selectors, their keys and batches",
        run() {
          using epoll = new Epoll();
          assert.equal(printed(epoll), `Epoll { fd: ${epoll.fileno()}, state: "open" }`);
          using signals = new SignalFd(["SIGUSR2", "SIGWINCH"]);
          assert.equal(
            printed(signals),
            `SignalFd { fd: ${signals.fileno()}, signals: "SIGUSR2 SIGWINCH", state: "open" }`,
          );
          using waker = new Waker();
          const fd = waker.fileno();
          assert.equal(printed(waker), `Waker { fd: ${fd}, state: "open" }`);
          const poll = new Poll();
          poll.register(waker);
          assert.equal(printed(poll), "Poll { registered: 1 }");
          for (const Made of [DefaultSelector, PollSelector, SelectSelector]) {
            using selector = new Made<unknown>();
            const key = selector.register(waker, EVENT_READ | EVENT_WRITE, { large: poll });
            const poller = `${Made.name} { poller: "${selector.name}"`;
            assert.equal(printed(selector), `${poller}, registered: 1, state: "open" }`);
            const events = 'events: "EVENT_READ | EVENT_WRITE"';
            assert.equal(printed(key), `SelectorKey { fd: ${fd}, ${events}, data: "[Object]" }`);
            assert.equal(printed(selector.getMap()), "SelectorMap { size: 1 }");
          }
          assert.equal(printed(new SelectorBatch(8)), "SelectorBatch { count: 0, capacity: 8 }");
        },
      },
      {
        name: "a reactor and its connections, listeners, timers and watches",
        async run() {
          using reactor = new Reactor({ engine: "epoll" });
          const hosted = 'Reactor { engine: "epoll", trigger: "edge", state: "hosted" }';
          assert.equal(printed(reactor), hosted);
          const listener = reactor.listen({ host: "127.0.0.1", port: 0 });
          const at = `"127.0.0.1:${listener.port}"`;
          const open = `fd: ${listener.fileno()}, address: ${at}, connections: 0`;
          assert.equal(printed(listener), `Listener { ${open}, state: "listening" }`);
          const lines = await new Promise<string[]>((resolve, reject) => {
            const seen: string[] = [];
            reactor.connect({
              host: "127.0.0.1",
              port: listener.port,
              open(connection) {
                try {
                  seen.push(printed(connection));
                } catch (error) {
                  reject(error);
                }
                connection.close();
              },
              close(connection) {
                seen.push(printed(connection));
                resolve(seen);
              },
            });
          });
          const [connected, closed] = lines;
          assert.match(
            connected as string,
            /^Connection { fd: \d+, localAddress: "127\.0\.0\.1:\d+"/,
          );
          assert.ok(connected?.endsWith(`remoteAddress: ${at}, state: "open", pendingBytes: 0 }`));
          const gone = "fd: -1, localAddress: null, remoteAddress: null";
          assert.equal(closed, `Connection { ${gone}, state: "closed", pendingBytes: 0 }`);
          using waker = new Waker();
          const watch = reactor.watch(waker, EVENT_READ, () => {});
          assert.equal(printed(watch), `Watch { fd: ${waker.fileno()}, state: "watching" }`);
          watch.close();
          const timer = reactor.setTimer(1000, () => {});
          assert.equal(printed(timer), "Timer { delayMs: 1000, active: true }");
          timer.cancel();
          const server = serve({ reactor, host: "127.0.0.1", port: 0, handler: () => {} });
          const counts = `port: ${server.port}, connections: 0, requests: 0`;
          assert.equal(printed(server), `HttpServer { ${counts} }`);
          await server.stop();
          listener.close();
          reactor.close();
          const line = 'Reactor { engine: "epoll", trigger: "edge", state: "closed" }';
          assert.equal(printed(reactor), line);
        },
      },
      {
        name: "a pool of workers, the server of a model, and what a fetch handler knows of a connection",
        async run() {
          const listen = { host: "127.0.0.1", port: 0 };
          const module = new URL("../pool/echo-worker.js", import.meta.url);
          await using pool = await startWorkers({ module, workers: 1, listen, engine: "epoll" });
          const running = 'engine: "epoll", workers: 1, running: 1, connections: 0 }';
          assert.equal(printed(pool), `WorkerPool { address: "127.0.0.1:${pool.port}", ${running}`);
          await using model = await serveModel({ model: "event", module, listen, engine: "poll" });
          const idle = 'engine: "poll", children: 0, connections: 0 }';
          assert.equal(
            printed(model),
            `ModelServer { model: "event", address: "127.0.0.1:${model.port}", ${idle}`,
          );
          await pool.stop(0);
          const stopped = 'engine: "epoll", workers: 1, running: 0, connections: 0 }';
          assert.equal(printed(pool), `WorkerPool { address: null, ${stopped}`);
          const server = serve({
            host: "127.0.0.1",
            port: 0,
            fetch: (_, info) => new Response(printed(info)),
          });
          const response = await fetch(`http://127.0.0.1:${server.port}/`);
          const addresses = `localAddress: "127.0.0.1:${server.port}", remoteAddress: "127.0.0.1:`;
          const line = await response.text();
          assert.match(line, /^FetchInfo { fd: \d+, local/);
          assert.ok(line.includes(addresses), line);
          await server.stop(0);
        },
      },
      ...(withRing ? onARing : []),
    ],
  };
}
