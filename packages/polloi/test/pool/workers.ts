import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import {
  kernelWith,
  openDescriptors,
  raiseDescriptorLimit,
  Untouched,
} from "../../../../test/support/descriptors.ts";
import { type Case, type Extent, RUNS_ALL, type Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { serveModel } from "../../src/pool/models.ts";
import {
  startWorkers,
  type UnresponsiveWorker,
  type WorkersOptions,
} from "../../src/pool/workers.ts";
import { SO_REUSEPORT } from "../../src/socket/constants.ts";
import { createConnection } from "../../src/socket/create.ts";
import { kernel } from "../../src/sys/open.ts";
import { Client } from "../support/client.ts";
import { READINESS_ENGINES } from "../support/engines.ts";
import { whyNoIPv6 } from "../support/ipv6.ts";
import { assertLateStart, rejection, until } from "../support/waiting.ts";
import { WaitingPeers } from "../support/waiting-peers.ts";
import { type Warning, Warnings } from "../support/warnings.ts";
import { MUCH } from "./command-worker.ts";
import { module, TestPool } from "./test-pool.ts";

const { libc } = kernel;

const CONNECTIONS = 1000;
/** After how long a worker counts as unresponsive. A responsive worker of a busy machine answers sooner. */
const SILENT_MS = 600;

/** Ways for a worker to exit unexpectedly, and the error that is reported. */
const EXITS: readonly (readonly [command: string, error: RegExp])[] = [
  ["throw", /thrown in a handler/],
  ["exit", /exited with code 3/],
  ["reject", /rejected in a handler/],
];

/** A line of a stack. Deno names the source of a compiled module. */
const IN_THE_WORKER = /command-worker\.[jt]s:\d+/;

const WRONG: readonly (readonly [options: object, code: string, names: RegExp])[] = [
  [{ workers: 0 }, "ERR_INVALID_OPTION", /0 workers.*1 to 1024/],
  [{ workers: 1025 }, "ERR_INVALID_OPTION", /1025 workers/],
  [{ workers: 1.5 }, "ERR_INVALID_OPTION", /1\.5 workers/],
  [{ workers: "2" }, "ERR_INVALID_OPTION", /"2" workers/],
  [{ module: 5 }, "ERR_INVALID_OPTION", /run 5 in workers/],
  [{ module: "" }, "ERR_INVALID_OPTION", /run "" in workers/],
  [{ listen: {} }, "ERR_INVALID_PORT", /without an address: give port or path/],
  [{ listen: { host: "127.0.0.1", port: -1 } }, "ERR_INVALID_PORT", /-1/],
  [{ listen: { host: "192.0.2.1", port: 0 } }, "EADDRNOTAVAIL", /192\.0\.2\.1/],
  [{ listen: undefined }, "ERR_INVALID_OPTION", /address of the pool: it has none/],
  [{ crashLoop: "stop" }, "ERR_INVALID_OPTION", /"stop" as crashLoop: give "continue" or "end"/],
  [{ startTimeoutMs: 0 }, "ERR_INVALID_TIMEOUT", /0 as startTimeoutMs: give more than 0/],
  [{ unresponsiveAfterMs: -1 }, "ERR_INVALID_TIMEOUT", /-1 as unresponsiveAfterMs/],
  [{ whenUnresponsive: "kill" }, "ERR_INVALID_OPTION", /"kill" as whenUnresponsive: give "wait"/],
  [{ engine: "kqueue" }, "ERR_INVALID_OPTION", /"kqueue"/],
];

/**
 * {@link startWorkers}: threads on one port, which are replaced when they exit unexpectedly.
 *
 * @remarks
 * Starting workers is nearly all that a case costs, so each has no more of them than its property needs.
 */
export function workersSuite(extent: Extent): Suite {
  return {
    title: `workers on ${kernel.runtime}`,
    cases: [
      ...servingCases(),
      ...exitCases(extent),
      ...livenessCases(),
      ...stoppingCases(),
      ...refusedCases(),
    ],
  };
}

function servingCases(): Case[] {
  return [
    {
      name: 'a module of handlers echoes to every client, in any worker; "auto" starts one for each processor',
      run: async () => {
        const options = {
          module: module("echo-worker"),
          data: undefined,
          workers: "auto",
        } as const;
        await using pool = await TestPool.start(options);
        assert.equal(pool.pool.workers.length, availableParallelism());
        const clients = Array.from({ length: 12 }, () => pool.client());
        const bytes = new Uint8Array(100_000).map((_, i) => i % 251);
        for (const client of clients) client.send(bytes);
        await until("echoed", () => clients.every(({ length }) => length === bytes.length));
        for (const client of clients) assert.ok(client.bytes.equals(bytes));
      },
    },
    {
      name: "without a host, every worker accepts IPv6 and IPv4",
      skip: whyNoIPv6(),
      run: async () => {
        const listen = { port: 0 };
        const options = { module: module("echo-worker"), data: undefined, listen, workers: 2 };
        await using pool = await TestPool.start(options);
        const { port } = pool.pool;
        const hosts = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? "127.0.0.1" : "::1"));
        const sockets = await Promise.all(hosts.map((host) => createConnection({ host, port })));
        for (const socket of sockets) socket.sendAll("x");
        await until("accepted", () => {
          const accepted = pool.pool.workers.reduce((sum, worker) => sum + worker.accepted, 0);
          return accepted === sockets.length;
        });
        for (const socket of sockets) {
          assert.equal(socket.recv(1)?.length, 1);
          socket.close();
        }
      },
    },
    {
      name: "promises, timers and background work of the runtime continue in handlers, and messages arrive",
      run: async () => {
        await using pool = await TestPool.start({ workers: 1 });
        const client = pool.client();
        for (const [command, answer] of [
          ["wait", "waited"],
          ["digest", "32"],
          ["timer", "timed"],
          ["post", "posted"],
        ] as const) {
          assert.equal(await client.ask(command), answer);
        }
        await until("the message has arrived", () => pool.messages.length > 0);
        assert.deepEqual(pool.messages, [[{ said: "post", by: 0 }, 0]]);
      },
    },
    {
      name: `${CONNECTIONS} connections are spread over two workers by at most 1.3 to 1`,
      skip: raiseDescriptorLimit(3 * CONNECTIONS),
      run: async () => {
        await using pool = await TestPool.start({ module: module("echo-worker"), data: undefined });
        const clients = Array.from({ length: CONNECTIONS }, () => pool.client());
        const open = () => pool.pool.workers.reduce((sum, each) => sum + each.connections, 0);
        await until("all are open", () => open() === CONNECTIONS);
        const accepted = pool.pool.workers.map((each) => each.accepted);
        assert.equal((accepted[0] as number) + (accepted[1] as number), CONNECTIONS);
        assert.ok(pool.pool.balance <= 1.3, `accepted ${accepted}: ${pool.pool.balance}`);
        for (const client of clients) client.destroy();
        await until("all are closed", () => open() === 0);
      },
    },
    {
      name: "startWorkers resolves when all workers serve",
      run: async () => {
        await using pool = await TestPool.start({ workers: 3 });
        assert.deepEqual(
          pool.pool.workers.map(({ state }) => state),
          ["running", "running", "running"],
        );
        const seen = new Set<string>();
        await until("every worker has answered", async () => {
          seen.add(await pool.client().ask("who"));
          return seen.size === 3;
        });
      },
    },
    {
      name: "on a unix socket all workers accept from one listener",
      run: async () => {
        const path = `\0polloi-workers-${process.pid}-${Math.random()}`;
        await using pool = await TestPool.start({ listen: { path } });
        assert.equal(pool.pool.port, -1);
        for (let i = 0; i < 10; i++) {
          assert.match(await new Client({ path }).ask("who"), /^[01]$/);
        }
      },
    },
    {
      name: "workers use the engine and the trigger of the options",
      run: async () => {
        for (const [engine, trigger] of READINESS_ENGINES) {
          await using pool = await TestPool.start({ engine, trigger, workers: 1 });
          assert.deepEqual([pool.pool.engine, pool.pool.trigger], [engine, trigger]);
          assert.equal(await pool.client().ask("wait"), "waited");
        }
      },
    },
  ];
}

