/** The programs of docs/recipes.md, with the packages and the servers that they are for. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process, { execPath, stderr } from "node:process";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { blocksOf, ROOT } from "../docs/markdown.ts";
import { installPackages, type Runtime, runtimes } from "../runtimes/installed.ts";

/** How long a program may take. */
const PATIENCE_MS = 60_000;

const FOLDER = join(ROOT, "test/recipes/");
const print = (line: string): void => void stderr.write(`# ${line}\n`);
const notInstalled = installPackages(
  FOLDER,
  "ws, ioredis, pg and undici from npm into test/recipes",
  print,
);

/** The output of each recipe, and the server that it needs. */
const RECIPES: Readonly<Record<string, { prints: string; needs?: () => Promise<Started> }>> = {
  ws: { prints: "you said hello" },
  ioredis: { prints: "hello 11 - hello again", needs: startRedis },
  pg: { prints: "row 1, row 2, row 3", needs: startPostgres },
  http2: { prints: "GET /hello by HTTP/2.0" },
  zlib: { prints: "compressed and back" },
  http: { prints: "by node:http" },
  undici: { prints: "GET /hello by undici" },
};

/** Recipes that a runtime cannot run, with the reason. */
const IMPOSSIBLE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  bun: {
    ws: "Bun replaces the package ws by its own, for its own server",
    undici: "Bun replaces the package undici by its own, without connect",
  },
};

/** A server of others, with the variables for the program; or why there is none. */
interface Started {
  readonly missing?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const children: ChildProcess[] = [];
const folders: string[] = [];
after(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    // SIGINT: PostgreSQL shuts down at once, and disconnects its clients.
    child.kill("SIGINT");
    await ended;
  }
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A port of 127.0.0.1 that nothing uses. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a server, and waits until `isReady`. */
async function start(
  command: string,
  args: readonly string[],
  user: { uid?: number; gid?: number },
  isReady: () => boolean,
): Promise<string | undefined> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...user });
  children.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes) => {
      output += bytes;
    });
  }
  const deadline = performance.now() + PATIENCE_MS;
  while (!isReady()) {
    if (child.exitCode !== null || performance.now() > deadline) {
      return `${command} did not start: ${output.trim().split("\n").at(-1) ?? ""}`;
    }
    await sleep(50);
  }
  return undefined;
}

/** Whether a server answers on a port. */
function answers(port: number): boolean {
  const program = `require("net").connect(${port}, "127.0.0.1").on("connect", () => process.exit(0)).on("error", () => process.exit(1))`;
  return spawnSync(execPath, ["-e", program]).status === 0;
}

async function startRedis(): Promise<Started> {
  if (spawnSync("redis-server", ["--version"]).error !== undefined) {
    return { missing: "redis-server is not installed" };
  }
  const port = await freePort();
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const failure = await start("redis-server", args, {}, () => answers(port));
  if (failure !== undefined) assert.fail(failure);
  return { env: { REDIS_PORT: `${port}` } };
}

async function startPostgres(): Promise<Started> {
  const versions = "/usr/lib/postgresql";
  const bin = existsSync(versions)
    ? readdirSync(versions).map((version) => join(versions, version, "bin"))
    : [];
  const folder = bin.find((path) => existsSync(join(path, "initdb")));
  if (folder === undefined) return { missing: "postgresql is not installed" };
  const user = userOf("postgres");
  if (user === undefined)
    return { missing: "PostgreSQL does not run as root, and there is no user postgres" };
  const data = mkdtempSync(join(tmpdir(), "polloi-postgres-"));
  folders.push(data);
  if (user.uid !== undefined) chownSync(data, user.uid, user.gid as number);
  const made = spawnSync(
    join(folder, "initdb"),
    ["-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--locale=C", "-E", "UTF8"],
    { encoding: "utf8", cwd: data, ...user },
  );
  assert.equal(made.status, 0, made.stderr);
  const port = await freePort();
  const args = ["-D", data, "-p", `${port}`, "-k", data, "-c", "listen_addresses=127.0.0.1", "-F"];
  const ready = (): boolean =>
    spawnSync(join(folder, "pg_isready"), ["-h", "127.0.0.1", "-p", `${port}`]).status === 0;
  const failure = await start(join(folder, "postgres"), args, user, ready);
  if (failure !== undefined) assert.fail(failure);
  return { env: { PGPORT: `${port}` } };
}

/** The ids of a user to become, if this process is root; nothing to change if it is not. */
function userOf(name: string): { uid?: number; gid?: number } | undefined {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string): number =>
    Number(spawnSync("id", [flag, name], { encoding: "utf8" }).stdout.trim() || "NaN");
  const [uid, gid] = [idOf("-u"), idOf("-g")];
  return Number.isNaN(uid) || Number.isNaN(gid) ? undefined : { uid, gid };
}

/** Runs a recipe. @returns What it has printed. */
async function run(
  { path = "", flags, name }: Runtime,
  program: string,
  env: object,
): Promise<string> {
  const child = spawn(path, [...flags, program], {
    cwd: FOLDER,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PATIENCE_MS,
  });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (bytes) => {
    output += bytes;
  });
  child.stderr.on("data", (bytes) => {
    errors += bytes;
  });
  const code = await new Promise((resolve) =>
    child.once("close", (code, signal) => resolve(code ?? signal)),
  );
  assert.equal(code, 0, `under ${name}: ${output}${errors}`);
  return output.trim();
}

const all: Runtime[] = [
  { name: "node", flags: [], path: execPath },
  ...runtimes(print).map((it) => (it.name === "node" ? { ...it, name: "the newest node" } : it)),
];

for (const [name, { prints, needs }] of Object.entries(RECIPES)) {
  test(`the recipe ${name} of docs/recipes.md works`, {
    skip: notInstalled ?? false,
  }, async (t) => {
    const block = blocksOf("docs/recipes.md").find(({ flags }) => flags.includes(name));
    assert.ok(block !== undefined, "it has a block of this name");
    mkdirSync(join(FOLDER, "out"), { recursive: true });
    const program = join(FOLDER, "out", `${name}.mjs`);
    writeFileSync(program, block.code);
    const { missing, env = {} } = (await needs?.()) ?? {};
    for (const runtime of all) {
      const skip = missing ?? runtime.missing ?? IMPOSSIBLE[runtime.name]?.[name] ?? false;
      await t.test(`under ${runtime.name}`, { skip }, async () => {
        assert.equal(await run(runtime, program, env), prints);
      });
    }
  });
}

test("every recipe is run", () => {
  const names = blocksOf("docs/recipes.md").flatMap(({ flags }) => flags);
  assert.deepEqual(names.sort(), Object.keys(RECIPES).sort());
});
