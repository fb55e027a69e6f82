/**
 * The documentation agrees with the code: its programs compile and run, its links have targets, and
 * the files and commands that it names exist. The fence of a block of TypeScript states how it is checked:
 *
 * - "ts": type-checked as a separate module, against the package by its public name;
 * - "ts run": run as well; it must end by itself, with exit code 0, under any runtime;
 * - "ts nocheck": neither, and listed.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join, posix } from "node:path";
import { execPath } from "node:process";
import { type TestContext, test } from "node:test";
import * as http from "../packages/polloi/src/http/index.ts";
import * as face from "../packages/polloi/src/index.ts";
import * as models from "../packages/polloi/src/pool/models.ts";
import * as workers from "../packages/polloi/src/pool/workers.ts";
import * as select from "../packages/polloi/src/select/index.ts";
import * as selectors from "../packages/polloi/src/selectors/index.ts";
import * as socket from "../packages/polloi/src/socket/index.ts";
import * as uring from "../packages/polloi/src/uring/index.ts";
import * as loading from "../packages/polloi-tools/src/load/index.ts";
import { compile, type Module } from "./docs/compile.ts";
import {
  anchorsOf,
  type Block,
  blocksOf,
  codeSpansOf,
  examplesOf,
  type Found,
  filesUnder,
  kept,
  linksOf,
  ROOT,
  read,
} from "./docs/markdown.ts";
import { exchange, Program } from "./support/processes.ts";

/** The longest that a program of the documentation may take. */
const RUN_MS = 60_000;

const pages: string[] = kept(filesUnder("", ".md"));
const sources: string[] = filesUnder("packages", ".ts").filter((file) =>
  /^packages\/[\w-]+\/src\/(?!.*\.test\.ts$)/.test(file),
);

/** The blocks of `all` that are TypeScript, without those marked as not checked. */
function checked(t: TestContext, all: readonly Block[]): Block[] {
  const blocks = all.filter(({ language }) => language === "ts" || language === "typescript");
  const unchecked = blocks.filter(({ flags }) => flags.includes("nocheck"));
  t.diagnostic(`${blocks.length} blocks of TypeScript, ${unchecked.length} not checked`);
  for (const { file, line } of unchecked) t.diagnostic(`not checked: ${file}:${line}`);
  return blocks.filter(({ flags }) => !flags.includes("nocheck"));
}

function assertNone(complaints: readonly string[]): void {
  assert.ok(complaints.length === 0, `\n${complaints.join("\n")}`);
}

test("every program of the documentation compiles, and those marked to run do", async (t) => {
  const blocks = checked(t, pages.flatMap(blocksOf));
  assert.ok(blocks.length > 0, "no block of TypeScript was found");
  const { complaints, script } = compile(
    "pages",
    blocks.map((block) => ({ block, given: "" })),
  );
  assertNone(complaints);
  for (const [i, { file, line, flags }] of blocks.entries()) {
    if (!flags.includes("run")) continue;
    await t.test(`${file}:${line} runs`, () => {
      const options = { encoding: "utf8", timeout: RUN_MS, stdio: "pipe" } as const;
      const { status, signal, stdout, stderr } = spawnSync(execPath, [script(i)], options);
      assert.equal(status, 0, `${file}:${line} ended with ${signal ?? status}\n${stdout}${stderr}`);
    });
  }
});

test("the first server of README.md is plain JavaScript that Node 20 runs", () => {
  const [block] = blocksOf("README.md").filter(({ code }) => code.includes("listen({"));
  const args = ["--input-type=module", "--check", "-"];
  const { status, stderr } = spawnSync(execPath, args, { input: block?.code, encoding: "utf8" });
  assert.equal(status, 0, stderr);
});

/** The servers in the pages that catch a reset, each with the line that opens its listener. */
const CATCHES_RESETS: Readonly<Record<string, string>> = {
  "An HTTP server on epoll, from reading to writing":
    "createServer({ port: 8080, nonBlocking: true })",
  "Callbacks with selectors": "createServer({ port: 10000 })",
};