function exitCases(extent: Extent): Case[] {
  return [
    ...[
      ...EXITS.map((exit) => [...exit, "auto"] as const),
      // One with a readiness engine, where descriptors that are left open are closed in another way.
      ...(extent === "all" ? [["exit", /exited with code 3/, "epoll"] as const] : []),
    ].map(([command, error, engine]) => ({
      name: `${engine}: a worker that exits unexpectedly (${command}) is reported and replaced; only its own connections are closed`,
      run: async () => {
        await using pool = await TestPool.start({ engine });
        const [doomed, witness] = [await pool.clientOf(0), await pool.clientOf(0)];
        const spared = await pool.clientOf(1);
        const accepted = pool.pool.workers[0]?.accepted ?? 0;
        doomed.send(command);
        await until("closed", () => doomed.closed && witness.closed);
        assert.equal(await spared.ask("still"), "still");
        await until("it is reported", () => pool.exits.length === 1);
        await until("replaced", () => pool.pool.workers[0]?.state === "running");
        assert.equal(pool.exits[0]?.index, 0);
        assert.equal(pool.exits[0]?.restartInMs, 50);
        assert.match(pool.exits[0]?.error.message ?? "", error);
        if (command !== "exit") assert.match(pool.exits[0]?.error.stack ?? "", IN_THE_WORKER);
        assert.equal(pool.pool.workers[0]?.exits, 1);
        // Connections of the worker that was replaced still count.
        assert.ok((pool.pool.workers[0]?.accepted ?? 0) >= accepted);
        assert.equal(await (await pool.clientOf(0)).ask("again"), "again");
        assert.equal(await spared.ask("still"), "still");
      },
    })),
    {
      name: "an error that a worker throws is reported when stop follows at once, with its stack as the detail of a warning",
      run: async () => {
        using warnings = new Warnings();
        let stopped: Promise<void> | undefined;
        const pool = await startWorkers({
          module: module("command-worker"),
          workers: 1,
          listen: { host: "127.0.0.1", port: 0 },
          data: {},
          message: () => {
            stopped = pool.stop();
          },
        });
        const client = new Client({ host: "127.0.0.1", port: pool.port });
        client.send("post and throw");
        await until("stop was called", () => stopped !== undefined);
        await stopped;
        client.destroy();
        await until("a warning was emitted", () => warnings.all.length > 0);
        const [{ message, detail } = {} as Warning] = warnings.all;
        assert.equal(message, "worker 0 exited unexpectedly: thrown in a handler");
        assert.match(detail ?? "", IN_THE_WORKER);
        assert.equal(warnings.all.length, 1);
        assert.deepEqual(
          pool.workers.map(({ state, exits }) => [state, exits]),
          [["stopped", 1]],
        );
      },
    },
    {
      name: "a client that connects before a worker is replaced is served by the replacement",
      run: async () => {
        let waiting: Client[] = [];
        await using pool = await TestPool.start({
          exited: () => {
            waiting = Array.from({ length: 30 }, () => pool.client());
          },
        });
        const answers: Promise<string>[] = [];
        (await pool.clientOf(1)).send("exit");
        await until("it has exited", () => waiting.length > 0);
        for (const client of waiting) answers.push(client.ask("who"));
        const by = await Promise.all(answers);
        assert.deepEqual([...new Set(by)].sort(), ["0", "1"]);
      },
    },
    // With reusePort the kernel's choice is not steered, so closing the listener must suffice.
    ...[false, true].map((reusePort) => ({
      name: `${reusePort ? "with reusePort: " : ""}a worker that fails at every start is given up, the others still serve; the last one ends the pool`,
      skip: extent === "all" ? undefined : `it takes several restarts; ${RUNS_ALL}`,
      run: async () => {
        const starts = new SharedArrayBuffer(8);
        const listen = { host: "127.0.0.1", port: 0, reusePort };
        await using pool = await TestPool.start({ listen, data: { starts } });
        const finished = rejection(pool.pool.finished);
        (await pool.clientOf(1)).send("throw");
        await until("given up", () => pool.pool.workers[1]?.state === "given up");
        assert.deepEqual(
          pool.exits.map(({ restartInMs }) => restartInMs),
          [50, 100, 200, 400, null],
        );
        assert.match(pool.exits.at(-1)?.error.message ?? "", /not again/);
        const answers = Array.from({ length: 20 }, () => pool.client().ask("who"));
        assert.deepEqual(new Set(await Promise.all(answers)), new Set(["0"]));
        (await pool.clientOf(0)).send("exit");
        assert.match(
          (await finished).message,
          /every worker exited unexpectedly too often.*not again/,
        );
        await until("nobody listens", async () => (await pool.client().ask("who")) === "");
      },
    })),
    {
      name: "a worker that exits unexpectedly again and again is replaced each time, and the pool continues",
      skip: extent === "all" ? undefined : `it takes several restarts; ${RUNS_ALL}`,
      run: async () => {
        await using pool = await TestPool.start();
        for (let exits = 1; exits <= 7; exits++) {
          (await pool.clientOf(1)).send("throw");
          await until("reported", () => pool.exits.length === exits);
          await until("replaced", () => pool.pool.workers[1]?.state === "running");
        }
        const delays = pool.exits.map(({ restartInMs }) => restartInMs);
        assert.deepEqual(delays, [50, 100, 200, 400, 800, 1000, 1000]);
        assert.equal(await (await pool.clientOf(0)).ask("still"), "still");
        assert.equal(await (await pool.clientOf(1)).ask("still"), "still");
      },
    },
    {
      name: 'crashLoop "end": one worker that exits unexpectedly again and again ends the pool',
      skip: extent === "all" ? undefined : `it takes several restarts; ${RUNS_ALL}`,
      run: async () => {
        await using pool = await TestPool.start({ crashLoop: "end" });
        const finished = rejection(pool.pool.finished);
        const spared = await pool.clientOf(0);
        for (let exits = 1; exits <= 5; exits++) {
          (await pool.clientOf(1)).send("throw");
          await until("reported", () => pool.exits.length === exits);
          if (exits < 5) await until("back", () => pool.pool.workers[1]?.state === "running");
        }
        assert.match(
          (await finished).message,
          /worker 1 exited unexpectedly too often.*thrown in a handler/,
        );
        await spared.over();
        const states = pool.pool.workers.map(({ state }) => state);
        assert.deepEqual(states, ["stopped", "given up"]);
      },
    },
    {
      name: "unexpected exits leave no descriptor behind",
      run: async () => {
        await using pool = await TestPool.start({ workers: 1 });
        const exitBy = async (command: string): Promise<void> => {
          const exits = pool.exits.length;
          (await pool.clientOf(0)).send(command);
          await until("it has exited", () => pool.exits.length > exits);
          await until("replaced", () => pool.pool.workers[0]?.state === "running");
          await until("closed", () => pool.clients.every(({ closed }) => closed));
        };
        // After the first exit the runtime may keep something open.
        await exitBy("throw");
        const before = openDescriptors();
        for (const [command] of EXITS) await exitBy(command);
        await until("as before", () => openDescriptors() <= before);
      },
    },
  ];
}

