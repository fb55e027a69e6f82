/** Datagram sockets: UDP and unix. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { DatagramOptions, DatagramSocket } from "../../src/index.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  SOCK_DGRAM,
  SOL_UDP,
  UDP_SEGMENT,
} from "../../src/socket/constants.ts";
import { setMembership } from "../../src/socket/datagrams.ts";
import type { InetAddress, SocketAddress } from "../../src/socket/index.ts";
import { readIntOption } from "../../src/socket/raw.ts";
import { Socket } from "../../src/socket/socket.ts";
import { SYS } from "../../src/sys/abi.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import { whyNoIPv6 } from "../support/ipv6.ts";
import { assertSame, casesOf, pattern, Rig, type Variant } from "./rig.ts";

const GROUP = "239.255.77.1";
const LOCAL = "127.0.0.1";

const echo: DatagramOptions = { message: (socket, bytes, from) => void socket.send(bytes, from) };

/** A plain datagram socket, which only calls of the test receive from. */
class Plain implements Disposable {
  readonly socket: Socket;

  constructor(address: SocketAddress) {
    const family = address.path !== undefined ? AF_UNIX : (address.family ?? AF_INET);
    this.socket = new Socket(family, SOCK_DGRAM);
    this.socket.setBlocking(false);
    this.socket.bind(address);
  }

  static local(): Plain {
    return new Plain({ address: LOCAL, port: 0 });
  }

  get address(): InetAddress {
    return this.socket.localAddress() as InetAddress;
  }

  send(bytes: Uint8Array | string, to: SocketAddress): void {
    const all = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    assert.equal(this.socket.sendTo(all, to), all.length);
  }

  /** The next datagram, which arrives while the rig runs. */
  async receive(rig: Rig): Promise<Uint8Array> {
    let bytes: Uint8Array | null = null;
    await rig.until("received", () => {
      bytes = this.socket.recv(70_000);
      return bytes !== null;
    });
    return bytes as unknown as Uint8Array;
  }

  async text(rig: Rig): Promise<string> {
    return Buffer.from(await this.receive(rig)).toString();
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

function at({ port }: DatagramSocket, address: string = LOCAL): InetAddress {
  return { address, port };
}

function code(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}

/** The reason why this machine has no multicast on its loopback interface; `undefined` if it has. */
function whyNoMulticast(): string | undefined {
  using plain = new Plain({ address: "", port: 0 });
  try {
    setMembership(kernel, plain.socket.fileno(), GROUP, "lo", true);
    return undefined;
  } catch (error) {
    return `this machine has no multicast on lo: ${(error as Error).message}`;
  }
}

/** The reason why the kernel does not send several datagrams as segments of a message; `undefined` if it does. */
function whyNoSegments(): string | undefined {
  using plain = Plain.local();
  return readIntOption(kernel, plain.socket.fileno(), SOL_UDP, UDP_SEGMENT) < 0
    ? "this kernel has no UDP_SEGMENT"
    : undefined;
}

/** A path of a unix socket in a folder that is removed. */
function withFolder(run: (path: (name: string) => string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "polloi-datagrams-"));
  return run((name) => join(folder, name)).finally(() => rmSync(folder, { recursive: true }));
}

/** The most datagrams in the tests of order, more than a batch. */
const MANY = 100;

export function datagramCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    test("datagrams of any size arrive with the address of their sender, and can be answered", async (rig) => {
      const socket = rig.reactor.bindDatagrams({ ...echo, host: LOCAL });
      using one = Plain.local();
      using two = Plain.local();
      for (const length of [0, 1, 64, 65, 1472, 16_385, 65_507]) {
        for (const plain of [one, two]) {
          const bytes = pattern(length, plain.address.port);
          plain.send(bytes, at(socket));
          assertSame(await plain.receive(rig), bytes);
        }
      }
      assert.deepEqual(socket.address, { ...at(socket), family: AF_INET });
      socket.close();
    }),

