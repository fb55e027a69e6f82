import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { type Answer, CHUNKED_BYTES, patternOf } from "./peers/answers.ts";
import { compiled, inOut, inRepository } from "./places.ts";
import { inC, NODE, type PeerPlan } from "./plans.ts";
import { build } from "./tools.ts";

/** The cases of the HTTP benchmark. */
export const CASE_NAMES = [
  "hello",
  "pipelined",
  "post",
  "chunked",
  "hono",
  "file",
  "paced",
  "idle",
] as const;
export type CaseName = (typeof CASE_NAMES)[number];
/** The cases with a load. */
export type LoadedName = Exclude<CaseName, "idle">;

/** A server, and the cases that it takes part in. */
export interface HttpPlan extends PeerPlan {
  readonly cases: readonly CaseName[];
}

const FOLDER = inOut("www");
/** The expected bodies, which the load compares with those it receives. */
export const BODIES: Readonly<Record<"hello" | "file" | "chunked", string>> = {
  hello: inOut("hello.txt"),
  file: `${FOLDER}/file.bin`,
  chunked: inOut("chunked.bin"),
};
export const FILE_BYTES = 102_400;

/** The request for "Hello, world!", and the file with the expected body. */
export const HELLO_REQUEST: {
  readonly mode: "http";
  readonly path: string;
  readonly body: string;
} = { mode: "http", path: "/", body: BODIES.hello };

/** Writes the files that are served or compared, unless they exist. */
export function writeBodies(): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(BODIES.hello, "Hello, world!");
  writePattern(BODIES.file, FILE_BYTES);
  writePattern(BODIES.chunked, CHUNKED_BYTES);
}

function writePattern(file: string, length: number): void {
  if (statSync(file, { throwIfNoEntry: false })?.size === length) return;
  writeFileSync(file, patternOf(length));
}

/** Writes the answer to a request with a body of this length. @returns The file. */
export function writeCount(length: number): string {
  const file = inOut(`post-${length}.txt`);
  writeFileSync(file, `${length}`);
  return file;
}

/** The answer of the servers in a case. */
const ANSWERS: Readonly<Record<CaseName, Answer>> = {
  hello: "hello",
  pipelined: "hello",
  post: "post",
  chunked: "chunked",
  hono: "hono",
  file: "hello",
  paced: "hello",
  idle: "hello",
};

/** The arguments of a server in a case, after those of its plan. */
export function argumentsIn(of: CaseName): string[] {
  const answer = ANSWERS[of];
  return answer === "hello" ? [] : ["--answer", answer];
}

const HELLO: readonly CaseName[] = ["hello", "pipelined", "paced"];
const WITH_HANDLER: readonly CaseName[] = [...HELLO, "post", "idle"];
const WITH_FETCH: readonly CaseName[] = [...WITH_HANDLER, "chunked", "hono"];

interface Variant {
  readonly on?: "node" | "bun" | "deno";
  readonly run?: boolean;
}

/** polloi with a handler or with `fetch`: `polloi("fetch", "io_uring")` is `polloi-fetch-uring`. */
function polloi(
  api: "handler" | "fetch",
  engine: "io_uring" | "epoll",
  { on = "node", run = false }: Variant = {},
): HttpPlan {
  const flags = ["--engine", engine, ...(run ? ["--run"] : [])];
  const args = [
    compiled("peers/polloi-http"),
    ...flags,
    ...(api === "fetch" ? ["--fetch"] : []),
  ] as const;
  const starts = { node: NODE, bun: [], deno: ["run", "--allow-all"] } as const;
  const where = on === "node" ? "" : `-${on}`;
  const how = [
    `polloi ${api}`,
    engine,
    ...(run ? ["run()"] : []),
    ...(on === "node" ? [] : [`on ${on === "bun" ? "Bun" : "Deno"}`]),
  ];
  return {
    name: `polloi-${api}-${engine === "io_uring" ? "uring" : engine}${run ? "-run" : ""}${where}`,
    label: how.join(", "),
    cases: api === "fetch" ? WITH_FETCH : WITH_HANDLER,
    ...(on === "node" ? {} : { needs: on }),
    command: (tool) => [...(on === "node" ? [] : [tool]), ...starts[on], ...args],
  };
}

/** The polloi command with a directory of files. */
function polloiFiles(engine: "io_uring" | "epoll"): HttpPlan {
  const flags = ["--dir", FOLDER, "--port", "0", "--engine", engine, "--json", "--quiet"];
  return {
    name: `polloi-files-${engine === "io_uring" ? "uring" : engine}`,
    label: `polloi serve http --dir, ${engine}`,
    cases: ["file"],
    collects: false,
    command: () => [
      ...NODE,
      inRepository("packages/polloi-tools/dist/main.js"),
      "serve",
      "http",
      ...flags,
    ],
  };
}