/** Workers that do not become ready, and workers that do not respond. */
function livenessCases(): Case[] {
  return [
    {
      name: "a worker that is not ready in time is terminated, with an error that says what it was doing",
      run: async () => {
        for (const hangs of ["waits", "loops"] as const) {
          await assertLateStart(/start\(\) of its module had not/, async (startTimeoutMs) => {
            const over = new SharedArrayBuffer(1);
            const data = { hangs, over };
            const error = await rejection(TestPool.start({ workers: 1, startTimeoutMs, data }));
            assert.match(error.message, /command-worker\.js/);
            Atomics.store(new Uint8Array(over), 0, 1);
            return error;
          });
        }
      },
    },
    {
      name: "a replacement that is not ready in time counts as an unexpected exit, and the others still serve",
      run: async () => {
        const starts = new SharedArrayBuffer(8);
        await using pool = await TestPool.start({
          startTimeoutMs: 4000,
          data: { starts, hangsAgain: true },
        });
        (await pool.clientOf(1)).send("throw");
        await until("reported", () => pool.exits.length === 2);
        assert.match(pool.exits[1]?.error.message ?? "", /not ready after 4000 ms/);
        assert.deepEqual([pool.exits[1]?.index, pool.exits[1]?.restartInMs], [1, 100]);
        assert.equal(await (await pool.clientOf(0)).ask("still"), "still");
      },
    },
    ...(["a port", "a unix socket"] as const).map((where) => ({
      name: `on ${where}: a worker in an endless loop is reported, receives no new connections, and recovers when it responds`,
      run: async () => {
        const over = new SharedArrayBuffer(1);
        const path = `\0polloi-workers-${process.pid}-${Math.random()}`;
        const reports: [string, UnresponsiveWorker][] = [];
        let index = -1;
        await using pool = await TestPool.start({
          ...(where === "a port" ? {} : { listen: { path } }),
          data: { over },
          unresponsiveAfterMs: SILENT_MS,
          // On a busy machine other workers may be as slow.
          unresponsive: (worker) => {
            if (worker.index === index) reports.push(["unresponsive", worker]);
          },
          recovered: (worker) => {
            if (worker.index === index) reports.push(["recovered", worker]);
          },
        });
        const client = (): Client => (where === "a port" ? pool.client() : new Client({ path }));
        const looping = client();
        index = Number(await looping.ask("who"));
        looping.send("spin");
        await until("reported", () => reports.length > 0);
        assert.equal(pool.pool.workers[index]?.state, "unresponsive");
        const others = Array.from({ length: 20 }, () => client());
        const answers = await Promise.all(others.map((other) => other.ask("who")));
        assert.deepEqual(new Set(answers), new Set([String(1 - index)]));
        Atomics.store(new Uint8Array(over), 0, 1);
        await until("recovered", () => reports.length > 1);
        assert.deepEqual(
          reports.map(([what, worker]) => [what, worker.index, worker.silentMs >= SILENT_MS]),
          [
            ["unresponsive", index, true],
            ["recovered", index, true],
          ],
        );
        assert.equal(pool.pool.workers[index]?.state, "running");
        assert.equal(await looping.ask("hello"), "hello");
        if (where === "a port") await pool.clientOf(index);
        for (const each of [looping, ...others]) each.destroy();
      },
    })),
    ...(["a port", "a unix socket"] as const).map((where) => ({
      name: `whenUnresponsive on ${where}: a worker in an endless loop is terminated and replaced, and no client waits for it`,
      run: async () => {
        const over = new SharedArrayBuffer(1);
        const path = `\0polloi-workers-${process.pid}-${Math.random()}`;
        await using pool = await TestPool.start({
          ...(where === "a port" ? {} : { listen: { path } }),
          data: { over },
          unresponsiveAfterMs: SILENT_MS,
          whenUnresponsive: "replace",
          unresponsive() {},
        });
        const looping = pool.client();
        const index = Number(await looping.ask("who"));
        looping.send("spin");
        await until("reported", () => pool.exits.length > 0);
        assert.match(pool.exits[0]?.error.message ?? "", /did not respond for \d+ ms/);
        const stuck = kernel.runtime === "deno";
        assert.equal(pool.exits[0]?.stuck, stuck);
        await looping.over();
        const answers = Array.from({ length: 20 }, () => pool.client().ask("who"));
        const by = new Set(await Promise.all(answers));
        // Deno cannot terminate the thread. It is replaced when the loop ends.
        if (stuck) {
          assert.deepEqual(by, new Set([String(1 - index)]));
          assert.equal(pool.pool.workers[index]?.state, "unresponsive");
          Atomics.store(new Uint8Array(over), 0, 1);
        }
        await until("replaced", () => pool.pool.workers[index]?.state === "running");
        Atomics.store(new Uint8Array(over), 0, 1);
        // On a unix socket any of them may accept.
        const again = where === "a port" ? await pool.clientOf(index) : pool.client();
        assert.equal(await again.ask("again"), "again");
      },
    })),
  ];
}