test("the servers of coming-from-python.md that catch a reset keep serving after one", async (t) => {
  const file = "docs/coming-from-python.md";
  const lines = read(file).split("\n");
  const titles = Object.keys(CATCHES_RESETS);
  const blocks = titles.map((title) => {
    const line = lines.indexOf(`### ${title}`) + 1;
    assert.ok(line > 0, `${file} has no section "${title}"`);
    const after = blocksOf(file).filter((block) => block.line > line && block.language === "ts");
    const block = after[0] as Block;
    const opening = CATCHES_RESETS[title] as string;
    assert.ok(block.code.includes(opening), `"${title}" does not contain ${opening}`);
    // A free port, and a line that prints it.
    const code = block.code.replace(
      `using server = ${opening};`,
      `using server = ${opening.replace(/port: \d+/, "port: 0")};
       console.log("listening on " + server.localAddress().port);`,
    );
    return { ...block, code };
  });
  const { complaints, script } = compile(
    "resets",
    blocks.map((block) => ({ block, given: "" })),
  );
  assertNone(complaints);
  for (const [i, title] of titles.entries()) {
    await t.test(title, async () => {
      await using server = new Program(execPath, [script(i)]);
      const port = await server.port();
      for (let round = 0; round < 3; round++) {
        const socket = connect(port, "127.0.0.1");
        await once(socket, "connect");
        socket.write("x");
        socket.resetAndDestroy();
      }
      const request = "GET / HTTP/1.0\r\n\r\n";
      assert.ok((await exchange(port, request)).length > 0, server.stderr);
      assert.equal(server.child.exitCode, null, server.stderr);
    });
  }
});

test("the two files of docs/workers.md serve clients, and stop", async () => {
  const blocks = blocksOf("docs/workers.md");
  const files = ["server", "echo-worker"].map((name) => {
    const found = blocks.find(({ code }) => code.startsWith(`// ${name}.ts`)) as Block;
    return { ...found, code: found.code.replace("port: 7788", "port: 0") };
  });
  const { complaints, script } = compile(
    "workers",
    files.map((block) => ({ block, given: "" })),
  );
  assertNone(complaints);
  copyFileSync(script(1), join(dirname(script(0)), "echo-worker.js"));
  await using server = new Program(execPath, [script(0)]);
  const socket = connect(await server.port(), "127.0.0.1");
  socket.write("and again\n");
  let received = "";
  for await (const chunk of socket) {
    received += chunk;
    if (received.length >= "hello\nand again\n".length) socket.end();
  }
  assert.equal(received, "hello\nand again\n");
  assert.match(server.stdout, /^worker \d+ is ready$/m);
  server.signal("SIGTERM");
  assert.equal((await server.ended).code, 0, server.stderr);
});

/** The public names, and from where each is imported. */
const PUBLIC: ReadonlyMap<string, string> = new Map(
  Object.entries({
    "polloi/uring": uring,
    "polloi/http": http,
    "polloi-tools/load": loading,
    "polloi/models": models,
    "polloi/workers": workers,
    "polloi/socket": socket,
    "polloi/selectors": selectors,
    "polloi/select": select,
    polloi: face,
  }).flatMap(([from, names]) => Object.keys(names).map((name) => [name, from])),
);

/** Declarations for the examples of a file, beside the public names, so that the examples stay short. */
const GIVEN: Readonly<Record<string, string>> = {
  "packages/polloi/src/select/epoll.ts": "declare const socket: import('polloi/socket').Socket;",
  "packages/polloi/src/select/poll.ts": "declare const socket: import('polloi/socket').Socket;",
  "packages/polloi/src/select/select.ts": "declare const socket: import('polloi/socket').Socket;",
  "packages/polloi/src/selectors/selector.ts":
    "declare const socket: import('polloi/socket').Socket;",
  "packages/polloi/src/selectors/batch.ts":
    "type Handler = (events: number) => void; declare const selector: import('polloi/selectors').Selector<Handler>;",
  "packages/polloi/src/pool/module.ts":
    "import type { Connection } from 'polloi'; import type { ModelConnection, ModelLoop, Stoppable } from 'polloi/models'; import type { PoolWorker } from 'polloi/workers';",
  "packages/polloi/src/selectors/waker.ts":
    "import { Worker, workerData } from 'node:worker_threads'; declare const selector: import('polloi/selectors').Selector;",
};

function example(block: Block): Module {
  const used = [...PUBLIC].filter(([name]) => new RegExp(`\\b${name}\\b`).test(block.code));
  const imports = used.map(([name, from]) => `import { ${name} } from "${from}";`);
  return { block, given: [...imports, GIVEN[block.file] ?? ""].join(" ") };
}

