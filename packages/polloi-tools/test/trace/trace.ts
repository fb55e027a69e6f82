/** The events of a traced reactor on each engine. Tracing must not change what the reactor does. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { type EngineName, Reactor, type Trigger } from "polloi";
import { kernel, whyNoUring } from "polloi/internal";
import {
  AF_INET,
  formatAddress,
  SHUT_WR,
  SO_LINGER,
  SOCK_STREAM,
  SOL_SOCKET,
  Socket,
} from "polloi/socket";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import type { TraceEvent } from "../../src/trace/event.ts";
import { Tracer } from "../../src/trace/tracer.ts";
import type { TraceOptions } from "../../src/trace/turn-log.ts";

/** The longest time to wait for an event. */
const TURN_MS = 2000;

type Choice = readonly [engine: EngineName, trigger: Trigger | undefined];

/** A traced echo server, and its clients in the same thread. */
class Rig implements Disposable {
  readonly events: TraceEvent[] = [];
  readonly reasons: string[] = [];
  readonly failures: Error[] = [];
  readonly tracer: Tracer;
  readonly reactor: Reactor;
  readonly port: number;
  errors = 0;

  constructor([engine, trigger]: Choice, options: Partial<TraceOptions> = {}) {
    this.tracer = new Tracer(kernel, {
      event: (event) => void this.events.push(event),
      flush: () => {},
      ended: (reason) => void this.reasons.push(reason),
      failed: (error) => void this.failures.push(error),
      ...options,
    });
    this.reactor = new Reactor({ engine, trigger, kernel: this.tracer.kernel });
    this.port = this.reactor.listen({
      host: "127.0.0.1",
      port: 0,
      data: (connection, bytes) => connection.write(bytes),
      error: () => void this.errors++,
    }).port;
  }

  [Symbol.dispose](): void {
    this.reactor.close();
  }

  client(): Socket {
    const client = new Socket(AF_INET, SOCK_STREAM);
    client.connect({ address: "127.0.0.1", port: this.port });
    client.setBlocking(false);
    return client;
  }

  /** Sends, and takes turns until the echo is complete. */
  echo(client: Socket, text: string): string {
    assert.equal(client.send(text), text.length);
    let back = "";
    this.until(() => {
      const bytes = client.recv(65_536);
      back += bytes === null ? "" : new TextDecoder().decode(bytes);
      return back.length >= text.length;
    });
    return back;
  }

  /** Ends the stream, and takes turns until the server has ended its own. */
  end(client: Socket): void {
    client.shutdown(SHUT_WR);
    this.until(() => client.recv(1)?.length === 0);
    client.close();
  }

  until(done: () => boolean): void {
    for (let turns = 0; !done(); turns++) {
      assert.ok(turns < 200, "the condition does not hold after 200 turns");
      this.reactor.turn(turns < 3 ? 5 : TURN_MS / 200);
    }
  }

  /** Returns the steps of connection `number`, in the same form for all engines. */
  life(number: number): string[] {
    return this.events.flatMap((event) => {
      if (!("connection" in event) || event.connection !== number) return [];
      return stepOf(event) ?? [];
    });
  }
}

/** Returns the step of a connection that a call or a completion is. */
function stepOf(event: TraceEvent): string | undefined {
  if (event.event !== "call" && event.event !== "complete") return undefined;
  const { call, result, errno } = event;
  if (errno === "EAGAIN" || errno === "ECANCELED") return undefined;
  const outcome = errno ?? result;
  switch (call.toLowerCase()) {
    case "accept4":
    case "accept":
      return result >= 0 ? "accept" : undefined;
    case "recv":
    case "send":
      return `${call.toLowerCase()} ${outcome}`;
    case "close":
      return `close ${outcome}`;
    default:
      return undefined;
  }
}

function of<Name extends TraceEvent["event"]>(
  { events }: Rig,
  name: Name,
): Extract<TraceEvent, { event: Name }>[] {
  return events.filter((event) => event.event === name) as Extract<TraceEvent, { event: Name }>[];
}

