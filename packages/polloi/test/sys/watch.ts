import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { execPath } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import {
  assertNoneLeft,
  descriptors,
  leftOpen,
  openFiles,
} from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { SysError } from "../../src/base/sys-error.ts";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../src/sys/abi.ts";
import type { JointWait, Kernel, LoopWatch } from "../../src/sys/kernel.ts";
import { openNode } from "../../src/sys/node.ts";
import { kernel } from "../../src/sys/open.ts";
import { memory } from "./memory.ts";

const { libc } = kernel;

/** A descriptor that is readable from `put()` until `take()`, and its watch. */
class Signal {
  readonly fd: number = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  watch: LoopWatch | undefined;

  put(): void {
    memory.setWord(0, 1);
    assert.equal(libc.write(this.fd, memory.address, 8), 8);
  }

  /** @returns Whether it was readable. */
  take(): boolean {
    return libc.read(this.fd, memory.address, 8) === 8;
  }

  /** Starts a watch, which ends with this signal. */
  on(onReadable: () => boolean): this {
    this.watch = kernel.watch(this.fd, onReadable);
    return this;
  }

  /** Resolves once a watch reports that it is readable. */
  async report(): Promise<void> {
    let calls = 0;
    this.put();
    this.on(() => {
      calls++;
      return this.take();
    });
    await until(() => calls > 0);
  }

  [Symbol.dispose](): void {
    this.watch?.stop();
    libc.close(this.fd);
  }
}

/** Fetches from a server of the runtime in this thread, which needs the runtime's loop several times. */
async function fetchFromThisThread(): Promise<void> {
  const server = createServer((_request, response) => response.end("fetched"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
  assert.equal(await response.text(), "fetched");
  await new Promise((resolve) => server.close(resolve));
}

/** The layout of the memory of a {@link Joint}: two `struct pollfd` and a timespec. */
const AT_TIMESPEC = 64;
const POLLIN = 1;

/** A signal whose owner can wait for it and for the runtime's loop. It lists its calls. */
class Joint extends Signal implements JointWait {
  readonly calls: string[] = [];
  isLoopReady = false;
  /** The time that the next turn claims to have waited. */
  idleMs = 0;
  onTurn: (found: boolean) => void = () => {};
  /** Whether it declines joint turns. */
  declines = false;
  readonly #memory = kernel.arenas.map(4096);
  #loopFd = -1;

  /** Starts a watch. */
  start(through: Kernel = kernel): this {
    this.watch = through.watch(this.fd, () => this.#take("call"), this);
    return this;
  }

  /** How often a call was made. */
  count(name: string): number {
    return this.calls.filter((call) => call === name).length;
  }

  join(loopFd: number): boolean {
    this.calls.push("join");
    this.#loopFd = loopFd;
    return !this.declines;
  }

  turn(timeoutMs: number): boolean {
    const { i32, u32, address } = this.#memory;
    i32[0] = this.fd;
    u32[1] = POLLIN;
    i32[2] = this.#loopFd;
    u32[3] = POLLIN;
    this.#memory.setTimespec(AT_TIMESPEC, Math.max(timeoutMs, 0));
    const timespec = timeoutMs < 0 ? 0 : address + AT_TIMESPEC;
    const ready = libc.ppoll(address, 2, timespec, 0);
    this.isLoopReady = ready > 0 && (u32[3] as number) >>> 16 !== 0;
    return this.#take("turn");
  }

  get wokenAt(): number {
    return kernel.now();
  }

  takeIdleTime(): number {
    const { idleMs } = this;
    this.idleMs = 0;
    return idleMs;
  }

  leave(): void {
    this.calls.push("leave");
  }

  #take(how: string): boolean {
    const found = this.take();
    if (found) this.calls.push(how);
    this.onTurn(found);
    return found;
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    kernel.arenas.release(this.#memory);
  }
}

const NOT_JOINT: string | undefined =
  kernel.runtime === "node" ? undefined : "the loop of this runtime has no descriptor to wait for";

/** After this time without an event, a runtime sleeps in its final way. */
const ASLEEP_MS = 120;

/** More turns than a thread can take in a few milliseconds. */
const TURNS_OF_SECONDS = 500_000;

/** The number of threads to terminate. A fault that depends on the moment shows with this many. */
const TERMINATED = 4;

/** Resolves once `condition` holds. The timeout of the case ends the wait otherwise. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

/** The first message of `worker`. Rejects if it ends without one. */
function firstMessage(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (code) =>
      reject(new Error(`The worker ended with ${code}, without a message`)),
    );
  });
}

