/** The reactor with independent clients: nc, Python's socket module and socat. Every byte is compared. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { assertFreeDescriptors } from "../../../../test/support/descriptors.ts";
import { type Handlers, type Listener, Reactor } from "../../src/index.ts";
import { FD_SETSIZE } from "../../src/sys/abi.ts";
import { READINESS_ENGINES } from "../support/engines.ts";
import { assertSame, pattern } from "./rig.ts";

/** How long a peer may take. */
const PATIENCE_MS = 20_000;

function missing(command: string, ...args: string[]): string | false {
  return spawnSync(command, args).error === undefined ? false : `${command} is not installed`;
}

/** Runs a program with `input` as its standard input. @returns Its output. */
async function through(command: string, args: readonly string[], input: Uint8Array) {
  const child = spawn(command, args, { timeout: PATIENCE_MS });
  const output: Uint8Array[] = [];
  let errors = "";
  child.stdout.on("data", (part) => void output.push(part));
  child.stderr.on("data", (part) => {
    errors += part;
  });
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.once("close", resolve));
  return { code, errors, output: Buffer.concat(output) };
}

const echo: Handlers & { zeroCopy: boolean } = {
  zeroCopy: true,
  data: (connection, bytes) => {
    if (!connection.write(bytes)) connection.pause();
  },
  drain: (connection) => connection.resume(),
};

/** All clients connect before the first one sends. Each sends its own bytes, in parts. */
const MANY = `
import selectors, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
def message(i):
    return (b"socket %d says " % i) * (1 + i % 97)
socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
sel = selectors.DefaultSelector()
state = {}
for i, sock in enumerate(socks):
    sock.setblocking(False)
    state[sock] = [message(i), message(i), b""]
    sel.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
while state:
    for key, events in sel.select(10):
        sock = key.fileobj
        wanted, unsent, got = state[sock]
        if events & selectors.EVENT_WRITE and unsent:
            sent = sock.send(unsent[:1 + len(unsent) // 3])
            state[sock][1] = unsent = unsent[sent:]
            if not unsent:
                sock.shutdown(socket.SHUT_WR)
                sel.modify(sock, selectors.EVENT_READ)
        if events & selectors.EVENT_READ:
            part = sock.recv(65536)
            if part:
                state[sock][2] = got + part
            else:
                assert got == wanted, (len(got), len(wanted))
                sel.unregister(sock)
                sock.close()
                del state[sock]
print("every byte of", count)
`;

for (const [engine, trigger] of READINESS_ENGINES) {
  describe(`${engine}, ${trigger}-triggered`, () => {
    const serving = (body: (listener: Listener, reactor: Reactor) => Promise<void>) => async () => {
      const reactor = new Reactor({ engine, trigger });
      try {
        await body(reactor.listen({ host: "127.0.0.1", port: 0, backlog: 2000, ...echo }), reactor);
      } finally {
        reactor.close();
      }
    };
    const bytes = pattern(3_000_000, 11);

    test(
      "nc receives what it sends",
      { skip: missing("nc", "-h") },
      serving(async ({ port }) => {
        // -N makes nc end the connection with its input. Versions without -N do so anyway.
        const half = /-[a-zA-Z]*N/.test(String(spawnSync("nc", ["-h"]).stderr)) ? ["-N"] : [];
        const { output } = await through(
          "nc",
          [...half, "-w", "5", "127.0.0.1", String(port)],
          bytes,
        );
        assertSame(output, bytes);
      }),
    );

    const sockets = engine === "select" ? 900 : 1000;
    test(
      `Python receives every byte back on ${sockets} sockets that are open at once`,
      { skip: missing("python3", "--version") },
      serving(async (listener) => {
        if (engine === "select") assertFreeDescriptors(sockets, FD_SETSIZE - 1);
        const args = ["-c", MANY, String(listener.port), String(sockets)];
        const { code, errors, output } = await through("python3", args, new Uint8Array(0));
        assert.equal(code, 0, errors);
        assert.equal(output.toString(), `every byte of ${sockets}\n`);
      }),
    );

    test(
      "socat receives what it sends over a unix socket",
      { skip: missing("socat", "-V") },
      serving(async (_listener, reactor) => {
        const folder = mkdtempSync(join(tmpdir(), "polloi-"));
        try {
          const path = join(folder, "echo.sock");
          reactor.listen({ path, ...echo });
          const { code, errors, output } = await through(
            "socat",
            ["-t", "10", "-", `UNIX:${path}`],
            bytes,
          );
          assert.equal(code, 0, errors);
          assertSame(output, bytes);
        } finally {
          rmSync(folder, { recursive: true });
        }
      }),
    );
  });
}
