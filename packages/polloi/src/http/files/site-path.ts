/** The file of a request path within the directory that is served, or a status. */

/** The path is invalid. */
export const BAD_PATH = 400;
/** No such file can exist, or it is hidden. */
export const NO_SUCH_PATH = 404;

const BROKEN_ESCAPE = /%(?![\da-f]{2})/i;
const ESCAPE = /%([\da-f]{2})/gi;
const ENCODED_SLASH = /%2f/i;
/** Matches a segment that is empty, `.` or `..`; the last one may be empty. */
const NOT_A_NAME = /^\/|\/\/|(?:^|\/)\.\.?(?:\/|$)/;
/** Matches a segment that begins with a dot, except for the one of RFC 8615. */
const HIDDEN = /^\.(?!well-known(?:\/|$))|\/\./;
/** The longest path: PATH_MAX, less the longest suffix that is appended here. */
const MAX_PATH = 4000;

/**
 * The path of a request, relative to the directory that is served: without the first slash, and decoded once.
 *
 * @remarks
 * Nothing is normalized: a segment that is empty, `.` or `..`, plain or encoded, is no name of a file. So the result cannot
 * leave the directory, and every file has one path. `Directory`, which opens it, checks symbolic links.
 *
 * Paths are bytes, as in the kernel: each is a character from 0 to 255.
 *
 * @returns The path, which is empty or ends with a slash for a directory; or a status.
 */
export function sitePath(path: string, dotfiles: boolean): string | number {
  if (!path.startsWith("/")) return BAD_PATH;
  let decoded = path.slice(1);
  if (decoded.includes("%")) {
    if (BROKEN_ESCAPE.test(decoded)) return BAD_PATH;
    // An encoded slash in a name: no such file can exist.
    if (ENCODED_SLASH.test(decoded)) return NO_SUCH_PATH;
    decoded = decoded.replace(ESCAPE, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
  }
  // The kernel would end the path here, and open another file than was checked.
  if (decoded.includes("\0")) return BAD_PATH;
  if (NOT_A_NAME.test(decoded) || decoded.length > MAX_PATH) return NO_SUCH_PATH;
  return !dotfiles && HIDDEN.test(decoded) ? NO_SUCH_PATH : decoded;
}

/** Whether the name of a directory entry is hidden. */
export function isHidden(name: string): boolean {
  return name.startsWith(".");
}

/** A path of bytes for a URL: everything but unreserved characters and slashes is encoded. */
export function encodePath(path: string): string {
  return path.replace(
    /[^\w.~/-]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** A path of bytes for display. */
export function shownPath(path: string): string {
  return Buffer.from(path, "latin1").toString();
}
