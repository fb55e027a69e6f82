import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AF_INET,
  ERRNO,
  IPPROTO_TCP,
  MSG_MORE,
  POLLERR,
  POLLIN,
  POLLOUT,
  SHUT_WR,
  SO_ATTACH_FILTER,
  SO_RCVBUF,
  SO_REUSEPORT,
  SO_SNDBUF,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_CORK,
} from "polloi/internal/pure";
import { Choices } from "../base/choices.ts";
import { VirtualClock } from "../base/clock.ts";
import { type FaultRates, Faults } from "../base/faults.ts";
import { World } from "../base/world.ts";
import { loopbackSockaddr, portOf } from "./address.ts";
import { SO_ATTACH_REUSEPORT_CBPF, SO_DETACH_FILTER } from "./constants.ts";
import { createSocket } from "./create.ts";
import { Network } from "./network.ts";
import { setOption } from "./options.ts";
import { SocketFile } from "./socket-file.ts";

function networkOf(choices: Choices = Choices.plain(), rates: FaultRates = {}): Network {
  return new Network(new World(choices, new Faults(choices, rates), new VirtualClock()));
}

function tcp(network: Network): SocketFile {
  const socket = createSocket(network, AF_INET, SOCK_STREAM);
  assert.ok(socket instanceof SocketFile);
  return socket.hold();
}

function listener(network: Network, backlog = 16, port = 0): SocketFile {
  const socket = tcp(network);
  assert.equal(socket.bind(loopbackSockaddr(port)), 0);
  assert.equal(socket.listen(backlog), 0);
  return socket;
}

function accepted(server: SocketFile): SocketFile {
  const socket = server.accept();
  assert.ok(typeof socket !== "number", `accept returned ${socket}`);
  return socket.hold();
}

/** Both ends of a connection. */
function connection(network: Network): [client: SocketFile, server: SocketFile] {
  const server = listener(network);
  const client = tcp(network);
  assert.equal(client.connect(server.localName()), -ERRNO.EINPROGRESS);
  while (client.connectResult() === -ERRNO.EAGAIN) assert.ok(network.world.step());
  while ((server.poll() & POLLIN) === 0) assert.ok(network.world.step());
  const socket = accepted(server);
  server.drop();
  return [client, socket];
}

function int(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

function bytes(length: number, start = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (start + i) * 31 + ((start + i) >> 8));
}

/** A program that acts only when it is woken, as one with edge-triggered events does. */
class Woken {
  readonly received: number[] = [];
  isEnded = false;
  error = 0;
  #sent = 0;
  readonly #socket: SocketFile;
  readonly #message: Uint8Array;
  readonly #buffer: Uint8Array;

  constructor(socket: SocketFile, message: Uint8Array, buffer: number) {
    this.#socket = socket;
    this.#message = message;
    this.#buffer = new Uint8Array(buffer);
    let isScheduled = false;
    const schedule = (): void => {
      if (isScheduled) return;
      isScheduled = true;
      socket.network.world.schedule(0.01, () => {
        isScheduled = false;
        this.#act();
      });
    };
    socket.waiters.add({
      isExclusive: false,
      wake: () => {
        schedule();
        return true;
      },
    });
    schedule();
  }

  get isDone(): boolean {
    return this.isEnded || this.error !== 0;
  }

