/** Unknown names of options and handlers: which are rejected, and which are not. */
import assert from "node:assert/strict";
import type { Suite } from "../../../../test/support/suite.ts";
import { files, serve } from "../../src/http/index.ts";
import { type Connection, connect, defaultReactor, listen, Reactor } from "../../src/index.ts";
import { serveModel } from "../../src/pool/models.ts";
import { startWorkers } from "../../src/pool/workers.ts";
import { createConnection, createServer } from "../../src/socket/index.ts";
import * as echo from "../pool/echo-worker.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const ECHO: URL = new URL("../pool/echo-worker.js", import.meta.url);

/** A call as in plain JavaScript, with any argument. */
type Plain = (options: object) => unknown;

/** Calls with one wrong name, and the message. */
const MISSPELT: readonly (readonly [run: () => unknown, message: string])[] = [
  [
    () => (listen as Plain)({ ...LOCAL, dta() {} }),
    'Unknown option "dta" of listen(); did you mean "data"?',
  ],
  [
    () => (listen as Plain)({ hostnme: "127.0.0.1", port: 0 }),
    'Unknown option "hostnme" of listen(); did you mean "hostname"?',
  ],
  [
    () => (listen as Plain)({ unix: "/run/app.sock" }),
    'Unknown option "unix" of listen(); give path',
  ],
  [
    () => (listen as Plain)({ ...LOCAL, socket: {} }),
    'Unknown option "socket" of listen(); give the handlers beside the address: open, data, drain, end, close, error',
  ],
  [
    () => (listen as Plain)({ ...LOCAL, allowHalfOpen: true }),
    'Unknown option "allowHalfOpen" of listen(); give end(), which calls end() or close() of the connection',
  ],
  [
    () => (connect as Plain)({ port: 1, autoSelectFamily: true }),
    'Unknown option "autoSelectFamily" of connect(); leave it out: every address of a name is tried',
  ],
  [
    () => (listen as Plain)({ ...LOCAL, onData() {} }),
    'Unknown option "onData" of listen(); did you mean "data"?',
  ],
  [
    () => (listen as Plain)({ ...LOCAL, idleTimeout: 5 }),
    'Unknown option "idleTimeout" of listen(); did you mean "idleTimeoutMs"?',
  ],
  [
    () => (connect as Plain)({ host: "127.0.0.1", prot: 80 }),
    'Unknown option "prot" of connect(); did you mean "port"?',
  ],
  [
    () => (serve as Plain)({ prot: 1, handler() {} }),
    'Unknown option "prot" of serve(); did you mean "port"?',
  ],
  [
    () => (serve as Plain)({ ...LOCAL, fetsch() {} }),
    'Unknown option "fetsch" of serve(); did you mean "fetch"?',
  ],
  [
    () => (files as Plain)({ dir: ".", list: true }),
    'Unknown option "list" of files(); did you mean "listing"?',
  ],
  [
    () => (startWorkers as Plain)({ module: ECHO, worker: 2 }),
    'Unknown option "worker" of startWorkers(); did you mean "workers"?',
  ],
  [
    () => (startWorkers as Plain)({ module: ECHO, listen: { prot: 0 } }),
    'Unknown option "prot" of listen of startWorkers(); did you mean "port"?',
  ],
  [
    () => (serveModel as Plain)({ modul: ECHO, model: "event", listen: LOCAL }),
    'Unknown option "modul" of serveModel(); did you mean "module"?',
  ],
  [
    () => (serveModel as Plain)({ module: ECHO, model: "event", listen: { prot: 0 } }),
    'Unknown option "prot" of listen of serveModel(); did you mean "port"?',
  ],
  [
    () =>
      (serveModel as Plain)({
        module: ECHO,
        model: "event",
        listen: LOCAL,
        observer: { open() {} },
      }),
    'Unknown option "open" of observer of serveModel(); did you mean "opened"?',
  ],
  [
    () => new (Reactor as unknown as new (options: object) => unknown)({ engin: "epoll" }),
    'Unknown option "engin" of new Reactor(); did you mean "engine"?',
  ],
  [
    () => (defaultReactor as Plain)({ trigger: "level", kernel: {} }),
    'Unknown option "kernel" of defaultReactor(); give engine, trigger',
  ],
  [
    () => (createServer as Plain)({ ...LOCAL, reuseport: true }),
    'Unknown option "reuseport" of createServer(); did you mean "reusePort"?',
  ],
  [
    () => (createConnection as Plain)({ ...LOCAL, timeout: 5 }),
    'Unknown option "timeout" of createConnection(); did you mean "timeoutMs"?',
  ],
];

