import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import {
  AF_UNIX,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
} from "../../src/socket/index.ts";
import { abstractName, LOOPBACK, Opened, pattern, text } from "./opened.ts";

/** Runs `call`, which must throw ETIMEDOUT no earlier than after `ms`. */
function assertTimesOut(call: () => unknown, ms: number, syscall: string): void {
  const start = performance.now();
  assert.throws(call, { name: "SysError", code: "ETIMEDOUT", syscall });
  const elapsed = performance.now() - start;
  assert.ok(elapsed >= ms, `it gave up after ${elapsed} of ${ms} ms`);
}

export const transfer: Suite = {
  title: "receiving, sending and waiting",
  cases: [
    {
      name: "non-blocking calls that would block return null",
      run() {
        using opened = new Opened();
        const listener = opened.server({ nonBlocking: true });
        assert.equal(listener.accept(), null);
        const [a] = opened.pair(SOCK_STREAM | SOCK_NONBLOCK);
        assert.equal(a.recv(10), null);
        assert.equal(a.recvInto(new Uint8Array(10)), null);
        assert.equal(a.recvFrom(10), null);
        assert.equal(a.recvFromInto(new Uint8Array(10)), null);
        assert.equal(a.recvMsg(10, 10), null);
        while (a.send(pattern(65_536)) !== null);
        assert.equal(a.sendMsg(["x"]), null);
        const [datagrams] = opened.pair(SOCK_DGRAM | SOCK_NONBLOCK);
        while (datagrams.send(pattern(1000)) !== null);
        assert.equal(datagrams.sendMsg(["x"]), null);
      },
    },
    {
      name: "a call with MSG_DONTWAIT that would block returns null at once, also on blocking sockets and with a timeout",
      run() {
        using opened = new Opened();
        const [a] = opened.pair();
        assert.equal(a.recv(10, MSG_DONTWAIT), null);
        a.setTimeout(60_000);
        assert.equal(a.recv(10, MSG_DONTWAIT), null);
      },
    },
    {
      name: "with a timeout every call that would block throws ETIMEDOUT, never early",
      run() {
        using opened = new Opened();
        const [a] = opened.pair();
        a.setTimeout(15);
        assertTimesOut(() => a.recv(1), 15, "recv");
        assertTimesOut(() => a.recvFrom(1), 15, "recvfrom");
        assertTimesOut(() => a.recvMsg(1), 15, "recvmsg");
        assertTimesOut(() => a.sendAll(pattern(8 << 20)), 15, "send");
        assertTimesOut(() => a.send("x"), 15, "send");
        const listener = opened.server();
        listener.setTimeout(0.5);
        assertTimesOut(() => listener.accept(), 0.5, "accept");
      },
    },
    {
      name: "with a timeout a call that would not block returns at once, and does not change the timeout",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        a.setTimeout(5000);
        b.setTimeout(5000);
        a.sendAll("ready");
        assert.equal(text(b.recv(100)), "ready");
        assert.equal(b.getTimeout(), 5000);
      },
    },
    {
      name: "any number of bytes arrives unchanged and in order, through partial sends",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair(SOCK_STREAM | SOCK_NONBLOCK);
        const data = pattern(3 * 1024 * 1024 + 17);
        const back = new Uint8Array(data.length);
        let sent = 0;
        let received = 0;
        let partial = 0;
        while (received < data.length) {
          const went = sent < data.length ? a.send(data.subarray(sent)) : null;
          if (went !== null && went < data.length - sent) partial += 1;
          sent += went ?? 0;
          for (;;) {
            const bytes = b.recv(100_000);
            if (bytes === null) break;
            back.set(bytes, received);
            received += bytes.length;
          }
        }
        assert.ok(partial > 0, "no send was partial");
        assert.ok(Buffer.compare(back, data) === 0);
        assert.equal(b.recv(1), null);
      },
    },
    {
      name: "recvInto writes only within the given buffer",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        const memory = new Uint8Array(20).fill(0xaa);
        a.sendAll("0123456789");
        assert.equal(b.recvInto(memory.subarray(5, 9)), 4);
        assert.equal(text(memory.subarray(5, 9)), "0123");
        assert.ok(memory.subarray(0, 5).every((byte) => byte === 0xaa));
        assert.ok(memory.subarray(9).every((byte) => byte === 0xaa));
        assert.equal(b.recvInto(memory.subarray(0, 20)), 6);
        a.close();
        assert.equal(b.recvInto(memory), 0);
      },
    },
    {
      name: "received bytes belong to the caller: the next receive does not change them",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        a.sendAll("first");
        const first = b.recv(100);
        a.sendAll("other");
        assert.equal(text(b.recv(100)), "other");
        assert.equal(text(first), "first");
      },
    },
    {
      name: "MSG_PEEK leaves the bytes, MSG_WAITALL waits for all of them",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        a.sendAll("abcdef");
        assert.equal(text(b.recv(3, MSG_PEEK)), "abc");
        assert.equal(text(b.recv(6, MSG_WAITALL)), "abcdef");
      },
    },
    {
      name: "a datagram longer than the buffer is truncated, and MSG_TRUNC returns its length",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair(SOCK_DGRAM);
        a.send("0123456789");
        assert.equal(text(b.recv(4)), "0123");
        a.send("0123456789");
        const memory = new Uint8Array(4);
        assert.equal(b.recvInto(memory, MSG_TRUNC), 10);
        assert.equal(text(memory), "0123");
        a.send("0123456789");
        assert.equal(text(b.recv(4, MSG_TRUNC)), "0123");
        a.send("0123456789");
        const message = b.recvMsg(4);
        assert.equal(text(message?.bytes), "0123");
        assert.equal(message?.flags, MSG_TRUNC);
      },
    },
    {
      name: "datagrams of any size arrive whole, and keep their boundaries",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair(SOCK_DGRAM);
        const large = pattern(150_000);
        a.send(large);
        a.send("");
        a.send("small");
        assert.deepEqual(b.recv(2 * 1024 * 1024), large);
        assert.equal(b.recv(10)?.length, 0);
        assert.equal(text(b.recv(10)), "small");
        assert.throws(() => a.send(pattern(4 << 20)), { code: "EMSGSIZE" });
      },
    },
    {
      name: "UDP: recvFrom and recvFromInto return the sender's address, to which an answer can be sent",
      run() {
        using opened = new Opened();
        const server = opened.socket(undefined, SOCK_DGRAM);
        server.bind({ address: LOOPBACK, port: 0 });
        const client = opened.socket(undefined, SOCK_DGRAM);
        client.bind({ address: LOOPBACK, port: 0 });
        assert.equal(client.sendTo("ping", server.localAddress()), 4);
        const got = server.recvFrom(100);
        assert.equal(text(got?.bytes), "ping");
        assert.deepEqual(got?.address, client.localAddress());
        server.sendTo("pong", client.localAddress());
        const memory = new Uint8Array(10);
        const answer = client.recvFromInto(memory);
        assert.deepEqual(answer, { length: 4, address: server.localAddress() });
        assert.equal(text(memory.subarray(0, 4)), "pong");
      },
    },
    {
      name: "recvFrom on a TCP connection has no sender",
      run() {
        using opened = new Opened();
        const [client, server] = opened.connection();
        client.sendAll("x");
        assert.deepEqual(server.recvFrom(10), { bytes: Uint8Array.of(120), address: null });
      },
    },
    {
      name: "unix datagrams have the sender's path; an unnamed sender has an empty one",
      run() {
        using opened = new Opened();
        const path = abstractName();
        const server = opened.socket(AF_UNIX, SOCK_DGRAM);
        server.bind({ path });
        const named = opened.socket(AF_UNIX, SOCK_DGRAM);
        named.bind({ path: "" });
        const unnamed = opened.socket(AF_UNIX, SOCK_DGRAM);
        named.sendTo("1", { path });
        unnamed.sendTo("2", { path });
        const first = server.recvFrom(10)?.address?.path;
        assert.ok(typeof first === "string" && first.startsWith("\0"), "autobound");
        assert.deepEqual(server.recvFrom(10)?.address, { path: "" });
      },
    },
    {
      name: "sendAll on a non-blocking socket is misuse, with a message that names the alternative",
      run() {
        using opened = new Opened();
        const [a] = opened.pair(SOCK_STREAM | SOCK_NONBLOCK);
        assert.throws(() => a.sendAll("x"), { code: "ERR_BLOCKING", message: /use send\(\)/ });
      },
    },
    {
      name: "invalid lengths and invalid bytes are refused, with a message that shows them",
      run() {
        using opened = new Opened();
        const [a] = opened.pair();
        for (const length of [-1, 1.5, Number.NaN, 2 ** 31, "9" as unknown as number]) {
          assert.throws(() => a.recv(length), { code: "ERR_INVALID_LENGTH" });
          assert.throws(() => a.recvMsg(1, length), { code: "ERR_INVALID_LENGTH" });
        }
        assert.throws(() => a.send([1, 2] as unknown as Uint8Array), { code: "ERR_INVALID_DATA" });
        const view = new DataView(new ArrayBuffer(1)) as unknown as Uint8Array;
        assert.throws(() => a.recvInto(view), { code: "ERR_INVALID_DATA" });
      },
    },
    {
      name: "a reset by the peer throws ECONNRESET, with the call and the descriptor",
      run() {
        using opened = new Opened();
        const [client, server] = opened.connection();
        client.options.lingerSeconds = 0;
        client.close();
        const expected = { code: "ECONNRESET", syscall: "recv", errno: -ERRNO.ECONNRESET };
        assert.throws(() => server.recv(10), { ...expected, fd: server.fileno() });
      },
    },
  ],
};
