import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import {
  exchange,
  folder,
  MAIN,
  noise,
  Program,
  polloi,
  serving,
} from "../../../../test/support/processes.ts";

/** More connections than the process has descriptors. */
const CONNECTIONS = 120;

/** Tests of limits and of stopping that hold with any of these flags. */
export function serveTests(...flags: string[]): void {
  test("queued data is still sent after a stop", async () => {
    await using program = await serving(["echo", ...flags].join(" "));
    const bytes = noise(2_000_000);
    const slow = connect(program.at, "127.0.0.1").pause();
    slow.write(bytes);
    // The answer has started, and most of it is queued in the server or not yet read by it.
    await once(slow, "readable");
    program.signal("SIGTERM");
    const parts: Buffer[] = [];
    slow.on("error", () => {});
    slow.on("data", (part) => parts.push(part));
    await once(slow, "close");
    const answer = Buffer.concat(parts);
    assert.ok(answer.length > 0);
    assert.ok(answer.equals(bytes.subarray(0, answer.length)));
    assert.equal((await program.ended).code, 0);
  });

  test("a second Ctrl-C closes connections at once", async () => {
    await using program = polloi(["serve --port 0 --quiet --grace 1h", ...flags].join(" "));
    const [, port] = await program.waitFor(/nc 127\.0\.0\.1 (\d+)\n/);
    const unread = connect(Number(port), "127.0.0.1").pause();
    unread.on("error", () => {});
    await once(unread, "connect");
    // Until the server has queued more than the kernel accepts.
    while (unread.write(noise(1_000_000)));
    program.signal("SIGINT");
    await program.waitFor(/stopping: SIGINT/);
    // Repeated, because a signal shortly after the first counts as the same.
    const again = setInterval(() => program.signal("SIGINT"), 50);
    try {
      // The grace is an hour. After this line no signal is sent: it would kill the runtime as it exits.
      await program.waitFor(/served 1 connection/);
    } finally {
      clearInterval(again);
      unread.destroy();
    }
    assert.equal((await program.ended).code, 0);
  });

  for (const signals of [["SIGINT"], ["SIGTERM"], ["SIGHUP"], ["SIGINT", "SIGINT"]] as const) {
    test(`the file of a unix socket is gone after ${signals.join(" and ")}`, async () => {
      using at = folder();
      const path = join(at.path, "socket");
      const serve = ["serve --quiet --grace 1h", ...flags, "--unix"].join(" ");
      await using program = polloi(`${serve} ${path}`);
      await program.waitFor(/Ctrl-C/);
      assert.ok(existsSync(path));
      const unread = connect(path).pause();
      unread.on("error", () => {});
      await once(unread, "connect");
      // With one signal no connection is left; with two this one is closed at once.
      if (signals.length === 1) unread.destroy();
      else while (unread.write(noise(1_000_000)));
      program.signal(signals[0]);
      await program.waitFor(/stopping: /);
      // A signal shortly after the first counts as the same.
      const again = setInterval(() => {
        if (signals.length > 1) program.signal(signals[0]);
      }, 50);
      await program.waitFor(/served /);
      clearInterval(again);
      const { code } = await program.ended;
      unread.destroy();
      assert.deepEqual([code, existsSync(path)], [0, false]);
    });
  }

  test("--grace 0 closes connections at the first signal", async () => {
    await using program = polloi(["serve --port 0 --quiet --grace 0", ...flags].join(" "));
    const [, port] = await program.waitFor(/nc 127\.0\.0\.1 (\d+)\n/);
    const unread = connect(Number(port), "127.0.0.1").pause();
    unread.on("error", () => {});
    await once(unread, "connect");
    while (unread.write(noise(1_000_000)));
    program.signal("SIGTERM");
    const { code, stdout } = await program.ended;
    unread.destroy();
    assert.match(stdout, /served 1 connection/);
    assert.equal(code, 0);
  });

  test("reports the limit on descriptors, and serves again when some are free", async () => {
    const serve = [Program.file(MAIN), "serve --port 0 --json --quiet", ...flags].join(" ");
    // Slightly more than two workers of Node need to load their modules.
    const command = `ulimit -n 130; exec ${process.execPath} ${serve}`;
    await using program = new Program("sh", ["-c", command]);
    const port = await program.port();
    const sockets = Array.from({ length: CONNECTIONS }, () => connect(port, "127.0.0.1"));
    for (const socket of sockets) socket.on("error", () => {});
    await program.waitFor(/^polloi: cannot accept: .*\(EMFILE\)\nhint: [^\n]+\n/);
    for (const socket of sockets) socket.destroy();
    assert.equal((await exchange(port, "on")).toString(), "on");
    program.signal("SIGTERM");
    assert.equal((await program.ended).code, 0);
  });
}
