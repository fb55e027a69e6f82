import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { inRepository } from "./places.ts";

/** How long a program may take to print the first line that is waited for. */
const READY_MS = 60_000;

/** A process of the bench: a server or a load. */
export interface Running {
  readonly pid: number;
  /** The first line it printed on stdout, as JSON. */
  readonly first: Line;
  /** Writes a line to its stdin, and waits for the next one on its stdout. */
  ask(question: string, withinMs: number): Promise<Line>;
  /** Ends it and waits until it is gone. */
  stop(): Promise<void>;
}

/** A line of JSON that a program has printed. */
export type Line = Readonly<Record<string, unknown>>;

/** Where a server says that it listens: by `port`, or as the command line does, for each listener. */
export function portOf({ first }: Pick<Running, "first">): number {
  const [listener] = (first.listeners ?? [first]) as readonly { readonly port: number }[];
  return Number(listener?.port);
}

/** What to start, and where. */
export interface StartOptions {
  readonly command: readonly string[];
  /** The cores to keep it to, as taskset takes them: `1`, `0,1`; where the bench is when `undefined`. */
  readonly cores: string | undefined;
  /** It is ended when its first line takes longer. Default: 60 s. */
  readonly readyMs?: number;
}

const running = new Set<ChildProcess>();

/** Has a child ended with the bench, and says when it is gone. */
export function endWithThisProcess(child: ChildProcess): Promise<void> {
  running.add(child);
  return new Promise((resolve) => {
    child.once("close", () => {
      running.delete(child);
      resolve();
    });
  });
}

/**
 * Starts a program and waits for its first line on stdout.
 *
 * @throws Error with the end of what it wrote to stderr, when it ends or is silent.
 */
export async function start(options: StartOptions): Promise<Running> {
  const { command, cores, readyMs = READY_MS } = options;
  // taskset becomes the program by exec, so the pid is the program's.
  const [program, ...args] = cores === undefined ? command : ["taskset", "-c", cores, ...command];
  const child = spawn(program as string, args, {
    stdio: ["pipe", "pipe", "pipe"],
    // What a runtime complains of is shown in a table's notes.
    env: { ...process.env, NO_COLOR: "1" },
  });
  const gone = endWithThisProcess(child);
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  // It may end before it has read what it is asked.
  child.stdin.on("error", () => {});
  const nextLine = linesOf(child);
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  const line = async (withinMs: number): Promise<Line> => {
    const text = await nextLine(withinMs);
    if (text !== undefined) return JSON.parse(text) as Line;
    await stop();
    throw new Error(gist(complaint) ?? `it ended or was silent for ${withinMs / 1000} s`);
  };
  return {
    first: await line(readyMs),
    pid: child.pid as number,
    ask(question, withinMs) {
      child.stdin.write(`${question}\n`);
      return line(withinMs);
    },
    stop,
  };
}

/** The line of a complaint that says what is wrong, out of the stack that may surround it. */
export function gist(complaint: string): string | undefined {
  const lines = complaint.split("\n").filter((line) => line.trim() !== "");
  const line = lines.find((each) => /^\S*(Error|error|panic)\b.*:/.test(each)) ?? lines.at(-1);
  // It is published, and where the repository lies is nobody's business.
  return line?.trim().replaceAll(inRepository(""), "");
}

/** Its lines, one at a time; `undefined` when none comes in time. */
function linesOf(child: ChildProcess): (withinMs: number) => Promise<string | undefined> {
  const come: string[] = [];
  let over = false;
  let wake = (): void => {};
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      come.push(line);
      wake();
    });
  }
  for (const event of ["error", "close"] as const) {
    child.once(event, () => {
      over = true;
      wake();
    });
  }
  return async (withinMs) => {
    if (come.length === 0 && !over) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return come.shift();
  };
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
