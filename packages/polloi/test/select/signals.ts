import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process, { execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { assertNoneLeft, openFiles } from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { SignalFd, type SignalName, select } from "../../src/select/index.ts";
import { kernel } from "../../src/sys/open.ts";
import { until } from "../support/waiting.ts";

/** Runs a program that waits for a signal, and sends it one as soon as it waits. */
async function signalled(
  how: string,
  signal: NodeJS.Signals,
): Promise<{ code: number | null; signal: string | null; out: string }> {
  const program = fileURLToPath(new URL("./signals-program.js", import.meta.url));
  const flags = kernel.runtime === "deno" ? ["run", "--allow-all"] : [];
  const child = spawn(execPath, [...flags, program, how], { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (part) => {
    // Not by `child.kill`, after which Deno always reports that the signal ended the child.
    if (!out.includes("ready")) process.kill(child.pid as number, signal);
    out += part;
  });
  const [code, by] = await once(child, "close");
  return { code, signal: by, out };
}

function send(signal: NodeJS.Signals): void {
  process.kill(process.pid, signal);
}

/** Signals in a loop that blocks its thread: {@link SignalFd}. */
export function signalsSuite(): Suite {
  return {
    title: `SignalFd on ${kernel.runtime}`,
    cases: [
      ...["select", "poll", "epoll", "selector", "run", "busy"].map((how) => ({
        name: `Ctrl-C ends a synchronous loop (${how}), which cleans up`,
        run: async () => {
          assert.deepEqual(await signalled(how, "SIGINT"), {
            code: 0,
            signal: null,
            out: "ready\nSIGINT\ncleaned up\n",
          });
        },
      })),
      {
        name: "SIGTERM ends such a loop too, whatever listener the runtime has",
        run: async () => {
          const out = "ready\nSIGTERM\ncleaned up\n";
          assert.deepEqual(await signalled("select", "SIGTERM"), { code: 0, signal: null, out });
        },
      },
      {
        name: "once it is closed a signal ends the process as before",
        run: async () => {
          const { out, signal, code } = await signalled("default", "SIGINT");
          assert.equal(out, "ready\n");
          // Node passes the signal on as an exit status.
          assert.ok(signal === "SIGINT" || code === 130, `${signal} ${code}`);
        },
      },
      {
        name: "it is readable after a signal until all signals are read, in order",
        run: async () => {
          using signals = new SignalFd(["SIGUSR2", "SIGWINCH"]);
          assert.equal(signals.read(), null);
          assert.deepEqual(select([signals], [], [], 0)[0], []);
          const sent: NodeJS.Signals[] = ["SIGUSR2", "SIGWINCH", "SIGUSR2"];
          for (const signal of sent) {
            send(signal);
            assert.deepEqual(select([signals], [], [], 10_000)[0], [signals]);
          }
          const read: (SignalName | null)[] = [];
          await until("all are read", () => {
            const signal = signals.read();
            if (signal !== null) read.push(signal);
            return read.length === sent.length;
          });
          assert.deepEqual(read, sent);
          assert.equal(signals.read(), null);
          assert.deepEqual(select([signals], [], [], 0)[0], []);
        },
      },
      {
        name: "a listener of the runtime gets no signal while it is open, and every signal once it is closed",
        run: async () => {
          let heard = 0;
          const listener = (): void => {
            heard++;
          };
          process.on("SIGUSR2", listener);
          try {
            const signals = new SignalFd(["SIGUSR2"]);
            send("SIGUSR2");
            await until("a signal", () => signals.read() === "SIGUSR2");
            signals.close();
            assert.equal(heard, 0);
            send("SIGUSR2");
            await until("heard", () => heard === 1);
          } finally {
            process.off("SIGUSR2", listener);
          }
        },
      },
      {
        name: "closed, it has no descriptor, leaves none open, and its signals can be received again",
        run: () => {
          new SignalFd(["SIGUSR2"]).close();
          const before = openFiles();
          for (let i = 0; i < 10; i++) {
            const signals = new SignalFd(["SIGUSR2", "SIGUSR2"]);
            assert.equal(signals.closed, false);
            signals.close();
            signals.close();
            assert.equal(signals.closed, true);
            assert.equal(signals.fileno(), -1);
            assert.throws(() => signals.read(), { code: "ERR_CLOSED" });
          }
          assertNoneLeft(before);
        },
      },
      {
        name: "an invalid list of signals is misuse, and receives no signal",
        run: () => {
          const misuse: [signals: unknown, name: string][] = [
            ["SIGINT", "TypeError"],
            [2, "TypeError"],
            [undefined, "TypeError"],
            [[2], "TypeError"],
            [["INT"], "TypeError"],
            [["SIGUSR2", "SIGNONE"], "TypeError"],
            [["toString"], "TypeError"],
            [[], "RangeError"],
            [["SIGUSR2", "SIGKILL"], "RangeError"],
            [["SIGSEGV"], "RangeError"],
          ];
          for (const [signals, name] of misuse) {
            assert.throws(() => new SignalFd(signals as SignalName[]), {
              name,
              code: "ERR_INVALID_OPTION",
            });
          }
          using _ = new SignalFd(["SIGUSR2"]);
          assert.throws(() => new SignalFd(["SIGWINCH", "SIGUSR2"]), {
            code: "ERR_ALREADY_REGISTERED",
          });
          new SignalFd(["SIGWINCH"]).close();
        },
      },
    ],
  };
}
