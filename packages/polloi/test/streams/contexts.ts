/** AsyncLocalStorage: callbacks are called in the context in which the program has given them. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import type { Suite } from "../../../../test/support/suite.ts";
import { serve } from "../../src/http/index.ts";
import { type Connection, type Handlers, toDuplex } from "../../src/index.ts";
import { EVENT_READ, Waker } from "../../src/selectors/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { ENGINES, whereUringWorks } from "../support/engines.ts";
import { until } from "../support/waiting.ts";
import { casesOn, textOf } from "./stream-case.ts";

const storage = new AsyncLocalStorage<string>();

/** Handlers that record the store in which they are called. */
function recording(seen: Set<string>): Handlers {
  const record = (name: string) => (): void => {
    seen.add(`${name} ${storage.getStore() ?? "outside"}`);
  };
  return {
    open: record("open"),
    data: record("data"),
    drain: record("drain"),
    end: (connection) => {
      record("end")();
      connection.end();
    },
    close: record("close"),
  };
}

export function contextsSuite(): Suite[] {
  return ENGINES.filter(([, trigger]) => trigger !== "level").map(([engine, trigger]) => {
    const test = casesOn(engine, trigger);
    return whereUringWorks({
      title: `AsyncLocalStorage: ${engine}, on ${kernel.runtime}`,
      cases: [
        test("handlers of listen and connect have the context of the call", async (setting) => {
          const [of, by] = [new Set<string>(), new Set<string>()];
          const listener = storage.run("listening", () => setting.listen(recording(of)));
          const connection = storage.run("connecting", () =>
            setting.reactor.connect({ host: "127.0.0.1", port: listener.port, ...recording(by) }),
          );
          storage.run("a writer", () => connection.write(new Uint8Array(1 << 20)));
          await until("drained", () => by.has("drain connecting"));
          storage.run("an ender", () => connection.end());
          await until("closed", () => connection.state === "closed");
          listener.close();
          await until("all", () => of.has("close listening"));
          assert.deepEqual(
            [...of],
            ["open listening", "data listening", "end listening", "close listening"],
          );
          assert.deepEqual(
            [...by],
            ["open connecting", "drain connecting", "end connecting", "close connecting"],
          );
        }),
        test("callbacks that were given outside are called outside", async (setting) => {
          const seen = new Set<string>();
          storage.run("first", () => {});
          const listener = setting.listen(recording(seen));
          let ticks = 0;
          // Turns are scheduled within the context, by timers and by writes.
          const tick = (): void => {
            ticks++;
            setting.reactor.setTimer(0, tick);
          };
          const client = await setting.client(listener);
          await until("accepted", () => seen.size === 1);
          storage.run("inside", () => {
            tick();
            setting.reactor
              .connect({ host: "127.0.0.1", port: listener.port, close() {} })
              .end("x");
          });
          client.end("y");
          await until("seen", () => seen.size === 4 && ticks > 10 && listener.connections === 0);
          assert.deepEqual(
            [...seen].filter((each) => !each.endsWith("outside")),
            [],
          );
          setting.reactor.close();
        }),
        test("timers and watches have the context of the call", async (setting) => {
          const seen: unknown[] = [];
          using waker = new Waker();
          const timer = storage.run("timer", () =>
            setting.reactor.setTimer(1, () => void seen.push(storage.getStore())),
          );
          const watch = storage.run("watch", () =>
            setting.reactor.watch(waker, EVENT_READ, () => {
              waker.drain();
              seen.push(storage.getStore());
            }),
          );
          setting.reactor.setTimer(2, () => void seen.push(storage.getStore()));
          storage.run("other", () => {
            timer.refresh();
            waker.wake();
          });
          await until("all", () => seen.length === 3);
          assert.deepEqual(new Set(seen), new Set(["timer", "watch", undefined]));
          watch.close();
        }),
        test("handlers that are handed over have the context of that call, and so has a Duplex", async (setting) => {
          const seen = new Set<string>();
          const sockets: string[] = [];
          const listener = setting.listen({
            open: (connection: Connection) =>
              void storage.run("handing", () => connection.handOver(recording(seen))),
          });
          const socket = storage.run("duplex", () =>
            toDuplex(setting.reactor.connect({ host: "127.0.0.1", port: listener.port })),
          );
          for (const name of ["connect", "end", "close"]) {
            socket.on(name, () => void sockets.push(`${name} ${storage.getStore()}`));
          }
          socket.resume().end("x");
          await once(socket, "close");
          await until("closed", () => seen.has("close handing"));
          assert.deepEqual([...seen], ["data handing", "end handing", "close handing"]);
          assert.deepEqual(sockets.slice(0, 1), ["connect duplex"]);
          listener.close();
        }),
        test("concurrent requests keep their contexts apart", async (setting) => {
          const server = serve({
            reactor: setting.reactor,
            host: "127.0.0.1",
            port: 0,
            fetch: (request) =>
              storage.run(new URL(request.url).pathname, async () => {
                await new Promise((resolve) => setTimeout(resolve, 2));
                return new Response(storage.getStore() ?? "lost");
              }),
          });
          const clients = await Promise.all(
            Array.from({ length: 20 }, async (_, i) => {
              const client = await setting.client({ port: server.port } as never);
              client.write(`GET /${i} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n`);
              return textOf(client);
            }),
          );
          clients.forEach((text, i) => void assert.match(text, new RegExp(`\r\n\r\n/${i}$`)));
          await server.stop(0);
        }),
      ],
    });
  });
}
