/** sendFile: files arrive whole and in order with writes, and `done` is called once. */
import assert from "node:assert/strict";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { Connection, Handlers, OutgoingFile, SysError } from "../../src/index.ts";
import { MSG_MORE, SO_SNDBUF, SOL_SOCKET } from "../../src/socket/constants.ts";
import { setIntOption } from "../../src/socket/raw.ts";
import { O_CLOEXEC } from "../../src/sys/abi.ts";
import type { Libc } from "../../src/sys/libc.ts";
import { kernel } from "../../src/sys/open.ts";
import { assertSame, casesOf, type Peer, pattern, Rig, type Variant, withoutCalls } from "./rig.ts";

const { libc, scratch } = kernel;
const KIB = 1024;
const MIB = KIB * KIB;
const SIZES = [0, 1, 100 * KIB, 3 * MIB];

/** A file without a name, which is deleted when it is closed. */
class TestFile implements Disposable {
  readonly fd: number;

  constructor(content: Uint8Array) {
    const folder = mkdtempSync(join(tmpdir(), "polloi-files-"));
    this.fd = openSync(join(folder, "file"), "w+");
    rmSync(folder, { recursive: true });
    let written = 0;
    while (written < content.length) written += writeSync(this.fd, content, written);
  }

  /** The errors that `done` received for each range, in order. */
  readonly outcomes: (Error | undefined)[] = [];

  range(offset: number, length: number): OutgoingFile {
    let times = 0;
    return {
      fd: this.fd,
      offset,
      length,
      done: (error) => {
        assert.equal(++times, 1, "done is called once");
        this.outcomes.push(error);
      },
    };
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

/** The events of a connection. */
interface Outcome {
  connection?: Connection;
  readonly events: string[];
  error?: SysError;
}

/** Handlers that record events, and call a function when the connection opens. */
function noting(outcome: Outcome, open: (connection: Connection) => void): Handlers {
  return {
    open: (connection) => {
      outcome.connection = connection;
      open(connection);
    },
    drain: () => void outcome.events.push("drain"),
    close: (_connection, error) => {
      outcome.events.push("close");
      outcome.error = error as SysError;
    },
    error: () => void outcome.events.push("error"),
  };
}

const codesOf = (errors: readonly (Error | undefined)[]): (string | undefined)[] =>
  errors.map((error) => (error as SysError | undefined)?.code);

/** Makes the send buffer small. The receive buffer of the peer grows only as it reads. */
function narrow(connection: Connection): void {
  setIntOption(kernel, connection.fileno(), SOL_SOCKET, SO_SNDBUF, 65_536);
}

/** A descriptor of a path that is not a regular file. It is closed at the end. */
function opened(rig: Rig, path: string): number {
  scratch.u8.set(new TextEncoder().encode(`${path}\0`));
  const fd = libc.open(scratch.address, O_CLOEXEC, 0);
  assert.ok(fd >= 0, path);
  return rig.own(fd);
}

/** Runs `body` on a reactor whose kernel has some calls replaced. */
function replacing(
  variant: Variant,
  calls: Partial<Libc>,
  body: (rig: Rig) => Promise<void>,
): Promise<void> {
  const rig = new Rig(variant, calls);
  return body(rig).finally(() => rig[Symbol.dispose]());
}

function isOver(peer: Peer): boolean {
  return peer.ended || peer.error !== undefined;
}

/** Requires that the peer saw a reset after at most a part of `content`. */
function assertCutShort(peer: Peer, content: Uint8Array): void {
  assert.equal(peer.error, "ECONNRESET");
  assertSame(peer.bytes, content.subarray(0, peer.length));
}

export function sendingFilesCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    ...contentCases(variant, test),
    ...waitingCases(test),
    ...failingCases(test),
    ...endingCases(test),
    ...sharingCases(variant, test),
  ];
}

