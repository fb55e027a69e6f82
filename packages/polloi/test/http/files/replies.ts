/** sendFile and writeFile of handlers. */
import assert from "node:assert/strict";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { kernelWith } from "../../../../../test/support/descriptors.ts";
import type { Case } from "../../../../../test/support/suite.ts";
import { ERRNO, type ErrnoCode } from "../../../src/base/errno.ts";
import { SysError } from "../../../src/base/sys-error.ts";
import { whyNoUring } from "../../../src/engine/try-uring.ts";
import { type HttpHandler, serve } from "../../../src/http/index.ts";
import type { OutgoingFile } from "../../../src/reactor/connection.ts";
import { Reactor } from "../../../src/reactor/reactor.ts";
import { O_RDONLY } from "../../../src/sys/abi.ts";
import { kernel } from "../../../src/sys/open.ts";
import { ENGINES } from "../../support/engines.ts";
import { ask, DATA, HELLO, TestSite } from "./site.ts";

/** Serves with `handle`, which gets the descriptor of a file, whose `done` must be called. */
function replyCase(
  name: string,
  handle: (fd: number, done: (error?: Error) => void) => HttpHandler,
  run: (
    port: number,
    done: readonly (Error | undefined)[],
    errors: readonly unknown[],
  ) => Promise<void>,
): Case {
  return {
    name,
    async run() {
      using site = new TestSite();
      const path = join(site.root, "data.bin");
      const fd = openSync(path, O_RDONLY);
      const done: (Error | undefined)[] = [];
      const handler = handle(fd, (error) => void done.push(error));
      const errors: unknown[] = [];
      const error = (thrown: unknown): void => void errors.push(thrown);
      const server = serve({ host: "127.0.0.1", port: 0, handler, error });
      try {
        await run(server.port, done, errors);
      } finally {
        await server.stop(0);
        closeSync(fd);
        writeFileSync(path, "");
      }
    },
  };
}

/** Files that cannot be sent, and the reported error. */
const BROKEN: readonly (readonly [string, (fd: number) => OutgoingFile, code: string])[] = [
  [
    "that is shorter than the range",
    (fd) => ({ fd, offset: 0, length: DATA.length + 1 }),
    "ENODATA",
  ],
  ["that ends before the range", (fd) => ({ fd, offset: 400_000, length: 5 }), "ENODATA"],
  ["that is a directory", () => ({ fd: openSync("/", O_RDONLY), offset: 0, length: 5 }), "EINVAL"],
];

/** Errors of calls, and whether `error` is called. A failure of the peer or the network is not reported. */
const FAILING: readonly (readonly [code: ErrnoCode, isReported: boolean])[] = [
  ["ENOMEM", true],
  ["EIO", true],
  ["EOVERFLOW", true],
  ["EPIPE", false],
  ["ECONNRESET", false],
  ["ETIMEDOUT", false],
  ["EHOSTUNREACH", false],
];

const failingCases: readonly Case[] = ENGINES.flatMap(([engine, trigger]) => {
  // On io_uring sends use the ring, and sendfile(2) does not.
  const calls = engine === "io_uring" ? (["sendfile"] as const) : (["sendfile", "send"] as const);
  return calls.map((call) => ({
    name: `a failed ${call} is reported with the call, unless the peer is the cause (${engine}, ${trigger ?? "completions"})`,
    skip: engine === "io_uring" ? whyNoUring(kernel) : undefined,
    async run() {
      using site = new TestSite();
      const fd = openSync(join(site.root, "data.bin"), O_RDONLY);
      let fails: ErrnoCode | undefined;
      const faulty = kernelWith({
        [call]: (...args: [number, number, number, number]) =>
          fails === undefined ? kernel.libc[call](...args) : -ERRNO[fails],
      });
      using reactor = new Reactor({ engine, trigger, kernel: faulty });
      const errors: SysError[] = [];
      const done: (Error | undefined)[] = [];
      const server = serve({
        reactor,
        host: "127.0.0.1",
        port: 0,
        handler(_, reply) {
          if (call === "send") reply.send("hello");
          else reply.sendFile({ fd, offset: 0, length: 5, done: (error) => void done.push(error) });
        },
        error: (error) => void errors.push(error as SysError),
      });
      try {
        for (const [code, isReported] of FAILING) {
          fails = code;
          await ask(server.port, "/").catch(() => undefined);
          fails = undefined;
          const expected = isReported ? [[call, code]] : [];
          assert.deepEqual(
            errors.splice(0).map((error) => [error.syscall, error.code]),
            expected,
            code,
          );
          if (call === "sendfile") assert.equal((done.pop() as SysError).code, code);
          assert.equal((await ask(server.port, "/")).status, 200);
          done.length = 0;
        }
      } finally {
        await server.stop(0);
        closeSync(fd);
      }
    },
  }));
});

