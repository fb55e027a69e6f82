import { execPath } from "node:process";
import { compiled, inRepository } from "./places.ts";
import { build, type Tools } from "./tools.ts";

/** How a server is built and started. */
export interface PeerPlan {
  readonly name: string;
  readonly label: string;
  /** The tool that it requires. */
  readonly needs?: keyof Tools;
  /** Whether it collects garbage at SIGUSR2, which terminates a server without a handler for it. */
  readonly collects?: false;
  /** The most connections that it can hold, where it has a limit of its own. */
  readonly holds?: number;
  /** The seconds after which it closes an idle connection, where it has a short limit that cannot be changed. */
  readonly idleSeconds?: number;
  /**
   * Builds the program where necessary.
   *
   * @param tool - The path of the tool that it requires.
   */
  command(tool: string, tools: Tools): readonly string[];
}

/** The server that ratios refer to, where it can be built. */
export const REFERENCE = "c-epoll";

export const NODE: readonly string[] = [execPath, "--expose-gc"];
const DENO = ["run", "--allow-all", "--v8-flags=--expose-gc"] as const;

type On = "node" | "bun" | "deno";

/** polloi on an engine: `polloi("uring-run", "io_uring", "run()")` is `polloi-uring-run`. */
function polloi(
  name: string,
  engine: "io_uring" | "epoll" | "poll" | "select",
  how = "",
  { on = "node", flags = [] }: { readonly on?: On; readonly flags?: readonly string[] } = {},
): PeerPlan {
  const args = [compiled("peers/polloi"), "--engine", engine, ...flags];
  const commands: Record<On, (tool: string) => readonly string[]> = {
    node: () => [...NODE, ...args],
    bun: (bun) => [bun, ...args],
    deno: (deno) => [deno, ...DENO, ...args],
  };
  return {
    name: `polloi-${name}`,
    label: `polloi, ${engine}${how === "" ? "" : `, ${how}`}`,
    ...(on === "node" ? {} : { needs: on }),
    // FD_SETSIZE is 1024, and the server has descriptors of its own.
    ...(engine === "select" ? { holds: 980 } : {}),
    command: commands[on],
  };
}

/** A server in C. */
export function inC(
  plan: Pick<PeerPlan, "name" | "label" | "needs">,
  sources: readonly string[],
  libraries: readonly string[] = [],
): PeerPlan {
  return {
    needs: "gcc",
    ...plan,
    collects: false,
    command: (gcc) => [
      build({
        command: [gcc, "-O2", "-Wall", "-Wextra", "-o", "OUT"],
        sources,
        libraries,
        binary: plan.name,
      }),
    ],
  };
}

function inPython(name: string, label: string): PeerPlan {
  return {
    name: `python-${name}`,
    label,
    needs: "python",
    command: (python) => [python, inRepository(`bench/peers/${name}-echo.py`)],
  };
}

/**
 * Every echo server, in the order of rounds and tables. Servers that are compared with each other are neighbours, so
 * that they run soon after each other.
 */
export const PLANS: readonly PeerPlan[] = [
  inC({ name: REFERENCE, label: "C, raw epoll loop" }, ["bench/peers/epoll.c"]),
  polloi("uring-run", "io_uring", "run()", { flags: ["--run"] }),
  polloi("uring", "io_uring"),
  polloi("uring-zero-copy", "io_uring", "zeroCopy", { flags: ["--zero-copy"] }),
  polloi("epoll", "epoll"),
  polloi("zero-copy", "epoll", "zeroCopy", { flags: ["--zero-copy"] }),
  { name: "node-net", label: "node:net", command: () => [...NODE, compiled("peers/node-net")] },
  {
    name: "bun-listen",
    label: "Bun.listen",
    needs: "bun",
    command: (bun) => [bun, compiled("peers/bun-listen")],
  },
  polloi("uring-bun", "io_uring", "on Bun", { on: "bun" }),
  polloi("bun", "epoll", "on Bun", { on: "bun" }),
  inC({ name: "c-uring", label: "C, raw io_uring loop" }, [
    "bench/peers/uring.c",
    "bench/load/ring.c",
    "bench/load/ring.h",
  ]),
  inC({ name: "c-libuv", label: "C, libuv", needs: "libuv" }, ["bench/peers/libuv.c"], ["-luv"]),
  polloi("run", "epoll", "run()", { flags: ["--run"] }),
  polloi("level", "epoll", "level-triggered", { flags: ["--trigger", "level"] }),
  polloi("poll", "poll"),
  polloi("select", "select"),
  polloi("uring-deno", "io_uring", "on Deno", { on: "deno" }),
  polloi("deno", "epoll", "on Deno", { on: "deno" }),
  {
    name: "go-net",
    label: "Go net",
    needs: "go",
    command: (go) => [
      build({
        command: [go, "build", "-o", "OUT"],
        sources: ["bench/peers/net.go"],
        binary: "go-net",
      }),
    ],
  },
  inPython("selectors", "Python selectors"),
  inPython("asyncio", "Python asyncio"),
];

/** The names that `--servers` accepts. */
export const PEER_NAMES: readonly string[] = PLANS.map((plan) => plan.name);

/** The polloi command, with and without tracing. */
function commandLine(name: string, label: string, flags: readonly string[]): PeerPlan {
  const main = inRepository("packages/polloi-tools/dist/main.js");
  const always = ["--port", "0", "--json", "--quiet"];
  return {
    ...{ name, label, collects: false },
    command: () => [...NODE, main, ...flags, ...always],
  };
}

function traced(engine: "io_uring" | "epoll"): PeerPlan[] {
  const name = engine === "epoll" ? engine : "uring";
  const serve = ["serve", "echo", "--engine", engine];
  const nowhere = ["-o", "/dev/null"];
  return [
    commandLine(`serve-${name}`, `polloi serve, ${engine}`, serve),
    commandLine(`serve-${name}-again`, `the same again, ${engine}`, serve),
    commandLine(`trace-${name}-none`, `polloi trace serve, ${engine}, no matching events`, [
      ...["trace", ...serve, ...nowhere, "--connection", "1000000"],
    ]),
    commandLine(`trace-${name}`, `polloi trace serve, ${engine}, to /dev/null`, [
      ...["trace", ...serve, ...nowhere],
    ]),
  ];
}

/** The servers of the trace benchmark. */
export const TRACE_PLANS: readonly PeerPlan[] = [
  ...PLANS.filter(({ name }) => name === REFERENCE),
  ...traced("epoll"),
  ...traced("io_uring"),
];

/** The names that `--servers` of the trace benchmark accepts. */
export const TRACE_NAMES: readonly string[] = TRACE_PLANS.map(({ name }) => name);
