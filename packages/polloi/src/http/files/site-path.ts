/** What a path of a target means within a directory that is served. */

/** The request makes no sense. */
export const BAD_PATH = 400;
/** There cannot be such a file, or it is nobody's business. */
export const NO_SUCH_PATH = 404;

const BROKEN_ESCAPE = /%(?![\da-f]{2})/i;
const ESCAPE = /%([\da-f]{2})/gi;
const ENCODED_SLASH = /%2f/i;
/** A segment that is empty, `.` or `..`; the last one may be empty. */
const NOT_A_NAME = /^\/|\/\/|(?:^|\/)\.\.?(?:\/|$)/;
/** A segment that begins with a dot, but for the one that RFC 8615 has everybody look at. */
const HIDDEN = /^\.(?!well-known(?:\/|$))|\/\./;
/** The kernel takes no longer ones: PATH_MAX, less what is put behind a path here. */
const MAX_PATH = 4000;

/**
 * The path of a target as one from the directory that is served: without the first slash, and decoded once.
 *
 * @remarks
 * Nothing is put right: a segment `.` or `..`, plain or encoded, is no name of a file, and neither is an
 * empty one. So what leaves here cannot climb, and the same file has one path. That nothing else leads out
 * (links do) is for who opens it: see `Directory`.
 *
 * Paths are bytes, here as in the kernel: each is a character from 0 to 255.
 *
 * @returns The path, which is empty or ends with a slash when a directory is meant; or a status.
 */
export function sitePath(path: string, dotfiles: boolean): string | number {
  if (!path.startsWith("/")) return BAD_PATH;
  let decoded = path.slice(1);
  if (decoded.includes("%")) {
    if (BROKEN_ESCAPE.test(decoded)) return BAD_PATH;
    // A slash within a name: there is no such file.
    if (ENCODED_SLASH.test(decoded)) return NO_SUCH_PATH;
    decoded = decoded.replace(ESCAPE, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
  // The kernel would read a path to here, and what was checked would not be what is opened.
  if (decoded.includes("\0")) return BAD_PATH;
  if (NOT_A_NAME.test(decoded) || decoded.length > MAX_PATH) return NO_SUCH_PATH;
  return !dotfiles && HIDDEN.test(decoded) ? NO_SUCH_PATH : decoded;
}

/** Whether a name of a directory's entry is hidden. */
export function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/** A path of bytes as it stands in a URL: all but unreserved characters and slashes are encoded. */
export function encodePath(path: string): string {
  return path.replace(
    /[^\w.~/-]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** A path of bytes as people read it. */
export function shownPath(path: string): string {
  return Buffer.from(path, "latin1").toString();
}