function contentCases(variant: Variant, test: ReturnType<typeof casesOf>): Case[] {
  return [
    test("a file arrives after a later connection, which was sent none, has closed", async (rig) => {
      const content = pattern(1000, 1);
      using file = new TestFile(content);
      const connections: Connection[] = [];
      let closed = 0;
      const listener = rig.listen({
        open: (connection) => void connections.push(connection),
        close: () => void closed++,
      });
      const peer = rig.peer(listener);
      await rig.until("accepted", () => connections.length === 1);
      rig.peer(listener);
      await rig.until("accepted", () => connections.length === 2);
      connections[1]?.destroy();
      // Its descriptor number is free again only after another turn.
      rig.peer(listener);
      await rig.until("accepted", () => closed === 1 && connections.length === 3);
      connections[0]?.sendFile(file.range(0, 1000));
      await rig.until("sent", () => peer.length >= 1000 && file.outcomes.length === 1);
      assertSame(peer.bytes, content);
    }),
    ...SIZES.map((size) =>
      test(`a file of ${size} bytes arrives between the writes before and after it`, async (rig) => {
        const content = pattern(size + 12_345, size + 1);
        using file = new TestFile(content);
        const outcome: Outcome = { events: [] };
        const listener = rig.listen(
          noting(outcome, (connection) => {
            connection.write("before|");
            assert.equal(connection.sendFile(file.range(0, size)), false);
            connection.write("|between|");
            connection.sendFile(file.range(12_345, size));
            connection.sendFile(file.range(7, size));
            connection.write("|after");
            assert.deepEqual(file.outcomes, [], "done is called later");
          }),
        );
        const peer = rig.peer(listener);
        const wanted = Buffer.concat([
          Buffer.from("before|"),
          content.subarray(0, size),
          Buffer.from("|between|"),
          content.subarray(12_345, 12_345 + size),
          content.subarray(7, 7 + size),
          Buffer.from("|after"),
        ]);
        await rig.until("sent", () => peer.length >= wanted.length && file.outcomes.length === 3);
        assertSame(peer.bytes, wanted);
        assert.deepEqual(file.outcomes, [undefined, undefined, undefined]);
        assert.equal(outcome.connection?.pendingBytes, 0);
        await rig.until("drained", () => outcome.events.length > 0);
        assert.deepEqual(outcome.events, ["drain"]);
      }),
    ),
    test("a file is sent over a unix socket, and the position of the descriptor does not change", async (rig) => {
      const content = pattern(2 * MIB, 5);
      using file = new TestFile(content);
      const path = `\0polloi-files-${variant.engine}-${variant.trigger}-${variant.mode}-${process.pid}`;
      const listener = rig.listen({
        path,
        open: (connection) => {
          connection.write("head ");
          connection.sendFile(file.range(1000, MIB));
          connection.end(" tail");
        },
      });
      const peer = rig.peer(listener);
      await rig.until("ended", () => peer.ended);
      const middle = content.subarray(1000, 1000 + MIB);
      assertSame(peer.bytes, Buffer.concat([Buffer.from("head "), middle, Buffer.from(" tail")]));
      assert.deepEqual(file.outcomes, [undefined]);
      // The position is where writing left it: at the end.
      assert.equal(readSync(file.fd, new Uint8Array(1)), 0);
    }),
    test("a peer that reads few bytes at a time receives all of them in order", async (rig) => {
      const content = pattern(600_000, 9);
      using file = new TestFile(content);
      const outcome: Outcome = { events: [] };
      const listener = rig.listen(noting(outcome, () => {}));
      const peer = rig.peer(listener);
      peer.readBytes = 7001;
      await rig.until("accepted", () => outcome.connection !== undefined);
      const connection = outcome.connection as Connection;
      narrow(connection);
      connection.write(content.subarray(0, 100_000));
      connection.sendFile(file.range(100_000, 300_000));
      connection.write(content.subarray(400_000, 500_000));
      connection.sendFile(file.range(500_000, 100_000));
      connection.close();
      await rig.until("ended", () => peer.ended);
      assertSame(peer.bytes, content);
      assert.deepEqual(file.outcomes, [undefined, undefined]);
    }),
    test("hundreds of files and writes keep their order", async (rig) => {
      const content = pattern(200_000, 11);
      using file = new TestFile(content);
      const wanted: Uint8Array[] = [];
      const listener = rig.listen({
        open: (connection) => {
          for (let i = 0; i < 300; i++) {
            const length = (i * 7919) % 3000;
            const from = (i * 104_729) % 190_000;
            const bytes = content.subarray(from, from + length);
            wanted.push(bytes);
            if (i % 3 === 0) connection.write(bytes);
            else connection.sendFile(file.range(from, length));
          }
          connection.end();
        },
      });
      const peer = rig.peer(listener);
      await rig.until("ended", () => peer.ended);
      assertSame(peer.bytes, Buffer.concat(wanted));
      assert.deepEqual(file.outcomes, new Array(200).fill(undefined));
    }),
    test("one descriptor is sent to many connections at once", async (rig) => {
      const content = pattern(300_000, 13);
      using file = new TestFile(content);
      const listener = rig.listen({
        data: (connection) => {
          connection.write("head");
          connection.sendFile(file.range(0, content.length));
          connection.end();
        },
      });
      const peers = Array.from({ length: 30 }, () => rig.peer(listener));
      for (const peer of peers) peer.send("go").shutdown();
      await rig.until("ended", () => peers.every(({ ended }) => ended));
      for (const peer of peers) assertSame(peer.bytes.subarray(4), content);
      assert.deepEqual(file.outcomes, new Array(30).fill(undefined));
    }),
    test("lent bytes are sent before a file that follows them", async (rig) => {
      const content = pattern(200_000, 15);
      using file = new TestFile(content);
      const listener = rig.listen({
        zeroCopy: true,
        data: (connection, bytes) => {
          connection.write(bytes);
          connection.sendFile(file.range(0, content.length));
          connection.write("!");
        },
      });
      const peer = rig.peer(listener).send("ping");
      await rig.until("answered", () => peer.length === 4 + content.length + 1);
      assert.equal(peer.text.slice(0, 4), "ping");
      assertSame(peer.bytes.subarray(4, -1), content);
    }),
    test("a file that is sent while the connection connects is sent when it opens", async (rig) => {
      const content = pattern(150_000, 17);
      using file = new TestFile(content);
      let received = 0;
      let ended = false;
      const listener = rig.listen({
        data: (_connection, bytes) => {
          assertSame(bytes, content.subarray(received, received + bytes.length));
          received += bytes.length;
        },
        end: (connection) => {
          ended = true;
          connection.end();
        },
      });
      const client = rig.reactor.connect({ host: "127.0.0.1", port: listener.port });
      client.sendFile(file.range(0, content.length));
      client.close();
      await rig.until("received", () => ended);
      assert.equal(received, content.length);
      assert.deepEqual(file.outcomes, [undefined]);
    }),
    test("a short head and the file after it leave in one packet", async (rig) => {
      using file = new TestFile(pattern(5000));
      const listener = rig.listen({
        data: (connection) => {
          connection.write("head");
          connection.sendFile(file.range(0, 5000));
        },
      });
      const peer = rig.peer(listener).send("go");
      await rig.until("answered", () => peer.length === 5004);
      assert.equal(peer.socket.options.tcpInfo.dataSegsIn, 1);
    }),
    test(
      "bytes written before a file wait for it to fill their packet, but not for an empty file",
      () => {
        const flags: number[] = [];
        const calls: Partial<Libc> = {
          send: (fd, address, length, bits) => {
            flags.push(bits & MSG_MORE);
            return libc.send(fd, address, length, bits);
          },
        };
        return replacing(variant, calls, async (rig) => {
          using file = new TestFile(pattern(5000));
          const listener = rig.listen({
            open: (connection) => {
              connection.write("head");
              connection.sendFile(file.range(0, 5000));
              connection.write("tail and head");
              connection.sendFile(file.range(0, 0));
            },
          });
          const peer = rig.peer(listener);
          await rig.until("sent", () => peer.length === 5017 && file.outcomes.length === 2);
          assert.deepEqual(flags, [MSG_MORE, 0]);
        });
      },
      withoutCalls(variant),
    ),
  ];
}

