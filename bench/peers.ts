import { execPath } from "node:process";
import { compiled, inRepository } from "./places.ts";
import { build, type Tool, type Tools } from "./tools.ts";

/** A server of the bench, ready to be started. */
export interface Peer {
  readonly name: string;
  readonly label: string;
  readonly command: readonly string[];
  /** Whether SIGUSR2 makes it collect its garbage. It ends a server that does not expect it. */
  readonly collects: boolean;
}

/** A server that cannot run here, and why. */
export interface SkippedPeer {
  readonly name: string;
  readonly label: string;
  readonly reason: string;
}

/** What every ratio is taken to, when it can be built. */
export const YARDSTICK = "c-epoll";

interface PeerPlan {
  readonly name: string;
  readonly label: string;
  readonly needs?: keyof Tools;
  readonly collects?: false;
  command(tool: string): readonly string[];
}

const NODE = [execPath, "--expose-gc"] as const;

function polloi(name: string, label: string, ...flags: string[]): PeerPlan {
  return { name, label, command: () => [...NODE, compiled("peers/polloi"), ...flags] };
}

/** Every server, in the order in which rounds go through them and tables show them. */
const PLANS: readonly PeerPlan[] = [
  {
    name: YARDSTICK,
    label: "C, raw epoll loop",
    needs: "gcc",
    collects: false,
    command: (gcc) => [
      build({
        command: [gcc, "-O2", "-Wall", "-Wextra", "-o", "OUT"],
        sources: "bench/peers/epoll.c",
        binary: "epoll",
      }),
    ],
  },
  polloi("polloi-epoll", "polloi, epoll", "--engine", "epoll"),
  polloi("polloi-zero-copy", "polloi, epoll, zeroCopy", "--engine", "epoll", "--zero-copy"),
  polloi(
    "polloi-level",
    "polloi, epoll, level-triggered",
    "--engine",
    "epoll",
    "--trigger",
    "level",
  ),
  polloi("polloi-run", "polloi, epoll, run()", "--engine", "epoll", "--run"),
  polloi("polloi-poll", "polloi, poll", "--engine", "poll"),
  {
    name: "polloi-bun",
    label: "polloi, epoll, on Bun",
    needs: "bun",
    command: (bun) => [bun, compiled("peers/polloi"), "--engine", "epoll"],
  },
  {
    name: "polloi-deno",
    label: "polloi, epoll, on Deno",
    needs: "deno",
    command: (deno) => [
      deno,
      "run",
      "--allow-all",
      "--v8-flags=--expose-gc",
      compiled("peers/polloi"),
      "--engine",
      "epoll",
    ],
  },
  { name: "node-net", label: "node:net", command: () => [...NODE, compiled("peers/node-net")] },
  {
    name: "bun-listen",
    label: "Bun.listen",
    needs: "bun",
    command: (bun) => [bun, compiled("peers/bun-listen")],
  },
  {
    name: "go-net",
    label: "Go net",
    needs: "go",
    command: (go) => [
      build({
        command: [go, "build", "-o", "OUT"],
        sources: "bench/peers/net.go",
        binary: "go-net",
      }),
    ],
  },
  {
    name: "python-selectors",
    label: "Python selectors",
    needs: "python",
    command: (python) => [python, inRepository("bench/peers/selectors-echo.py")],
  },
  {
    name: "python-asyncio",
    label: "Python asyncio",
    needs: "python",
    command: (python) => [python, inRepository("bench/peers/asyncio-echo.py")],
  },
];

/** The names that `--servers` takes. */
export const PEER_NAMES: readonly string[] = PLANS.map((plan) => plan.name);

/**
 * Finds or builds the servers.
 *
 * @param names - Which, of {@link PEER_NAMES}; all of them when `undefined`.
 */
export function findPeers(
  tools: Tools,
  names: readonly string[] | undefined,
): { peers: Peer[]; skipped: SkippedPeer[] } {
  const peers: Peer[] = [];
  const skipped: SkippedPeer[] = [];
  for (const { name, label, needs, collects = true, command } of PLANS) {
    if (names !== undefined && !names.includes(name)) continue;
    const tool: Tool = needs === undefined ? { path: "", version: "" } : tools[needs];
    if (tool.missing !== undefined) {
      skipped.push({ name, label, reason: tool.missing });
      continue;
    }
    try {
      peers.push({ name, label, command: command(tool.path), collects });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      skipped.push({ name, label, reason: `does not build: ${stderr || message}`.trim() });
    }
  }
  return { peers, skipped };
}
