/** Checks that types and lint do not make: layers, names, and contents that no file may have. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** The layers below the engines. */
const CALLS = ["base", "sys", "select", "selectors", "socket", "uring"] as const;
const LOOP = [...CALLS, "proxy", "tls", "engine", "reactor"] as const;

/** The layers of each package: the folders of its src/, each with the other layers that it may import. */
const LAYERS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  polloi: {
    base: [],
    sys: ["base"],
    select: ["base", "sys"],
    socket: ["base", "sys"],
    uring: ["base", "sys", "socket"],
    selectors: ["base", "sys", "select", "uring"],
    proxy: ["base", "sys", "socket"],
    engine: CALLS,
    tls: ["base", "sys"],
    reactor: [...CALLS, "proxy", "tls", "engine"],
    pool: LOOP,
    http: [...LOOP, "pool"],
  },
  "polloi-tools": {
    echo: [],
    load: [],
    trace: [],
    measure: [],
    lab: ["echo", "load", "measure"],
    cli: ["echo", "load", "trace", "measure", "lab"],
  },
  "polloi-sim": {
    base: [],
    process: ["base"],
    files: ["base", "process"],
    sockets: ["base", "process", "files"],
    readiness: ["base", "process"],
    uring: ["base", "process", "files", "sockets"],
    machine: ["base", "process", "files", "sockets", "readiness", "uring"],
    simulate: ["base", "process", "files", "sockets", "readiness", "uring", "machine"],
  },
};

/** A line of a file that violates a rule, and a description. */
interface Finding {
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

/** The files that git tracks; without git, as in an unpacked archive, all files. */
function trackedFiles(): string[] {
  try {
    const options = { cwd: ROOT, encoding: "utf8", stdio: "pipe" } as const;
    const listed = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    return execFileSync("git", listed, options)
      .split("\0")
      .filter((file) => file !== "" && existsSync(join(ROOT, file)));
  } catch {
    return walk("").filter((file) => !/(^|\/)(node_modules|dist|bench\/out)\//.test(file));
  }
}

function walk(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (!entry.isDirectory()) return [path];
    return /^(\.git|node_modules|dist)$/.test(entry.name) ? [] : walk(path);
  });
}

const tracked: string[] = trackedFiles();
const sources: string[] = tracked.filter((file) => /^packages\/[\w-]+\/src\/.*\.ts$/.test(file));
const typescript: string[] = tracked.filter((file) => file.endsWith(".ts"));
const texts = new Map<string, string>();

function read(file: string): string {
  let text = texts.get(file);
  if (text === undefined) {
    text = readFileSync(join(ROOT, file), "utf8");
    texts.set(file, text);
  }
  return text;
}

/** The text with the contents of comments and strings blanked out, and its lines preserved. */
function codeOf(file: string): string {
  const blank = (text: string) => text.replace(/[^\n]/g, " ");
  return read(file).replace(
    /\/\/.*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g,
    blank,
  );
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

/** The matches of `pattern`, which is global, in `files`. */
function findings(
  files: readonly string[],
  pattern: RegExp,
  what: (match: RegExpMatchArray) => string,
  textOf: (file: string) => string = read,
): Finding[] {
  return files.flatMap((file) => {
    const text = textOf(file);
    return [...text.matchAll(pattern)].map((match) => ({
      file,
      line: lineAt(text, match.index ?? 0),
      what: what(match),
    }));
  });
}

function assertNone(found: readonly Finding[]): void {
  const lines = found.map(({ file, line, what }) => `${file}:${line} ${what}`);
  assert.ok(lines.length === 0, `\n${lines.join("\n")}`);
}

/** An import of a file: a statement of any kind, `import type`, `export from`, or `import()`. */
interface Import extends Finding {
  /** The file imported, from the root. */
  readonly to: string;
}

function importsOf(file: string): Import[] {
  const text = read(file).replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*/gm, (comment) =>
    comment.replace(/[^\n]/g, " "),
  );
  const pattern =
    /^(?:import|export)\s(?:[^"';]*?\sfrom\s)?\s*["'](\.[^"']*)["']|\bimport\s*\(\s*["'](\.[^"']*)["']/gm;
  return [...text.matchAll(pattern)].map((match) => {
    const to = posix.normalize(posix.join(dirname(file), (match[1] ?? match[2]) as string));
    return { file, line: lineAt(text, match.index), what: `imports ${to}`, to };
  });
}

const imports: Import[] = sources.flatMap(importsOf);

/** The package and the layer of a source. The layer is the empty string at the top of src/. */
function layerOf(file: string): { readonly name: string; readonly layer: string } {
  const [, name = "", , ...path] = file.split("/");
  return { name, layer: path.length > 1 ? (path[0] as string) : "" };
}

test("every folder of src is a known layer", () => {
  const unknown = sources.filter((file) => {
    const { name, layer } = layerOf(file);
    return layer !== "" && !Object.hasOwn(LAYERS[name] ?? {}, layer);
  });
  assertNone(unknown.map((file) => ({ file, line: 1, what: "is in a layer that LAYERS lacks" })));
});

