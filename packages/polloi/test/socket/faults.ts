import assert from "node:assert/strict";
import { kernelWith } from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { AF_INET, createServer, SOCK_STREAM, Socket } from "../../src/socket/index.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { accepted, LOOPBACK, Opened, openedSince, openSockets, pattern, text } from "./opened.ts";

/** `call`, whose first `times` calls return `-errno`. */
function failing<Args extends number[]>(
  call: (...args: Args) => number,
  errno: number,
  times: number,
): (...args: Args) => number {
  let left = times;
  return (...args) => {
    if (left === 0) return call(...args);
    left -= 1;
    return -errno;
  };
}

export const faults: Suite = {
  title: "sockets on a faulty kernel",
  cases: [
    {
      name: "a call that a signal interrupts is repeated",
      run() {
        using opened = new Opened();
        const interrupted = (
          name: "recv" | "send" | "recvfrom" | "sendmsg" | "recvmsg",
        ): object => ({
          kernel: kernelWith((libc) => ({
            [name]: failing(libc[name] as (...args: number[]) => number, ERRNO.EINTR, 2),
          })),
        });
        const [a, b] = opened.pair();
        const over = (socket: Socket, init: object): Socket =>
          opened.own(
            new Socket(socket.family, socket.type, 0, { fd: socket.dup().detach(), ...init }),
          );
        assert.equal(over(a, interrupted("send")).send("1"), 1);
        over(a, interrupted("send")).sendAll("2");
        assert.equal(over(a, interrupted("sendmsg")).sendMsg(["345"]), 3);
        assert.equal(text(over(b, interrupted("recv")).recv(2)), "12");
        assert.equal(text(over(b, interrupted("recvfrom")).recvFrom(1)?.bytes), "3");
        assert.equal(text(over(b, interrupted("recvmsg")).recvMsg(9)?.bytes), "45");
      },
    },
    {
      name: "a signal during a wait neither ends it nor restarts its timeout",
      run() {
        using opened = new Opened();
        let waits = 0;
        const kernel = kernelWith((libc) => ({
          ppoll: (fds, count, timeout, signals) => {
            waits += 1;
            // Half of the waits end early, as if by a signal.
            const ready = libc.ppoll(fds, count, timeout, signals);
            return waits % 2 === 1 ? -ERRNO.EINTR : ready;
          },
        }));
        const [a] = opened.pair(SOCK_STREAM, kernel);
        a.setTimeout(10);
        const start = performance.now();
        assert.throws(() => a.recv(1), { code: "ETIMEDOUT" });
        assert.ok(performance.now() - start >= 10);
        assert.equal(waits, 2, "no time was left after the signal");
      },
    },
    {
      name: "sendAll sends every byte in order if the kernel accepts few at a time",
      run() {
        using opened = new Opened();
        const kernel = kernelWith((libc) => {
          let turn = 0;
          return {
            send: (fd, buffer, length, flags) => {
              turn += 1;
              if (turn % 3 === 0) return -ERRNO.EINTR;
              return libc.send(fd, buffer, Math.min(length, 997), flags);
            },
          };
        });
        const [a, b] = opened.pair(SOCK_STREAM, kernel);
        // Few enough for the socket buffer to hold all of them before the peer reads.
        const data = pattern(20_000);
        a.sendAll(data);
        a.close();
        const back: Uint8Array[] = [];
        for (;;) {
          const bytes = b.recv(65_536) as Uint8Array;
          if (bytes.length === 0) break;
          back.push(bytes);
        }
        assert.ok(Buffer.compare(Buffer.concat(back), data) === 0);
      },
    },
    {
      name: "sendAll waits if a duplicate made its descriptor non-blocking",
      run() {
        using opened = new Opened();
        let waits = 0;
        const kernel = kernelWith((libc) => ({
          send: failing(libc.send, ERRNO.EAGAIN, 2),
          ppoll: (fds, count, timeout, signals) => {
            waits += 1;
            return libc.ppoll(fds, count, timeout, signals);
          },
        }));
        const [a, b] = opened.pair(SOCK_STREAM, kernel);
        a.sendAll("whole");
        assert.equal(waits, 2);
        assert.equal(text(b.recv(10)), "whole");
      },
    },
    {
      name: "accept without a free descriptor fails with EMFILE, and the connection stays in the backlog",
      run() {
        using opened = new Opened();
        for (const [errno, code] of [
          [ERRNO.EMFILE, "EMFILE"],
          [ERRNO.ENFILE, "ENFILE"],
        ] as const) {
          const kernel = kernelWith((libc) => ({ accept4: failing(libc.accept4, errno, 1) }));
          const listener = opened.own(createServer({ host: LOOPBACK, port: 0, kernel }));
          const client = opened.socket();
          client.connect(listener.localAddress());
          assert.throws(() => listener.accept(), { code, syscall: "accept", hint: /limit/ });
          opened.own(accepted(listener).socket).sendAll("at last");
          assert.equal(text(client.recv(10)), "at last");
        }
      },
    },
    {
      name: "accept skips a connection that was aborted, and ignores a signal",
      run() {
        using opened = new Opened();
        const kernel = kernelWith((libc) => ({
          accept4: failing(failing(libc.accept4, ERRNO.ECONNABORTED, 2), ERRNO.EINTR, 2),
        }));
        const listener = opened.own(createServer({ host: LOOPBACK, port: 0, kernel }));
        opened.socket().connect(listener.localAddress());
        opened.own(accepted(listener).socket);
      },
    },
    {
      name: "a connect that a signal interrupts continues, with the kernel's result",
      run() {
        using opened = new Opened();
        const kernel = kernelWith((libc) => ({
          connect: (fd, address, length) => {
            const result = libc.connect(fd, address, length);
            return result === 0 || result === -ERRNO.ECONNREFUSED ? -ERRNO.EINTR : result;
          },
        }));
        const client = opened.socket(AF_INET, SOCK_STREAM, kernel);
        assert.equal(client.connectEx(opened.server().localAddress()), 0);
      },
    },
    {
      name: "EACCES of a privileged port has a hint with a remedy",
      run() {
        const kernel = kernelWith(() => ({ bind: () => -ERRNO.EACCES }));
        const before = openSockets();
        assert.throws(() => createServer({ host: LOOPBACK, port: 80, kernel }), {
          message: "bind EACCES 127.0.0.1:80",
          hint: /1024.*CAP_NET_BIND_SERVICE.*ip_unprivileged_port_start/,
        });
        assert.deepEqual(openedSince(before), []);
      },
    },
    {
      name: "no descriptor stays open, whichever call fails while a server is opened",
      run() {
        const calls = ["socket", "setsockopt", "bind", "listen"] satisfies (keyof Libc)[];
        for (const call of calls) {
          const kernel = kernelWith(() => ({ [call]: () => -ERRNO.ENOBUFS }));
          const before = openSockets();
          const expected = { code: "ENOBUFS", syscall: call, address: LOOPBACK };
          assert.throws(() => createServer({ host: LOOPBACK, port: 0, kernel }), expected);
          assert.deepEqual(openSockets(), before, call);
        }
      },
    },
  ],
};
