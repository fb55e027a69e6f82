import { execFileSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { type Runtime, runtimes } from "../test/runtimes/installed.ts";
import { inOut, inRepository } from "./places.ts";

/** An installed program, or why it is missing. */
export type Tool =
  | { readonly path: string; readonly version: string; readonly missing?: undefined }
  | { readonly missing: string };

/** The programs that servers and load generators need. A missing one leaves out rows, and does not fail the run. */
export interface Tools {
  readonly gcc: Tool;
  readonly go: Tool;
  readonly python: Tool;
  readonly bun: Tool;
  readonly deno: Tool;
  /** The C compiler, where it finds the headers of libuv. */
  readonly libuv: Tool;
  readonly strace: Tool;
  readonly nginx: Tool;
  readonly wrk: Tool;
  /** The folder of the package uWebSockets.js. */
  readonly uws: Tool;
  /** The folder of the package @hono/node-server. */
  readonly honoNode: Tool;
}

/** Finds every program and its version. */
export function findTools(): Tools {
  const gcc = findCompiler();
  return {
    gcc,
    go: toolOf("go", onPath("go"), ["env", "GOVERSION"]),
    python: runtimeOf("python3", onPath("python3"), [
      "-c",
      "import sys, platform; print(sys.executable, platform.python_version())",
    ]),
    bun: runtimeOf("bun", javascriptRuntime("bun", "POLLOI_BUN"), [
      "-e",
      "console.log(process.execPath, Bun.version)",
    ]),
    deno: runtimeOf("deno", javascriptRuntime("deno", "POLLOI_DENO"), [
      "eval",
      "console.log(Deno.execPath(), Deno.version.deno)",
    ]),
    libuv: libuvFor(gcc),
    strace: toolOf("strace", onPath("strace"), ["--version"]),
    // Debian installs it in a folder that is not on the path of every user.
    nginx: toolByShell("nginx", onPath("nginx") ?? onPath("nginx", "/usr/sbin")),
    wrk: toolByShell("wrk", onPath("wrk")),
    uws: findUws(),
    honoNode: packageIn(inOut("hono-node/node_modules/@hono/node-server"), "@hono/node-server"),
  };
}

/** The C compiler, which the load generator needs. */
export function findCompiler(): Tool {
  return toolOf("gcc", onPath("gcc"), ["-dumpfullversion"]);
}

/** The compiler, if it finds libuv's headers, and their version. */
function libuvFor(gcc: Tool): Tool {
  if (gcc.missing !== undefined) return gcc;
  const ask = ["-E", "-P", "-include", "uv.h", "-x", "c", "-"];
  const version = "UV_VERSION_MAJOR.UV_VERSION_MINOR.UV_VERSION_PATCH";
  const answer = run(gcc.path, ask, version)?.split("\n").at(-1);
  if (answer === undefined) return { missing: "libuv's headers are not installed (libuv1-dev)" };
  return { path: gcc.path, version: answer.replaceAll(" ", "") };
}

function toolOf(name: string, path: string | undefined, ask: readonly string[]): Tool {
  if (path === undefined) return { missing: `${name} is not installed` };
  const answer = run(path, ask);
  if (answer === undefined) return { missing: `${path} does not run` };
  return { path, version: answer.match(/[0-9][0-9.]*/)?.[0] ?? answer };
}

/** A program that prints its version to stderr, or exits with an error after that. */
function toolByShell(name: string, path: string | undefined): Tool {
  if (path === undefined) return { missing: `${name} is not installed` };
  const version = run("/bin/sh", ["-c", '"$0" -v 2>&1; true', path])?.match(/[0-9][0-9.]*/)?.[0];
  return version === undefined ? { missing: `${path} does not run` } : { path, version };
}

/** uWebSockets.js, which is not on npm by that name: from the environment, or in bench/out. */
function findUws(): Tool {
  const named = process.env.POLLOI_UWS;
  const folder = named !== undefined && named !== "" ? named : downloadedUws();
  return packageIn(folder, "uWebSockets.js");
}

/** The package in a folder. */
function packageIn(folder: string | undefined, name: string): Tool {
  if (folder === undefined || !existsSync(folder)) {
    return { missing: `${name} is not installed (bench/README.md)` };
  }
  try {
    const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as object;
    return { path: folder, version: "version" in about ? `${about.version}` : "unknown" };
  } catch {
    return { missing: `${folder} contains no package` };
  }
}

function downloadedUws(): string | undefined {
  const modules = inOut("uws/node_modules");
  if (!existsSync(modules)) return undefined;
  const folders = readdirSync(modules).flatMap((name) =>
    name.startsWith("@") ? readdirSync(join(modules, name)).map((each) => join(name, each)) : name,
  );
  const folder = folders.find((name) => /uws|uwebsockets/i.test(name));
  return folder && join(modules, folder);
}

/**
 * A runtime at the path that it reports itself: the program on the path may be a script that starts the runtime as a
 * child process, and then CPU time and memory would be those of the script.
 */
function runtimeOf(name: string, path: string | undefined, ask: readonly string[]): Tool {
  if (path === undefined) return { missing: `${name} is not installed` };
  const answer = run(path, ask)?.match(/^(.+) (\S+)$/);
  if (answer === undefined || answer === null) return { missing: `${path} does not run` };
  return { path: answer[1] as string, version: answer[2] as string };
}

/** The runtimes that the tests install from npm, once they were looked up. */
let fetched: Runtime[] | undefined;

/** The path of a JavaScript runtime: from the environment, installed for the tests, or on the path. */
function javascriptRuntime(name: string, variable: string): string | undefined {
  const named = process.env[variable];
  if (named !== undefined && named !== "") return named;
  fetched ??= runtimes((line) => console.error(line));
  return fetched.find((runtime) => runtime.name === name)?.path ?? onPath(name);
}

function run(path: string, args: readonly string[], input = ""): string | undefined {
  try {
    return execFileSync(path, args, {
      encoding: "utf8",
      input,
      stdio: ["pipe", "pipe", "ignore"],
      timeout: 20_000,
    }).trim();
  } catch {
    return undefined;
  }
}

function onPath(name: string, path: string = process.env.PATH ?? ""): string | undefined {
  const folders = path.split(delimiter);
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The inputs of {@link build}. */
export interface BuildOptions {
  /** The compiler and its arguments before the sources; `OUT` stands for the binary. */
  readonly command: readonly string[];
  /** Source files, and headers that they include. */
  readonly sources: readonly string[];
  /** Arguments after the sources. */
  readonly libraries?: readonly string[];
  /** The name of the binary in `bench/out`. */
  readonly binary: string;
}

/**
 * Builds a program of the benchmark unless it is newer than its sources.
 *
 * @returns Its path.
 * @throws Error with the message of the compiler.
 */
export function build({ command, sources, libraries = [], binary }: BuildOptions): string {
  const out = inOut(binary);
  const files = sources.map(inRepository);
  const newest = Math.max(...files.map((file) => statSync(file).mtimeMs));
  if (isExecutable(out) && statSync(out).mtimeMs > newest) return out;
  mkdirSync(inOut(""), { recursive: true });
  const inputs = files.filter((file) => !file.endsWith(".h"));
  // Another process may build the same program at the same time.
  const own = `${out}.${process.pid}`;
  const [compiler, ...args] = command.map((word) => (word === "OUT" ? own : word));
  execFileSync(compiler as string, [...args, ...inputs, ...libraries], {
    encoding: "utf8",
    // Go expects a module otherwise, and this repository is not one.
    env: { ...process.env, GO111MODULE: "off" },
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 180_000,
  });
  renameSync(own, out);
  return out;
}