    test("many datagrams at once are received and sent in batches, in order", async (rig) => {
      const seen: string[] = [];
      const socket = rig.reactor.bindDatagrams({
        host: LOCAL,
        zeroCopy: true,
        message(it, bytes, from) {
          seen.push(Buffer.from(bytes).toString());
          it.send(bytes, from);
        },
      });
      using plain = Plain.local();
      const wanted = Array.from({ length: MANY }, (_, i) => `datagram ${i}`);
      for (const text of wanted) plain.send(text, at(socket));
      const answers: string[] = [];
      for (const _ of wanted) answers.push(await plain.text(rig));
      assert.deepEqual(seen, wanted);
      assert.deepEqual(answers, wanted);
      // Copies stay as they are.
      const kept: Uint8Array[] = [];
      const keeping = rig.reactor.bindDatagrams({
        host: LOCAL,
        message: (_, bytes) => void kept.push(bytes),
      });
      for (const text of wanted) plain.send(text, at(keeping));
      await rig.until("received", () => kept.length === MANY);
      assert.deepEqual(
        kept.map((bytes) => Buffer.from(bytes).toString()),
        wanted,
      );
    }),

    {
      name: "datagrams that come one at a time are received by a call for one, and many again in batches",
      async run() {
        let batches = 0;
        const calls: Partial<Libc> = {
          syscall: (number, ...args) => {
            if (number === SYS.recvmmsg) batches++;
            return kernel.libc.syscall(number, ...args);
          },
        };
        using rig = new Rig(variant, calls);
        const socket = rig.reactor.bindDatagrams({ ...echo, host: LOCAL });
        using plain = Plain.local();
        const next = async (text: string): Promise<void> => {
          plain.send(text, at(socket));
          assert.equal(await plain.text(rig), text);
        };
        for (let i = 0; i < 64; i++) await next(`datagram ${i}`);
        assert.ok(batches <= 16, `${batches}`);
        const wanted = Array.from({ length: MANY }, (_, i) => `of many ${i}`);
        for (const text of wanted) plain.send(text, at(socket));
        for (const text of wanted) assert.equal(await plain.text(rig), text);
        await next("again");
      },
    },

    test("a datagram that is too long is reported, alone and among others", () =>
      withFolder(async (path) => {
        using rig = new Rig(variant);
        const seen: unknown[] = [];
        const socket = rig.reactor.bindDatagrams({
          path: path("it"),
          message: (_, bytes) => void seen.push(bytes.length),
          error: (_, error) => void seen.push(code(error)),
        });
        const socketAddress = { path: path("it") };
        using plain = new Plain({ path: path("other") });
        const expected: unknown[] = [];
        const sent = async (length: number): Promise<void> => {
          plain.send(new Uint8Array(length), socketAddress);
          expected.push(length > 65_536 ? "EMSGSIZE" : length);
          await rig.until("received", () => seen.length === expected.length);
        };
        for (let i = 0; i < 12; i++)
          for (const length of [65_536, 65_537, 100_000]) await sent(length);
        for (const length of [65_537, 65_536, 1]) plain.send(new Uint8Array(length), socketAddress);
        await rig.until("received", () => seen.length === expected.length + 3);
        assert.deepEqual(seen, [...expected, "EMSGSIZE", 65_536, 1]);
        socket.close();
      })),

    {
      name: "without the calls for batches, datagrams are received and sent one by one",
      async run() {
        const calls: Partial<Libc> = {
          syscall: (number, ...args) =>
            number === SYS.recvmmsg || number === SYS.sendmmsg
              ? -ERRNO.ENOSYS
              : kernel.libc.syscall(number, ...args),
        };
        using rig = new Rig(variant, calls);
        const socket = rig.reactor.bindDatagrams({ ...echo, host: LOCAL });
        using plain = Plain.local();
        const wanted = Array.from({ length: 40 }, (_, i) => `datagram ${i}`);
        for (const text of wanted) plain.send(text, at(socket));
        for (const text of wanted) assert.equal(await plain.text(rig), text);
      },
    },