function waitingCases(test: ReturnType<typeof casesOf>): Case[] {
  return [
    test("a file of 10 GiB does not count for maxPendingBytes", async (rig) => {
      using file = new TestFile(pattern(10));
      ftruncateSync(file.fd, 10 * KIB * MIB);
      const outcome: Outcome = { events: [] };
      const listener = rig.listen({
        ...noting(outcome, (connection) => {
          connection.sendFile(file.range(0, 10 * KIB * MIB));
          assert.equal(connection.pendingBytes, 10 * KIB * MIB);
          assert.equal(connection.write("more"), false);
        }),
        maxPendingBytes: 100_000,
      });
      const peer = rig.peer(listener);
      peer.readBytes = 100_000;
      await rig.until("begun", () => peer.length > 3 * MIB);
      const connection = outcome.connection as Connection;
      assert.ok(
        connection.pendingBytes < 10 * KIB * MIB && connection.pendingBytes > 9 * KIB * MIB,
      );
      assertSame(peer.bytes.subarray(0, 10), pattern(10));
      assert.deepEqual(outcome.events, []);
      // Bytes that are written after it take memory, and count.
      for (let i = 0; i < 4 && connection.state === "open"; i++) {
        assert.equal(connection.write(pattern(40_000)), false);
      }
      assert.deepEqual(outcome.events, ["error", "close"]);
      assert.equal(outcome.error?.code, "ENOBUFS");
      assert.deepEqual(file.outcomes, [outcome.error]);
    }),
    test("drain is called once, after the last file, whatever its size", async (rig) => {
      using file = new TestFile(pattern(2 * MIB));
      const outcome: Outcome = { events: [] };
      const listener = rig.listen(noting(outcome, () => {}));
      const peer = rig.peer(listener);
      peer.reading = false;
      await rig.until("accepted", () => outcome.connection !== undefined);
      const connection = outcome.connection as Connection;
      narrow(connection);
      assert.equal(connection.write("a"), true);
      assert.equal(connection.sendFile(file.range(0, 2 * MIB)), false);
      assert.equal(connection.sendFile(file.range(0, 1)), false);
      assert.equal(connection.write("b"), false);
      await rig.during(20);
      assert.deepEqual(outcome.events, []);
      peer.reading = true;
      await rig.until("drained", () => outcome.events.length > 0);
      assert.equal(file.outcomes.length, 2);
      await rig.until("sent", () => peer.length === 2 * MIB + 3);
      assert.equal(connection.write("c"), true);
      assert.deepEqual(outcome.events, ["drain"]);
    }),
    test("the progress of a file keeps an idle connection; a file without progress does not", async (rig) => {
      // If the thread was delayed for long, the file made no progress: then the case is repeated.
      for (let tries = 1; !(await keptByFile(rig)); tries++) assert.ok(tries < 50);
    }),
    test("done may send the next file, and its exceptions go to error", async (rig) => {
      const content = pattern(50_000, 19);
      using file = new TestFile(content);
      const errors: Error[] = [];
      const listener = rig.listen({
        open: (connection) => {
          let left = 5;
          const next = () => {
            if (left-- > 0) connection.sendFile({ ...file.range(0, 50_000), done: next });
            else connection.end("over");
            if (left === 2) throw new Error("thrown by done");
          };
          next();
        },
        error: (_connection, error) => void errors.push(error),
      });
      const peer = rig.peer(listener);
      await rig.until("ended", () => peer.ended);
      const wanted = [...new Array<Uint8Array>(5).fill(content), Buffer.from("over")];
      assertSame(peer.bytes, Buffer.concat(wanted));
      assert.deepEqual(
        errors.map(({ message }) => message),
        ["thrown by done"],
      );
    }),
  ];
}