function stoppingCases(): Case[] {
  return [
    {
      name: "stop waits until a slow reader has received what is queued",
      run: async () => {
        await using pool = await TestPool.start({ workers: 1 });
        const slow = pool.client();
        slow.pause();
        slow.send("much");
        await until("written", () => pool.messages.length > 0);
        const stopped = pool.pool.stop(10_000);
        slow.resume();
        await stopped;
        await until("closed", () => slow.closed);
        assert.equal(slow.length, MUCH);
        assert.equal(slow.error, undefined);
      },
    },
    {
      name: "stop destroys the connection of a client that does not read, and a second stop shortens the first",
      run: async () => {
        for (const [first, second] of [
          [30, undefined],
          [60_000, 0],
        ] as const) {
          const before = openDescriptors();
          await using pool = await TestPool.start({ workers: 1 });
          const deaf = pool.client();
          deaf.pause();
          deaf.send("much");
          await until("written", () => pool.messages.length > 0);
          const stopped = pool.pool.stop(first);
          if (second !== undefined) await pool.pool.stop(second);
          await stopped;
          await pool.pool.finished;
          deaf.destroy();
          await until("nothing is left open", () => openDescriptors() <= before);
        }
      },
    },
    {
      name: "stop asks the module first, and closes the connections that it leaves",
      run: async () => {
        await using pool = await TestPool.start({ data: { holds: true } });
        const clients = [await pool.clientOf(0), await pool.clientOf(1)];
        const stopped = pool.pool.stop(10_000);
        for (const client of clients) assert.equal(await client.ask("on"), "on");
        for (const client of clients) client.send("release");
        await stopped;
        await until("closed", () => clients.every(({ closed }) => closed));
      },
    },
    {
      name: "clients that are connected when stop is called are served, whether or not they have sent their request",
      run: async () => {
        await using pool = await TestPool.start({ module: module("echo-worker"), data: undefined });
        using clients = new WaitingPeers(40, pool.pool.port);
        clients.send("hello", 0, 20);
        const stopped = pool.pool.stop(10_000);
        clients.send("hello", 20, 40);
        assert.deepEqual(new Set(await clients.answers()), new Set(["hello"]));
        await stopped;
      },
    },
    {
      name: "a pool that takes the place of another on its port loses no one-shot request",
      run: async () => {
        const options = { module: module("echo-worker"), data: undefined, workers: 1 };
        await using first = await TestPool.start({
          ...options,
          listen: { host: "127.0.0.1", port: 0, reusePort: true },
        });
        const { port } = first.pool;
        const listen = { host: "127.0.0.1", port, reusePort: true };
        let asking = true;
        const wrong: string[] = [];
        const askOneByOne = async (): Promise<number> => {
          let asked = 0;
          for (; asking; asked++) {
            const client = new Client({ host: "127.0.0.1", port });
            const answer = await client.ask("hello");
            if (answer !== "hello") wrong.push(`${answer} ${client.error}`);
            client.destroy();
          }
          return asked;
        };
        const askers = Array.from({ length: 8 }, askOneByOne);
        let last = first;
        for (let restarts = 0; restarts < 3; restarts++) {
          const next = await TestPool.start({ ...options, listen });
          const { pool } = last;
          await until("asked", () => pool.workers.some(({ accepted }) => accepted > 0));
          await pool.stop(10_000);
          last = next;
        }
        asking = false;
        const asked = await Promise.all(askers);
        await last.pool.stop(0);
        assert.deepEqual(wrong, [], `of ${asked.reduce((sum, each) => sum + each)}`);
      },
    },
    {
      name: "stop waits until the module has stopped, after connections are destroyed",
      run: async () => {
        await using pool = await TestPool.start({ workers: 1, data: { endsLate: true } });
        const client = await pool.clientOf(0);
        await pool.pool.stop(10);
        await client.over();
        assert.deepEqual(pool.messages, [["ended", 0]]);
      },
    },
    {
      name: "stop ends a worker in an endless loop",
      run: async () => {
        {
          // The runtime keeps open what it opens for the first thread and the first client.
          await using first = await TestPool.start({ workers: 1 });
          await first.client().ask("who");
        }
        const before = openDescriptors();
        const over = new SharedArrayBuffer(1);
        await using pool = await TestPool.start({ workers: 1, data: { over } });
        pool.client().send("spin");
        await until("it spins", () => pool.messages.length > 0);
        await pool.pool.stop(0);
        assert.deepEqual(pool.exits, []);
        for (const client of pool.clients) client.destroy();
        // Deno cannot terminate it. The numbers of its descriptors must not be reused meanwhile.
        using others = new Untouched();
        Atomics.store(new Uint8Array(over), 0, 1);
        await until("nothing is left open", () => openDescriptors() - others.count <= before);
        assert.ok(others.untouched, "a thread went on with descriptors that are not its own");
      },
    },
    {
      name: "stop while a worker is replaced starts no replacement, and a second stop does nothing",
      run: async () => {
        await using pool = await TestPool.start();
        (await pool.clientOf(0)).send("exit");
        await until("it has exited", () => pool.exits.length > 0);
        await Promise.all([pool.pool.stop(0), pool.pool.stop(0)]);
        await pool.pool.stop();
        assert.equal(pool.pool.address, null);
        const states = pool.pool.workers.map(({ state }) => state);
        assert.deepEqual(states, ["stopped", "stopped"]);
      },
    },
    {
      name: "start and stop leave no descriptor behind",
      run: async () => {
        const cycle = async (): Promise<void> => {
          await using pool = await TestPool.start();
          assert.equal(await pool.client().ask("hello"), "hello");
        };
        await cycle();
        const before = openDescriptors();
        for (let i = 0; i < 2; i++) await cycle();
        await until("as before", () => openDescriptors() <= before);
      },
    },
    {
      name: "threads that end leave no descriptor of the runtime behind",
      run: async () => {
        const all = () => readdirSync("/proc/self/fd").length;
        const cycle = async (): Promise<void> => {
          await using pool = await TestPool.start({ workers: 1 });
          assert.equal(await pool.client().ask("hello"), "hello");
        };
        await cycle();
        const before = all();
        for (let i = 0; i < 4; i++) await cycle();
        // Deno keeps an epoll set and an eventfd of one thread.
        await until("as before", () => all() <= before + 2);
      },
    },
  ];
}

