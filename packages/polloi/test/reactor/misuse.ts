/** Misuse: the class, the code, and a message that shows the value. */
import assert from "node:assert/strict";
import { closedFd } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import { type ConnectOptions, type ListenOptions, Reactor } from "../../src/index.ts";
import { casesOf, type Rig, type Variant } from "./rig.ts";

type Wrong = readonly [
  what: string,
  call: (rig: Rig) => unknown,
  type: typeof TypeError | typeof RangeError | typeof Error,
  code: string,
  names: RegExp,
];

const listening = (options: object, ...rest: [Wrong[2], string, RegExp]): Wrong => [
  `listen(${shown(options)})`,
  (rig) => rig.reactor.listen(options as ListenOptions),
  ...rest,
];
const connecting = (options: object, ...rest: [Wrong[2], string, RegExp]): Wrong => [
  `connect(${shown(options)})`,
  (rig) => rig.reactor.connect(options as ConnectOptions),
  ...rest,
];

function shown(options: object): string {
  return Object.entries(options)
    .map(([key, value]) => `${key}: ${typeof value === "string" ? JSON.stringify(value) : value}`)
    .join(", ");
}

const here = { host: "127.0.0.1", port: 0 };
const there = { host: "127.0.0.1", port: 9 };
const noop = () => {};

const WRONG: readonly Wrong[] = [
  listening({ host: "127.0.0.1", port: -1 }, RangeError, "ERR_INVALID_PORT", /-1/),
  listening({ host: "127.0.0.1", port: 65_536 }, RangeError, "ERR_INVALID_PORT", /65536/),
  listening({ host: "127.0.0.1", port: 1.5 }, RangeError, "ERR_INVALID_PORT", /1\.5/),
  listening({ host: "127.0.0.1", port: "80" }, TypeError, "ERR_INVALID_PORT", /"80"/),
  listening(
    { host: "127.0.0.1" },
    TypeError,
    "ERR_INVALID_PORT",
    /give port, path, address or fd$/,
  ),
  listening({ host: "example.invalid", port: 0 }, TypeError, "ERR_INVALID_ADDRESS", /example\.inv/),
  listening({ host: "[::1]", port: 0 }, TypeError, "ERR_INVALID_ADDRESS", /brackets/),
  listening({ path: "x".repeat(200) }, RangeError, "ERR_INVALID_ADDRESS", /200 bytes/),
  listening({ ...here, path: "x" }, TypeError, "ERR_INVALID_OPTION", /path and a port/),
  listening({ ...here, backlog: -1 }, RangeError, "ERR_INVALID_OPTION", /-1/),
  listening(
    { ...here, highWaterBytes: -1 },
    RangeError,
    "ERR_INVALID_OPTION",
    /-1.*highWaterBytes/,
  ),
  listening({ ...here, maxPendingBytes: Number.NaN }, RangeError, "ERR_INVALID_OPTION", /NaN/),
  listening({ ...here, maxConnections: 0 }, RangeError, "ERR_INVALID_OPTION", /0 as maxConn/),
  listening({ ...here, idleTimeoutMs: Number.NaN }, RangeError, "ERR_INVALID_TIMEOUT", /NaN/),
  listening({ ...here, idleTimeoutMs: -5 }, RangeError, "ERR_INVALID_TIMEOUT", /-5.*idleTimeoutMs/),
  listening({ ...here, idleTimeoutMs: 2 ** 31 }, RangeError, "ERR_INVALID_TIMEOUT", /2147483648/),
  listening(
    { ...here, idleTimeoutMs: "1s" },
    TypeError,
    "ERR_INVALID_TIMEOUT",
    /"1s" as idleTimeoutMs/,
  ),
  listening({ host: "192.0.2.1", port: 0 }, Error, "EADDRNOTAVAIL", /192\.0\.2\.1/),
  connecting({ host: "127.0.0.1", port: 70_000 }, RangeError, "ERR_INVALID_PORT", /70000/),
  connecting({ host: "127.0.0.1" }, TypeError, "ERR_INVALID_PORT", /give port or path$/),
  connecting({ ...there, host: 5 }, TypeError, "ERR_INVALID_ADDRESS", /5/),
  connecting({ ...there, path: "x" }, TypeError, "ERR_INVALID_OPTION", /path and a port/),
  connecting({ ...there, connectTimeoutMs: Number.NaN }, RangeError, "ERR_INVALID_TIMEOUT", /NaN/),
  connecting({ ...there, connectTimeoutMs: -1 }, RangeError, "ERR_INVALID_TIMEOUT", /-1/),
  connecting(
    { ...there, localAddress: { address: "nowhere", port: 0 } },
    TypeError,
    "ERR_INVALID_ADDRESS",
    /nowhere/,
  ),
  [
    "setTimer(NaN)",
    ({ reactor }) => reactor.setTimer(Number.NaN, noop),
    RangeError,
    "ERR_INVALID_TIMEOUT",
    /NaN/,
  ],
  [
    "setTimer(2 ** 31)",
    ({ reactor }) => reactor.setTimer(2 ** 31, noop),
    RangeError,
    "ERR_INVALID_TIMEOUT",
    /2147483648/,
  ],
  [
    "setTimer(1) without a callback",
    ({ reactor }) => reactor.setTimer(1, undefined as never),
    TypeError,
    "ERR_INVALID_OPTION",
    /undefined/,
  ],
  ["watch(-1)", ({ reactor }) => reactor.watch(-1, 1, noop), RangeError, "ERR_INVALID_FD", /-1/],
  [
    "watch(1.5)",
    ({ reactor }) => reactor.watch(1.5, 1, noop),
    RangeError,
    "ERR_INVALID_FD",
    /1\.5/,
  ],
  [
    "watch of undefined",
    ({ reactor }) => reactor.watch({} as never, 1, noop),
    TypeError,
    "ERR_INVALID_FD",
    /object/,
  ],
  [
    "watch for no events",
    (rig) => rig.reactor.watch(rig.eventfd(0), 0, noop),
    RangeError,
    "ERR_INVALID_EVENTS",
    /0/,
  ],
  [
    "watch for an unknown event",
    (rig) => rig.reactor.watch(rig.eventfd(0), 0x100, noop),
    RangeError,
    "ERR_INVALID_EVENTS",
    /256/,
  ],
  [
    "watch without a callback",
    (rig) => rig.reactor.watch(rig.eventfd(0), 1, null as never),
    TypeError,
    "ERR_INVALID_OPTION",
    /null/,
  ],
  [
    "watch of a closed fd",
    ({ reactor }) => reactor.watch(closedFd(), 1, noop),
    Error,
    "EBADF",
    /EBADF/,
  ],
  ["adopt(-1)", ({ reactor }) => reactor.adopt(-1), RangeError, "ERR_INVALID_FD", /-1/],
  ["adopt of a closed fd", ({ reactor }) => reactor.adopt(closedFd()), Error, "EBADF", /EBADF/],
  [
    "turn(NaN)",
    ({ reactor }) => reactor.turn(Number.NaN),
    RangeError,
    "ERR_INVALID_TIMEOUT",
    /NaN/,
  ],
  [
    "a reactor with an unknown engine",
    () => new Reactor({ engine: "kqueue" as never }),
    TypeError,
    "ERR_INVALID_OPTION",
    /"kqueue".*"auto", "io_uring", "epoll", "poll" or "select"$/,
  ],
  [
    "an unknown trigger",
    () => new Reactor({ trigger: "both" as never }),
    TypeError,
    "ERR_INVALID_OPTION",
    /"both"/,
  ],
  [
    "edge-triggered poll",
    () => new Reactor({ engine: "poll", trigger: "edge" }),
    TypeError,
    "ERR_INVALID_OPTION",
    /poll edge-triggered: only epoll/,
  ],
  [
    "edge-triggered select",
    () => new Reactor({ engine: "select", trigger: "edge" }),
    TypeError,
    "ERR_INVALID_OPTION",
    /select edge-triggered/,
  ],
];

