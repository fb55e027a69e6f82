import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How long a program may take to print the first line that is waited for. */
const READY_MS = 60_000;

/** A process of the bench: a server or a load. */
export interface Running {
  readonly pid: number;
  readonly child: ChildProcess;
  /** The first line it printed on stdout, as JSON. */
  readonly first: Readonly<Record<string, unknown>>;
  /** Ends it and waits until it is gone. */
  stop(): Promise<void>;
}

/** What to start, and where. */
export interface StartOptions {
  readonly command: readonly string[];
  /** The core to pin it to, by `taskset`; nowhere when `undefined`. */
  readonly core: number | undefined;
  /** It is ended when its first line takes longer. Default: 60 s. */
  readonly readyMs?: number;
}

const running = new Set<ChildProcess>();

/**
 * Starts a program and waits for its first line on stdout.
 *
 * @throws Error with the end of what it wrote to stderr, when it ends or is silent.
 */
export async function start({ command, core, readyMs = READY_MS }: StartOptions): Promise<Running> {
  // taskset becomes the program by exec, so the pid is the program's.
  const [program, ...args] =
    core === undefined ? command : ["taskset", "-c", `${core}`, ...command];
  const child = spawn(program as string, args, {
    stdio: ["pipe", "pipe", "pipe"],
    // What a runtime complains of is shown in a table's notes.
    env: { ...process.env, NO_COLOR: "1" },
  });
  running.add(child);
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
  void gone.then(() => running.delete(child));
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  const line = await firstLine(child, readyMs);
  if (line === undefined) {
    await stop();
    throw new Error(gist(complaint) ?? `it ended or was silent for ${readyMs / 1000} s`);
  }
  return { pid: child.pid as number, child, first: JSON.parse(line), stop };
}

/** The line of a complaint that says what is wrong, out of the stack that may surround it. */
function gist(complaint: string): string | undefined {
  const lines = complaint.split("\n").filter((line) => line.trim() !== "");
  return (lines.find((line) => /^\S*(Error|error|panic)\b.*:/.test(line)) ?? lines.at(-1))?.trim();
}

function firstLine(child: ChildProcess, withinMs: number): Promise<string | undefined> {
  const { stdout } = child;
  if (stdout === null) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), withinMs);
    const settle = (line: string | undefined): void => {
      clearTimeout(timer);
      resolve(line);
    };
    createInterface({ input: stdout }).once("line", settle);
    child.once("error", () => settle(undefined));
    child.once("close", () => settle(undefined));
  });
}

/** No server outlives the bench, whichever way it ends. */
export function endChildrenWithThisProcess(): void {
  const endAll = (): void => {
    for (const child of running) child.kill("SIGKILL");
  };
  process.on("exit", endAll);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => process.exit(130));
  }
}