/** Splits a block at comments that are only the name of a script: each begins another file. */
function byScript(block: Block): Block[] {
  const lines = block.code.split("\n");
  const starts = [0, ...lines.flatMap((line, i) => (/^\/\/ [\w-]+\.[jt]s$/.test(line) ? [i] : []))];
  return starts.map((start, n) => ({
    ...block,
    line: block.line + start,
    code: lines.slice(start, starts[n + 1]).join("\n"),
  }));
}

test("every example in the comments of the sources compiles", (t) => {
  const blocks = checked(t, sources.flatMap(examplesOf)).flatMap(byScript);
  assert.ok(blocks.length > 0, "no example was found");
  assertNone(compile("examples", blocks.map(example)).complaints);
});

test("every link within the documentation has a target", () => {
  const dead = pages.flatMap(linksOf).filter(({ file, text }) => {
    const [path = "", anchor] = text.split("#");
    const to = path === "" ? file : posix.normalize(posix.join(dirname(file), path));
    if (!existsSync(join(ROOT, to))) return true;
    return anchor !== undefined && to.endsWith(".md") && !anchorsOf(to).has(anchor);
  });
  assertNone(dead.map(({ file, line, text }) => `${file}:${line} ${text} has no target`));
});

test("every decision has a number of its own, which is in its title", () => {
  const decisions = pages.filter((page) => page.startsWith("docs/decisions/")).sort();
  assert.ok(decisions.length > 0);
  const expected = decisions.map((_, i) => [i + 1, i + 1]);
  const found = decisions.map((page) => [
    Number.parseInt(posix.basename(page), 10),
    Number(/^# (\d+)\./.exec(read(page))?.[1]),
  ]);
  assert.deepEqual(found, expected);
});

test("every file of the repository that the documentation names exists", () => {
  const named = pages.flatMap(codeSpansOf).filter(({ file, text }) => {
    // The changelog may name files that were removed.
    if (file === "CHANGELOG.md" || text.includes("node_modules")) return false;
    return (
      /^(packages|scripts|test|docs|examples)\/[\w./-]+$/.test(text) ||
      /^\w+\/[\w./-]+\.ts$/.test(text)
    );
  });
  assert.ok(named.length > 0, "no file is named");
  const roots = ["", "packages/polloi/src", "packages/polloi-tools/src", "packages/polloi-sim/src"];
  const gone = named.filter(({ text }) => !roots.some((it) => existsSync(join(ROOT, it, text))));
  assertNone(gone.map(({ file, line, text }) => `${file}:${line} names ${text}`));
});

/** The lines of the documentation's shell sessions that begin with `command`, each after a prompt or not. */
function commands(command: RegExp): Found[] {
  const shell = pages
    .flatMap(blocksOf)
    .filter(({ language }) => /^(sh|shell|bash|console)$/.test(language));
  return shell.flatMap(({ file, line, code }) =>
    code.split("\n").flatMap((text, i) => {
      const match = command.exec(text.replace(/^\s*\$ /, ""));
      return match === null ? [] : [{ file, line: line + i, text: match[1] as string }];
    }),
  );
}

test("every npm script that the documentation runs is in package.json", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const unknown = [
    ...commands(/\bnpm run (?:--?[\w-]+ )*([\w:-]+)/),
    ...commands(/\bnpm (test|start)\b/),
  ].filter(({ text }) => !Object.hasOwn(scripts, text));
  assertNone(unknown.map(({ file, line, text }) => `${file}:${line} npm run ${text}`));
});

const CLI: string = join(ROOT, "packages/polloi-tools/dist/main.js");
const noCli: string | false = existsSync(CLI)
  ? false
  : "packages/polloi-tools/src/cli is not there";

test("every command of polloi in the documentation exists", { skip: noCli }, () => {
  const used = commands(/(?:^|\|\s*)(?:npx )?polloi\s+([a-z][\w-]*)/);
  const options = { encoding: "utf8", timeout: RUN_MS } as const;
  const { stdout } = spawnSync(execPath, [CLI, "--help"], options);
  const unknown = used.filter(({ text }) => !new RegExp(`^ +${text}\\b`, "m").test(stdout));
  assertNone(unknown.map(({ file, line, text }) => `${file}:${line} polloi ${text}`));
});
