/** An object that is garbage-collected while it is open is closed, with a warning. */
import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Suite } from "../../../../test/support/suite.ts";
import { ERRNO } from "../../src/base/errno.ts";
import { Epoll } from "../../src/select/index.ts";
import { EpollSelector, Waker } from "../../src/selectors/index.ts";
import { Socket, socketpair } from "../../src/socket/index.ts";
import { F_GETFD } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";
import { Ring } from "../../src/uring/index.ts";

/** Returns the function of this runtime that performs a full garbage collection. */
function collector(): () => void {
  const { Bun } = globalThis as { readonly Bun?: { gc(force: boolean): void } };
  if (Bun !== undefined) return () => Bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** Makes an object and drops it. @returns Its descriptor. */
type Abandon = () => number;

const isOpen = (fd: number): boolean => kernel.libc.fcntl(fd, F_GETFD, 0) !== -ERRNO.EBADF;

/** Waits for a warning of `name` about one of the descriptors that `run` returns. */
async function warningsOf(name: string, run: () => readonly number[]): Promise<string[]> {
  const seen: string[] = [];
  let fds: readonly number[] = [];
  const listen = ({ message }: Error): void => {
    const [, fd] = new RegExp(`^Closing fd (\\d+) of the ${name},`).exec(message) ?? [];
    // Other tests may have dropped objects too.
    if (fds.includes(Number(fd))) seen.push(message);
  };
  process.on("warning", listen);
  try {
    const collect = collector();
    fds = run();
    for (let round = 0; seen.length === 0 && round < 100; round++) {
      collect();
      await nextTurn();
    }
    return seen;
  } finally {
    process.off("warning", listen);
  }
}

export function abandonedSuite(withRing: boolean): Suite {
  const kinds: Readonly<Record<string, Abandon>> = {
    Socket: () => new Socket().fileno(),
    Epoll: () => new Epoll().fileno(),
    EpollSelector: () => new EpollSelector().fileno(),
    Waker: () => new Waker().fileno(),
    ...(withRing ? { Ring: () => new Ring().fileno() } : {}),
  };
  return {
    title: "abandoned descriptors",
    cases: [
      ...Object.entries(kinds).map(([name, abandon]) => ({
        name: `a ${name} that is dropped is closed, with a warning that names it`,
        async run() {
          const fds: number[] = [];
          // Several, since a collector that scans the stack may keep one.
          const make = (): number[] => {
            for (let i = 0; i < 8; i++) fds.push(abandon());
            return fds;
          };
          const [warning] = await warningsOf(name, make);
          assert.ok(warning !== undefined, "nothing was collected");
          assert.equal(isOpen(Number(/\d+/.exec(warning)?.[0])), false, warning);
        },
      })),
      {
        name: "an object that was closed, detached or adopted is not closed again",
        async run() {
          const kept: number[] = [];
          const make = (): number[] => {
            for (let i = 0; i < 8; i++) {
              const [left, right] = socketpair();
              left.close();
              using original = new Socket();
              kept.push(right.detach(), original.dup().detach());
              Socket.fromFd(kept[kept.length - 1] as number);
            }
            return kept;
          };
          const collected = make();
          // Collected Epoll objects show that a collection has taken place since.
          const abandon = (): number[] => Array.from({ length: 8 }, () => new Epoll().fileno());
          assert.ok((await warningsOf("Epoll", abandon)).length > 0, "nothing was collected");
          for (const fd of collected) {
            assert.ok(isOpen(fd), `fd ${fd} was closed`);
            kernel.libc.close(fd);
          }
        },
      },
    ],
  };
}
