/** The packages that `npm pack` makes, installed in an empty project, as a user installs them. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execPath, stderr } from "node:process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runtimes } from "./runtimes/installed.ts";

const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));
const TSC: string = fileURLToPath(
  new URL("../../node_modules/typescript/bin/tsc", import.meta.url),
);
const INSTALL_MS = 120_000;

/** Uses every entry point, and ends by itself when its echo is received. */
const PROGRAM = `
import { connect, listen } from "polloi";
import { serve } from "polloi/http";
import { load } from "polloi-tools/load";
import { serveModel } from "polloi/models";
import { Epoll, EPOLLIN } from "polloi/select";
import { DefaultSelector, EVENT_READ } from "polloi/selectors";
import { socketpair } from "polloi/socket";
import { Completion } from "polloi/uring";
import { startWorkers } from "polloi/workers";

const [left, right] = socketpair();
using epoll = new Epoll();
epoll.register(right, EPOLLIN);
using selector = new DefaultSelector<string>();
selector.register(right, EVENT_READ, "right");
left.send("x");
if (typeof serve !== "function") throw new Error("polloi/http is not there");
if (typeof load !== "function") throw new Error("polloi-tools/load is not there");
if (typeof serveModel !== "function") throw new Error("polloi/models is not there");
if (typeof Completion !== "function") throw new Error("polloi/uring is not there");
const seen = [epoll.poll(1000).length, selector.select(1000)[0]?.[0].data];
left.close();
right.close();

const pool = await startWorkers({
  module: new URL("./worker.js", import.meta.url),
  workers: 1,
  listen: { host: "127.0.0.1", port: 0 },
});
const echoed = await new Promise<string>((resolve) => {
  connect({
    host: "127.0.0.1",
    port: pool.port,
    open: (connection) => connection.end("worker"),
    data: (_connection, bytes) => resolve(new TextDecoder().decode(bytes)),
  });
});
await pool.stop();
seen.push(echoed);

const listener = listen({ port: 0, data: (connection, bytes) => connection.write(bytes) });
let answer = "";
connect({
  host: "127.0.0.1",
  port: listener.port,
  open: (connection) => connection.end("echo"),
  data: (_connection, bytes) => {
    answer += new TextDecoder().decode(bytes);
  },
  close: () => {
    listener.close();
    console.log(JSON.stringify([...seen, answer]));
  },
});
`;

const found = runtimes((line) => stderr.write(`# ${line}\n`));
let project = "";
let failure: string | undefined;

before(() => {
  project = mkdtempSync(join(tmpdir(), "polloi-package-"));
  const options = { cwd: ROOT, encoding: "utf8" } as const;
  // Packing must not build again, so that the tested build is packed.
  const packages = ["--workspace", "polloi", "--workspace", "polloi-tools"];
  const pack = ["pack", "--silent", "--ignore-scripts", "--pack-destination", project, ...packages];
  const tarballs = execFileSync("npm", pack, options).trim().split("\n");
  writeFileSync(join(project, "package.json"), '{ "name": "empty", "type": "module" }');
  writeFileSync(join(project, "program.ts"), PROGRAM);
  writeFileSync(join(project, "worker.js"), "export const data = (it, bytes) => it.write(bytes);");
  const install = [
    "install",
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    ...tarballs.map((it) => `./${it}`),
  ];
  const result = spawnSync("npm", install, { ...options, cwd: project, timeout: INSTALL_MS });
  const reason = result.stderr.split("\n").find((line) => line.startsWith("npm error"));
  if (result.status !== 0) failure = `npm install failed: ${result.error?.message ?? reason}`;
});

after(() => rmSync(project, { recursive: true, force: true }));

/** Compiles a file of the project, and checks all declarations that it loads, since there is no `skipLibCheck`. */
function compile(file: string, lib: string): { status: number | null; stdout: string } {
  const args = `--target es2022 --lib ${lib} --module nodenext --strict`;
  const options = { cwd: project, encoding: "utf8" } as const;
  const { stdout, status } = spawnSync(execPath, [TSC, ...args.split(" "), file], options);
  return { status, stdout };
}

test("a program compiles against its types", (t) => {
  if (failure !== undefined) return t.skip(failure);
  const compiled = compile("program.ts", "es2023,esnext.disposable,dom");
  assert.deepEqual(compiled, { status: 0, stdout: "" });
});

