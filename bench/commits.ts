/** Other commits of the repository, built beside the working tree. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "./benchmark.ts";
import { inRepository } from "./places.ts";

function git(...args: string[]): string {
  return execFileSync("git", args, {
    cwd: inRepository(""),
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}

/** The short hash of a commit. @throws Refusal for an unknown one. */
export function commitOf(name: string): string {
  try {
    return git("rev-parse", "--short", "--verify", `${name}^{commit}`);
  } catch {
    throw new Refusal(`there is no commit '${name}'`);
  }
}

/**
 * Builds a commit in a temporary git worktree, which is removed at exit.
 *
 * @remarks
 * Its dependencies are those of this checkout, unless it needs others: then they are installed. In both layouts of
 * the repository, one package at the root or a workspace, its servers import its own library.
 *
 * @returns The folder.
 */
export function checkOut(commit: string): string {
  const parent = mkdtempSync(join(tmpdir(), "polloi-compare-"));
  const folder = join(parent, "tree");
  process.on("exit", () => {
    rmSync(parent, { recursive: true, force: true });
    git("worktree", "prune");
  });
  console.error(`building ${commit} in ${folder}`);
  git("worktree", "add", "--quiet", "--detach", folder, commit);
  const npm = (...args: string[]): void => {
    try {
      execFileSync("npm", args, {
        cwd: folder,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      });
    } catch (error) {
      const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
      throw new Refusal(`${commit} does not build: ${(stdout + stderr).trim().slice(0, 2000)}`);
    }
  };
  if (!linkDependencies(folder)) npm("ci", "--ignore-scripts");
  npm("run", "--silent", "build");
  return folder;
}

/** Links the dependencies of this checkout, and the packages of a workspace. @returns Whether all exist. */
function linkDependencies(folder: string): boolean {
  const packages = existsSync(join(folder, "packages"))
    ? readdirSync(join(folder, "packages")).map((name) => join("packages", name))
    : [];
  const own: Record<string, string> = {};
  const needed: string[] = [];
  for (const path of ["", ...packages]) {
    const file = join(folder, path, "package.json");
    if (!existsSync(file)) continue;
    const about = JSON.parse(readFileSync(file, "utf8"));
    if (path !== "") own[about.name] = path;
    needed.push(...Object.keys({ ...about.dependencies, ...about.devDependencies }));
  }
  const here = inRepository("node_modules");
  if (needed.some((name) => !(name in own) && !existsSync(join(here, name)))) return false;
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  for (const name of readdirSync(here)) {
    // The packages of this checkout are links, too.
    if (!/^polloi/.test(name)) symlinkSync(join(here, name), join(modules, name));
  }
  for (const [name, path] of Object.entries(own)) {
    symlinkSync(join("..", path), join(modules, name));
  }
  return true;
}
