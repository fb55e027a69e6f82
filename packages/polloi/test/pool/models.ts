import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDescriptors, Untouched } from "../../../../test/support/descriptors.ts";
import type { Case, Extent, Suite } from "../../../../test/support/suite.ts";
import type { SysError } from "../../src/base/sys-error.ts";
import { whyNoUring } from "../../src/engine/try-uring.ts";
import { connect } from "../../src/index.ts";
import { type ModelOptions, serveModel, type UnresponsiveChild } from "../../src/pool/models.ts";
import { kernel } from "../../src/sys/open.ts";
import { Client } from "../support/client.ts";
import { assertLateStart, rejection, until } from "../support/waiting.ts";
import { WaitingPeers } from "../support/waiting-peers.ts";
import { testCertificate, testRoot, whyNoTls } from "../tls/pair.ts";
import { acceptCases, limitCases, reuseCases, waitingAtStopCase } from "./accepting.ts";
import { MUCH } from "./command-handlers.ts";
import {
  assertEchoed,
  childrenOf,
  exists,
  lean,
  noise,
  PER_CONNECTION,
  runs,
  TestServer,
  VARIANTS,
  variant,
} from "./test-server.ts";

/** How many clients connect at once where each starts a process or thread. models.test.ts has more of them. */
const CLIENTS: Readonly<Record<string, number>> = { process: 2, thread: 4 };
const LARGE = 3_000_000;
/** After how long a child counts as unresponsive. A responsive child of a busy machine answers sooner. */
const SILENT_MS = 600;

/** Cases that do not depend on the variant of prefork run with one of them. */
const ONE_OF_EACH = ["blocking", "process", "thread", "prefork, one listener", "event"] as const;
const WITH_CHILDREN = ["blocking", "process", "thread", "prefork, one listener"] as const;

/** A certificate and a key without contents. */
const PEM = { cert: "-----BEGIN CERTIFICATE-----", key: "-----BEGIN PRIVATE KEY-----" };

const WRONG: readonly (readonly [options: object, code: string, names: RegExp])[] = [
  [{ model: "fork" }, "ERR_INVALID_OPTION", /"fork" as model.*"prefork"/],
  [{ model: "event", children: 2 }, "ERR_INVALID_OPTION", /children.*"event".*prefork/],
  [{ model: "event", maxChildren: 2 }, "ERR_INVALID_OPTION", /maxChildren.*process and thread/],
  [{ model: "thread", engine: "epoll" }, "ERR_INVALID_OPTION", /engine.*prefork and event/],
  [{ model: "thread", maxChildren: 0 }, "ERR_INVALID_OPTION", /0 as maxChildren.*1 to 10000/],
  [{ model: "thread", atLimit: "refuse" }, "ERR_INVALID_OPTION", /"refuse" as atLimit/],
  [{ model: "prefork", children: 1.5 }, "ERR_INVALID_OPTION", /1\.5 as children.*"auto"/],
  [{ model: "prefork", sharing: "both" }, "ERR_INVALID_OPTION", /"both" as sharing/],
  [{ model: "event", crashLoop: "end" }, "ERR_INVALID_OPTION", /crashLoop.*prefork and blocking/],
  [{ model: "prefork", crashLoop: 1 }, "ERR_INVALID_OPTION", /1 as crashLoop/],
  [{ model: "thread", startTimeoutMs: 0 }, "ERR_INVALID_TIMEOUT", /0 as startTimeoutMs/],
  [{ model: "thread", tls: { cert: "", key: "" } }, "ERR_INVALID_OPTION", /tls.*prefork and event/],
  [{ model: "event", tls: {} }, "ERR_INVALID_OPTION", /without a certificate: give tls\.cert/],
  [{ model: "prefork", tls: { ...PEM, keylog() {} } }, "ERR_INVALID_OPTION", /as tls\.keylog/],
  [{ model: "prefork", tls: PEM }, "ERR_INVALID_OPTION", /tls\.cert.*no valid certificate/],
  [{ model: "event", module: 5 }, "ERR_INVALID_OPTION", /run 5 as the model "event"/],
  [{ model: "event", idleTimeoutMs: -1 }, "ERR_INVALID_TIMEOUT", /-1 as idleTimeoutMs/],
];

