/** Sockets with independent clients and servers: Python's socket module, and socat. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createConnection,
  createServer,
  type InetAddress,
  receiveFds,
  SHUT_WR,
  Socket,
  sendFds,
} from "../../src/socket/index.ts";

/** How long a peer may take. */
const PATIENCE_MS = 20_000;

/** Why a peer cannot be used, or false. */
function missing(command: string, ...args: string[]): string | false {
  return spawnSync(command, args).status === 0 ? false : `${command} is not installed`;
}

const noPython = missing("python3", "--version");
const noSocat = missing("socat", "-V");

/** A peer in a process of its own, killed if it outlives the test. */
class Peer implements Disposable {
  readonly process: ChildProcess;
  output = "";
  errors = "";
  /** Resolves when the process has exited and its output has ended. */
  readonly #closed: Promise<unknown>;

  constructor(command: string, args: readonly string[]) {
    this.process = spawn(command, args, { stdio: "pipe" });
    this.#closed = once(this.process, "close");
    this.process.stdout?.setEncoding("latin1").on("data", (text: string) => {
      this.output += text;
    });
    this.process.stderr?.on("data", (text) => {
      this.errors += text;
    });
  }

  static python(script: string, ...args: string[]): Peer {
    return new Peer("python3", ["-c", script, ...args]);
  }

  /** Waits until the process has exited, and requires success. */
  async end(): Promise<void> {
    await this.#closed;
    assert.equal(this.process.exitCode, 0, this.errors);
  }

  [Symbol.dispose](): void {
    if (this.process.exitCode === null) this.process.kill("SIGKILL");
  }
}

/** Polls until `look` returns something, without blocking the thread, which also receives the output of the peer. */
async function eventually<T>(look: () => T | null | undefined, peer: Peer): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const found = look();
    if (found !== null && found !== undefined) return found;
    await sleep(1);
  }
  throw new Error(`nothing arrived within ${PATIENCE_MS} ms; the peer reported: ${peer.errors}`);
}

/** Sends back what a non-blocking socket receives, until its end. */
async function echo(socket: Socket, peer: Peer): Promise<void> {
  for (;;) {
    const bytes = await eventually(() => socket.recv(65_536), peer);
    if (bytes.length === 0) return;
    for (let sent = 0; sent < bytes.length; ) {
      sent += await eventually(() => socket.send(bytes.subarray(sent)), peer);
    }
  }
}

const ECHO_CLIENTS = `
import hashlib, os, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
messages = [os.urandom(1 + i * 37 % 5000) for i in range(count)]
for s, message in zip(sockets, messages): s.sendall(message)
for s, message in zip(sockets, messages):
    got = b""
    while len(got) < len(message): got += s.recv(65536)
    assert got == message
    s.shutdown(socket.SHUT_WR)
    assert s.recv(1) == b""
    s.close()
`;

const UPPER_SERVER = `
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
got = b""
while chunk := connection.recv(65536): got += chunk
connection.sendall(got.upper())
connection.close()
`;

const FD_SENDER = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
r, w = os.pipe()
a, b = socket.socketpair()
socket.send_fds(s, [b"two sockets"], [a.fileno(), b.fileno()])
a.close(); b.close()
data, fds, flags, _ = socket.recv_fds(s, 100, 1)
assert data == b"back" and len(fds) == 1
os.write(fds[0], b"written by python")
`;

const DATAGRAMS = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
while True:
    data, sender = s.recvfrom(65536)
    s.sendto(data[::-1], sender)
    if not data: break
`;

describe("sockets and independent peers", { timeout: 60_000 }, () => {
  test("each of 200 Python clients receives its own bytes back", {
    skip: noPython,
  }, async () => {
    const count = 200;
    using server = createServer({ host: "127.0.0.1", port: 0, nonBlocking: true });
    const { port } = server.localAddress();
    using peer = Peer.python(ECHO_CLIENTS, String(port), String(count));
    const serving = Array.from({ length: count }, async () => {
      const { socket } = await eventually(() => server.accept(), peer);
      await echo(socket, peer);
      socket.close();
    });
    await Promise.all([...serving, peer.end()]);
  });

  test("a Python server answers after a half-close", { skip: noPython }, async () => {
    using peer = Peer.python(UPPER_SERVER);
    const port = Number(await eventually(() => peer.output.match(/^(\d+)\n/)?.[1], peer));
    using socket = await createConnection({ host: "localhost", port, timeoutMs: PATIENCE_MS });
    const question = "mixed Case ".repeat(5000);
    socket.sendAll(question);
    socket.shutdown(SHUT_WR);
    let answer = "";
    for (let bytes = socket.recv(4096); bytes?.length; bytes = socket.recv(4096)) {
      answer += Buffer.from(bytes).toString("latin1");
    }
    assert.equal(answer, question.toUpperCase());
    await peer.end();
  });

  test("a datagram to Python is answered, with the address of the peer", {
    skip: noPython,
  }, async () => {
    using peer = Peer.python(DATAGRAMS);
    const port = Number(await eventually(() => peer.output.match(/^(\d+)\n/)?.[1], peer));
    const address: InetAddress = { address: "127.0.0.1", port };
    using socket = new Socket(2, 2);
    socket.setTimeout(PATIENCE_MS);
    for (const text of ["abc", "x".repeat(60_000), ""]) {
      socket.sendTo(text, address);
      const got = socket.recvFrom(65_536);
      assert.equal(Buffer.from(got?.bytes ?? []).toString(), [...text].reverse().join(""));
      assert.deepEqual(got?.address, { ...address, family: 2 });
    }
    await peer.end();
  });

  test("descriptors are passed from Python and back", { skip: noPython }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "polloi-"));
    try {
      const path = join(directory, "fds.sock");
      using server = createServer({ path, nonBlocking: true });
      using peer = Peer.python(FD_SENDER, path);
      const { socket } = await eventually(() => server.accept(), peer);
      using connection = socket;
      const got = await eventually(() => receiveFds(connection, 100, 2), peer);
      assert.equal(Buffer.from(got.bytes).toString(), "two sockets");
      assert.equal(got.fds.length, 2);
      const [a, b] = got.fds.map((fd) => Socket.fromFd(fd)) as [Socket, Socket];
      using left = a;
      using right = b;
      assert.equal(left.isInheritable(), false);
      sendFds(connection, "back", [left]);
      right.setTimeout(PATIENCE_MS);
      assert.equal(Buffer.from(right.recv(100) ?? []).toString(), "written by python");
      await peer.end();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("socat connects to a path and to an abstract name, and receives its bytes back", {
    skip: noSocat,
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "polloi-"));
    try {
      const path = join(directory, "echo.sock");
      const name = `polloi-${process.pid}-${performance.now()}`;
      const places: [string, string][] = [
        [path, `UNIX-CONNECT:${path}`],
        [`\0${name}`, `ABSTRACT-CONNECT:${name}`],
      ];
      for (const [path, target] of places) {
        using server = createServer({ path, nonBlocking: true });
        using peer = new Peer("socat", ["-t", "10", "-", target]);
        const { socket } = await eventually(() => server.accept(), peer);
        using connection = socket;
        const serving = echo(connection, peer).then(() => connection.shutdown(SHUT_WR));
        const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) & 0xff));
        peer.process.stdin?.end(sent);
        await serving;
        await peer.end();
        assert.ok(Buffer.from(peer.output, "latin1").equals(sent), "the echo differs");
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