function onEach(choice: Choice): Case[] {
  const [engine, trigger] = choice;
  const skip = engine === "io_uring" ? whyNoUring(kernel) : undefined;
  const on = `on ${engine}${trigger === undefined ? "" : `, ${trigger}-triggered`}`;
  return [
    {
      skip,
      name: `${on}, a connection is accepted, receives, sends, reaches the end of the stream, and is closed`,
      run() {
        using rig = new Rig(choice);
        const client = rig.client();
        const peer = formatAddress(client.localAddress());
        assert.equal(rig.echo(client, "x".repeat(64)), "x".repeat(64));
        assert.equal(rig.echo(client, "hello"), "hello");
        rig.end(client);
        const life = ["accept", "recv 64", "send 64", "recv 5", "send 5", "recv 0", "close 0"];
        assert.deepEqual(rig.life(1), life);
        const closed = of(rig, "call").find(
          ({ call, connection }) => call === "close" && connection === 1,
        );
        assert.equal(closed?.received, 69);
        assert.equal(closed.sent, 69);
        const contents = rig.events.flatMap((it) =>
          (it.event === "call" || it.event === "complete") && /^recv$/i.test(it.call) && it.data
            ? [it.data]
            : [],
        );
        assert.deepEqual(
          contents,
          ["x".repeat(32), "hello"],
          "the received bytes, as far as they are shown",
        );
        const named = rig.events.filter((it) => "connection" in it && it.connection === 1);
        assert.ok(named.every((it) => "peer" in it && it.peer === peer));
      },
    },
    {
      skip,
      name: `${on}, a reused descriptor belongs to another connection`,
      run() {
        using rig = new Rig(choice);
        for (const text of ["one", "three"]) {
          const client = rig.client();
          rig.echo(client, text);
          rig.end(client);
        }
        const fds = [1, 2].map(
          (number) =>
            of(rig, "call").find(
              ({ call, connection }) => call === "close" && connection === number,
            )?.fd,
        );
        assert.equal(fds[0], fds[1], "the number was not reused");
        assert.deepEqual(rig.life(1).slice(1, 3), ["recv 3", "send 3"]);
        assert.deepEqual(rig.life(2).slice(1, 3), ["recv 5", "send 5"]);
        if (engine === "io_uring") return;
        const accepts = of(rig, "ready").filter(({ name }) => name === "listener");
        assert.equal(accepts.length, 2, "a ready descriptor was taken for another one");
      },
    },
    {
      skip,
      name: `${on}, each turn has a wait, its results, and increasing times`,
      run() {
        using rig = new Rig(choice);
        const client = rig.client();
        rig.echo(client, "hello");
        rig.end(client);
        const turns = of(rig, "turn").map(({ turn }) => turn);
        assert.ok(turns.length >= 3, `${turns}`);
        assert.deepEqual(
          turns,
          [...new Set(turns)].sort((a, b) => a - b),
        );
        const waits = of(rig, "wait").filter(({ timeoutMs }) => timeoutMs !== 0);
        assert.ok(waits.length > 0);
        assert.ok(waits.every(({ timeoutMs, us }) => (timeoutMs ?? 1) > 0 && us >= 0));
        const times = rig.events.filter((it) => it.event !== "turn").map(({ ms }) => ms);
        assert.deepEqual(
          times,
          [...times].sort((a, b) => a - b),
        );
        if (engine === "io_uring") return;
        const ready = of(rig, "ready");
        assert.ok(ready.some(({ name, events }) => name === "listener" && events[0] === "IN"));
        assert.ok(ready.some((it) => it.connection === 1 && it.events.includes("IN")));
        // As many as the wait returned.
        for (const { turn, result } of of(rig, "wait")) {
          assert.equal(ready.filter((it) => it.turn === turn).length, Math.max(0, result));
        }
      },
    },
  ];
}

const READINESS: Choice = ["epoll", "edge"];