/** Files from a fetch handler, or from an application of Hono. */
function polloiFetchFiles(
  api: "fetch" | "hono",
  engine: "io_uring" | "epoll",
  { on = "node" }: Variant = {},
): HttpPlan {
  const where = on === "node" ? "" : `-${on}`;
  const program = [compiled("peers/polloi-http"), "--engine", engine, "--fetch"] as const;
  const args = [...program, "--files", FOLDER, ...(api === "hono" ? ["--hono"] : [])];
  const what = api === "hono" ? "polloi, files() in Hono" : "polloi, files() as fetch";
  return {
    name: `polloi-${api}-files-${engine === "io_uring" ? "uring" : engine}${where}`,
    label: [what, engine, ...(on === "node" ? [] : [`on ${on === "bun" ? "Bun" : "Deno"}`])].join(
      ", ",
    ),
    cases: ["file"],
    ...(on === "node" ? {} : { needs: on }),
    command: (tool) => (on === "node" ? [...NODE, ...args] : [tool, ...args]),
  };
}

/**
 * Every HTTP server, in the order of rounds and tables. Servers that are compared with each other are neighbours.
 */
export const HTTP_PLANS: readonly HttpPlan[] = [
  {
    ...inC({ name: "c-http", label: "C, raw epoll loop" }, ["bench/peers/http.c"]),
    cases: HELLO,
  },
  polloi("handler", "io_uring", { run: true }),
  polloi("handler", "io_uring"),
  {
    name: "uws",
    label: "uWebSockets.js",
    needs: "uws",
    // This cannot be configured.
    idleSeconds: 10,
    cases: WITH_HANDLER,
    command: (folder) => [...NODE, compiled("peers/uws"), folder],
  },
  polloi("handler", "epoll"),
  polloi("fetch", "io_uring", { run: true }),
  polloi("fetch", "io_uring"),
  {
    name: "bun-serve",
    label: "Bun.serve",
    needs: "bun",
    cases: WITH_FETCH,
    command: (bun) => [bun, compiled("peers/bun-serve")],
  },
  polloi("handler", "io_uring", { on: "bun" }),
  polloi("fetch", "io_uring", { on: "bun" }),
  {
    name: "node-http",
    label: "node:http",
    cases: [...WITH_HANDLER, "chunked"],
    command: () => [...NODE, compiled("peers/node-http")],
  },
  {
    name: "hono-node",
    label: "@hono/node-server",
    needs: "honoNode",
    cases: ["hono"],
    command: (folder) => [...NODE, compiled("peers/hono-node"), folder],
  },
  polloi("fetch", "epoll"),
  polloi("handler", "epoll", { run: true }),
  polloi("handler", "epoll", { on: "bun" }),
  polloi("handler", "io_uring", { on: "deno" }),
  polloi("fetch", "io_uring", { on: "deno" }),
  {
    name: "go-http",
    label: "Go net/http",
    needs: "go",
    collects: false,
    cases: HELLO,
    command: (go) => [
      build({
        command: [go, "build", "-o", "OUT"],
        sources: ["bench/peers/http.go"],
        binary: "go-http",
      }),
    ],
  },
  {
    ...inC({ name: "c-sendfile", label: "C, epoll and sendfile" }, ["bench/peers/http.c"]),
    cases: ["file"],
    command: (gcc, tools) => [
      ...inC({ name: "c-http", label: "" }, ["bench/peers/http.c"]).command(gcc, tools),
      BODIES.file,
    ],
  },
  polloiFiles("io_uring"),
  polloiFiles("epoll"),
  polloiFetchFiles("fetch", "io_uring"),
  polloiFetchFiles("fetch", "epoll"),
  polloiFetchFiles("hono", "io_uring"),
  polloiFetchFiles("hono", "epoll"),
  polloiFetchFiles("fetch", "epoll", { on: "bun" }),
  {
    name: "nginx",
    label: "nginx",
    needs: "nginx",
    collects: false,
    cases: [...HELLO, "file"],
    command(nginx, { gcc }) {
      if (gcc.missing !== undefined)
        throw new Error(`${gcc.missing}: the program that starts it is in C`);
      const starter = build({
        command: [gcc.path, "-O2", "-Wall", "-Wextra", "-o", "OUT"],
        sources: ["bench/peers/nginx.c"],
        binary: "start-nginx",
      });
      mkdirSync(inOut("nginx"), { recursive: true });
      return [starter, nginx, inOut("nginx"), FOLDER];
    },
  },
  {
    name: "bun-file",
    label: "Bun.serve, Bun.file",
    needs: "bun",
    cases: ["file"],
    command: (bun) => [bun, compiled("peers/bun-serve"), "--file", BODIES.file],
  },
  {
    name: "hono-static",
    label: "Hono, serveStatic of @hono/node-server",
    needs: "honoNode",
    cases: ["file"],
    command: (folder) => [...NODE, compiled("peers/hono-node"), folder, "--files", FOLDER],
  },
];

/** The names that `--servers` accepts. */
export const HTTP_NAMES: readonly string[] = HTTP_PLANS.map(({ name }) => name);

/** Whether a server takes part in a case. */
export function takesPart(name: string, of: CaseName): boolean {
  return HTTP_PLANS.some((plan) => plan.name === name && plan.cases.includes(of));
}