  #act(): void {
    while (!this.isDone) {
      const length = this.#socket.receive(this.#buffer);
      if (length === -ERRNO.EAGAIN) break;
      if (length < 0) this.error = -length;
      else if (length === 0) this.isEnded = true;
      else this.received.push(...this.#buffer.subarray(0, length));
    }
    const message = this.#message;
    while (this.#sent < message.length && this.error === 0) {
      const length = this.#socket.send(message.subarray(this.#sent, this.#sent + 9000));
      if (length === -ERRNO.EAGAIN || length === -ERRNO.ENOBUFS) break;
      if (length < 0) this.error = -length;
      else this.#sent += length;
      if (this.#sent === message.length) this.#socket.shutdown(SHUT_WR);
    }
  }
}

test("bytes arrive complete and in order, and no wake-up is lost, whatever is late or short", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const choices = Choices.seeded(seed);
    const rates = { delay: 3, shortRead: 3, shortWrite: 3, order: 2 };
    const network = networkOf(choices, rates);
    const [a, b] = connection(network);
    for (const socket of [a, b]) {
      if (choices.oneIn(2))
        setOption(socket, SOL_SOCKET, SO_SNDBUF, int(choices.between(1, 20_000)));
      if (choices.oneIn(2))
        setOption(socket, SOL_SOCKET, SO_RCVBUF, int(choices.between(1, 20_000)));
    }
    const [one, two] = [bytes(choices.below(60_000) + 1), bytes(choices.below(3000) + 1, 99)];
    const left = new Woken(a, one, choices.between(1, 5000));
    const right = new Woken(b, two, choices.between(1, 5000));
    while (network.world.step());
    assert.deepEqual([left.error, right.error], [0, 0], `seed ${seed}`);
    assert.ok(left.isEnded && right.isEnded, `seed ${seed}: ${left.isEnded} ${right.isEnded}`);
    assert.ok(Buffer.from(right.received).equals(one), `seed ${seed}`);
    assert.ok(Buffer.from(left.received).equals(two), `seed ${seed}`);
  }
});

test("a connection that the network resets fails at both ends", () => {
  const network = networkOf(Choices.plain(), { reset: 1 });
  const [a, b] = connection(network);
  assert.equal(a.send(bytes(3)), -ERRNO.ECONNRESET);
  assert.equal(a.send(bytes(3)), -ERRNO.EPIPE);
  assert.equal(b.poll() & POLLERR, POLLERR);
  assert.equal(b.receive(new Uint8Array(9)), -ERRNO.ECONNRESET);
  assert.equal(b.receive(new Uint8Array(9)), 0);
});

test("a connection that fails before it is accepted leaves the others in the backlog", () => {
  const network = networkOf(Choices.replay([0, 1]), { abortedAccept: 2 });
  const server = listener(network);
  const clients = [tcp(network), tcp(network)];
  for (const client of clients) client.connect(server.localName());
  accepted(server);
  assert.equal(server.accept(), -ERRNO.ECONNABORTED);
  assert.equal(server.accept(), -ERRNO.EAGAIN);
  assert.equal(clients[1]?.receive(bytes(1)), -ERRNO.ECONNRESET);
});

test("with a full backlog a client tries again after 1 second, 2, 4 ..., and gives up after 127", () => {
  const network = networkOf();
  const { world } = network;
  const server = listener(network, 0);
  const [first, second, third] = [tcp(network), tcp(network), tcp(network)];
  for (const client of [first, second, third]) client.connect(server.localName());
  assert.deepEqual(
    [first, second, third].map((client) => client.connectResult()),
    [0, -ERRNO.EAGAIN, -ERRNO.EAGAIN],
  );
  accepted(server);
  world.waitUntil(() => second.connectResult() === 0, Number.POSITIVE_INFINITY);
  assert.equal(world.now(), 1000);
  let result = 0;
  world.waitUntil(() => {
    result = third.connectResult();
    return result !== -ERRNO.EAGAIN;
  }, Number.POSITIVE_INFINITY);
  assert.deepEqual([result, world.now()], [-ERRNO.ETIMEDOUT, 127_000]);
});

/** The instructions of a program: code, jumps, constant. */
function program(...instructions: (readonly [number, number, number, number])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * instructions.length));
  for (const [i, [code, ifTrue, ifFalse, k]] of instructions.entries()) {
    view.setUint16(8 * i, code, true);
    view.setUint8(8 * i + 2, ifTrue);
    view.setUint8(8 * i + 3, ifFalse);
    view.setUint32(8 * i + 4, k, true);
  }
  return new Uint8Array(view.buffer);
}