    test("equal and unequal datagrams to several addresses keep their bounds and their order", async (rig) => {
      using one = Plain.local();
      using two = Plain.local();
      const socket = rig.reactor.bindDatagrams({ host: LOCAL });
      const connected = rig.reactor.bindDatagrams({ remote: one.address });
      const lengths = [...new Array(70).fill(10), 0, 0, 10, 9, 9, 10, 1452, 1452, 1452, 1453, 1453];
      for (const turn of [0, 1]) {
        const wanted = lengths.map((length, i) => pattern(length, turn * MANY + i));
        for (const bytes of wanted) socket.send(bytes, one.address);
        for (const bytes of wanted) assertSame(await one.receive(rig), bytes);
        for (const bytes of wanted) connected.send(bytes);
        for (const bytes of wanted) assertSame(await one.receive(rig), bytes);
        for (const [i, bytes] of wanted.entries())
          socket.send(bytes, [one, two][(i >> 2) & 1]?.address);
        for (const [i, bytes] of wanted.entries()) {
          assertSame(await ((i >> 2) & 1 ? two : one).receive(rig), bytes);
        }
      }
      // An address that the program changes between two datagrams.
      const to = { ...one.address };
      socket.send("first", to);
      to.port = two.address.port;
      socket.send("other", to);
      assert.equal(await one.text(rig), "first");
      assert.equal(await two.text(rig), "other");
      // As many bytes as a message has at most, and one more.
      for (const length of [1024, 1040]) {
        const many = Array.from({ length: 64 }, (_, i) => pattern(length, i));
        for (const bytes of many) socket.send(bytes, two.address);
        for (const bytes of many) assertSame(await two.receive(rig), bytes);
      }
    }),

    {
      name: "equal datagrams are sent as segments of a message, if the kernel knows segments",
      skip: whyNoSegments(),
      async run() {
        for (const isOld of [false, true]) {
          const calls: Partial<Libc> = {
            getsockopt: (fd, level, ...rest) =>
              isOld && level === SOL_UDP
                ? -ERRNO.ENOPROTOOPT
                : kernel.libc.getsockopt(fd, level, ...rest),
          };
          let batches = 0;
          calls.syscall = (number, ...args) => {
            if (number === SYS.sendmmsg) batches++;
            return kernel.libc.syscall(number, ...args);
          };
          using rig = new Rig(variant, calls);
          using plain = Plain.local();
          const socket = rig.reactor.bindDatagrams({ host: LOCAL });
          const wanted = Array.from({ length: MANY }, (_, i) => `datagram ${i + MANY}`);
          for (const text of wanted) socket.send(text, plain.address);
          for (const text of wanted) assert.equal(await plain.text(rig), text);
          assert.equal(batches, isOld ? 4 : 1);
        }
      },
    },

    {
      name: "what the kernel refuses as segments is sent one by one, and an error is of one datagram",
      skip: whyNoSegments(),
      async run() {
        const refusals = [ERRNO.EINVAL, ERRNO.EMSGSIZE, ERRNO.EIO, ERRNO.ENOBUFS];
        for (const errno of [...refusals, ERRNO.EHOSTUNREACH, ERRNO.ECONNREFUSED]) {
          for (const isConnected of [true, false]) {
            const isLost = !refusals.includes(errno as never);
            let failures = isLost ? 1 : Number.POSITIVE_INFINITY;
            const calls: Partial<Libc> = {
              syscall: (number, ...args) =>
                number === SYS.sendmmsg && failures-- > 0
                  ? -errno
                  : kernel.libc.syscall(number, ...args),
            };
            using rig = new Rig(variant, calls);
            using plain = Plain.local();
            const errors: unknown[] = [];
            const socket = rig.reactor.bindDatagrams({
              ...(isConnected ? { remote: plain.address } : { host: LOCAL }),
              error: (_, error) => void errors.push((error as { errno?: number }).errno),
            });
            const to = isConnected ? undefined : plain.address;
            const wanted = ["one", "two", "six", "ten", "4", "5"];
            for (const text of wanted) socket.send(text, to);
            // ECONNREFUSED of a connected socket is about an earlier datagram.
            const isEarlier = isConnected && errno === ERRNO.ECONNREFUSED;
            for (const text of wanted.slice(isLost && !isEarlier ? 1 : 0)) {
              assert.equal(await plain.text(rig), text, `${errno}`);
            }
            await rig.until("reported", () => errors.length === (isLost ? 1 : 0));
            assert.equal(plain.socket.recv(10), null);
          }
        }
      },
    },