function refusedCases(): Case[] {
  const refused = async (options: Partial<WorkersOptions>): Promise<Error & { code?: string }> => {
    const before = openDescriptors();
    const error = await rejection(TestPool.start({ workers: 1, ...options }));
    await until("nothing is left open", () => openDescriptors() <= before);
    return error;
  };
  return [
    ...WRONG.map(([options, code, names]) => ({
      name: `startWorkers(${shown(options)}) is ${code}`,
      run: async () => {
        const error = await refused(options as Partial<WorkersOptions>);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, names);
      },
    })),
    {
      name: "a module that starts its own pool is refused by the first worker, or by the process of a model",
      run: async () => {
        const itself = module("self-starting-worker");
        const listen = { host: "127.0.0.1", port: 0 };
        for (const starting of [
          () => startWorkers({ module: itself, workers: 1, listen }),
          () => serveModel({ model: "blocking", module: itself, listen }),
          () => serveModel({ model: "prefork", children: 1, module: itself, listen }),
        ]) {
          const error = await rejection(starting());
          assert.equal(error.code, "ERR_UNSUPPORTED", error.message);
          assert.match(error.message, /^Cannot start workers from a .*module of their own/);
        }
      },
    },
    {
      name: "an invalid grace period is refused",
      run: async () => {
        await using pool = await TestPool.start({ workers: 1 });
        const error = await rejection(pool.pool.stop(-1));
        assert.match(error.message, /-1 as graceMs/);
      },
    },
    {
      name: "what the module throws as it starts is thrown by startWorkers",
      run: async () => {
        const error = await refused({ data: { failing: "no database" } });
        assert.equal(error.message, "no database");
      },
    },
    {
      name: "a module that does not exist, and data that cannot be cloned, are refused",
      run: async () => {
        assert.match((await refused({ module: module("nowhere") })).message, /nowhere/);
        assert.ok((await refused({ data: { work: () => {} } })) instanceof Error);
      },
    },
    {
      name: "a port that something listens on is refused, and shared when asked for",
      run: async () => {
        await using first = await TestPool.start({ workers: 1 });
        const listen = { host: "127.0.0.1", port: first.pool.port };
        const error = await refused({ listen });
        assert.equal(error.code, "EADDRINUSE");
        await using second = await TestPool.start({
          listen: { ...listen, reusePort: true },
          workers: 1,
        });
        assert.equal(second.pool.port, first.pool.port);
        assert.equal(await second.client().ask("hello"), "hello");
      },
    },
    {
      name: "a kernel that refuses SO_REUSEPORT, or a second listener, is reported with a hint",
      run: async () => {
        const noReusePort = kernelWith({
          setsockopt: (fd, level, option, value, length) =>
            option === SO_REUSEPORT
              ? -ERRNO.ENOPROTOOPT
              : libc.setsockopt(fd, level, option, value, length),
        });
        let binds = 0;
        const oneListener = kernelWith({
          bind: (...args) => (++binds > 1 ? -ERRNO.EADDRINUSE : libc.bind(...args)),
        });
        for (const [refusing, code] of [
          [noReusePort, "ENOPROTOOPT"],
          [oneListener, "EADDRINUSE"],
        ] as const) {
          const error = (await refused({ kernel: refusing, workers: 2 })) as {
            code?: string;
            hint?: string;
          };
          assert.equal(error.code, code);
          assert.match(error.hint ?? "", /SO_REUSEPORT.*do without/);
        }
      },
    },
  ];
}

function shown(options: object): string {
  const [[name, value] = []] = Object.entries(options);
  return `{ ${name}: ${JSON.stringify(value)} }`;
}
