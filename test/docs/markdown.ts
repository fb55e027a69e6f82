/** The parts of Markdown that the tests of the documentation need: fenced blocks, links and headings. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository. */
export const ROOT: string = fileURLToPath(new URL("../../..", import.meta.url));

/** A fenced block: the words after the fence, and the code. */
export interface Block {
  readonly file: string;
  /** The line of the first line of code. */
  readonly line: number;
  readonly language: string;
  /** The words after the language: `run`, `nocheck`. */
  readonly flags: readonly string[];
  readonly code: string;
}

/** A piece of text in a line of a file. */
export interface Found {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** The files of the repository under `folder`, by their path from the root. */
export function filesUnder(folder: string, extension: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (!entry.isDirectory()) return path.endsWith(extension) ? [path] : [];
    return /^(\.git|node_modules|dist|out)$/.test(entry.name) ? [] : filesUnder(path, extension);
  });
}

/** Returns those of `files` that git does not ignore, or all of them without git. */
export function kept(files: readonly string[]): string[] {
  if (!existsSync(join(ROOT, ".git"))) return [...files];
  try {
    const args = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    const tracked = new Set(execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).split("\0"));
    return files.filter((file) => tracked.has(file));
  } catch {
    return [...files];
  }
}

export function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** The fenced blocks of a Markdown file. */
export function blocksOf(file: string): Block[] {
  return fencedBlocks(file, read(file).split("\n"), 1);
}

/** The fenced blocks that follow an `@example` in the comments of a TypeScript file. */
export function examplesOf(file: string): Block[] {
  const text = read(file);
  return [...text.matchAll(/\/\*\*[\s\S]*?\*\//g)].flatMap((comment) => {
    const [whole] = comment;
    const at = whole.indexOf("@example");
    if (at < 0) return [];
    const first = text.slice(0, comment.index + at).split("\n").length;
    const lines = whole
      .slice(at)
      .split("\n")
      .map((line) => line.replace(/^\s*\* ?/, ""));
    return fencedBlocks(file, lines, first);
  });
}

function fencedBlocks(file: string, lines: readonly string[], firstLine: number): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; info: readonly string[]; start: number } | undefined;
  lines.forEach((line, i) => {
    const fence = /^\s*(`{3,})(.*)$/.exec(line);
    if (fence === null) return;
    const [, ticks = "", info = ""] = fence;
    if (open === undefined) {
      open = { fence: ticks, info: info.trim().split(/\s+/), start: i + 1 };
    } else if (ticks === open.fence && info.trim() === "") {
      const [language = "", ...flags] = open.info;
      const code = lines.slice(open.start, i).join("\n");
      blocks.push({ file, line: firstLine + open.start, language, flags, code });
      open = undefined;
    }
  });
  if (open !== undefined) throw new Error(`${file}:${firstLine + open.start - 1} is never closed`);
  return blocks;
}

/** The lines of a Markdown file outside of its fenced blocks; those within are empty. */
function proseOf(file: string): string[] {
  const lines = read(file).split("\n");
  for (const { line, code } of blocksOf(file)) {
    for (let i = 0; i <= code.split("\n").length; i++) lines[line - 1 + i] = "";
    lines[line - 2] = "";
  }
  return lines;
}

/** The targets of a Markdown file's links that are not to another site. */
export function linksOf(file: string): Found[] {
  return proseOf(file).flatMap((prose, i) => {
    const text = prose.replace(/`[^`]*`/g, "");
    const targets = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)/g)];
    return targets
      .map(([, inline, reference]) => ({
        file,
        line: i + 1,
        text: (inline ?? reference) as string,
      }))
      .filter(({ text }) => !/^[a-z][a-z0-9+.-]*:/i.test(text));
  });
}

/** The code spans in a Markdown file's prose. */
export function codeSpansOf(file: string): Found[] {
  return proseOf(file).flatMap((prose, i) =>
    [...prose.matchAll(/`([^`]+)`/g)].map(([, text]) => ({
      file,
      line: i + 1,
      text: text as string,
    })),
  );
}

/** The anchors of a Markdown file: its headings, in GitHub's spelling. */
export function anchorsOf(file: string): Set<string> {
  const anchors = new Set<string>();
  for (const line of proseOf(file)) {
    const heading = /^#{1,6}\s+(.*)$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const slug = heading
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-");
    let unique = slug;
    for (let n = 1; anchors.has(unique); n++) unique = `${slug}-${n}`;
    anchors.add(unique);
  }
  return anchors;
}