test("the imports of a file are found", () => {
  const open = "packages/polloi/src/sys/open.ts";
  const known = imports.filter(({ file }) => file === open).map(({ to }) => to);
  assert.deepEqual(
    known.sort(),
    [
      "base/argument",
      "base/misuse",
      "sys/bun",
      "sys/deno",
      "sys/kernel",
      "sys/node",
      "sys/provided",
    ].map((name) => `packages/polloi/src/${name}.ts`),
  );
});

test("every import within a package goes to a lower layer or stays in its own", () => {
  assertNone(
    imports.filter(({ file, to }) => {
      const [from, target] = [layerOf(file), layerOf(to)];
      if (file.endsWith(".test.ts")) return false;
      if (from.name !== target.name || !sources.includes(to)) return true;
      const layers = LAYERS[from.name] ?? {};
      const below = from.layer === "" ? Object.keys(layers) : (layers[from.layer] ?? []);
      return from.layer !== target.layer && !below.includes(target.layer);
    }),
  );
});

test("the tests of the library import nothing of the tools", () => {
  const tests = tracked.filter((file) => /^packages\/polloi\/test\/.*\.ts$/.test(file));
  assert.ok(tests.length > 0);
  assertNone(tests.flatMap(importsOf).filter(({ to }) => to.startsWith("packages/polloi-tools/")));
});

test("no imports form a cycle", () => {
  const edges = new Map<string, Import[]>();
  for (const each of imports) edges.set(each.file, [...(edges.get(each.file) ?? []), each]);
  const settled = new Set<string>();
  const cycles: Finding[] = [];
  const visit = (file: string, path: readonly string[]) => {
    if (settled.has(file)) return;
    for (const each of edges.get(file) ?? []) {
      const from = [...path, file].indexOf(each.to);
      if (from < 0) visit(each.to, [...path, file]);
      else cycles.push({ ...each, what: [...path, file, each.to].slice(from).join(" -> ") });
    }
    settled.add(file);
  };
  for (const file of sources) visit(file, []);
  assertNone(cycles);
});

test("no default export", () => {
  assertNone(findings(typescript, /^\s*export\s+default\b/gm, ([text]) => text.trim(), codeOf));
  assertNone(findings(typescript, /\bas\s+default\b/g, ([text]) => text, codeOf));
});

test("no any", () => {
  const pattern = /(?:[:<|&,=(]|=>|\bas|\bextends)\s*any\b(?!\s*[:(=])/g;
  assertNone(findings(typescript, pattern, () => "any", codeOf));
});

test("no private getter, which Node 20 reads by a call of its runtime", () => {
  assertNone(findings(sources, /\bget #\w+/g, ([text]) => text, codeOf));
});

test("no file is named util, helper, misc or common", () => {
  const names = typescript.filter((file) => /util|helper|misc|common/i.test(basename(file)));
  assertNone(names.map((file) => ({ file, line: 1, what: "should be named after its contents" })));
});

test("file names are in kebab-case", () => {
  const named = typescript.filter(
    (file) => !/^[a-z0-9]+([-.][a-z0-9]+)*\.ts$/.test(basename(file)),
  );
  assertNone(named.map((file) => ({ file, line: 1, what: "is not in kebab-case" })));
});

test("only packages/polloi/src/sys knows a runtime or its foreign-function interface", () => {
  const above = sources.filter(
    (file) => layerOf(file).layer !== "sys" && !file.endsWith(".test.ts"),
  );
  assertNone(findings(above, /["'](?:bun:[a-z]+|koffi|node:ffi)["']/g, ([text]) => text));
  assertNone(
    findings(above, /\b(?:Deno|Bun)\s*[.[]|["'](?:Deno|Bun)["']\s+in\b/g, ([t]) => t, codeOf),
  );
});

// Composed of parts, so that this file does not match.
const MACHINE_PATH = new RegExp(
  `(?<![\\w.*-])/(?:${["root", "tmp", "work", "home"].join("|")})/`,
  "g",
);
const REGISTRY = new RegExp(
  `https?://[^\\s"']*(?:${["registry", "npmjs", "npmmirror"].join("|")})`,
  "g",
);
const written: string[] = tracked.filter((file) => !/\.(png|gif|jpe?g|ico|woff2?|tgz)$/.test(file));

test("no tracked file contains a path of the machine that it was written on", () => {
  assertNone(findings(written, MACHINE_PATH, ([text]) => text));
});

test("no tracked file names a registry, and no lock file has the source of a package", () => {
  assertNone(findings(written, REGISTRY, ([text]) => text));
  const locks = tracked.filter((file) => basename(file) === "package-lock.json");
  assert.ok(locks.length > 0);
  assertNone(findings(locks, /^\s*"resolved": "(?!packages\/).*/gm, ([text]) => text.trim()));
});

test("every example begins with a comment", () => {
  const examples = tracked.filter((file) => /^examples\/\d.*\.ts$/.test(file));
  const headless = examples.filter((file) => !/^(#!.*\n)?(\/\*\*|\/\/)/.test(read(file)));
  assertNone(headless.map((file) => ({ file, line: 1, what: "begins with no comment" })));
});