export const replyCases: readonly Case[] = [
  ...failingCases,
  ...BROKEN.flatMap(([name, make, code]) =>
    (["sendFile", "writeFile"] as const).map((method) =>
      replyCase(
        `${method} of a file ${name} cuts the client off, and calls error once`,
        (fd, done) => (_, reply) => {
          const file = make(fd);
          const closing = (error?: Error): void => {
            if (file.fd !== fd) closeSync(file.fd);
            done(error);
          };
          if (method === "writeFile") reply.header("Content-Length", file.length).begin();
          reply[method]({ ...file, done: closing });
          if (method === "writeFile") reply.end();
        },
        async (port, done, errors) => {
          const { body } = await ask(port, "/").catch(() => ({ body: Buffer.alloc(0) }));
          assert.ok(body.length <= DATA.length);
          while (done.length === 0) await new Promise((resolve) => setImmediate(resolve));
          const [first] = errors as SysError[];
          assert.equal(errors.length, 1);
          assert.ok(first instanceof SysError);
          assert.deepEqual([first.syscall, first.code], ["sendfile", code]);
          assert.equal(done.length, 1);
          const head = await ask(port, "/", { method: "HEAD" });
          assert.deepEqual([head.status, errors.length], [200, 1]);
        },
      ),
    ),
  ),
  replyCase(
    "a client that disconnects in the middle of a file is not reported",
    (fd, done) => (_, reply) => reply.sendFile({ fd, offset: 0, length: DATA.length, done }),
    async (port, done, errors) => {
      for (let i = 0; i < 5; i++) {
        const socket = connect({ port, host: "127.0.0.1" });
        socket.on("error", () => {});
        socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        await new Promise((resolve) => socket.once("readable", resolve));
        socket.resetAndDestroy();
        while (done.length <= i) await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(errors, []);
    },
  ),
  replyCase(
    "a handler that fails after sendFile is reported, and the file is sent",
    (fd, done) => (_, reply) => {
      reply.sendFile({ fd, offset: 0, length: DATA.length, done });
      throw new Error("behind");
    },
    async (port, done, errors) => {
      assert.ok((await ask(port, "/")).body.equals(DATA));
      assert.deepEqual([done.length, errors.map(String)], [1, ["Error: behind"]]);
    },
  ),
  replyCase(
    "sendFile sends a complete answer, and calls done once, also for HEAD",
    (fd, done) => (_, reply) => reply.sendFile({ fd, offset: 100_000, length: 100_000, done }),
    async (port, done) => {
      const { headers, body } = await ask(port, "/");
      assert.ok(body.equals(DATA.subarray(100_000, 200_000)));
      assert.equal(headers.get("content-length"), "100000");
      assert.deepEqual(done, [undefined]);
      const head = await ask(port, "/", { method: "HEAD" });
      assert.deepEqual([head.headers.get("content-length"), head.body.length], ["100000", 0]);
      assert.deepEqual(done, [undefined, undefined]);
    },
  ),
  replyCase(
    "a body of file ranges and bytes arrives in the order of the writes",
    (fd, done) => (_, reply) => {
      reply.header("Content-Length", 2 * HELLO.length + 3).begin();
      reply.write(HELLO);
      reply.writeFile({ fd, offset: 7, length: 1 });
      reply.writeFile({ fd, offset: 9, length: 0 });
      reply.write(HELLO);
      reply.writeFile({ fd, offset: 5, length: 2, done });
      reply.end();
    },
    async (port, done) => {
      const { body } = await ask(port, "/");
      const expected = [
        Buffer.from(HELLO),
        DATA.subarray(7, 8),
        Buffer.from(HELLO),
        DATA.subarray(5, 7),
      ];
      assert.ok(body.equals(Buffer.concat(expected)));
      assert.deepEqual(done, [undefined]);
    },
  ),
  replyCase(
    "writeFile is refused in chunks, beyond Content-Length, and after the reply is complete",
    (fd, done) => (_, reply) => {
      const piece = { fd, offset: 0, length: 5, done };
      assert.throws(() => reply.writeFile(piece), { code: "ERR_CLOSED" });
      reply.header("Content-Length", 4);
      assert.throws(() => reply.sendFile(piece), { code: "ERR_INVALID_LENGTH" });
      reply.begin();
      assert.throws(() => reply.writeFile(piece), { code: "ERR_INVALID_LENGTH" });
      assert.throws(() => reply.sendFile(piece), { code: "ERR_CLOSED" });
      reply.end("good");
      assert.throws(() => reply.writeFile(piece), { code: "ERR_CLOSED" });
    },
    async (port, done) => {
      assert.equal((await ask(port, "/")).body.toString(), "good");
      assert.deepEqual(done, []);
    },
  ),
  replyCase(
    "writeFile is refused in chunks",
    (fd) => (_, reply) => {
      reply.begin();
      const piece = { fd, offset: 0, length: 5 };
      assert.throws(() => reply.writeFile(piece), { code: "ERR_INVALID_OPTION" });
      reply.end("good");
    },
    async (port) => {
      assert.match((await ask(port, "/")).body.toString(), /good/);
    },
  ),
  replyCase(
    "done is called if the client has disconnected",
    (fd, done) => async (request, reply) => {
      await new Promise<void>((resolve) => request.whenLeft(() => setTimeout(resolve, 0)));
      reply.sendFile({ fd, offset: 0, length: 5, done });
    },
    async (port, done) => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      await new Promise((resolve) => socket.once("connect", resolve));
      socket.destroy();
      while (done.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      assert.equal(done.length, 1);
    },
  ),
];
