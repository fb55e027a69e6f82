/** Type-checks blocks of the documentation, each as a separate module that imports the package. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { execPath } from "node:process";
import { type Block, ROOT } from "./markdown.ts";

/** The folder of the modules. It is below the root, so that they find the package by its name. */
const FOLDER: string = join(ROOT, "dist", "docs");

/** The longest that a compilation may take. It usually takes a second or two. */
const COMPILE_MS = 120_000;

/** A block as a module: a line of declarations, then its code. */
export interface Module {
  readonly block: Block;
  /** The first line of the module: imports and declarations. */
  readonly given: string;
}

/** The result of a compilation. */
export interface Compiled {
  /** `file:line message`, by the lines of the documentation. */
  readonly complaints: string[];
  /** Returns the path of the JavaScript of `modules[index]`. */
  script(index: number): string;
}

/** Compiles `modules` with the options of the repository's own tsconfig.json. */
export function compile(name: string, modules: readonly Module[]): Compiled {
  const folder = join(FOLDER, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const digits = String(modules.length).length;
  const stem = (index: number) => `block-${String(index).padStart(digits, "0")}`;
  modules.forEach(({ block, given }, i) => {
    // An export makes it a module, so that `await` works and its names are local.
    const text = `${given} export {};\n${block.code}\n`;
    writeFileSync(join(folder, `${stem(i)}.ts`), text);
  });
  const own = JSON.parse(readFileSync(join(ROOT, "tsconfig.json"), "utf8")) as {
    compilerOptions: Record<string, unknown>;
  };
  const config = {
    compilerOptions: {
      ...own.compilerOptions,
      rootDir: ".",
      outDir: "out",
      declaration: false,
      // As a user compiles: against the declarations of the packages, not their sources.
      customConditions: [],
      isolatedDeclarations: false,
      sourceMap: false,
    },
    include: ["*.ts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const tsc = join(
    dirname(createRequire(import.meta.url).resolve("typescript/package.json")),
    "bin",
  );
  const args = [join(tsc, "tsc"), "-p", folder, "--pretty", "false"];
  const options = { cwd: folder, encoding: "utf8", timeout: COMPILE_MS } as const;
  const { status, stdout, stderr, error } = spawnSync(execPath, args, options);
  if (status === null) throw new Error(`tsc did not end: ${error?.message}\n${stderr}`);
  const complaints = stdout.split("\n").flatMap((line) => {
    const match = /^(?:.*\/)?block-(\d+)\.ts\((\d+),\d+\): error (.*)$/.exec(line);
    if (match === null) return line.startsWith("error") ? [line] : [];
    const { file, line: first } = (modules[Number(match[1])] as Module).block;
    return [`${file}:${first + Number(match[2]) - 2} ${match[3]}`];
  });
  if (status !== 0 && complaints.length === 0) complaints.push(`tsc failed: ${stdout}${stderr}`);
  return { complaints, script: (index) => join(folder, "out", `${stem(index)}.js`) };
}