const CASES: readonly Case[] = [
  {
    name: "would-block is EAGAIN, and a reset is ECONNRESET",
    run() {
      using rig = new Rig(READINESS);
      const client = rig.client();
      rig.echo(client, "hello");
      const accepts = of(rig, "call").filter(({ call }) => call === "accept4");
      assert.deepEqual(
        accepts.map(({ result, errno }) => (result < 0 ? errno : "")),
        ["", "EAGAIN"],
      );
      // SO_LINGER with a timeout of 0 makes close reset the connection.
      client.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
      client.close();
      rig.until(() => rig.errors === 1);
      assert.ok(rig.life(1).includes("recv ECONNRESET"), `${rig.life(1)}`);
    },
  },
  {
    name: "only the selected connections have events: by number, peer, or host of the peer",
    run() {
      for (const connections of [["2"], ["#2"], []]) {
        using rig = new Rig(READINESS, { connections });
        const [one, two] = [rig.client(), rig.client()];
        if (connections.length === 0) connections.push(formatAddress(two.localAddress()));
        for (const client of [one, two, one]) rig.echo(client, "hello");
        for (const client of [one, two]) rig.end(client);
        assert.deepEqual(rig.life(2), ["accept", "recv 5", "send 5", "recv 0", "close 0"]);
        const others = rig.events.filter((it) => it.event !== "turn");
        assert.ok(others.every((it) => "connection" in it && it.connection === 2));
      }
      using rig = new Rig(READINESS, { connections: ["127.0.0.2"] });
      const client = rig.client();
      rig.echo(client, "hello");
      rig.end(client);
      assert.deepEqual(rig.events, []);
    },
  },
  {
    name: "only the selected calls have events, on every engine",
    run() {
      using rig = new Rig(READINESS, { calls: /^(recv|send)$/i });
      const client = rig.client();
      rig.echo(client, "hello");
      const calls = rig.events.map((it) => ("call" in it ? it.call : it.event));
      assert.deepEqual(new Set(calls), new Set(["turn", "recv", "send"]));
      client.close();
    },
  },
  {
    name: "the trace ends after the given number of turns, and the server continues",
    run() {
      using rig = new Rig(READINESS, { turns: 2 });
      const client = rig.client();
      for (let i = 0; i < 5; i++) assert.equal(rig.echo(client, "hello"), "hello");
      client.close();
      assert.equal(of(rig, "turn").length, 2);
      assert.equal(rig.events.at(-1)?.event, "end");
      assert.deepEqual(rig.reasons, ["2 turns were traced"]);
    },
  },
  {
    name: "an exception of the receiver of events ends the trace, and nothing else",
    run() {
      using rig = new Rig(READINESS, {
        event(event) {
          if (event.event === "ready") throw new Error("no more");
        },
      });
      const client = rig.client();
      for (let i = 0; i < 2; i++) assert.equal(rig.echo(client, "hello"), "hello");
      rig.end(client);
      assert.deepEqual(
        rig.failures.map(({ message }) => message),
        ["no more"],
      );
    },
  },
  {
    name: "hosted, a turn names the runtime that woke it, and calls outside of a turn are marked",
    async run() {
      using rig = new Rig(READINESS);
      const client = connect({ port: rig.port, host: "127.0.0.1" });
      await new Promise<void>((resolve) => {
        client.once("data", () => resolve());
        client.write("hello");
      });
      const ended = new Promise((resolve) => client.once("close", resolve));
      client.end();
      await ended;
      const turns = of(rig, "turn");
      assert.ok(turns.some(({ wokenBy }) => wokenBy === kernel.runtime));
      rig.reactor.close();
      assert.equal(of(rig, "turn").at(-1)?.outside, true);
      assert.ok(rig.life(1).includes("send 5"));
    },
  },
];

/** @param choices - The engines to test. */
export function traceSuite(choices: readonly Choice[]): Suite {
  return {
    title: `Tracer on ${kernel.runtime}`,
    cases: [...choices.flatMap(onEach), ...CASES],
  };
}
