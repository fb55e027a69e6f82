/** PROXY headers: of proxies in front of a listener, and of a program that forwards connections. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case } from "../../../../test/support/suite.ts";
import type { Connection, ListenOptions, ProxyHeader, ProxyRefusal } from "../../src/index.ts";
import { encodeProxyHeader } from "../../src/proxy/write-header.ts";
import { AF_INET, AF_INET6 } from "../../src/socket/constants.ts";
import { formatAddress, type SocketAddress } from "../../src/socket/index.ts";
import { whyNoIPv6 } from "../support/ipv6.ts";
import { casesOf, type Variant } from "./rig.ts";

const CLIENT: SocketAddress = { address: "192.0.2.1", port: 56_324, family: AF_INET };
const SERVER: SocketAddress = { address: "198.51.100.7", port: 443, family: AF_INET };
const LINE = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n";
const UNIQUE_ID = { type: 5, value: Uint8Array.of(1, 2, 3) };

/** The events of connections, as text. */
class Recorder {
  readonly events: string[] = [];
  readonly headers: (ProxyHeader | null)[] = [];
  readonly handlers: Partial<ListenOptions> = {
    open: (connection) => {
      const { remoteAddress, localAddress, proxyHeader } = connection;
      this.headers.push(proxyHeader);
      this.events.push(`open ${shown(remoteAddress)} to ${shown(localAddress)}`);
    },
    data: (_, bytes) => void this.events.push(`data ${Buffer.from(bytes).toString("latin1")}`),
    end: (connection) => {
      this.events.push("end");
      connection.end();
    },
    close: (_, error) => void this.events.push(`close ${error?.message ?? ""}`),
    error: (_, error) => void this.events.push(`error ${error.message}`),
    stopping: (connection) => {
      this.events.push("stopping");
      connection.end();
    },
  };

  /** Everything that was received. */
  get received(): string {
    const parts = this.events.filter((event) => event.startsWith("data "));
    return parts.map((event) => event.slice("data ".length)).join("");
  }
}

function shown(address: SocketAddress | null): string {
  return address === null ? "none" : formatAddress(address);
}