/** Runs a program of this folder on this runtime. */
function run(mode: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const program = fileURLToPath(new URL("./watch-program.js", import.meta.url));
  const flags = kernel.runtime === "deno" ? ["run", "--allow-all"] : [];
  const child = spawn(execPath, [...flags, program, mode], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (bytes) => {
    output.stdout += bytes;
  });
  child.stderr.on("data", (bytes) => {
    output.stderr += bytes;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...output }));
  });
}

/** Watching a descriptor in the runtime's own event loop: {@link Kernel.watch}. */
export function watchConformance(): Suite {
  return {
    title: `watch() on ${kernel.runtime} ${kernel.runtimeVersion}`,
    cases: [
      {
        name: "a descriptor that is readable before the watch begins is reported",
        run: async () => {
          using signal = new Signal();
          signal.put();
          await new Promise<void>((resolve) => {
            signal.on(() => {
              resolve();
              return signal.take();
            });
          });
        },
      },
      {
        name: "it is level-triggered: unread data is reported again, whatever the callback returns",
        run: async () => {
          for (const found of [true, false]) {
            using signal = new Signal();
            let calls = 0;
            signal.put();
            signal.on(() => {
              calls++;
              if (calls === 5) signal.take();
              return found && calls < 5;
            });
            await until(() => calls >= 5);
          }
        },
      },
      {
        name: "each of a thousand signals wakes the loop, whether it sleeps or works",
        run: async () => {
          using signal = new Signal();
          let taken = 0;
          let wake = () => {};
          signal.on(() => {
            const found = signal.take();
            if (found) {
              taken++;
              wake();
            }
            return found;
          });
          for (let i = 1; i <= 1000; i++) {
            const woken = new Promise<void>((resolve) => {
              wake = resolve;
            });
            signal.put();
            await woken;
            assert.equal(taken, i);
            // Sometimes long enough for the loop to fall asleep.
            if (i % 100 === 0) await sleep(2);
          }
        },
      },
      {
        name: "nothing is reported while nothing is readable",
        run: async () => {
          using signal = new Signal();
          let found = 0;
          signal.on(() => {
            const took = signal.take();
            if (took) found++;
            return took;
          });
          await sleep(20);
          assert.equal(found, 0);
          signal.put();
          await until(() => found === 1);
        },
      },
      {
        name: "promise reactions run before the next callback",
        run: async () => {
          using signal = new Signal();
          const order: string[] = [];
          let calls = 0;
          signal.put();
          signal.on(() => {
            const call = ++calls;
            order.push(`call ${call}`);
            Promise.resolve()
              .then(() => {})
              .then(() => order.push(`promise ${call}`));
            if (call === 3) signal.take();
            return call < 3;
          });
          await until(() => calls >= 3);
          assert.deepEqual(order.slice(0, 6), [
            "call 1",
            "promise 1",
            "call 2",
            "promise 2",
            "call 3",
            "promise 3",
          ]);
        },
      },
      {
        name: "timers and fetch are not starved by a watch that is always readable",
        run: async () => {
          using signal = new Signal();
          let calls = 0;
          signal.put();
          signal.on(() => {
            calls++;
            return true;
          });
          await fetchFromThisThread();
          const before = calls;
          await until(() => calls > before);
        },
      },
      {
        name: "timers fire while a watch is asleep",
        run: async () => {
          using _ = new Signal().on(() => false);
          for (let i = 0; i < 5; i++) await sleep(1);
        },
      },
      {
        name: "two watches report their own descriptors only",
        run: async () => {
          using left = new Signal();
          using right = new Signal();
          const seen: string[] = [];
          const watch = (signal: Signal, name: string) =>
            signal.on(() => {
              const found = signal.take();
              if (found) seen.push(name);
              return found;
            });
          watch(left, "left");
          watch(right, "right");
          left.put();
          await until(() => seen.length === 1);
          right.put();
          await until(() => seen.length === 2);
          left.watch?.stop();
          left.put();
          right.put();
          await until(() => seen.length === 3);
          assert.deepEqual(seen, ["left", "right", "right"]);
        },
      },
      {
        name: "stop inside the callback is the last call, and a second stop does nothing",
        run: async () => {
          for (const found of [true, false]) {
            using signal = new Signal();
            using other = new Signal();
            let calls = 0;
            let others = 0;
            signal.put();
            signal.on(() => {
              calls++;
              signal.watch?.stop();
              signal.watch?.stop();
              return found;
            });
            await until(() => calls === 1);
            // Turns of the loop in which another watch is served would have served this one too.
            other.put();
            other.on(() => {
              others++;
              return others < 50;
            });
            await until(() => others >= 50);
            assert.equal(calls, 1);
          }
        },
      },
      {
        name: "after stop the descriptor can be closed, and its number watched again",
        run: async () => {
          let stale = 0;
          for (let i = 0; i < 20; i++) {
            const signal = new Signal().on(() => {
              stale++;
              return false;
            });
            signal.put();
            signal.watch?.stop();
            libc.close(signal.fd);
            using next = new Signal();
            assert.equal(next.fd, signal.fd);
            let fresh = 0;
            next.put();
            next.on(() => {
              if (next.take()) fresh++;
              return false;
            });
            await until(() => fresh === 1);
          }
          assert.equal(stale, 0);
        },
      },
      {
        name: "a hundred watches leave no descriptor open",
        run: async () => {
          const cycle = async () => {
            using signal = new Signal();
            await signal.report();
          };
          await cycle();
          const before = openFiles();
          for (let i = 0; i < 100; i++) await cycle();
          await until(() => leftOpen(before).length === 0);
        },
      },
      {
        name: "a watch that is stopped at once leaves no descriptor, even before the next turn",
        skip:
          kernel.runtime === "deno"
            ? "Deno's thread waits from the start, and the set is closed when the wait has returned"
            : undefined,
        run: async () => {
          using signal = new Signal();
          await signal.report();
          signal.watch?.stop();
          const before = openFiles();
          for (let i = 0; i < 20; i++) kernel.watch(signal.fd, () => false).stop();
          assertNoneLeft(before);
        },
      },
      {
        name: "a watch that has slept for a long time wakes and stops, and leaves no descriptor or thread",
        run: async () => {
          const held = () => [descriptors(), readdirSync("/proc/self/task").length];
          const cycle = async () => {
            using signal = new Signal();
            let taken = 0;
            signal.on(() => {
              const found = signal.take();
              if (found) taken++;
              return found;
            });
            await sleep(ASLEEP_MS);
            for (let i = 1; i <= 20; i++) {
              signal.put();
              await until(() => taken === i);
            }
          };
          // The first watch may start the thread pool of the runtime, which stays.
          await Promise.all([cycle(), cycle()]);
          const [fds, tasks] = held() as [number, number];
          for (let i = 0; i < 3; i++) await cycle();
          await until(() => (held()[0] as number) <= fds && (held()[1] as number) <= tasks);
        },
      },
      {
        name: "a watch that is stopped while it sleeps reports nothing, also for a new descriptor with the same number",
        run: async () => {
          let stale = 0;
          const signal = new Signal().on(() => {
            stale++;
            return false;
          });
          await sleep(ASLEEP_MS);
          signal.watch?.stop();
          signal.put();
          libc.close(signal.fd);
          using next = new Signal();
          using other = new Signal();
          next.put();
          other.put();
          await new Promise<void>((resolve) => {
            other.on(() => {
              resolve();
              return other.take();
            });
          });
          assert.equal(stale, 0);
        },
      },
      {
        name: "watching an unsuitable descriptor throws SysError, and the next watch works",
        run: async () => {
          assert.throws(
            () => kernel.watch(-1, () => false),
            (error) => error instanceof SysError && error.code === "EBADF",
          );
          using signal = new Signal();
          await signal.report();
        },
      },
      {
        name: "a watch keeps the process alive until it is stopped",
        run: async () => {
          const { code, stdout, stderr } = await run("stop");
          assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "served\n", stderr: "" });
        },
      },
      {
        name: "after unref the process ends while the watch is active, asleep or busy",
        run: async () => {
          for (const mode of ["unref", "unref-first", "unref-later", "unref-busy", "ref-unref"]) {
            const { code, stdout, stderr } = await run(mode);
            assert.deepEqual(
              { mode, code, stdout, stderr },
              { mode, code: 0, stdout: "", stderr: "" },
            );
          }
        },
      },
      {
        name: "after unref and ref the process stays alive",
        run: async () => {
          for (const mode of ["unref-ref", "ref-later"]) {
            const { code, stdout } = await run(mode);
            assert.deepEqual({ mode, code, stdout }, { mode, code: 0, stdout: "served\n" });
          }
        },
      },
      {
        name: "exit ends the process at once while a watch sleeps",
        run: async () => {
          assert.equal((await run("exit")).code, 3);
        },
      },
      {
        name: "joint turns follow a call that found something, until they find nothing for a while",
        skip: NOT_JOINT,
        run: async () => {
          using joint = new Joint();
          joint.start().put();
          await until(() => joint.count("call") === 1);
          joint.put();
          await until(() => joint.count("turn") === 1);
          // Claimed, so that no time has to pass.
          joint.idleMs = 1000;
          await until(() => joint.count("leave") === 1);
          joint.put();
          await until(() => joint.count("call") === 2);
          assert.deepEqual(joint.calls.slice(0, 5), ["call", "join", "turn", "leave", "call"]);
        },
      },
      {
        name: "the runtime's timers, immediates and sockets are served between joint turns",
        skip: NOT_JOINT,
        run: async () => {
          using joint = new Joint();
          joint.start().put();
          await until(() => joint.count("join") === 1);
          // Found in every turn from now on.
          joint.onTurn = () => joint.put();
          joint.put();
          await fetchFromThisThread();
          await new Promise((resolve) => setImmediate(resolve));
          await sleep(2);
          assert.equal(joint.count("leave"), 0);
        },
      },
      {
        name: "an immediate without a reference runs although each joint turn finds something",
        skip: NOT_JOINT,
        run: async () => {
          using joint = new Joint();
          joint.start().put();
          await until(() => joint.count("join") === 1);
          let turns = 0;
          await new Promise<void>((resolve) => {
            joint.onTurn = () => {
              turns++;
              if (turns === 1) setImmediate(resolve).unref();
              if (turns < TURNS_OF_SECONDS) joint.put();
            };
            joint.put();
          });
          assert.ok(turns < TURNS_OF_SECONDS);
        },
      },
      {
        name: "an owner that declines joint turns is not asked again, and its watch continues",
        skip: NOT_JOINT,
        run: async () => {
          using joint = new Joint();
          joint.declines = true;
          joint.start();
          for (let i = 1; i <= 5; i++) {
            joint.put();
            await until(() => joint.count("call") === i);
          }
          assert.equal(joint.count("join"), 1);
        },
      },
      {
        name: "callbacks of process.nextTick and of promises run before the next joint turn",
        skip: NOT_JOINT,
        run: async () => {
          using joint = new Joint();
          const order: string[] = [];
          joint.onTurn = (found) => {
            if (!found || order.length >= 9) return;
            order.push("turn");
            joint.put();
            process.nextTick(() => order.push("tick"));
            Promise.resolve()
              .then(() => {})
              .then(() => order.push("promise"));
          };
          joint.start().put();
          await until(() => order.length >= 9);
          assert.deepEqual(
            order,
            [1, 2, 3].flatMap(() => ["turn", "tick", "promise"]),
          );
        },
      },
      {
        name: "the time that joint turns wait counts as idle time of the runtime's loop",
        skip: NOT_JOINT,
        run: async () => {
          using joint = new Joint();
          joint.start().put();
          await until(() => joint.count("join") === 1);
          const before = performance.eventLoopUtilization().idle;
          // More than can pass meanwhile, in 32 bits of nanoseconds and in more.
          for (const ms of [4000, 5_000_000]) {
            joint.idleMs = ms;
            joint.put();
            await until(() => joint.idleMs === 0);
          }
          const { idle } = performance.eventLoopUtilization();
          // The difference of two sums is rounded.
          assert.ok(idle - before > 5_003_999, `${idle - before} ms`);
        },
      },
      {
        name: "of two watches with joint turns one has them, and both are served; they end with stop and unref",
        skip: NOT_JOINT,
        run: async () => {
          using left = new Joint();
          using right = new Joint();
          for (const joint of [left, right]) {
            joint.start().put();
            await until(() => joint.count("call") === 1);
          }
          for (let i = 1; i <= 5; i++) {
            left.put();
            right.put();
            await until(() => left.count("turn") === i && right.count("call") === i + 1);
          }
          assert.equal(right.count("join"), 0);
          left.watch?.unref();
          await until(() => left.count("leave") === 1);
          left.put();
          right.put();
          await until(() => left.count("call") === 2 && right.count("join") === 1);
          right.watch?.stop();
          assert.equal(right.count("leave"), 1);
          const calls = right.calls.length;
          right.put();
          left.put();
          await until(() => left.count("call") === 3);
          assert.equal(right.calls.length, calls);
        },
      },
      {
        name: "two copies of the library watch in one thread, and one of them has joint turns",
        skip: NOT_JOINT,
        run: async () => {
          using left = new Joint();
          using right = new Joint();
          left.start().put();
          await until(() => left.count("join") === 1);
          right.start(openNode());
          for (let i = 1; i <= 5; i++) {
            left.put();
            right.put();
            await until(() => left.count("turn") === i && right.count("call") === i);
          }
          assert.equal(right.count("join"), 0);
        },
      },
      {
        name: "an exception of a callback ends the process with a message",
        run: async () => {
          const { code, stderr } = await run("throw");
          assert.notEqual(code, 0);
          assert.match(stderr, /thrown in the callback/);
        },
      },
      {
        name: "an exception of a callback can be handled as an uncaught exception, and the watch continues",
        run: async () => {
          const { code, stdout } = await run("catch");
          assert.deepEqual({ code, stdout }, { code: 0, stdout: "caught\nserved\n" });
        },
      },
      {
        name: "a worker thread can watch",
        run: async () => {
          const worker = new Worker(new URL("./watch-worker.js", import.meta.url));
          const outcome = await firstMessage(worker);
          assert.equal(outcome, "served");
          await worker.terminate();
        },
      },
      {
        name: "a worker thread may be terminated while it starts and stops watches",
        run: async () => {
          const path = new URL("./watch-worker.js", import.meta.url);
          for (let i = 0; i < TERMINATED; i++) {
            const worker = new Worker(path, { workerData: "forever" });
            const outcome = await firstMessage(worker);
            assert.equal(outcome, "served");
            await worker.terminate();
          }
        },
      },
    ],
  };
}
