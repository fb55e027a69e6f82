/** The channel between a supervisor and a process of a pool, when the kernel has no memory for a moment. */
import assert from "node:assert/strict";
import { kernelWith } from "../../../../test/support/descriptors.ts";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import type { Child } from "../../src/pool/child.ts";
import { ProcessStarter, type Spawned } from "../../src/pool/process-child.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { EPOLL_CTL_ADD } from "../../src/select/constants.ts";
import { AF_UNIX, SOCK_SEQPACKET } from "../../src/socket/constants.ts";
import { Socket } from "../../src/socket/socket.ts";
import { O_CLOEXEC } from "../../src/sys/abi.ts";
import type { Kernel } from "../../src/sys/kernel.ts";
import { kernel } from "../../src/sys/open.ts";
import { until } from "../support/waiting.ts";

/** A child process that this process plays, so that its id is known to the supervisor. */
class PlayedProcess implements Disposable {
  readonly child: Child;
  readonly #reactor: Reactor;
  readonly #starter: ProcessStarter;
  readonly #channel: Socket;
  #exit: () => void = () => {};

  constructor(supervisorKernel: Kernel) {
    this.#reactor = new Reactor({ kernel: supervisorKernel, engine: "epoll" });
    let name = "";
    const spawned: Spawned = {
      pid: process.pid,
      kill() {},
      once: ((event: string, listener: (code: number, signal: null) => void) => {
        if (event === "exit") this.#exit = () => listener(0, null);
      }) as Spawned["once"],
    };
    this.#starter = new ProcessStarter(supervisorKernel, this.#reactor, [], (args) => {
      name = args.at(-1) as string;
      return spawned;
    });
    const input = { task: "event-loop", module: "file:///none", data: null } as const;
    const fd = kernel.libc.eventfd(0, O_CLOEXEC);
    this.child = this.#starter.start(input, fd, { message() {}, exited() {} });
    this.#channel = new Socket(AF_UNIX, SOCK_SEQPACKET);
    this.#channel.connect({ path: `\0${name}` });
    this.#channel.setBlocking(false);
  }

  /** Waits for the next message. */
  async next(): Promise<{
    readonly type?: string;
    readonly task?: string;
    readonly graceMs?: number;
  }> {
    let text: string | undefined;
    await until("a message has arrived", () => {
      const bytes = this.#channel.recv(65_536);
      if (bytes !== null) text = Buffer.from(bytes).toString();
      return text !== undefined;
    });
    return JSON.parse(text as string);
  }

  [Symbol.dispose](): void {
    this.#exit();
    this.#starter.close();
    this.#channel.close();
    this.#reactor.close();
  }
}

export function channelsSuite(): Suite {
  return {
    title: "channels of processes",
    cases: [
      {
        // Found by seeds 109 and 198 of the program `pool` of the simulation.
        name: "a ping that could not be sent does not count as unanswered, and a request to stop is sent again",
        async run() {
          let failures = 0;
          const failing = kernelWith((libc) => ({
            send: (fd, address, length, flags) =>
              failures-- > 0 ? -ERRNO.ENOBUFS : libc.send(fd, address, length, flags),
          }));
          using played = new PlayedProcess(failing);
          const { child } = played;
          assert.equal((await played.next()).task, "event-loop");
          failures = 1;
          child.ping();
          assert.equal(child.hasAnswered, true);
          child.ping();
          assert.equal(child.hasAnswered, false);
          assert.equal((await played.next()).type, "ping");
          failures = 3;
          child.stop(20_000);
          const stop = await played.next();
          assert.equal(stop.type, "stop");
          assert.ok((stop.graceMs as number) > 0 && (stop.graceMs as number) < 20_000);
        },
      },
      {
        // Found by seed 27 of the program `pool` of the simulation: the error ended the program.
        name: "a channel that cannot be watched for a moment is accepted later",
        async run() {
          let refusals = 1;
          let forgotten = 0;
          const failing = kernelWith((libc) => ({
            accept4: (fd, address, length, flags) => {
              if (refusals === 0) return libc.accept4(fd, address, length, flags);
              refusals--;
              forgotten = 1;
              return -ERRNO.EMFILE;
            },
            epoll_ctl: (set, operation, fd, event) => {
              if (forgotten === 0 || operation !== EPOLL_CTL_ADD) {
                return libc.epoll_ctl(set, operation, fd, event);
              }
              forgotten--;
              return -ERRNO.ENOMEM;
            },
          }));
          using played = new PlayedProcess(failing);
          assert.equal((await played.next()).task, "event-loop");
          assert.deepEqual([refusals, forgotten], [0, 0]);
        },
      },
    ],
  };
}
