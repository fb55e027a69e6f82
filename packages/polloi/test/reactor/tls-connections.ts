/** Connections with TLS: handshakes, failures, and what they have beyond other connections. */
import assert from "node:assert/strict";
import { makeCertificate } from "../../../../test/support/certificates.ts";
import type { Case } from "../../../../test/support/suite.ts";
import type { Connection, Listener, TlsClientOptions, TlsInfo } from "../../src/index.ts";
import { SO_RCVBUF, SO_SNDBUF, SOL_SOCKET } from "../../src/socket/constants.ts";
import { setIntOption } from "../../src/socket/raw.ts";
import { Socket } from "../../src/socket/socket.ts";
import { kernel } from "../../src/sys/open.ts";
import { CLIENT_HELLO, DATA, HANDSHAKE, KEY_UPDATE } from "../tls/forge.ts";
import { testCertificate, testRoot } from "../tls/pair.ts";
import { ForgingPeer } from "./forging-peer.ts";
import { assertSame, casesOf, failing, Peer, pattern, type Rig, type Variant } from "./rig.ts";

/** What happened to a connection. */
interface Outcome {
  readonly events: string[];
  info?: TlsInfo | null;
  error?: (Error & { code?: string; hint?: string }) | undefined;
  text: string;
}

/** Connects to `listener` with TLS. */
function connectTo(
  rig: Rig,
  listener: Listener,
  tls: boolean | TlsClientOptions = { ca: testRoot().cert },
  first = "",
): Outcome {
  const outcome: Outcome = { events: [], text: "" };
  const connection = rig.reactor.connect({
    host: "127.0.0.1",
    port: listener.port,
    tls,
    open: (it) => {
      outcome.events.push("open");
      outcome.info = it.tls;
    },
    data: (_, bytes) => {
      outcome.text += Buffer.from(bytes).toString();
    },
    error: (_, error) => {
      outcome.events.push("error");
      outcome.error = error;
    },
    close: () => void outcome.events.push("close"),
  });
  assert.equal(connection.state, "connecting");
  assert.equal(connection.tls, null);
  if (first !== "") connection.write(first);
  return outcome;
}

/** A peer without TLS. */
function rawPeer(rig: Rig, listener: Listener): Peer {
  const socket = new Socket(2, 1);
  assert.ok(listener.address !== null);
  socket.connect(listener.address);
  return rig.pump(new Peer(socket));
}

/** A peer that forges records. */
function forgingPeer(rig: Rig, listener: Listener, version: "TLSv1.2" | "TLSv1.3"): ForgingPeer {
  const socket = new Socket(2, 1);
  // Little fits into its buffer.
  socket.setsockopt(SOL_SOCKET, SO_RCVBUF, Uint8Array.from([0, 16, 0, 0]));
  assert.ok(listener.address !== null);
  socket.connect(listener.address);
  const peer = new ForgingPeer(socket, version);
  rig.pump(peer);
  return peer;
}