/** A handler object of a class, with private state. */
class Counting {
  static received = 0;
  #bytes = 0;

  data(connection: Connection, bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    Counting.received = this.#bytes;
    connection.write(bytes);
  }

  get total(): number {
    return this.#bytes;
  }
}

/** Sends three bytes to an echo server, and waits until they are echoed. */
async function echoed(port: number): Promise<void> {
  using socket = await createConnection({ host: "127.0.0.1", port });
  socket.sendAll("abc");
  const buffer = new Uint8Array(3);
  for (let length = 0; length < 3; ) {
    socket.setBlocking(false);
    const got = socket.recvInto(buffer.subarray(length));
    if (got === null) await new Promise((resolve) => setTimeout(resolve, 1));
    else length += got;
  }
  assert.equal(Buffer.from(buffer).toString(), "abc");
}

export function optionNamesSuite(): Suite {
  return {
    title: "names of options",
    cases: [
      ...MISSPELT.map(([run, message]) => ({
        name: `an unknown name is rejected: ${message}`,
        async run() {
          await assert.rejects(async () => run(), {
            name: "TypeError",
            code: "ERR_INVALID_OPTION",
            message,
          });
        },
      })),
      {
        name: "a name that is similar to none is rejected, with a list of all names",
        run() {
          assert.throws(() => (listen as Plain)({ ...LOCAL, xyzzy: 1 }), {
            code: "ERR_INVALID_OPTION",
            message:
              /^Unknown option "xyzzy" of listen\(\); give open, data, .*\bport\b.*, engine, trigger$/,
          });
        },
      },
      {
        name: "an option of one function is unknown to another",
        run() {
          using reactor = new Reactor({ engine: "epoll" });
          assert.throws(
            () => (reactor.listen.bind(reactor) as Plain)({ ...LOCAL, engine: "poll" }),
            {
              code: "ERR_INVALID_OPTION",
              message: /^Unknown option "engine" of listen\(\)/,
            },
          );
          listen({ ...LOCAL, engine: "epoll" }).close();
        },
      },
      {
        name: "a name that all objects have is not an option",
        run() {
          for (const name of ["constructor", "toString", "hasOwnProperty", "__proto__"]) {
            const options = Object.defineProperty({ ...LOCAL }, name, {
              value: 1,
              enumerable: true,
            });
            assert.throws(() => (listen as Plain)(options), {
              message: new RegExp(`^Unknown option "${name}"`),
            });
          }
        },
      },
      {
        name: "an undefined value counts as left out, under any name",
        run() {
          (listen as (options: object) => { close(): void })({
            ...LOCAL,
            dta: undefined,
            open: undefined,
            idleTimeoutMs: undefined,
            engine: undefined,
          }).close();
        },
      },
      {
        name: "symbols, non-enumerable and inherited properties are not checked",
        run() {
          const options = Object.assign(Object.create({ inherited: 1 }), LOCAL, {
            [Symbol("s")]: 1,
          });
          Object.defineProperty(options, "hidden", { value: 1 });
          (listen as (options: object) => { close(): void })(options).close();
        },
      },
      {
        name: "handlers may be an instance of a class, with private state",
        async run() {
          const handlers = new Counting();
          const listener = listen(Object.assign(handlers, LOCAL));
          try {
            await echoed(listener.port);
            assert.equal(handlers.total, 3);
          } finally {
            await listener.stop(0);
          }
        },
      },
      {
        name: "state in a property of a handler object is rejected",
        run() {
          const handlers = Object.assign(new Counting(), LOCAL, { connections: 0 });
          assert.throws(() => listen(handlers), {
            code: "ERR_INVALID_OPTION",
            message:
              /^Unknown option "connections" of listen\(\); did you mean "maxConnections"\?$/,
          });
        },
      },
      {
        name: "the namespace of a module may export more than handlers",
        async run() {
          const open = (connection: Connection): void => void connection.handOver(echo);
          const listener = listen({ ...LOCAL, open });
          try {
            await echoed(listener.port);
          } finally {
            await listener.stop(0);
          }
        },
      },
    ],
  };
}
