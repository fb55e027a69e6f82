import { type Bench, inRounds, type Published, type RowOf, withServer } from "./echo.ts";
import { openLoad } from "./load.ts";
import { attach, type Calls } from "./strace.ts";

/** A run of the system call benchmark, as it is written to `syscalls.json`. */
export interface SyscallsResult extends Published {
  readonly benchmark: "syscalls";
  readonly settings: SyscallsSettings;
  readonly rows: RowOf<SyscallsRound>[];
}

/** What to count. */
export interface SyscallsSettings {
  readonly connections: number;
  readonly size: number;
  /** Messages of each connection within the counted window. */
  readonly perConnection: number;
  readonly rounds: number;
}

/** What one server called while `messages` messages were echoed, and nothing else happened. */
export interface SyscallsRound {
  readonly messages: number;
  readonly calls: Calls;
}

/** It ends with the last answer; strace slows a server down to a few thousand messages a second. */
const WINDOW = { warmup: 0, seconds: 60 };

/**
 * Counts every server's system calls while messages are echoed.
 *
 * @remarks
 * One load warms the server up and falls silent. Another connects, and waits; strace attaches to all of
 * the server's threads; every connection sends its messages; the last answer is back; strace lets go;
 * and only then does any connection close. So all that is counted is of these messages, and all of these
 * messages are counted.
 */
export async function measureSyscalls(
  bench: Bench,
  settings: SyscallsSettings,
  { strace, step }: { readonly strace: string; step(text: string): void },
): Promise<RowOf<SyscallsRound>[]> {
  const { connections, size, perConnection, rounds } = settings;
  return await inRounds(bench.peers, rounds, (peer, round) => {
    step(`round ${round} of ${rounds}: ${peer.label}`);
    return withServer(bench, peer, async ({ first, pid }) => {
      const options = {
        ...{ port: Number(first.port), serverPid: pid, serverCore: bench.machine.serverCore },
        ...{ connections, size, idle: 0, depth: 1 },
      };
      const warm = await openLoad(bench.load, { ...options, perConnection: WARM_UP });
      await warm.run(WINDOW);
      const load = await openLoad(bench.load, { ...options, perConnection });
      try {
        const traced = await attach(strace, pid);
        const { messages, lost } = await load.run(WINDOW);
        const calls = await traced.detach();
        if (messages === connections * perConnection && lost === 0) return { messages, calls };
        throw new Error(`${messages} of ${connections * perConnection} messages came back`);
      } finally {
        await load.stop();
        await warm.stop();
      }
    });
  });
}

/** Messages of each connection before the window: enough for a compiler to have had its say. */
const WARM_UP = 1000;
