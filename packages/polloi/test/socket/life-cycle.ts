import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Suite } from "../../../../test/support/suite.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  createServer,
  IPPROTO_TCP,
  SHUT_WR,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
  Socket,
} from "../../src/socket/index.ts";
import { whyNoIPv6 } from "../support/ipv6.ts";
import { abstractName, accepted, LOOPBACK, Opened, openSockets, text } from "./opened.ts";

export const lifeCycle: Suite = {
  title: "a socket's life",
  cases: [
    {
      name: "close is idempotent, closes the descriptor and sets fileno to -1",
      run() {
        const before = openSockets();
        const socket = new Socket();
        const fd = socket.fileno();
        assert.ok(openSockets().includes(fd));
        assert.equal(socket.closed, false);
        socket.close();
        socket.close();
        socket[Symbol.dispose]();
        assert.deepEqual([socket.fileno(), socket.closed], [-1, true]);
        // The runtime may close sockets of its own meanwhile.
        const left = openSockets().filter((open) => open === fd || !before.includes(open));
        assert.deepEqual(left, []);
      },
    },
    {
      name: "a server on a path removes its file when it is closed, but not when it is detached",
      run() {
        const folder = mkdtempSync(join(tmpdir(), "polloi-unix-"));
        const path = join(folder, "socket");
        try {
          createServer({ path }).close();
          assert.equal(existsSync(path), false);
          const server = createServer({ address: { path } });
          const adopted = Socket.fromFd(server.detach());
          adopted.close();
          assert.equal(existsSync(path), true);
          assert.throws(() => createServer({ path }), {
            code: "EADDRINUSE",
            hint: /nothing listens/,
          });
          createServer({ path: `\0${path}` }).close();
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
    },
    {
      name: "the error of an operation after close names the operation and says that the socket is closed",
      run() {
        const socket = new Socket();
        socket.close();
        const address = { address: LOOPBACK, port: 1 };
        const operations: Record<string, () => unknown> = {
          bind: () => socket.bind(address),
          listen: () => socket.listen(),
          accept: () => socket.accept(),
          connect: () => socket.connectEx(address),
          recv: () => socket.recv(1),
          recvfrom: () => socket.recvFromInto(new Uint8Array(1)),
          recvmsg: () => socket.recvMsg(1),
          send: () => socket.send("x"),
          sendAll: () => socket.sendAll("x"),
          sendto: () => socket.sendTo("x", address),
          sendmsg: () => socket.sendMsg(["x"]),
          shutdown: () => socket.shutdown(),
          detach: () => socket.detach(),
          dup: () => socket.dup(),
          getsockname: () => socket.localAddress(),
          getpeername: () => socket.remoteAddress(),
          setTimeout: () => socket.setBlocking(false),
          isInheritable: () => socket.isInheritable(),
          setInheritable: () => socket.setInheritable(true),
          getsockopt: () => socket.options.noDelay,
          setsockopt: () => {
            socket.options.noDelay = true;
          },
        };
        for (const [name, operation] of Object.entries(operations)) {
          assert.throws(operation, { code: "ERR_CLOSED", message: new RegExp(`Cannot ${name} `) });
        }
      },
    },
    {
      name: "closing a descriptor that other code has closed throws EBADF",
      run() {
        const socket = new Socket();
        const other = Socket.fromFd(socket.fileno());
        other.close();
        assert.throws(() => socket.close(), { code: "EBADF", syscall: "close" });
        socket.close();
      },
    },
    {
      name: "detach releases the descriptor, and fromFd adopts it with its family, type and protocol",
      run() {
        using opened = new Opened();
        for (const [family, type] of [
          [AF_INET, SOCK_STREAM],
          [AF_INET, SOCK_DGRAM],
          [AF_UNIX, SOCK_SEQPACKET],
        ] as const) {
          const socket = new Socket(family, type);
          const fd = socket.detach();
          assert.equal(socket.fileno(), -1);
          socket.close();
          const again = opened.own(Socket.fromFd(fd));
          assert.deepEqual([again.fileno(), again.family, again.type], [fd, family, type]);
          assert.equal(again.getsockopt(SOL_SOCKET, SO_TYPE), type);
        }
        assert.equal(Socket.fromFd(new Socket().detach()).protocol, IPPROTO_TCP);
      },
    },
    {
      name: "fromFd refuses a descriptor that is not a socket, and a value that is not a descriptor",
      run() {
        assert.throws(() => Socket.fromFd(1_000_000), { code: "EBADF" });
        for (const fd of [-1, 1.5, "3"]) {
          assert.throws(() => new Socket(AF_INET, SOCK_STREAM, 0, { fd: fd as number }), {
            code: "ERR_INVALID_FD",
          });
        }
      },
    },
    {
      name: "a duplicate stays open when the original is closed",
      run() {
        using opened = new Opened();
        const [a, b] = opened.pair();
        const copy = opened.own(a.dup());
        assert.notEqual(copy.fileno(), a.fileno());
        a.close();
        copy.sendAll("still here");
        assert.equal(text(b.recv(100)), "still here");
      },
    },
    {
      name: "descriptors are close-on-exec by default, however they were created",
      run() {
        using opened = new Opened();
        const [client, server] = opened.connection();
        const [a, b] = opened.pair();
        for (const socket of [client, server, a, b, opened.own(a.dup()), opened.server()]) {
          assert.equal(socket.isInheritable(), false);
        }
        a.setInheritable(true);
        assert.equal(a.isInheritable(), true);
        a.setInheritable(false);
        assert.equal(a.isInheritable(), false);
      },
    },
    {
      name: "the blocking mode is the one that was set, or that of an adopted descriptor",
      run() {
        using opened = new Opened();
        const socket = opened.socket();
        const mode = (): unknown[] => [socket.getBlocking(), socket.getTimeout()];
        assert.deepEqual(mode(), [true, undefined]);
        socket.setTimeout(12.5);
        assert.deepEqual(mode(), [true, 12.5]);
        socket.setBlocking(false);
        assert.deepEqual(mode(), [false, 0]);
        assert.equal(opened.own(socket.dup()).getTimeout(), 0);
        socket.setBlocking(true);
        assert.deepEqual(mode(), [true, undefined]);
        assert.equal(opened.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK).getTimeout(), 0);
        // poll(2) would wait without a limit; in Python it is a ValueError.
        for (const timeout of [-5, -0.1, Number.NEGATIVE_INFINITY]) {
          const wrong = { name: "RangeError", code: "ERR_INVALID_TIMEOUT" };
          assert.throws(() => socket.setTimeout(timeout), wrong);
        }
        for (const timeout of [Number.NaN, 2 ** 31, "1" as unknown as number]) {
          assert.throws(() => socket.setTimeout(timeout), { code: "ERR_INVALID_TIMEOUT" });
        }
        assert.deepEqual(mode(), [true, undefined]);
        socket.setTimeout(-0);
        assert.deepEqual(mode(), [false, 0]);
      },
    },
    {
      name: "local and remote addresses are those of both ends; without a peer the remote one is null",
      run() {
        using opened = new Opened();
        const [client, server] = opened.connection();
        assert.deepEqual(client.remoteAddress(), server.localAddress());
        assert.deepEqual(server.remoteAddress(), client.localAddress());
        assert.equal(opened.server().remoteAddress(), null);
        const fresh = opened.socket(AF_INET);
        assert.deepEqual(fresh.localAddress(), { address: "0.0.0.0", port: 0, family: AF_INET });
        const path = abstractName();
        const unix = opened.socket(AF_UNIX);
        assert.deepEqual(unix.localAddress(), { path: "" });
        unix.bind({ path });
        assert.deepEqual(unix.localAddress(), { path });
      },
    },
    {
      name: "bytes sent before a half-close arrive, then the end of the stream; the other half stays open",
      run() {
        using opened = new Opened();
        const [client, server] = opened.connection();
        client.sendAll("question");
        client.shutdown(SHUT_WR);
        assert.equal(text(server.recv(100)), "question");
        assert.equal(server.recv(100)?.length, 0);
        server.sendAll("answer");
        assert.equal(text(client.recv(100)), "answer");
        assert.throws(() => client.sendAll("more"), { code: "EPIPE", syscall: "send" });
        assert.throws(() => client.shutdown(7), { code: "ERR_INVALID_OPTION", message: /7/ });
        assert.throws(() => opened.socket().shutdown(), { code: "ENOTCONN" });
      },
    },
    {
      name: "an address family that the machine does not support is a clear error",
      run() {
        assert.throws(() => new Socket(45), { code: "EAFNOSUPPORT", syscall: "socket" });
        const notANumber = "AF_INET" as unknown as number;
        assert.throws(() => new Socket(notANumber), {
          code: "ERR_INVALID_OPTION",
          message: /"AF_INET" as a family/,
        });
      },
    },
    {
      name: "an accepted socket has the mode of the listener and the address of the peer",
      run() {
        using opened = new Opened();
        for (const timeout of [undefined, 0, 1000]) {
          const listener = opened.server();
          const client = opened.socket();
          client.connect(listener.localAddress());
          listener.setTimeout(timeout);
          const { socket, address } = accepted(listener);
          opened.own(socket);
          assert.equal(socket.getTimeout(), timeout);
          assert.deepEqual(address, client.localAddress());
        }
      },
    },
    {
      name: "an IPv6 connection has both addresses",
      skip: whyNoIPv6(),
      run() {
        using opened = new Opened();
        const listener = opened.server({ host: "::1" });
        const client = opened.socket(AF_INET6);
        client.connect(listener.localAddress());
        const { socket, address } = accepted(listener);
        assert.deepEqual(opened.own(socket).remoteAddress(), address);
        assert.equal(address.address, "::1");
      },
    },
  ],
};