function failingCases(test: ReturnType<typeof casesOf>): Case[] {
  return [
    test("a file that is shorter than the range closes the connection with ENODATA", async (rig) => {
      using file = new TestFile(pattern(5000));
      const outcome: Outcome = { events: [] };
      const listener = rig.listen(
        noting(outcome, (connection) => {
          connection.write("head");
          connection.sendFile(file.range(1000, 4001));
          connection.write("never sent");
          connection.sendFile(file.range(0, 5000));
        }),
      );
      const peer = rig.peer(listener);
      await rig.until("closed", () => isOver(peer) && outcome.events.length > 0);
      assert.deepEqual(outcome.events, ["error", "close"]);
      assert.equal(outcome.error?.code, "ENODATA");
      assert.equal(outcome.error?.syscall, "sendfile");
      assert.match(outcome.error?.hint ?? "", /truncated/);
      assert.deepEqual(file.outcomes, [outcome.error, outcome.error]);
      assertCutShort(peer, Buffer.concat([Buffer.from("head"), pattern(5000).subarray(1000)]));
    }),
    test("a file that is truncated while it is sent closes the connection with ENODATA", async (rig) => {
      const content = pattern(4 * MIB, 21);
      using file = new TestFile(content);
      const outcome: Outcome = { events: [] };
      const listener = rig.listen(noting(outcome, () => {}));
      const peer = rig.peer(listener);
      peer.reading = false;
      await rig.until("accepted", () => outcome.connection !== undefined);
      const connection = outcome.connection as Connection;
      narrow(connection);
      connection.sendFile(file.range(0, 4 * MIB));
      await rig.until("begun", () => connection.pendingBytes < 4 * MIB);
      assert.ok(connection.pendingBytes > 2 * MIB);
      ftruncateSync(file.fd, 2 * MIB);
      peer.reading = true;
      await rig.until("closed", () => isOver(peer) && outcome.events.length > 0);
      assert.equal(outcome.error?.code, "ENODATA");
      assert.deepEqual(file.outcomes, [outcome.error]);
      assertCutShort(peer, content.subarray(0, 2 * MIB));
    }),
    test("a descriptor that is not a regular file closes the connection, with a hint", async (rig) => {
      libc.pipe2(scratch.address, O_CLOEXEC);
      const [reader, writer] = [scratch.i32[0] as number, scratch.i32[1] as number];
      const closed = openSync(tmpdir(), "r");
      closeSync(closed);
      const unfit: readonly (readonly [fd: number, codes: readonly string[], hint: RegExp])[] = [
        [opened(rig, tmpdir()), ["EINVAL", "EISDIR"], /not a regular file/],
        [rig.own(reader), ["ESPIPE", "EINVAL"], /not a regular file/],
        [rig.own(writer), ["EBADF"], /open for reading/],
        [1_000_000, ["EBADF"], /open for reading/],
      ];
      for (const [fd, codes, hint] of unfit) {
        const outcome: Outcome = { events: [] };
        const outcomes: (Error | undefined)[] = [];
        const listener = rig.listen(
          noting(outcome, (connection) => {
            connection.write("head");
            connection.sendFile({
              fd,
              offset: 0,
              length: 10,
              done: (error) => outcomes.push(error),
            });
          }),
        );
        const peer = rig.peer(listener);
        await rig.until("closed", () => isOver(peer) && outcome.events.length > 0);
        assert.ok(codes.includes(outcome.error?.code ?? ""), `${outcome.error}`);
        assert.equal(outcome.error?.syscall, "sendfile");
        assert.match(outcome.error?.hint ?? "", hint);
        assert.deepEqual(outcomes, [outcome.error]);
        assertCutShort(peer, Buffer.from("head"));
      }
    }),
    test("if the peer leaves in the middle, done gets the error, and no descriptor stays open", async (rig) => {
      using file = new TestFile(pattern(10));
      ftruncateSync(file.fd, 100 * MIB);
      // The engine opens its own descriptors during the first operations.
      const first = rig.listen({});
      rig.peer(first);
      await rig.until("accepted", () => first.connections === 1);
      for (const paused of [false, true]) {
        const before = readdirSync("/proc/self/fd").length;
        const outcome: Outcome = { events: [] };
        const listener = rig.listen(
          noting(outcome, (connection) => {
            if (paused) connection.pause();
            connection.sendFile(file.range(0, 100 * MIB));
          }),
        );
        const peer = rig.peer(listener);
        peer.readBytes = 50_000;
        await rig.until("begun", () => peer.length > 100_000);
        peer.reset();
        await rig.until("closed", () => outcome.events.length === 2);
        assert.ok(["ECONNRESET", "EPIPE"].includes(outcome.error?.code ?? ""), `${outcome.error}`);
        assert.deepEqual(file.outcomes.splice(0), [outcome.error]);
        listener.close();
        await rig.until("closed", () => readdirSync("/proc/self/fd").length <= before);
      }
    }),
    test("an invalid range is misuse, and done is not called", async (rig) => {
      const outcome: Outcome = { events: [] };
      rig.peer(rig.listen(noting(outcome, () => {})));
      await rig.until("accepted", () => outcome.connection !== undefined);
      const connection = outcome.connection as Connection;
      const done = () => assert.fail("done was called");
      const wrong: readonly (readonly [Record<string, unknown>, string])[] = [
        [{ fd: -1 }, "ERR_INVALID_FD"],
        [{ fd: "3" }, "ERR_INVALID_FD"],
        [{ offset: -1 }, "ERR_INVALID_LENGTH"],
        [{ offset: 0.5 }, "ERR_INVALID_LENGTH"],
        [{ length: -1 }, "ERR_INVALID_LENGTH"],
        [{ length: 2 ** 53 }, "ERR_INVALID_LENGTH"],
        [{ offset: 2 ** 52, length: 2 ** 52 }, "ERR_INVALID_LENGTH"],
        [{ length: "10" }, "ERR_INVALID_LENGTH"],
        [{ done: "now" }, "ERR_INVALID_OPTION"],
      ];
      for (const [part, code] of wrong) {
        const file = { fd: 0, offset: 0, length: 1, done, ...part } as unknown as OutgoingFile;
        assert.throws(() => connection.sendFile(file), { code }, JSON.stringify(part));
      }
      assert.equal(connection.pendingBytes, 0);
    }),
  ];
}

