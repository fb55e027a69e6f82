import { ERRNO } from "../../base/errno.ts";
import { AT_SYMLINK_NOFOLLOW, DIRENT64, SYS } from "../../sys/abi.ts";
import type { Kernel } from "../../sys/kernel.ts";
import type { Directory } from "./directory.ts";
import { ENTRIES_OFFSET, type FailedCall, type FileStat, isFailed, statFile } from "./file-stat.ts";
import { encodePath, isHidden, shownPath } from "./site-path.ts";

/** The directory that is listed. */
export interface ListedDirectory {
  /** The open directory, at its beginning. */
  readonly fd: number;
  /** The path within the site: empty, or with a slash at its end. */
  readonly path: string;
  readonly dotfiles: boolean;
}

/** The most entries of a page. More would keep the thread busy for too long. */
const MAX_ENTRIES = 5000;
const ENTRY_BYTES = 32_768;

const UNITS: readonly string[] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const STYLE =
  ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem}" +
  "td,th{padding:0 1.5rem 0 0;text-align:left}td:nth-child(2),th:nth-child(2){text-align:right}" +
  "a{text-decoration:none}a:hover{text-decoration:underline}";

const byName = new Intl.Collator("en", { numeric: true });

/**
 * The HTML page that lists a directory: first directories, then files, each by name.
 *
 * @returns The page, or the call that failed if the directory cannot be read.
 */
export function listingOf(
  kernel: Kernel,
  root: Directory,
  listed: ListedDirectory,
): string | FailedCall {
  const { path } = listed;
  const names = namesIn(kernel, listed);
  if ("syscall" in names) return names;
  const entries = names.slice(0, MAX_ENTRIES).flatMap((name) => {
    const stat = statEntry(kernel, root, listed, name);
    return stat === undefined ? [] : [{ name: shownPath(name), bytes: name, stat }];
  });
  entries.sort(
    (a, b) =>
      Number(b.stat.kind === "directory") - Number(a.stat.kind === "directory") ||
      byName.compare(a.name, b.name) ||
      (a.bytes < b.bytes ? -1 : 1),
  );
  const title = `Index of ${escapeHtml(shownPath(`/${path}`))}`;
  const rows = entries.map(({ name, bytes, stat }) => row(name, encodePath(bytes), stat));
  if (path !== "") rows.unshift('<tr><td><a href="../">../</a><td><td>\n');
  const more = names.length > MAX_ENTRIES ? `<p>There are more: ${MAX_ENTRIES} are shown.\n` : "";
  return (
    `<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n` +
    `<meta name="viewport" content="width=device-width">\n<title>${title}</title>\n` +
    `<style>${STYLE}</style>\n<h1>${title}</h1>\n<table>\n` +
    `<tr><th>Name<th>Size<th>Changed (UTC)\n${rows.join("")}</table>\n${more}`
  );
}

/** The names in a directory without the hidden ones, and at most one more than a page can show. */
function namesIn(
  { libc, scratch }: Kernel,
  { fd, dotfiles }: ListedDirectory,
): string[] | FailedCall {
  const names: string[] = [];
  const { u8, view, address } = scratch;
  while (names.length <= MAX_ENTRIES) {
    const length = libc.syscall(SYS.getdents64, fd, address + ENTRIES_OFFSET, ENTRY_BYTES, 0, 0, 0);
    if (length === -ERRNO.EINTR) continue;
    // A page without the other names would look complete.
    if (length < 0) return { syscall: "getdents64", errno: length };
    if (length === 0) break;
    for (let at = ENTRIES_OFFSET; at < ENTRIES_OFFSET + length; ) {
      const from = at + DIRENT64.name;
      const name = Buffer.from(u8.subarray(from, u8.indexOf(0, from))).toString("latin1");
      at += view.getUint16(at + DIRENT64.length, true);
      if (name !== "." && name !== ".." && (dotfiles || !isHidden(name))) names.push(name);
    }
  }
  return names;
}

/** The kind of an entry, for a link the kind of its target; `undefined` if it cannot be served. */
function statEntry(
  kernel: Kernel,
  root: Directory,
  { fd, path }: ListedDirectory,
  name: string,
): FileStat | undefined {
  let stat = statFile(kernel, fd, name, AT_SYMLINK_NOFOLLOW);
  if (!isFailed(stat) && stat.kind === "link") {
    const target = root.openPath(path + name);
    if (typeof target !== "number") return undefined;
    stat = statFile(kernel, target);
    kernel.libc.close(target);
  }
  if (isFailed(stat)) return undefined;
  return stat.kind === "file" || stat.kind === "directory" ? stat : undefined;
}

function row(name: string, url: string, { kind, size, seconds }: FileStat): string {
  const slash = kind === "directory" ? "/" : "";
  const changed = new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
  const length = kind === "directory" ? "" : sizeText(size);
  // A right-to-left name must not affect the direction of the text around it.
  const link = `<a href="${url}${slash}"><bdi>${escapeHtml(name)}</bdi>${slash}</a>`;
  return `<tr><td>${link}<td>${length}<td>${changed}\n`;
}

function sizeText(size: number): string {
  let [value, unit] = [size, 0];
  for (; value >= 1024 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