    test(
      "without a host, a socket receives by IPv6 and IPv4, and answers by either",
      async (rig) => {
        const senders: SocketAddress[] = [];
        const socket = rig.reactor.bindDatagrams({
          message(it, bytes, from) {
            senders.push(from);
            it.send(bytes, from);
          },
        });
        using four = Plain.local();
        using six = new Plain({ address: "::1", port: 0, family: AF_INET6 });
        four.send("four", at(socket));
        assert.equal(await four.text(rig), "four");
        six.send("six", at(socket, "::1"));
        assert.equal(await six.text(rig), "six");
        const [first, second] = senders;
        assert.deepEqual([first?.address, first?.port], [LOCAL, four.address.port]);
        assert.deepEqual([second?.address, second?.port], ["::1", six.address.port]);
        // To an address that is written out, and to one that another socket has received.
        socket.send("again", { address: LOCAL, port: four.address.port });
        assert.equal(await four.text(rig), "again");
        const other = rig.reactor.bindDatagrams({ host: LOCAL });
        other.send("other", first);
        assert.equal(await four.text(rig), "other");
      },
      whyNoIPv6(),
    ),

    test("a socket with a remote receives from it alone, and learns that nothing receives there", async (rig) => {
      using plain = Plain.local();
      using stranger = Plain.local();
      const received: string[] = [];
      const errors: (string | undefined)[] = [];
      const socket = rig.reactor.bindDatagrams({
        remote: plain.address,
        message: (_, bytes) => void received.push(Buffer.from(bytes).toString()),
        error: (_, error) => void errors.push(code(error)),
      });
      assert.equal(socket.remoteAddress?.port, plain.address.port);
      socket.send("hello");
      assert.equal(await plain.text(rig), "hello");
      stranger.send("stranger", at(socket));
      plain.send("peer", at(socket));
      await rig.until("received", () => received.length > 0);
      assert.deepEqual(received, ["peer"]);
      const gone = plain.address;
      plain.socket.close();
      socket.send("lost");
      await rig.until("refused", () => errors.length > 0);
      assert.equal(errors[0], "ECONNREFUSED");
      // It goes on when there is a receiver again.
      using back = new Plain(gone);
      socket.send("found");
      assert.equal(await back.text(rig), "found");
    }),

    test("a paused socket receives nothing, and reports errors", async (rig) => {
      const plain = Plain.local();
      const received: string[] = [];
      const errors: unknown[] = [];
      const socket = rig.reactor.bindDatagrams({
        remote: plain.address,
        message: (_, bytes) => void received.push(Buffer.from(bytes).toString()),
        error: (_, error) => void errors.push(error),
      });
      socket.pause();
      plain.send("later", at(socket));
      await rig.during(3);
      assert.deepEqual(received, []);
      socket.resume();
      await rig.until("received", () => received.length === 1);
      socket.pause();
      plain.socket.close();
      socket.send("lost");
      // select() reports errors of a socket only if it is watched for reading.
      if (variant.engine === "select") socket.resume();
      await rig.until("refused", () => errors.length > 0);
      assert.equal(code(errors[0]), "ECONNREFUSED");
    }),

    test("unix sockets: a full receiver holds up the sender, and nothing is lost or reordered", () =>
      withFolder(async (path) => {
        // Connected, and not: the kernel reports room only for the former.
        for (const isConnected of [true, false]) {
          using rig = new Rig(variant);
          const name = path(isConnected ? "connected" : "plain");
          using plain = new Plain({ path: name });
          let drains = 0;
          const socket = rig.reactor.bindDatagrams({
            ...(isConnected ? { remote: { path: name } } : { path: path(`sender ${isConnected}`) }),
            highWaterBytes: 1000,
            drain: () => {
              drains++;
            },
          });
          const to = isConnected ? undefined : { path: name };
          const wanted = Array.from({ length: MANY }, (_, i) => `${i}`.padEnd(100, "."));
          let sent = 0;
          // More than a batch is passed to the kernel, so that it has refused some.
          while (sent < wanted.length && socket.send(wanted[sent] as string, to)) sent++;
          sent++;
          assert.ok(sent < MANY, "send returned false");
          assert.ok(socket.pendingBytes > 1000);
          for (const text of wanted.slice(sent)) socket.send(text, to);
          for (const text of wanted) assert.equal(await plain.text(rig), text);
          await rig.until("drained", () => drains > 0);
          assert.equal(socket.pendingBytes, 0);
          assert.equal(socket.send("more", to), true);
          assert.equal(await plain.text(rig), "more");
          assert.equal(socket.dropped, 0);
          socket.close();
        }
      })),

