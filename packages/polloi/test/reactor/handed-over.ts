/** Listening on a socket that other code has opened. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closedFd } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLLEXCLUSIVE } from "../../src/select/constants.ts";
import { socketpair } from "../../src/socket/index.ts";
import { Socket } from "../../src/socket/socket.ts";
import { F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, FD_CLOEXEC, O_NONBLOCK } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";
import { casesOf, Rig, type Variant } from "./rig.ts";

const { libc } = kernel;

const AF_INET = 2;
const SOCK_STREAM = 1;

/** A bound socket, which may listen already. */
function opened({ listens = true, reusePort = false } = {}): Socket {
  const socket = new Socket(AF_INET, SOCK_STREAM);
  socket.options.reusePort = reusePort;
  socket.bind({ address: "127.0.0.1", port: 0 });
  if (listens) socket.listen();
  return socket;
}

export function handedOverCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("the file of a unix socket is removed with its listener, unless another file has replaced it", async (rig) => {
      const folder = mkdtempSync(join(tmpdir(), "polloi-unix-"));
      const path = join(folder, "socket");
      try {
        for (const end of ["close", "stop", "dispose"] as const) {
          const listener = rig.listen({ path, open: (it) => void it.write("hello") });
          assert.equal(existsSync(path), true);
          assert.throws(() => rig.listen({ path }), {
            code: "EADDRINUSE",
            hint: /a server listens there/,
          });
          const peer = rig.peer(listener);
          await rig.until("greeted", () => peer.text === "hello");
          if (end === "dispose") listener[Symbol.dispose]();
          else void listener[end]();
          assert.equal(existsSync(path), false, end);
          peer.close();
        }
        const replaced = rig.listen({ path });
        rmSync(path);
        const other = rig.listen({ path });
        replaced.close();
        assert.equal(existsSync(path), true, "it belongs to the other listener");
        const peer = rig.peer(other);
        await rig.until("accepted", () => other.connections === 1);
        peer.close();
        // The listener does not remove the file of a socket that it was given.
        const fd = libc.fcntl(other.fileno(), F_DUPFD_CLOEXEC, 0);
        rig.reactor.listen({ fd }).close();
        assert.equal(existsSync(path), true);
        other.close();
        assert.equal(existsSync(path), false);
        const left = new Socket(1, SOCK_STREAM);
        left.bind({ path });
        left.listen();
        left.close();
        assert.throws(() => rig.listen({ path }), {
          code: "EADDRINUSE",
          hint: /nothing listens there.*remove it/,
        });
        rmSync(path);
        writeFileSync(path, "");
        assert.throws(() => rig.listen({ path }), { code: "EADDRINUSE", hint: /not a socket/ });
        rmSync(path);
        rig.listen({ path });
        rig.reactor.close();
        assert.equal(existsSync(path), false, "the reactor closes it");
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
    test("an adopted connection becomes close-on-exec", (rig) => {
      const [mine, theirs] = socketpair();
      theirs.setInheritable(true);
      mine.setInheritable(true);
      const connection = rig.reactor.adopt(mine.detach());
      assert.equal(libc.fcntl(connection.fileno(), F_GETFD, 0), FD_CLOEXEC);
      using adopted = Socket.fromFd(theirs.detach());
      assert.equal(adopted.isInheritable(), false);
    }),
    test("a listener on an fd serves connections in its backlog, and later ones", async (rig) => {
      const socket = opened();
      const { port } = socket.localAddress() as { port: number };
      const waiting = [1, 2, 3].map(() => {
        const peer = new Socket(AF_INET, SOCK_STREAM);
        peer.connect({ address: "127.0.0.1", port });
        return peer;
      });
      socket.setInheritable(true);
      const fd = socket.detach();

      const listener = rig.reactor.listen({
        fd,
        open: (connection) => void connection.write("hello"),
      });
      assert.deepEqual([listener.fileno(), listener.port], [fd, port]);
      assert.equal(libc.fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
      assert.notEqual(libc.fcntl(fd, F_GETFL, 0) & O_NONBLOCK, 0);
      await rig.until("accepted", () => listener.connections === 3);
      const late = rig.peer(listener);
      await rig.until("greeted", () => late.text === "hello");
      for (const peer of waiting) peer.close();
      listener.close();
      assert.ok(libc.fcntl(fd, F_GETFD, 0) < 0, "it is closed with the listener");
    }),
    test("closing a listener on an fd that shares its port accepts its backlog first", async (rig) => {
      const fd = opened({ reusePort: true }).detach();
      let greeted = 0;
      const listener = rig.reactor.listen({
        fd,
        open: (connection) => {
          greeted++;
          connection.end("hello");
        },
      });
      const peers = [rig.peer(listener), rig.peer(listener)];
      listener.close();
      await rig.until("greeted", () => peers.every((peer) => peer.ended));
      assert.equal(greeted, 2);
    }),
    test("an fd that cannot listen is refused, and still belongs to the caller", ({ reactor }) => {
      const deaf = opened({ listens: false });
      const listening = opened();
      const counter = libc.eventfd(0, 0);
      const wrong = [
        [{ fd: deaf.fileno() }, "EINVAL", /listen EINVAL fd/],
        [{ fd: counter }, "ENOTSOCK", /getsockopt ENOTSOCK fd/],
        [{ fd: closedFd() }, "EBADF", /EBADF/],
        [{ fd: -1 }, "ERR_INVALID_FD", /-1/],
        [{ fd: "3" }, "ERR_INVALID_FD", /"3"/],
        [{ fd: listening.fileno(), port: 0 }, "ERR_INVALID_OPTION", /fd \d+ and on what host/],
        [{ fd: listening.fileno(), path: "x" }, "ERR_INVALID_OPTION", /fd \d+ and on what host/],
      ] as const;
      for (const [options, code, message] of wrong) {
        assert.throws(() => reactor.listen(options as never), { code, message });
      }
      for (const fd of [deaf.fileno(), listening.fileno(), counter]) {
        assert.ok(libc.fcntl(fd, F_GETFD, 0) >= 0);
      }
      deaf.close();
      listening.close();
      libc.close(counter);
    }),
    test("a listener that is shared exclusively is added with EPOLLEXCLUSIVE, again after it was full", async () => {
      const asked: [operation: number, mask: number][] = [];
      const rig = new Rig(variant, {
        epoll_ctl: (epoll, operation, fd, event) => {
          if (fd === shared) asked.push([operation, kernel.scratch.u32[0] as number]);
          return libc.epoll_ctl(epoll, operation, fd, event);
        },
      });
      const shared = opened().detach();
      try {
        const listener = rig.reactor.listen({
          fd: shared,
          exclusive: true,
          maxConnections: 1,
          data: (it, bytes) => void it.write(bytes),
        });
        const [first, second] = [rig.peer(listener), rig.peer(listener)];
        for (const peer of [first, second]) peer.send("ping");
        await rig.until("one connection is served", () => first.length === 4);
        await rig.during(20);
        assert.deepEqual([second.length, listener.connections], [0, 1]);
        first.close();
        await rig.until("the other connection is served", () => second.length === 4);
      } finally {
        rig[Symbol.dispose]();
      }
      if (variant.engine !== "epoll") return;
      const added = asked.filter(([operation]) => operation === EPOLL_CTL_ADD);
      assert.ok(added.length >= 2, `it was added ${added.length} times`);
      for (const [, mask] of added) assert.notEqual(mask & EPOLLEXCLUSIVE, 0);
      assert.ok(asked.every(([operation]) => operation !== EPOLL_CTL_MOD));
    }),
  ];
}