/**
 * {@link serveModel}: the same handlers in five models.
 *
 * @param extent - Below `all`, only the cases that depend on the runtime: starting processes and threads, passing
 * descriptors to them, blocking, and exiting.
 */
export function modelsSuite(extent: Extent): Suite {
  return {
    title: `models on ${kernel.runtime}`,
    cases: extent === "all" ? allCases() : coreCases(),
  };
}

function coreCases(): Case[] {
  return [
    ...ONE_OF_EACH.map(servingCase),
    killedCase("prefork, one listener"),
    thrownCase("thread"),
    ...(["process", "thread"] as const).map(stoppedCase),
    ...(["thread", "prefork, one listener"] as const).map(lateCase),
    waitingAtStopCase(),
    spinningCase("thread"),
    lastNumbersCase("process"),
    orphanCase("prefork"),
    ownServerCase("prefork"),
    tlsCase("prefork"),
    ...PER_CONNECTION.map(hangingCase),
    ...PER_CONNECTION.map(importHangsCase),
    ...["blocking", "prefork, SO_REUSEPORT"].map((name) => unresponsiveCase(name)),
  ];
}

function allCases(): Case[] {
  return [
    ...VARIANTS.map(({ name }) => servingCase(name)),
    ...ONE_OF_EACH.map(peerCase),
    ...(["blocking", "thread"] as const).map(closedCase),
    ...(["blocking", "process", "event"] as const).map(idleCase),
    ...(["process", "prefork, one listener"] as const).map(killedCase),
    ...WITH_CHILDREN.map(thrownCase),
    ...WITH_CHILDREN.map(thrownAtStopCase),
    ...crashLoopCases(),
    ...livenessCases(),
    ...reuseCases(),
    ...acceptCases(),
    ...limitCases(),
    ...ONE_OF_EACH.map(stoppedCase),
    ...ONE_OF_EACH.map(lateCase),
    waitingAtStopCase(),
    ...WITH_CHILDREN.map(spinningCase),
    ...(["blocking", "process", "thread"] as const).map(lastNumbersCase),
    ...(["process", "prefork"] as const).map(orphanCase),
    ...(["prefork", "event"] as const).map(ownServerCase),
    ...(["prefork", "event"] as const).map(tlsCase),
    ...refusedCases(),
  ];
}

function servingCase(name: string): Case {
  const clientCount = CLIENTS[name] ?? 100;
  return {
    name: `${name}: ${clientCount} clients at once: each receives its own bytes, and the end`,
    run: async () => {
      await using test = await TestServer.start(variant(name));
      const clients = Array.from({ length: clientCount }, () => test.client());
      for (const [i, client] of clients.entries()) client.send(noise(10_000, i)).end();
      await until("all are closed", () => clients.every(({ closed }) => closed));
      for (const [i, client] of clients.entries()) assertEchoed(client, noise(10_000, i));
      await until("it is reported", () => test.server.counts.bytes === clientCount * 10_000);
      const { connections, open, exits, refusals } = test.server.counts;
      const expected = { connections: clientCount, exits: 0, refusals: 0 };
      assert.deepEqual({ connections, exits, refusals }, expected);
      if (open > 0) await until("none is open", () => test.server.counts.open === 0);
    },
  };
}

function peerCase(name: string): Case {
  return {
    name: `${name}: a slow reader receives a large message, and a client that resets or is closed affects no other`,
    run: async () => {
      await using test = await TestServer.start(lean(name));
      const bytes = noise(LARGE, 1);
      const slow = test.client();
      slow.pause();
      slow.send(bytes).end();
      // Clients are served one at a time, so this one must finish first.
      if (name === "blocking") slow.resume();
      else assert.equal(await test.client().ask("not held up"), "not held up");
      const left = test.client().send("bye");
      await left.over();
      assert.deepEqual([left.text, left.error], ["good bye", undefined]);
      if (name !== "blocking") test.clients[1]?.reset();
      slow.resume();
      await slow.over();
      assertEchoed(slow, bytes);
      assert.deepEqual(test.exits, []);
    },
  };
}