    test("datagrams above maxPendingBytes are dropped and counted", () =>
      withFolder(async (path) => {
        using rig = new Rig(variant);
        using plain = new Plain({ path: path("receiver") });
        const socket = rig.reactor.bindDatagrams({
          remote: { path: path("receiver") },
          highWaterBytes: 0,
          maxPendingBytes: 500,
        });
        for (let i = 0; i < MANY; i++) socket.send("x".repeat(100));
        await rig.step();
        assert.equal(socket.pendingBytes, 500);
        let arrived = 0;
        await rig.until("received", () => {
          while (plain.socket.recv(200) !== null) arrived++;
          return arrived + socket.dropped === MANY;
        });
      })),

    test("the file of a unix socket is removed with it, and a client without a path has none", () =>
      withFolder(async (path) => {
        using rig = new Rig(variant);
        const name = path("server");
        const senders: SocketAddress[] = [];
        const server = rig.reactor.bindDatagrams({
          path: name,
          message: (_, _bytes, from) => void senders.push(from),
        });
        assert.equal(existsSync(name), true);
        assert.throws(() => rig.reactor.bindDatagrams({ path: name }), { code: "EADDRINUSE" });
        rig.reactor.bindDatagrams({ remote: { path: name } }).send("unnamed");
        rig.reactor.bindDatagrams({ path: path("client"), remote: { path: name } }).send("named");
        await rig.until("received", () => senders.length === 2);
        const paths = senders.map((sender) => sender.path).sort();
        assert.deepEqual(paths, ["", path("client")]);
        server.close();
        assert.equal(existsSync(name), false);
      })),

    test("broadcast needs its option", async (rig) => {
      const received: string[] = [];
      const receiver = rig.reactor.bindDatagrams({
        host: "0.0.0.0",
        message: (_, bytes) => void received.push(Buffer.from(bytes).toString()),
      });
      const to = at(receiver, "127.255.255.255");
      const errors: (string | undefined)[] = [];
      const error: DatagramOptions["error"] = (_, thrown) => void errors.push(code(thrown));
      rig.reactor.bindDatagrams({ host: LOCAL, error }).send("forbidden", to);
      await rig.until("refused", () => errors.length === 1);
      assert.deepEqual(errors, ["EACCES"]);
      rig.reactor.bindDatagrams({ host: LOCAL, error, broadcast: true }).send("allowed", to);
      await rig.until("received", () => received.length === 1);
      assert.deepEqual(received, ["allowed"]);
    }),

    test(
      "a multicast group is joined and left",
      async (rig) => {
        const received: string[] = [];
        const receiver = rig.reactor.bindDatagrams({
          host: "0.0.0.0",
          reuseAddr: true,
          message: (_, bytes) => void received.push(Buffer.from(bytes).toString()),
        });
        const to = at(receiver, GROUP);
        const sender = rig.reactor.bindDatagrams({
          host: LOCAL,
          multicastInterface: "lo",
          multicastTtl: 0,
          multicastLoopback: true,
        });
        receiver.joinGroup(GROUP, "lo");
        assert.throws(() => receiver.joinGroup(GROUP, "lo"), { code: "EADDRINUSE" });
        sender.send("to the group", to);
        await rig.until("received", () => received.length === 1);
        receiver.leaveGroup(GROUP, "lo");
        assert.throws(() => receiver.leaveGroup(GROUP, "lo"), {
          code: "EADDRNOTAVAIL",
          hint: "the socket has not joined this group on this interface",
        });
        sender.send("to nobody", to);
        sender.send("to you", at(receiver));
        await rig.until("received", () => received.length === 2);
        assert.deepEqual(received, ["to the group", "to you"]);
        assert.throws(() => receiver.joinGroup(LOCAL), { code: "ERR_INVALID_ADDRESS" });
        assert.throws(() => receiver.joinGroup("all"), { code: "ERR_INVALID_ADDRESS" });
        assert.throws(() => receiver.joinGroup(GROUP, "no-such0"), { code: "ERR_INVALID_ADDRESS" });
      },
      whyNoMulticast(),
    ),

    test("a handler that throws is reported, and the socket continues", async (rig) => {
      const errors: string[] = [];
      const received: string[] = [];
      const socket = rig.reactor.bindDatagrams({
        host: LOCAL,
        message(_, bytes) {
          received.push(Buffer.from(bytes).toString());
          if (received.length === 1) throw new Error("thrown");
        },
        error: (_, { message }) => void errors.push(message),
      });
      using plain = Plain.local();
      plain.send("one", at(socket));
      plain.send("two", at(socket));
      await rig.until("received", () => received.length === 2);
      assert.deepEqual([received, errors], [["one", "two"], ["thrown"]]);
    }),

