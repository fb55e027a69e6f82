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

/** More than a process that is to run out of them may have. */
const CROWD = 120;

/** What `polloi serve` does at its limits and when it is stopped, with these flags as without. */
export function serveTests(...flags: string[]): void {
  test("stopped, a connection still gets what is queued for it", async () => {
    await using program = await serving(["echo", ...flags].join(" "));
    const bytes = noise(2_000_000);
    const slow = connect(program.at, "127.0.0.1").pause();
    slow.write(bytes);
    // The answer has begun to come, and most of it waits in the server or is yet to be read by it.
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

  test("a second Ctrl-C waits for nobody", async () => {
    await using program = polloi(["serve --port 0 --quiet --grace 1h", ...flags].join(" "));
    const [, port] = await program.says(/nc 127\.0\.0\.1 (\d+)\n/);
    const deaf = connect(Number(port), "127.0.0.1").pause();
    deaf.on("error", () => {});
    await once(deaf, "connect");
    // Until the server holds more for it than it will ever take.
    while (deaf.write(noise(1_000_000)));
    program.signal("SIGINT");
    await program.says(/stopping: SIGINT/);
    // Again and again: one that comes within a moment of the first counts as the same.
    const again = setInterval(() => program.signal("SIGINT"), 50);
    try {
      // One that comes while the runtime takes itself down would kill it after all is done. The grace is an hour.
      await program.says(/served 1 connection/);
    } finally {
      clearInterval(again);
      deaf.destroy();
    }
    assert.equal((await program.ended).code, 0);
  });

  for (const signals of [["SIGINT"], ["SIGTERM"], ["SIGHUP"], ["SIGINT", "SIGINT"]] as const) {
    test(`the file of a unix socket is gone after ${signals.join(" and ")}`, async () => {
      using at = folder();
      const path = join(at.path, "socket");
      const serve = ["serve --quiet --grace 1h", ...flags, "--unix"].join(" ");
      await using program = polloi(`${serve} ${path}`);
      await program.says(/Ctrl-C/);
      assert.ok(existsSync(path));
      const deaf = connect(path).pause();
      deaf.on("error", () => {});
      await once(deaf, "connect");
      // With one signal it waits for nobody, with two it does not wait for this one.
      if (signals.length === 1) deaf.destroy();
      else while (deaf.write(noise(1_000_000)));
      program.signal(signals[0]);
      await program.says(/stopping: /);
      // One that comes within a moment of the first counts as the same.
      const again = setInterval(() => {
        if (signals.length > 1) program.signal(signals[0]);
      }, 50);
      await program.says(/served /);
      clearInterval(again);
      const { code } = await program.ended;
      deaf.destroy();
      assert.deepEqual([code, existsSync(path)], [0, false]);
    });
  }

  test("--grace 0 waits for nobody at the first signal", async () => {
    await using program = polloi(["serve --port 0 --quiet --grace 0", ...flags].join(" "));
    const [, port] = await program.says(/nc 127\.0\.0\.1 (\d+)\n/);
    const deaf = connect(Number(port), "127.0.0.1").pause();
    deaf.on("error", () => {});
    await once(deaf, "connect");
    while (deaf.write(noise(1_000_000)));
    program.signal("SIGTERM");
    const { code, stdout } = await program.ended;
    deaf.destroy();
    assert.match(stdout, /served 1 connection/);
    assert.equal(code, 0);
  });

  test("at the limit on descriptors it says so, and serves again when some are free", async () => {
    const serve = [Program.file(MAIN), "serve --port 0 --json --quiet", ...flags].join(" ");
    // As many as two workers of Node need at once to load their modules, and some more.
    const command = `ulimit -n 130; exec ${process.execPath} ${serve}`;
    await using program = new Program("sh", ["-c", command]);
    const port = await program.port();
    const crowd = Array.from({ length: CROWD }, () => connect(port, "127.0.0.1"));
    for (const one of crowd) one.on("error", () => {});
    await program.says(/^polloi: cannot accept: .*\(EMFILE\)\nhint: [^\n]+\n/);
    for (const one of crowd) one.destroy();
    assert.equal((await exchange(port, "on")).toString(), "on");
    program.signal("SIGTERM");
    assert.equal((await program.ended).code, 0);
  });
}
