/** The lifetime of a reactor in a process and in a thread. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect as netConnect, type Socket } from "node:net";
import { execPath } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MessageChannel, Worker } from "node:worker_threads";
import { leftOpen, openFiles } from "../../../../test/support/descriptors.ts";
import type { Case } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { SysError } from "../../src/base/sys-error.ts";
import { Reactor } from "../../src/index.ts";
import { EVENT_READ } from "../../src/selectors/events.ts";
import { proxyKernel } from "../../src/sys/kernel-proxy.ts";
import { kernel } from "../../src/sys/open.ts";
import { OwnServers } from "../support/own-servers.ts";
import { until } from "../support/waiting.ts";
import type { HostingMode } from "./hosting-worker.ts";
import { casesOf, type Variant } from "./rig.ts";

/** Why an engine skips a case that starts several threads. */
const OTHERS = "it runs on io_uring and on edge-triggered epoll";

/** The number of exchanges of each kind that the runtime makes in a round, beside a busy connection. */
const EXCHANGES = 10;
/** The maximum number of rounds. */
const ROUNDS = 5;
/**
 * The maximum number of messages of a busy connection in the time of one exchange: about ten times the usual number.
 * io_uring serves such a connection for 2 ms before the runtime runs. If the runtime's I/O starves,
 * there are 17,000 on io_uring and 60 on the others.
 */
const MESSAGES_PER_EXCHANGE = { io_uring: 4_000, readiness: 30 } as const;

/** The output and exit of a process of {@link file://./life-program.ts}. */
interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
  readonly killed: boolean;
}

function program(what: string, { engine, trigger }: Variant, killAfter?: string): Promise<Outcome> {
  const path = fileURLToPath(new URL("./life-program.js", import.meta.url));
  const flags = kernel.runtime === "deno" ? ["run", "--allow-all"] : [];
  const child = spawn(execPath, [
    ...flags,
    path,
    what,
    engine,
    ...(trigger === undefined ? [] : [trigger]),
  ]);
  let out = "";
  let errors = "";
  let killed = false;
  const kill = () => {
    killed = true;
    child.kill("SIGKILL");
  };
  const timer = setTimeout(kill, 25_000);
  child.stdout.on("data", (part) => {
    out += part;
    if (killAfter !== undefined && out.includes(killAfter)) setTimeout(kill, 150);
  });
  child.stderr.on("data", (part) => {
    errors += part;
  });
  return new Promise((resolve) => {
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, out: out.trim(), errors, killed });
    });
  });
}