    test("close sends what was sent before, calls close once, and can be called in a handler", async (rig) => {
      using plain = Plain.local();
      let closes = 0;
      const close = (): void => void closes++;
      const socket = rig.reactor.bindDatagrams({ host: LOCAL, close });
      socket.send("last", plain.address);
      socket.close();
      socket.close();
      assert.equal(await plain.text(rig), "last");
      assert.equal(closes, 1);
      assert.equal(socket.send("never", plain.address), false);
      assert.deepEqual([socket.address, socket.port, socket.fileno()], [null, -1, -1]);
      assert.throws(() => socket.joinGroup(GROUP), { code: "ERR_CLOSED" });
      const received: string[] = [];
      const other = rig.reactor.bindDatagrams({
        host: LOCAL,
        close,
        message(it, bytes) {
          received.push(Buffer.from(bytes).toString());
          it.close();
        },
      });
      const to = at(other);
      for (const text of ["one", "two"]) plain.send(text, to);
      await rig.until("closed", () => closes === 2);
      assert.deepEqual(received, ["one"]);
      // The reactor closes the others.
      rig.reactor.bindDatagrams({ host: LOCAL, close });
      rig.reactor.close();
      assert.equal(closes, 3);
    }),

    test("an unreferenced socket does not keep the reactor alive", async (rig) => {
      const socket = rig.reactor.bindDatagrams({ host: LOCAL });
      assert.equal(rig.reactor.alive, true);
      socket.unref();
      socket.unref();
      assert.equal(rig.reactor.alive, false);
      socket.ref();
      assert.equal(rig.reactor.alive, true);
      socket.close();
      await rig.until("released", () => !rig.reactor.alive);
    }),

    test("invalid options and datagrams are refused, and leave nothing open", (rig) => {
      const wrong: readonly (readonly [object, string])[] = [
        [{ port: -1 }, "ERR_INVALID_PORT"],
        [{ host: "example.org" }, "ERR_INVALID_ADDRESS"],
        [{ host: LOCAL, hostname: LOCAL }, "ERR_INVALID_OPTION"],
        [{ remote: "127.0.0.1:53" }, "ERR_INVALID_ADDRESS"],
        [{ path: "/x", remote: { address: LOCAL, port: 1 } }, "ERR_INVALID_OPTION"],
        [{ path: "/no-such-dir/x" }, "ENOENT"],
        [{ remote: { path: "/no-such-dir/x" } }, "ENOENT"],
        [{ message: 1 }, "ERR_INVALID_OPTION"],
        [{ data() {} }, "ERR_INVALID_OPTION"],
        [{ multicastTtl: 256 }, "ERR_INVALID_OPTION"],
        [{ multicastInterface: "no-such0" }, "ERR_INVALID_ADDRESS"],
        [{ broadcast: 1 }, "ERR_INVALID_OPTION"],
        [{ highWaterBytes: -1 }, "ERR_INVALID_OPTION"],
        [{ receiveBufferSize: 0 }, "ERR_INVALID_OPTION"],
      ];
      for (const [options, wanted] of wrong) {
        const bind = () => rig.reactor.bindDatagrams(options);
        assert.throws(bind, { code: wanted }, JSON.stringify(options));
      }
      const socket = rig.reactor.bindDatagrams({ host: LOCAL });
      const sends: readonly (readonly [unknown, unknown, string])[] = [
        [1, at(socket), "ERR_INVALID_DATA"],
        [new Uint8Array(65_508), at(socket), "ERR_INVALID_LENGTH"],
        ["x", undefined, "ERR_INVALID_ADDRESS"],
        ["x", { path: "/x" }, "ERR_INVALID_ADDRESS"],
        ["x", { address: "example.org", port: 1 }, "ERR_INVALID_ADDRESS"],
        ["x", { address: LOCAL, port: 70_000 }, "ERR_INVALID_PORT"],
      ];
      for (const [bytes, to, wanted] of sends) {
        assert.throws(() => socket.send(bytes as string, to as SocketAddress), { code: wanted });
      }
      socket.close();
    }),
  ];
}
