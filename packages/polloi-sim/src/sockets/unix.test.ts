import assert from "node:assert/strict";
import { test } from "node:test";
import { AF_UNIX, ERRNO, POLLOUT, SOCK_DGRAM, SOCK_STREAM } from "polloi/internal/pure";
import { Choices } from "../base/choices.ts";
import { VirtualClock } from "../base/clock.ts";
import { type FaultRates, Faults } from "../base/faults.ts";
import { World } from "../base/world.ts";
import { OpenFile } from "../process/open-file.ts";
import { unixSockaddr } from "./address.ts";
import { createPair, createSocket } from "./create.ts";
import { Network } from "./network.ts";
import { Message, SocketFile } from "./socket-file.ts";

function networkOf(rates: FaultRates = {}): Network {
  const choices = Choices.plain();
  return new Network(new World(choices, new Faults(choices, rates), new VirtualClock()));
}

function unix(network: Network, type: number = SOCK_STREAM): SocketFile {
  const socket = createSocket(network, AF_UNIX, type);
  assert.ok(socket instanceof SocketFile);
  return socket.hold();
}

function pair(network: Network, type: number = SOCK_STREAM): readonly [SocketFile, SocketFile] {
  const made = createPair(network, AF_UNIX, type);
  assert.ok(typeof made !== "number");
  return [made[0].hold(), made[1].hold()];
}

class Counted extends OpenFile {
  readonly kind = "counted";
  isClosed = false;

  poll(): number {
    return 0;
  }

  protected released(): void {
    this.isClosed = true;
  }
}

test("a file that travels is open until it is received, or until its socket closes", () => {
  for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
    const [a, b] = pair(networkOf(), type);
    const send = (): Counted => {
      const file = new Counted();
      file.hold();
      const message = new Message();
      message.files = [file];
      assert.equal(a.send(Uint8Array.of(1), 0, message), 1);
      file.drop();
      assert.equal(file.isClosed, false);
      return file;
    };
    const received = send();
    const message = new Message();
    assert.equal(b.receive(new Uint8Array(9), 0, message), 1);
    assert.equal(message.files?.length, 1);
    assert.equal(received.isClosed, false);
    message.files?.[0]?.drop();
    assert.equal(received.isClosed, true);
    // Without a place for it, it is closed.
    const ignored = send();
    assert.equal(b.receive(new Uint8Array(9)), 1);
    assert.equal(ignored.isClosed, true);
    const unread = send();
    b.drop();
    assert.equal(unread.isClosed, true);
  }
});

test("a receive ends behind files, so that the bytes after them need another one", () => {
  const [a, b] = pair(networkOf());
  const message = new Message();
  message.files = [new Counted().hold()];
  a.send(Uint8Array.of(1), 0, message);
  a.send(Uint8Array.of(2));
  const buffer = new Uint8Array(9);
  assert.equal(b.receive(buffer, 0, new Message()), 1);
  assert.equal(b.receive(buffer), 1);
});

test("each packet that is read wakes a writer, once a quarter of the buffer is in use", () => {
  const [a, b] = pair(networkOf());
  const chunk = new Uint8Array(4096);
  while (a.send(chunk) > 0);
  let wakes = 0;
  a.waiters.add({
    isExclusive: false,
    wake(mask) {
      if ((mask & POLLOUT) !== 0) wakes++;
      return true;
    },
  });
  let reads = 0;
  while ((a.poll() & POLLOUT) === 0) {
    assert.equal(wakes, 0);
    b.receive(chunk);
    reads++;
  }
  // 44 packets of 4,864 bytes with their memory; 10 of them are at most a quarter of 212,992 bytes.
  assert.deepEqual([reads, wakes], [34, 1]);
  b.receive(chunk);
  assert.equal(wakes, 2);
});

test("a send without memory fails before the first byte, and is short after it", () => {
  const [a, b] = pair(networkOf({ noBuffers: 1 }));
  assert.equal(a.send(new Uint8Array(9)), -ERRNO.ENOBUFS);
  assert.equal(b.receive(new Uint8Array(9)), -ERRNO.EAGAIN);
  const [c] = pair(networkOf({ shortWrite: 1 }));
  assert.equal(c.send(new Uint8Array(100_000)), 36_544);
});

test("ten datagrams and one wait at a socket that is not connected, and its reader wakes the sender", () => {
  const network = networkOf();
  const server = unix(network, SOCK_DGRAM);
  assert.equal(server.bind(unixSockaddr("\0server")), 0);
  const client = unix(network, SOCK_DGRAM);
  assert.equal(client.connect(unixSockaddr("\0server")), 0);
  let sent = 0;
  while (client.send(Uint8Array.of(1)) === 1) sent++;
  assert.equal(sent, 11);
  assert.equal(client.poll() & POLLOUT, 0);
  let wakes = 0;
  client.waiters.add({
    isExclusive: false,
    wake() {
      wakes++;
      return true;
    },
  });
  server.receive(new Uint8Array(9));
  assert.ok(wakes > 0);
  assert.equal(client.poll() & POLLOUT, POLLOUT);
});

test("names are free when their socket closes; sockets of other types have names of their own", () => {
  const network = networkOf();
  const name = unixSockaddr("\0name");
  const server = unix(network);
  assert.equal(server.bind(name), 0);
  assert.equal(unix(network).bind(name), -ERRNO.EADDRINUSE);
  assert.equal(unix(network, SOCK_DGRAM).bind(name), 0);
  server.drop();
  assert.equal(unix(network).connect(name), -ERRNO.ECONNREFUSED);
  assert.equal(unix(network).bind(name), 0);
  const path = unixSockaddr("/run/socket");
  const other = unix(network);
  assert.equal(other.bind(path), 0);
  other.drop();
  // The file stays.
  assert.equal(unix(network).bind(path), -ERRNO.EADDRINUSE);
  assert.equal(unix(network).connect(path), -ERRNO.ECONNREFUSED);
  assert.equal(unix(network).bind(unixSockaddr("/nowhere/socket")), -ERRNO.ENOENT);
});

test("a connection that closes leaves the abstract name to the listener that has accepted it", () => {
  const network = networkOf();
  const name = unixSockaddr("\0name");
  const listener = unix(network);
  assert.equal(listener.bind(name), 0);
  assert.equal(listener.listen(5), 0);
  const client = unix(network);
  assert.equal(client.connect(name), 0);
  const accepted = listener.accept();
  assert.ok(accepted instanceof SocketFile);
  accepted.hold().drop();
  assert.equal(unix(network).connect(name), 0);
  listener.drop();
  assert.equal(unix(network).connect(name), -ERRNO.ECONNREFUSED);
});