function endingCases(test: ReturnType<typeof casesOf>): Case[] {
  return [
    ...(["close", "end"] as const).map((ending) =>
      test(`${ending} waits for the files to be sent`, async (rig) => {
        const content = pattern(3 * MIB, 23);
        using file = new TestFile(content);
        const outcome: Outcome = { events: [] };
        const refused: (string | undefined)[] = [];
        const listener = rig.listen(
          noting(outcome, (connection) => {
            connection.sendFile(file.range(0, content.length));
            connection.sendFile(file.range(0, 0));
            connection[ending]();
            const done = (error?: Error): void => void refused.push((error as SysError).code);
            assert.equal(connection.sendFile({ ...file.range(0, 1), done }), false);
          }),
        );
        const peer = rig.peer(listener);
        peer.reading = false;
        await rig.until("accepted", () => outcome.connection !== undefined);
        await rig.during(10);
        peer.reading = true;
        await rig.until("ended", () => peer.ended);
        assertSame(peer.bytes, content);
        assert.deepEqual(file.outcomes, [undefined, undefined]);
        assert.deepEqual(refused, ["ECANCELED"]);
        peer.shutdown();
        await rig.until("closed", () => outcome.events.length > 0);
        assert.deepEqual(outcome.events, ["close"]);
        assert.equal(outcome.error, undefined);
      }),
    ),
    test("a connection that closes after an empty file calls its done without an error", async (rig) => {
      for (const ending of ["close", "end"] as const) {
        using file = new TestFile(new Uint8Array(0));
        const listener = rig.listen({
          open: (connection) => {
            connection.sendFile(file.range(0, 0));
            connection[ending]();
          },
        });
        const peer = rig.peer(listener);
        await rig.until("ended", () => peer.ended);
        assert.deepEqual(file.outcomes, [undefined]);
      }
    }),
    test("destroy and reset call done with the error, before close", async (rig) => {
      const reason = new Error("enough");
      const ways: readonly (readonly [(it: Connection) => void, string | Error])[] = [
        [(it) => it.destroy(), "ECANCELED"],
        [(it) => it.reset(), "ECANCELED"],
        [(it) => it.destroy(reason), reason],
      ];
      for (const [way, wanted] of ways) {
        using file = new TestFile(pattern(10));
        ftruncateSync(file.fd, 100 * MIB);
        const outcome: Outcome = { events: [] };
        const listener = rig.listen(noting(outcome, () => {}));
        const peer = rig.peer(listener);
        peer.reading = false;
        await rig.until("accepted", () => outcome.connection !== undefined);
        const connection = outcome.connection as Connection;
        connection.sendFile(file.range(0, 100 * MIB));
        connection.sendFile({ ...file.range(0, 10), done: () => outcome.events.push("done") });
        await rig.until("begun", () => connection.pendingBytes < 100 * MIB);
        way(connection);
        if (wanted instanceof Error) assert.deepEqual(file.outcomes, [wanted]);
        else assert.deepEqual(codesOf(file.outcomes), [wanted]);
        assert.deepEqual(
          outcome.events.filter((event) => event !== "error"),
          ["done", "close"],
        );
        assert.equal(connection.pendingBytes, 0);
        assert.equal(connection.sendFile(file.range(0, 10)), false);
        assert.equal(file.outcomes.length, 1, "done is not called from within");
        await rig.until("done called", () => file.outcomes.length === 2);
        assert.deepEqual(codesOf(file.outcomes).at(-1), "ECANCELED");
      }
    }),
    test("a reset in the middle of a file reaches a peer that does not read at once", async (rig) => {
      using file = new TestFile(pattern(10));
      ftruncateSync(file.fd, 100 * MIB);
      const outcome: Outcome = { events: [] };
      const send = (connection: Connection) => connection.sendFile(file.range(0, 100 * MIB));
      const peer = rig.peer(rig.listen(noting(outcome, (connection) => void send(connection))));
      peer.reading = false;
      await rig.until("begun", () => (outcome.connection?.pendingBytes ?? Infinity) < 100 * MIB);
      // Until the send buffer is full, and the file waits.
      await rig.during(10);
      outcome.connection?.reset();
      await rig.until("reset", () => peer.socket.options.tcpInfo.state === "close");
      assert.deepEqual(codesOf(file.outcomes), ["ECANCELED"]);
    }),
    test("done may destroy the connection, and nothing of the queue is sent", async (rig) => {
      const content = pattern(70_000, 27);
      using file = new TestFile(content);
      const outcome: Outcome = { events: [] };
      const listener = rig.listen(
        noting(outcome, (connection) => {
          connection.sendFile({ ...file.range(0, 70_000), done: () => connection.destroy() });
          connection.write("never");
          connection.sendFile(file.range(0, 70_000));
          connection.close();
        }),
      );
      const peer = rig.peer(listener);
      await rig.until("ended", () => isOver(peer));
      assertCutShort(peer, content);
      assert.deepEqual(codesOf(file.outcomes), ["ECANCELED"]);
      assert.deepEqual(outcome.events, ["close"]);
    }),
    test("a reactor that closes calls done of every file", async (rig) => {
      using file = new TestFile(pattern(10));
      ftruncateSync(file.fd, 100 * MIB);
      let opened = 0;
      const listener = rig.listen({
        open: (connection) => {
          opened++;
          connection.sendFile(file.range(0, 100 * MIB));
          connection.sendFile(file.range(0, 1));
        },
      });
      for (let i = 0; i < 3; i++) rig.peer(listener).reading = false;
      await rig.until("accepted", () => opened === 3);
      rig.reactor.close();
      assert.deepEqual(codesOf(file.outcomes), new Array(6).fill("ECANCELED"));
    }),
  ];
}

