/** A process of its own: callbacks that were given before the first use of an AsyncLocalStorage. */
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { Reactor } from "../../src/index.ts";
import { until } from "../support/waiting.ts";

test("a turn that was scheduled within a context calls earlier handlers outside of it", async () => {
  // Given outside of `test`, which uses contexts itself on some versions.
  const { listener, seen, reactor } = given;
  using _closing = reactor;
  const client = connect(listener.port, "127.0.0.1");
  await once(client, "connect");
  await until("accepted", () => seen.length === 1);
  let ticks = 0;
  storage.run("inside", () => {
    const tick = (): void => {
      ticks++;
      if (reactor.fileno() >= 0) reactor.setTimer(0, tick);
    };
    tick();
  });
  await until("ticking", () => ticks > 5);
  client.end("x");
  await until("closed", () => seen.length === 3);
  assert.deepEqual(seen, ["open undefined", "data undefined", "close undefined"]);
});

const storage = new AsyncLocalStorage<string>();
const given = (() => {
  const reactor = new Reactor({ engine: "epoll" });
  const seen: string[] = [];
  const record = (name: string) => (): void => void seen.push(`${name} ${storage.getStore()}`);
  const listener = reactor.listen({
    host: "127.0.0.1",
    port: 0,
    open: record("open"),
    data: record("data"),
    close: record("close"),
  });
  return { reactor, seen, listener };
})();