export function tlsConnectionCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  const noUncaught =
    variant.mode === "hosted" && kernel.runtime !== "node"
      ? `${kernel.runtime} handles uncaught exceptions in its own way`
      : undefined;
  return [
    test("a client and a server exchange bytes, and know the facts of the session", async (rig) => {
      let served: TlsInfo | null = null;
      const { cert, key } = testCertificate();
      const listener = rig.listen({
        tls: { cert, key, ALPNProtocols: ["echo"] },
        open: (it) => {
          served = it.tls;
        },
        data: (it, bytes) => it.end(bytes),
      });
      const tls = { ca: testRoot().cert, servername: "localhost", ALPNProtocols: ["echo"] };
      const outcome = connectTo(rig, listener, tls, "hello");
      await rig.until("closed", () => outcome.events.includes("close"));
      assert.deepEqual(outcome.events, ["open", "close"]);
      assert.equal(outcome.text, "hello");
      const { protocol, alpnProtocol, authorized } = outcome.info as TlsInfo;
      assert.deepEqual([protocol, alpnProtocol, authorized], ["TLSv1.3", "echo", true]);
      const info = served as TlsInfo | null;
      assert.deepEqual([info?.servername, info?.authorized], ["localhost", false]);
    }),
    test("large transfers in both directions at once arrive unchanged", async (rig) => {
      const sent = pattern(3_000_000, 3);
      const back = pattern(2_500_000, 4);
      const got: Uint8Array[] = [];
      const gotBack: Uint8Array[] = [];
      const listener = rig.listen({
        open: (it) => void it.write(back),
        data: (_, bytes) => void got.push(bytes),
        end: (it) => it.end(),
      });
      let closed = false;
      rig.reactor.connect({
        host: "127.0.0.1",
        port: listener.port,
        tls: { ca: testRoot().cert },
        open: (it) => it.end(sent),
        data: (_, bytes) => void gotBack.push(bytes),
        close: (_, error) => {
          assert.ifError(error);
          closed = true;
        },
      });
      await rig.until("closed", () => closed);
      assertSame(Buffer.concat(got), sent);
      assertSame(Buffer.concat(gotBack), back);
    }),
    test("a server whose certificate is not accepted is not talked to", async (rig) => {
      let opened = 0;
      const errors: string[] = [];
      const { cert, key } = makeCertificate({ issuer: testRoot(), addresses: ["127.0.0.9"] });
      const handshakeError = (error: Error & { code?: string }) =>
        void errors.push(`${error.code}`);
      const listener = rig.listen({
        tls: { cert, key, handshakeError },
        open: () => void opened++,
        error: () => assert.fail("no handler may be called"),
        close: () => assert.fail("no handler may be called"),
      });
      const outcome = connectTo(rig, listener, undefined, "secret");
      await rig.until("closed", () => outcome.events.includes("close") && errors.length > 0);
      assert.deepEqual(outcome.events, ["error", "close"]);
      assert.equal(outcome.error?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
      assert.match(outcome.error.message, /not for 127\.0\.0\.1/);
      assert.match(String(errors[0]), /ALERT/);
      await rig.until("gone", () => listener.connections === 0);
      assert.equal(opened, 0);
    }),
    test(
      "a failed handshake without handlers for it fails the process",
      async (rig) => {
        const listener = rig.listen({});
        const error = await failing(rig, async () => {
          rig.reactor.connect({ host: "127.0.0.1", port: listener.port, tls: true });
          if (variant.mode === "blocking") await rig.until("failed", () => false);
        });
        assert.equal((error as { code?: string }).code, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
        await rig.until("gone", () => listener.connections === 0);
      },
      noUncaught,
    ),
    test("plain HTTP to a port with TLS is answered with 400", async (rig) => {
      const errors: Error[] = [];
      const { cert, key } = testCertificate();
      const listener = rig.listen({
        tls: { cert, key, handshakeError: (error) => void errors.push(error) },
        close: () => assert.fail("no handler may be called"),
      });
      const peer = rawPeer(rig, listener).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      await rig.until("answered", () => peer.ended);
      assert.match(peer.text, /^HTTP\/1\.1 400 .*This port requires TLS: use https instead$/s);
      assert.match(peer.text, /Content-Length: 41\r\n/);
      assert.equal(errors.length, 1);
      peer.close();
      await rig.until("gone", () => listener.connections === 0);
    }),
    test("garbage is answered with an alert, and other connections continue", async (rig) => {
      const listener = rig.listen({ data: (it, bytes) => void it.write(bytes) });
      const good = rig.peer(listener).send("a");
      for (const bytes of [pattern(10, 1), pattern(3_000, 2), new Uint8Array(5)]) {
        bytes[0] = 0x80;
        const bad = rawPeer(rig, listener).send(bytes).shutdown();
        await rig.until("ended", () => bad.ended || bad.error !== undefined);
        bad.close();
      }
      await rig.until("echoed", () => good.text === "a");
      good.send("b");
      await rig.until("echoed", () => good.text === "ab");
    }),
    test("a stream that ends without close_notify fails the connection", async (rig) => {
      const errors: string[] = [];
      let opened: Connection | undefined;
      const listener = rig.listen({
        open: (it) => {
          opened = it;
        },
        end: () => assert.fail("it has not ended"),
        error: (_, error) => void errors.push((error as { code?: string }).code ?? ""),
      });
      const peer = rig.peer(listener);
      await rig.until("open", () => opened !== undefined);
      peer.socket.shutdown(1);
      await rig.until("closed", () => listener.connections === 0);
      assert.deepEqual(errors, ["ERR_TLS_TRUNCATED"]);
    }),
    test("handshakes that take too long, and the oldest of too many, are ended", async (rig) => {
      const codes: (string | undefined)[] = [];
      const { cert, key } = testCertificate();
      const handshakeError = (error: Error & { code?: string }) => void codes.push(error.code);
      const listener = rig.listen({
        tls: { cert, key, maxHandshakes: 2, handshakeTimeoutMs: 8000, handshakeError },
        data: (it, bytes) => it.write(bytes),
      });
      const idle = [rawPeer(rig, listener), rawPeer(rig, listener)];
      await rig.until("accepted", () => listener.connections === 2);
      const peer = rig.peer(listener).send("x");
      await rig.until("echoed", () => peer.text === "x");
      assert.deepEqual(codes, ["ERR_TLS_TOO_MANY_HANDSHAKES"]);
      await rig.until("ended", () => idle[0]?.ended === true);
      listener.setTls({ cert, key, handshakeTimeoutMs: 30, handshakeError });
      const late = rawPeer(rig, listener);
      await rig.until("ended", () => late.ended);
      assert.equal(codes[1], "ERR_TLS_HANDSHAKE_TIMEOUT");
      assert.ok(!idle[1]?.ended);
    }),
    test("a new certificate serves new connections, and handshakes in progress continue", async (rig) => {
      const listener = rig.listen({ data: (it, bytes) => it.write(bytes) });
      const before = rig.peer(listener).send("a");
      await rig.until("echoed", () => before.text === "a");
      const begun = rig.peer(listener).send("b");
      await rig.until("accepted", () => listener.connections === 2);
      const other = makeCertificate({ commonName: "other" });
      listener.setTls({ cert: other.cert, key: other.key });
      assert.throws(() => listener.setTls({ cert: other.cert, key: testCertificate().key }), {
        message: /is not the key of tls\.cert/,
      });
      await rig.until("echoed", () => begun.text === "b");
      before.send("c");
      await rig.until("echoed", () => before.text === "ac");
      const outcome = connectTo(rig, listener, { ca: other.cert }, "d");
      await rig.until("echoed", () => outcome.text === "d");
    }),
    test("a session is resumed", async (rig) => {
      const listener = rig.listen({ data: (it, bytes) => it.end(bytes) });
      const options = { ca: testRoot().cert };
      let session: Uint8Array | null = null;
      let resumed = 0;
      for (let round = 0; round < 2; round++) {
        let closed = false;
        const tls = session === null ? options : { ...options, session };
        const connection = rig.reactor.connect({
          host: "127.0.0.1",
          port: listener.port,
          tls,
          data: (it) => {
            session = it.tls?.session() ?? null;
            if (it.tls?.resumed) resumed++;
          },
          close: () => {
            closed = true;
          },
        });
        connection.write("x");
        await rig.until("closed", () => closed);
      }
      assert.equal(resumed, 1);
    }),
    test("data that arrives with the end of a handshake waits while the connection is paused", async (rig) => {
      const listener = rig.listen({ open: (it) => it.write("early") });
      let text = "";
      const connection = rig.reactor.connect({
        host: "127.0.0.1",
        port: listener.port,
        tls: { ca: testRoot().cert, maxVersion: "TLSv1.2" },
        data: (_, bytes) => {
          text += Buffer.from(bytes).toString();
        },
      });
      connection.pause();
      await rig.until("open", () => connection.state === "open");
      await rig.during(5);
      assert.equal(text, "");
      connection.resume();
      await rig.until("received", () => text === "early");
      connection.destroy();
    }),
    test("a connection that is closed during its handshake is gone", async (rig) => {
      // It accepts, and never answers.
      const listener = rig.reactor.listen({ host: "127.0.0.1", port: 0 });
      for (const end of ["destroy", "close", "reset"] as const) {
        let closed = 0;
        const connection = rig.reactor.connect({
          host: "127.0.0.1",
          port: listener.port,
          tls: { ca: testRoot().cert },
          open: () => assert.fail("it was closed before"),
          close: () => void closed++,
        });
        await rig.until("accepted", () => listener.connections === 1);
        assert.equal(connection.state, "connecting");
        connection[end]();
        assert.equal(closed, 1);
        await rig.until("gone", () => listener.connections === 0);
      }
    }),
    test("stop ends handshakes, and connections that have one", async (rig) => {
      const listener = rig.listen({ data: (it, bytes) => void it.write(bytes) });
      const peer = rig.peer(listener).send("a");
      await rig.until("echoed", () => peer.text === "a");
      const silent = rawPeer(rig, listener);
      await rig.until("accepted", () => listener.connections === 2);
      let stopped = false;
      listener.stop().then(() => {
        stopped = true;
      });
      await rig.until("ended", () => peer.ended && silent.ended);
      assert.equal(peer.error, undefined);
      peer.shutdown();
      await rig.until("stopped", () => stopped);
    }),
    test("a PROXY header comes before the handshake", async (rig) => {
      let remote: string | undefined;
      const { cert, key } = testCertificate();
      const listener = rig.listen({
        proxyProtocol: true,
        tls: { cert, key },
        data: (it, bytes) => {
          remote = it.remoteAddress?.address;
          it.end(bytes);
        },
      });
      let text = "";
      let closed = false;
      rig.reactor.connect({
        host: "127.0.0.1",
        port: listener.port,
        tls: { ca: testRoot().cert },
        proxyProtocol: {
          source: { address: "192.0.2.7", port: 1 },
          destination: { address: "192.0.2.8", port: 2 },
        },
        open: (it) => void it.write("x"),
        data: (_, bytes) => {
          text += Buffer.from(bytes).toString();
        },
        close: () => {
          closed = true;
        },
      });
      await rig.until("closed", () => closed);
      assert.deepEqual([text, remote], ["x", "192.0.2.7"]);
    }),
    test("a message of the handshake in parts delays what is written, also while the connection is paused", async (rig) => {
      for (const way of ["open", "paused", "ended", "closed"] as const) {
        let served: Connection | undefined;
        const listener = rig.listen({
          // Behind these bytes in the same segment is a part of a message.
          data: (it) => {
            served = it;
            it.write("one");
            if (way === "paused") it.pause();
            if (way === "ended") it.end();
            if (way === "closed") it.close();
          },
        });
        const peer = forgingPeer(rig, listener, "TLSv1.3");
        await rig.until("open", () => peer.isOpen);
        peer.forge([DATA, Uint8Array.from([1])], [HANDSHAKE, KEY_UPDATE.subarray(0, 4)]);
        await rig.until("received", () => served !== undefined);
        await rig.during(5);
        assert.equal(peer.text, "", way);
        peer.forge([HANDSHAKE, KEY_UPDATE.subarray(4)]);
        await rig.until(`${way}: sent`, () => peer.text === "one");
        served?.resume();
        peer.close();
        await rig.until("gone", () => listener.connections === 0);
      }
    }),
    test("a peer that demands answers and reads none is ended", async (rig) => {
      const codes: (string | undefined)[] = [];
      const listener = rig.listen({
        open: (it) => void setIntOption(kernel, it.fileno(), SOL_SOCKET, SO_SNDBUF, 4096),
        error: (_, error) => void codes.push((error as { code?: string }).code),
      });
      const peer = forgingPeer(rig, listener, "TLSv1.2");
      await rig.until("open", () => peer.isOpen);
      peer.reading = false;
      const flood = Array.from({ length: 1000 }, () => [HANDSHAKE, CLIENT_HELLO] as const);
      await rig.until("ended", () => {
        if (!peer.sending && peer.error === undefined) peer.forge(...flood);
        return codes.length > 0;
      });
      assert.deepEqual(codes, ["ERR_TLS_SESSION_ATTACK"]);
    }),
    test("a message that is not valid ends its connection, and no other one", async (rig) => {
      const codes: (string | undefined)[] = [];
      const listener = rig.listen({
        data: (it, bytes) => it.write(bytes),
        error: (_, error) => void codes.push((error as { code?: string }).code),
      });
      const good = rig.peer(listener).send("a");
      await rig.until("echoed", () => good.text === "a");
      const bad = forgingPeer(rig, listener, "TLSv1.3");
      await rig.until("open", () => bad.isOpen);
      bad.forge(
        [HANDSHAKE, KEY_UPDATE.subarray(0, 4)],
        [DATA, pattern(9000, 1)],
        [DATA, pattern(9, 1)],
      );
      await rig.until("ended", () => codes.length > 0);
      assert.match(String(codes[0]), /^ERR_SSL_/);
      good.send("b");
      await rig.until("echoed", () => good.text === "ab");
      assert.equal(codes.length, 1);
    }),
    test("a reset during a handshake is reported", async (rig) => {
      const codes: (string | undefined)[] = [];
      const { cert, key } = testCertificate();
      const listener = rig.listen({
        tls: {
          cert,
          key,
          handshakeError: (error: Error & { code?: string }) => void codes.push(error.code),
        },
        close: () => assert.fail("no handler may be called"),
      });
      // The header of a record, which announces more.
      const peer = rawPeer(rig, listener).send(Uint8Array.from([22, 3, 1, 1, 0, 1]));
      await rig.until("accepted", () => listener.connections === 1);
      await rig.during(5);
      peer.reset();
      await rig.until("gone", () => listener.connections === 0);
      assert.deepEqual(codes, ["ECONNRESET"]);
      const hasty = rawPeer(rig, listener);
      hasty.reset();
      const other = rig.peer(listener);
      await rig.until("accepted", () => listener.connections === 1);
      other.close();
      await rig.until("gone", () => listener.connections === 0);
    }),
    test("keylog may close everything", async (rig) => {
      const { cert, key } = testCertificate();
      let lines = 0;
      const listener = rig.listen({
        tls: {
          cert,
          key,
          keylog: () => {
            lines++;
            for (const connection of open.splice(0)) connection.destroy();
            listener.close();
          },
        },
      });
      const open = [1, 2].map(() =>
        rig.reactor.connect({ host: "127.0.0.1", port: listener.port, tls: true }),
      );
      await rig.until("closed", () => lines > 0 && listener.connections === 0);
      assert.deepEqual(open, []);
    }),
    test("invalid settings are refused before anything is opened", (rig) => {
      const { cert, key } = testCertificate();
      assert.throws(() => rig.listen({ tls: 1 as never }), {
        message: "Cannot use 1 as tls: give an object, such as { cert, key }",
      });
      assert.throws(() => rig.listen({ tls: {} }), { message: /give tls\.cert/ });
      assert.throws(() => rig.reactor.connect({ port: 1, tls: "yes" as never }), {
        message: /"yes" as tls/,
      });
      const session = new Uint8Array(3);
      assert.throws(() => rig.reactor.connect({ port: 1, tls: { session } }), {
        code: "ERR_INVALID_OPTION",
      });
      assert.throws(() => rig.reactor.connect({ port: -1, tls: true }), {
        code: "ERR_INVALID_PORT",
      });
      const plain = rig.reactor.listen({ host: "127.0.0.1", port: 0 });
      assert.throws(() => plain.setTls({ cert, key }), { code: "ERR_UNSUPPORTED" });
      plain.close();
      assert.throws(() => plain.setTls({ cert, key }), { code: "ERR_CLOSED" });
    }),
  ];
}
