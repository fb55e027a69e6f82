/** What happened, in the words of a person; the code follows in brackets. */
const WORDS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EADDRINUSE: "the address is in use",
  EADDRNOTAVAIL: "no such address here",
  EAI_AGAIN: "the name could not be looked up",
  EAFNOSUPPORT: "no such kind of address here",
  ECONNABORTED: "the connection was aborted",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the peer reset the connection",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be too large",
  EHOSTUNREACH: "the host cannot be reached",
  EIO: "input or output error",
  EISDIR: "it is a directory",
  EMFILE: "too many open descriptors",
  ENETUNREACH: "the network cannot be reached",
  ENFILE: "too many open files on this machine",
  ENAMETOOLONG: "the name is too long",
  ENOENT: "no such file",
  ENOSPC: "no space is left on the device",
  ENOTDIR: "not a directory",
  ENOTFOUND: "no such host",
  HTTP_HEAD_TOO_LARGE: "a response head of more than 256 KiB",
  HTTP_INVALID: "what came is no HTTP response",
  NO_ANSWER: "nothing came in time",
  PEER_CLOSED: "the server ended the connection",
  EPERM: "not permitted",
  EPIPE: "the peer has closed the connection",
  EROFS: "the file system is read-only",
  ETIMEDOUT: "timed out",
};

/** A code in words, where there are any. */
export function wordsFor(code: string): string | undefined {
  return WORDS[code];
}

/** An error of the system, of the resolver or of the library: what of it matters to a person. */
interface Failure {
  readonly message: string;
  readonly code?: unknown;
  readonly hint?: unknown;
  readonly port?: unknown;
}

/** One line that says what could not be done and why. */
export function failureLine(what: string, error: unknown): string {
  const { message, code } = error as Failure;
  const words = typeof code === "string" ? WORDS[code] : undefined;
  const why =
    words === undefined ? (message ?? String(error)).split("\n")[0] : `${words} (${code})`;
  return `polloi: ${what}: ${why}\n`;
}

/** One line that says why an engine does not work here: its hint has the cause and the cure in it. */
export function engineFailureLine(engine: string, error: unknown): string {
  const { hint } = error as Failure;
  const what = `cannot use the engine ${engine}`;
  return typeof hint === "string" ? `polloi: ${what}: ${hint}\n` : failureLine(what, error);
}

/** Hints of the library that name its options, as they are for the command line. */
const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE:
    "something listens there already: stop it (ss -ltnp shows it), or use another port (--port 0 picks a free one)",
};

/** The line that says what to do about it, or nothing. */
export function hintLine(error: unknown): string {
  const { hint, code, port } = error as Failure;
  // Without a port it is a unix socket, whose hint names no option.
  const ours = port === undefined ? undefined : HINTS[String(code)];
  const text = ours ?? hint;
  return typeof text === "string" ? `hint: ${text}\n` : "";
}

/** Whether it was the command line that asked for what there is not, rather than the system that refused. */
export function isMisuse(error: unknown): error is Error {
  return /^ERR_INVALID_/.test(String((error as Failure).code));
}
