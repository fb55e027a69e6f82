import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { connectToAny } from "../../src/socket/create.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  createConnection,
  type InetAddress,
  resolve,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  type Socket,
} from "../../src/socket/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { whyNoIPv6 } from "../support/ipv6.ts";
import {
  abstractName,
  accepted,
  LOOPBACK,
  Opened,
  openedSince,
  openSockets,
  text,
} from "./opened.ts";

const noIPv6 = whyNoIPv6();

function portOf(socket: Socket): number {
  return (socket.localAddress() as InetAddress).port;
}

/** Options of a listener without the default host and port. */
const onlyPath = { host: undefined, port: undefined, path: "\0polloi-contradiction" };
function onlyAddress(address: string, family: typeof AF_INET | typeof AF_INET6): object {
  return { host: undefined, port: undefined, address: { address, port: 0, family } };
}

/** A listener whose backlog is full: it completes no further handshake. */
function deafListener(opened: Opened, options: object = {}): Socket {
  const listener = opened.server({ backlog: 0, ...options });
  for (let i = 0; i < 3; i++) {
    const type = SOCK_STREAM | SOCK_NONBLOCK;
    opened.socket(listener.family, type).connectEx(listener.localAddress());
  }
  return listener;
}

export const connecting: Suite = {
  title: "listening and connecting",
  cases: [
    {
      name: "connectEx: 0 when connected, the positive errno when refused",
      run() {
        using opened = new Opened();
        assert.equal(opened.socket().connectEx(opened.server().localAddress()), 0);
        assert.equal(opened.socket().connectEx(opened.refusing()), ERRNO.ECONNREFUSED);
      },
    },
    {
      name: "a non-blocking connect returns EINPROGRESS, then connects without an error",
      run() {
        using opened = new Opened();
        const listener = opened.server();
        const client = opened.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
        assert.equal(client.connectEx(listener.localAddress()), ERRNO.EINPROGRESS);
        opened.own(accepted(listener).socket);
        assert.equal(client.options.error, 0);
        assert.deepEqual(client.remoteAddress(), listener.localAddress());
        // The second call returns the result; after it the socket counts as connected.
        assert.equal(client.connectEx(listener.localAddress()), 0);
        assert.throws(() => client.connect(listener.localAddress()), { code: "EISCONN" });
      },
    },
    {
      name: "the error of a refused non-blocking connect is returned once",
      run() {
        using opened = new Opened();
        const client = opened.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
        assert.equal(client.connect(opened.refusing()), false);
        assert.equal(client.options.error, ERRNO.ECONNREFUSED);
        assert.equal(client.options.error, 0);
      },
    },
    {
      name: "a refused connect names the address, the port and the reason",
      run() {
        using opened = new Opened();
        const address = opened.refusing();
        assert.throws(() => opened.socket().connect(address), {
          message: `connect ECONNREFUSED ${LOOPBACK}:${address.port}`,
          address: LOOPBACK,
          port: address.port,
          hint: /nothing listens/,
        });
      },
    },
    {
      name: "a connect without an answer fails with ETIMEDOUT after the timeout",
      run() {
        using opened = new Opened();
        const address = deafListener(opened).localAddress();
        const client = opened.socket();
        client.setTimeout(20);
        const start = performance.now();
        assert.throws(() => client.connect(address), { code: "ETIMEDOUT", syscall: "connect" });
        assert.ok(performance.now() - start >= 20);
      },
    },
    {
      name: "connecting to a unix listener with a full backlog fails with EAGAIN, or with ETIMEDOUT after a timeout",
      run() {
        using opened = new Opened();
        const path = abstractName();
        deafListener(opened, { host: undefined, port: undefined, path });
        const client = opened.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK);
        assert.throws(() => client.connect({ path }), { code: "EAGAIN", hint: /backlog/ });
        client.setTimeout(10);
        assert.throws(() => client.connect({ path }), {
          code: "ETIMEDOUT",
          address: path.replace("\0", "@"),
        });
      },
    },
    {
      name: "EADDRINUSE names the port and a remedy; reusePort shares the port",
      run() {
        using opened = new Opened();
        const port = portOf(opened.server());
        assert.throws(() => opened.server({ port }), {
          message: /^(bind|listen) EADDRINUSE 127\.0\.0\.1:\d+$/,
          port,
          hint: /another port.*reusePort/,
        });
        const shared = portOf(opened.server({ reusePort: true }));
        assert.equal(portOf(opened.server({ port: shared, reusePort: true })), shared);
      },
    },
    {
      name: "a server that cannot be opened leaves no descriptor open",
      run() {
        using opened = new Opened();
        const port = portOf(opened.server());
        const before = openSockets();
        const wrong: [object, string][] = [
          [{ port }, "EADDRINUSE"],
          [{ host: "192.0.2.1" }, "EADDRNOTAVAIL"],
          [{ port: 65_536 }, "ERR_INVALID_PORT"],
          [{ port: undefined }, "ERR_INVALID_PORT"],
          [{ port: "80" }, "ERR_INVALID_PORT"],
          [{ host: "example.org" }, "ERR_INVALID_ADDRESS"],
          [{ backlog: -1 }, "ERR_INVALID_OPTION"],
          [{ path: "/x" }, "ERR_INVALID_OPTION"],
          [{ address: { path: "/x" } }, "ERR_INVALID_OPTION"],
          [{ host: undefined, port: undefined, path: "/no-such-dir/x" }, "ENOENT"],
          [{ family: AF_INET6 }, "ERR_INVALID_OPTION"],
          [{ dualStack: true }, "ERR_INVALID_OPTION"],
          [{ family: AF_UNIX }, "ERR_INVALID_OPTION"],
          [{ host: undefined, dualStack: true, family: AF_INET }, "ERR_INVALID_OPTION"],
          [{ host: "::1", dualStack: true, family: AF_INET }, "ERR_INVALID_OPTION"],
          [{ ...onlyPath, dualStack: true }, "ERR_INVALID_OPTION"],
          [{ ...onlyPath, reusePort: true }, "ERR_INVALID_OPTION"],
          [{ ...onlyPath, family: AF_INET }, "ERR_INVALID_OPTION"],
          [{ ...onlyAddress("127.0.0.1", AF_INET6) }, "ERR_INVALID_ADDRESS"],
          [{ ...onlyAddress("", AF_INET), dualStack: true }, "ERR_INVALID_OPTION"],
          [{ ...onlyAddress("", AF_INET), family: AF_INET6 }, "ERR_INVALID_OPTION"],
        ];
        for (const [options, code] of wrong) {
          assert.throws(() => opened.server(options), { code }, JSON.stringify(options));
        }
        assert.deepEqual(openedSince(before), []);
      },
    },
    {
      name: "an address of another family than the socket's is refused, also a path together with an IP family",
      async run() {
        using opened = new Opened();
        const code = "ERR_INVALID_ADDRESS";
        const wildcard = { address: "", port: 0, family: AF_INET6 } as const;
        assert.throws(() => opened.socket(AF_INET).bind(wildcard), { code });
        const pair = ["127.0.0.1", 0] as never;
        assert.throws(() => opened.socket(AF_INET).bind(pair), { code });
        const path = { path: "/x", family: AF_INET } as const;
        await assert.rejects(createConnection(path), { code: "ERR_INVALID_OPTION" });
      },
    },
    {
      name: "a dual-stack listener accepts IPv4 as v4-mapped; an IPv6-only one refuses it",
      skip: noIPv6,
      run() {
        using opened = new Opened();
        const both = opened.server({ host: undefined, dualStack: true });
        assert.equal(both.options.ipv6Only, false);
        const client = opened.socket();
        client.connect({ address: LOOPBACK, port: portOf(both) });
        const { socket, address } = accepted(both);
        opened.own(socket);
        assert.equal(address.address, "::ffff:127.0.0.1");
        const six = opened.socket(AF_INET6);
        six.connect({ address: LOOPBACK, port: portOf(both) });
        const four = opened.refusing();
        const only = opened.server({ host: "::", port: four.port });
        assert.equal(only.options.ipv6Only, true);
        const refused = opened.socket().connectEx(four);
        assert.equal(refused, ERRNO.ECONNREFUSED);
      },
    },
    {
      name: "the backlog limits the connections that wait; one that is not a number is refused",
      run() {
        using opened = new Opened();
        const listener = opened.server({ backlog: 1, nonBlocking: true });
        const clients = Array.from({ length: 8 }, () =>
          opened.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK),
        );
        for (const client of clients) client.connectEx(listener.localAddress());
        let waiting = 0;
        for (let next = listener.accept(); next !== null; next = listener.accept()) {
          opened.own(next.socket);
          waiting += 1;
        }
        assert.ok(waiting >= 1 && waiting < clients.length, `${waiting} were waiting`);
        assert.throws(() => opened.socket().listen(Number.NaN), { code: "ERR_INVALID_OPTION" });
      },
    },
    {
      name: "an abstract name serves streams, and is free when its socket closes",
      run() {
        using opened = new Opened();
        const path = abstractName();
        const listener = opened.server({ host: undefined, port: undefined, path });
        const client = opened.socket(AF_UNIX);
        client.connect({ path });
        const { socket, address } = accepted(listener);
        assert.deepEqual(address, { path: "" }, "the client is unnamed");
        opened.own(socket).sendAll("abstract");
        assert.equal(text(client.recv(10)), "abstract");
        assert.deepEqual(client.remoteAddress(), { path });
        listener.close();
        assert.equal(opened.socket(AF_UNIX).connectEx({ path }), ERRNO.ECONNREFUSED);
        opened.server({ host: undefined, port: undefined, path });
      },
    },
    {
      name: "abstract names may contain any byte, up to 108 bytes in total",
      run() {
        using opened = new Opened();
        const path = Uint8Array.from({ length: 108 }, (_, i) => (i === 0 ? 0 : 255 - i));
        const listener = opened.server({ host: undefined, port: undefined, path });
        assert.deepEqual(listener.localAddress(), { path });
        assert.equal(opened.socket(AF_UNIX).connectEx({ path }), 0);
      },
    },
    {
      name: "a seqpacket connection keeps message boundaries",
      run() {
        using opened = new Opened();
        const path = abstractName();
        const server = opened.own(
          opened.server({ host: undefined, port: undefined, path, type: SOCK_SEQPACKET }),
        );
        const client = opened.socket(AF_UNIX, SOCK_SEQPACKET);
        client.connect({ path });
        const peer = opened.own(accepted(server).socket);
        assert.equal(peer.type, SOCK_SEQPACKET);
        client.sendAll("one");
        client.sendAll("two");
        assert.equal(text(peer.recv(100)), "one");
        assert.equal(text(peer.recv(100)), "two");
        client.close();
        assert.equal(peer.recv(100)?.length, 0);
      },
    },
    {
      name: "createConnection connects to a host name and leaves the socket in the requested mode",
      async run() {
        using opened = new Opened();
        const listener = opened.server();
        const port = portOf(listener);
        const localAddress = { address: LOOPBACK, port: 0 };
        const options = { host: "localhost", port, timeoutMs: 5000, localAddress };
        const client = opened.own(await createConnection(options));
        assert.equal(client.getTimeout(), 5000);
        assert.deepEqual(accepted(listener).address, client.localAddress());
        const blocking = opened.own(await createConnection({ host: LOOPBACK, port }));
        assert.equal(blocking.getTimeout(), undefined);
        const path = abstractName();
        opened.server({ host: undefined, port: undefined, path });
        assert.deepEqual(opened.own(await createConnection({ path })).remoteAddress(), { path });
      },
    },
    {
      name: "a failed createConnection names the address and the reason, and leaves no descriptor open",
      async run() {
        using opened = new Opened();
        const { port } = opened.refusing();
        const deaf = portOf(deafListener(opened));
        const before = openSockets();
        const refused = { code: "ECONNREFUSED", message: new RegExp(`ECONNREFUSED .*${port}`) };
        await assert.rejects(createConnection({ host: LOOPBACK, port }), refused);
        await assert.rejects(createConnection({ host: "localhost", port }), refused);
        await assert.rejects(createConnection({ host: LOOPBACK, port: deaf, timeoutMs: 20 }), {
          code: "ETIMEDOUT",
          message: `connect ETIMEDOUT 127.0.0.1:${deaf}`,
        });
        const misuse: [object, string][] = [
          [{ port: 70_000 }, "ERR_INVALID_PORT"],
          [{ host: LOOPBACK }, "ERR_INVALID_PORT"],
          [{ path: "/x", port: 1 }, "ERR_INVALID_OPTION"],
          [{ port, timeoutMs: Number.NaN }, "ERR_INVALID_TIMEOUT"],
        ];
        for (const [options, code] of misuse) {
          await assert.rejects(createConnection(options), { code });
        }
        assert.deepEqual(openedSince(before), []);
      },
    },
    {
      name: "createConnection tries the addresses of a name until one accepts, within one timeout",
      async run() {
        using opened = new Opened();
        const deaf = deafListener(opened, { host: "127.0.0.2" });
        const port = portOf(deaf);
        const at = (...hosts: string[]) => hosts.map((address) => ({ address, port }));
        const before = openSockets();
        const options = { host: "name.example", port };
        const error = await connectToAny(kernel, at("127.0.0.3", "127.0.0.4"), -1, options).catch(
          (thrown: AggregateError & { code: string }) => thrown,
        );
        assert.ok(error instanceof AggregateError);
        assert.equal(error.code, "ECONNREFUSED");
        assert.match(error.message, /name\.example port \d+: .*127\.0\.0\.3.*; .*127\.0\.0\.4/);
        const late = connectToAny(kernel, at("127.0.0.2", "127.0.0.3"), 20, options);
        await assert.rejects(late, { code: "ETIMEDOUT" });
        assert.deepEqual(openedSince(before), []);
        const listener = opened.server({ host: "127.0.0.5", port });
        const targets = at("127.0.0.2", "127.0.0.3", "127.0.0.5");
        const socket = opened.own(await connectToAny(kernel, targets, 20_000, options));
        assert.deepEqual(accepted(listener).address, socket.localAddress());
        assert.equal(socket.getTimeout(), 20_000);
      },
    },
    {
      name: "resolve returns literals, resolves localhost, and names a host that it does not find",
      async run() {
        const v4 = { address: "192.0.2.7", port: 80, family: AF_INET };
        assert.deepEqual(await resolve("192.0.2.7", { port: 80 }), [v4]);
        assert.equal((await resolve("fe80::1%1"))[0].family, AF_INET6);
        const [first] = await resolve("localhost", { family: AF_INET });
        assert.deepEqual(first, { address: LOOPBACK, port: 0, family: AF_INET });
        await assert.rejects(resolve("no-such-host.invalid"), {
          name: "ResolveError",
          syscall: "getaddrinfo",
          hostname: "no-such-host.invalid",
          message: /^getaddrinfo \w+ no-such-host\.invalid$/,
        });
      },
    },
    {
      name: "a connected datagram socket sends without an address",
      run() {
        using opened = new Opened();
        const server = opened.socket(AF_INET, SOCK_DGRAM);
        server.bind({ address: LOOPBACK, port: 0 });
        const client = opened.socket(AF_INET, SOCK_DGRAM);
        assert.equal(client.connect(server.localAddress()), true);
        client.send("hello");
        assert.equal(text(server.recv(10)), "hello");
      },
    },
  ],
};