function closedCase(name: string): Case {
  return {
    name: `${name}: closed connections leave no descriptor open`,
    run: async () => {
      await using test = await TestServer.start(variant(name));
      const connect = async (): Promise<void> => {
        const client = test.client();
        assert.equal(await client.ask("hello"), "hello");
        client.end();
        await client.over();
        await until("it is counted", () => test.server.counts.open === 0);
      };
      // The first connection starts a thread.
      await connect();
      const before = openDescriptors();
      for (let i = 0; i < 5; i++) await connect();
      await until("as before", () => openDescriptors() <= before);
    },
  };
}

function idleCase(name: string): Case {
  return {
    name: `${name}: an idle connection is closed after the idle timeout, and the observer is notified of everything`,
    run: async () => {
      const events: string[] = [];
      await using test = await TestServer.start({
        ...lean(name),
        idleTimeoutMs: 60,
        observer: {
          opened: (peer) => events.push(`open ${peer}`),
          received: (peer, bytes) => events.push(`${peer}: ${Buffer.from(bytes)}`),
          closed: (peer, error) =>
            events.push(`close ${peer}: ${(error as { code?: string })?.code}`),
        },
      });
      const client = test.client();
      assert.equal(await client.ask("hello"), "hello");
      await client.over();
      await until("it is reported", () => events.length === 3);
      const peer = /^open (127\.0\.0\.1:\d+)$/.exec(events[0] ?? "")?.[1];
      assert.deepEqual(events, [`open ${peer}`, `${peer}: hello`, `close ${peer}: ETIMEDOUT`]);
    },
  };
}

function killedCase(name: string): Case {
  return {
    name: `${name}: a process killed by SIGKILL is reaped and reported, and others are still served`,
    run: async () => {
      await using test = await TestServer.start(variant(name));
      const doomed = test.client();
      const pid = Number(await doomed.ask("who"));
      process.kill(pid, "SIGKILL");
      await doomed.over();
      await until("it is reported", () => test.exits.length === 1);
      const [{ kind, id, peer, error, restartInMs } = {}] = test.exits;
      assert.deepEqual([kind, id], ["process", pid]);
      assert.match(error?.message ?? "", /killed by SIGKILL/);
      // The client, if the process served only one.
      assert.equal(peer?.startsWith("127.0.0.1:"), name === "process" ? true : undefined);
      assert.equal(restartInMs, name === "process" ? undefined : 50);
      await until("reaped", () => !exists(pid));
      assert.equal(await test.client().ask("still"), "still");
      if (name === "process") return;
      await until("replaced", () => test.server.children.length === 2);
      assert.ok(!test.server.children.some((child) => child.id === pid));
      assert.equal(test.server.counts.started, 3);
    },
  };
}

function thrownCase(name: string): Case {
  return {
    name: `${name}: a handler that throws or exits ends its process or thread, and the error is reported`,
    run: async () => {
      await using test = await TestServer.start(lean(name));
      for (const [i, [command, words]] of (
        [
          ["throw", /thrown in a handler/],
          ["exit", /exited with code 3/],
        ] as const
      ).entries()) {
        const client = test.client().send(command);
        await client.over();
        await until("it is reported", () => test.exits.length === i + 1);
        const { message, stack = "" } = test.exits[i]?.error ?? new Error();
        assert.match(message, words);
        // Deno names the source of a compiled module.
        if (command === "throw") assert.match(stack, /command-handlers\.[jt]s:\d+/);
      }
      assert.equal(await test.client().ask("still"), "still");
      assert.equal(test.server.counts.exits, 2);
      // What each had received before it exited is counted: "throw", "exit".
      await test.server.stop(0);
      const { connections, open, messages, bytes } = test.server.counts;
      assert.deepEqual([connections, open, messages, bytes], [3, 0, 3, 14]);
    },
  };
}

function thrownAtStopCase(name: string): Case {
  return {
    name: `${name}: an error that a handler throws is reported when stop follows at once`,
    run: async () => {
      let stopped: Promise<void> | undefined;
      await using test = await TestServer.start({
        ...lean(name),
        observer: {
          opened() {},
          closed() {},
          received: () => {
            stopped = test.server.stop();
          },
        },
      });
      test.client().send("throw");
      await until("stop was called", () => stopped !== undefined);
      await stopped;
      assert.equal(test.exits.length, 1);
      assert.match(test.exits[0]?.error.message ?? "", /thrown in a handler/);
      assert.equal(test.exits[0]?.restartInMs, undefined);
      assert.equal(test.server.counts.exits, 1);
    },
  };
}