function sharingCases(variant: Variant, test: ReturnType<typeof casesOf>): Case[] {
  /** A peer that reads a file as fast as it is sent. */
  const endless: Partial<Libc> = { sendfile: (_socket, _file, _offset, length) => length };
  return [
    ...(["one endless file", "files without end"] as const).map((what) => {
      const run = () =>
        replacing(variant, endless, async (rig) => {
          using file = new TestFile(pattern(10));
          let greedy: Connection | undefined;
          const listener = rig.listen({
            open: (connection) => {
              if (greedy !== undefined) return;
              greedy = connection;
              const chain = () => {
                if (connection.state !== "open") return;
                connection.sendFile({ ...file.range(0, 1000), done: chain });
              };
              if (what === "files without end") chain();
              else connection.sendFile(file.range(0, 2 ** 50));
            },
            data: (connection, bytes) => void connection.write(bytes),
          });
          rig.peer(listener);
          await rig.until("begun", () => greedy !== undefined);
          const other = rig.peer(listener).send("ping");
          await rig.until("answered", () => other.text === "ping");
          other.send("pong");
          await rig.until("answered again", () => other.text === "pingpong");
          assert.equal(greedy?.state, "open");
          assert.ok((greedy as Connection).pendingBytes > 0);
          greedy?.destroy();
        });
      return { name: `${what} to a fast reader do not delay other connections`, run };
    }),
    test("signals, short calls and full sockets lose no byte", async () => {
      let calls = 0;
      const faulty: Partial<Libc> = {
        sendfile: (socket, file, offset, length) => {
          calls++;
          if (calls % 3 === 0) return -ERRNO.EINTR;
          return libc.sendfile(socket, file, offset, Math.min(length, 1 + ((calls * 7919) % 9000)));
        },
      };
      await replacing(variant, faulty, async (rig) => {
        const content = pattern(2 * MIB, 29);
        using file = new TestFile(content);
        const listener = rig.listen({
          open: (connection) => {
            connection.sendFile(file.range(0, content.length));
            connection.end();
          },
        });
        const peer = rig.peer(listener);
        peer.readBytes = 60_000;
        await rig.until("ended", () => peer.ended);
        assertSame(peer.bytes, content);
        assert.deepEqual(file.outcomes, [undefined]);
      });
    }),
    test("a read error of the disk closes the connection with EIO", async () => {
      let calls = 0;
      const failing: Partial<Libc> = {
        sendfile: (...args) => (calls++ === 0 ? libc.sendfile(...args) : -ERRNO.EIO),
      };
      await replacing(variant, failing, async (rig) => {
        using file = new TestFile(pattern(10));
        ftruncateSync(file.fd, 100 * MIB);
        const outcome: Outcome = { events: [] };
        const send = (connection: Connection) => connection.sendFile(file.range(0, 100 * MIB));
        rig.peer(rig.listen(noting(outcome, (connection) => void send(connection))));
        await rig.until("closed", () => outcome.events.length === 2);
        assert.equal(outcome.error?.code, "EIO");
        assert.deepEqual(file.outcomes, [outcome.error]);
      });
    }),
  ];
}

