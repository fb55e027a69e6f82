import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { availableParallelism } from "node:os";
import { describe, test } from "node:test";
import { type EngineName, probeEngines } from "polloi";
import { raiseDescriptorLimit } from "../../../../test/support/descriptors.ts";
import {
  exchange,
  needs,
  noise,
  Program,
  polloi,
  serving,
} from "../../../../test/support/processes.ts";
import { CASE_TIMEOUT_MS, SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { serveTests } from "./serve-tests.ts";

const limits = { timeout: CASE_TIMEOUT_MS };
const CONNECTIONS = 1000;
/** The engine that "auto" selects here. */
const BEST: EngineName = probeEngines().find(({ works }) => works)?.name ?? "select";

/** The last line of `--json`. */
interface Stopped {
  readonly connections: number;
  readonly messages: number;
  readonly bytes: number;
  readonly workers: { readonly connections: readonly number[]; readonly balance: number };
}

/** Opens connections, and waits until each has had an answer and so was accepted. */
async function acceptedConnections(port: number, size: number): Promise<Socket[]> {
  const sockets = Array.from({ length: size }, () => connect(port, "127.0.0.1"));
  for (const socket of sockets) socket.write("x");
  await Promise.all(sockets.map((socket) => once(socket, "data")));
  return sockets;
}

describe("polloi serve --workers", { timeout: SUITE_TIMEOUT_MS }, () => {
  test("the first line of JSON has the number of workers, and is the only one with --quiet", async () => {
    await using program = polloi("serve upper --workers 2 --port 0 --json --quiet");
    const port = await program.port();
    const listener = { protocol: "upper", host: "127.0.0.1", port, engine: BEST, workers: 2 };
    assert.equal((await exchange(port, "hi")).toString(), "HI");
    program.signal("SIGTERM");
    const line = JSON.stringify({ ready: true, listeners: [listener] });
    const { code, stdout, stderr } = await program.ended;
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${line}\n`, stderr: "" });
  });

  test("prints workers, connections, messages, and the connections of each worker", async () => {
    await using program = polloi("serve --workers 2 --port 0");
    const [, port] = await program.waitFor(/workers {2}2 threads, .*\n.*nc 127\.0\.0\.1 (\d+)\n/);
    await exchange(Number(port), "hello");
    await program.waitFor(/127\.0\.0\.1:\d+ connected\n/);
    await program.waitFor(/127\.0\.0\.1:\d+ sent 5 bytes: "hello"\n/);
    await program.waitFor(/127\.0\.0\.1:\d+ closed\n/);
    program.signal("SIGINT");
    const { code, stdout, stderr } = await program.ended;
    assert.match(
      stdout,
      /stopping: SIGINT\nserved 1 connection, 1 message, 5 bytes\n {2}worker 0: \d connections?, worker 1: \d connections?\n$/,
    );
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  });

  test(`the last line has the balance: at ${CONNECTIONS} connections it is at most 1.3`, {
    skip: raiseDescriptorLimit(2 * CONNECTIONS) ?? false,
    ...limits,
  }, async () => {
    await using program = polloi("serve --workers 2 --port 0 --json");
    const sockets = await acceptedConnections(await program.port(), CONNECTIONS);
    for (const socket of sockets) socket.destroy();
    program.signal("SIGTERM");
    const { stdout } = await program.ended;
    const stopped = JSON.parse(stdout.trim().split("\n").at(-1) as string) as Stopped;
    const [first = 0, second = 0] = stopped.workers.connections;
    assert.equal(stopped.connections, CONNECTIONS);
    assert.equal(first + second, CONNECTIONS);
    assert.equal(stopped.workers.balance, Math.max(first, second) / Math.min(first, second));
    assert.ok(stopped.workers.balance <= 1.3, `${first} and ${second}`);
  });

  for (const flags of ["--engine epoll --trigger level", "--engine poll", "--engine select"]) {
    test(`${flags}: echoes megabytes to several clients`, async () => {
      await using program = await serving(`echo --workers 2 ${flags}`);
      const bytes = noise(1_000_000);
      const answers = [1, 2, 3, 4].map(() => exchange(program.at, bytes));
      for (const answer of await Promise.all(answers)) assert.ok(answer.equals(bytes));
    });
  }

  test("auto starts a worker per processor, and 1 starts one worker", async () => {
    for (const [count, workers] of [
      ["auto", availableParallelism()],
      ["1", 1],
    ] as const) {
      await using program = await serving(`echo --workers ${count}`);
      assert.match(program.stdout, new RegExp(`"workers":${workers}}`));
      assert.equal((await exchange(program.at, "hi")).toString(), "hi");
    }
  });

  test("accepts --backlog, --delay, --idle-timeout and a host by name", async () => {
    await using program = polloi(
      "serve --workers 2 --port 0 --host localhost --backlog 9 --delay --idle-timeout 50ms",
    );
    const [, host, port] = await program.waitFor(/nc (\S+) (\d+)\n/);
    const idle = connect(Number(port), host).resume();
    await once(idle, "close");
    await program.waitFor(/lost: idle ETIMEDOUT/);
  });

  test("a port in use is reported in one line, with a hint", async () => {
    await using program = await serving("echo --workers 2");
    const { code, stdout, stderr } = await polloi(`serve --workers 2 --port ${program.at}`).ended;
    assert.match(stderr, /^polloi: .*the address is in use \(EADDRINUSE\)\nhint: [^\n]+\n$/);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  });

  serveTests("--workers", "2");

  test("a line on standard input stops it, as does Enter at the keyboard", async () => {
    await using program = await serving("echo --workers 2");
    program.child.stdin?.write("\n");
    assert.equal((await program.ended).code, 0);
  });

  test("each unexpected exit of a worker is reported in one line; it is replaced, and finally given up", async () => {
    // Runs in every worker: the first throws when it has reported that it is ready, the others as they start. Each
    // leaves a mark in the ledger, at a descriptor that is never used.
    const planted = `
      import { parentPort, workerData } from "node:worker_threads";
      const ledger = new Uint16Array(workerData?.ledger ?? 2);
      if (ledger.at(-1) === 0x7ff0) throw new Error("planted");
      ledger[ledger.length - 1] = 0x7ff0;
      const post = parentPort?.postMessage;
      if (post !== undefined) parentPort.postMessage = (message) => {
        post.call(parentPort, message);
        if (message.type === "ready") setImmediate(() => { throw new Error("planted"); });
      };`;
    const main = Program.file("packages/polloi-tools/dist/main.js");
    await using program = new Program(process.execPath, [
      "--import",
      `data:text/javascript,${encodeURIComponent(planted)}`,
      ...[main, "serve", "--workers", "1", "--port", "0", "--json", "--quiet"],
    ]);
    const { code, stderr } = await program.ended;
    const lines = stderr.trimEnd().split("\n");
    assert.deepEqual(lines.slice(0, -1), [
      "polloi: worker 0 exited unexpectedly and is replaced in 50 ms: planted",
      "polloi: worker 0 exited unexpectedly and is replaced in 100 ms: planted",
      "polloi: worker 0 exited unexpectedly and is replaced in 200 ms: planted",
      "polloi: worker 0 exited unexpectedly and is replaced in 400 ms: planted",
      "polloi: worker 0 exited unexpectedly and is given up: planted",
    ]);
    assert.match(
      lines.at(-1) ?? "",
      /^polloi: .*every worker exited unexpectedly too often.*planted$/,
    );
    assert.equal(code, 1);
  });

  const noStrace = needs("strace");
  test("a refusal of SO_REUSEPORT is reported in one line, with a hint", {
    skip: noStrace,
    ...limits,
  }, async () => {
    const main = Program.file("packages/polloi-tools/dist/main.js");
    // The call of setsockopt after that for SO_REUSEADDR sets SO_REUSEPORT.
    const inject = "inject=setsockopt:error=ENOPROTOOPT:when=2";
    await using program = new Program("strace", [
      ...["-f", "-qq", "-o", "/dev/null", "-e", inject],
      ...[process.execPath, main, "serve", "--workers", "2", "--port", "0", "--engine", "epoll"],
    ]);
    const { code, stdout, stderr } = await program.ended;
    assert.match(stderr, /^polloi: cannot serve .*ENOPROTOOPT.*\nhint: .*SO_REUSEPORT.*\n$/);
    assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  });
});