export function lifeCases(variant: Variant): Case[] {
  const test = casesOf(variant);
  const hosted =
    variant.mode === "hosted" ? undefined : "blocking: the process is not kept by a hosted loop";
  const blocking = variant.mode === "blocking" ? undefined : "hosted: run() is not used";
  return [
    test(
      "the process exits when everything is closed and every timer has fired; a cancelled timer does not keep it",
      async () => {
        const { code, out } = await program("closed", variant);
        assert.deepEqual({ code, out }, { code: 0, out: "closed\nfired" });
      },
      hosted,
    ),
    test(
      "the process stays alive while something is open",
      async () => {
        const { killed, out } = await program("open", variant, "open");
        assert.deepEqual({ killed, out }, { killed: true, out: "open" });
      },
      hosted,
    ),
    test(
      "an exception of a handler without an error handler fails the process",
      async () => {
        const { code, errors, killed } = await program("throws", variant);
        assert.equal(killed, false);
        assert.notEqual(code, 0);
        assert.match(errors, /nobody catches this/);
      },
      hosted,
    ),
    test(
      "a failed connect without an error handler fails the process",
      async () => {
        const { code, errors, killed } = await program("refused", variant);
        assert.equal(killed, false);
        assert.notEqual(code, 0);
        assert.match(errors, /connect ECONNREFUSED 127\.0\.0\.1:1/);
      },
      hosted,
    ),
    test(
      "a turn that the program makes waits for its whole timeout, whatever the runtime's loop has to do",
      async (rig) => {
        const listener = rig.listen({ data: (connection, bytes) => void connection.write(bytes) });
        const peer = rig.peer(listener);
        for (let length = 1; length <= 5; length++) {
          peer.send("x");
          await rig.until("answered", () => peer.length === length);
          const { port1, port2 } = new MessageChannel();
          const delivered = new Promise((resolve) => port2.once("message", resolve));
          port1.postMessage("wakes the loop");
          // The send of the answer may be reported first.
          rig.reactor.turn(0);
          const begun = performance.now();
          assert.equal(rig.reactor.turn(10), 0);
          assert.ok(performance.now() - begun >= 10);
          await delivered;
          port1.close();
        }
      },
      hosted,
    ),
    test(
      "timers, promises, fetch and signal handlers of the runtime work beside a reactor",
      async () => {
        const { code, out } = await program("neighbours", variant);
        assert.deepEqual({ code, out }, { code: 0, out: "echo,fetch,interval,promise,signal" });
      },
      hosted,
    ),
    test(
      "a server that starts without free descriptors serves every client later",
      async () => {
        const path = fileURLToPath(new URL("./life-program.js", import.meta.url));
        const { engine, trigger } = variant;
        const flags = kernel.runtime === "deno" ? ["run", "--allow-all"] : [];
        const command = [execPath, ...flags, path, "serves", engine, ...(trigger ? [trigger] : [])];
        const child = spawn("sh", ["-c", 'ulimit -n 80 && exec "$@"', "sh", ...command]);
        let errors = "";
        child.stderr.on("data", (part) => {
          errors += part;
        });
        try {
          const port = Number(await once(child.stdout, "data"));
          const answered = new Set<Socket>();
          const refused = new Promise<never>((_, reject) => {
            for (let i = 0; i < 150; i++) {
              const socket = netConnect(port, "127.0.0.1");
              socket.once("data", () => answered.add(socket)).once("error", reject);
              socket.write("x");
            }
            child.once("exit", (code) => reject(new Error(`exit ${code}\n${errors}`)));
          });
          await Promise.race([refused, until("no descriptor", () => errors.includes("EMFILE"))]);
          // Long enough for a runtime to open the descriptors that it needs in order to sleep.
          await Promise.race([refused, sleep(120)]);
          assert.ok(answered.size < 80);
          const all = until("all are answered", () => {
            for (const socket of answered) socket.destroy();
            return answered.size === 150;
          });
          await Promise.race([refused, all]);
        } finally {
          child.kill("SIGKILL");
        }
      },
      hosted,
    ),
    test(
      "a reactor works without a descriptor for its watch, and is watched later",
      async () => {
        let failures = 3;
        const scarce = proxyKernel(kernel, {
          watch: (watch) => (fd, onReadable) => {
            if (failures-- > 0) throw new SysError("epoll_create1", ERRNO.EMFILE);
            return watch(fd, onReadable);
          },
        });
        const { engine, trigger } = variant;
        using reactor = new Reactor({ engine, trigger, kernel: scarce });
        let received = "";
        const listener = reactor.listen({
          port: 0,
          host: "127.0.0.1",
          data: (connection, bytes) => void connection.write(bytes),
        });
        const connection = reactor.connect({
          host: "127.0.0.1",
          port: listener.port,
          open: (connection) => void connection.write("starved"),
          data: (_, bytes) => {
            received += String.fromCharCode(...bytes);
          },
        });
        await until("an answer to a starved reactor", () => received === "starved");
        await until("a watch", () => failures < 0);
        connection.write(" and fed");
        await until("an answer to a watched reactor", () => received === "starved and fed");
      },
      hosted,
    ),
    test(
      "fetch and node:net make progress on a thread with a connection that is always busy",
      async (rig) => {
        let messages = 0;
        const listener = rig.listen({ data: (connection, bytes) => void connection.write(bytes) });
        rig.reactor.connect({
          host: "127.0.0.1",
          port: listener.port,
          open: (connection) => void connection.write("x".repeat(64)),
          data: (connection, bytes) => {
            messages++;
            connection.write(bytes);
          },
        });
        await rig.until("busy", () => messages > 0);
        await using own = await OwnServers.open();
        const most =
          MESSAGES_PER_EXCHANGE[rig.reactor.engine === "io_uring" ? "io_uring" : "readiness"];
        // Other processes may delay one round. A runtime that starves does so in every round.
        const rounds: number[] = [];
        do {
          const before = messages;
          for (let i = 0; i < EXCHANGES; i++) {
            await own.fetch();
            await own.exchange();
          }
          rounds.push((messages - before) / (2 * EXCHANGES));
        } while (rounds.length < ROUNDS && Math.min(...rounds) > most);
        assert.ok(Math.min(...rounds) <= most, `messages per exchange: ${rounds.join(", ")}`);
      },
      hosted,
    ),
    test(
      "a worker thread that hosts a server, a client and a selector may be terminated at any time",
      async () => {
        const { engine, trigger } = variant;
        const path = new URL("./hosting-worker.js", import.meta.url);
        const start = async (mode: HostingMode): Promise<void> => {
          const worker = new Worker(path, { workerData: { engine, trigger, mode } });
          const ended = once(worker, "exit");
          const [said] = await once(worker, "message");
          assert.deepEqual(said, ["echoed", "fetched", "selected"]);
          // At a random point of its work.
          if (mode !== "closes") await worker.terminate();
          await ended;
        };
        const modes: HostingMode[] = ["busy", "idle", "closes"];
        // Each new ring makes views of its queues, which crashes koffi in a thread that is being terminated:
        // docs/decisions/0002. The other engines take their memory from closed reactors.
        if (engine !== "io_uring") modes.push("churns");
        await Promise.all(modes.map(start));
      },
      hosted ?? (variant.engine === "io_uring" || variant.trigger === "edge" ? undefined : OTHERS),
    ),
    test(
      "run() in a worker thread serves, and returns when nothing is open",
      async () => {
        const path = new URL("./worker-program.js", import.meta.url);
        const { engine, trigger } = variant;
        const worker = new Worker(path, { workerData: { engine, trigger } });
        const said = await new Promise((resolve, reject) => {
          worker.once("message", resolve);
          worker.once("error", reject);
        });
        assert.equal(said, "from a worker");
        await worker.terminate();
      },
      blocking,
    ),
    test(
      "run() returns after stop() while connections are open, and can be called again",
      async (rig) => {
        const listener = rig.listen({});
        let fired = 0;
        rig.reactor.setTimer(1, () => {
          fired++;
          rig.reactor.stop();
        });
        rig.reactor.run();
        assert.equal(fired, 1);
        assert.ok(listener.port > 0);
        assert.equal(rig.reactor.alive, true);
        rig.reactor.setTimer(1, () => listener.close());
        rig.reactor.run();
        assert.equal(rig.reactor.alive, false);
      },
      blocking,
    ),
    test(
      "run() throws an exception of a handler, and can be called again",
      async (rig) => {
        let after = false;
        rig.reactor.setTimer(0, () => {
          throw new Error("out of run");
        });
        rig.reactor.setTimer(2, () => {
          after = true;
        });
        assert.throws(() => rig.reactor.run(), /out of run/);
        rig.reactor.run();
        assert.equal(after, true);
      },
      blocking,
    ),
    test("reactors that are closed with open connections leak no descriptor", async () => {
      const { engine, trigger, mode } = variant;
      // The runtime opens its own descriptors once.
      const cycle = async () => {
        const reactor = new Reactor({ engine, trigger });
        if (mode === "blocking") reactor.run();
        const { libc } = kernel;
        const counter = libc.eventfd(0, 0o2004000);
        const listener = reactor.listen({ host: "127.0.0.1", port: 0 });
        reactor.watch(counter, EVENT_READ, () => {});
        const open: unknown[] = [];
        for (let i = 0; i < 5; i++) {
          reactor.connect({
            host: "127.0.0.1",
            port: listener.port,
            open: () => void open.push(i),
          });
        }
        reactor.connect({ host: "127.0.0.1", port: listener.port });
        while (open.length < 5) {
          if (mode === "blocking") reactor.turn(1);
          else await sleep(1);
        }
        reactor.connect({ host: "127.0.0.1", port: listener.port });
        reactor.connect({ host: "localhost", port: listener.port });
        reactor.close();
        libc.close(counter);
        await sleep(5);
      };
      await cycle();
      await cycle();
      const before = openFiles();
      for (let i = 0; i < 5; i++) await cycle();
      // The watch of a hosted reactor is closed after it has woken, which is soon.
      await until("every descriptor is given back", () => leftOpen(before).length === 0);
    }),
  ];
}