export function proxyProtocolCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("behind a PROXY header, the addresses are those of the client, and the rest is data", async (rig) => {
      const recorder = new Recorder();
      const listener = rig.listen({ ...recorder.handlers, proxyProtocol: true });
      const binary = encodeProxyHeader({ source: CLIENT, destination: SERVER, tlvs: [UNIQUE_ID] });
      for (const header of [Buffer.from(LINE), binary]) {
        recorder.events.length = 0;
        const peer = rig.peer(listener).send(Buffer.concat([header, Buffer.from("hello")]));
        await rig.until("received", () => recorder.received === "hello");
        peer.shutdown();
        await rig.until("closed", () => recorder.events.at(-1) === "close ");
        const opened = "open 192.0.2.1:56324 to 198.51.100.7:443";
        assert.deepEqual(recorder.events, [opened, "data hello", "end", "close "]);
      }
      const [first, second] = recorder.headers;
      assert.deepEqual([first?.version, first?.tlvs], [1, []]);
      assert.deepEqual([second?.version, second?.tlvs], [2, [UNIQUE_ID]]);
      assert.deepEqual(listener.proxyFailures, {});
    }),

    test("a PROXY header may arrive byte by byte, and no handler is called before its end", async (rig) => {
      const recorder = new Recorder();
      const listener = rig.listen({ ...recorder.handlers, proxyProtocol: true });
      const binary = encodeProxyHeader({ source: CLIENT, destination: SERVER });
      for (const header of [Buffer.from(LINE), binary]) {
        recorder.events.length = 0;
        const peer = rig.peer(listener);
        for (const byte of header) {
          assert.deepEqual(recorder.events, []);
          peer.send(Uint8Array.of(byte));
          await rig.step();
        }
        await rig.until("opened", () => recorder.events.length === 1);
        peer.send("x");
        await rig.until("received", () => recorder.received === "x");
        peer.close();
        await rig.until("closed", () => listener.connections === 0);
      }
    }),

    test("a connection with a malformed PROXY header is closed and counted, without a call of its handlers", async (rig) => {
      const recorder = new Recorder();
      const refusals: ProxyRefusal[] = [];
      const listener = rig.listen({
        ...recorder.handlers,
        proxyProtocol: { refused: (refusal) => void refusals.push(refusal) },
      });
      for (const bytes of [
        "GET / HTTP/1.1\r\n\r\n",
        "PROXY TCP4 a b c d\r\nhello",
        "PROXY UNKNOWN\n",
      ]) {
        const peer = rig.peer(listener).send(bytes);
        await rig.until("closed", () => peer.ended || peer.error !== undefined);
      }
      await rig.until("forgotten", () => listener.connections === 0);
      assert.deepEqual(recorder.events, []);
      assert.deepEqual(listener.proxyFailures, { SIGNATURE: 1, ADDRESS: 1, LINE: 1 });
      assert.deepEqual(
        refusals.map(({ code }) => code),
        ["SIGNATURE", "ADDRESS", "LINE"],
      );
      assert.equal(refusals[0]?.reason, "it does not begin with a PROXY header");
      assert.equal(refusals[0]?.remoteAddress?.address, "127.0.0.1");
    }),

    test("a PROXY header has a time limit, which ends with it", async (rig) => {
      const recorder = new Recorder();
      const listener = rig.listen({ ...recorder.handlers, proxyProtocol: { timeoutMs: 40 } });
      const late = [rig.peer(listener), rig.peer(listener).send(LINE.slice(0, -1))];
      await rig.until("refused", () => listener.proxyFailures.TIMEOUT === 2);
      await rig.until("closed", () => late.every(({ ended }) => ended));
      assert.deepEqual(recorder.events, []);
      const timely = rig.peer(listener).send(LINE);
      await rig.until("opened", () => recorder.events.length === 1);
      await rig.during(80);
      timely.send("x");
      await rig.until("received", () => recorder.received === "x");
      assert.deepEqual(listener.proxyFailures, { TIMEOUT: 2 });
    }),

    test("a connection that ends in its PROXY header is counted, one without a byte is not", async (rig) => {
      const recorder = new Recorder();
      const listener = rig.listen({ ...recorder.handlers, proxyProtocol: true });
      const silent = rig.peer(listener).shutdown();
      await rig.until("closed", () => silent.ended);
      assert.deepEqual(listener.proxyFailures, {});
      const half = rig.peer(listener).send("PROXY TCP4").shutdown();
      await rig.until("closed", () => half.ended);
      const reset = rig.peer(listener).send("PROXY TCP4");
      await rig.until("accepted", () => listener.connections === 1);
      reset.reset();
      await rig.until("forgotten", () => listener.connections === 0);
      assert.deepEqual(listener.proxyFailures, { ENDED: 1 });
      assert.deepEqual(recorder.events, []);
    }),

    test("nothing of a connection that was reset before it was accepted is served", async (rig) => {
      const recorder = new Recorder();
      const listener = rig.listen({ ...recorder.handlers, proxyProtocol: true });
      for (const bytes of ["", "PROXY TCP4", `${LINE}hello`, "GET / HTTP/1.1\r\n\r\n"]) {
        rig.peer(listener).send(bytes).reset();
      }
      const peer = rig.peer(listener).send(`${LINE}hello`);
      await rig.until("received", () => recorder.received === "hello");
      peer.close();
      await rig.until("forgotten", () => listener.connections === 0);
      assert.deepEqual(recorder.events.slice(1), ["data hello", "end", "close "]);
      assert.deepEqual(listener.proxyFailures, {});
    }),

    test("a PROXY header of a peer that is not trusted is data", async (rig) => {
      for (const trusted of [["192.0.2.0/24"], []]) {
        const recorder = new Recorder();
        const listener = rig.listen({ ...recorder.handlers, proxyProtocol: { trusted } });
        const peer = rig.peer(listener).send(LINE);
        await rig.until("received", () => recorder.received === LINE);
        assert.match(recorder.events[0] as string, /^open 127\.0\.0\.1:\d+ to 127\.0\.0\.1:\d+$/);
        assert.equal(recorder.headers[0], null);
        peer.close();
      }
    }),

    test("the addresses are the proxy's own if it knows none, or connects for itself", async (rig) => {
      const recorder = new Recorder();
      const listener = rig.listen({ ...recorder.handlers, proxyProtocol: true });
      const headers = [Buffer.from("PROXY UNKNOWN\r\n"), encodeProxyHeader({})];
      for (const header of headers) rig.peer(listener).send(header);
      await rig.until("opened", () => recorder.headers.length === 2);
      for (const event of recorder.events) assert.match(event, /^open 127\.0\.0\.1:\d+ to 127/);
      const commands = recorder.headers.map((header) => header?.command).sort();
      assert.deepEqual(commands, ["local", "proxy"]);
    }),

    test("bytes behind a PROXY header wait while open has paused the connection", async (rig) => {
      const recorder = new Recorder();
      const opened: Connection[] = [];
      const listener = rig.listen({
        ...recorder.handlers,
        proxyProtocol: true,
        open(connection) {
          opened.push(connection);
          connection.pause();
        },
      });
      const peer = rig.peer(listener).send(`${LINE}hello`);
      await rig.until("opened", () => opened.length === 1);
      const [connection] = opened as [Connection];
      peer.send(" world").shutdown();
      await rig.until("arrived", () => connection.unreadBytes === "hello world".length);
      assert.equal(recorder.received, "");
      connection.resume();
      connection.pause();
      await rig.step();
      assert.equal(recorder.received, "");
      connection.resume();
      await rig.until("received", () => recorder.events.at(-1) === "close ");
      assert.equal(recorder.received, "hello world");
      // Closed while bytes wait.
      const other = rig.peer(listener).send(`${LINE}hello`);
      await rig.until("opened", () => opened.length === 2);
      opened[1]?.resume();
      opened[1]?.destroy();
      await rig.until("closed", () => other.ended || other.error !== undefined);
    }),

    test("open may write, hand over or close before the bytes behind a PROXY header are passed on", async (rig) => {
      const next = new Recorder();
      const ways: ((connection: Connection) => void)[] = [
        (connection) => void connection.write("welcome"),
        (connection) => void connection.handOver(next.handlers),
        (connection) => connection.close(),
        (connection) => connection.destroy(),
      ];
      const recorder = new Recorder();
      let way = 0;
      const listener = rig.listen({
        ...recorder.handlers,
        zeroCopy: true,
        proxyProtocol: true,
        data: (connection, bytes) => void connection.write(bytes),
        open: (connection) => ways[way++]?.(connection),
      });
      const echoed = rig.peer(listener).send(`${LINE}hello`);
      await rig.until("echoed", () => echoed.text === "welcomehello");
      rig.peer(listener).send(`${LINE}hello`);
      await rig.until("handed over", () => next.received === "hello");
      for (let i = 0; i < 2; i++) {
        const closed = rig.peer(listener).send(`${LINE}hello`);
        await rig.until("closed", () => closed.ended || closed.error !== undefined);
      }
    }),

    test("a listener that stops waits half a second for a PROXY header", async (rig) => {
      const recorder = new Recorder();
      const listener = rig.listen({ ...recorder.handlers, proxyProtocol: { timeoutMs: 20_000 } });
      const [silent, slow] = [rig.peer(listener), rig.peer(listener).send("PROXY ")];
      await rig.until("accepted", () => listener.connections === 2);
      let stopped = false;
      void listener.stop(20_000).then(() => {
        stopped = true;
      });
      slow.send("UNKNOWN\r\n");
      await rig.until("notified", () => recorder.events.at(-1) === "stopping");
      slow.shutdown();
      await rig.until("stopped", () => stopped);
      await rig.until("closed", () => silent.ended);
    }),

    test("peers on a unix socket are trusted by default", async (rig) => {
      const folder = mkdtempSync(join(tmpdir(), "polloi-proxy-"));
      try {
        const recorder = new Recorder();
        const path = join(folder, "socket");
        const listener = rig.listen({ ...recorder.handlers, path, proxyProtocol: true });
        const header = encodeProxyHeader({
          source: { path: "/run/client" },
          destination: { path: "\0server" },
        });
        rig.peer(listener).send(Buffer.concat([header, Buffer.from("x")]));
        await rig.until("received", () => recorder.received === "x");
        assert.equal(recorder.events[0], "open /run/client to @server");
      } finally {
        rig.reactor.close();
        rmSync(folder, { recursive: true });
      }
    }),

    test(
      "a proxy may reach the listener by IPv6, for a client of IPv6 or of IPv4",
      async (rig) => {
        const recorder = new Recorder();
        const listener = rig.listen({ ...recorder.handlers, host: "::1", proxyProtocol: true });
        const source: SocketAddress = { address: "2001:db8::1", port: 1, family: AF_INET6 };
        const destination: SocketAddress = { address: "2001:db8::2", port: 2, family: AF_INET6 };
        for (const version of [1, 2] as const) {
          rig.peer(listener).send(encodeProxyHeader({ version, source, destination }));
        }
        rig.peer(listener).send(LINE);
        await rig.until("opened", () => recorder.events.length === 3);
        assert.deepEqual(recorder.events.sort(), [
          "open 192.0.2.1:56324 to 198.51.100.7:443",
          "open [2001:db8::1]:1 to [2001:db8::2]:2",
          "open [2001:db8::1]:1 to [2001:db8::2]:2",
        ]);
      },
      whyNoIPv6(),
    ),

    test("connect sends a PROXY header before everything else, and can pass one on", async (rig) => {
      const behind = new Recorder();
      const end = rig.listen({ ...behind.handlers, proxyProtocol: true });
      const forward = rig.listen({
        proxyProtocol: true,
        open(connection) {
          const to = rig.reactor.connect({
            host: "127.0.0.1",
            port: end.port,
            proxyProtocol: connection.proxyHeader ?? {},
          });
          connection.handOver({ data: (_, bytes) => void to.write(bytes), close: () => to.end() });
        },
      });
      const tlvs = [UNIQUE_ID];
      const first = rig.reactor.connect({
        host: "127.0.0.1",
        port: forward.port,
        proxyProtocol: { source: CLIENT, destination: SERVER, tlvs, overTls: true },
        error: () => {},
      });
      first.write("hello");
      first.end();
      await rig.until("received", () => behind.events.at(-1) === "close ");
      assert.equal(behind.received, "hello");
      assert.equal(behind.events[0], "open 192.0.2.1:56324 to 198.51.100.7:443");
      assert.equal(behind.headers[0]?.overTls, true);
      assert.deepEqual(behind.headers[0]?.tlvs[0], UNIQUE_ID);
      // The server may be the first to write.
      let greeting = "";
      const greets = rig.listen({
        proxyProtocol: true,
        open({ remoteAddress }) {
          greeting = shown(remoteAddress);
        },
      });
      rig.reactor.connect({
        host: "127.0.0.1",
        port: greets.port,
        proxyProtocol: { version: 1, source: CLIENT, destination: SERVER },
      });
      await rig.until("opened", () => greeting === "192.0.2.1:56324");
    }),

    test("an invalid PROXY option is refused", (rig) => {
      const wrong: readonly (readonly [unknown, RegExp])[] = [
        ["yes", /Cannot use "yes" as proxyProtocol: give true, or/],
        [["10.0.0.0/8"], /as proxyProtocol: give true, or/],
        [{ trusted: "10.0.0.0/8" }, /as trusted: give an array/],
        [{ trusted: ["10.0.0.1/8"] }, /the range is "10.0.0.0\/8"/],
        [{ timeoutMs: -1 }, /Cannot use -1 as timeoutMs/],
        [{ refused: 1 }, /Cannot use 1 as refused: give a function/],
        [{ timeout: 1 }, /Unknown option "timeout" of proxyProtocol; did you mean "timeoutMs"/],
      ];
      for (const [proxyProtocol, message] of wrong) {
        const options = { proxyProtocol } as Partial<ListenOptions>;
        assert.throws(() => rig.listen(options), { message });
      }
      const options = { port: 1, proxyProtocol: { version: 3 } } as object;
      assert.throws(() => rig.reactor.connect(options), { message: /give 1 or 2/ });
    }),
  ];
}