/** @returns Whether the result is valid: false if the thread was delayed for too long while the file was sent. */
async function keptByFile(rig: Rig): Promise<boolean> {
  const timeoutMs = 150;
  using file = new TestFile(pattern(10));
  ftruncateSync(file.fd, 10 * KIB * MIB);
  const outcome: Outcome = { events: [] };
  using listener = rig.listen({ ...noting(outcome, () => {}), idleTimeoutMs: timeoutMs });
  const peer = rig.peer(listener);
  await rig.until("accepted", () => outcome.connection !== undefined);
  const connection = outcome.connection as Connection;
  narrow(connection);
  connection.sendFile(file.range(0, 10 * KIB * MIB));
  peer.readBytes = 20_000;
  const begun = performance.now();
  let last = begun;
  let longest = 0;
  await rig.until("sent for longer than the limit", () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    return now - begun > 2 * timeoutMs || outcome.events.length > 0;
  });
  if (longest > timeoutMs / 2) {
    connection.destroy();
    peer.close();
    return false;
  }
  assert.deepEqual(outcome.events, []);
  peer.reading = false;
  await rig.until("given up", () => outcome.events.length > 0);
  assert.equal(outcome.error?.code, "ETIMEDOUT");
  assert.deepEqual(file.outcomes, [outcome.error]);
  return true;
}
