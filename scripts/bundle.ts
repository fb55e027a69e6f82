/**
 * Makes the entry points of the packages from what tsc has compiled: one file an entry point and the chunks that
 * they share, in `packages/NAME/dist`, with the type declarations in `dist/types`.
 *
 * @remarks
 * An entry point that loads one file instead of a hundred starts in a third of the time. Source maps point at the
 * TypeScript in `src`, which is part of each package. So are the README, the changelog and the licence of the
 * workspace: they are copied, with links that lead to the repository. Modules that threads and child processes load are entry
 * points too. They are found beside the file that starts them, so all entry points lie in one folder.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { type ManualChunkMeta, type Plugin, rollup } from "rollup";

const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** The entry points of a package by the name of their file, each with its source below `src`. */
interface Package {
  readonly name: string;
  readonly entries: Readonly<Record<string, string>>;
  /** Packages that stay imports. */
  readonly external: readonly string[];
}

const PACKAGES: readonly Package[] = [
  {
    name: "polloi",
    entries: {
      index: "index",
      http: "http/index",
      models: "pool/models",
      select: "select/index",
      selectors: "selectors/index",
      socket: "socket/index",
      uring: "uring/index",
      workers: "pool/workers",
      internal: "internal",
      "internal-pure": "internal-pure",
      thread: "pool/thread",
      process: "pool/process",
    },
    external: ["koffi", "mime", "bun:ffi"],
  },
  {
    name: "polloi-tools",
    entries: {
      main: "cli/main",
      load: "load/index",
      internal: "internal",
      "load-worker": "load/load-worker",
      "echo-handlers": "echo/echo-handlers",
      "echo-worker": "echo/echo-worker",
      "http-worker": "cli/http-worker",
      "serving-program": "lab/serving-program",
    },
    external: ["polloi", "commander", "hdr-histogram-js", "echarts"],
  },
];

/** The chunk of a layer of polloi. The modules of other layers are divided by the bundler. */
const CHUNKS: Readonly<Record<string, string>> = {
  base: "base",
  sys: "sys",
  select: "sys",
  socket: "socket",
  uring: "uring",
  selectors: "selectors",
  engine: "reactor",
  reactor: "reactor",
};

/** Pages of the workspace that are part of each package. */
const PAGES = ["README.md", "CHANGELOG.md", "LICENSE"];
const REPOSITORY = "https://github.com/polloi/polloi";

/**
 * The chunk of a module: one for each layer, since loading a file costs more than a few functions that an entry
 * point does not use. Two entry points have chunks of their own: what `polloi/internal/pure` needs is apart from the
 * rest, which opens a kernel, and a process that serves one connection loads no sockets and no event loop.
 */
function chunkOf(id: string, { getModuleInfo }: ManualChunkMeta): string | undefined {
  const [, layer] = /\/polloi\/src\/(\w+)\//.exec(id) ?? [];
  if (layer === undefined) return undefined;
  const isFor = (entry: string, module: string): boolean =>
    module.endsWith(entry) ||
    (getModuleInfo(module)?.importers.some((importer) => isFor(entry, importer)) ?? false);
  if (isFor("/internal-pure.ts", id)) return "pure";
  if (layer === "socket" && isFor("/pool/process.ts", id)) return "socket-calls";
  return CHUNKS[layer];
}

/** Strips the types. esbuild's own bundler would rename classes, and stack traces with them. */
const stripTypes: Plugin = {
  name: "strip-types",
  transform: (code, id) =>
    transform(code, { loader: "ts", target: "es2022", sourcefile: id, sourcemap: "external" }),
};

for (const { name, entries, external } of PACKAGES) {
  const folder = join(ROOT, "packages", name);
  const out = join(folder, "dist");
  rmSync(out, { recursive: true, force: true });
  const bundle = await rollup({
    input: Object.fromEntries(
      Object.entries(entries).map(([file, source]) => [file, join(folder, "src", `${source}.ts`)]),
    ),
    // Other packages, also polloi, are imported as they are installed.
    external: (id) =>
      id.startsWith("node:") || external.some((it) => id === it || id.startsWith(`${it}/`)),
    plugins: [stripTypes],
    onwarn: ({ message }) => {
      throw new Error(`${name}: ${message}`);
    },
  });
  await bundle.write({
    dir: out,
    format: "es",
    chunkFileNames: "chunk-[hash].js",
    hashCharacters: "hex",
    manualChunks: chunkOf,
    sourcemap: true,
    sourcemapExcludeSources: true,
    generatedCode: "es2015",
    minifyInternalExports: false,
  });
  await bundle.close();
  copyDeclarations(join(ROOT, "dist/packages", name, "src"), join(out, "types"));
  copyPages(folder);
}

function copyDeclarations(from: string, to: string): void {
  const names = readdirSync(from, { recursive: true, encoding: "utf8" });
  for (const file of names.filter((it) => it.endsWith(".d.ts") && !/\.test\./.test(basename(it)))) {
    const text = readFileSync(join(from, file), "utf8");
    mkdirSync(dirname(join(to, file)), { recursive: true });
    writeFileSync(join(to, file), withoutNodeTypes(text));
  }
}

/** Declarations that compile without @types/node too: what they import of Node is `any` then. */
function withoutNodeTypes(declarations: string): string {
  return declarations.replace(
    /^import type .* from "node:/gm,
    "// @ts-ignore: @types/node may not be installed\n$&",
  );
}

function copyPages(to: string): void {
  for (const page of PAGES) {
    const text = readFileSync(join(ROOT, page), "utf8");
    const linked = text.replace(/(!?)(\[[^\]]*\]\()(?!https?:|#)/g, (_, image, start) => {
      return `${image}${start}${REPOSITORY}/${image === "" ? "blob" : "raw"}/main/`;
    });
    writeFileSync(join(to, page), linked);
  }
}