function crashLoopCases(): Case[] {
  return [
    {
      name: "a thread that exits unexpectedly again and again is replaced each time",
      run: async () => {
        await using test = await TestServer.start(variant("blocking"));
        for (let exits = 1; exits <= 6; exits++) {
          test.client().send("throw");
          await until("it is reported", () => test.exits.length === exits);
        }
        const delays = test.exits.map(({ restartInMs }) => restartInMs);
        assert.deepEqual(delays, [50, 100, 200, 400, 800, 1000]);
        assert.equal(await test.client().ask("still"), "still");
      },
    },
    crashLoopEndCase(),
  ];
}

function crashLoopEndCase(): Case {
  return {
    name: 'crashLoop "end": a thread that exits unexpectedly again and again ends the server',
    run: async () => {
      await using test = await TestServer.start({ ...variant("blocking"), crashLoop: "end" });
      const finished = rejection(test.server.finished);
      for (let exits = 1; exits <= 5; exits++) {
        test.client().send("throw");
        await until("it is reported", () => test.exits.length === exits);
      }
      const delays = test.exits.map(({ restartInMs }) => restartInMs);
      assert.deepEqual(delays, [50, 100, 200, 400, null]);
      assert.match((await finished).message, /exited unexpectedly too often.*thrown in a handler/);
      const late = test.client();
      await late.over();
    },
  };
}

function livenessCases(): Case[] {
  return [
    ...WITH_CHILDREN.map(hangingCase),
    ...PER_CONNECTION.map(importHangsCase),
    ...["blocking", "prefork, one listener", "prefork, SO_REUSEPORT"].map((name) =>
      unresponsiveCase(name),
    ),
    unresponsiveCase("prefork, one listener", { engine: "io_uring" }),
    {
      name: "whenUnresponsive: a pre-forked process in an endless loop is killed and replaced",
      run: async () => {
        await using test = await TestServer.start({
          ...lean("prefork, one listener"),
          unresponsiveAfterMs: SILENT_MS,
          whenUnresponsive: "replace",
          unresponsive() {},
        });
        const looping = test.client().send("spin");
        await until("it is reported", () => test.exits.length === 1);
        assert.match(test.exits[0]?.error.message ?? "", /did not respond for \d+ ms/);
        await looping.over();
        assert.equal(await test.client().ask("again"), "again");
      },
    },
  ];
}

function hangingCase(name: string): Case {
  return {
    name: `${name}: a child that is not ready in time is killed, with an error that says what it was doing`,
    run: async () => {
      const startsWithServer = name !== "process" && name !== "thread";
      await assertLateStart(/start\(\) of its module had not returned/, async (startTimeoutMs) => {
        const options = { ...lean(name), startTimeoutMs, data: { hangs: true } };
        if (startsWithServer) return rejection(TestServer.start(options));
        await using test = await TestServer.start(options);
        const client = test.client().send("hello");
        await until("it is reported", () => test.exits.length === 1);
        assert.match(test.exits[0]?.peer ?? "", /^127\.0\.0\.1:/);
        await client.over();
        assert.equal(test.server.counts.children, 0);
        return test.exits[0]?.error as Error;
      });
      if (startsWithServer) assert.deepEqual(childrenOf(), []);
    },
  };
}

