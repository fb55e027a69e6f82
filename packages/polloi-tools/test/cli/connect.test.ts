import assert from "node:assert/strict";
import { once } from "node:events";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { describe, test } from "node:test";
import { type Listener, listen } from "polloi";
import {
  folder,
  MAIN,
  needs,
  noise,
  Program,
  polloi,
  portOf,
  serving,
} from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { CLOSED_PORT } from "../../../polloi/test/support/closed-port.ts";

/** More than pipes and sockets buffer. */
const MUCH = 5_000_000;

const limits = { timeout: SUITE_TIMEOUT_MS };

/** An echo server in this process. The first case uses `polloi serve`. */
function echoing(): Listener {
  return listen({ port: 0, data: (connection, bytes) => connection.write(bytes) });
}

/** A server that sends a line, ends its half, and continues to read. */
async function halfClosing(): Promise<{
  port: number;
  /** Resolves when its half has ended. */
  ended: Promise<unknown>;
  received: Promise<Buffer>;
  [Symbol.asyncDispose](): Promise<void>;
}> {
  const server = createServer({ allowHalfOpen: true });
  const connected = once(server, "connection") as Promise<[Socket]>;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const ended = connected.then(([socket]) => {
    socket.end("bye\n");
    return once(socket, "finish");
  });
  const received = connected.then(async ([socket]) => Buffer.concat(await socket.toArray()));
  return {
    port: portOf(server),
    ended,
    received,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

describe("polloi connect", limits, () => {
  test("sends its input, prints the whole answer, and exits with 0", async () => {
    await using server = await serving("upper");
    const client = polloi(`connect 127.0.0.1 ${server.at}`);
    client.child.stdin?.end("hi");
    assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "HI", stderr: "" });
  });

  test(`transfers ${MUCH} bytes each way without a loss, from a pipe or a file`, async () => {
    using server = echoing();
    using at = folder();
    const [sent, got] = [join(at.path, "sent"), join(at.path, "got")];
    const bytes = noise(MUCH);
    writeFileSync(sent, bytes);
    const main = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1 ${server.port}`;
    for (const line of [
      `cat ${sent} | ${main} | cat > ${got}`,
      `${main} < ${sent} > ${got}`,
      // The reader of the output stalls first, so the client has to wait.
      `${main} < ${sent} | { read -r _ < ${sent}; cat; } > ${got}`,
    ]) {
      await using shell = new Program("sh", ["-c", `${line}; cmp ${sent} ${got}`]);
      const { code, stdout, stderr } = await shell.ended;
      assert.equal(`${stdout}${stderr}`, "");
      assert.equal(code, 0, line);
    }
  });

  test("an empty input has an empty answer", async () => {
    using server = echoing();
    const client = polloi(`connect 127.0.0.1 ${server.port}`, { stdin: "ignore" });
    assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "", stderr: "" });
  });

  test("is interactive: answers are printed while the input is open", async () => {
    using server = echoing();
    await using client = polloi(`connect localhost ${server.port}`);
    client.child.stdin?.write("one\n");
    await client.waitFor(/one\n/);
    client.child.stdin?.write("two\n");
    await client.waitFor(/two\n/);
    client.child.stdin?.end();
    assert.equal((await client.ended).code, 0);
  });

  const PATIENT_MS = 60_000;
  test("a server that has ended its half and still reads receives all of the input", async () => {
    for (const input of ["pipe", "file", "late"] as const) {
      await using server = await halfClosing();
      using at = folder();
      const path = join(at.path, "input");
      const bytes = noise(MUCH);
      writeFileSync(path, bytes);
      const stdin = input === "file" ? openSync(path, "r") : "pipe";
      const client = polloi(`connect 127.0.0.1:${server.port}`, { stdin });
      await client.waitFor(/bye\n/);
      // The end of the server's half arrives before the first of these bytes is read.
      if (input === "late") await server.ended;
      client.child.stdin?.end(bytes);
      const { code, stdout, stderr } = await client.ended;
      assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "bye\n", stderr: "" });
      assert.ok((await server.received).equals(bytes), input);
    }
  });

  test("a server that closes both halves before the end of input is reported in one line, with exit code 1", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = polloi(`connect 127.0.0.1:${portOf(server)}`);
    const [socket] = (await once(server, "connection")) as [Socket];
    socket.on("error", () => {});
    socket.end("bye\n");
    // A reset that comes first may take what was sent before it away.
    await once(client.child.stdout as Readable, "data");
    client.child.stdin?.write(noise(MUCH));
    socket.destroy();
    const { code, stdout, stderr } = await client.ended;
    server.close();
    assert.match(stderr, /^polloi: lost the connection to .*\((EPIPE|ECONNRESET)\)\n$/);
    assert.deepEqual([code, stdout], [1, "bye\n"]);
  });

  test("the whole answer is printed when input has ended first", async () => {
    const bytes = noise(MUCH);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.resume().on("end", () => socket.end(bytes));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    using at = folder();
    const got = join(at.path, "got");
    const main = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1:${portOf(server)}`;
    await using shell = new Program("sh", ["-c", `printf hi | ${main} > ${got}`]);
    const { code, stderr } = await shell.ended;
    server.close();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.ok(readFileSync(got).equals(bytes));
  });

  test("at a terminal, the end of the server's half is printed, and further input is sent", {
    skip: needs("script"),
    timeout: PATIENT_MS,
  }, async () => {
    await using server = await halfClosing();
    const command = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1:${server.port}`;
    await using terminal = new Program("script", ["-qfec", command, "/dev/null"]);
    await terminal.waitFor(/the server has ended its half; Ctrl-D ends/);
    terminal.child.stdin?.write("typed\n");
    terminal.child.stdin?.write("\u0004");
    assert.equal((await server.received).toString(), "typed\n");
    assert.equal((await terminal.ended).code, 0);
  });

  test("accepts a host and a port in every form", async () => {
    using server = echoing();
    using six = listen({
      host: "::1",
      port: 0,
      data: (connection, bytes) => connection.write(bytes),
    });
    for (const where of [
      `127.0.0.1:${server.port}`,
      `localhost:${server.port}`,
      `tcp://127.0.0.1:${server.port}`,
      `tcp://127.0.0.1:${server.port}/`,
      `::1 ${six.port}`,
      `[::1] ${six.port}`,
      `[::1]:${six.port}`,
      `tcp://[::1]:${six.port}`,
    ]) {
      const client = polloi(`connect ${where}`);
      client.child.stdin?.end("hi");
      const { code, stdout, stderr } = await client.ended;
      assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "hi", stderr: "" }, where);
    }
  });

  test("ends when the server does, even if its input is open", async () => {
    const server = createServer((socket) => socket.end("bye")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = polloi(`connect 127.0.0.1 ${portOf(server)}`);
    const { code, stdout } = await client.ended;
    server.close();
    assert.equal(stdout, "bye");
    assert.equal(code, 0);
  });

  test("ends without a message when the reader of its output has left", async () => {
    using server = echoing();
    const main = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1 ${server.port}`;
    await using shell = new Program("sh", ["-c", `yes | ${main} | head -n 1`]);
    const { stdout, stderr } = await shell.ended;
    assert.equal(stdout, "y\n");
    assert.equal(stderr, "");
  });

  test("a refused connection is reported in one line, with exit code 1", async () => {
    const port = CLOSED_PORT;
    const { code, stdout, stderr } = await polloi(`connect 127.0.0.1 ${port}`).ended;
    assert.equal(
      stderr,
      `polloi: cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED)\n`,
    );
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });

  test("a host that does not resolve is reported in one line, with exit code 1", async () => {
    const { code, stderr } = await polloi("connect no-such-host.invalid 7788").ended;
    assert.match(stderr, /^polloi: cannot connect to no-such-host\.invalid:7788: [^\n]+\n$/);
    assert.equal(code, 1);
  });

  test("a reset is reported in one line, with exit code 1", async () => {
    const server = createServer((socket) => socket.on("data", () => socket.resetAndDestroy()));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = polloi(`connect 127.0.0.1 ${portOf(server)}`);
    client.child.stdin?.write("hi");
    const { code, stderr } = await client.ended;
    server.close();
    assert.match(stderr, /^polloi: lost the connection to .*\(ECONNRESET\)\n$/);
    assert.equal(code, 1);
  });

  test("connects to a unix socket, by path and by abstract name", async () => {
    using at = folder();
    const name = `polloi-test-${process.pid}`;
    for (const [path, where] of [
      [join(at.path, "socket"), join(at.path, "socket")],
      [join(at.path, "other"), `unix:${join(at.path, "other")}`],
      [`\0${name}`, `@${name}`],
    ] as const) {
      // Not a server of Node, because some versions pad an abstract name with zeros.
      using _server = listen({ path, data: (connection, bytes) => connection.write(bytes) });
      const client = polloi(`connect ${where}`);
      client.child.stdin?.end("hi");
      assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "hi", stderr: "" });
    }
  });
});