export function misuseCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  return [
    ...WRONG.map(([what, call, type, code, names]) =>
      test(`refuses ${what.length > 80 ? `${what.slice(0, 77)}...` : what}`, (rig) => {
        assert.throws(
          () => call(rig),
          (error) => {
            assert.ok(error instanceof type, `${error} is no ${type.name}`);
            assert.equal((error as { code?: unknown }).code, code);
            assert.match((error as Error).message, names);
            return true;
          },
        );
        assert.equal(rig.reactor.alive, false, "something is left open");
      }),
    ),
    test("a port in use fails with EADDRINUSE and a hint", (rig) => {
      const { port } = rig.listen({});
      assert.throws(() => rig.reactor.listen({ host: "127.0.0.1", port }), {
        code: "EADDRINUSE",
        message: `bind EADDRINUSE 127.0.0.1:${port}`,
        hint: /ss -ltnp/,
      });
    }),
    test("a closed reactor refuses every call except a second close", (rig) => {
      const { reactor } = rig;
      reactor.close();
      reactor.close();
      for (const call of [
        () => reactor.listen(here),
        () => reactor.connect(there),
        () => reactor.adopt(0),
        () => reactor.watch(0, 1, noop),
        () => reactor.setTimer(0, noop),
        () => reactor.run(),
        () => reactor.turn(0),
      ]) {
        assert.throws(call, { code: "ERR_CLOSED", name: "TypeError" });
      }
      assert.equal(reactor.fileno(), -1);
      assert.equal(reactor.alive, false);
    }),
    test("write refuses values that are not bytes; writes after the end are dropped", async (rig) => {
      let done = false;
      const listener = rig.listen({
        open: (it) => {
          for (const wrong of [
            5,
            null,
            undefined,
            {},
            [1, 2],
            new ArrayBuffer(2),
            new Uint16Array(1),
          ]) {
            assert.throws(() => it.write(wrong as never), { code: "ERR_INVALID_DATA" });
          }
          assert.throws(() => it.setIdleTimeout(Number.NaN), { code: "ERR_INVALID_TIMEOUT" });
          assert.equal(it.pendingBytes, 0);
          it.write("x");
          it.end();
          assert.equal(it.state, "ending");
          assert.equal(it.write("y"), false);
          assert.throws(() => it.write(5 as never), { code: "ERR_INVALID_DATA" });
          assert.throws(() => it.end(5 as never), { code: "ERR_INVALID_DATA" });
          done = true;
        },
      });
      const peer = rig.peer(listener);
      await rig.until("ended", () => peer.ended);
      assert.equal(peer.text, "x");
      assert.equal(done, true);
    }),
  ];
}
