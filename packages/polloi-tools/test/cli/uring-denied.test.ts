/** When io_uring is denied in any way, polloi serves on another engine and reports why. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { describe, test } from "node:test";
import { ERRNO, probeEngines, Reactor, SysError } from "polloi";
import { type Kernel, kernel, proxyKernel, reasonFor, SYS, whyNoUring } from "polloi/internal";
import { IORING_REGISTER_PBUF_RING } from "polloi/uring";
import { assertNoneLeft, kernelWith, openFiles } from "../../../../test/support/descriptors.ts";
import { exchange, MAIN, needs, Program } from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";

const limits = { timeout: SUITE_TIMEOUT_MS };
const { libc } = kernel;

/** The ways in which io_uring is denied, and the message of each. */
const DENIALS = [
  ["EPERM", /\(io_uring_setup EPERM\)/],
  ["ENOSYS", /this kernel has no io_uring, or a sandbox hides it \(io_uring_setup ENOSYS\)/],
  ["EINVAL", /this kernel's io_uring lacks a feature \(io_uring_setup EINVAL\)/],
  ["ENOMEM", /there is no memory for its rings \(io_uring_setup ENOMEM\); .*ulimit -l/],
] as const;

type Refuses = (number: number, args: readonly number[]) => boolean;

/** A kernel whose calls fail with `errno` in some cases. */
function refusing(errno: number, refuses: Refuses): Kernel {
  return kernelWith({
    syscall: (number, ...args) => (refuses(number, args) ? -errno : libc.syscall(number, ...args)),
  });
}

/** Why io_uring does not work on this machine, or false. Some denials need a part of it to work. */
const refused: string | undefined = whyNoUring(kernel);

/** Serves one connection in this process. @returns The engine. */
async function servedBy(from: Kernel): Promise<string> {
  using reactor = new Reactor({ kernel: from });
  const { port } = reactor.listen({
    host: "127.0.0.1",
    port: 0,
    data: (connection, bytes) => void connection.write(bytes),
  });
  assert.equal((await exchange(port, "still here")).toString(), "still here");
  return reactor.engine;
}

describe("io_uring refused by the kernel", limits, () => {
  for (const [code, message] of DENIALS) {
    test(`${code}: the next best engine serves, and the reason is one sentence`, async () => {
      const from = refusing(ERRNO[code], (number) => number === SYS.io_uring_setup);
      assert.equal(await servedBy(from), "epoll");
      const [first, ...others] = probeEngines(from);
      assert.equal(first?.works, false);
      assert.match(first?.reason ?? "", message);
      assert.doesNotMatch(first?.reason ?? "", /\n/);
      assert.ok(others.every((other) => other.works));
      assert.throws(
        () => new Reactor({ kernel: from, engine: "io_uring" }),
        (error: SysError) => error.code === code && message.test(error.hint ?? ""),
      );
    });
  }

  const skip = refused ?? false;

  test("a kernel without buffer rings lacks a feature", { skip }, async () => {
    const from = refusing(
      ERRNO.EINVAL,
      (number, args) => number === SYS.io_uring_register && args[1] === IORING_REGISTER_PBUF_RING,
    );
    const before = openFiles();
    assert.match(whyNoUring(from) ?? "", /lacks a feature \(io_uring_register EINVAL\)/);
    assertNoneLeft(before);
    assert.equal(await servedBy(from), "epoll");
  });

  test("falls back when memory suffices for the probe only", { skip }, async () => {
    let rings = 0;
    const from = refusing(ERRNO.ENOMEM, (number) => number === SYS.io_uring_setup && ++rings > 1);
    assert.equal(await servedBy(from), "epoll");
    assert.match(probeEngines(from)[0]?.reason ?? "", /no memory for its rings/);
  });

  test("a failed allocation of its buffers leaves no descriptor open", { skip }, () => {
    const scarce = proxyKernel(kernel, {
      mapping: (byteLength) => {
        if (byteLength > 1_000_000) throw new SysError("mmap", ERRNO.ENOMEM);
      },
    });
    const before = openFiles();
    assert.match(whyNoUring(scarce) ?? "", /no memory .*mmap ENOMEM/);
    assertNoneLeft(before);
  });

  test("EMFILE is thrown unchanged, since it is not about io_uring", () => {
    const from = refusing(ERRNO.EMFILE, (number) => number === SYS.io_uring_setup);
    assert.throws(() => whyNoUring(from), { code: "EMFILE" });
  });
});

describe("why io_uring is forbidden", limits, () => {
  const error = new SysError("io_uring_setup", ERRNO.EPERM);
  const cases = [
    ["2", /^it is switched off .*kernel\.io_uring_disabled is 2; "sysctl kernel\.io_uring_dis/],
    ["1", /^it is only for root and the group .*kernel\.io_uring_disabled is 1/],
    ["0", /^it is forbidden \(io_uring_setup EPERM\), as the seccomp profiles of containers do/],
    [undefined, /^it is forbidden .*seccomp/],
  ] as const;
  for (const [setting, message] of cases) {
    test(`with kernel.io_uring_disabled ${setting ?? "missing"}`, () => {
      assert.match(
        reasonFor(error, () => setting),
        message,
      );
    });
  }
});

/** Why strace does not work here, or false. A sandbox may have it and forbid ptrace. */
function cannotTrace(): string | false {
  const missing = needs("strace");
  if (missing !== false) return missing;
  const { status } = spawnSync("strace", ["-o", "/dev/null", "true"]);
  return status === 0 ? false : "strace cannot trace here";
}

describe("io_uring refused to a process", { ...limits, skip: cannotTrace() }, () => {
  // With -D, strace is a child of the program, which is started and signalled directly.
  const traced = (code: string, args: string): Program =>
    new Program("strace", [
      ..."-D -f -qq -o /dev/null -e trace=io_uring_setup -e".split(" "),
      `inject=io_uring_setup:error=${code}`,
      process.execPath,
      Program.file(MAIN),
      ...args.split(" "),
    ]);

  for (const [code, message] of DENIALS) {
    test(`${code}: polloi serve uses epoll, and its first lines have the reason`, async () => {
      await using program = traced(code, "serve --port 0");
      const [, port] = await program.waitFor(/nc 127\.0\.0\.1 (\d+)\n/);
      assert.equal((await exchange(Number(port), "hello")).toString(), "hello");
      const [line] = await program.waitFor(/engine {3}epoll, edge-triggered: .*\n/);
      assert.match(line, /not io_uring: /);
      assert.match(line, message);
      program.signal("SIGTERM");
    });
  }

  test("polloi doctor reports why, and that the others work", async () => {
    const { code, stdout } = await traced("ENOSYS", "doctor").ended;
    assert.match(stdout, /^io_uring +does not work: this kernel has no io_uring, .*$/m);
    assert.match(stdout, /^epoll +works$/m);
    assert.equal(code, 0);
  });

  test("--engine io_uring is rejected with one line and the reason, with exit code 1", async () => {
    const { code, stdout, stderr } = await traced("EPERM", "serve --port 0 --engine io_uring")
      .ended;
    assert.match(stderr, /^polloi: cannot use the engine io_uring: it is .* EPERM\).*\n$/);
    assert.equal(stderr.split("\n").length, 2);
    assert.equal(stdout, "");
    assert.equal(code, 1);
  });
});
