import assert from "node:assert/strict";
import { pid } from "node:process";
import type { Suite } from "../../../../test/support/suite.ts";
import {
  AF_UNIX,
  type AncillaryMessage,
  ancillaryLength,
  ancillarySpace,
  IP_RECVTTL,
  IP_TTL,
  IPPROTO_IP,
  MSG_CTRUNC,
  receiveFds,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  Socket,
  sendFds,
} from "../../src/socket/index.ts";
import { LOOPBACK, Opened, openedSince, openSockets, pattern, text } from "./opened.ts";

/** Closes received descriptors. @returns Their number. */
function closeAll(messages: readonly AncillaryMessage[]): number {
  const fds = messages.flatMap((message) => ("fds" in message ? message.fds : []));
  for (const fd of fds) Socket.fromFd(fd).close();
  return fds.length;
}

export const messages: Suite = {
  title: "messages and ancillary data",
  cases: [
    {
      name: "sendMsg sends its buffers in order",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        const sent = a.sendMsg(["ab", Uint8Array.of(99), new Uint8Array(0), "def"]);
        assert.equal(sent, 6);
        const message = b.recvMsg(100);
        assert.equal(text(message?.bytes), "abcdef");
        assert.deepEqual([message?.ancillary, message?.flags], [[], 0]);
        assert.equal(a.sendMsg([]), 0);
      },
    },
    {
      name: "sendMsg on a stream sends the beginning of what does not fit",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair(SOCK_STREAM | SOCK_NONBLOCK);
        const data = pattern(3 << 20);
        const parts = [data.subarray(0, 100), data.subarray(100, 2 << 20), data.subarray(2 << 20)];
        const sent = a.sendMsg(parts) as number;
        assert.ok(sent > 0 && sent < data.length);
        const back: Uint8Array[] = [];
        for (let bytes = b.recv(1 << 20); bytes !== null; bytes = b.recv(1 << 20)) back.push(bytes);
        assert.ok(Buffer.compare(Buffer.concat(back), data.subarray(0, sent)) === 0);
      },
    },
    {
      name: "sendMsg sends to an address, and recvMsg reports the sender",
      run() {
        using opened = new Opened();
        const [a, b] = [opened.socket(2, SOCK_DGRAM), opened.socket(2, SOCK_DGRAM)];
        a.bind({ address: LOOPBACK, port: 0 });
        b.bind({ address: LOOPBACK, port: 0 });
        a.sendMsg(["to ", "you"], [], 0, b.localAddress());
        const message = b.recvMsg(100);
        assert.equal(text(message?.bytes), "to you");
        assert.deepEqual(message?.address, a.localAddress());
      },
    },
    {
      name: "a descriptor that is passed arrives as a new one for the same open file",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        const [x, y] = opened.pair();
        assert.equal(sendFds(a, "take this", [x]), 9);
        x.close();
        const got = receiveFds(b, 100, 4);
        assert.equal(text(got?.bytes), "take this");
        assert.equal(got?.truncated, false);
        assert.equal(got?.fds.length, 1);
        const received = opened.own(Socket.fromFd(got?.fds[0] as number));
        assert.equal(received.isInheritable(), false);
        received.sendAll("through it");
        assert.equal(text(y.recv(100)), "through it");
      },
    },
    {
      name: "up to 253 descriptors arrive in order; more are refused",
      run() {
        using opened = new Opened();
        const before = openSockets();
        const [a, b] = opened.pair();
        const many = Array.from({ length: 253 }, (_, i) => (i % 2 === 0 ? a : b));
        sendFds(a, "x", many);
        const got = receiveFds(b, 1);
        assert.equal(got?.fds.length, 253);
        closeAll([{ fds: got?.fds ?? [] }]);
        assert.throws(() => sendFds(a, "x", [...many, a]), {
          code: "ERR_INVALID_LENGTH",
          message: /254.*253/,
        });
        assert.throws(() => sendFds(a, "", [a]), { code: "ERR_INVALID_LENGTH" });
        assert.throws(() => sendFds(a, "x", [-1]), { code: "ERR_INVALID_FD" });
        assert.throws(() => sendFds(a, "x", [1_000_000]), { code: "EBADF" });
        a.close();
        b.close();
        assert.deepEqual(openedSince(before), []);
      },
    },
    {
      name: "at most maxFds descriptors arrive, truncation is reported, and nothing leaks",
      run() {
        for (const maxFds of [0, 1, 2, 3, 4]) {
          using opened = new Opened();
          const [a, b] = opened.pair();
          const before = openSockets();
          sendFds(a, "x", [a, a, a, a, a]);
          const got = receiveFds(b, 10, maxFds);
          assert.equal(got?.fds.length, maxFds);
          assert.equal(got?.truncated, true);
          assert.equal(openSockets().length, before.length + maxFds);
          closeAll([{ fds: got?.fds ?? [] }]);
          assert.deepEqual(openSockets(), before, `maxFds ${maxFds}`);
        }
      },
    },
    {
      name: "with a control buffer of any size, the result has every descriptor that arrived",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        const before = openSockets();
        for (let room = 0; room <= ancillarySpace(4 * 3) + 1; room++) {
          sendFds(a, "x", [a, b, a]);
          const message = b.recvMsg(10, room);
          const arrived = openSockets().length - before.length;
          assert.equal(closeAll(message?.ancillary ?? []), arrived, `room for ${room} bytes`);
          const cut = room < ancillaryLength(4 * 3);
          assert.equal(((message?.flags ?? 0) & MSG_CTRUNC) !== 0, cut, `room for ${room} bytes`);
          assert.deepEqual(openSockets(), before, `room for ${room} bytes`);
        }
      },
    },
    {
      name: "descriptors that were not requested are not left open",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        const before = openSockets();
        sendFds(a, "x", [a, b]);
        assert.equal(text(b.recv(10)), "x");
        sendFds(a, "y", [a, b]);
        assert.equal(text(b.recvMsg(10)?.bytes), "y");
        assert.deepEqual(openedSince(before), []);
      },
    },
    {
      name: "receiveFds on a non-blocking socket without a message is null",
      run() {
        using opened = new Opened();
        const [a] = opened.pair(SOCK_STREAM | SOCK_NONBLOCK);
        assert.equal(receiveFds(a, 10, 3), null);
        assert.throws(() => receiveFds(a, 10, 254), { code: "ERR_INVALID_LENGTH" });
        assert.throws(() => receiveFds(a, 10, -1), { code: "ERR_INVALID_LENGTH" });
      },
    },
    {
      name: "credentials arrive with a message if requested, together with descriptors",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        b.options.passCredentials = true;
        const own = a.options.peerCredentials;
        assert.equal(own.pid, pid);
        a.sendMsg(["x"], [{ credentials: own }, { fds: [a.fileno()] }]);
        const ancillary = b.recvMsg(10, 200)?.ancillary ?? [];
        const credentials = ancillary.filter((message) => "credentials" in message);
        assert.deepEqual(credentials, [{ credentials: own }]);
        assert.equal(closeAll(ancillary), 1);
      },
    },
    {
      name: "unknown ancillary data is returned as bytes",
      run() {
        using opened = new Opened();
        const [a, b] = [opened.socket(2, SOCK_DGRAM), opened.socket(2, SOCK_DGRAM)];
        b.bind({ address: LOOPBACK, port: 0 });
        b.setsockopt(IPPROTO_IP, IP_RECVTTL, 1);
        a.options.ttl = 33;
        a.sendTo("x", b.localAddress());
        const ancillary = b.recvMsg(10, 100)?.ancillary;
        const data = Uint8Array.of(33, 0, 0, 0);
        assert.deepEqual(ancillary, [{ level: IPPROTO_IP, type: IP_TTL, data }]);
        // When sent, it applies to this message only.
        const raw = { level: IPPROTO_IP, type: IP_TTL, data: Uint8Array.of(44, 0, 0, 0) };
        a.sendMsg(["x"], [raw], 0, b.localAddress());
        assert.deepEqual(b.recvMsg(10, 100)?.ancillary, [raw]);
        const wrong = [{ level: 1, type: 1, data: 5 as unknown as Uint8Array }];
        assert.throws(() => a.sendMsg(["x"], wrong), { code: "ERR_INVALID_OPTION" });
      },
    },
    {
      name: "datagrams pass descriptors too, also without any bytes",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair(SOCK_DGRAM);
        assert.equal(a.family, AF_UNIX);
        assert.equal(sendFds(a, "", [a]), 0);
        const got = receiveFds(b, 10, 1);
        assert.equal(got?.bytes.length, 0);
        assert.equal(closeAll([{ fds: got?.fds ?? [] }]), 1);
      },
    },
  ],
};