test("a filter that drops requests for connections keeps those that exist", () => {
  const network = networkOf();
  const server = listener(network);
  const before = tcp(network);
  before.connect(server.localName());
  const dropSyn = program(
    [0x30, 0, 0, 13],
    [0x54, 0, 0, 0x12],
    [0x15, 0, 1, 2],
    [0x06, 0, 0, 0],
    [0x06, 0, 0, 0xffff_ffff],
  );
  assert.equal(setOption(server, SOL_SOCKET, SO_ATTACH_FILTER, dropSyn), 0);
  const after = tcp(network);
  after.connect(server.localName());
  assert.equal(before.send(bytes(4)), 4);
  const served = accepted(server);
  assert.equal(served.receive(new Uint8Array(9)), 4);
  assert.equal(after.connectResult(), -ERRNO.EAGAIN);
  assert.equal(setOption(server, SOL_SOCKET, SO_DETACH_FILTER, int(0)), 0);
  network.world.step();
  assert.equal(after.connectResult(), 0);
  assert.equal(
    setOption(server, SOL_SOCKET, SO_ATTACH_FILTER, program([0x30, 0, 0, 0])),
    -ERRNO.EINVAL,
  );
});

test("a program picks the socket of a shared port by its number, which the last takes over", () => {
  const network = networkOf();
  const open = (port: number): SocketFile => {
    const socket = tcp(network);
    setOption(socket, SOL_SOCKET, SO_REUSEPORT, int(1));
    assert.equal(socket.bind(loopbackSockaddr(port)), 0);
    assert.equal(socket.listen(16), 0);
    return socket;
  };
  const first = open(0);
  const port = portOf(first.localName());
  const [second, third] = [open(port), open(port)];
  const waiting = (): boolean[] =>
    [first, second, third].map((socket) => typeof socket.accept() !== "number");
  const pick = (number: number): void => {
    const one = program([0x06, 0, 0, number]);
    assert.equal(setOption(second, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, one), 0);
    tcp(network).connect(loopbackSockaddr(port));
  };
  pick(1);
  assert.deepEqual(waiting(), [false, true, false]);
  pick(2);
  assert.deepEqual(waiting(), [false, false, true]);
  first.drop();
  pick(0);
  assert.deepEqual(waiting(), [false, false, true]);
  // A number that no socket has: any socket.
  pick(7);
  assert.equal(waiting().filter(Boolean).length, 1);
});

test("without reuseAddress a port is in use for a minute after its server has closed first", () => {
  const network = networkOf();
  const server = listener(network);
  const name = server.localName();
  const client = tcp(network);
  client.connect(name);
  const served = accepted(server);
  server.drop();
  served.drop();
  client.drop();
  const next = tcp(network);
  assert.equal(next.bind(name), -ERRNO.EADDRINUSE);
  network.world.waitUntil(() => false, 60_001);
  assert.equal(next.bind(name), 0);
});

test("a corked segment leaves when it is full, when the cork is removed, or after 200 ms", () => {
  const network = networkOf();
  const { world } = network;
  const [a, b] = connection(network);
  const buffer = new Uint8Array(100_000);
  assert.equal(a.send(bytes(10), MSG_MORE), 10);
  assert.equal(b.receive(buffer), -ERRNO.EAGAIN);
  world.step();
  assert.equal(world.now(), 200);
  assert.equal(b.receive(buffer), 10);
  setOption(a, IPPROTO_TCP, TCP_CORK, int(1));
  a.send(bytes(40_000));
  assert.equal(b.receive(buffer), 32_741);
  assert.equal(b.receive(buffer), -ERRNO.EAGAIN);
  setOption(a, IPPROTO_TCP, TCP_CORK, int(0));
  assert.equal(b.receive(buffer), 40_000 - 32_741);
  // MSG_MORE holds back only what its own call has sent last.
  a.send(bytes(40_000), MSG_MORE);
  assert.equal(b.receive(buffer), 40_000);
});

test("a full send buffer is writable again when a third of it is free, and wakes once", () => {
  const network = networkOf();
  const [a, b] = connection(network);
  setOption(a, SOL_SOCKET, SO_SNDBUF, int(150_000));
  while (a.send(bytes(30_000)) > 0);
  const wakes: number[] = [];
  a.waiters.add({
    isExclusive: false,
    wake(mask) {
      wakes.push(mask & POLLOUT);
      return true;
    },
  });
  assert.equal(a.poll() & POLLOUT, 0);
  const buffer = new Uint8Array(2000);
  while ((a.poll() & POLLOUT) === 0) assert.ok(b.receive(buffer) > 0);
  assert.deepEqual(wakes, [POLLOUT]);
  while (b.receive(buffer) > 0);
  assert.deepEqual(wakes, [POLLOUT]);
});
