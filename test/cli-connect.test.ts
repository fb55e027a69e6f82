import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Listener, listen } from "../src/index.ts";
import { folder, MAIN, noise, Program, polloi, portOf, serving } from "./processes.ts";
import { SUITE_TIMEOUT_MS } from "./suite.ts";

/** Longer than what pipes and sockets hold, so that all of it waits somewhere at some time. */
const MUCH = 5_000_000;

const limits = { timeout: SUITE_TIMEOUT_MS };

/** A server in this process, which answers with what it is sent; the first case asks `polloi serve`. */
function echoing(): Listener {
  return listen({ port: 0, data: (connection, bytes) => connection.write(bytes) });
}

describe("polloi connect", limits, () => {
  test("sends what is piped into it, prints the whole answer, and exits 0", async () => {
    await using server = await serving("upper");
    const client = polloi(`connect 127.0.0.1 ${server.at}`);
    client.child.stdin?.end("hi");
    assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "HI", stderr: "" });
  });

  test(`loses none of ${MUCH} bytes each way, from a pipe or a file`, async () => {
    using server = echoing();
    using at = folder();
    const [sent, got] = [join(at.path, "sent"), join(at.path, "got")];
    const bytes = noise(MUCH);
    writeFileSync(sent, bytes);
    const main = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1 ${server.port}`;
    for (const line of [
      `cat ${sent} | ${main} | cat > ${got}`,
      `${main} < ${sent} > ${got}`,
      // Its reader stalls first: it is the client's turn to wait.
      `${main} < ${sent} | { read -r _ < ${sent}; cat; } > ${got}`,
    ]) {
      await using shell = new Program("sh", ["-c", `${line}; cmp ${sent} ${got}`]);
      const { code, stdout, stderr } = await shell.ended;
      assert.equal(`${stdout}${stderr}`, "");
      assert.equal(code, 0, line);
    }
  });

  test("an empty input gets an empty answer", async () => {
    using server = echoing();
    const client = polloi(`connect 127.0.0.1 ${server.port}`, { stdin: "ignore" });
    assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "", stderr: "" });
  });

  test("is interactive: each answer comes while the input is open", async () => {
    using server = echoing();
    await using client = polloi(`connect localhost ${server.port}`);
    client.child.stdin?.write("one\n");
    await client.says(/one\n/);
    client.child.stdin?.write("two\n");
    await client.says(/two\n/);
    client.child.stdin?.end();
    assert.equal((await client.ended).code, 0);
  });

  test("ends when the server does, though its input is open", async () => {
    const server = createServer((socket) => socket.end("bye")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = polloi(`connect 127.0.0.1 ${portOf(server)}`);
    const { code, stdout } = await client.ended;
    server.close();
    assert.equal(stdout, "bye");
    assert.equal(code, 0);
  });

  test("stops without complaint when nobody reads its output", async () => {
    using server = echoing();
    const main = `${process.execPath} ${Program.file(MAIN)} connect 127.0.0.1 ${server.port}`;
    await using shell = new Program("sh", ["-c", `yes | ${main} | head -n 1`]);
    const { stdout, stderr } = await shell.ended;
    assert.equal(stdout, "y\n");
    assert.equal(stderr, "");
  });

  test("a refused connection is one line, and exit code 1", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const port = portOf(server);
    server.close();
    await once(server, "close");
    const { code, stdout, stderr } = await polloi(`connect 127.0.0.1 ${port}`).ended;
    assert.equal(
      stderr,
      `polloi: cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED)\n`,
    );
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });

  test("a host that does not resolve is one line, and exit code 1", async () => {
    const { code, stderr } = await polloi("connect no-such-host.invalid 7788").ended;
    assert.match(stderr, /^polloi: cannot connect to no-such-host\.invalid:7788: [^\n]+\n$/);
    assert.equal(code, 1);
  });

  test("a reset is one line, and exit code 1", async () => {
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

  test("talks to a unix socket, by path and by abstract name", async () => {
    using at = folder();
    const name = `polloi-test-${process.pid}`;
    for (const [path, where] of [
      [join(at.path, "socket"), join(at.path, "socket")],
      [join(at.path, "other"), `unix:${join(at.path, "other")}`],
      [`\0${name}`, `@${name}`],
    ] as const) {
      // Not Node's own server: some versions pad an abstract name with zeros.
      using _server = listen({ path, data: (connection, bytes) => connection.write(bytes) });
      const client = polloi(`connect ${where}`);
      client.child.stdin?.end("hi");
      assert.deepEqual(await client.ended, { code: 0, signal: null, stdout: "hi", stderr: "" });
    }
  });
});