test("the types of each entry point compile without esnext.disposable in lib", (t) => {
  if (failure !== undefined) return t.skip(failure);
  for (const name of ["polloi", "polloi-tools"]) {
    const text = readFileSync(join(project, "node_modules", name, "package.json"), "utf8");
    const { exports } = JSON.parse(text) as { exports: Record<string, object | string> };
    for (const [path, entry] of Object.entries(exports)) {
      if (typeof entry === "string") continue;
      const from = path.replace(".", name);
      writeFileSync(join(project, "entry.ts"), `export * as entry from "${from}";\n`);
      assert.deepEqual(
        { from, ...compile("entry.ts", "es2023,dom") },
        { from, status: 0, stdout: "" },
      );
    }
  }
});

test("options that only tests and tools pass are not in its types", (t) => {
  if (failure !== undefined) return t.skip(failure);
  const lines = [
    'import { Reactor } from "polloi";',
    'import { serveModel } from "polloi/models";',
    "new Reactor({ kernel: undefined });",
    'void serveModel({ model: "event", module: "", listen: { port: 0 }, observer: {} });',
  ];
  writeFileSync(join(project, "internal.ts"), lines.join("\n"));
  const { stdout } = compile("internal.ts", "es2023,dom");
  const unknown = [...stdout.matchAll(/'(\w+)' does not exist in type/g)].map(([, name]) => name);
  assert.deepEqual(unknown, ["kernel", "observer"], stdout);
});

for (const runtime of [{ name: "the installed node", flags: [], path: execPath }, ...found]) {
  test(`it runs on ${runtime.name}`, (t) => {
    if (failure !== undefined) return t.skip(failure);
    if (runtime.path === undefined) {
      return t.skip("missing" in runtime ? runtime.missing : "not found");
    }
    const options = { cwd: project, encoding: "utf8", timeout: 30_000 } as const;
    const { stdout, stderr } = spawnSync(runtime.path, [...runtime.flags, "program.js"], options);
    assert.equal(stdout, '[1,"right","worker","echo"]\n', stderr);
  });
}

test("its command runs", (t) => {
  if (failure !== undefined) return t.skip(failure);
  const command = join(project, "node_modules/.bin/polloi");
  const { stdout, status } = spawnSync(command, ["--version"], { encoding: "utf8" });
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "0.1.0\n" });
});

/** The files of an installed package, relative to it. */
function filesOf(name: string): Set<string> {
  const folder = join(project, "node_modules", name);
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return new Set(all.filter((file) => !file.startsWith("node_modules")));
}

for (const name of ["polloi", "polloi-tools"]) {
  test(`${name} has every source that its source maps name, and its own pages`, (t) => {
    if (failure !== undefined) return t.skip(failure);
    const files = filesOf(name);
    const maps = [...files].filter((file) => file.endsWith(".map"));
    assert.ok(maps.length > 10, `only ${maps.length} source maps`);
    const missing = maps.flatMap((map) => {
      const text = readFileSync(join(project, "node_modules", name, map), "utf8");
      const { sources } = JSON.parse(text) as { sources: string[] };
      return sources.filter((source) => !files.has(join(dirname(map), source)));
    });
    assert.deepEqual(missing, []);
    for (const page of ["README.md", "CHANGELOG.md", "LICENSE"]) {
      assert.ok(files.has(page), `${page} is missing`);
      const text = readFileSync(join(project, "node_modules", name, page), "utf8");
      for (const [, link = ""] of text.matchAll(/\]\(([^)]*)\)/g)) {
        assert.match(link, /^(https?:|#)/, `${page} links to ${link}`);
      }
    }
  });
}

test("every page that a help names is in the repository, and none is named by a path", (t) => {
  if (failure !== undefined) return t.skip(failure);
  const command = join(project, "node_modules/.bin/polloi");
  const commands = ["", "serve", "connect", "load", "doctor", "lab", "lab idle", "trace serve"];
  let found = 0;
  for (const each of [...commands, "lab models", "lab engines"]) {
    const args = [...each.split(" ").filter((word) => word !== ""), "--help"];
    const { stdout } = spawnSync(command, args, { encoding: "utf8" });
    for (const [page, path] of stdout.matchAll(/\S*?(\bdocs\/[\w/-]+\.md)/g)) {
      assert.match(page, /^https:\/\/github\.com\/polloi\/polloi\/blob\/main\/docs\//, each);
      assert.ok(existsSync(join(ROOT, path as string)), `${each} names ${path}`);
      found++;
    }
  }
  assert.ok(found >= 6, `only ${found} pages are named`);
});
