import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pid } from "node:process";
import type { Case, Suite } from "../../../../test/support/suite.ts";
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  interfaceIndex,
  interfaceName,
  SO_LINGER,
  SO_RCVBUF,
  SOL_SOCKET,
  type Socket,
  type SocketOptions,
  TCP_NODELAY,
} from "../../src/socket/index.ts";
import { whyNoIPv6 } from "../support/ipv6.ts";
import { Opened } from "./opened.ts";

/** The writable options. */
type Settable = {
  [K in keyof SocketOptions]: SocketOptions[K] extends boolean | number | string | null ? K : never;
}[keyof SocketOptions];

/** Each option with values to set, and the value that is read if the kernel changes it. */
const OPTIONS: readonly [Settable, readonly unknown[], ((value: number) => unknown)?][] = [
  ["reuseAddr", [true, false]],
  ["reusePort", [true, false]],
  ["keepAlive", [true, false]],
  ["broadcast", [true, false]],
  ["oobInline", [true, false]],
  ["lingerSeconds", [0, 7, null]],
  ["sendBufferSize", [20_000], (bytes) => bytes * 2],
  ["receiveBufferSize", [20_000], (bytes) => bytes * 2],
  ["receiveLowAt", [100, 1]],
  ["priority", [3, 0]],
  ["incomingCpu", [1, 0]],
  ["noDelay", [true, false]],
  ["cork", [true, false]],
  ["quickAck", [false, true]],
  // Stored as a number of retransmissions, which take 1, 3 and 7 seconds.
  ["deferAcceptSeconds", [1, 3, 7, 0]],
  ["fastOpen", [5, 0]],
  ["fastOpenConnect", [true, false]],
  ["userTimeoutMs", [12_345, 0]],
  ["notSentLowAt", [16_384, 0]],
  ["keepIdleSeconds", [11]],
  ["keepIntervalSeconds", [12]],
  ["keepCount", [13]],
  ["maxSegment", [1000]],
  ["congestion", ["reno"]],
  ["ttl", [42]],
  ["typeOfService", [0x10, 0]],
];

function roundTrip([name, values, expected]: (typeof OPTIONS)[number]): Case {
  return {
    name: `options.${name} reads back as it was set`,
    run() {
      using opened = new Opened();
      const options = opened.socket().options as unknown as Record<string, unknown>;
      for (const value of values) {
        options[name] = value;
        assert.equal(options[name], expected?.(value as number) ?? value);
      }
    },
  };
}

export const options: Suite = {
  title: "options",
  cases: [
    ...OPTIONS.map(roundTrip),
    {
      name: "options.ipv6Only reads back as it was set",
      skip: whyNoIPv6(),
      run() {
        using opened = new Opened();
        const { options } = opened.socket(AF_INET6);
        for (const on of [true, false]) {
          options.ipv6Only = on;
          assert.equal(options.ipv6Only, on);
        }
      },
    },
    {
      name: "options.passCredentials reads back as it was set",
      run() {
        using opened = new Opened();
        const [a] = opened.pair();
        for (const on of [true, false]) {
          a.options.passCredentials = on;
          assert.equal(a.options.passCredentials, on);
        }
      },
    },
    {
      name: "options.listening tells whether the socket listens",
      run() {
        using opened = new Opened();
        assert.equal(opened.server().options.listening, true);
        assert.equal(opened.socket().options.listening, false);
      },
    },
    {
      name: "peerCredentials are those of the process at the other end",
      run() {
        using opened = new Opened();
        const [a] = opened.pair();
        const status = readFileSync("/proc/self/status", "utf8");
        const id = (name: string): number =>
          Number(status.match(`${name}:\\s+\\d+\\s+(\\d+)`)?.[1]);
        assert.deepEqual(a.options.peerCredentials, { pid, uid: id("Uid"), gid: id("Gid") });
      },
    },
    {
      name: "tcpInfo has the state, the round-trip time and the byte counts",
      run() {
        using opened = new Opened();
        const [client, server] = opened.connection();
        client.sendAll("hello");
        assert.equal(server.recv(10)?.length, 5);
        const info = client.options.tcpInfo;
        assert.equal(info.state, "established");
        assert.ok(info.rttUs > 0 && info.sndMss > 0 && info.sndCwnd > 0 && info.rtoUs > 0);
        assert.ok(info.dataSegsOut >= 1 && info.segsOut >= 2, JSON.stringify(info));
        assert.equal(info.maxPacingRate, Number.POSITIVE_INFINITY);
        assert.equal(server.options.tcpInfo.bytesReceived, 5);
        assert.equal(opened.server().options.tcpInfo.state, "listen");
        assert.equal(opened.socket().options.tcpInfo.state, "close");
      },
    },
    {
      name: "getsockopt and setsockopt handle any option, as an int or as bytes",
      run() {
        using opened = new Opened();
        const socket = opened.socket();
        socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
        assert.equal(socket.getsockopt(IPPROTO_TCP, TCP_NODELAY), 1);
        const linger = Uint8Array.of(1, 0, 0, 0, 5, 0, 0, 0);
        socket.setsockopt(SOL_SOCKET, SO_LINGER, linger);
        assert.deepEqual(socket.getsockopt(SOL_SOCKET, SO_LINGER, 8), linger);
        assert.equal(socket.options.lingerSeconds, 5);
        assert.equal(socket.getsockopt(SOL_SOCKET, SO_RCVBUF, 100).length, 4);
      },
    },
    {
      name: "a value that the kernel refuses is a SysError, an invalid one is misuse",
      run() {
        using opened = new Opened();
        const socket: Socket = opened.socket(AF_INET);
        const [unix] = opened.pair();
        assert.throws(() => socket.getsockopt(SOL_SOCKET, 9999), { code: "ENOPROTOOPT" });
        assert.throws(() => unix.options.noDelay, { code: "EOPNOTSUPP", syscall: "getsockopt" });
        assert.throws(
          () => {
            socket.options.congestion = "no-such";
          },
          { code: "ENOENT", syscall: "setsockopt" },
        );
        assert.throws(
          () => {
            socket.options.keepCount = 1.5;
          },
          { code: "ERR_INVALID_OPTION", message: /keepCount to 1.5/ },
        );
        for (const value of [Number.NaN, 2 ** 40, "1", true]) {
          assert.throws(() => socket.setsockopt(SOL_SOCKET, SO_RCVBUF, value as number), {
            code: "ERR_INVALID_OPTION",
          });
        }
        assert.throws(() => socket.getsockopt(SOL_SOCKET, SO_LINGER, -1), {
          code: "ERR_INVALID_LENGTH",
        });
      },
    },
    {
      name: "an interface has a number and a name",
      run() {
        assert.equal(interfaceName(interfaceIndex("lo")), "lo");
        assert.throws(() => interfaceIndex("no-such-if"), { code: "ERR_INVALID_ADDRESS" });
        assert.throws(() => interfaceName(0x7fffffff), { syscall: "ioctl" });
      },
    },
  ],
};