function importHangsCase(name: string): Case {
  return {
    name: `${name}: a module whose import does not end is reported after startTimeoutMs, and nothing stays open`,
    run: async () => {
      const before = openDescriptors();
      const module = "data:text/javascript,await new Promise(() => {})";
      await assertLateStart(/it was importing its module \(data:/, (startTimeoutMs) =>
        rejection(TestServer.start({ ...variant(name), module, startTimeoutMs })),
      );
      await until("nothing is left open", () => openDescriptors() <= before);
    },
  };
}

function unresponsiveCase(name: string, engine: Pick<ModelOptions, "engine"> = {}): Case {
  return {
    name: `${[name, engine.engine].filter(Boolean).join(" on ")}: a child in an endless loop is reported, receives no new connections, and recovers when it responds`,
    ...(engine.engine === undefined ? {} : { skip: whyNoUring(kernel) }),
    run: async () => {
      const file = join(tmpdir(), `polloi-spins-${process.pid}-${Math.random()}`);
      const reports: [string, UnresponsiveChild][] = [];
      let looping = -1;
      const report = (what: string, child: UnresponsiveChild): void => {
        // On a busy machine other children may be as slow.
        if (child.id === looping) reports.push([what, child]);
      };
      try {
        await using test = await TestServer.start({
          ...variant(name),
          ...engine,
          data: { spinsUntil: file },
          unresponsiveAfterMs: SILENT_MS,
          unresponsive: (child) => report("unresponsive", child),
          recovered: (child) => report("recovered", child),
        });
        const first = test.client();
        const pid = Number(await first.ask("who"));
        looping = name === "blocking" ? 1 : pid;
        first.send("spin");
        await until("reported", () => reports.length > 0);
        const child = test.server.children.find(({ id }) => id === looping);
        assert.equal(child?.responsive, false);
        if (name !== "blocking") {
          const others = Array.from({ length: 20 }, () => test.client());
          const answers = await Promise.all(others.map((other) => other.ask("who")));
          assert.ok(!answers.includes(String(pid)));
        }
        writeFileSync(file, "");
        await until("recovered", () => reports.length > 1);
        const events = reports.map(([what, { id, silentMs }]) => [what, id, silentMs >= SILENT_MS]);
        assert.deepEqual(events, [
          ["unresponsive", looping, true],
          ["recovered", looping, true],
        ]);
        await until("it has answered", () => first.text.endsWith("spinning"));
        assert.equal(await first.ask("hello"), "hello");
        assert.deepEqual(test.exits, []);
      } finally {
        rmSync(file, { force: true });
      }
    },
  };
}

function stoppedCase(name: string): Case {
  return {
    name: `${name}: stop waits for a slow reader, destroys the connection of one that never reads, and leaves nothing open`,
    run: async () => {
      for (const reads of [true, false]) {
        const before = openDescriptors();
        await using test = await TestServer.start(lean(name));
        const client = test.client().send("much");
        await until("some has come", () => client.length > 0);
        client.pause();
        const stopped = test.server.stop(reads ? 10_000 : 30);
        if (reads) client.resume();
        await stopped;
        await test.server.finished;
        if (!reads) client.resume();
        await client.over();
        assert.ok(reads ? client.length === MUCH : client.length < MUCH, `${client.length} came`);
        // An incomplete answer must not look complete.
        assert.equal(
          (client.error as SysError | undefined)?.code,
          reads ? undefined : "ECONNRESET",
        );
        client.destroy();
        assert.deepEqual([test.server.children, childrenOf()], [[], []]);
        const { port } = test.server;
        assert.equal(port, -1);
        await until("nothing is left open", () => openDescriptors() <= before);
      }
    },
  };
}

function lateCase(name: string): Case {
  const clientCount = CLIENTS[name] ?? 20;
  return {
    name: `${name}: clients that are connected when stop is called are served, whether or not they have sent their request`,
    run: async () => {
      await using test = await TestServer.start(lean(name));
      using clients = new WaitingPeers(clientCount, test.server.port);
      const half = clientCount / 2;
      clients.send("hello", 0, half);
      const stopped = test.server.stop(20_000);
      clients.send("hello", half, clientCount);
      assert.deepEqual(new Set(await clients.answers()), new Set(["hello"]));
      const begun = performance.now();
      await stopped;
      // No connection is left, so stop does not wait for the grace period.
      assert.ok(performance.now() - begun < 15_000);
      assert.equal(test.server.counts.connections, clientCount);
    },
  };
}

function spinningCase(name: string): Case {
  return {
    name: `${name}: stop ends a handler in an endless loop, and idle children at once`,
    run: async () => {
      const before = openDescriptors();
      let spins = false;
      const received = (_: string, bytes: Uint8Array): void => {
        spins ||= Buffer.from(bytes).toString() === "spin";
      };
      const over = new SharedArrayBuffer(1);
      await using test = await TestServer.start({
        ...lean(name),
        // The data of a process is sent as JSON.
        data: /pr/.test(name) ? {} : { over },
        observer: { opened() {}, received, closed() {} },
      });
      // An idle client. With "blocking" it would keep the other from being served.
      if (name !== "blocking") assert.equal(await test.client().ask("idle"), "idle");
      test.client().send("spin");
      await until("it spins", () => spins);
      const long = test.server.stop(60_000);
      await test.server.stop(0);
      await long;
      assert.deepEqual([test.exits, childrenOf()], [[], []]);
      for (const client of test.clients) client.destroy();
      // Deno cannot terminate a thread in a loop. The numbers of its descriptors must not be reused meanwhile.
      using others = new Untouched();
      Atomics.store(new Uint8Array(over), 0, 1);
      await until("nothing is left open", () => openDescriptors() - others.count <= before);
      assert.ok(others.untouched, "a thread went on with descriptors that are not its own");
    },
  };
}

function lastNumbersCase(name: string): Case {
  return {
    name: `${name}: what a child reports as it exits is counted, even with a command in its channel that it never reads`,
    run: async () => {
      const file = join(tmpdir(), `polloi-closes-${process.pid}-${Math.random()}`);
      try {
        await using test = await TestServer.start({ ...lean(name), data: { closesWith: file } });
        const clients = name === "blocking" ? [test.client()] : [test.client(), test.client()];
        for (const client of clients) client.send("hello").end();
        // The child of each closes its connection next, and waits there without reading its commands.
        await until("answered", () => clients.every(({ closed }) => closed));
        const stopped = test.server.stop(20_000);
        writeFileSync(file, "");
        // Nothing is read before the processes have ended, as on a busy machine.
        const deadline = performance.now() + 10_000;
        while (childrenOf().some(runs) && performance.now() < deadline);
        await stopped;
        const { connections, open, messages, bytes, exits } = test.server.counts;
        const expected = [clients.length, 0, clients.length, 5 * clients.length, 0];
        assert.deepEqual([connections, open, messages, bytes, exits], expected);
      } finally {
        rmSync(file, { force: true });
      }
    },
  };
}

function orphanCase(model: "process" | "prefork"): Case {
  return {
    name: `${model}: no process outlives a parent that is killed, whether in an endless loop or asleep`,
    run: async () => {
      const program = fileURLToPath(new URL("./parent-program.js", import.meta.url));
      const args = kernel.runtime === "deno" ? ["run", "-A", program] : [program];
      const parent = spawn(process.execPath, [...args, model], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        let said = "";
        parent.stdout.on("data", (text: Buffer) => {
          said += text.toString();
        });
        await until("it listens", () => said.includes("\n"));
        const { port } = JSON.parse(said) as { port: number };
        const where = { host: "127.0.0.1", port };
        const [asleep, spinning] = [new Client(where), new Client(where)];
        assert.equal(await asleep.ask("hello"), "hello");
        spinning.send("spin");
        await until("it spins", () => said.includes("spinning"));
        const pids = childrenOf(parent.pid);
        assert.equal(pids.length, 2);
        parent.kill("SIGKILL");
        await until("all are gone", () => ![...pids, parent.pid as number].some(runs));
        await Promise.all([asleep.over(), spinning.over()]);
      } finally {
        parent.kill("SIGKILL");
      }
    },
  };
}

function ownServerCase(model: "prefork" | "event"): Case {
  return {
    name: `${model}: a server set up by startOn is counted, may await, posts messages, and is stopped gracefully`,
    run: async () => {
      const before = openDescriptors();
      const posted: unknown[] = [];
      await using test = await TestServer.start({
        model,
        ...(model === "prefork" ? { children: 1 } : {}),
        module: new URL("./start-on-module.js", import.meta.url),
        data: { greeting: "hello" },
        message: (message) => void posted.push(message),
      });
      const client = test.client();
      assert.equal(await client.ask("who"), "hello who");
      await until("counted", () => test.server.counts.bytes === 3);
      // Answered only when the server is asked to stop.
      client.send("slow");
      await until("heard", () => posted.length === 1);
      await test.server.stop(10_000);
      await client.over();
      assert.deepEqual([client.text, client.error], ["hello whohello slow", undefined]);
      const { connections, open, exits } = test.server.counts;
      assert.deepEqual([connections, open, exits, childrenOf()], [1, 0, 0, []]);
      assert.deepEqual(posted, [{ said: "slow" }, { ended: true }]);
      await until("nothing is left open", () => openDescriptors() <= before);
    },
  };
}

/** Sends bytes with TLS until they have come back. */
function exchangeSecured(port: number, bytes: Uint8Array, session?: Uint8Array): Promise<Secured> {
  const ca = testRoot().cert;
  const tls = session === undefined ? { ca } : { ca, session };
  return new Promise((resolve, reject) => {
    const got: Uint8Array[] = [];
    let length = 0;
    connect({
      ...{ host: "127.0.0.1", port, tls },
      open: (connection) => void connection.write(bytes),
      data(connection, received) {
        got.push(received);
        length += received.length;
        if (length < bytes.length) return;
        const { tls: info } = connection;
        resolve({
          ...{ bytes: Buffer.concat(got), resumed: info?.resumed ?? false },
          session: info?.session() ?? undefined,
        });
        connection.close();
      },
      close: (_, error) => reject(error ?? new Error("it closed early")),
    });
  });
}

interface Secured {
  readonly bytes: Buffer;
  readonly resumed: boolean;
  readonly session: Uint8Array | undefined;
}

function tlsCase(model: "prefork" | "event"): Case {
  const skip = whyNoTls();
  return {
    name: `${model}: connections use TLS, and every process resumes the sessions of the others`,
    ...(skip === undefined ? {} : { skip }),
    run: async () => {
      const { cert, key } = testCertificate();
      await using test = await TestServer.start({
        model,
        ...(model === "prefork" ? { children: 2, sharing: "reuseport" as const } : {}),
        // As bytes, which are not JSON.
        tls: { cert: Buffer.from(cert), key: [Buffer.from(key)] },
      });
      const { port } = test.server;
      const sent = noise(100_000, 1);
      const { bytes, resumed, ...first } = await exchangeSecured(port, sent);
      assert.deepEqual([bytes.equals(sent), resumed], [true, false]);
      let { session } = first;
      for (let i = 0; i < 4; i++) {
        const next = await exchangeSecured(port, sent, session);
        assert.deepEqual([next.bytes.equals(sent), next.resumed], [true, true]);
        session = next.session;
      }
    },
  };
}

function refusedCases(): Case[] {
  const module = new URL("./command-handlers.js", import.meta.url);
  const listen = { host: "127.0.0.1", port: 0 };
  const refused = async (options: object): Promise<Error & { code?: string }> => {
    const before = openDescriptors();
    const error = await rejection(serveModel({ module, listen, ...options } as never));
    await until("nothing is left open", () => openDescriptors() <= before);
    assert.deepEqual(childrenOf(), []);
    return error;
  };
  return [
    {
      name: "options that are wrong, or for another model, are refused with what is allowed",
      run: async () => {
        for (const [options, code, names] of WRONG) {
          const error = await refused(options);
          assert.equal(error.code, code, error.message);
          assert.match(error.message, names);
        }
      },
    },
    ...VARIANTS.filter(({ name }) => name !== "prefork, SO_REUSEPORT").map(({ name }) => ({
      name: `${name}: a port in use, a module that does not exist, and one that throws are reported at once`,
      run: async () => {
        await using taken = await TestServer.start(variant("event"));
        const { port } = taken.server;
        const inUse = await refused({ ...lean(name), listen: { host: "127.0.0.1", port } });
        assert.equal(inUse.code, "EADDRINUSE");
        const nowhere = await refused({
          ...lean(name),
          module: new URL("nowhere.js", import.meta.url),
        });
        assert.match(nowhere.message, /nowhere/);
        if (name === "process" || name === "thread") return;
        const failing = await refused({ ...lean(name), data: { failing: "no database" } });
        assert.equal(failing.message, "no database");
      },
    })),
  ];
}
